import type { QosHeader, QosLimits } from '@cable/model';
import { CB_DIR_EGRESS, CB_DIR_INGRESS, CB_METER_F_DSCP } from '../bpf/abi.gen.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Time that a byte takes at one thousand bits a second, and a packet at one thousand packets a second. */
const BYTE_NS = 8_000_000n;
const PACKET_NS = 1_000_000n;

/** Bits of a cost behind the point. */
const COST_SHIFT = 20n;

/** What may pass at once where a rule says nothing of it, as time at its rate: 0.8 s, as Neutron has it. */
const DEFAULT_BURST_NS = 800_000_000n;

/** Rows of cb_meter_1 for the policy of a VIF; none: the policy limits and marks nothing. */
export function meterEntries(vif: number, { egress, ingress, dscp }: QosHeader): readonly Planned[] {
  const marks = dscp === undefined ? { dscp: 0, flags: 0 } : { dscp, flags: CB_METER_F_DSCP };
  const entries: Planned[] = [];
  if (isLimited(ingress)) {
    entries.push(encodeEntry('cb_meter_1', vif * 2 + CB_DIR_INGRESS, { ...limits(ingress), dscp: 0, flags: 0 }));
  }
  if (isLimited(egress) || dscp !== undefined) {
    entries.push(encodeEntry('cb_meter_1', vif * 2 + CB_DIR_EGRESS, { ...limits(egress), ...marks }));
  }
  return entries;
}

function isLimited({ bandwidth, packets }: QosLimits): boolean {
  return bandwidth !== undefined || packets !== undefined;
}

function limits({ bandwidth, packets }: QosLimits): {
  readonly byteCost: bigint;
  readonly byteBurstNs: bigint;
  readonly packetCost: bigint;
  readonly packetBurstNs: bigint;
} {
  const bytes = bandwidth === undefined ? undefined : { max: bandwidth.maxKbps, burst: bandwidth.burstKbits };
  const counted = packets === undefined ? undefined : { max: packets.maxKpps, burst: packets.burstKpackets };
  return {
    byteCost: costOf(bytes, BYTE_NS),
    byteBurstNs: burstOf(bytes),
    packetCost: costOf(counted, PACKET_NS),
    packetBurstNs: burstOf(counted),
  };
}

type Limit = { readonly max: number; readonly burst: number };

function costOf(limit: Limit | undefined, ns: bigint): bigint {
  return limit === undefined ? 0n : (ns << COST_SHIFT) / BigInt(limit.max);
}

function burstOf(limit: Limit | undefined): bigint {
  if (limit === undefined) return 0n;
  return limit.burst === 0 ? DEFAULT_BURST_NS : (BigInt(limit.burst) * 1_000_000_000n) / BigInt(limit.max);
}

/** Thousands of bits or of packets a second, of a cost in a row; 0: no limit. */
export function rateOf(cost: bigint, kind: 'bytes' | 'packets'): number {
  const ns = kind === 'bytes' ? BYTE_NS : PACKET_NS;
  // Rounded: the cost was rounded down.
  return cost === 0n ? 0 : Number(((ns << COST_SHIFT) + cost / 2n) / cost);
}
