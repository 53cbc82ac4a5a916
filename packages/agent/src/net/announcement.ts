/** What a machine sends to all when an address is at its MAC address now, and how it asks where another's is. */
const BROADCAST = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const REQUEST = 1;

const ALL_NODES = Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOURCE_MAC = 1;
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
  const packet = neighborMessage(ADVERTISEMENT, { from: ipv6, to: ALL_NODES, body });
  return Uint8Array.of(...ALL_NODES_MAC, ...mac, 0x86, 0xdd, ...packet);
}

/** Whoever asks: an address of his, and his MAC. An IPv4 address of zero: nobody is to learn where it is (RFC 5227, section 2.1.1). */
export type Asker = { readonly own: Uint8Array; readonly mac: Uint8Array };

/** An ARP request for the address, to all or to that MAC alone. */
export function arpQuestion({ own, mac }: Asker, ipv4: Uint8Array, to: Uint8Array = BROADCAST): Uint8Array {
  const kinds = [0, 1, 0x08, 0, 6, 4, 0, REQUEST];
  return Uint8Array.of(...to, ...mac, 0x08, 0x06, ...kinds, ...mac, ...own, 0, 0, 0, 0, 0, 0, ...ipv4);
}

/** The same for IPv6: a neighbour solicitation to the solicited-node group of the address (RFC 4291, section 2.7.1). */
export function neighborQuestion({ own, mac }: Asker, ipv6: Uint8Array): Uint8Array {
  const last = ipv6.subarray(13);
  const to = Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...last);
  const body = Uint8Array.of(0, 0, 0, 0, ...ipv6, SOURCE_MAC, 1, ...mac);
  const packet = neighborMessage(SOLICITATION, { from: own, to, body });
  return Uint8Array.of(0x33, 0x33, 0xff, ...last, ...mac, 0x86, 0xdd, ...packet);
}

type Message = { readonly from: Uint8Array; readonly to: Uint8Array; readonly body: Uint8Array };

/** IPv6 header and ICMPv6 message. */
function neighborMessage(type: number, { from, to, body }: Message): readonly number[] {
  const length = 4 + body.length;
  const pseudo = Uint8Array.of(...from, ...to, 0, 0, 0, length, 0, 0, 0, ICMPV6);
  const sum = checksum(Uint8Array.of(...pseudo, type, 0, 0, 0, ...body));
  const header = [0x60, 0, 0, 0, 0, length, ICMPV6, HOP_LIMIT, ...from, ...to];
  return [...header, type, 0, sum >> 8, sum & 0xff, ...body];
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
