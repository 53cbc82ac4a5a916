/** What a machine sends to all when an address is at its MAC address now: an ARP announcement (RFC 5227, section 3). */
const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const REQUEST = 1;

/** The Ethernet frame; `vlan` 0: without a tag. Who has an ARP entry for the address replaces its MAC; nobody makes a new one. */
export function arpAnnouncement(mac: Uint8Array, ipv4: Uint8Array, vlan = 0): Uint8Array {
  const tag = vlan === 0 ? [] : [0x81, 0, vlan >> 8, vlan & 255];
  const ethernet = [...BROADCAST, ...mac, ...tag, 0x08, 0x06];
  const kinds = [0, 1, 0x08, 0, 6, 4, 0, REQUEST];
  return Uint8Array.of(...ethernet, ...kinds, ...mac, ...ipv4, 0, 0, 0, 0, 0, 0, ...ipv4);
}
