import { CB_DIR_EGRESS, CB_DIR_INGRESS, CB_METER_F_DSCP, CB_METER_F_SHAPE, type CbMeter } from '../bpf/abi.gen.ts';
import { rateOf } from '../plan/meters.ts';
import type { Row } from './maps.ts';

/** Limits of one direction, in the words of the API. */
export function meterRow(meter: CbMeter): Row {
  return {
    ...(meter.byteCost === 0n
      ? {}
      : {
          max_kbps: rateOf(meter.byteCost, 'bytes'),
          burst_ms: Number(meter.byteBurstNs / 1_000_000n),
          over: (meter.flags & CB_METER_F_SHAPE) === 0 ? 'dropped' : 'waits',
        }),
    ...(meter.packetCost === 0n
      ? {}
      : { max_kpps: rateOf(meter.packetCost, 'packets'), packet_burst_ms: Number(meter.packetBurstNs / 1_000_000n) }),
    ...((meter.flags & CB_METER_F_DSCP) === 0 ? {} : { dscp: meter.dscp }),
  };
}

/** Fields of both directions in one row: `egress_...` and `ingress_...`. */
export function byDirection(row: (direction: number) => Row): Row {
  const named = (name: string, direction: number): Row =>
    Object.fromEntries(Object.entries(row(direction)).map(([field, value]) => [`${name}_${field}`, value]));
  return { ...named('egress', CB_DIR_EGRESS), ...named('ingress', CB_DIR_INGRESS) };
}
