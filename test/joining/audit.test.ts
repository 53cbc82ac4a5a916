/** The audit log of a server process: hosts that join, an operator and a user, and no secret. */
import assert from 'node:assert/strict';
import { readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClient } from '@cable/api';
import { type ClientTls, httpTransport, silentLogger, sleep } from '@cable/kit';
import { issueWithKey, validityFrom } from '@cable/pki';
import { openIdentity } from '../../packages/agent/src/joining/host-identity.ts';
import { startSecureServer } from './secure-server.ts';

test('each write is a line with who came how, no secret is in the file, and SIGHUP begins another', async (t) => {
  const server = await startSecureServer(t, (directory) => ['--audit-log', join(directory, 'audit.log')]);
  const file = join(server.directory, 'audit.log');
  const token = await server.token({ host: 'node-1' });
  const stop = new AbortController();
  t.after(() => stop.abort());
  const stateDir = join(server.directory, 'state');
  const identity = await openIdentity(
    { server: server.url, host: 'node-1', stateDir, tlsFiles: null, join: { text: token } },
    { log: silentLogger(), signal: stop.signal },
  );
  assert.ok(identity);
  await new Promise<void>((resolve) => identity.onNew(resolve));
  const write = async (tls: () => ClientTls, method: 'PUT' | 'POST', path: string, body: object): Promise<void> => {
    const transport = httpTransport(server.url, { tls });
    t.after(() => transport.close());
    await createClient({ transport }).request(method, path, body);
  };
  await write(identity.tls, 'PUT', '/cable/v1/hosts/node-1', { underlay: '192.0.2.1', agentVersion: '1' });
  const alice = { kind: 'user', name: 'alice', projectId: 'p1', roles: ['member'] } as const;
  const own = await issueWithKey(server.authority, { identity: alice, validity: validityFrom(new Date(), 86_400_000) });
  const tls = { ca: [server.authority.certificate], own: { cert: own.certificate, key: own.key } };
  await write(() => tls, 'POST', '/v2.0/networks', { network: {} });

  const lines = await linesOf(file, 4);
  const [issued, joined, registered, made] = lines;
  const told = lines.map(({ method, path, status, user, project, host, certificate, address }) =>
    [method, path, status, user, project, host, certificate, address].map((one) => one ?? '-').join(' '),
  );
  assert.deepEqual(told, [
    'POST /cable/v1/join-tokens/issue 201 - default - - -',
    'POST /cable/v1/join 201 - - - - 127.0.0.1',
    'PUT /cable/v1/hosts/node-1 204 - - node-1 cable:host:node-1 127.0.0.1',
    'POST /v2.0/networks 201 alice p1 - cable:user:alice 127.0.0.1',
  ]);
  const [id = '', secret = ''] = token.split('.');
  assert.deepEqual(issued?.changed, [{ type: 'join_token', id }]);
  assert.deepEqual(joined?.changed.find(({ type }) => type === 'host_certificate')?.id, 'node-1');
  assert.deepEqual(registered?.changed, []);
  assert.ok(made?.changed.some(({ type }) => type === 'network'));
  const text = await readFile(file, 'utf8');
  for (const hidden of [secret, 'PRIVATE KEY', 'CERTIFICATE', own.key.slice(40, 80)]) assert.ok(!text.includes(hidden));
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  await rename(file, `${file}.1`);
  server.reload();
  while ((await stat(file).catch(() => undefined)) === undefined) await sleep(20);
  await server.token();
  const [next] = await linesOf(file, 1);
  assert.equal(next?.path, '/cable/v1/join-tokens/issue');
  assert.equal(await readFile(`${file}.1`, 'utf8'), text);
});

type Line = Readonly<Record<string, unknown>> & {
  readonly path: string;
  readonly changed: readonly { readonly type: string; readonly id: string }[];
};

/** When so many are there. */
async function linesOf(file: string, count: number): Promise<readonly Line[]> {
  for (;;) {
    const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
    if (lines.length >= count) return lines.map((line) => JSON.parse(line));
    await sleep(20);
  }
}
