/** General queries for groups of multicast: of IGMPv3 (RFC 3376 §4.1) and MLDv2 (RFC 3810 §5.1). */

/** Between two queries of one guest; what it may take to answer (both RFCs, §8 and §9). */
export const QUERY_SECONDS = 125;
export const RESPONSE_SECONDS = 10;
/** How many may be lost: the robustness variable. */
const ROBUSTNESS = 2;
const IGMP_QUERY = 0x11;
const MLD_QUERY = 130;

/** With its checksum: a raw socket of IGMP makes none. */
export function igmpQuery(responseSeconds: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes[0] = IGMP_QUERY;
  bytes[1] = responseSeconds * 10;
  bytes[8] = ROBUSTNESS;
  bytes[9] = QUERY_SECONDS;
  bytes.writeUInt16BE(checksum(bytes), 2);
  return bytes;
}

/** Without a checksum: the kernel makes that of ICMPv6. */
export function mldQuery(responseSeconds: number): Uint8Array {
  const bytes = Buffer.alloc(28);
  bytes[0] = MLD_QUERY;
  bytes.writeUInt16BE(responseSeconds * 1000, 4);
  bytes[24] = ROBUSTNESS;
  bytes[25] = QUERY_SECONDS;
  return bytes;
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
