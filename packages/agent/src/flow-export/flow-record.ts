import type { DropReason } from '@cable/model';
import { dropReason } from '../asks/drops.ts';
import {
  CB_REASON_NONE,
  CB_TOLD_BEGIN,
  CB_TOLD_DROP,
  CB_TOLD_END,
  CB_TOLD_F_BY_RECEIVER,
  CB_TOLD_F_BY_SENDER,
  CB_TOLD_F_SERVED,
  type CbFlow,
  type CbTold,
  type CbTupleKey,
  cbTupleKey,
} from '../bpf/abi.gen.ts';
import { wallMs } from '../ffi/libc.ts';
import type { FlowEnd, FlowNames } from './flow-names.ts';

/** What is told of a flow, or of a dropped packet, in users' names. */
export type FlowRecord = {
  /** `update`: it goes on. */
  readonly kind: 'begin' | 'update' | 'end' | 'drop';
  /** With `life` it names the flow on this host; 0: of a drop. */
  readonly flow: number;
  readonly life: bigint;
  /** A flow is exported by a port of which one of `oneOf` flows is, if `oneOf` divides it. */
  readonly choice: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly beganMs: number;
  /** As its first packet is. */
  readonly asked: CbTupleKey;
  /** As its answers are; of a drop the same turned round. */
  readonly answered: CbTupleKey;
  /** What its first packet, or the packet that was dropped, is where it has been translated: the same as `asked` if it is not. */
  readonly goesOn: CbTupleKey;
  /** A Service gives it its endpoint. */
  readonly isServed: boolean;
  /** Of a drop by rules: whose they are. Null: of no drop, or not told. */
  readonly refusedBy: 'from' | 'to' | null;
  /** Since it began, by direction. */
  readonly packets: readonly [bigint, bigint];
  readonly bytes: readonly [bigint, bigint];
  /** The ends that are on this host. */
  readonly from: FlowEnd | null;
  readonly to: FlowEnd | null;
  readonly networkId: string | null;
  readonly networkName: string;
  /** Id of the rule that allowed it, as far as it is known: at least its first 8 digits; null: none was asked. */
  readonly rule: string | null;
  /** IPFIX's flowEndReason; 0: it has not ended. */
  readonly ended: number;
  /** Null: it was not dropped. */
  readonly drop: DropReason | null;
};

/** How a time of the kernel's monotonic clock is told. */
export type Clock = (monotonicNs: bigint) => number;

/** Both clocks are read once: so records of one turn agree. */
export function wallClock(): Clock {
  const [nowNs, nowMs] = [process.hrtime.bigint(), wallMs()];
  return (ns) => nowMs - Number((nowNs - ns) / 1000n) / 1000;
}

const KINDS: Readonly<Record<number, FlowRecord['kind']>> = {
  [CB_TOLD_BEGIN]: 'begin',
  [CB_TOLD_END]: 'end',
  [CB_TOLD_DROP]: 'drop',
};

/** What the vrouter told; undefined: of a kind that this code does not know. */
export function toldRecord(told: CbTold, names: FlowNames, clock: Clock): FlowRecord | undefined {
  const kind = KINDS[told.kind];
  const [asked, answered] = told.tuple;
  if (kind === undefined || asked === undefined || answered === undefined) return undefined;
  const isDrop = kind === 'drop';
  return {
    kind,
    flow: told.flow,
    life: told.life,
    choice: told.choice,
    atMs: clock(told.atNs),
    beganMs: clock(isDrop ? told.atNs : told.begunNs),
    asked,
    answered: isDrop ? turned(asked) : answered,
    goesOn: isDrop ? goesOnOf(told, asked) : turned(answered),
    isServed: (told.flags & CB_TOLD_F_SERVED) !== 0,
    refusedBy: isDrop ? refusedBy(told.flags) : null,
    packets: pair(told.packets),
    bytes: pair(told.bytes),
    ...names.of(told.owner, asked.net),
    rule: names.rule(told.rule, told.owner),
    ended: kind === 'end' ? told.reason : 0,
    drop: isDrop && told.reason !== CB_REASON_NONE ? dropReason(told.reason) : null,
  };
}

/** Programs of before, which say of no drop whose rules it was by, do not tell it. */
function goesOnOf({ flags, tuple }: CbTold, asked: CbTupleKey): CbTupleKey {
  return refusedBy(flags) === null ? asked : (tuple[1] ?? asked);
}

function refusedBy(flags: number): FlowRecord['refusedBy'] {
  if ((flags & CB_TOLD_F_BY_SENDER) !== 0) return 'from';
  return (flags & CB_TOLD_F_BY_RECEIVER) !== 0 ? 'to' : null;
}

/** A flow that goes on. */
export function liveRecord(flow: number, live: CbFlow, names: FlowNames, clock: Clock): FlowRecord | undefined {
  const [asked, answered] = live.tuple;
  if (asked === undefined || answered === undefined) return undefined;
  return {
    kind: 'update',
    flow,
    life: live.life >> 2n,
    choice: choiceOf(asked),
    atMs: clock(process.hrtime.bigint()),
    beganMs: clock(live.atNs),
    asked,
    answered,
    goesOn: turned(answered),
    isServed: live.served !== 0,
    refusedBy: null,
    packets: pair(live.tally.map(({ packets }) => packets)),
    bytes: pair(live.tally.map(({ bytes }) => bytes)),
    ...names.of(live.owner, asked.net),
    rule: names.rule(live.rule, live.owner),
    ended: 0,
    drop: null,
  };
}

/** Is it of those that a port at one of its ends exports? */
export function isExported({ from, to, choice }: Pick<FlowRecord, 'from' | 'to' | 'choice'>): boolean {
  return [from, to].some((end) => end !== null && end.oneOf > 0 && choice % end.oneOf === 0);
}

const FACTORS = [
  0x9e3779b97f4a7c15n,
  0xbf58476d1ce4e5b9n,
  0x94d049bb133111ebn,
  0xd6e8feb86659fd93n,
  0xc2b2ae3d27d4eb4fn,
] as const;

/** As `choice_of()` of the vrouter. */
export function choiceOf(tuple: CbTupleKey): number {
  const bytes = cbTupleKey.encode(tuple);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sum = FACTORS.reduce((total, factor, i) => total + view.getBigUint64(8 * i, true) * factor, 0n);
  return Number(BigInt.asUintN(64, sum) >> 33n);
}

/** As its answers would be. */
export function turned({ src, dst, sportBe, dportBe, ...rest }: CbTupleKey): CbTupleKey {
  return { ...rest, src: dst, dst: src, sportBe: dportBe, dportBe: sportBe };
}

function pair([first = 0n, second = 0n]: readonly bigint[]): readonly [bigint, bigint] {
  return [first, second];
}
