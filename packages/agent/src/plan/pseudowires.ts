/** Pseudowires: where their ports are on this host (docs/design/pseudowires.md). What becomes of that in maps: `../pseudowires`. */
import type { PseudowirePort } from '@cable/model';
import { vifDeviceName } from './device-names.ts';
import type { WirePlace } from './pseudowire-rows.ts';
import type { StatedFact } from './topics.ts';
import { type Family, itemFamily, type PlanReader } from './unit.ts';

/** A pseudowire that begins or ends here. */
export const PSEUDOWIRES: Family = itemFamily(
  { name: 'pseudowire', slice: 'pseudowires', subject: 'host' },
  (_unit, wire, reader) => {
    const back = wire.to.back === undefined ? undefined : { ...wire.to, portId: wire.to.back };
    const row = {
      wire,
      from: placeOf(wire.from, reader),
      to: placeOf(wire.to, reader),
      back: back === undefined ? ('absent' as const) : placeOf(back, reader),
    };
    const ends = [wire.from, wire.to, ...(back === undefined ? [] : [back])];
    const facts = ends
      .filter(({ host }) => host === reader.host)
      .map(({ portId: key }): StatedFact => ({ topic: 'wired', key, member: '', value: null }));
    return { projectId: wire.projectId, facts, pseudowires: [row] };
  },
);

/** A sub-port has no device of its own, so there is nothing that a wire could begin or end at. */
function placeOf({ portId, host }: Pick<PseudowirePort, 'portId' | 'host'>, reader: PlanReader): WirePlace {
  if (host !== reader.host) return 'elsewhere';
  const port = reader.item('host', reader.host, portId);
  if (port === undefined || !port.adminStateUp || port.trunk !== undefined) return 'absent';
  const device = reader.device(vifDeviceName(port));
  return device === undefined ? 'absent' : { name: device.name, ifindex: device.ifindex };
}
