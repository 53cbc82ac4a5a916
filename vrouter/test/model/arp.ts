/** Who may say what by ARP (RFC 826, RFC 5227). */
import type { Port } from './cloud.ts';
import type { ArpHeaders, EthernetHeaders } from './headers.ts';
import { maySend } from './services.ts';

export const ARP_REQUEST = 1;
const NOBODY = '0.0.0.0';

/** Both addresses of the sender, or, of a probe (RFC 5227: no address yet), the MAC alone. */
export function spoofsArp(port: Port, { src }: EthernetHeaders, { sha, spa }: ArpHeaders): string | undefined {
  if (!port.portSecurity) return undefined;
  if (sha !== src) return 'spoofed_arp';
  if (spa === NOBODY) return src === port.mac ? undefined : 'spoofed_mac';
  return maySend(port, src, spa) ? undefined : 'spoofed_arp';
}

/** A probe (RFC 5227) for an address that it may not have: who is about to have it takes that for a claim. */
export function probesForAnother(port: Port, { src }: EthernetHeaders, { op, spa, tpa }: ArpHeaders): boolean {
  return port.portSecurity && op === ARP_REQUEST && spa === NOBODY && !maySend(port, src, tpa);
}
