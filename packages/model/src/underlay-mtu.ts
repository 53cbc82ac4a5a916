/** Bounds of the largest packet that the hosts' network carries, the same for server and agents. 1280 is what IPv6 needs (RFC 8200 §5). */
export const UNDERLAY_MTU_BYTES = { least: 1280, most: 65_535 } as const;

/** Bytes that the outer Ethernet, IPv4, UDP and VXLAN headers take of the underlay's packet (RFC 7348). */
export const TUNNEL_HEADER_BYTES = 50;

/** A whole number of bytes within the bounds; undefined for any other text. */
export function parseUnderlayMtu(text: string): number | undefined {
  const bytes = Number(text);
  const { least, most } = UNDERLAY_MTU_BYTES;
  return Number.isInteger(bytes) && bytes >= least && bytes <= most ? bytes : undefined;
}
