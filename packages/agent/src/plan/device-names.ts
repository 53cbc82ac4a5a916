import type { LocalPort } from '@cable/model';

/** Characters of the port id in a device's name (Nova's convention: IFNAMSIZ leaves 15). */
const NAME_ID_LENGTH = 11;

/** The name of a port's device: `tap`, `cv` or `cb`, then the first 11 characters of the port id. */
export function deviceName(prefix: 'tap' | 'cv' | 'cb', portId: string): string {
  return `${prefix}${portId.slice(0, NAME_ID_LENGTH)}`;
}

/** The name of the device that the vrouter's programs are attached to: of a sub-port, its parent's. */
export function vifDeviceName(port: Pick<LocalPort, 'id' | 'vifKind' | 'trunk'>): string {
  return deviceName(port.vifKind === 'tap' ? 'tap' : 'cv', port.trunk?.parentPortId ?? port.id);
}

/** VLAN tag of the port's frames on its device; 0: none. */
export function vifVlan({ trunk }: Pick<LocalPort, 'trunk'>): number {
  return trunk?.vlan ?? 0;
}

/** What one port alone may have: a device, and a tag on it. */
export function devicePlace(ifindex: number, vlan: number): string {
  return vlan === 0 ? String(ifindex) : `${ifindex}.${vlan}`;
}
