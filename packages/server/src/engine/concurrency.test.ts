import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore, type Store } from '@cable/store';
import { startTestEtcd } from '../hosts/etcd.fixture.ts';
import { ADMISSION_LIMITS } from '../http/admission.ts';
import {
  assertInvariants,
  deleteEverything,
  type Harness,
  harnessOf,
  type Json,
  keysLeft,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';

test('hundreds of parallel creates never get one address or MAC twice', async (t) => {
  const harness = await startHarness(t);
  const network = await harness.create('network', {});
  await harness.create('subnet', { network_id: network['id'], cidr: '10.0.0.0/22', ip_version: 4 });
  // As many as a server takes at once: those that wait for room are refused after a while, which is a matter of how fast the machine is.
  const count = ADMISSION_LIMITS.writes;
  const ports = await createPorts([harness], String(network['id']), count);
  assertDistinct(ports, count);
  await assertInvariants(harness.server);
});

test('the last address goes to exactly one of many', async (t) => {
  const { send, create, server } = await startHarness(t);
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/28', ip_version: 4 });
  const body = { port: { network_id: network['id'] } };
  const answers = await Promise.all(Array.from({ length: 40 }, () => send('POST', '/v2.0/ports', body)));
  assert.equal(answers.filter((answer) => answer.status === 201).length, 13);
  const refusals = answers.filter((answer) => answer.status !== 201);
  assert.ok(refusals.every((one) => String(one.body['NeutronError']?.['type']) === 'IpAddressGenerationFailure'));
  await assertInvariants(server);
});

test('many requests for one chosen address: one wins, the others are told', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const body = { port: { network_id: network['id'], fixed_ips: [{ ip_address: '10.0.0.9' }] } };
  const answers = await Promise.all(Array.from({ length: 30 }, () => send('POST', '/v2.0/ports', body)));
  const types = answers.map((one) => (one.status === 201 ? 'created' : String(one.body['NeutronError']?.['type'])));
  assert.equal(types.filter((type) => type === 'created').length, 1);
  assert.equal(types.filter((type) => type === 'IpAddressAlreadyAllocated').length, 29);
});

test('two servers on one LMDB store do not disagree', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-two-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  t.after(() => rm(directory, { recursive: true, force: true }));
  await fight([store, store], 150);
});

test('two servers on one etcd do not disagree', async (t) => {
  const etcd = await startTestEtcd();
  t.after(() => etcd.remove());
  await fight([await etcd.open(), await etcd.open()], 150);
});

/** Two servers create in the same network at once; then all is deleted through either. */
async function fight(stores: readonly [Store, Store], count: number): Promise<void> {
  const servers = [await startTestServer(stores[0]), await startTestServer(stores[1])] as const;
  const both = [harnessOf(stores[0], servers[0]), harnessOf(stores[1], servers[1])] as const;
  try {
    const network = await both[0].create('network', {});
    const subnet = { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 };
    const subnets = await Promise.all(both.map(({ send }) => send('POST', '/v2.0/subnets', { subnet })));
    assert.deepEqual(subnets.map((one) => one.status).sort(), [201, 400], 'overlapping subnets');
    await Promise.all(both.map(({ server }) => caughtUp(server.tables, both)));
    const ports = await createPorts(both, String(network['id']), count);
    assertDistinct(ports, count);
    await Promise.all(both.map(({ server }) => caughtUp(server.tables, both)));
    for (const { server } of both) {
      await assertInvariants(server);
      const groups = [...server.tables.of('security_group').values()];
      assert.equal(groups.length, 1, 'one default group');
    }
    await deleteEverything(both[1]);
    assert.deepEqual(await keysLeft(stores[0]), []);
  } finally {
    for (const server of servers) await server.stop();
    for (const store of new Set(stores)) await store.close();
  }
}

async function createPorts(harnesses: readonly Harness[], networkId: string, count: number): Promise<readonly Json[]> {
  const body = { network_id: networkId };
  return Promise.all(
    Array.from({ length: count }, (_, i) => {
      const harness = harnesses[i % harnesses.length];
      if (harness === undefined) throw new Error('no server');
      return harness.create('port', body);
    }),
  );
}

function assertDistinct(ports: readonly Json[], count: number): void {
  const addresses = ports.map((port) => String(port['fixed_ips']?.[0]?.['ip_address']));
  assert.equal(new Set(addresses).size, count);
  assert.equal(new Set(ports.map((port) => String(port['mac_address']))).size, count);
}

async function caughtUp(tables: Harness['server']['tables'], all: readonly Harness[]): Promise<void> {
  const newest = Math.max(...all.map(({ server }) => server.tables.revision));
  assert.ok(await tables.waitFor(newest));
}
