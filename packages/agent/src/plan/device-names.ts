import type { LocalPort } from '@cable/model';

/** Characters of the port id in a device's name (Nova's convention: IFNAMSIZ leaves 15). */
const NAME_ID_LENGTH = 11;

/** The name of a port's device: `tap`, `cv` or `cb`, then the first 11 characters of the port id. */
export function deviceName(prefix: 'tap' | 'cv' | 'cb', portId: string): string {
  return `${prefix}${portId.slice(0, NAME_ID_LENGTH)}`;
}

/** The name of the device that the vrouter's programs are attached to. */
export function vifDeviceName(port: Pick<LocalPort, 'id' | 'vifKind'>): string {
  return deviceName(port.vifKind === 'tap' ? 'tap' : 'cv', port.id);
}
