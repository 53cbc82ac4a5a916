/** Which server a command line is for, and who asks it: as whom Keystone knows him, when the environment or a cloud says how to log in. */

import { type Access, AccessError, accessFromEnvironment, KeystoneSession } from '@cable/keystone';
import type { HttpRequest, HttpTransport, HttpTransportOptions } from '@cable/kit';
import { CliError } from './errors.ts';

export const DEFAULT_SERVER = 'http://127.0.0.1:9696';

/** Connects to `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. */
export type Connect = (server: string, options?: HttpTransportOptions) => HttpTransport;

export type SiteDeps = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly connect: Connect;
};

export type Site = {
  readonly server: string;
  /** True: who asks is said by a token. */
  readonly isLoggedIn: boolean;
  /** Connects to any address; to the server with a token, if there is one. */
  readonly connect: Connect;
  /** Why nobody can be asked; undefined: all is well. What needs no server goes on. */
  readonly failure?: unknown;
  close(): void;
};

/** Without Keystone. */
export function plainSite({ env, connect }: SiteDeps, argv: readonly string[]): Site {
  const server = optionOf(argv, '--server') ?? env['CABLE_SERVER'] ?? DEFAULT_SERVER;
  return { server, isLoggedIn: false, connect, close: () => {} };
}

/**
 * Found before the command line can be understood: what can be said depends on the server. Logs in when there is something to log in with, and the server is not a Unix
 * socket, where nobody is asked for a token. Never throws.
 */
export async function findSite(deps: SiteDeps, argv: readonly string[]): Promise<Site> {
  const plain = plainSite(deps, argv);
  const given = optionOf(argv, '--server') ?? deps.env['CABLE_SERVER'];
  if (given?.startsWith('unix:') === true) return plain;
  let session: KeystoneSession | undefined;
  try {
    const access = accessFromEnvironment(deps.env, optionOf(argv, '--os-cloud'));
    if (access === null) return plain;
    refuseOthers(deps, argv);
    const opened = new KeystoneSession({ access, monotonicMs: () => performance.now() });
    session = opened;
    const server = given ?? (await opened.endpoint('network')).replace(/\/v2\.0$/, '');
    await opened.token();
    const tls = tlsOf(access, server);
    return {
      server,
      isLoggedIn: true,
      connect: (address, options) =>
        address === server
          ? withToken(deps.connect(address, { ...tls, ...options }), () => opened.token())
          : deps.connect(address, options),
      close: () => opened.close(),
    };
  } catch (failure) {
    session?.close();
    return { ...plain, failure };
  }
}

/** What is chosen otherwise where nobody logs in. */
function refuseOthers({ env }: SiteDeps, argv: readonly string[]): void {
  for (const [option, variable] of [
    ['--project', 'CABLE_PROJECT'],
    ['--role', 'CABLE_ROLE'],
  ] as const) {
    const isOption = optionOf(argv, option) !== undefined;
    if (!isOption && env[variable] === undefined) continue;
    throw new CliError(
      2,
      `${isOption ? option : variable} has no effect when Keystone says who asks`,
      'Choose the project with OS_PROJECT_NAME or OS_PROJECT_ID, or another cloud with --os-cloud.',
    );
  }
}

function tlsOf({ ca, verify }: Access, server: string): HttpTransportOptions {
  if (!server.startsWith('https:')) return {};
  if (!verify)
    throw new AccessError('a server whose certificate is not looked at gets no token: name its authority as cacert');
  const trusted = ca === null ? undefined : { ca: [ca] };
  return trusted === undefined ? {} : { tls: () => trusted };
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

/** `--name VALUE` or `--name=VALUE`, the last of them. */
function optionOf(argv: readonly string[], name: string): string | undefined {
  const at = argv.lastIndexOf(name);
  const joined = argv.findLast((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  return joined ?? (at < 0 ? undefined : argv[at + 1]);
}
