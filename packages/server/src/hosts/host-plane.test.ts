import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { testNetwork, testPort, testRouter, testSubnet, uuid } from '../slices/rows.fixture.ts';
import { contentsOf, deleteObject, openTemporaryStore, patchObject, putObject } from './objects.fixture.ts';
import {
  portStatusOf,
  send,
  startServer,
  TestAgent,
  type TestServer,
  untilStatus,
  untilTables,
} from './plane.fixture.ts';

const NET = testNetwork(1);
const P1 = testPort(0x11, NET, 'h1');
const P2 = testPort(0x12, NET, 'h2');

describe('host plane', () => {
  let place: Awaited<ReturnType<typeof openTemporaryStore>>;
  let server: TestServer;
  let h1: TestAgent;
  let h2: TestAgent;

  beforeEach(async () => {
    place = await openTemporaryStore();
    server = await startServer(place.store);
    h1 = new TestAgent(server.url, 'h1');
    h2 = new TestAgent(server.url, 'h2');
    h1.devices.add(P1.id);
    h2.devices.add(P2.id);
  });

  afterEach(async () => {
    h1.disconnect();
    h2.disconnect();
    await server.stop();
    await place.remove();
  });

  async function bothConnected(): Promise<void> {
    await h1.register('192.0.2.1');
    await h2.register('192.0.2.2');
    await h1.connect();
    await h2.connect();
    await putObject(place.store, 'network', NET);
  }

  const endpoints = (agent: TestAgent): string[] => {
    const slice = agent.slices.get(`network:${NET.id}`);
    return slice?.kind === 'network' ? slice.endpoints.map((one) => one.portId) : [];
  };

  describe('registration', () => {
    test('is idempotent and makes the host alive', async () => {
      assert.equal((await h1.register('192.0.2.1')).status, 204);
      assert.equal((await h1.register('192.0.2.1')).status, 204);
      const { hosts } = server.plane.status();
      assert.deepEqual([hosts.registered, hosts.alive, hosts.watching], [1, 1, 0]);
    });

    test('refuses an underlay address that another host has, and names that host', async () => {
      await h1.register('192.0.2.1');
      const answer = await h2.register('192.0.2.1');
      assert.equal(answer.status, 409);
      assert.match(answer.body, /UnderlayAddressInUse.*192\.0\.2\.1 belongs to host h1/);
    });

    test('frees the old address when a host moves to another', async () => {
      await h1.register('192.0.2.1');
      assert.equal((await h1.register('192.0.2.3')).status, 204);
      assert.equal((await h2.register('192.0.2.1')).status, 204);
    });

    test('takes the address of a host that is no more', async () => {
      await h1.register('192.0.2.1');
      await deleteObject(place.store, 'host', 'h1');
      assert.equal((await h2.register('192.0.2.1')).status, 204);
    });

    test('refuses what is not an address, and a bad name', async () => {
      const answer = await h1.register('192.0.2.256');
      assert.equal(answer.status, 400);
      assert.match(answer.body, /underlay/);
      const path = `/cable/v1/hosts/${encodeURIComponent('../x')}`;
      assert.equal((await send(server.url, 'PUT', path, { underlay: '192.0.2.1', agentVersion: '1' })).status, 400);
    });

    test('is asked for by watch and status of an unknown host', async () => {
      const watch = await send(server.url, 'GET', '/cable/v1/hosts/h1/watch');
      assert.equal(watch.status, 409);
      assert.match(watch.body, /HostNotRegistered/);
      assert.equal((await h1.report()).status, 409);
    });
  });

  describe('stream', () => {
    test('opens with a snapshot, referents first, and a sync with all keys', async () => {
      await h1.register('192.0.2.1');
      await putObject(place.store, 'network', NET);
      await putObject(place.store, 'port', P1);
      await untilTables(server, () => server.tables.of('port').size === 1, 'port');
      await h1.connect();
      const keys = h1.lines.map((line) => (line.type === 'put' ? line.key : line.type));
      assert.deepEqual(keys, ['policy:', `network:${NET.id}`, 'host:h1', 'sync']);
      const sync = h1.lines.find((line) => line.type === 'sync');
      assert.deepEqual([...(sync?.keys ?? [])].sort(), ['host:h1', `network:${NET.id}`, 'policy:']);
    });

    test('sends each host what it needs and nothing else', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await h1.until(() => h1.slices.has(`network:${NET.id}`));
      assert.deepEqual([...h2.slices.keys()], ['host:h2']);
      await putObject(place.store, 'port', P2);
      await h2.until(() => endpoints(h2).length === 2);
      await h1.until(() => endpoints(h1).length === 2);
      await deleteObject(place.store, 'port', P2.id);
      await h2.until(() => !h2.slices.has(`network:${NET.id}`));
      await h1.until(() => endpoints(h1).length === 1);
    });

    test('resumes with what is newer, also a slice that is old but new to the host', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await putObject(place.store, 'port', P2);
      await h1.until(() => endpoints(h1).length === 2);
      await h2.until(() => endpoints(h2).length === 2);
      const old = testNetwork(2);
      await putObject(place.store, 'network', old);
      await putObject(place.store, 'port', testPort(0x22, old, 'h2'));
      await h2.until(() => h2.slices.has(`network:${old.id}`));
      h1.disconnect();
      const third = await putObject(place.store, 'port', testPort(0x21, old, 'h1', { security_groups: [uuid(7)] }));
      await untilTables(server, () => server.tables.revision >= third, 'port in tables');
      await h1.connect();
      const keys = h1.lines.flatMap((line) => (line.type === 'put' ? [line.key] : []));
      assert.deepEqual(keys, [`policy:${uuid(7)}`, `network:${old.id}`, 'host:h1']);
      assert.equal(endpoints(h1).length, 2);
    });

    test('prunes by sync what went while the client was away', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await h1.until(() => h1.slices.has(`network:${NET.id}`));
      h1.disconnect();
      const revision = await deleteObject(place.store, 'port', P1.id);
      await untilTables(server, () => server.tables.revision >= revision, 'deletion in tables');
      await h1.connect();
      assert.deepEqual([...h1.slices.keys()], ['host:h1']);
      assert.ok(!h1.lines.some((line) => line.type === 'delete'));
    });

    test('sends everything to a client that comes from another store', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await h1.until(() => h1.slices.has(`network:${NET.id}`));
      h1.disconnect();
      await h1.connect(server.url, 1_000_000);
      assert.equal(h1.lines.filter((line) => line.type === 'put').length, 3);
      assert.ok(h1.revision < 1_000_000);
    });

    test('never lets revisions of sync and bookmark fall', async () => {
      await bothConnected();
      for (let n = 0; n < 20; n += 1)
        await putObject(place.store, 'port', testPort(0x30 + n, NET, n % 2 ? 'h1' : 'h2'));
      await h1.until(() => endpoints(h1).length === 20);
      const revisions = h1.lines.flatMap((line) =>
        line.type === 'sync' || line.type === 'bookmark' ? [line.revision] : [],
      );
      assert.deepEqual(
        revisions,
        [...revisions].sort((a, b) => a - b),
      );
    });

    test('keeps at most two streams of a host', async () => {
      await h1.register('192.0.2.1');
      const agents = [h1, new TestAgent(server.url, 'h1'), new TestAgent(server.url, 'h1')];
      for (const agent of agents) await agent.connect();
      await agents[0]?.closed();
      assert.equal(server.plane.status().hosts.watching, 1);
      for (const agent of agents) agent.disconnect();
    });

    test('survives a restart of the server: a snapshot, and the same state', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      const before = new Map(h1.slices);
      const [first, second] = [h1.closed(), h2.closed()];
      await server.stop();
      await Promise.all([first, second]);
      const store = await place.reopen();
      server = await startServer(store);
      await h1.connect(server.url);
      assert.deepEqual(h1.slices, before);
      assert.equal(portStatusOf(server, P1.id), 'ACTIVE');
      assert.equal((await h1.report({ full: true })).status, 204);
      await putObject(store, 'port', testPort(0x13, NET, 'h1'));
      await h1.until(() => endpoints(h1).length === 2);
    });
  });

  describe('port status', () => {
    test('is ACTIVE when the device is up and every host with the network has acknowledged', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P2);
      await untilStatus(server, P2.id, 'ACTIVE');
      h2.acknowledges = false;
      await putObject(place.store, 'port', P1);
      await h2.until(() => endpoints(h2).length === 2);
      await h1.until(() => h1.revision >= server.tables.revision || endpoints(h1).length === 2);
      await h1.report();
      assert.equal(portStatusOf(server, P1.id), 'DOWN');
      assert.equal(server.plane.status().ports.pending, 1);
      h2.acknowledges = true;
      h2.revision = server.tables.revision;
      await h2.report();
      await untilStatus(server, P1.id, 'ACTIVE');
      assert.deepEqual(server.plane.status().ports, { total: 2, by_status: { ACTIVE: 2 }, pending: 0 });
    });

    test('waits for a host that reaches the network by a router', async () => {
      await bothConnected();
      const other = testNetwork(2);
      const far = testPort(0x21, other, 'h2');
      h2.devices.add(far.id);
      for (const one of [NET, other]) {
        await putObject(place.store, 'network', one);
        await putObject(place.store, 'subnet', testSubnet(one));
      }
      await putObject(place.store, 'router', testRouter(5));
      await putObject(place.store, 'port', far);
      await untilStatus(server, far.id, 'ACTIVE');
      for (const [n, one] of [
        [0x51, NET],
        [0x52, other],
      ] as const) {
        const fixed_ips = [{ subnet_id: testSubnet(one).id, ip_address: `10.0.0.${n}` }];
        const leg = { device_owner: 'network:router_interface', device_id: uuid(5), fixed_ips };
        await putObject(place.store, 'port', testPort(n, one, '', leg));
        await untilStatus(server, uuid(n), 'ACTIVE');
      }
      await h2.until(() => h2.slices.has(`network:${NET.id}`));
      h2.acknowledges = false;
      await putObject(place.store, 'port', P1);
      await h2.until(() => endpoints(h2).length === 1);
      await h1.until(() => endpoints(h1).length === 1);
      await h1.report();
      assert.equal(portStatusOf(server, P1.id), 'DOWN');
      h2.revision = server.tables.revision;
      await h2.report();
      await untilStatus(server, P1.id, 'ACTIVE');
    });

    test('is DOWN when the device goes, when the port is set down, and when it is unbound', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      h1.devices.delete(P1.id);
      await h1.report();
      await untilStatus(server, P1.id, 'DOWN');
      h1.devices.add(P1.id);
      await h1.report();
      await untilStatus(server, P1.id, 'ACTIVE');
      await patchObject(place.store, 'port', P1.id, { admin_state_up: false });
      await untilStatus(server, P1.id, 'DOWN');
      await patchObject(place.store, 'port', P1.id, { admin_state_up: true });
      await untilStatus(server, P1.id, 'ACTIVE');
      await patchObject(place.store, 'port', P1.id, { 'binding:host_id': '' });
      await untilStatus(server, P1.id, 'DOWN');
      await untilTables(server, () => server.tables.of('vif').size === 0, 'report about the unbound port dropped');
    });

    test('stays ACTIVE while a host lags on a later change', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P2);
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      await untilStatus(server, P2.id, 'ACTIVE');
      h2.acknowledges = false;
      await patchObject(place.store, 'port', P1.id, { fixed_ips: [{ subnet_id: uuid(99), ip_address: '10.0.9.9' }] });
      await h1.until(() => JSON.stringify(h1.slices.get(`network:${NET.id}`)).includes('10.0.9.9'));
      await h1.report();
      assert.equal(portStatusOf(server, P1.id), 'ACTIVE');
      assert.deepEqual(server.plane.status().ports.pending, 1);
    });

    test('follows the port to another host', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      await patchObject(place.store, 'port', P1.id, { 'binding:host_id': 'h2' });
      await untilStatus(server, P1.id, 'DOWN');
      await h2.until(() => h2.slices.has(`network:${NET.id}`));
      h2.devices.add(P1.id);
      await h2.report();
      await untilStatus(server, P1.id, 'ACTIVE');
      assert.deepEqual(
        [...server.tables.of('vif').values()].map((row) => row.host),
        ['h2'],
      );
    });

    test('stays ACTIVE while an agent starts, and goes DOWN when it has started and finds no device', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      h1.disconnect();
      assert.equal((await h1.report({ revision: 0, full: true, vifs: [] })).status, 204);
      assert.equal(server.tables.of('vif').get(`h1/${P1.id}`)?.state, 'up');
      assert.equal((await h1.report({ full: true, vifs: [] })).status, 204);
      await untilStatus(server, P1.id, 'DOWN');
    });

    test('takes no acknowledgement of a revision that the store has not reached', async () => {
      await bothConnected();
      h1.acknowledges = false;
      await putObject(place.store, 'port', P1);
      await h1.until(() => h1.slices.has(`network:${NET.id}`));
      await h1.report({ revision: 1_000_000 });
      await untilTables(server, () => server.tables.of('vif').size === 1, 'device of P1');
      assert.equal(portStatusOf(server, P1.id), 'DOWN');
      assert.equal(server.plane.status().ports.pending, 1);
    });

    test('changes no slice and loses no concurrent update', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      const edits = Array.from({ length: 20 }, (_, n) =>
        patchObject(place.store, 'port', P1.id, { description: `d${n}` }),
      );
      await Promise.all(edits);
      await untilStatus(server, P1.id, 'ACTIVE');
      const puts = h1.lines.filter((line) => line.type === 'put' && line.key === 'host:h1');
      assert.equal(puts.length, 2, 'the empty host slice of the snapshot, and the one with the port');
      assert.match(server.tables.of('port').get(P1.id)?.description ?? '', /^d\d+$/);
    });
  });

  describe('reports', () => {
    test('a report and the status that follows from it are one transaction', async () => {
      await h1.register('192.0.2.1');
      await h1.connect();
      await putObject(place.store, 'network', NET);
      h1.acknowledges = false;
      const before = await putObject(place.store, 'port', P1);
      await h1.until(() => h1.slices.has('host:h1') && endpoints(h1).includes(P1.id));
      const batches: (readonly string[])[] = [];
      const stop = server.tables.onChange((_revision, changes) => {
        // The server's own row may be written meanwhile.
        const types = changes.map(({ type }) => type).filter((type) => type !== 'server');
        if (types.length > 0) batches.push(types.sort());
      });
      assert.equal(
        (await h1.report({ revision: before, vifs: [{ portId: P1.id, state: 'up', reason: null }] })).status,
        204,
      );
      stop();
      assert.deepEqual(batches, [['port', 'vif']]);
      assert.equal(portStatusOf(server, P1.id), 'ACTIVE');
    });

    test('a report is taken also when its port changes at that moment', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      const { txn } = place.store;
      let disturbed = 0;
      place.store.txn = async (compares, ops) => {
        const isStatus = ops.length > 1 && ops.some((op) => 'key' in op && op.key.includes('/vif/'));
        if (isStatus && disturbed === 0) {
          disturbed += 1;
          const other = { ...P1, name: 'other', status: 'ACTIVE' };
          await putObject({ ...place.store, txn: txn.bind(place.store) }, 'port', other);
        }
        return txn.call(place.store, compares, ops);
      };
      assert.equal((await h1.report({ vifs: [{ portId: P1.id, state: 'down', reason: null }] })).status, 204);
      assert.equal(disturbed, 1);
      await untilStatus(server, P1.id, 'DOWN');
    });

    test('refuse what is not a report, naming the field', async () => {
      await h1.register('192.0.2.1');
      const path = '/cable/v1/hosts/h1/status';
      const vif = { portId: P1.id, state: 'up', reason: null };
      for (const [field, body] of [
        ['body', []],
        ['revision', { revision: -1, full: true, vifs: [] }],
        ['full', { revision: 1, full: 1, vifs: [] }],
        ['vifs', { revision: 1, full: true, vifs: {} }],
        ['vifs\\[0\\].portId', { revision: 1, full: true, vifs: [{ ...vif, portId: '../x' }] }],
        ['vifs\\[1\\].state', { revision: 1, full: true, vifs: [vif, { ...vif, state: 'sideways' }] }],
        ['vifs\\[0\\].reason', { revision: 1, full: true, vifs: [{ ...vif, reason: 'x'.repeat(257) }] }],
      ] as const) {
        const answer = await send(server.url, 'POST', path, body);
        assert.equal(answer.status, 400, field);
        assert.match(answer.body, new RegExp(field));
      }
    });

    test('write nothing when nothing changed', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P1);
      await untilStatus(server, P1.id, 'ACTIVE');
      await h1.report({ full: true, vifs: [{ portId: P1.id, state: 'up', reason: null }] });
      const before = await contentsOf(place.store);
      for (let n = 0; n < 5; n += 1) {
        await h1.report({ full: true, vifs: [{ portId: P1.id, state: 'up', reason: null }] });
      }
      assert.deepEqual(await contentsOf(place.store), before);
    });

    test('about ports of other hosts are dropped', async () => {
      await bothConnected();
      await putObject(place.store, 'port', P2);
      await h2.until(() => h2.slices.has(`network:${NET.id}`));
      await h1.report({ vifs: [{ portId: P2.id, state: 'error', reason: 'no' }] });
      await untilTables(
        server,
        () => server.tables.of('vif').by('host', 'h1').length === 0 && portStatusOf(server, P2.id) === 'ACTIVE',
        'foreign report dropped',
      );
    });
  });
});
