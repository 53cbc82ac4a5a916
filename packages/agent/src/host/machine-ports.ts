import type { GuestRecord } from '../desired.ts';
import type { MachinePort } from '../guest/metadata-network.ts';
import { guestPort } from '../plan/guests.ts';
import { portSubnets } from '../plan/port-subnets.ts';
import type { SliceReader } from '../stream/slice-reader.ts';
import type { PortsByDevice } from './ports-by-device.ts';

/** More than any machine has, and few enough to be told at each request. */
const MAX_PORTS = 128;

/**
 * All ports on this host of the machine that a guest is, sorted by id: those with the same `device_id` and the same project, since anybody may write any
 * `device_id` to a port; at most 128. A guest without a `device_id` is a machine of its own.
 */
export function machinePorts(
  guest: GuestRecord,
  ports: Pick<PortsByDevice, 'get'>,
  slices: Pick<SliceReader, 'header'>,
): readonly MachinePort[] {
  const others = guest.deviceId === '' ? [] : ports.get(guest.deviceId);
  const found: MachinePort[] = [guest];
  for (const port of others) {
    if (found.length === MAX_PORTS) break;
    const network = slices.header(`network:${port.networkId}`);
    if (port.id === guest.portId || port.projectId !== guest.projectId || network === undefined) continue;
    found.push(guestPort(port, network, portSubnets(port, network)));
  }
  return found.sort((a, b) => (a.portId < b.portId ? -1 : 1));
}
