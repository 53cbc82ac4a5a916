/** The physical network of the networks of L3VPNs, which every host is on. No operator's can have the name: it has a colon. */
export const VPN_WIRE = 'cable:vpn';

/** Labels below it mean something of themselves (RFC 3032, 2.1). */
export const VPN_FIRST_LABEL = 16;

/** The greatest that there is. */
export const VPN_LAST_LABEL = 0xfffff;

/** Bytes that a packet of a VPN grows by between hosts: IP, UDP and one label (RFC 7510), by the version of IP that hosts have in the underlay. */
export function vpnOverheadBytes(underlay: 4 | 6): number {
  return underlay === 6 ? 52 : 32;
}

/**
 * Route distinguisher or route target as `<AS>:<number>` or `<IPv4 address>:<number>`: the first has two bytes and the second four, or the other way round (RFC 4364, 4.2; RFC 4360, 4; RFC 5668).
 */
export function isRouteTarget(text: string): boolean {
  const [, head = '', tail = ''] = /^([0-9.]{1,15}):(0|[1-9][0-9]{0,9})$/.exec(text) ?? [];
  const number = Number(tail);
  if (head.includes('.')) {
    const octets = head.split('.');
    return octets.length === 4 && octets.every((one) => isNumber(one, 255)) && tail !== '' && number <= 0xffff;
  }
  if (!isNumber(head, 0xffff_ffff) || tail === '') return false;
  return Number(head) <= 0xffff ? number <= 0xffff_ffff : number <= 0xffff;
}

function isNumber(text: string, greatest: number): boolean {
  return /^(0|[1-9][0-9]{0,9})$/.test(text) && Number(text) <= greatest;
}
