/** What a machine sends to all when an address is at its MAC address now: an ARP announcement (RFC 5227, section 3). */
const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const REQUEST = 1;

/** The Ethernet frame. Who has an ARP entry for the address replaces its MAC; nobody makes a new one. */
export function arpAnnouncement(mac: Uint8Array, ipv4: Uint8Array): Uint8Array {
  const ethernet = [...BROADCAST, ...mac, 0x08, 0x06];
  const kinds = [0, 1, 0x08, 0, 6, 4, 0, REQUEST];
  return Uint8Array.of(...ethernet, ...kinds, ...mac, ...ipv4, 0, 0, 0, 0, 0, 0, ...ipv4);
}

/** The frame with a VLAN tag (IEEE 802.1Q). */
export function tagged(frame: Uint8Array, vlan: number): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), 0x81, 0x00, vlan >> 8, vlan & 0xff, ...frame.subarray(12));
}
