import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NodeKey, TableChange } from '@cable/compiler';
import { startTurns, type Turns } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import { testHost, testLeg, testNetwork, testPort, testRouter, testRule, testSubnet, uuid } from './rows.fixture.ts';
import type { Delta } from './slice-bytes.ts';
import { addHash, contentHash } from './slice-lines.ts';
import { type Compiled, SliceStore } from './slice-store.ts';
import {
  type Contents,
  contentsOf,
  createWorld,
  failOnError,
  randomChange,
  seededRandom,
  shortTurns,
  WORLD_HOSTS,
  type World,
} from './world.fixture.ts';

const NET = testNetwork(1);
const FAR = testNetwork(2);
const H1 = testHost('h1', '192.0.2.1');
const H2 = testHost('h2', '192.0.2.2');

type Rig = {
  readonly world: World;
  readonly store: SliceStore;
  /** Takes the changes and resolves when they are compiled. */
  apply(...changes: (TableChange | undefined)[]): Promise<Compiled>;
};

function createRig(onError: (what: string, err: unknown) => void = failOnError, turns: () => Turns = startTurns): Rig {
  const world = createWorld();
  const store = new SliceStore({ tables: world.tables, onError, turns });
  let revision = 0;
  const apply: Rig['apply'] = (...changes) => {
    const compiled = new Promise<Compiled>((resolve) => {
      const stop = store.onCompiled((one) => {
        if (one.revision < revision) return;
        stop();
        resolve(one);
      });
    });
    revision += 1;
    store.take(
      revision,
      changes.filter((change) => change !== undefined),
    );
    return compiled;
  };
  return { world, store, apply };
}

/** What the store has for a host, with digests that are right. */
async function held(store: SliceStore, host: string): Promise<Contents> {
  const contents: Contents = new Map();
  let all = 0;
  for (const key of [...store.keysOf(host)]) {
    const slice = await store.contents(key);
    assert.ok(slice !== undefined);
    contents.set(key, JSON.parse(slice.header));
    let digest = contentHash(key, null, slice.header);
    for (const [item, json] of slice.items) {
      contents.set(`${key} ${item}`, JSON.parse(json));
      digest = addHash(digest, contentHash(key, item, json));
    }
    assert.equal(store.positionOf(key, digest), store.endOf(key), `digest of ${key}`);
    all = addHash(all, digest);
  }
  assert.equal(store.digestOf(host), all);
  return contents;
}

function itemsOf(compiled: Compiled): string[] {
  return compiled.changed.map(({ key, item }) => `${key} ${item}`).sort();
}

/** Two hosts with a port each in one network. */
async function createPair(onError?: (what: string, err: unknown) => void): Promise<Rig> {
  const rig = createRig(onError);
  const { world } = rig;
  await rig.apply(
    world.put('network', NET),
    world.put('host', H1),
    world.put('host', H2),
    world.put('port', testPort(0x11, NET, 'h1')),
    world.put('port', testPort(0x12, NET, 'h2')),
  );
  return rig;
}

describe('slices are those of the tables', () => {
  test('in random worlds, in random portions, while changes keep coming', async () => {
    const seed = Number(process.env['CABLE_SEED'] ?? 7);
    const random = seededRandom(seed);
    const { world, store, apply } = createRig(failOnError, shortTurns);
    for (let round = 0; round < 400; round += 1) {
      let last: Promise<Compiled> | undefined;
      for (let portions = Math.ceil(random() * 3); portions > 0; portions -= 1) {
        last = apply(...Array.from({ length: Math.ceil(random() * 4) }, () => randomChange(world, random)));
        if (random() < 0.3) await new Promise(setImmediate);
      }
      await last;
      for (const host of WORLD_HOSTS) {
        const expected = contentsOf(world.tables, host);
        assert.deepEqual(await held(store, host), expected, `CABLE_SEED=${seed}, round ${round}, ${host}`);
        assert.equal(store.hasHost(host), expected.size > 0);
      }
    }
  });

  test('as computed change by change or all at once', async () => {
    const seed = Number(process.env['CABLE_SEED'] ?? 8);
    const random = seededRandom(seed);
    const { world, store, apply } = createRig();
    for (let step = 0; step < 300; step += 1) await apply(randomChange(world, random));
    const fresh = new SliceStore({ tables: world.tables, onError: failOnError });
    await fresh.load(1000);
    assert.equal(fresh.revision, 1000);
    assert.equal(fresh.size, store.size, 'slices that nobody needs are kept');
    for (const host of WORLD_HOSTS) {
      assert.equal(fresh.digestOf(host), store.digestOf(host));
      assert.deepEqual(await held(fresh, host), await held(store, host));
    }
  });

  test('when everything is loaded anew over what was missed', async () => {
    const { world, store } = await createPair();
    world.put('port', testPort(0x13, NET, 'h1'));
    world.put('host', testHost('h3', '192.0.2.3'));
    world.delete('port', uuid(0x12));
    world.delete('host', 'h2');
    await store.load(9);
    for (const host of WORLD_HOSTS) assert.deepEqual(await held(store, host), contentsOf(world.tables, host));
  });
});

describe('reach', () => {
  test('only registered hosts need anything, and what nobody needs is not there', async () => {
    const { world, store, apply } = createRig();
    await apply(world.put('network', NET), world.put('port', testPort(0x11, NET, 'h1')));
    assert.equal(store.size, 0);
    await apply(world.put('host', H1));
    assert.deepEqual([...store.keysOf('h1')].sort(), [
      `endpoints:${NET.id}`,
      'host:h1',
      `names:${NET.id}`,
      `network:${NET.id}`,
      'policy:',
    ]);
    await apply(world.delete('host', 'h1'));
    assert.equal(store.size, 0);
    assert.equal(store.hasHost('h1'), false);
  });

  test('a router brings the network behind it, and not the routers of that', async () => {
    const { world, store, apply } = await createPair();
    const [third, r5, r6] = [testNetwork(3), testRouter(5), testRouter(6)];
    const nets = [NET, FAR, third].map((net) => world.put('subnet', testSubnet(net)));
    await apply(
      ...nets,
      world.put('network', FAR),
      world.put('network', third),
      world.put('router', r5),
      world.put('router', r6),
      world.put('port', testLeg(0x51, r5.id, NET)),
      world.put('port', testLeg(0x52, r5.id, FAR)),
      world.put('port', testLeg(0x53, r6.id, FAR)),
      world.put('port', testLeg(0x54, r6.id, third)),
    );
    const reached = (key: NodeKey): boolean => store.reaches('h1', key);
    assert.ok(reached(`network:${FAR.id}`) && reached(`endpoints:${FAR.id}`) && reached(`router:${r5.id}`));
    assert.ok(!reached(`router:${r6.id}`) && !reached(`network:${third.id}`));
    assert.deepEqual([...store.subscribers(`network:${FAR.id}`)].sort(), ['h1', 'h2']);
  });

  test('a host that comes while a network gets a router needs that router once', async () => {
    const { world, store, apply } = await createPair();
    const [h3, router] = [testHost('h3', '192.0.2.3'), testRouter(5)];
    await apply(world.put('host', h3), world.put('router', router));
    const port = testPort(0x13, NET, 'h3');
    await apply(world.put('port', port), world.put('port', testLeg(0x51, router.id, NET)));
    assert.ok(store.reaches('h3', `router:${router.id}`));
    await apply(world.delete('port', port.id));
    assert.ok(!store.reaches('h3', `router:${router.id}`));
  });

  test('listeners are told of each slice that a host begins or ceases to need, hidden ones excepted', async () => {
    const { world, store, apply } = await createPair();
    const told: string[] = [];
    store.onReach((host, key, needed) => told.push(`${host} ${key} ${needed}`));
    const port = testPort(0x13, FAR, 'h1', { port_security_enabled: false });
    await apply(world.put('network', FAR), world.put('port', port));
    const all = (needed: boolean): string[] =>
      ['endpoints', 'names', 'network'].map((kind) => `h1 ${kind}:${FAR.id} ${needed}`);
    assert.deepEqual(told.splice(0).sort(), all(true));
    await apply(world.put('port', { ...port, name: 'other' }));
    assert.deepEqual(told, []);
    await apply(world.delete('port', port.id));
    assert.deepEqual(told.sort(), all(false));
  });

  test('what is needed for another reason at the end of a batch was never not needed', async () => {
    const { world, store, apply } = await createPair();
    const told: string[] = [];
    store.onReach((host, key) => told.push(`${host} ${key}`));
    const position = store.endOf(`endpoints:${NET.id}`) ?? 0;
    await apply(world.delete('port', uuid(0x11)), world.put('port', testPort(0x13, NET, 'h1')));
    assert.deepEqual(told, []);
    assert.equal(store.endOf(`endpoints:${NET.id}`), position + 2);
  });

  test('a port more on a host with thousands costs only that port', async () => {
    const { world, apply } = await createPair();
    await apply(...Array.from({ length: 3000 }, (_, n) => world.put('port', testPort(0x1000 + n, NET, 'h1'))));
    let reads = 0;
    const { port } = world.tables;
    const [get, by] = [port.get.bind(port), port.by.bind(port)];
    Object.assign(port, {
      get: (id: string) => {
        reads += 1;
        return get(id);
      },
      by: (index: never, key: string) => {
        reads += 1000;
        return by(index, key);
      },
    });
    await apply(world.put('port', testPort(0x9000, NET, 'h1')));
    assert.ok(reads <= 4, `${reads} reads of ports`);
  });
});

describe('what a batch reports', () => {
  test('is the items that have new content, came, or went', async () => {
    const { world, apply } = await createPair();
    const port = testPort(0x13, NET, 'h1');
    const both = [`endpoints:${NET.id} ${port.id}`, `host:h1 ${port.id}`];
    assert.deepEqual(itemsOf(await apply(world.put('port', port))), both);
    assert.deepEqual(itemsOf(await apply(world.put('port', { ...port, name: 'x' }))), [`host:h1 ${port.id}`]);
    assert.deepEqual(itemsOf(await apply(world.put('port', { ...port, status: 'ACTIVE', name: 'x' }))), []);
    assert.deepEqual(itemsOf(await apply(world.put('network', { ...NET, name: 'y' }))), [`network:${NET.id} null`]);
    assert.deepEqual(itemsOf(await apply(world.put('host', { ...H2, underlay: '192.0.2.9' }))), [
      `endpoints:${NET.id} ${uuid(0x12)}`,
    ]);
    assert.deepEqual(itemsOf(await apply(world.delete('port', port.id))), both);
  });

  test('a change that alters no item leaves digest and log as they were, and raises the revision', async () => {
    const { world, store, apply } = await createPair();
    const key: SliceKey = `network:${NET.id}`;
    const [digest, end] = [store.digestOf('h1'), store.endOf(key)];
    const { revision } = await apply(world.put('network', { ...NET, description: 'x' }));
    assert.equal(store.revision, revision);
    assert.deepEqual([store.digestOf('h1'), store.endOf(key)], [digest, end]);
  });

  test('the revision is reached when all that was touched up to it is computed, though more keeps coming', async () => {
    const { world, store } = await createPair();
    const seen: [number, number][] = [];
    store.onCompiled(({ revision }) => seen.push([revision, store.taken]));
    // How many come with one batch is the pacer's affair.
    let last = 99;
    for (let batches = 0; batches < 3 || last < 160; batches = seen.length) {
      last += 1;
      store.take(last, [world.put('port', testPort(0x1000 + last, NET, 'h1'))]);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    while (store.revision < last) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(seen[seen.length - 1]?.[0], last);
    assert.deepEqual(await held(store, 'h1'), contentsOf(world.tables, 'h1'));
  });

  test('is noted by those who send it before the revision rises, and sent before the next batch is compiled', async () => {
    const { world, store, apply } = await createPair();
    const seen: string[] = [];
    let begin = (): void => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const look = async (what: string): Promise<void> => {
      begin();
      await new Promise((resolve) => setTimeout(resolve, 10));
      seen.push(`${what} ${store.revision} ${store.isSettled}`);
    };
    const stop = store.follow({ note: () => look('note'), flush: () => look('flush') });
    const first = apply(world.put('port', testPort(0x13, NET, 'h1')));
    await begun;
    await Promise.all([first, apply(world.put('port', testPort(0x14, NET, 'h1')))]);
    stop();
    assert.deepEqual(seen, ['note 1 false', 'flush 2 true', 'note 2 false']);
  });

  test('a change after a pause is compiled in the next turn of the event loop', async () => {
    const { world, store } = await createPair();
    await new Promise((resolve) => setTimeout(resolve, 20));
    let compiled = false;
    store.onCompiled(() => {
      compiled = true;
    });
    store.take(50, [world.put('port', testPort(0x13, NET, 'h1'))]);
    assert.equal(compiled, false);
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    assert.equal(compiled, true);
  });

  test('a long computation leaves the event loop free in between', async () => {
    const { world, store } = createRig();
    world.put('host', H1);
    world.put('network', NET);
    for (let n = 0; n < 20_000; n += 1) world.put('port', testPort(0x1000 + n, NET, 'h1'));
    let turns = 0;
    let loading = true;
    const count = (): void => {
      turns += 1;
      if (loading) setImmediate(count);
    };
    setImmediate(count);
    await store.load(1);
    loading = false;
    assert.ok(turns > 10, `${turns} turns`);
  });
});

describe('what cannot be computed', () => {
  const port = testPort(0x13, NET, 'h1');
  const broken = { ...port, name: 'new', fixed_ips: null };

  test('stays as it was, also for who asks for the whole slice, and stops nothing else', async () => {
    const errors: string[] = [];
    const { world, store, apply } = await createPair((what) => errors.push(what));
    await apply(world.put('port', port));
    const before = await held(store, 'h1');
    await apply(world.put('port', broken), world.put('port', testPort(0x14, NET, 'h1')));
    assert.ok(errors.includes(`item ${port.id} of host:h1`));
    const after = await held(store, 'h1');
    assert.deepEqual(after.get(`host:h1 ${port.id}`), before.get(`host:h1 ${port.id}`));
    assert.ok(after.has(`host:h1 ${uuid(0x14)}`));
    await apply(world.put('port', { ...port, name: 'mended' }));
    assert.deepEqual(await held(store, 'h1'), contentsOf(world.tables, 'h1'));
  });

  test('is not there when it never could be', async () => {
    const errors: string[] = [];
    const { world, store, apply } = await createPair((what) => errors.push(what));
    await apply(world.put('port', broken));
    assert.ok(!(await held(store, 'h1')).has(`host:h1 ${port.id}`));
    assert.ok(errors.length > 0);
    await apply(world.put('port', port));
    assert.deepEqual(await held(store, 'h1'), contentsOf(world.tables, 'h1'));
  });

  test('a header stays as it was', async () => {
    const errors: string[] = [];
    const { world, store, apply } = await createPair((what) => errors.push(what));
    const before = await held(store, 'h1');
    await apply(world.put('subnet', { ...testSubnet(NET), dns_nameservers: null }));
    assert.deepEqual(errors, [`header of network:${NET.id}`]);
    assert.deepEqual(await held(store, 'h1'), before);
    await apply(world.put('subnet', testSubnet(NET)));
    assert.deepEqual(await held(store, 'h1'), contentsOf(world.tables, 'h1'));
  });
});

describe('log', () => {
  test('knows the position of a client by the digest of what it holds, deletions among what follows', async () => {
    const { world, store, apply } = await createPair();
    const key: SliceKey = `endpoints:${NET.id}`;
    const then = digestOf(await held(store, 'h1'), key);
    await apply(world.put('port', testPort(0x13, NET, 'h2')));
    await apply(world.delete('port', uuid(0x12)));
    const position = store.positionOf(key, then) ?? -1;
    const lines = deltaOf(store, key, position)?.lines.trimEnd().split('\n') ?? [];
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)).map(({ type, item }) => [type, item]),
      [
        ['put', uuid(0x13)],
        ['delete', uuid(0x12)],
      ],
    );
    assert.equal(store.positionOf(key, then + 1), undefined);
  });

  test('is bounded: a position before its beginning is not known', async () => {
    const { world, store, apply } = await createPair();
    const key: SliceKey = `endpoints:${NET.id}`;
    const [then, position] = [digestOf(await held(store, 'h1'), key), store.endOf(key) ?? 0];
    for (let n = 0; n < 100; n += 1)
      await apply(world.put('port', testPort(0x13, NET, 'h2', { mac_address: `02:00:00:00:09:${n}` })));
    assert.equal(store.positionOf(key, then), undefined);
    assert.equal(deltaOf(store, key, position), undefined);
    const end = store.endOf(key) ?? 0;
    assert.ok(deltaOf(store, key, end - 16) !== undefined);
  });

  test('a slice that went and came again has none of its positions', async () => {
    const { world, store, apply } = await createPair();
    const key: SliceKey = `endpoints:${NET.id}`;
    const [then, position] = [digestOf(await held(store, 'h1'), key), store.endOf(key) ?? 0];
    await apply(world.delete('network', NET.id));
    assert.equal(store.neededBy('h1', key), undefined);
    await apply(world.put('network', NET));
    assert.equal(deltaOf(store, key, position), undefined);
    assert.equal(store.positionOf(key, then), store.endOf(key), 'equal content has the equal digest');
  });
});

test('a rule brings the group that it names to the hosts of the policy', async () => {
  const { world, store, apply } = await createPair();
  const [g1, g2] = [uuid(0x71), uuid(0x72)];
  await apply(
    world.put('port', testPort(0x13, NET, 'h1', { security_groups: [g1] })),
    world.put('security_group_rule', testRule(0x81, g1, g2)),
  );
  assert.ok(store.reaches('h1', `group:${g2}`) && !store.reaches('h2', `group:${g2}`));
  await apply(world.put('security_group_rule', testRule(0x81, g1, null)));
  assert.ok(!store.reaches('h1', `group:${g2}`));
});

function deltaOf(store: SliceStore, key: SliceKey, position: number): Delta | undefined {
  const slice = store.neededBy('h1', key);
  return slice && store.delta(slice, position);
}

function digestOf(contents: Contents, key: SliceKey): number {
  let digest = 0;
  for (const [name, value] of contents) {
    const [slice, item = null] = name.split(' ');
    if (slice === key) digest = addHash(digest, contentHash(key, item, JSON.stringify(value)));
  }
  return digest;
}
