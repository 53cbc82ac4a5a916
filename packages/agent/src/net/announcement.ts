/** What a machine sends to all when an address is at its MAC address now. */
const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const REQUEST = 1;

const ALL_NODES = Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
const ICMPV6 = 58;
const ADVERTISEMENT = 136;
const TARGET_MAC = 2;
const ROUTER = 0x80;
const OVERRIDE = 0x20;
/** A router further away could not have sent it. */
const HOP_LIMIT = 255;

/** An ARP announcement (RFC 5227, section 3) as an Ethernet frame. Who has an entry for the address replaces its MAC; nobody makes a new one. */
export function arpAnnouncement(mac: Uint8Array, ipv4: Uint8Array): Uint8Array {
  const ethernet = [...BROADCAST, ...mac, 0x08, 0x06];
  const kinds = [0, 1, 0x08, 0, 6, 4, 0, REQUEST];
  return Uint8Array.of(...ethernet, ...kinds, ...mac, ...ipv4, 0, 0, 0, 0, 0, 0, ...ipv4);
}

/** The same for IPv6: an unsolicited neighbour advertisement (RFC 4861, section 7.2.6). `isRouter`: of one who is taken for a default router. */
export function neighborAnnouncement(mac: Uint8Array, ipv6: Uint8Array, isRouter: boolean): Uint8Array {
  const flags = OVERRIDE | (isRouter ? ROUTER : 0);
  const body = Uint8Array.of(flags, 0, 0, 0, ...ipv6, TARGET_MAC, 1, ...mac);
  const length = 4 + body.length;
  const pseudo = Uint8Array.of(...ipv6, ...ALL_NODES, 0, 0, 0, length, 0, 0, 0, ICMPV6);
  const sum = checksum(Uint8Array.of(...pseudo, ADVERTISEMENT, 0, 0, 0, ...body));
  const message = [ADVERTISEMENT, 0, sum >> 8, sum & 0xff, ...body];
  const header = [0x60, 0, 0, 0, 0, length, ICMPV6, HOP_LIMIT, ...ipv6, ...ALL_NODES];
  return Uint8Array.of(...ALL_NODES_MAC, ...mac, 0x86, 0xdd, ...header, ...message);
}

/** The frame with a VLAN tag (IEEE 802.1Q). */
export function tagged(frame: Uint8Array, vlan: number): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), 0x81, 0x00, vlan >> 8, vlan & 0xff, ...frame.subarray(12));
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
