/** Makes authorities, and certificates of them. */
import { createPrivateKey, createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { formatIdentity, type Identity } from './identity.ts';
import type { x509 as Library } from './library.ts';

/** An authority that can sign: PEM. */
export type Authority = { readonly certificate: string; readonly key: string };

/** From when to when a certificate is valid. */
export type Validity = { readonly notBefore: Date; readonly notAfter: Date };

/** What a certificate is to say. */
export type CertificateRequest = Validity & {
  readonly identity: Identity;
  /** Public key (SubjectPublicKeyInfo, DER). */
  readonly publicKey: Uint8Array;
  /** DNS names and addresses under which it is reached; a server's. */
  readonly places?: readonly string[];
};

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Clocks of two machines may differ so much: a certificate is valid that long before it is made. */
export const CLOCK_SKEW_MS: number = 5 * 60_000;

const DNS_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/** True of a DNS name or an address. */
export function isPlace(text: string): boolean {
  return isIP(text) !== 0 || DNS_NAME.test(text);
}

/** A new authority with that key: it signs certificates of others, and no authority below it. */
export async function createAuthority(key: string, { notBefore, notAfter }: Validity): Promise<Authority> {
  const x509 = await load();
  const keys = await importPair(key);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    // Two that are trusted at a time have different names: chains are looked for by them.
    name: `CN=Cable authority ${randomBytes(4).toString('hex')}`,
    notBefore,
    notAfter,
    keys: keys as never,
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey as never),
    ],
  });
  return { certificate: `${made.toString('pem')}\n`, key };
}

/**
 * A certificate, PEM. A server's is good for being a server and nothing else, all others for being a client and nothing else. Throws `RangeError` for a name that cannot be,
 * and for an end that is later than the authority's.
 */
export async function issueCertificate(authority: Authority, request: CertificateRequest): Promise<string> {
  const x509 = await load();
  const { identity, publicKey, places = [], notBefore, notAfter } = request;
  const uri = formatIdentity(identity);
  const odd = places.find((place) => !isPlace(place));
  if (odd !== undefined) throw new RangeError(`"${odd}" is neither a DNS name nor an address`);
  const issuer = new x509.X509Certificate(authority.certificate);
  if (notAfter > issuer.notAfter) throw new RangeError('a certificate cannot end after its authority does');
  const subjectKey = await webcrypto.subtle.importKey('spki', publicKey, ALGORITHM, true, ['verify']);
  const usage = identity.kind === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    // A common name has at most 64 characters; nobody reads it but people.
    subject: [{ CN: [identity.name.slice(0, 64)] }],
    issuer: issuer.subject,
    notBefore,
    notAfter,
    publicKey: subjectKey as never,
    signingKey: (await importPair(authority.key)).privateKey as never,
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage], true),
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: uri },
        ...places.map((place) => ({ type: isIP(place) === 0 ? ('dns' as const) : ('ip' as const), value: place })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(subjectKey as never),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey as never),
    ],
  });
  return `${made.toString('pem')}\n`;
}

/** Whether the authority has signed the certificate. */
export function isSignedBy(certificate: string, authority: string): boolean {
  const issuer = new X509Certificate(authority);
  const subject = new X509Certificate(certificate);
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

/** Whether the first certificate of a chain is of one of the authorities, by others of the chain or without. Dates are not looked at. */
export function isOfAuthorities(chain: readonly string[], authorities: readonly string[]): boolean {
  const [first, ...others] = chain;
  if (first === undefined) return false;
  if (authorities.some((one) => isSignedBy(first, one))) return true;
  return others.some(
    (one) => isSignedBy(first, one) && isOfAuthorities([one, ...others.filter((other) => other !== one)], authorities),
  );
}

/** DNS names and addresses of a certificate, in canonical form (of IPv6: RFC 5952). */
export function placesOf(certificate: string): readonly string[] {
  const entries = (new X509Certificate(certificate).subjectAltName ?? '').split(', ');
  return entries.flatMap((entry) => {
    const [, place] = /^(?:DNS|IP Address):(.+)$/.exec(entry) ?? [];
    if (place === undefined) return [];
    return [isIP(place) === 6 ? new URL(`http://[${place}]`).hostname.slice(1, -1) : place];
  });
}

async function load(): Promise<typeof Library> {
  return (await import('./library.ts')).x509;
}

async function importPair(key: string): Promise<webcrypto.CryptoKeyPair> {
  const own = createPrivateKey(key);
  const privateKey = await webcrypto.subtle.importKey(
    'pkcs8',
    own.export({ type: 'pkcs8', format: 'der' }),
    ALGORITHM,
    true,
    ['sign'],
  );
  const spki = createPublicKey(own).export({ type: 'spki', format: 'der' });
  return { privateKey, publicKey: await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']) };
}

/** 127 random bits, never zero and never negative (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}
