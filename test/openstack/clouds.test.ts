/** The two servers that are compared: a stock neutron-server and Cable answer who has a token of the same Keystone. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Cable, startCable } from './cable.ts';
import { type Keystone, startKeystone } from './keystone.ts';
import { type Stock, startStock } from './stock.ts';

const directory = mkdtempSync(join(tmpdir(), `cable-clouds-${process.pid}-`));
let keystone: Keystone | undefined;
let cable: Cable | undefined;
let stock: Stock | undefined;

before(async () => {
  keystone = await startKeystone(directory);
  cable = await startCable(directory, keystone, { policyDefaults: 'zed' });
  stock = await startStock(directory, keystone, { isDurable: false, hosts: ['host-a'] });
});

after(async () => {
  await cable?.close();
  await stock?.close();
  await keystone?.close();
  rmSync(directory, { recursive: true, force: true });
});

test('both make a network of the project of the token, and refuse who has none', async () => {
  for (const url of [cable?.url ?? '', stock?.url ?? '']) {
    const project = await keystone?.token(keystone.admin, { project: 'admin' });
    const network = await call(url, 'POST', '/networks', project, { network: { name: 'n' } });
    assert.equal(network.status, 201);
    const { status } = await call(url, 'GET', '/networks', 'none');
    assert.equal(status, 401);
  }
});

test('a port binds to a host of the stock server', async () => {
  const url = stock?.url ?? '';
  const token = await keystone?.token(keystone.admin, { project: 'admin' });
  const made = await call(url, 'POST', '/networks', token, { network: { name: 'n' } });
  const { network } = made.body as { network: { id: string } };
  const bound = await call(url, 'POST', '/ports', token, {
    port: { network_id: network.id, 'binding:host_id': 'host-a' },
  });
  const { port } = bound.body as { port: Record<string, unknown> };
  assert.equal(port['binding:vif_type'], 'ovs');
});

type Answer = { readonly status: number; readonly body: unknown };

async function call(url: string, method: string, path: string, token = '', body?: unknown): Promise<Answer> {
  const headers = { 'x-auth-token': token, 'content-type': 'application/json' };
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`${url}/v2.0${path}`, { method, headers, ...json });
  return { status: answer.status, body: await answer.json().catch(() => undefined) };
}
