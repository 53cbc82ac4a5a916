/** Clients that come to a server which knows nothing of how its slices came to be, as after a restart. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bucketOf, type ServerLine } from '@cable/model';
import { testHost, testNetwork, testPort, uuid } from '../slices/rows.fixture.ts';
import { contentsOf, seededRandom, shortTurns } from '../slices/world.fixture.ts';
import { createRig, type RigOptions, StreamClient, type StreamRig } from './stream.fixture.ts';

const NET = testNetwork(1);
const ENDPOINTS = `endpoints:${NET.id}` as const;

/** A host with a port in a network with so many others. */
async function createNetwork(others: number): Promise<StreamRig> {
  const rig = createRig();
  const { world } = rig;
  const hosts = ['h1', 'h2'].map((host, n) => world.put('host', testHost(host, `192.0.2.${n + 1}`)));
  const ports = Array.from({ length: others }, (_, n) => world.put('port', testPort(0x1000 + n, NET, 'h2')));
  rig.change(...hosts, world.put('network', NET), ...ports, world.put('port', testPort(0x11, NET, 'h1')));
  await rig.settled();
  return rig;
}

/** Another server over the same tables. */
async function restart({ world, store }: StreamRig, options: RigOptions = {}): Promise<StreamRig> {
  const rig = createRig({ ...options, world });
  for (let revision = 1; revision <= store.taken; revision += 1) rig.change();
  await rig.store.load(store.taken);
  return rig;
}

/** A client that has everything of the server, and is gone. */
async function held(rig: StreamRig): Promise<StreamClient> {
  const client = new StreamClient(rig, 'h1');
  client.connect();
  await client.reached(rig.store.revision);
  client.disconnect();
  return client;
}

function renamed(rig: StreamRig, n: number, mac: number): ReturnType<StreamRig['world']['put']> {
  const mac_address = `02:00:00:00:${mac % 90}:01`;
  return rig.world.put('port', testPort(0x1000 + n, NET, 'h2', { mac_address }));
}

function assertHolds(rig: StreamRig, client: StreamClient): void {
  assert.deepEqual(client.slices.contents(), contentsOf(rig.world.tables, client.host));
}

function ofType<T extends ServerLine['type']>(client: StreamClient, type: T): Extract<ServerLine, { type: T }>[] {
  return client.lines.filter((line): line is Extract<ServerLine, { type: T }> => line.type === type);
}

describe('a client of another server', () => {
  test('that missed a few changes of a large slice is sent the buckets that differ', async (t) => {
    const first = await createNetwork(4000);
    const client = await held(first);
    await first.stop();
    const { world } = first;
    renamed(first, 7, 1);
    world.delete('port', uuid(0x1000 + 8));
    world.put('port', testPort(0x9000, NET, 'h2'));
    const second = await restart(first);
    t.after(second.stop);
    client.connect({ rig: second });
    await client.reached(second.store.revision);
    assertHolds(second, client);
    assert.deepEqual(
      ofType(client, 'compare').map(({ key, of }) => ({ key, of })),
      [{ key: ENDPOINTS, of: 128 }],
    );
    const [reset] = ofType(client, 'reset-buckets');
    const changed = [uuid(0x1007), uuid(0x1008), uuid(0x9000)].map((item) => bucketOf(item, 128));
    assert.deepEqual([...(reset?.buckets ?? [])].sort(), [...new Set(changed)].sort());
    assert.deepEqual(ofType(client, 'reset'), []);
    const lines = ofType(client, 'put').length;
    assert.ok(lines > 3 && lines < 200, `${lines} items of 4000`);
    const next = second.change(renamed(second, 9, 2));
    await client.reached(next);
    assertHolds(second, client);
  });

  for (const [what, change] of [
    ['of which only the header differs', (rig: StreamRig) => rig.world.put('network', { ...NET, name: 'other' })],
    ['that missed most of the changes', (rig: StreamRig) => Array.from({ length: 900 }, (_, n) => renamed(rig, n, 3))],
    ['that missed nothing', () => undefined],
  ] as const) {
    test(`${what} ends with what its host is to have`, async (t) => {
      const first = await createNetwork(1000);
      const client = await held(first);
      await first.stop();
      change(first);
      const second = await restart(first);
      t.after(second.stop);
      client.connect({ rig: second });
      await client.reached(second.store.revision);
      assertHolds(second, client);
      assert.equal(ofType(client, 'reset-buckets').length, 0);
    });
  }

  test('that cannot compare, or whose slice is small, is sent all of it', async (t) => {
    for (const [others, compares] of [
      [1000, false],
      [100, true],
    ] as const) {
      const first = await createNetwork(others);
      const client = await held(first);
      await first.stop();
      renamed(first, 7, 1);
      const second = await restart(first);
      t.after(second.stop);
      client.connect({ rig: second, compares });
      await client.reached(second.store.revision);
      assertHolds(second, client);
      assert.deepEqual(ofType(client, 'compare'), []);
      assert.ok(ofType(client, 'put').length >= others);
    }
  });

  test('ends with what its host is to have, whatever changes while it compares, comes and goes', async (t) => {
    const seed = Number(process.env['CABLE_SEED'] ?? 5);
    const random = seededRandom(seed);
    let rig = await createNetwork(600);
    t.after(() => rig.stop());
    const client = await held(rig);
    const seen = { compared: 0 };
    for (let round = 0; round < 30; round += 1) {
      await rig.stop();
      for (let n = Math.floor(random() * 4); n > 0; n -= 1) renamed(rig, Math.floor(random() * 600), round);
      rig = await restart(rig, { turns: shortTurns });
      client.answers = random() < 0.7;
      client.connect({ rig, takes: random() < 0.6 });
      for (let n = 0; n < 30; n += 1) {
        const port = Math.floor(random() * 640);
        rig.change(random() < 0.7 ? renamed(rig, port, n) : rig.world.delete('port', uuid(0x1000 + port)));
        if (random() < 0.05) rig.change(rig.world.delete('port', uuid(0x11)));
        if (random() < 0.1) rig.change(rig.world.put('port', testPort(0x11, NET, 'h1')));
        await new Promise(setImmediate);
        if (random() < 0.03) client.connect({ takes: random() < 0.6 });
        if (random() < 0.03 && client.lines.length > 0) client.socket.say({ type: 'refresh' });
        for (const { key, of } of client.answers ? [] : ofType(client, 'compare')) client.answer(key, of);
      }
      client.socket.setTaking(true);
      const revision = rig.change(rig.world.put('port', testPort(0x12, NET, 'h1', { name: `name ${round}` })));
      await rig.settled();
      for (const { key, of } of client.answers ? [] : ofType(client, 'compare')) client.answer(key, of);
      client.answers = true;
      await client.reached(revision);
      assert.deepEqual(client.slices.contents(), contentsOf(rig.world.tables, 'h1'), `CABLE_SEED=${seed}, ${round}`);
      seen.compared += ofType(client, 'reset-buckets').length;
      client.disconnect();
    }
    assert.ok(seen.compared > 3, `${seen.compared} compared`);
  });

  test('many that missed different changes are each sent theirs', async (t) => {
    const first = await createNetwork(2000);
    const clients: StreamClient[] = [];
    for (let n = 0; n < 10; n += 1) {
      clients.push(await held(first));
      first.change(renamed(first, n, n), renamed(first, 100 + n, n));
      await first.settled();
    }
    await first.stop();
    const second = await restart(first);
    t.after(second.stop);
    // Agents of one host would end one another's streams.
    for (const client of clients) {
      client.connect({ rig: second });
      await client.reached(second.store.revision);
      assertHolds(second, client);
      assert.equal(ofType(client, 'reset-buckets').length, 1);
      client.disconnect();
    }
  });
});

describe('a client that is asked what it holds', () => {
  async function asked(t: { after(end: () => Promise<void>): void }, options: RigOptions = {}): Promise<StreamClient> {
    const first = await createNetwork(1000);
    const client = await held(first);
    await first.stop();
    renamed(first, 7, 1);
    const second = await restart(first, options);
    t.after(second.stop);
    client.answers = false;
    client.connect({ rig: second });
    await client.until(() => ofType(client, 'compare').length === 1);
    return client;
  }

  test('and says nothing is cut', async (t) => {
    const client = await asked(t, { keepaliveMs: 10, stalledMs: 60 });
    while (client.isConnected) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(ofType(client, 'sync'), []);
  });

  test('and says too little is refused', async (t) => {
    const client = await asked(t);
    client.socket.say({ type: 'buckets', key: ENDPOINTS, digests: [1, 2] });
    await client.until(() => ofType(client, 'refused').length === 1);
    assert.equal(ofType(client, 'refused')[0]?.code, 'InvalidInput');
  });

  for (const digests of ['[-1]', '[0.5]', '["1"]', '{}', '[[]]', '[281474976710656]']) {
    test(`and says ${digests} is refused`, async (t) => {
      const client = await asked(t);
      client.socket.say(`{"type":"buckets","key":"${ENDPOINTS}","digests":${digests}}\n`);
      await client.until(() => ofType(client, 'refused').length === 1);
    });
  }

  test('about a slice that was not asked for, or twice, changes nothing', async (t) => {
    const client = await asked(t);
    client.socket.say({ type: 'buckets', key: 'endpoints:x', digests: [1] });
    const [line] = ofType(client, 'compare');
    assert.ok(line !== undefined);
    client.answer(line.key, line.of);
    client.answer(line.key, line.of);
    await client.until(() => ofType(client, 'sync').length === 1);
    client.answer(line.key, line.of);
    client.socket.say({ type: 'refresh' });
    await client.until(() => ofType(client, 'sync').length === 2);
    assert.equal(ofType(client, 'reset-buckets').length, 1);
  });
});
