import { startTurns, type Turns } from '@cable/kit';
import type { FlowQuery, FlowState, FlowView, PortFlows } from '@cable/model';
import {
  CB_DELIVER_OVERLAY,
  CB_FLOW_CLOSED,
  CB_FLOW_CLOSING,
  CB_FLOW_ESTABLISHED,
  CB_FLOW_NEW,
  CB_FLOW_PICKED_UP,
  CB_LIFE_LIVE,
  type CbFlow,
  type CbWay,
  cbFlow,
  cbWay,
} from '../bpf/abi.gen.ts';
import { arrayIndex, fieldAt } from '../bpf/codec.ts';
import { formatAddress } from '../plan/address.ts';
import type { HostNumbers } from './numbers.ts';
import { becomesOf, portsOf } from './tuples.ts';

/** Records of cb_flow_2, some at a time, in the order of their numbers. */
export type FlowRecords = Iterable<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>;

const LIFE_AT = fieldAt(cbFlow, 'life');
const OWNER_AT = fieldAt(cbFlow, 'owner');
const EXPIRES_AT = fieldAt(cbWay, 'expiresNs');
const FILTERS = ['protocol', 'address', 'port', 'state'] as const;
const NS_A_SECOND = 1_000_000_000n;

const STATE: Readonly<Record<number, FlowState>> = {
  [CB_FLOW_NEW]: 'new',
  [CB_FLOW_ESTABLISHED]: 'established',
  [CB_FLOW_CLOSING]: 'closing',
  [CB_FLOW_CLOSED]: 'closed',
  [CB_FLOW_PICKED_UP]: 'picked-up',
};

/**
 * The flows of a VIF, in turns of the event loop: the table has very many records, of which few are this VIF's. Flows whose time is over and that nobody has collected
 * yet are none. `nowNs`: CLOCK_MONOTONIC.
 */
export async function showFlows(
  records: FlowRecords,
  vif: number,
  query: FlowQuery,
  { numbers, nowNs, turns = startTurns() }: { numbers: HostNumbers; nowNs: bigint; turns?: Turns },
): Promise<PortFlows> {
  const flows: FlowView[] = [];
  let total = 0;
  let isMore = false;
  // Of a port with very many only those are decoded that are looked into or shown: else it would take seconds.
  const isFiltered = FILTERS.some((name) => query[name] !== undefined);
  for (const batch of records) {
    for (const { key, value } of batch) {
      if (!isOf(value, vif) || isOver(value, nowNs)) continue;
      if (!isFiltered && (flows.length === query.limit || arrayIndex.decode(key) <= query.after)) {
        total += 1;
        isMore ||= arrayIndex.decode(key) > query.after;
        continue;
      }
      const view = viewOf(arrayIndex.decode(key), cbFlow.decode(value), vif, numbers, nowNs);
      if (view === undefined || !fits(view, query)) continue;
      total += 1;
      if (view.flow <= query.after) continue;
      if (flows.length < query.limit) flows.push(view);
      else isMore = true;
    }
    if (turns.due()) await turns.next();
  }
  return { flows, total, next: isMore ? (flows.at(-1)?.flow ?? null) : null };
}

/** The first way begins the record. */
function isOver(value: Uint8Array, nowNs: bigint): boolean {
  return new DataView(value.buffer, value.byteOffset).getBigUint64(EXPIRES_AT, true) < nowNs;
}

/** Without decoding: most are free, or others'. */
function isOf(value: Uint8Array, vif: number): boolean {
  if (((value[LIFE_AT] ?? 0) & 3) !== CB_LIFE_LIVE) return false;
  const low = vif & 0xff;
  const high = vif >> 8;
  return (
    (value[OWNER_AT] === low && value[OWNER_AT + 1] === high) ||
    (value[OWNER_AT + 2] === low && value[OWNER_AT + 3] === high)
  );
}

/** As the VIF sees it; undefined: the record is none. */
export function viewOf(
  flow: number,
  { way, tally, tuple, owner, atNs, rule, member, served }: CbFlow,
  vif: number,
  numbers: HostNumbers,
  nowNs: bigint,
): FlowView | undefined {
  const [there, back] = way;
  const [asked, answered] = tuple;
  if (there === undefined || back === undefined || asked === undefined || answered === undefined) return undefined;
  const isBegun = owner[0] === vif;
  const peerVif = (isBegun ? owner[1] : owner[0]) ?? 0;
  return {
    flow,
    isBegun,
    networkId: numbers.network(asked.net),
    protocol: asked.protocol,
    source: formatAddress(asked.src),
    destination: formatAddress(asked.dst),
    ...portsOf(asked),
    state: STATE[there.state] ?? 'new',
    packets: Number(tally[0]?.packets ?? 0n),
    bytes: Number(tally[0]?.bytes ?? 0n),
    replyPackets: Number(tally[1]?.packets ?? 0n),
    replyBytes: Number(tally[1]?.bytes ?? 0n),
    ageSeconds: secondsFrom(atNs, nowNs),
    expiresSeconds: secondsFrom(nowNs, there.expiresNs),
    peerPortId: peerVif === 0 ? null : numbers.port(peerVif),
    peerUnderlay: peerVif === 0 ? farEnd(isBegun ? there : back, numbers) : null,
    rule: rule === 0 ? null : ruleText(rule),
    becomes: becomesOf({ asked, answered }),
    ...(member === 0 && served === 0 ? {} : { isBalanced: true }),
  };
}

/** The host that a direction leads to, as far as it was decided. */
function farEnd({ deliver, tunnel }: CbWay, numbers: HostNumbers): string | null {
  return deliver === CB_DELIVER_OVERLAY ? numbers.underlay(tunnel) : null;
}

function secondsFrom(from: bigint, to: bigint): number {
  return to > from ? Number((to - from) / NS_A_SECOND) : 0;
}

/** First 8 hexadecimal digits of the rule's id. */
export function ruleText(bits: number): string {
  return bits.toString(16).padStart(8, '0');
}

function fits(flow: FlowView, { protocol, address, port, state }: FlowQuery): boolean {
  if (protocol !== undefined && flow.protocol !== protocol) return false;
  if (address !== undefined && flow.source !== address && flow.destination !== address) return false;
  if (port !== undefined && flow.sourcePort !== port && flow.destinationPort !== port) return false;
  return state === undefined || flow.state === state;
}
