/** What an agent that joins makes of a server that it cannot reach. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { createJoinToken, formatJoinToken, initAuthorities, issueWithKey, validityFrom } from '@cable/pki';
import { HostFiles } from './host-files.ts';
import { openIdentity } from './host-identity.ts';

type Said = { readonly level: 'warn' | 'error'; readonly reason: string };

/** The first thing that is said by a host that joins at that address; `hasJoined`: by another token before. */
async function firstSaid(t: TestContext, server: string, hasJoined: boolean): Promise<Said> {
  const stateDir = await mkdtemp(join(tmpdir(), `cable-join-${process.pid}-`));
  t.after(() => rm(stateDir, { recursive: true, force: true }));
  if (hasJoined) await keepCertificate(stateDir);
  const stop = new AbortController();
  try {
    return await new Promise<Said>((resolve, reject) => {
      const say = (level: Said['level']) => (fields: object) =>
        resolve({ level, reason: String((fields as { readonly reason?: unknown }).reason) });
      const log = { ...silentLogger(), warn: say('warn'), error: say('error') };
      const text = formatJoinToken(createJoinToken('x'.repeat(43)));
      const options = { server, host: 'a', stateDir, tlsFiles: null, join: { text } };
      openIdentity(options, { log, signal: stop.signal }).catch(reject);
    });
  } finally {
    stop.abort();
  }
}

async function keepCertificate(stateDir: string): Promise<void> {
  const { hosts, authority } = await initAuthorities(join(stateDir, 'pki'), new Date());
  const validity = validityFrom(new Date(), 86_400_000);
  const { certificate, key } = await issueWithKey(hosts, { identity: { kind: 'host', name: 'a' }, validity });
  const files = new HostFiles(stateDir, 'a');
  await files.write({ token: '0'.repeat(12), certificate, key, authorities: [authority.certificate] });
}

/** A server that speaks no TLS. */
async function startPlain(t: TestContext): Promise<string> {
  const server = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-other\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  return `https://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

test('a server to which no route leads is one that does not answer: joining goes on', async (t) => {
  // A link-local address without its link is refused as a route of type blackhole is: with EINVAL.
  for (const hasJoined of [false, true]) {
    const { level, reason } = await firstSaid(t, 'https://[fe80::1]:9', hasJoined);
    assert.match(reason, /cannot reach/);
    assert.equal(level, 'warn', reason);
  }
});

test('a server that is another one is refused, and said as an error', async (t) => {
  for (const hasJoined of [false, true]) {
    assert.equal((await firstSaid(t, await startPlain(t), hasJoined)).level, 'error');
  }
});

test('a token that no server has seen is not refused for good: it is tried again', { timeout: 60_000 }, async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), `cable-join-${process.pid}-`));
  t.after(() => rm(stateDir, { recursive: true, force: true }));
  const { authority } = await initAuthorities(join(stateDir, 'pki'), new Date());
  const [caFile, tokenFile, path] = ['ca.pem', 'account', 'join-token'].map((name) => join(stateDir, name));
  assert(caFile !== undefined && tokenFile !== undefined && path !== undefined);
  const given = createJoinToken('x'.repeat(43));
  await Promise.all([
    writeFile(caFile, authority.certificate),
    writeFile(tokenFile, 'of-the-pod'),
    writeFile(path, formatJoinToken(given)),
  ]);
  // Another server is where Cable's should be, as while authorities are replaced; and nobody gives tokens.
  const server = await startPlain(t);
  const admission = { url: 'https://[fe80::1]:9', caFile, tokenFile };
  const stop = new AbortController();
  t.after(() => stop.abort());
  const tries: unknown[] = [];
  await new Promise<void>((resolve, reject) => {
    const info = (fields: object, message?: string): void => {
      if (message === 'joins by a token') tries.push((fields as { readonly token?: unknown }).token);
      if (tries.length === 2) resolve();
    };
    const log = { ...silentLogger(), info: info as ReturnType<typeof silentLogger>['info'] };
    const options = { server, host: 'a', stateDir, tlsFiles: null, join: { path }, admission };
    openIdentity(options, { log, signal: stop.signal }).catch(reject);
  });
  assert.deepEqual(tries, [given.id, given.id]);
});
