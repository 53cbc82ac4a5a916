/** Which authority a server shows, before anything is said to it. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { ExpectedError, explainNoAnswer, TransportError } from '@cable/kit';
import { fingerprintOf } from '@cable/pki';

/** How long a server may take to show its certificates. */
const LIMIT_MS = 10_000;

/** Longest chain that is looked at. */
const MAX_CHAIN = 8;

/**
 * The authority with that fingerprint among those that the server at an https address shows, PEM. Nothing is believed of it but that: who uses it checks the server's certificate by it.
 * Throws `TransportError` when no server answers, `ExpectedError` when it shows others.
 */
export async function findAuthority(server: string, fingerprint: string, signal: AbortSignal): Promise<string> {
  const chain = await readChain(server, signal);
  const found = chain.find((raw) => fingerprintOf(raw) === fingerprint);
  if (found !== undefined) return `${new X509Certificate(found).toString().trimEnd()}\n`;
  const shown = chain.at(-1);
  throw new ExpectedError(
    `${server} shows none of the token’s authority (it shows ${shown === undefined ? 'none' : fingerprintOf(shown)}), so nothing was said to it: somebody else answers there, or the token is of another cloud, or another authority has taken its place: check the address, then make another token with cable join-token create`,
  );
}

/** DER, the server's first. */
function readChain(server: string, signal: AbortSignal): Promise<readonly Uint8Array[]> {
  const url = new URL(server);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host, port: url.port === '' ? 443 : Number(url.port), timeout: LIMIT_MS },
      ...(isIP(host) === 0 ? { servername: host } : {}),
      // Anybody may show anything here: what counts is compared with the token, and used for the next connection.
      rejectUnauthorized: false,
    });
    const abort = (): void => void socket.destroy(new TransportError('aborted', 'joining was broken off'));
    signal.addEventListener('abort', abort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', abort));
    socket.once('timeout', () =>
      socket.destroy(new TransportError('timeout', `${server} did not answer within ${LIMIT_MS} ms`)),
    );
    socket.once('error', (err) => reject(err instanceof TransportError ? err : explainNoAnswer(server, err)));
    socket.once('secureConnect', () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      resolve(chain);
    });
    if (signal.aborted) abort();
  });
}

function chainOf(leaf: DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let one: DetailedPeerCertificate | undefined = leaf;
  while (one?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(one.raw);
    // One that is signed by itself leads to itself.
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate;
  }
  return chain;
}
