import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type AgentLine, CableError, type ServerLine, type VifStatus } from '@cable/model';
import { testHost, testNetwork, testPort, uuid } from '../slices/rows.fixture.ts';
import { contentsOf, randomChange, seededRandom, shortTurns, WORLD_HOSTS } from '../slices/world.fixture.ts';
import { createRig, HISTORY, type RigOptions, StreamClient, type StreamRig, within } from './stream.fixture.ts';

const NET = testNetwork(1);
const H1 = testHost('h1', '192.0.2.1');
const H2 = testHost('h2', '192.0.2.2');

/** A network with a port on h1 and `others` ports on another host. */
async function createNetwork(others: number, options?: RigOptions, otherHost: string = 'h2'): Promise<StreamRig> {
  const rig = createRig(options);
  const { world } = rig;
  const ports = Array.from({ length: others }, (_, n) => world.put('port', testPort(0x1000 + n, NET, otherHost)));
  rig.change(world.put('host', H1), world.put('host', H2), world.put('network', NET), ...ports);
  rig.change(world.put('port', testPort(0x11, NET, 'h1')));
  await rig.settled();
  return rig;
}

function assertHolds(rig: StreamRig, client: StreamClient): void {
  assert.deepEqual(client.slices.contents(), contentsOf(rig.world.tables, client.host));
}

function refusal(client: StreamClient): Extract<ServerLine, { readonly type: 'refused' }> | undefined {
  return client.lines.find((line) => line.type === 'refused');
}

describe('a client', () => {
  test('ends with what its host is to have, however often it comes and goes and however slowly it reads', async (t) => {
    const seed = Number(process.env['CABLE_SEED'] ?? 11);
    const random = seededRandom(seed);
    const rig = createRig({ turns: shortTurns });
    t.after(rig.stop);
    rig.change(...WORLD_HOSTS.map((host, n) => rig.world.put('host', testHost(host, `192.0.2.${n + 1}`))));
    const clients = WORLD_HOSTS.map((host) => new StreamClient(rig, host));
    for (let round = 0; round < 400; round += 1) {
      for (let n = Math.floor(random() * 6); n > 0; n -= 1) rig.change(randomChange(rig.world, random));
      for (const client of clients) {
        if (!client.isConnected && random() < 0.5) client.connect({ takes: random() < 0.7 });
        else if (random() < 0.2) client.disconnect();
        else if (client.isConnected) client.socket.setTaking(random() < 0.7);
      }
      if (random() < 0.5) await new Promise(setImmediate);
      if (round % 20 !== 0) continue;
      const revision = rig.change();
      await rig.settled();
      for (const client of clients.filter(({ host }) => rig.store.hasHost(host))) {
        if (!client.isConnected) client.connect();
        client.socket.setTaking(true);
        await until(rig, client, revision, `CABLE_SEED=${seed}, round ${round}`);
      }
    }
  });

  /**
   * A client without news is told nothing: it has the state, or a bookmark is under way that brings it. One that was refused comes again, as
   * agents do: it may read only now that its host was not registered for a while.
   */
  async function until(rig: StreamRig, client: StreamClient, revision: number, what: string): Promise<void> {
    const expected = contentsOf(rig.world.tables, client.host);
    const isThere = (): boolean => {
      if (refusal(client) !== undefined) client.connect();
      try {
        assert.deepEqual(client.slices.contents(), expected);
        return true;
      } catch {
        return false;
      }
    };
    await within(client.until(isThere), `${what}, ${client.host}, revision ${revision}`).catch(() =>
      assert.deepEqual(client.slices.contents(), expected, what),
    );
  }

  test('that has nothing gets everything, then what changes', async (t) => {
    const rig = await createNetwork(3);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    assert.deepEqual(client.lines[0], { type: 'hello', protocol: 2, history: HISTORY, revision: 2 });
    assertHolds(rig, client);
    client.lines.length = 0;
    const revision = rig.change(
      rig.world.put('port', testPort(0x2000, NET, 'h2')),
      rig.world.delete('port', uuid(0x1000)),
    );
    await client.reached(revision);
    assert.deepEqual(
      client.lines.map((line) => line.type),
      ['put', 'delete', 'bookmark'],
    );
    const digest = rig.store.digestOf('h1');
    assert.deepEqual(client.lines[2], { type: 'bookmark', revision, ackWithinMs: 7, digest });
    assertHolds(rig, client);
    assert.deepEqual(rig.sent, [
      { host: 'h1', revision: 2 },
      { host: 'h1', revision },
    ]);
  });

  test('that holds all already is sent none of it', async (t) => {
    const rig = await createNetwork(50);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.connect();
    await client.reached(2);
    assert.deepEqual(client.types(), []);
    assertHolds(rig, client);
  });

  for (const how of ['while it listens', 'while it is away'] as const) {
    test(`is told which of its ports were deleted, however many were at once, ${how}`, async (t) => {
      const rig = await createNetwork(100, {}, 'h1');
      t.after(rig.stop);
      const client = new StreamClient(rig, 'h1');
      client.connect();
      await client.reached(2);
      if (how === 'while it is away') client.disconnect();
      client.lines.length = 0;
      const gone = Array.from({ length: 99 }, (_, n) => uuid(0x1000 + n));
      const revision = rig.change(...gone.map((id) => rig.world.delete('port', id)));
      await rig.settled();
      const moved = rig.change(rig.world.put('port', testPort(0x1000, NET, 'h1')));
      if (how === 'while it is away') client.connect();
      await client.reached(Math.max(revision, moved));
      const deleted = client.lines.flatMap((line) =>
        line.type === 'delete' && line.key === 'host:h1' ? [line.item] : [],
      );
      assert.deepEqual(new Set([...deleted, uuid(0x1000)]), new Set(gone));
      assertHolds(rig, client);
    });
  }

  test('is not told that what another history lacks was deleted', async (t) => {
    const rig = await createNetwork(100, {}, 'h1');
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.disconnect();
    rig.change(...Array.from({ length: 99 }, (_, n) => rig.world.delete('port', uuid(0x1000 + n))));
    await rig.store.load(3);
    client.lines.length = 0;
    client.connect();
    await client.reached(3);
    assert.ok(client.lines.some((line) => line.type === 'reset' && line.key === 'host:h1'));
    assert.ok(!client.lines.some((line) => line.type === 'delete' && line.key === 'host:h1'));
    assertHolds(rig, client);
  });

  test('that comes back is sent the items that changed meanwhile, and told what is gone', async (t) => {
    const rig = await createNetwork(50);
    t.after(rig.stop);
    const { world } = rig;
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.disconnect();
    rig.change(world.put('port', testPort(0x2000, NET, 'h2')));
    rig.change(world.put('port', testPort(0x2000, NET, 'h2', { mac_address: '02:00:00:00:99:99' })));
    rig.change(world.delete('port', uuid(0x1001)));
    rig.change(world.put('port', testPort(0x11, NET, 'h1', { port_security_enabled: false })));
    await rig.settled();
    client.connect();
    await client.reached(rig.store.revision);
    assert.deepEqual(client.types().sort(), ['delete', 'drop', 'put', 'put']);
    assertHolds(rig, client);
  });

  test('whose state no log knows gets the slice anew', async (t) => {
    const rig = await createNetwork(5);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.disconnect();
    for (let n = 0; n < 100; n += 1) {
      rig.change(rig.world.put('port', testPort(0x1000, NET, 'h2', { mac_address: `02:00:00:00:${n % 90}:01` })));
      await rig.settled();
    }
    client.connect();
    await client.reached(rig.store.revision);
    assert.deepEqual(client.types(), ['reset', 'header', ...Array(6).fill('put')]);
    assertHolds(rig, client);
  });

  test('of another server that is ahead waits until this one has caught up', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect({ resumes: false });
    client.socket.say({ type: 'resume', session: 's', since: 3, history: HISTORY, slices: {} });
    await client.until(() => client.lines.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(client.lines.length, 1);
    rig.change(rig.world.put('port', testPort(0x2000, NET, 'h2')));
    await client.reached(3);
    assertHolds(rig, client);
  });

  test('with the revision of another store, which an operator told it to leave, does not wait for that', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect({ resumes: false });
    client.socket.say({
      type: 'resume',
      session: 's',
      since: 1_000_000,
      history: null,
      slices: { 'host:h1': 5, 'network:x': 1 },
    });
    await client.reached(2);
    assert.deepEqual(
      client.lines.filter((line) => line.type === 'drop').map((line) => line.key),
      ['network:x'],
    );
    assertHolds(rig, client);
  });

  test('that asks for everything anew gets it, with the digest of all', async (t) => {
    const rig = await createNetwork(3);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.lines.length = 0;
    client.socket.say({ type: 'refresh' });
    await client.reached(2);
    assert.equal(client.lines.filter((line) => line.type === 'reset').length, 5);
    assert.equal(client.lines.at(-1)?.type, 'sync');
    assertHolds(rig, client);
  });
});

describe('a stream', () => {
  test('to a client that does not read keeps no lines, and sends the latest of each item', async (t) => {
    const rig = await createNetwork(3000);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.socket.setTaking(false);
    for (let n = 0; n < 160; n += 1) {
      const more = { mac_address: `02:00:00:00:${n % 90}:02` };
      rig.change(
        ...Array.from({ length: 100 }, (_, port) => rig.world.put('port', testPort(0x1000 + port, NET, 'h2', more))),
      );
      await rig.settled();
      assert.ok(client.socket.writableLength < 1_400_000, `${client.socket.writableLength} bytes wait`);
    }
    const before = client.lines.length;
    client.socket.setTaking(true);
    await client.reached(rig.store.revision);
    assert.ok(client.lines.length - before < 7500, `${client.lines.length - before} lines for 3000 items`);
    assertHolds(rig, client);
  });

  test('of a whole slice goes on while the slice changes, and writes a bookmark only at its end', async (t) => {
    const rig = await createNetwork(20_000);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect({ takes: false });
    for (let n = 0; n < 200; n += 1) {
      rig.change(
        rig.world.put('port', testPort(0x1000 + n, NET, 'h2', { mac_address: '02:00:00:00:98:02' })),
        rig.world.delete('port', uuid(0x2000 + n)),
      );
      client.socket.deliver(1);
      await new Promise(setImmediate);
    }
    client.socket.setTaking(true);
    await client.reached(rig.store.taken);
    assert.equal(client.lines.filter((line) => line.type === 'reset' && line.key.startsWith('endpoints')).length, 1);
    assertHolds(rig, client);
  });

  test('of a whole slice ends right when items change to and fro while it is made', async (t) => {
    const rig = await createNetwork(40, { turns: shortTurns });
    t.after(rig.stop);
    const random = seededRandom(3);
    for (let round = 0; round < 60; round += 1) {
      const client = new StreamClient(rig, 'h1');
      client.connect();
      for (let n = 0; n < 40; n += 1) {
        const mac_address = random() < 0.5 ? '02:00:00:00:98:02' : '02:00:00:00:98:03';
        rig.change(rig.world.put('port', testPort(0x1000 + Math.floor(random() * 10), NET, 'h2', { mac_address })));
        await new Promise(setImmediate);
      }
      await client.reached(1);
      const revision = rig.change(
        rig.world.put('port', testPort(0x1020, NET, 'h2', { mac_address: `02:00:00:00:97:${10 + round}` })),
      );
      await client.reached(revision);
      assertHolds(rig, client);
      client.disconnect();
    }
  });

  test('of a slice that is forgotten and comes again while its lines are made sends the new one', async (t) => {
    const rig = await createNetwork(30, {}, 'unregistered');
    t.after(rig.stop);
    const port = testPort(0x11, NET, 'h1');
    const { snapshot } = rig.store;
    let letGo: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const asked = new Promise<void>((resolve) => {
      rig.store.snapshot = async (slice) => {
        const made = await snapshot.call(rig.store, slice);
        if (slice.key.startsWith('endpoints:')) {
          resolve();
          await gate;
        }
        return made;
      };
    });
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await asked;
    rig.change(rig.world.delete('port', port.id));
    await rig.settled();
    rig.change(rig.world.put('port', testPort(0x1000, NET, 'unregistered', { mac_address: '02:00:00:00:97:01' })));
    const revision = rig.change(rig.world.put('port', port));
    await rig.settled();
    letGo();
    await client.reached(revision);
    assertHolds(rig, client);
  });

  test('writes once a batch', async (t) => {
    const rig = await createNetwork(10);
    t.after(rig.stop);
    const clients = [new StreamClient(rig, 'h1'), new StreamClient(rig, 'h2')];
    for (const client of clients) client.connect();
    for (const client of clients) await client.reached(2);
    const before = clients.map((client) => client.socket.writes);
    const revision = rig.change(
      rig.world.put('network', { ...NET, mtu: 1400 }),
      ...Array.from({ length: 50 }, (_, n) => rig.world.put('port', testPort(0x2000 + n, NET, 'h2'))),
    );
    for (const client of clients) await client.reached(revision);
    assert.deepEqual(
      clients.map((client, n) => client.socket.writes - (before[n] ?? 0)),
      [1, 1],
    );
  });

  test('tells a mark once, with the next bookmark', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    rig.mark = '2-b';
    await client.reached(rig.change(rig.world.put('port', testPort(0x2000, NET, 'h2'))));
    await client.reached(rig.change(rig.world.put('port', testPort(0x2001, NET, 'h2'))));
    const bookmarks = client.lines.filter((line) => line.type === 'bookmark');
    assert.deepEqual(
      bookmarks.map((line) => line.mark),
      ['2-b', undefined],
    );
  });

  test('says something while nothing happens, which needs no acknowledgement', async (t) => {
    const rig = await createNetwork(1, { keepaliveMs: 20 });
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.until(() => client.lines.filter((line) => line.type === 'bookmark').length > 2);
    assert.deepEqual(client.lines.at(-1), { type: 'bookmark', revision: 2 });
    assert.equal(rig.sent.length, 1);
  });

  test('to a client that takes nothing is cut', async (t) => {
    const rig = await createNetwork(1, { keepaliveMs: 20, stalledMs: 60 });
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect({ takes: false });
    await closed(client);
    assert.equal(rig.streams.has('h1'), false);
  });

  test('to a client that says nothing is cut', async (t) => {
    const rig = await createNetwork(1, { keepaliveMs: 20, stalledMs: 60 });
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect({ resumes: false });
    await closed(client);
  });

  test('of a host that is deleted ends, and says why', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    rig.change(rig.world.delete('host', 'h1'));
    await client.until(() => refusal(client) !== undefined);
    assert.deepEqual([refusal(client)?.code, refusal(client)?.retry], ['HostNotRegistered', true]);
    assert.equal(rig.streams.has('h1'), false);
  });

  test('of a host that registers just now waits for its slices', async (t) => {
    const rig = createRig();
    t.after(rig.stop);
    const revision = rig.change(rig.world.put('host', H1));
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(revision);
    assertHolds(rig, client);
  });

  test('is refused when the agent is not admitted; some refusals are for operators', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    for (const [code, retry] of [
      ['OtherHistory', false],
      ['HostSuperseded', true],
    ] as const) {
      rig.admit = () => Promise.reject(new CableError(code, 'no'));
      client.connect();
      await client.until(() => refusal(client) !== undefined);
      assert.deepEqual(refusal(client), { type: 'refused', code, message: 'no', retry });
    }
  });

  test('gives reports on, with the session, and is refused when one is', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    assert.ok(rig.streams.hasSession('h1', 's') && !rig.streams.hasSession('h1', 't'));
    rig.report = () => Promise.reject(new CableError('HostSuperseded', 'newer'));
    client.socket.say({ type: 'status', revision: 2, full: true, vifs: [] });
    await client.until(() => refusal(client) !== undefined);
    assert.deepEqual(rig.reported, [{ host: 'h1', session: 's', report: { revision: 2, full: true, vifs: [] } }]);
    assert.equal(refusal(client)?.code, 'HostSuperseded');
  });

  test('gives on what a host tells of members, and is refused for what is none', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    const memberId = '00000000-0000-4000-8000-000000000001';
    const members = [{ memberId, state: 'down', reason: 'ECONNREFUSED' }] as const;
    client.socket.say({ type: 'health', full: true, members });
    await eventually(() => rig.told.length === 1, 'it is given on');
    assert.deepEqual(rig.told, [{ host: 'h1', session: 's', report: { full: true, members } }]);
    client.socket.say(
      JSON.stringify({ type: 'health', full: true, members: [{ memberId, state: 'ill' }] }).concat('\n'),
    );
    await client.until(() => refusal(client) !== undefined);
    assert.match(refusal(client)?.message ?? '', /members\[0\]\.state/);
  });

  test('takes the lines of a chunk in turns', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    let round = 0;
    const rounds = new Set<number>();
    rig.report = async () => {
      rounds.add(round);
      const until = performance.now() + 1;
      while (performance.now() < until);
    };
    const others = (): void => {
      round += 1;
      if (rig.reported.length < 100) setImmediate(others);
    };
    setImmediate(others);
    client.socket.say('{"type":"status","revision":2,"full":false,"vifs":[]}\n'.repeat(100));
    await eventually(() => rig.reported.length === 100, 'all lines');
    // A line takes a millisecond or more, so that a turn has room for a few of them, however slow the machine is.
    assert.ok(rounds.size >= 5, `100 lines were taken in ${rounds.size} rounds of the loop`);
  });

  test('does not read a client on of which many reports are under way', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(2);
    let take: () => void = () => {};
    const taken = new Promise<void>((resolve) => {
      take = resolve;
    });
    rig.report = () => taken;
    const { socket } = client;
    for (let n = 0; n < 4; n += 1) socket.say('{"type":"status","revision":2,"full":false,"vifs":[]}\n'.repeat(100));
    await eventually(() => rig.reported.length === 64, 'the first');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([rig.reported.length, socket.isPaused()], [64, true]);
    take();
    await eventually(() => rig.reported.length === 400, 'the others');
  });

  test('makes one report of the parts of a full one, and refuses parts that do not follow one another', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    const vif = (n: number): VifStatus => ({ portId: uuid(n), state: 'up', reason: null });
    const report = { type: 'status', revision: 2, full: false, vifs: [] } as const;
    const part = (number: number, of: number, vifs: readonly VifStatus[] = []): AgentLine => ({
      ...report,
      vifs,
      part: { number, of },
    });
    client.connect();
    client.socket.say(part(1, 2, [vif(1), vif(2)]));
    client.socket.say(part(2, 2, [vif(3)]));
    client.socket.say(part(1, 1, [vif(4)]));
    client.socket.say(report);
    await eventually(() => rig.reported.length === 3, 'reports');
    assert.deepEqual(
      rig.reported.map(({ report: { full, vifs } }) => [full, vifs.length]),
      [
        [true, 3],
        [true, 1],
        [false, 0],
      ],
    );
    const many = Array.from({ length: 4096 }, (_, n) => vif(n));
    for (const lines of [
      [part(2, 2)],
      [part(1, 2), report],
      [part(1, 2), part(2, 3)],
      [part(1, 3), part(3, 3)],
      [part(2, 1)],
      [part(1, 3, many), part(2, 3, many), part(3, 3, [vif(1)])],
    ]) {
      client.connect();
      for (const line of lines) client.socket.say(line);
      await client.until(() => refusal(client) !== undefined);
      assert.equal(refusal(client)?.code, 'InvalidInput');
    }
    assert.equal(rig.reported.length, 3);
  });

  test('does not take for whole what an agent that knows of no parts says first of many devices', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    const vifs = Array.from({ length: 4096 }, (_, n): VifStatus => ({ portId: uuid(n), state: 'up', reason: null }));
    for (const some of [vifs, vifs.slice(1)])
      client.socket.say({ type: 'status', revision: 2, full: true, vifs: some });
    await eventually(() => rig.reported.length === 2, 'reports');
    assert.deepEqual(
      rig.reported.map(({ report }) => report.full),
      [false, true],
    );
  });

  test('passes over what it does not know, and refuses what is malformed', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    client.socket.say('{"type":"future","field":1}\n');
    await client.reached(2);
    const lines = ['nonsense\n', '[]\n', '{"type":5}\n', '{"type":"status","revision":-1}\n', `${'x'.repeat(5 << 20)}`];
    const manyValues = `{"type":"future","x":[${'{},'.repeat(100_000)}1]}\n`;
    const manySlices = Array.from({ length: 60_000 }, (_, n) => [`network:${uuid(n)}`, n] as const);
    const manyCommas = `{"type":"future","x":"\\"${','.repeat(100_000)}"}\n`;
    client.connect({ resumes: false });
    client.socket.say({
      type: 'resume',
      session: 's',
      since: 0,
      history: null,
      slices: Object.fromEntries(manySlices),
    });
    await client.until(() => client.lines.length > 0);
    assert.equal(client.lines[0]?.type, 'hello');
    client.connect();
    client.socket.say(`${manyCommas}{"type":"status","revision":7,"full":false,"vifs":[]}\n`);
    await eventually(() => rig.reported.length === 1, 'the line after a long one');
    const resumes = [
      '{"type":"refresh"}\n',
      '{"type":"resume","session":"s","since":0,"history":null,"slices":{"a":-1}}\n',
      '{"type":"resume","session":"s"}\n',
    ];
    for (const line of [...lines, manyValues, ...resumes]) {
      client.connect({ resumes: !resumes.includes(line) });
      client.socket.say(line);
      await client.until(() => refusal(client) !== undefined);
      assert.equal(refusal(client)?.code, 'InvalidInput', line.slice(0, 40));
    }
  });

  test('that asks for everything anew all the time does not keep others from what they need', async (t) => {
    const rig = await createNetwork(2000);
    t.after(rig.stop);
    const greedy = new StreamClient(rig, 'h1');
    greedy.connect();
    await greedy.reached(2);
    let isOver = false;
    t.after(() => {
      isOver = true;
    });
    // Whenever something of it has come, and in each turn besides: it is never done with.
    const ask = (): void => {
      if (isOver || !greedy.isConnected) return;
      greedy.lines.length = 0;
      greedy.socket.say({ type: 'refresh' });
      setImmediate(ask);
    };
    ask();
    for (let round = 0; round < 50; round += 1) await new Promise(setImmediate);
    const client = new StreamClient(rig, 'h2');
    client.connect();
    await within(client.reached(2), 'a host that comes meanwhile', 20_000);
    assertHolds(rig, client);
  });

  test('a host may have two; a third ends the oldest', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const [first, second, third] = [1, 2, 3].map(() => new StreamClient(rig, 'h1'));
    first?.connect();
    second?.connect();
    third?.connect();
    assert.deepEqual(
      [first, second, third].map((client) => client?.isConnected),
      [false, true, true],
    );
    assert.equal(rig.streams.size, 1);
  });
});

async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `${what}: waited in vain`);
    await new Promise(setImmediate);
  }
}

async function closed(client: StreamClient): Promise<void> {
  const { socket } = client;
  if (!socket.destroyed) await within(new Promise((resolve) => socket.once('close', resolve)), 'end of the stream');
}
