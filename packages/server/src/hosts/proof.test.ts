/** From a change to ACTIVE, on one server and on two, with simple slices and streams in place of the real ones. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { Store } from '@cable/store';
import { OLD_ACKNOWLEDGEMENTS, objectKey, serverKey } from '../keys.ts';
import { testNetwork, testPort, uuid } from '../slices/rows.fixture.ts';
import { acknowledgedRevision } from './acknowledgements.ts';
import { startTestEtcd, type TestEtcd } from './etcd.fixture.ts';
import { type FakeAgent, type FakeServer, startFakeServer, until } from './fakes.fixture.ts';
import { deleteObject, openTemporaryStore, patchObject, putObject } from './objects.fixture.ts';

const NET = testNetwork(1);
const P1 = testPort(0x11, NET, 'h1');
const P2 = testPort(0x12, NET, 'h2');
const P3 = testPort(0x13, NET, 'h2');

const statusOf = (server: FakeServer, id: string): string | undefined => server.tables.of('port').get(id)?.status;
const isActive = (server: FakeServer, id: string) => (): boolean => statusOf(server, id) === 'ACTIVE';

test('one host that hangs keeps ports of others waiting for a minute and no longer, and its own until it is back', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const place = await openTemporaryStore();
  t.after(place.remove);
  const server = await startFakeServer(place.store);
  t.after(() => server.stop());
  const h1 = await server.join('h1', '192.0.2.1');
  const h2 = await server.join('h2', '192.0.2.2');
  await putObject(place.store, 'port', P2);
  h2.up(P2.id);
  await until(isActive(server, P2.id), 'P2 ACTIVE');
  h2.acknowledges = false;
  await putObject(place.store, 'port', P1);
  const revision = await putObject(place.store, 'port', P3);
  await until(() => h1.revision >= revision && h2.sent >= revision, 'sent');
  h1.up(P1.id);
  h2.up(P3.id);
  await until(() => server.tables.of('vif').size === 3, 'devices');
  for (const ms of [0, 59_000]) {
    server.advance(ms);
    t.mock.timers.tick(5000);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(statusOf(server, P1.id), 'DOWN');
  server.advance(1000);
  t.mock.timers.tick(5000);
  await until(isActive(server, P1.id), 'P1 ACTIVE');
  assert.equal(statusOf(server, P3.id), 'DOWN');
  h2.acknowledge();
  await until(isActive(server, P3.id), 'P3 ACTIVE');
});

describe('port status on one server', () => {
  let place: Awaited<ReturnType<typeof openTemporaryStore>>;
  let server: FakeServer;
  let h1: FakeAgent;
  let h2: FakeAgent;

  beforeEach(async () => {
    place = await openTemporaryStore();
    server = await startFakeServer(place.store);
    h1 = await server.join('h1', '192.0.2.1');
    h2 = await server.join('h2', '192.0.2.2');
    await putObject(place.store, 'port', P2);
    h2.up(P2.id);
    await until(isActive(server, P2.id), 'P2 ACTIVE');
  });

  afterEach(async () => {
    await server.stop();
    await place.remove();
  });

  test('is ACTIVE when the device is up and every host with the network has acknowledged', async () => {
    h2.acknowledges = false;
    const revision = await putObject(place.store, 'port', P1);
    await until(() => h1.revision >= revision && h2.sent >= revision, 'sent');
    h1.up(P1.id);
    await until(() => server.tables.of('vif').size === 2, 'device');
    assert.equal(statusOf(server, P1.id), 'DOWN');
    assert.deepEqual(server.plane.status().ports, { total: 2, by_status: { ACTIVE: 1, DOWN: 1 }, pending: 1 });
    h2.acknowledge();
    await until(isActive(server, P1.id), 'P1 ACTIVE');
    assert.equal(server.plane.status().ports.pending, 0);
    assert.equal(server.plane.status().slices.waiting, 0);
  });

  test('is nothing that a server which is starting decides; what is written meanwhile is proven when it has started', async (t) => {
    h1.acknowledges = false;
    const revision = await putObject(place.store, 'port', P1);
    await until(() => h1.sent >= revision, 'sent');
    let isLoaded = (): void => {};
    const starting = startFakeServer(
      place.store,
      silentLogger(),
      new Promise((resolve) => {
        isLoaded = resolve;
      }),
    );
    t.after(async () => {
      isLoaded();
      await (await starting).stop();
    });
    await until(() => server.tables.of('server').size === 2, 'the other has begun');
    await putObject(place.store, 'port', P3);
    h1.up(P1.id);
    h2.up(P3.id);
    await until(() => server.tables.of('vif').size === 3, 'devices');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(statusOf(server, P1.id), 'DOWN');
    isLoaded();
    const other = await starting;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(statusOf(server, P1.id), 'DOWN');
    assert.deepEqual([statusOf(other, P3.id), other.plane.status().ports.pending], ['DOWN', 2]);
    h1.acknowledge();
    await until(() => isActive(other, P1.id)() && isActive(other, P3.id)(), 'both ACTIVE');
    await until(() => other.plane.status().ports.pending === 0, 'nothing pending at the other');
  });

  test('does not wait for a host that dies, and waits again for one that is alive again', async () => {
    h2.acknowledges = false;
    const revision = await putObject(place.store, 'port', P1);
    await until(() => h1.revision >= revision, 'sent');
    h1.up(P1.id);
    h2.end('gone');
    for (let n = 0; n < 11; n += 1) {
      server.advance(2000);
      h1.report();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if (statusOf(server, P1.id) === 'ACTIVE') break;
    }
    await until(isActive(server, P1.id), 'P1 ACTIVE');
    assert.equal(statusOf(server, P2.id), 'ACTIVE', 'a port stays ACTIVE when its host dies, as in Neutron');
  });

  test('a port that is changed is not proven before the change is compiled', async () => {
    await putObject(place.store, 'port', { ...P1, admin_state_up: false });
    h1.up(P1.id);
    await until(() => server.tables.of('vif').size === 2, 'device');
    h2.acknowledges = false;
    const seen: (string | undefined)[] = [];
    const stop = server.tables.onChange(() => seen.push(statusOf(server, P1.id)));
    const more = { admin_state_up: true, fixed_ips: [{ subnet_id: uuid(99), ip_address: '10.0.9.9' }] };
    await patchObject(place.store, 'port', P1.id, more);
    await until(() => server.plane.status().ports.pending === 1, 'waits');
    await new Promise((resolve) => setTimeout(resolve, 50));
    stop();
    assert.ok(!seen.includes('ACTIVE'));
    h2.acknowledge();
    await until(isActive(server, P1.id), 'P1 ACTIVE');
  });

  test('is DOWN when the device goes, when the port is set down, and when it is unbound', async () => {
    h2.report([{ portId: P2.id, state: 'down', reason: null }]);
    await until(() => statusOf(server, P2.id) === 'DOWN', 'device gone');
    h2.up(P2.id);
    await until(isActive(server, P2.id), 'device back');
    await patchObject(place.store, 'port', P2.id, { admin_state_up: false });
    await until(() => statusOf(server, P2.id) === 'DOWN', 'set down');
    await patchObject(place.store, 'port', P2.id, { admin_state_up: true });
    await until(isActive(server, P2.id), 'set up');
    await patchObject(place.store, 'port', P2.id, { 'binding:host_id': '' });
    await until(() => statusOf(server, P2.id) === 'DOWN', 'unbound');
    await until(() => server.tables.of('vif').size === 0, 'report about the unbound port dropped');
    assert.equal(server.plane.status().ports.pending, 0);
  });

  test('a router’s gateway is ACTIVE when its host has it, and again when its host, which was dead, has said so anew', async () => {
    const gateway = { ...P1, device_owner: 'network:router_gateway', device_id: uuid(77) };
    h1.acknowledges = false;
    const revision = await putObject(place.store, 'port', gateway);
    await until(() => h1.sent >= revision, 'sent');
    await until(() => server.plane.status().ports.pending === 1, 'waits');
    assert.equal(statusOf(server, P1.id), 'DOWN');
    h1.acknowledge();
    await until(isActive(server, P1.id), 'gateway ACTIVE');
    h1.end('gone');
    while (server.tables.of('alive').get('h1') !== undefined) {
      server.advance(2000);
      h2.report();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.equal(statusOf(server, P1.id), 'ACTIVE', 'it stays, until who moves gateways says otherwise');
    await patchObject(place.store, 'port', P1.id, { status: 'DOWN' });
    const session = randomUUID();
    const registration = { underlay: '192.0.2.1', agentVersion: 'test', agentId: randomUUID(), protocol: 2, session };
    await server.plane.register('h1', registration);
    await until(() => server.plane.status().ports.pending === 1, 'waits again');
    assert.equal(statusOf(server, P1.id), 'DOWN');
    (await server.plane.streams.connect('h1', session)).acknowledge();
    await until(isActive(server, P1.id), 'gateway ACTIVE again');
    await patchObject(place.store, 'port', P1.id, { 'binding:host_id': '' });
    await until(() => statusOf(server, P1.id) === 'DOWN', 'unbound');
    assert.equal(server.plane.status().ports.pending, 0);
  });

  test('a router’s gateway is not ACTIVE while there is a server that would take it DOWN', async () => {
    const old = serverKey('00000000-0000-4000-8000-00000000000a');
    await place.store.txn([], [{ kind: 'put', key: old, value: JSON.stringify({ floor: 0, behind: {} }) }]);
    await until(() => server.tables.of('server').size === 2, 'the old server');
    const gateway = { ...P1, device_owner: 'network:router_gateway', device_id: uuid(77) };
    const revision = await putObject(place.store, 'port', gateway);
    await until(() => h1.revision >= revision && server.plane.status().ports.pending === 0, 'programmed');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(statusOf(server, P1.id), 'DOWN');
    await place.store.txn([], [{ kind: 'delete', key: old }]);
    await until(isActive(server, P1.id), 'gateway ACTIVE');
  });

  test('is proven anew after a restart for ports that are not ACTIVE', async () => {
    h2.acknowledges = false;
    const revision = await putObject(place.store, 'port', P1);
    await until(() => h1.revision >= revision, 'sent');
    h1.up(P1.id);
    await until(() => server.tables.of('vif').size === 2, 'device');
    const other = await startFakeServer(place.store);
    try {
      assert.equal(other.plane.status().ports.pending, 1);
      await until(() => other.tables.of('server').size === 2, 'both servers');
      await server.stop();
      const again = [await other.join('h1', '192.0.2.1'), await other.join('h2', '192.0.2.2')];
      await until(() => again.every((agent) => agent.revision > 0), 'programmed');
      await until(isActive(other, P1.id), 'P1 ACTIVE');
    } finally {
      await other.stop();
    }
  });

  test('another history of the store ends the streams, and what was proven is void', async () => {
    const mark = server.history.current.mark;
    await place.store.txn([], [{ kind: 'deletePrefix', prefix: '/cable/meta/mark/' }]);
    await place.store.txn([], [{ kind: 'delete', key: objectKey('port', P2.id) }]);
    await until(() => h1.ended !== undefined && h2.ended !== undefined, 'streams ended');
    assert.match(h1.ended ?? '', /another history/);
    await until(() => server.history.current.mark !== mark, 'another mark');
    assert.equal(server.tables.of('port').size, 0);
    const again = await server.join('h1', '192.0.2.1');
    await putObject(place.store, 'port', P1);
    again.up(P1.id);
    await until(isActive(server, P1.id), 'P1 ACTIVE');
  });

  test('the status tells history, protocols and what is waited for', async () => {
    const { history, hosts, slices } = server.plane.status();
    assert.deepEqual(history, server.history.current);
    assert.deepEqual(hosts, { registered: 2, alive: 2, watching: 2, protocols: { 2: 2 } });
    assert.equal(slices.waiting, 0);
    assert.ok(slices.total > 0);
  });

  test('a bookmark says at once for a few hosts and later for many', async () => {
    await until(() => h2.ackWithinMs !== undefined, 'sent');
    assert.equal(h2.ackWithinMs, 0);
    const agents = [];
    for (let n = 3; n < 43; n += 1) agents.push(await server.join(`h${n}`, `192.0.2.${n}`));
    assert.ok((agents.at(-1)?.ackWithinMs ?? 0) >= 20);
  });
});

/** What the suite needs of a store: one connection for each server, and an end. */
type Place = { open(): Promise<Store>; remove(): Promise<void> };

function suite(name: string, makePlace: () => Promise<Place>): void {
  describe(`two servers on one ${name} store`, () => {
    let place: Place;
    let store: Store;
    let a: FakeServer;
    let b: FakeServer;
    let h1: FakeAgent;
    let h2: FakeAgent;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
      await store.txn([], [{ kind: 'put', key: `${OLD_ACKNOWLEDGEMENTS}h1`, value: '{"revision":99999}' }]);
      a = await startFakeServer(store);
      b = await startFakeServer(await place.open());
      h1 = await a.join('h1', '192.0.2.1');
      h2 = await b.join('h2', '192.0.2.2');
    });

    afterEach(async () => {
      await a.stop();
      await b.stop();
      await place.remove();
    });

    test('what older servers left of acknowledgements is removed', async () => {
      assert.deepEqual((await store.list(OLD_ACKNOWLEDGEMENTS)).kvs, []);
    });

    test('a port is proven by acknowledgements that each server got from its own host', async () => {
      for (let round = 0; round < 5; round += 1) {
        const revision1 = await putObject(store, 'port', P1);
        const revision2 = await putObject(store, 'port', P2);
        // A device is reported when its port was sent: before, the server may hold the last round's report, which is about to be dropped, for the same.
        await until(() => h1.sent >= revision1 && h2.sent >= revision2, 'sent');
        h1.up(P1.id);
        h2.up(P2.id);
        for (const server of [a, b]) for (const port of [P1, P2]) await until(isActive(server, port.id), 'ACTIVE');
        for (const port of [P1, P2]) await deleteObject(store, 'port', port.id);
        for (const server of [a, b]) await until(() => server.tables.of('port').size === 0, 'deleted');
      }
      await until(() => a.plane.status().slices.waiting + b.plane.status().slices.waiting === 0, 'nothing waits');
    });

    test('a port is not ACTIVE while a host of the other server lags', async () => {
      await putObject(store, 'port', P2);
      h2.up(P2.id);
      await until(isActive(a, P2.id), 'P2 ACTIVE');
      h2.acknowledges = false;
      const revision = await putObject(store, 'port', P1);
      await until(() => h1.revision >= revision && h2.sent >= revision, 'sent');
      h1.up(P1.id);
      await until(() => b.tables.of('vif').size === 2, 'device of P1');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.deepEqual([statusOf(a, P1.id), statusOf(b, P1.id)], ['DOWN', 'DOWN']);
      h2.acknowledge();
      for (const server of [a, b]) await until(isActive(server, P1.id), 'P1 ACTIVE');
      assert.equal(a.tables.of('port').get(P1.id)?.revision_number, P1.revision_number + 1, 'one of them wrote it');
    });

    test('an agent goes from one to the other', async () => {
      await putObject(store, 'port', P1);
      h1.up(P1.id);
      await until(isActive(b, P1.id), 'P1 ACTIVE');
      h1.end('closed');
      const moved = await b.join('h1', '192.0.2.1', { session: h1.session, agentId: randomUUID() });
      const second = testPort(0x13, NET, 'h1');
      await putObject(store, 'port', second);
      moved.up(second.id);
      await until(isActive(a, second.id), 'ACTIVE');
      assert.equal(a.tables.of('alive').get('h1')?.server, b.id);
    });

    test('the end of another server’s lease is followed by a mark', async () => {
      const mark = a.history.current.mark;
      await until(() => a.tables.of('server').get(b.id) !== undefined, 'row of the other server');
      await b.stop();
      await store.revokeLease((await store.get(serverKey(b.id)))?.lease ?? '');
      await until(() => a.history.current.mark !== mark, 'mark');
    });
  });
}

suite('LMDB', async () => {
  const temporary = await openTemporaryStore();
  return { open: async () => temporary.store, remove: temporary.remove };
});

describe('etcd', () => {
  let etcd: TestEtcd;
  before(async () => {
    etcd = await startTestEtcd();
  });
  after(() => etcd.remove());

  suite('etcd', async () => {
    const opened: Store[] = [];
    const open = async (): Promise<Store> => {
      const store = await etcd.open();
      opened.push(store);
      return store;
    };
    const remove = async (): Promise<void> => {
      await opened[0]?.txn([], [{ kind: 'deletePrefix', prefix: '/' }]);
      for (const store of opened) await store.close();
    };
    return { open, remove };
  });
});

test('under steady change all of three hundred hosts become known to another server', async () => {
  const place = await openTemporaryStore();
  const a = await startFakeServer(place.store);
  const b = await startFakeServer(place.store);
  try {
    const agents = await Promise.all(
      Array.from({ length: 300 }, (_, n) => a.join(`h${n}`, `10.0.${n >> 8}.${n & 255}`)),
    );
    const first = a.tables.revision;
    let n = 0;
    const changing = { on: true };
    const changes = (async () => {
      while (changing.on) {
        n += 1;
        await putObject(place.store, 'port', testPort(0x100 + (n % 600), NET, `h${n % 300}`, { name: `${n}` }));
      }
    })();
    const known = (): number =>
      agents.filter(({ host }) => (acknowledgedRevision(b.tables, host) ?? 0) > first + 300).length;
    try {
      await until(() => known() === 300, 'all hosts known');
      assert.ok(n > 50, `${n} changes`);
    } finally {
      changing.on = false;
      await changes;
    }
  } finally {
    await a.stop();
    await b.stop();
    await place.remove();
  }
});
