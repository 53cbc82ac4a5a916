/** What is refused through a server that has not yet heard what was done through another. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Store } from '@cable/store';
import { TICK } from '../keys.ts';
import { type Harness, harnessOf, startHarness, startTestServer } from '../testing/harness.ts';

/** Two servers on one store; from `deafen` on the second hears nothing, until it asks the store what there is. */
async function startTwo(
  t: TestContext,
): Promise<{ readonly one: Harness; readonly other: Harness; readonly deafen: () => void }> {
  const one = await startHarness(t);
  let hears = Promise.resolve();
  let hearAgain = (): void => {};
  const watch: Store['watch'] = async function* (prefix, options) {
    for await (const batch of one.store.watch(prefix, options)) {
      await hears;
      yield batch;
    }
  };
  const list: Store['list'] = (prefix, options) => {
    if (prefix === TICK) hearAgain();
    return one.store.list(prefix, options);
  };
  const store = new Proxy(one.store, {
    get: (target, name) => {
      if (name === 'watch') return watch;
      if (name === 'list') return list;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const server = await startTestServer(store);
  t.after(async () => {
    hearAgain();
    await server.stop();
  });
  const deafen = (): void => {
    hears = new Promise((resolve) => {
      hearAgain = resolve;
    });
  };
  return { one, other: harnessOf(store, server), deafen };
}

const SUBNET = { cidr: '10.0.0.0/24', ip_version: 4 };

test('a prefix that was freed through another server is free', async (t) => {
  const { one, other, deafen } = await startTwo(t);
  const network = await one.create('network', {});
  const subnet = { ...SUBNET, network_id: network['id'] };
  const first = await one.create('subnet', subnet);
  await other.server.tables.waitFor(one.server.tables.revision, 5000);
  deafen();
  assert.equal((await one.send('DELETE', `/v2.0/subnets/${first['id']}`)).status, 204);
  const again = await other.send('POST', '/v2.0/subnets', { subnet });
  assert.equal(again.status, 201, JSON.stringify(again.body));
});

test('a route leads into a subnet that was attached through another server', async (t) => {
  const { one, other, deafen } = await startTwo(t);
  const network = await one.create('network', {});
  const subnet = await one.create('subnet', { ...SUBNET, network_id: network['id'] });
  const router = await one.create('router', {});
  await other.server.tables.waitFor(one.server.tables.revision, 5000);
  deafen();
  const path = `/v2.0/routers/${router['id']}`;
  const attached = await one.send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
  assert.equal(attached.status, 200, JSON.stringify(attached.body));
  const routes = [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }];
  const routed = await other.send('PUT', path, { router: { routes } });
  assert.equal(routed.status, 200, JSON.stringify(routed.body));
});

test('who is given a network’s use through another server may use it', async (t) => {
  const { one, other, deafen } = await startTwo(t);
  const tenant = { 'x-project-id': 'tenant', 'x-roles': 'member' };
  const network = await one.create('network', { project_id: 'owner' });
  await other.server.tables.waitFor(one.server.tables.revision, 5000);
  deafen();
  const shared = await one.send('PUT', `/v2.0/networks/${network['id']}`, { network: { shared: true } });
  assert.equal(shared.status, 200);
  const port = { network_id: network['id'] };
  const made = await other.send('POST', '/v2.0/ports', { port }, tenant);
  assert.equal(made.status, 201, JSON.stringify(made.body));
});
