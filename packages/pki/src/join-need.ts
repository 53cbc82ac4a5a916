/** Whether a host has to join. */
import { X509Certificate } from 'node:crypto';
import { certificatesIn, fingerprintOf } from './keys.ts';

/** What a host has got by joining, PEM. `authorities`: of servers. */
export type JoinedMaterial = { readonly certificate: string; readonly authorities: readonly string[] };

/** Why a host has to join, with what it has; undefined: its certificate is good as far as can be seen on the host. `ca`: authorities of the servers that are, PEM. */
export function joinNeedOf(kept: JoinedMaterial | undefined, ca: string, now: Date): string | undefined {
  if (kept === undefined) return 'the host has no certificate';
  const { validTo } = new X509Certificate(kept.certificate);
  if (Date.parse(validTo) <= now.getTime()) return `the host’s certificate has expired at ${validTo}`;
  const known = new Set(kept.authorities.map((one) => fingerprintOf(one)));
  const listed = certificatesIn(ca);
  if (listed.length === 0 || listed.some((one) => known.has(fingerprintOf(one)))) return undefined;
  return 'the servers have other authorities than those that the host trusts';
}
