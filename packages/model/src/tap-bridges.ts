/**
 * How devices of VMs are made where libvirt is to make them: Nova's libvirt driver knows that as `vif_type` `bridge`. Each port has a bridge of its own, so that
 * two guests never meet in one, whoever made it, and whether an agent runs or not.
 */

/** What an agent says among its features whose hypervisor plugs so (`--vif-type bridge`). */
export const TAP_BRIDGES = 'bridges';

/** With which their names begin. */
export const TAP_BRIDGE_PREFIX = 'cbr';
/** As in the device's own name: Nova cuts names after 14 characters. */
const ID_LENGTH = 11;

/** Name of the bridge that the port's device is put in: `cbr`, then the first 11 characters of the port's id. */
export function tapBridgeName(portId: string): string {
  return `${TAP_BRIDGE_PREFIX}${portId.slice(0, ID_LENGTH)}`;
}
