import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiError, createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import { listen } from '../listen.ts';
import { startHarness } from '../testing/harness.ts';

test('the typed client works over TCP and over a Unix socket', async (t) => {
  const { server } = await startHarness(t);
  const directory = await mkdtemp(join(tmpdir(), `cable-client-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const addresses = [
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    { kind: 'unix', path: join(directory, 's.sock') },
  ] as const;
  const listeners = await listen({ request: (request, reply) => server.app.routing(request, reply) }, addresses);
  for (const url of listeners.urls) {
    const transport = httpTransport(url);
    const client = createClient({ transport, projectId: 'p' });
    const network = await client.create('network', { name: url });
    assert.equal(network.mtu, 1450);
    const subnet = await client.create('subnet', { network_id: network.id, cidr: '10.0.0.0/24', ip_version: 4 });
    const ports = await client.createMany('port', [{ network_id: network.id }, { network_id: network.id }]);
    assert.deepEqual(
      ports.map((port) => port.fixed_ips[0]?.ip_address),
      ['10.0.0.2', '10.0.0.3'],
    );
    const router = await client.create('router', {});
    await client.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
    const found = await client.list('port', { network_id: network.id, limit: 2 });
    assert.equal(found.length, 3);
    assert.equal((await client.update('network', network.id, { name: 'x' })).name, 'x');
    await assert.rejects(
      client.delete('network', network.id),
      (err) => err instanceof ApiError && err.type === 'NetworkInUse',
    );
    assert.deepEqual(await client.request('GET', '/cable/v1/check'), {
      revision: server.tables.revision,
      violations: [],
    });
    transport.close();
  }
  await listeners.stop();
});
