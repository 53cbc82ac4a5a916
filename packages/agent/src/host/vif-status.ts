import type { LocalPort, VifStatus } from '@cable/model';
import type { DesiredState } from '../desired.ts';
import { vifDeviceName } from '../plan/host-links.ts';

/** Each local port as it is now, in id order: `up` only if its device has the program and its entries are in the kernel. */
export function vifStatuses(
  ports: readonly LocalPort[],
  desired: Pick<DesiredState, 'vifs' | 'errors'>,
  failures: ReadonlyMap<string, string>,
): readonly VifStatus[] {
  const sorted = [...ports].sort((a, b) => (a.id < b.id ? -1 : 1));
  return sorted.map((port) => {
    const reason = desired.errors.get(port.id) ?? failures.get(port.id);
    if (reason !== undefined) return { portId: port.id, state: 'error', reason };
    if (desired.vifs.has(port.id)) return { portId: port.id, state: 'up', reason: null };
    return { portId: port.id, state: 'down', reason: `there is no device ${vifDeviceName(port)}` };
  });
}
