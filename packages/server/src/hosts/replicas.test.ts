/** Several servers on one store: what one host tells one server proves a port to all. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Store } from '@cable/store';
import { testNetwork, testPort } from '../slices/rows.fixture.ts';
import { startTestEtcd, type TestEtcd } from './etcd.fixture.ts';
import { deleteObject, openTemporaryStore, putObject } from './objects.fixture.ts';
import { portStatusOf, startServer, TestAgent, type TestServer, untilStatus, untilTables } from './plane.fixture.ts';

const NET = testNetwork(1);
const P1 = testPort(0x11, NET, 'h1');
const P2 = testPort(0x12, NET, 'h2');

/** What the suite needs of a store: one connection for each server, and an end. */
type Place = { open(): Promise<Store>; remove(): Promise<void> };

function suite(name: string, makePlace: () => Promise<Place>): void {
  describe(`two servers on one ${name} store`, () => {
    let place: Place;
    let stores: Store[];
    let servers: TestServer[];
    let h1: TestAgent;
    let h2: TestAgent;
    let store: Store;
    let a: TestServer;
    let b: TestServer;

    beforeEach(async () => {
      place = await makePlace();
      stores = [await place.open(), await place.open()];
      servers = [];
      for (const one of stores) servers.push(await startServer(one));
      [store, a, b] = [stores[0], servers[0], servers[1]] as [Store, TestServer, TestServer];
      h1 = new TestAgent(a.url, 'h1');
      h2 = new TestAgent(b.url, 'h2');
      h1.devices.add(P1.id);
      h2.devices.add(P2.id);
      await h1.register('192.0.2.1');
      await h2.register('192.0.2.2');
      await h1.connect();
      await h2.connect();
      await putObject(store, 'network', NET);
    });

    afterEach(async () => {
      h1.disconnect();
      h2.disconnect();
      for (const server of servers) await server.stop();
      await place.remove();
    });

    test('a port is proven by acknowledgements that each server got from its own host', async () => {
      for (let round = 0; round < 5; round += 1) {
        await putObject(store, 'port', P1);
        await putObject(store, 'port', P2);
        for (const server of servers) for (const port of [P1, P2]) await untilStatus(server, port.id, 'ACTIVE');
        for (const port of [P1, P2]) await deleteObject(store, 'port', port.id);
        for (const host of [h1, h2]) await host.until(() => !host.slices.has(`network:${NET.id}`));
      }
    });

    test('a port is not ACTIVE while a host of the other server lags', async () => {
      await putObject(store, 'port', P2);
      await untilStatus(a, P2.id, 'ACTIVE');
      h2.acknowledges = false;
      await putObject(store, 'port', P1);
      await untilTables(a, () => a.tables.of('vif').by('port_id', P1.id)[0]?.state === 'up', 'device of P1');
      await h1.report();
      assert.equal(portStatusOf(a, P1.id), 'DOWN');
      h2.acknowledges = true;
      h2.revision = b.tables.revision;
      await h2.report();
      for (const server of servers) await untilStatus(server, P1.id, 'ACTIVE');
    });

    test('an agent goes from one to the other', async () => {
      await putObject(store, 'port', P1);
      await untilStatus(b, P1.id, 'ACTIVE');
      h1.disconnect();
      await h1.connect(b.url);
      assert.ok(h1.slices.has(`network:${NET.id}`));
      const second = testPort(0x13, NET, 'h1');
      h1.devices.add(second.id);
      await putObject(store, 'port', second);
      await untilStatus(a, second.id, 'ACTIVE');
    });

    test('two servers do not both write a status', async () => {
      await putObject(store, 'port', P1);
      for (const server of servers) await untilStatus(server, P1.id, 'ACTIVE');
      assert.equal(a.tables.of('port').get(P1.id)?.revision_number, P1.revision_number + 1);
    });

    test('status is proven anew by a server that takes over', async () => {
      await putObject(store, 'port', P2);
      await untilStatus(a, P2.id, 'ACTIVE');
      h2.acknowledges = false;
      await putObject(store, 'port', P1);
      await untilTables(b, () => b.tables.of('vif').by('port_id', P1.id)[0]?.state === 'up', 'device of P1');
      const [left] = servers.splice(0, 1);
      await left?.stop();
      await h1.connect(b.url);
      h2.acknowledges = true;
      h2.revision = b.tables.revision;
      await h2.report();
      await untilStatus(b, P1.id, 'ACTIVE');
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
