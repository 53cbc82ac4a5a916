/** Requests for certificates of a host: the first by a token, each further one by the one before. */
import { X509Certificate } from 'node:crypto';
import { createClient } from '@cable/api';
import { ExpectedError, type HttpTransport, httpTransport } from '@cable/kit';
import { certificatesIn, createRequest, identityOf, isKeyOf, type JoinTokenText } from '@cable/pki';
import { isRecord } from '../json.ts';
import { hostPath } from '../stream/connection.ts';
import { findAuthority } from './find-authority.ts';

/** What a host gets, PEM. `authorities`: of servers. */
export type Given = { readonly certificate: string; readonly authorities: readonly string[] };

/** Who asks, and with which key. */
export type Asker = { readonly host: string; readonly key: string; readonly now: () => Date };

/**
 * Joins by a token: a server is asked whose certificate is of the token's authority, and no other. May be repeated with the same key. Throws `ApiError`, `TransportError` and
 * `ExpectedError`.
 */
export async function askToJoin(
  server: string,
  token: JoinTokenText,
  asker: Asker,
  signal: AbortSignal,
): Promise<Given> {
  const ca = [await findAuthority(server, token.authority, signal)];
  const tls = { ca };
  const transport = httpTransport(server, { timeoutMs: 30_000, tls: () => tls });
  try {
    const request = await createRequest(asker.key, { kind: 'host', name: asker.host });
    const body = { host: asker.host, token: token.id, secret: token.secret, request };
    const answer = await createClient({ transport }).request('POST', '/cable/v1/join', body);
    return readGiven(answer, asker);
  } finally {
    transport.close();
  }
}

/** By the certificate that the transport shows. Throws `ApiError`, `TransportError` and `ExpectedError`. */
export async function askToRenew(transport: HttpTransport, asker: Asker): Promise<Given> {
  const request = await createRequest(asker.key, { kind: 'host', name: asker.host });
  const answer = await createClient({ transport }).request('POST', `${hostPath(asker.host)}/certificate`, { request });
  return readGiven(answer, asker);
}

function readGiven(answer: unknown, { host, key, now }: Asker): Given {
  const fields = isRecord(answer) ? answer : {};
  const [certificate] = certificatesIn(String(fields['certificate'] ?? ''));
  const listed = fields['authorities'];
  const authorities = Array.isArray(listed) ? listed.flatMap((one) => certificatesIn(String(one))) : [];
  if (certificate === undefined || authorities.length === 0 || !isKeyOf(key, certificate))
    throw new ExpectedError('the server gave no certificate for the key of this host: update the older of the two');
  const { validFrom, validTo, subjectAltName } = new X509Certificate(certificate);
  const identity = identityOf(subjectAltName);
  if (identity?.kind !== 'host' || identity.name !== host)
    throw new ExpectedError(`the server gave a certificate that is none of host ${host}: see its log`);
  const time = now().getTime();
  if (time < Date.parse(validFrom) || time >= Date.parse(validTo)) {
    throw new ExpectedError(
      `the certificate is good from ${validFrom} to ${validTo}, and here it is ${now().toUTCString()}: set the clocks of this machine and of the server (NTP), then start the agent again with the same token`,
    );
  }
  return { certificate, authorities };
}
