import type { LocalPort } from '@cable/model';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { typedSlices } from '../plan/inputs.ts';
import type { ListedSlices } from '../show/names.ts';

/** What a record of the vrouter says of the rules of one end. `isSender`: that end has sent the packet. */
export type Judgement = {
  readonly direction: 'egress' | 'ingress';
  readonly isSender: boolean;
  readonly action: 'ACCEPT' | 'DROP';
};

/** `drops`: the names of the reasons that are meant, each with the direction of whose rules they are. */
export function judgementsOf(
  record: FlowRecord,
  drops: Readonly<Record<string, Judgement['direction']>>,
): readonly Judgement[] {
  if (record.kind === 'begin') {
    return [
      { direction: 'egress', isSender: true, action: 'ACCEPT' },
      { direction: 'ingress', isSender: false, action: 'ACCEPT' },
    ];
  }
  const direction = record.kind === 'drop' ? drops[record.drop?.name ?? ''] : undefined;
  if (direction === undefined) return [];
  // An answer is refused by what its connection may: by the egress rules of whom it is for.
  const by = record.refusedBy ?? (direction === 'egress' ? 'from' : 'to');
  return [{ direction, isSender: by === 'from', action: 'DROP' }];
}

/** The port of this host whose rules have judged; undefined: the end is elsewhere, or is no port any more. */
export function judgedPort(
  record: FlowRecord,
  isSender: boolean,
  { host, slices }: { readonly host: string; readonly slices: ListedSlices },
): LocalPort | undefined {
  const end = isSender ? record.from : record.to;
  if (end === null) return undefined;
  const of = typedSlices(slices);
  return of.item('host', host, end.portId) ?? of.item('standby', host, end.portId);
}
