/** Packets of a port that are shown: what they are, and of which flow. */
import type { FlowView, PacketEvent } from '@cable/model';
import { CB_LIFE_LIVE, cbFlow, cbTuple, cbTupleKey } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { formatAddress } from '../plan/address.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { viewOf } from './flows.ts';
import type { HostNumbers } from './numbers.ts';

/** What is read of a frame. */
export type ReadPacket = Omit<PacketEvent, 'number' | 'atMs' | 'isSent' | 'flow'> & {
  /** As the flow table has them. */
  readonly key: {
    readonly src: Uint8Array;
    readonly dst: Uint8Array;
    readonly sportBe: number;
    readonly dportBe: number;
  };
};

const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const ETHERNET_BYTES = 14;
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');
const TCP = 6;
const ICMP = 1;
const ICMP6 = 58;
const WITH_PORTS = [TCP, 17, 132];
/** Types of answers, and of what they answer. */
const QUERY_OF: Readonly<Record<string, number>> = { '1/0': 8, '1/14': 13, '1/16': 15, '1/18': 17, '58/129': 128 };

/** Of the beginning of a frame, whose VLAN tag is off; undefined: it is no whole IP packet with a header that is known. */
export function readPacket(bytes: Uint8Array): ReadPacket | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const isV4 = frame.length >= 34 && frame.readUInt16BE(12) === ETHERTYPE.ipv4;
  if (!isV4 && (frame.length < 54 || frame.readUInt16BE(12) !== ETHERTYPE.ipv6)) return undefined;
  const at = ETHERNET_BYTES + (isV4 ? ((frame[14] ?? 0) & 15) * 4 : 40);
  const protocol = frame[isV4 ? 23 : 20] ?? 0;
  const address = (offset: number): Uint8Array =>
    isV4
      ? Buffer.concat([MAPPED, frame.subarray(offset, offset + 4)])
      : Buffer.from(frame.subarray(offset, offset + 16));
  const [src, dst] = isV4 ? [address(26), address(30)] : [address(22), address(38)];
  const u16 = (offset: number): number => (frame.length >= offset + 2 ? frame.readUInt16BE(offset) : 0);
  const isIcmp = protocol === ICMP || protocol === ICMP6;
  const hasPorts = WITH_PORTS.includes(protocol);
  const [first, second] = hasPorts ? [u16(at), u16(at + 2)] : isIcmp ? icmpPorts(frame, at, protocol) : [0, 0];
  return {
    kind: 'packet',
    protocol,
    source: formatAddress(src),
    destination: formatAddress(dst),
    sourcePort: hasPorts ? first : null,
    destinationPort: hasPorts ? second : null,
    icmpType: isIcmp ? (frame[at] ?? 0) : null,
    tcpFlags: protocol === TCP ? (frame[at + 13] ?? 0) : null,
    bytes: isV4 ? u16(16) : 40 + u16(18),
    key: { src, dst, sportBe: first, dportBe: second },
  };
}

/** As `icmp_ports()` of the vrouter. */
function icmpPorts(frame: Buffer, at: number, protocol: number): readonly [number, number] {
  if (frame.length < at + 6) return [0, 0];
  const [type = 0, code = 0] = frame.subarray(at, at + 2);
  const identifier = frame.readUInt16BE(at + 4);
  const query = QUERY_OF[`${protocol}/${type}`];
  return query === undefined ? [identifier, (type << 8) | code] : [(query << 8) | code, identifier];
}

export type FlowFinderDeps = {
  readonly plane: Pick<KernelDataPlane, 'readEntry'>;
  /** Who has which number now. */
  readonly numbers: () => HostNumbers;
  /** Of the network; undefined: it has none here. */
  readonly net: (networkId: string) => number | undefined;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => bigint;
};

/** Numbers are turned round for so long at a time. */
const FRESH_NS = 1_000_000_000n;

/** Finds the flow that a packet at a port's device is of. */
export class FlowFinder {
  readonly #deps: FlowFinderDeps;
  #numbers: { readonly atNs: bigint; readonly value: HostNumbers } | undefined;

  constructor(deps: FlowFinderDeps) {
    this.#deps = deps;
  }

  /** Null: there is none. A packet that the port is given is of the flow that its answer would be of. */
  find(
    { vif, networkId }: { readonly vif: number; readonly networkId: string },
    { key, protocol }: Pick<ReadPacket, 'key' | 'protocol'>,
    isSent: boolean,
  ): FlowView | null {
    const { plane, net: netOf } = this.#deps;
    const net = netOf(networkId);
    if (net === undefined) return null;
    const turned = { src: key.dst, dst: key.src, sportBe: key.dportBe, dportBe: key.sportBe };
    const tuple = plane.readEntry('cb_tuple_1', cbTupleKey.encode({ ...(isSent ? key : turned), net, protocol }));
    if (tuple === undefined) return null;
    const { flow } = cbTuple.decode(tuple);
    const row = plane.readEntry('cb_flow_2', arrayIndex.encode(flow));
    const record = row === undefined ? undefined : cbFlow.decode(row);
    if (record === undefined || Number(record.life & 3n) !== CB_LIFE_LIVE || !record.owner.includes(vif)) return null;
    const nowNs = this.#deps.nowNs();
    return viewOf(flow, record, vif, this.#known(nowNs), nowNs) ?? null;
  }

  #known(nowNs: bigint): HostNumbers {
    if (this.#numbers === undefined || nowNs - this.#numbers.atNs >= FRESH_NS)
      this.#numbers = { atNs: nowNs, value: this.#deps.numbers() };
    return this.#numbers.value;
  }
}
