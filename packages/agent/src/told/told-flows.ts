import { startTurns, type Turns } from '@cable/kit';
import { CB_LIFE_LIVE, cbFlow, cbTuple, cbTupleKey, cbWay } from '../bpf/abi.gen.ts';
import { arrayIndex, fieldAt } from '../bpf/codec.ts';

type Entries = Iterable<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>;

export type FlowMaps = {
  /** Entries of cb_tuple_1, some at a time. */
  readonly tuples: () => Entries;
  /** A record of cb_flow_2; undefined: there is none. */
  readonly flow: (key: Uint8Array) => Uint8Array | undefined;
};

const DST_BYTES = 16;
const NO_TUPLE = cbTupleKey.decode(new Uint8Array(cbTupleKey.size));
const DST_AT = cbTupleKey.encode({ ...NO_TUPLE, dst: new Uint8Array(DST_BYTES).fill(1) }).indexOf(1);
const LIFE_AT = fieldAt(cbFlow, 'life');
const OWNER_AT = fieldAt(cbFlow, 'owner');
const EXPIRES_AT = fieldAt(cbWay, 'expiresNs');
const HEX_LENGTH = '/128';

/**
 * Those of some addresses of VIFs (`Prefix.order`) that the VIF has begun a connection to which is not over, in turns. Costs a look at each flow of the host, and at the records of those that lead to
 * any of the addresses. `nowNs`: CLOCK_MONOTONIC.
 */
export async function addressesInUse(
  maps: FlowMaps,
  wanted: ReadonlyMap<number, readonly string[]>,
  nowNs: bigint,
  turns: Turns = startTurns(),
): Promise<ReadonlyMap<number, ReadonlySet<string>>> {
  const found = new Map<number, Set<string>>();
  const all = new Set([...wanted.values()].flat());
  if (all.size === 0) return found;
  for (const batch of maps.tuples()) {
    for (const { key, value } of batch) {
      const order = `${Buffer.from(key.buffer, key.byteOffset + DST_AT, DST_BYTES).toString('hex')}${HEX_LENGTH}`;
      if (!all.has(order)) continue;
      const { flow, direction } = cbTuple.decode(value);
      const record = direction === 0 ? maps.flow(arrayIndex.encode(flow)) : undefined;
      const vif = record === undefined ? undefined : beginnerOf(record, nowNs);
      if (vif === undefined || wanted.get(vif)?.includes(order) !== true) continue;
      found.set(vif, (found.get(vif) ?? new Set()).add(order));
    }
    if (turns.due()) await turns.next();
  }
  return found;
}

/** The VIF that began it; undefined: it is over. */
function beginnerOf(record: Uint8Array, nowNs: bigint): number | undefined {
  const view = new DataView(record.buffer, record.byteOffset);
  if ((view.getUint8(LIFE_AT) & 3) !== CB_LIFE_LIVE || view.getBigUint64(EXPIRES_AT, true) < nowNs) return undefined;
  return view.getUint16(OWNER_AT, true);
}
