/** Which server a command line is for, and who asks it: whom a certificate names, or as whom Keystone knows him, when the environment or a cloud says how to log in. */

import { type Access, AccessError, accessFromEnvironment, KeystoneSession } from '@cable/keystone';
import type { ClientTls, HttpRequest, HttpTransport, HttpTransportOptions } from '@cable/kit';
import { OWN_FILES, readCertificates } from './certificates.ts';
import { CliError } from './errors.ts';
import { DEFAULT_SERVER, optionOf } from './global-options.ts';

/** Connects to `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. */
export type Connect = (server: string, options?: HttpTransportOptions) => HttpTransport;

export type SiteDeps = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly connect: Connect;
};

export type Site = {
  readonly server: string;
  /** True: who asks is said by a token, or by a certificate. */
  readonly isKnown: boolean;
  /** Connects to any address; to the server with a token and a certificate, if there is one. */
  readonly connect: Connect;
  /** Why nobody can be asked; undefined: all is well. What needs no server goes on. */
  readonly failure?: unknown;
  close(): void;
};

/** Nobody is asked anything, or whoever is here. */
export function plainSite({ env, connect }: SiteDeps, argv: readonly string[]): Site {
  const server = serverGiven({ env }, argv) ?? DEFAULT_SERVER;
  return { server, isKnown: false, connect, close: () => {} };
}

/** Without Keystone. Never throws. */
export async function certifiedSite(deps: SiteDeps, argv: readonly string[]): Promise<Site> {
  const plain = plainSite(deps, argv);
  try {
    const certificates = await readCertificates(deps.env, argv, plain.server);
    if (certificates.own !== undefined) refuseOthers(deps, argv, 'a certificate');
    const connect = withCertificates(deps.connect, plain.server, certificates);
    return { ...plain, isKnown: certificates.own !== undefined, connect };
  } catch (failure) {
    return { ...plain, failure };
  }
}

/**
 * Found before the command line can be understood: what can be said depends on the server. Logs in when there is something to log in with, and the server is not a Unix
 * socket, where nobody is asked for a token. Never throws.
 */
export async function findSite(deps: SiteDeps, argv: readonly string[]): Promise<Site> {
  const given = serverGiven(deps, argv);
  const alone = await certifiedSite(deps, argv);
  if (given?.startsWith('unix:') === true) return alone;
  let session: KeystoneSession | undefined;
  try {
    const access = accessFromEnvironment(deps.env, optionOf(argv, '--os-cloud'));
    if (access === null) return alone;
    refuseOthers(deps, argv, 'Keystone');
    const opened = new KeystoneSession({ access, monotonicMs: () => performance.now() });
    session = opened;
    const server = given ?? (await opened.endpoint('network')).replace(/\/v2\.0$/, '');
    await opened.token();
    const { ca = caOf(access, server) } = await readCertificates(deps.env, argv, server);
    const connect = withCertificates(deps.connect, server, ca === undefined ? {} : { ca });
    return {
      server,
      isKnown: true,
      connect: (address, options) =>
        address === server ? withToken(connect(address, options), () => opened.token()) : connect(address, options),
      close: () => opened.close(),
    };
  } catch (failure) {
    session?.close();
    return { ...alone, failure };
  }
}

function serverGiven({ env }: Pick<SiteDeps, 'env'>, argv: readonly string[]): string | undefined {
  return optionOf(argv, '--server') ?? env['CABLE_SERVER'];
}

function withCertificates(connect: Connect, server: string, tls: ClientTls): Connect {
  if (tls.ca === undefined && tls.own === undefined) return connect;
  return (address, options) => connect(address, address === server ? { tls: () => tls, ...options } : options);
}

const CHOSEN = [
  ['--project', 'CABLE_PROJECT'],
  ['--role', 'CABLE_ROLE'],
] as const;

const OTHERWISE = {
  Keystone: 'Choose the project with OS_PROJECT_NAME or OS_PROJECT_ID, or another cloud with --os-cloud.',
  'a certificate': 'Show another certificate: cable pki issue user NAME --in-project ID --with-role ROLE makes one.',
} as const;

/** What is chosen otherwise where nobody logs in. */
function refuseOthers({ env }: SiteDeps, argv: readonly string[], who: keyof typeof OTHERWISE): void {
  for (const [option, variable] of who === 'Keystone' ? [...CHOSEN, ...OWN_FILES] : CHOSEN) {
    const isOption = optionOf(argv, option) !== undefined;
    if (!isOption && env[variable] === undefined) continue;
    throw new CliError(2, `${isOption ? option : variable} has no effect when ${who} says who asks`, OTHERWISE[who]);
  }
}

function caOf({ ca, verify }: Access, server: string): readonly string[] | undefined {
  if (!server.startsWith('https:')) return undefined;
  if (!verify)
    throw new AccessError('a server whose certificate is not looked at gets no token: name its authority as cacert');
  return ca === null ? undefined : [ca];
}

/** The same, each request with a token that is good. */
function withToken(transport: HttpTransport, token: () => Promise<string>): HttpTransport {
  const signed = async (request: HttpRequest): Promise<HttpRequest> => ({
    ...request,
    headers: { ...request.headers, 'x-auth-token': await token() },
  });
  return {
    request: async (request) => await transport.request(await signed(request)),
    stream: async (request) => await transport.stream(await signed(request)),
    upgrade: async (request) => await transport.upgrade(await signed(request)),
    close: () => transport.close(),
  };
}
