import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Logger } from '@cable/kit';
import { silentLogger } from '@cable/kit';
import { BUILT_IN_RESOURCES, CableError, type HostRegistration } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { lookAt } from '../engine/plan.ts';
import { aliveKey, objectKey, serverKey, underlayKey } from '../keys.ts';
import { AddressBook } from '../resources/address-book.ts';
import { hostModule } from '../resources/host.ts';
import type { AliveRow } from '../rows.ts';
import { testNetwork, testPort } from '../slices/rows.fixture.ts';
import { Tables } from '../tables.ts';
import { type FakeServer, startFakeServer, until } from './fakes.fixture.ts';
import { deleteObject, openTemporaryStore, putObject } from './objects.fixture.ts';
import { HostRegistry } from './registry.ts';
import { grantServerLease, ServerLease } from './server-lease.ts';

const V1: HostRegistration = { underlay: '192.0.2.1', agentVersion: '1' };

/** One run of an agent on a machine. */
function run(agentId: string, underlay: string, previousSession: string | null = null): HostRegistration {
  return { underlay, agentVersion: '2', agentId, session: randomUUID(), previousSession, protocol: 2 };
}

function code(wanted: string): (err: unknown) => boolean {
  return (err) => err instanceof CableError && err.code === wanted;
}

describe('hosts', () => {
  let place: Awaited<ReturnType<typeof openTemporaryStore>>;
  let server: FakeServer;
  const servers: FakeServer[] = [];
  const warnings: (readonly [Readonly<Record<string, unknown>>, string])[] = [];
  const log: Logger = {
    ...silentLogger(),
    warn: (fields, message) => warnings.push([{ ...fields }, message]),
    child: () => log,
  };

  async function start(): Promise<FakeServer> {
    const started = await startFakeServer(place.store, log);
    servers.push(started);
    return started;
  }

  beforeEach(async () => {
    place = await openTemporaryStore();
    warnings.length = 0;
    server = await start();
  });

  afterEach(async () => {
    for (const one of servers.splice(0)) await one.stop();
    await place.remove();
  });

  const refusals = () => warnings.filter(([, message]) => message.startsWith('host refused'));
  const alive = (host: string, at = server) => at.tables.of('alive').get(host);

  describe('registration', () => {
    test('tells the protocol and the history, and says where and who the host is', async () => {
      const agent = run(randomUUID(), '192.0.2.1');
      const welcome = await server.plane.register('h1', agent);
      assert.deepEqual(welcome, { protocol: 2, history: server.history.current });
      const { server: at, agentId, session, underlay, since } = alive('h1') ?? {};
      assert.deepEqual(
        { at, agentId, session, underlay },
        { at: server.id, agentId: agent.agentId, session: agent.session, underlay: '192.0.2.1' },
      );
      assert.match(since ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal((await server.plane.register('h2', { ...V1, underlay: '192.0.2.2' })).protocol, 1);
      const newer = { ...run(randomUUID(), '192.0.2.3'), protocol: 9 };
      assert.equal((await server.plane.register('h3', newer)).protocol, 2);
    });

    test('writes nothing when it is repeated', async () => {
      const agent = run(randomUUID(), '192.0.2.1');
      await server.plane.register('h1', agent);
      const { revision } = await place.store.list('/cable/o/');
      await server.plane.register('h1', agent);
      assert.equal((await place.store.get(aliveKey('h1')))?.modRevision, revision);
    });

    test('writes the host only when something of it has changed', async () => {
      const agentId = randomUUID();
      await server.plane.register('h1', run(agentId, '192.0.2.1'));
      const first = await place.store.get(objectKey('host', 'h1'));
      await server.plane.register('h1', run(agentId, '192.0.2.1'));
      assert.equal((await place.store.get(objectKey('host', 'h1')))?.modRevision, first?.modRevision);
      await server.plane.register('h1', { ...run(agentId, '192.0.2.1'), agentVersion: '3' });
      assert.equal(server.tables.of('host').get('h1')?.agent_version, '3');
    });

    test('keeps the MTU of the underlay as it was told last; of an agent that tells none it is not known', async () => {
      const agent = run(randomUUID(), '192.0.2.1');
      const mtu = () => server.tables.of('host').get('h1')?.underlay_mtu;
      await server.plane.register('h1', { ...agent, underlayMtuBytes: 1500 });
      assert.equal(mtu(), 1500);
      await server.plane.register('h1', { ...agent, underlayMtuBytes: 1400 });
      assert.equal(mtu(), 1400);
      const written = await place.store.get(objectKey('host', 'h1'));
      await server.plane.register('h1', { ...agent, underlayMtuBytes: 1400 });
      assert.equal((await place.store.get(objectKey('host', 'h1')))?.modRevision, written?.modRevision);
      await server.plane.register('h1', agent);
      assert.equal(mtu(), null);
    });

    test('refuses an underlay address that another host has, and frees the one that a host leaves', async () => {
      const agentId = randomUUID();
      const first = run(agentId, '192.0.2.1');
      await server.plane.register('h1', first);
      await assert.rejects(server.plane.register('h2', run(randomUUID(), '192.0.2.1')), code('UnderlayAddressInUse'));
      await server.plane.register('h1', run(agentId, '192.0.2.3', first.session));
      await server.plane.register('h2', run(randomUUID(), '192.0.2.1'));
      assert.equal((await place.store.get(underlayKey('192.0.2.1')))?.value, 'h2');
    });

    test('takes the address of a host that is no more', async () => {
      await server.plane.register('h1', run(randomUUID(), '192.0.2.1'));
      await deleteObject(place.store, 'host', 'h1');
      await until(() => server.tables.of('host').size === 0, 'host deleted');
      await server.plane.register('h2', run(randomUUID(), '192.0.2.1'));
      assert.equal(server.tables.of('host').get('h2')?.underlay, '192.0.2.1');
    });

    test('of many at once is a few transactions, of which one bad host spoils only its own', async () => {
      await server.plane.register('first', run(randomUUID(), '198.51.100.1'));
      let txns = 0;
      const { txn } = place.store;
      place.store.txn = (compares, ops) => {
        txns += 1;
        return txn.call(place.store, compares, ops);
      };
      const results = await Promise.allSettled(
        Array.from({ length: 500 }, (_, n) =>
          server.plane.register(`h${n}`, run(randomUUID(), n === 250 ? '198.51.100.1' : `10.0.${n >> 8}.${n & 255}`)),
        ),
      );
      assert.deepEqual(
        results.flatMap(({ status }, n) => (status === 'rejected' ? [n] : [])),
        [250],
      );
      assert.equal(server.tables.of('host').size, 500);
      assert.equal(server.tables.of('alive').size, 500);
      assert.ok(txns < 20, `${txns} transactions`);
    });

    test('of a claim that the tables do not show is planned from the store, and its group goes on', async () => {
      await place.store.txn([], [{ kind: 'put', key: underlayKey('10.0.0.7'), value: 'gone' }]);
      await Promise.all(
        Array.from({ length: 20 }, (_, n) => server.plane.register(`h${n}`, run(randomUUID(), `10.0.0.${n}`))),
      );
      assert.equal(server.tables.of('alive').size, 20);
      assert.equal((await place.store.get(underlayKey('10.0.0.7')))?.value, 'h7');
    });

    test('of one name by two machines at the same moment lets one in', async () => {
      const results = await Promise.allSettled(
        ['192.0.2.1', '192.0.2.2'].map((underlay) => server.plane.register('h1', run(randomUUID(), underlay))),
      );
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    });
  });

  describe('a name that is alive', () => {
    test('is refused to another machine, and the log names both addresses', async () => {
      const agent = await server.join('h1', '192.0.2.1');
      await assert.rejects(server.plane.register('h1', run(randomUUID(), '192.0.2.2')), code('HostNameInUse'));
      assert.equal(agent.ended, undefined);
      assert.equal(server.tables.of('host').get('h1')?.underlay, '192.0.2.1');
      const [fields, message] = refusals()[0] ?? [];
      assert.equal(message, 'host refused: another machine has its name');
      const { reason, ...others } = fields ?? {};
      assert.deepEqual(others, { host: 'h1', underlay: '192.0.2.2', holderUnderlay: '192.0.2.1' });
      assert.match(String(reason), /Host h1 is alive at 192\.0\.2\.1/);
    });

    test('is refused at every try, and the log says so once for each reason, and again when it had been let in', async () => {
      await server.join('h1', '192.0.2.1');
      const tryAs = async (host: string, underlay: string, wanted: string): Promise<void> => {
        await assert.rejects(server.plane.register(host, run(randomUUID(), underlay)), code(wanted));
      };
      for (let n = 0; n < 3; n += 1) {
        await tryAs('h1', '192.0.2.2', 'HostNameInUse');
        await tryAs('h1', '192.0.2.3', 'HostNameInUse');
        await tryAs('h2', '192.0.2.1', 'UnderlayAddressInUse');
      }
      assert.deepEqual(
        refusals().map(([{ host, underlay }, message]) => [host, underlay, message]),
        [
          ['h1', '192.0.2.2', 'host refused: another machine has its name'],
          ['h1', '192.0.2.3', 'host refused: another machine has its name'],
          ['h2', '192.0.2.1', 'host refused: another host has its underlay address'],
        ],
      );
      await server.plane.register('h2', run(randomUUID(), '192.0.2.4'));
      await tryAs('h2', '192.0.2.1', 'UnderlayAddressInUse');
      assert.equal(refusals().length, 4);
    });

    test('is refused to another machine also at another server', async () => {
      await server.join('h1', '192.0.2.1');
      const other = await start();
      await assert.rejects(other.plane.register('h1', run(randomUUID(), '192.0.2.2')), code('HostNameInUse'));
    });

    test('is refused to a copy of the machine while the true one has its stream', async () => {
      const agentId = randomUUID();
      const agent = await server.join('h1', '192.0.2.1', { agentId });
      const next = (): HostRegistration => run(agentId, '192.0.2.2', agent.session);
      await assert.rejects(server.plane.register('h1', next()), code('HostNameInUse'));
      agent.end('closed');
      for (const session of [null, randomUUID()]) {
        const copy = run(agentId, '192.0.2.2', session);
        await assert.rejects(
          server.plane.register('h1', copy),
          code('HostNameInUse'),
          'a copy that knows an earlier run',
        );
      }
      await server.plane.register('h1', next());
      assert.equal(server.tables.of('host').get('h1')?.underlay, '192.0.2.2');
    });

    test('goes to a new run of the same machine, whose old stream ends and whose old reports are refused', async () => {
      const agentId = randomUUID();
      const agent = await server.join('h1', '192.0.2.1', { agentId });
      const next = await server.join('h1', '192.0.2.1', { agentId });
      assert.equal(agent.ended, 'HostSuperseded');
      await assert.rejects(server.plane.streams.connect('h1', agent.session), code('HostSuperseded'));
      assert.equal(next.ended, undefined);
      const nameless = { code: 'HostSuperseded', message: /names its run, and this request names none/ };
      await assert.rejects(
        server.plane.watchV1('h1', 0, () => new PassThrough()),
        nameless,
      );
      await assert.rejects(server.plane.report('h1', { revision: 1, full: false, vifs: [] }), nameless);
      assert.equal(next.ended, undefined);
    });

    test('needs a registration before a stream', async () => {
      await assert.rejects(server.plane.streams.connect('h1', randomUUID()), code('HostNotRegistered'));
      await assert.rejects(
        server.plane.watchV1('h1', 0, () => new PassThrough()),
        code('HostNotRegistered'),
      );
    });

    test('is refused to an agent that has seen another history of the store', async () => {
      const agent = await server.join('h1', '192.0.2.1');
      const history = server.history.current;
      const since = server.tables.revision;
      await server.plane.streams.connect('h1', agent.session, { history, since });
      const other = { ...history, mark: `1-${'0'.repeat(16)}` };
      await assert.rejects(
        server.plane.streams.connect('h1', agent.session, { history: other, since }),
        code('OtherHistory'),
      );
      const foreign = { ...history, cluster: randomUUID() };
      await assert.rejects(
        server.plane.streams.connect('h1', agent.session, { history: foreign, since }),
        /another one/,
      );
    });

    test('goes to a machine that lost its state directory, at the same address', async () => {
      await server.join('h1', '192.0.2.1');
      await server.plane.register('h1', run(randomUUID(), '192.0.2.1'));
    });

    test('of an agent of protocol 1 goes to another address as before, unless it has a stream here', async () => {
      await server.plane.register('h1', V1);
      await server.plane.register('h1', { ...V1, underlay: '192.0.2.2' });
      await server.plane.watchV1('h1', 0, () => new PassThrough());
      await assert.rejects(server.plane.register('h1', { ...V1, underlay: '192.0.2.3' }), code('HostNameInUse'));
      await server.plane.register('h1', run(randomUUID(), '192.0.2.2'));
    });

    test('of an entry that an older server wrote is judged by the host’s own address', async () => {
      await server.plane.register('h1', V1);
      await place.store.txn([], [{ kind: 'put', key: aliveKey('h1'), value: '{}' }]);
      await until(() => alive('h1')?.server === null, 'old entry');
      await assert.rejects(server.plane.register('h1', run(randomUUID(), '192.0.2.2')), code('HostNameInUse'));
      await server.plane.register('h1', run(randomUUID(), '192.0.2.1'));
    });
  });
});

describe('liveness', () => {
  let place: Awaited<ReturnType<typeof openTemporaryStore>>;
  const places: Place[] = [];

  /** One server's registry without the rest of it. */
  type Place = {
    readonly id: string;
    readonly registry: HostRegistry;
    readonly lease: ServerLease;
    readonly tables: Tables;
    now: number;
    stop(): Promise<void>;
  };

  async function start(): Promise<Place> {
    const abort = new AbortController();
    const { signal } = abort;
    const { store } = place;
    const log = silentLogger();
    const id = randomUUID();
    const tables = new Tables({ store, resources: BUILT_IN_RESOURCES, log, signal });
    await tables.start();
    const state = { now: 0 };
    const lease = ServerLease.keep(
      { store, log, signal, onReplaced: () => registry.rewrite() },
      await grantServerLease(store),
    );
    const registry: HostRegistry = new HostRegistry({
      ...{ store, tables, server: id, lease, log, signal },
      hasStream: () => false,
      onEntry: () => {},
      beat: () => ({ kind: 'put', key: serverKey(id), value: '{}', lease: lease.id }),
      now: () => new Date(),
      monotonicMs: () => state.now,
    });
    tables.onChange((_, changes) => {
      for (const { type, id: host, after } of changes) {
        if (type === 'alive' && after === undefined) registry.lost(host);
        else if (type === 'alive') registry.follow(after as unknown as AliveRow);
      }
    });
    const stop = async (): Promise<void> => {
      abort.abort();
      await Promise.all([registry.done, tables.stopped(), lease.done]);
    };
    const started = Object.assign(state, { id, registry, lease, tables, stop });
    places.push(started);
    return started;
  }

  beforeEach(async () => {
    place = await openTemporaryStore();
  });

  afterEach(async () => {
    for (const one of places.splice(0)) await one.stop();
    await place.remove();
  });

  /** Goes on second by second, as the sweeps do. */
  async function pass(at: Place, seconds: number, each: () => void = () => {}): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      at.now += 1000;
      each();
      await at.registry.sweep();
    }
  }

  async function registerSome(at: Place, count: number): Promise<HostRegistration[]> {
    const runs = Array.from({ length: count }, (_, n) => run(randomUUID(), `10.1.${n >> 8}.${n & 255}`));
    await Promise.all(runs.map((one, n) => at.registry.register(`h${n}`, one)));
    return runs;
  }

  test('ends twenty seconds after the last word, for all that are silent in one transaction', async () => {
    const a = await start();
    const runs = await registerSome(a, 100);
    const { revision } = await place.store.list('/cable/');
    await pass(a, 20, () => a.registry.hear('h0', runs[0]?.session ?? null));
    assert.equal(a.tables.of('alive').size, 100);
    await pass(a, 1, () => a.registry.hear('h0', runs[0]?.session ?? null));
    await until(() => a.tables.of('alive').size === 1, 'silent hosts dead');
    assert.ok(a.tables.of('alive').get('h0'));
    assert.equal((await place.store.list('/cable/')).revision, revision + 1);
    assert.throws(() => a.registry.hear('h1', runs[1]?.session ?? null), code('HostNotRegistered'));
  });

  test('does not end because the server did not listen', async () => {
    const a = await start();
    await registerSome(a, 2);
    a.now += 60_000;
    await a.registry.sweep();
    await pass(a, 15);
    assert.equal(a.tables.of('alive').size, 2);
    await pass(a, 6);
    await until(() => a.tables.of('alive').size === 0, 'silent hosts dead');
  });

  test('one lease carries all hosts, and when it is lost those that were heard are alive again', async () => {
    const a = await start();
    await registerSome(a, 50);
    const leases = new Set((await place.store.list(aliveKey(''))).kvs.map((kv) => kv.lease));
    assert.deepEqual([...leases], [a.lease.id]);
    const lost = a.lease.id;
    await place.store.revokeLease(lost);
    await until(() => a.lease.id !== lost, 'another lease');
    await until(() => a.tables.of('alive').size === 50, 'hosts alive again');
    const again = new Set((await place.store.list(aliveKey(''))).kvs.map((kv) => kv.lease));
    assert.deepEqual([...again], [a.lease.id]);
  });

  test('a host whose key is lost is alive again at its next word, but not one that was deleted', async () => {
    const a = await start();
    const [one] = await registerSome(a, 1);
    await place.store.txn([], [{ kind: 'delete', key: aliveKey('h0') }]);
    await until(() => a.tables.of('alive').get('h0') !== undefined, 'h0 alive again');
    await deleteObject(place.store, 'host', 'h0');
    await place.store.txn([], [{ kind: 'delete', key: aliveKey('h0') }]);
    await until(() => a.tables.of('alive').size === 0, 'gone');
    a.registry.hear('h0', one?.session ?? null);
    await assert.rejects(a.registry.kept('h0'), code('TooManyRequestsAtOnce'));
    assert.equal(a.tables.of('alive').size, 0);
  });

  test('a host that speaks to another server becomes that one’s, and its silence at the first ends nothing', async () => {
    const [a, b] = [await start(), await start()];
    const [one] = await registerSome(a, 1);
    await until(() => b.tables.of('alive').size === 1, 'b knows');
    b.registry.hear('h0', one?.session ?? null);
    await b.registry.kept('h0');
    assert.equal(b.tables.of('alive').get('h0')?.server, b.id);
    await until(() => a.tables.of('alive').get('h0')?.server === b.id, 'a knows');
    await pass(a, 30);
    assert.equal(a.tables.of('alive').get('h0')?.server, b.id);
    const stopped = places.indexOf(b);
    places.splice(stopped, 1);
    await b.stop();
    await place.store.revokeLease(b.lease.id);
    await until(() => a.tables.of('alive').size === 0, 'the end of its server’s lease ends the host');
  });
});

test('a dead host that has ports is not deleted, and the message says what to do', async () => {
  const place = await openTemporaryStore();
  const server = await startFakeServer(place.store);
  try {
    await server.plane.register('h1', V1);
    const { hosts } = server.plane.status();
    assert.deepEqual([hosts.registered, hosts.alive], [1, 1]);
    const net = testNetwork(1);
    await putObject(place.store, 'port', testPort(0x11, net, 'h1'));
    await place.store.txn([], [{ kind: 'put', key: aliveKey('h1'), value: '{}' }]);
    await until(() => server.tables.of('port').size === 1, 'port');
    const host = server.tables.of('host').get('h1');
    assert.ok(host);
    const plan = lookAt({ tables: server.tables, addresses: new AddressBook() });
    const remove = (): void =>
      hostModule.remove?.({ deps: { tables: server.tables }, plan } as unknown as Planning, host);
    assert.throws(remove, { type: 'HostInUse', message: 'Host h1 is alive.', detail: /^Stop its agent;/ });
    await place.store.txn([], [{ kind: 'delete', key: objectKey('host', 'h1') }]);
    await until(() => server.tables.of('host').size === 0, 'host row gone');
    await place.store.txn([], [{ kind: 'delete', key: aliveKey('h1') }]);
    await until(() => server.tables.of('alive').size === 0, 'dead');
    assert.throws(remove, {
      message: 'Host h1 has 1 ports bound to it.',
      detail: /cable port list --host h1.*ports\?binding:host_id=h1.*delete each, or give it/,
    });
  } finally {
    await server.stop();
    await place.remove();
  }
});
