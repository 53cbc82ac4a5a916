/** Requests for certificates (PKCS #10). */
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import { formatIdentity, type Identity } from './identity.ts';
import type { x509 as Library } from './library.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Longest request in PEM: one for a P-256 key has some 500 characters. */
export const MAX_REQUEST_CHARS = 4096;

/** A request for a certificate of that identity, signed with the key it is for; PEM. */
export async function createRequest(key: string, identity: Identity): Promise<string> {
  const x509 = await load();
  const own = createPrivateKey(key);
  const pkcs8 = own.export({ type: 'pkcs8', format: 'der' });
  const spki = createPublicKey(own).export({ type: 'spki', format: 'der' });
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [identity.name.slice(0, 64)] }],
    keys: {
      privateKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']),
      publicKey: await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
    } as never,
    signingAlgorithm: SIGNING,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: formatIdentity(identity) }])],
  });
  return `${made.toString('pem')}\n`;
}

/** The key of a request, or why there is none. */
export type ReadRequest =
  | { readonly ok: true; readonly publicKey: Uint8Array }
  | { readonly ok: false; readonly reason: string };

/**
 * The public key (SubjectPublicKeyInfo, DER) that a request is for, whose owner has signed it. It must ask for that identity, or for no name at all: of a request nothing but the key
 * goes into a certificate.
 */
export async function readRequest(pem: string, identity: Identity): Promise<ReadRequest> {
  if (pem.length > MAX_REQUEST_CHARS) return no(`it has more than ${MAX_REQUEST_CHARS} characters`);
  const x509 = await load();
  const { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } = x509;
  try {
    const request = new Pkcs10CertificateRequest(pem);
    const publicKey = new Uint8Array(request.publicKey.rawData);
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({
      key: Buffer.from(publicKey),
      format: 'der',
      type: 'spki',
    });
    if (asymmetricKeyType !== 'ec' || asymmetricKeyDetails?.namedCurve !== 'prime256v1')
      return no('its key is none of P-256');
    if (!(await request.verify())) return no('it is not signed with the key that it is for');
    const asked = request.extensions.find((one) => one instanceof SubjectAlternativeNameExtension);
    const names = asked?.names.toJSON() ?? [];
    const wanted = formatIdentity(identity);
    if (!names.every(({ type, value }) => type === 'url' && value === wanted)) {
      return no(`it asks for other names than ${wanted}`);
    }
    return { ok: true, publicKey };
  } catch {
    return no('it is no PKCS #10 request in PEM');
  }
}

function no(reason: string): ReadRequest {
  return { ok: false, reason };
}

async function load(): Promise<typeof Library> {
  return (await import('./library.ts')).x509;
}
