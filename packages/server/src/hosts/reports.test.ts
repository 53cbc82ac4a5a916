import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Logger, silentLogger } from '@cable/kit';
import { BUILT_IN_REGISTRY, type Host, type VifStatus } from '@cable/model';
import { StoreError } from '@cable/store';
import { LoadedResources, ResourceRegistry } from '../engine/registry.ts';
import { AddressBook } from '../resources/address-book.ts';
import { hostModule } from '../resources/host.ts';
import { testNetwork, testPort, uuid } from '../slices/rows.fixture.ts';
import { type FakeServer, startFakeServer, until } from './fakes.fixture.ts';
import { contentsOf, openTemporaryStore, putObject } from './objects.fixture.ts';

const NET = testNetwork(1);
const P1 = testPort(0x11, NET, 'h1');

/** How many entries were put into maps while `act` ran. */
function entriesPut(act: () => void): number {
  const { set } = Map.prototype;
  let count = 0;
  Map.prototype.set = function (key, value) {
    count += 1;
    return set.call(this, key, value);
  };
  try {
    act();
  } finally {
    Map.prototype.set = set;
  }
  return count;
}

describe('reports', () => {
  let place: Awaited<ReturnType<typeof openTemporaryStore>>;
  let server: FakeServer;
  const warnings: (readonly [string, object])[] = [];
  const log: Logger = {
    ...silentLogger(),
    warn: (fields, message) => warnings.push([message, fields]),
    child: () => log,
  };

  beforeEach(async () => {
    place = await openTemporaryStore();
    warnings.length = 0;
    server = await startFakeServer(place.store, log);
  });

  afterEach(async () => {
    await server.stop();
    await place.remove();
  });

  const stateOf = (portId: string): string | undefined => server.tables.of('vif').get(`h1/${portId}`)?.state;
  const statusOf = (portId: string): string | undefined => server.tables.of('port').get(portId)?.status;
  /** Ports 1 to 3 of the host. */
  const putPorts = async (): Promise<void> => {
    for (let n = 1; n <= 3; n += 1) await putObject(place.store, 'port', testPort(n, NET, 'h1'));
    await until(() => server.tables.of('port').size === 3, 'ports');
  };
  const vif = (n: number, state: VifStatus['state'] = 'up'): VifStatus => ({ portId: uuid(n), state, reason: null });

  test('of a device and the status that follows from it are one transaction', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    const revision = await putObject(place.store, 'port', P1);
    await until(() => agent.revision >= revision, 'programmed');
    const batches: string[][] = [];
    const stop = server.tables.onChange((_, changes) => {
      const types = changes.map(({ type }) => type).filter((type) => type === 'port' || type === 'vif');
      if (types.length > 0) batches.push(types.sort());
    });
    agent.up(P1.id);
    await until(() => statusOf(P1.id) === 'ACTIVE', 'ACTIVE');
    stop();
    assert.deepEqual(batches[0], ['port', 'vif']);
  });

  test('from a stream are tried again while the store is away, the last word for each device', async () => {
    await putPorts();
    const agent = await server.join('h1', '192.0.2.1');
    await until(() => agent.revision > 0, 'programmed');
    const { txn } = place.store;
    let refused = 0;
    place.store.txn = async (compares, ops) => {
      if (refused < 3 && ops.some((op) => 'key' in op && op.key.includes('/vif/'))) {
        refused += 1;
        throw new StoreError('unavailable', 'away');
      }
      return txn.call(place.store, compares, ops);
    };
    agent.report([vif(1), vif(2)]);
    agent.report([vif(2, 'down')]);
    agent.report([vif(3)]);
    await until(() => stateOf(uuid(3)) !== undefined, 'written');
    assert.deepEqual([stateOf(uuid(1)), stateOf(uuid(2)), stateOf(uuid(3))], ['up', 'down', 'up']);
    assert.equal(refused, 3);
    assert.equal(agent.ended, undefined);
  });

  test('from a stream are not tried any more when it is over', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    await until(() => agent.revision > 0, 'programmed');
    const { txn } = place.store;
    let tries = 0;
    place.store.txn = async (compares, ops) => {
      if (!ops.some((op) => 'key' in op && op.key.includes('/vif/'))) return txn.call(place.store, compares, ops);
      tries += 1;
      agent.end('closed');
      throw new StoreError('unavailable', 'away');
    };
    agent.report([vif(1)]);
    await until(() => tries === 1, 'first try');
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(tries, 1);
  });

  test('that name all devices drop the others, but not when nothing is programmed yet', async () => {
    await putPorts();
    const agent = await server.join('h1', '192.0.2.1');
    await until(() => agent.revision > 0, 'programmed');
    agent.report([vif(1), vif(2)]);
    await until(() => stateOf(uuid(2)) === 'up', 'both');
    agent.report([], { full: true, revision: 0 });
    agent.report([vif(3)]);
    await until(() => stateOf(uuid(3)) === 'up', 'third');
    assert.deepEqual([stateOf(uuid(1)), stateOf(uuid(2))], ['up', 'up']);
    agent.report([vif(2)], { full: true });
    await until(() => stateOf(uuid(1)) === undefined && stateOf(uuid(3)) === undefined, 'others dropped');
    assert.equal(stateOf(uuid(2)), 'up');
  });

  test('of more devices than a host may have end its stream', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    for (let part = 0; part < 4; part += 1) {
      agent.report(
        Array.from({ length: 4096 }, (_, n) => vif(part * 4096 + n, 'down')),
        { revision: 1_000_000 },
      );
    }
    await until(() => agent.ended !== undefined, 'ended');
    assert.match(agent.ended ?? '', /more than 8192 devices: a host may have that many/);
  });

  test('of a host with as many devices as it may have are taken for those, and refused for others', async () => {
    await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '1' });
    const port = testPort(1, NET, 'h1');
    await putObject(place.store, 'port', port);
    await until(() => server.tables.of('port').size === 1, 'port');
    await server.plane.report('h1', { revision: 0, full: false, vifs: [vif(1)] });
    const { any } = server.tables;
    server.tables.any = (type) => {
      const table = any.call(server.tables, type);
      return type === 'vif' ? Object.assign(table, { count: () => 8192 }) : table;
    };
    await server.plane.report('h1', { revision: 0, full: false, vifs: [vif(1, 'down')] });
    assert.equal(stateOf(uuid(1)), 'down');
    const others = server.plane.report('h1', { revision: 0, full: false, vifs: [vif(2)] });
    await assert.rejects(others, /more than 8192 devices/);
  });

  test('that wait are not copied for each that comes', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    for (let part = 0; part < 2; part += 1) {
      agent.report(
        Array.from({ length: 4096 }, (_, n) => vif(part * 4096 + n, 'down')),
        { revision: 1_000_000 },
      );
    }
    const lines = 500;
    const copied = entriesPut(() => {
      for (let n = 0; n < lines; n += 1) agent.report([], { revision: 1_000_000 });
    });
    assert.ok(copied < 10 * lines, `${lines} lines copied ${copied} entries`);
    agent.end('over');
  });

  test('of an agent that knows of no parts forget nothing when its first line alone is full', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    await until(() => agent.revision > 0, 'programmed');
    const vifs = Array.from({ length: 4096 }, (_, n) => vif(n, 'down'));
    await server.plane.register('h3', { underlay: '192.0.2.3', agentVersion: '1' });
    await putObject(place.store, 'port', testPort(5000, NET, 'h3'));
    await until(() => server.tables.of('port').size === 1, 'port');
    await server.plane.report('h3', { revision: agent.revision, full: false, vifs: [vif(5000, 'down')] });
    await server.plane.report('h3', { revision: agent.revision, full: true, vifs });
    assert.equal(server.tables.of('vif').get(`h3/${uuid(5000)}`)?.state, 'down');
  });

  test('write nothing when nothing changed', async () => {
    await putPorts();
    const agent = await server.join('h1', '192.0.2.1');
    await until(() => agent.revision > 0, 'programmed');
    agent.report([vif(1)]);
    await until(() => stateOf(uuid(1)) === 'up', 'written');
    await until(() => server.tables.of('server').get(server.id)?.behind['h1'] === undefined, 'up to date');
    const before = await contentsOf(place.store);
    for (let n = 0; n < 5; n += 1) agent.report([vif(1)], { full: true });
    agent.report();
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.deepEqual(await contentsOf(place.store), before);
  });

  test('of protocol 1 are answered when what they change is durable', async () => {
    await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '1' });
    await server.plane.report('h1', { revision: 0, full: false, vifs: [vif(1)] });
    assert.equal(stateOf(uuid(1)), 'up');
    await assert.rejects(server.plane.report('h2', { revision: 0, full: false, vifs: [] }), /not registered/);
  });

  test('of a revision that the store has not reached prove nothing', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    agent.acknowledges = false;
    const revision = await putObject(place.store, 'port', P1);
    await until(() => agent.sent >= revision, 'sent');
    agent.report([{ portId: P1.id, state: 'up', reason: null }], { revision: 1_000_000 });
    await until(() => stateOf(P1.id) === 'up', 'written');
    assert.equal(statusOf(P1.id), 'DOWN');
    assert.equal(server.plane.status().ports.pending, 1);
  });

  test('of entries that the kernel refused show at the host, at any server, prove what they would prove, and are told once', async () => {
    const other = await startFakeServer(place.store);
    const agent = await server.join('h1', '192.0.2.1');
    const resources = new ResourceRegistry(new LoadedResources(BUILT_IN_REGISTRY));
    const deps = { resources, settings: { underlayMtuBytes: 1500 }, addresses: new AddressBook() };
    const shown = (at = other): unknown[] => {
      const host = at.tables.of('host').get('h1');
      const { refused_entries: entries, refused_reason: reason } =
        hostModule.present?.(at.tables, host as Host, deps) ?? {};
      return [entries, reason];
    };
    try {
      await until(() => other.tables.of('host').get('h1') !== undefined, 'known');
      assert.deepEqual(shown(), [0, null]);
      const revision = await putObject(place.store, 'port', P1);
      await until(() => agent.revision >= revision, 'programmed');
      const full = { entries: 3, reason: 'map cb_ep_2 is full' };
      for (let n = 0; n < 3; n += 1) agent.report([], { refused: full });
      agent.report([vif(0x11)], { refused: full });
      await until(() => shown()[0] === 3, 'shown');
      assert.deepEqual(shown(server), [3, 'map cb_ep_2 is full']);
      await until(() => statusOf(P1.id) === 'ACTIVE', 'ACTIVE all the same');
      assert.deepEqual(
        warnings.filter(([message]) => message.includes('refused entries')).map(([, fields]) => fields),
        [{ host: 'h1', ...full }],
      );
      agent.report();
      await until(() => shown()[0] === 0, 'over');
    } finally {
      await other.stop();
    }
  });

  test('are taken also when the port changes at that moment', async () => {
    const agent = await server.join('h1', '192.0.2.1');
    const revision = await putObject(place.store, 'port', P1);
    await until(() => agent.revision >= revision, 'programmed');
    const { txn } = place.store;
    let disturbed = 0;
    place.store.txn = async (compares, ops) => {
      const isStatus = ops.length > 1 && ops.some((op) => 'key' in op && op.key.includes('/vif/'));
      if (isStatus && disturbed === 0) {
        disturbed += 1;
        await putObject({ ...place.store, txn: txn.bind(place.store) }, 'port', { ...P1, name: 'other' });
      }
      return txn.call(place.store, compares, ops);
    };
    agent.up(P1.id);
    await until(() => statusOf(P1.id) === 'ACTIVE', 'ACTIVE');
    assert.equal(disturbed, 1);
    assert.equal(server.tables.of('port').get(P1.id)?.name, 'other');
  });
});
