/** Bounds of the largest packet that the hosts' network carries, the same for server and agents. 1280 is what IPv6 needs (RFC 8200 §5). */
export const UNDERLAY_MTU_BYTES = { least: 1280, most: 65_535 } as const;

/** IP version of the addresses that hosts tunnel to; one for the whole cloud. */
export type OverlayIpVersion = 4 | 6;

/** Bytes that the inner Ethernet, VXLAN, UDP and outer IP headers take of the underlay's packet (RFC 7348). */
export const TUNNEL_HEADER_BYTES: { readonly [version in OverlayIpVersion]: number } = { 4: 50, 6: 70 };

/** The IP version of a host's underlay address, which is canonical. */
export function overlayIpVersion(underlay: string): OverlayIpVersion {
  return underlay.includes(':') ? 6 : 4;
}

/** A whole number of bytes within the bounds; undefined for any other text. */
export function parseUnderlayMtu(text: string): number | undefined {
  const bytes = Number(text);
  const { least, most } = UNDERLAY_MTU_BYTES;
  return Number.isInteger(bytes) && bytes >= least && bytes <= most ? bytes : undefined;
}
