/** A server process that speaks HTTPS to hosts, and an administrator beside it, in a directory of their own. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { type Authority, initAuthorities, issueWithKey, validityFrom, writeServer } from '@cable/pki';

/** What is to be done when the tests end, the last first. */
export type Cleanup = { after(undo: () => unknown): void };

const MAIN = fileURLToPath(new URL('../../packages/server/src/main.ts', import.meta.url));

export type SecureServer = {
  readonly directory: string;
  /** https, at the address that its certificate names. */
  readonly url: string;
  /** All that it listens on. */
  readonly urls: readonly string[];
  readonly authority: Authority;
  /** Tells it to read and open its files anew. */
  reload(): void;
  /** A join token, made by an administrator over a Unix socket. */
  token(body?: object): Promise<string>;
  /** Ends the trust in a host, as an administrator. */
  revoke(host: string): Promise<void>;
};

/** Gone when the test ends. */
export async function startSecureServer(
  t: Cleanup,
  given: readonly string[] | ((directory: string) => readonly string[]) = [],
): Promise<SecureServer> {
  const directory = await mkdtemp(join(tmpdir(), `cable-joining-${process.pid}-`));
  const args = typeof given === 'function' ? given(directory) : given;
  t.after(() => rm(directory, { recursive: true, force: true }));
  const pki = join(directory, 'pki');
  const { authority } = await initAuthorities(pki, new Date());
  const identity = { kind: 'server', name: 's1' } as const;
  const own = { identity, places: ['127.0.0.1'], validity: validityFrom(new Date(), 86_400_000) };
  await writeServer(pki, await issueWithKey(authority, own), [authority.certificate], false);
  const socket = join(directory, 'api.sock');
  const { urls, reload } = await start(t, [
    ...[
      process.execPath,
      ...sourceProgram(MAIN),
      '--store',
      `lmdb:${directory}/store`,
      '--pki',
      pki,
      '--log-level',
      'error',
    ],
    ...['--listen', '127.0.0.1:0', '--listen', `unix:${socket}`, ...args],
  ]);
  const transport = httpTransport(`unix:${socket}`);
  t.after(() => transport.close());
  const admin = createClient({ transport });
  const token = async (body = {}): Promise<string> => {
    const made = await admin.request('POST', '/cable/v1/join-tokens/issue', body);
    return (made as { readonly join_token: { readonly token: string } }).join_token.token;
  };
  const revoke = async (host: string): Promise<void> => {
    await admin.request('PUT', `/cable/v1/hosts/${host}/revoke`);
  };
  const url = urls.find((one) => one.startsWith('https://127.0.0.1:')) ?? '';
  return { directory, url, urls, authority, reload, token, revoke };
}

/** Waits until it has said all addresses that it listens on. */
async function start(
  t: Cleanup,
  [program = '', ...args]: readonly string[],
): Promise<Pick<SecureServer, 'urls' | 'reload'>> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const wanted = args.filter((one) => one === '--listen').length;
  return await new Promise((resolve, reject) => {
    const urls: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      urls.push(line.replace('listening on ', ''));
      if (urls.length === wanted) resolve({ urls, reload: () => void child.kill('SIGHUP') });
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
}
