import type { QosHeader, QosLimits } from '@cable/model';
import { CB_DIR_EGRESS, CB_DIR_INGRESS, CB_METER_F_DSCP, CB_METER_F_SHAPE } from '../bpf/abi.gen.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Time that a byte takes at one thousand bits a second, and a packet at one thousand packets a second. */
const BYTE_NS = 8_000_000n;
const PACKET_NS = 1_000_000n;

/** Bits of a cost behind the point. */
const COST_SHIFT = 20n;

/**
 * What may pass at once where a rule says nothing of it, as time at its rate. Where the rest is dropped as long as Neutron has it: TCP that lost a whole window is silent
 * for some 200 ms, which the bucket makes up for. Where it waits, next to nothing is needed.
 */
const DEFAULT_BURST_NS = 800_000_000n;
const SHAPED_BURST_NS = 10_000_000n;

/** Above it, what is over a limit is dropped and does not wait: all queues of a host have one lock. */
const SHAPED_MAX_KBPS = 5_000_000;

/** What limits and marks the traffic of a port. */
export type PortLimits = Omit<QosHeader, 'id'>;

/** Of two bandwidths the lower one, in each direction. */
export function narrower(policy: PortLimits, { egress, ingress }: Pick<PortLimits, 'egress' | 'ingress'>): PortLimits {
  return { ...policy, egress: withLower(policy.egress, egress), ingress: withLower(policy.ingress, ingress) };
}

function withLower(limits: QosLimits, { bandwidth }: QosLimits): QosLimits {
  const isLower =
    bandwidth !== undefined && bandwidth.maxKbps < (limits.bandwidth?.maxKbps ?? Number.POSITIVE_INFINITY);
  return isLower ? { ...limits, bandwidth } : limits;
}

/** Rows of cb_meter_1 for a VIF; none: nothing is limited or marked. */
export function meterEntries(vif: number, { egress, ingress, dscp }: PortLimits): readonly Planned[] {
  const entries: Planned[] = [];
  if (isLimited(ingress)) {
    entries.push(
      encodeEntry('cb_meter_1', vif * 2 + CB_DIR_INGRESS, {
        ...limits(ingress, waits(ingress.bandwidth) > 0),
        dscp: 0,
        flags: waits(ingress.bandwidth),
      }),
    );
  }
  if (isLimited(egress) || dscp !== undefined) {
    const flags = waits(egress.bandwidth) | (dscp === undefined ? 0 : CB_METER_F_DSCP);
    entries.push(
      encodeEntry('cb_meter_1', vif * 2 + CB_DIR_EGRESS, {
        ...limits(egress, waits(egress.bandwidth) > 0),
        dscp: dscp ?? 0,
        flags,
      }),
    );
  }
  return entries;
}

/** Limits of which nothing waits: what is over them is dropped. By direction, CB_DIR_*. */
export function policedMeters({ egress, ingress, dscp }: QosHeader): readonly [ingress: Meter, egress: Meter] {
  const flags = dscp === undefined ? 0 : CB_METER_F_DSCP;
  return [
    { ...limits(ingress, false), dscp: 0, flags: 0 },
    { ...limits(egress, false), dscp: dscp ?? 0, flags },
  ];
}

type Meter = ReturnType<typeof limits> & { readonly dscp: number; readonly flags: number };

function isLimited({ bandwidth, packets }: QosLimits): boolean {
  return bandwidth !== undefined || packets !== undefined;
}

function waits(bandwidth: QosLimits['bandwidth']): number {
  return bandwidth !== undefined && bandwidth.maxKbps <= SHAPED_MAX_KBPS ? CB_METER_F_SHAPE : 0;
}

/** Their costs and bursts. `isShaped`: bytes that are over wait. */
function limits(
  { bandwidth, packets }: QosLimits,
  isShaped: boolean,
): {
  readonly byteCost: bigint;
  readonly byteBurstNs: bigint;
  readonly packetCost: bigint;
  readonly packetBurstNs: bigint;
} {
  const bytes = bandwidth === undefined ? undefined : { max: bandwidth.maxKbps, burst: bandwidth.burstKbits };
  const counted = packets === undefined ? undefined : { max: packets.maxKpps, burst: packets.burstKpackets };
  return {
    byteCost: costOf(bytes, BYTE_NS),
    byteBurstNs: burstOf(bytes, isShaped ? SHAPED_BURST_NS : DEFAULT_BURST_NS),
    packetCost: costOf(counted, PACKET_NS),
    packetBurstNs: burstOf(counted, DEFAULT_BURST_NS),
  };
}

type Limit = { readonly max: number; readonly burst: number };

function costOf(limit: Limit | undefined, ns: bigint): bigint {
  return limit === undefined ? 0n : (ns << COST_SHIFT) / BigInt(limit.max);
}

function burstOf(limit: Limit | undefined, otherwiseNs: bigint): bigint {
  if (limit === undefined) return 0n;
  return limit.burst === 0 ? otherwiseNs : (BigInt(limit.burst) * 1_000_000_000n) / BigInt(limit.max);
}

/** What a byte costs at so many thousands of bits a second. */
export function byteCostOf(maxKbps: number): bigint {
  return costOf({ max: maxKbps, burst: 0 }, BYTE_NS);
}

/** Thousands of bits or of packets a second, of a cost in a row; 0: no limit. */
export function rateOf(cost: bigint, kind: 'bytes' | 'packets'): number {
  const ns = kind === 'bytes' ? BYTE_NS : PACKET_NS;
  // Rounded: the cost was rounded down.
  return cost === 0n ? 0 : Number(((ns << COST_SHIFT) + cost / 2n) / cost);
}
