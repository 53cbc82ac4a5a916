import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HostSliceV1, NetworkSliceV1, SliceV1, WatchLineV1 } from '@cable/model';
import {
  testHost,
  testLeg,
  testNetwork,
  testPort,
  testRouter,
  testRule,
  testSubnet,
  uuid,
} from '../slices/rows.fixture.ts';
import {
  type Contents,
  contentsOf,
  randomChange,
  seededRandom,
  shortTurns,
  WORLD_HOSTS,
  type World,
} from '../slices/world.fixture.ts';
import { createRig, type StreamRig, TestSocket, within } from './stream.fixture.ts';

const NET = testNetwork(1);
const FAR = testNetwork(2);

/** An agent of protocol 1. */
class ClientV1 {
  readonly host: string;
  readonly slices = new Map<string, SliceV1>();
  readonly lines: WatchLineV1[] = [];
  revision = 0;
  readonly #rig: StreamRig;
  #socket: TestSocket | undefined;
  /** Looks at the state when it counts. */
  onBookmark: () => void = () => {};
  #onLine: () => void = () => {};

  constructor(rig: StreamRig, host: string) {
    this.#rig = rig;
    this.host = host;
  }

  get isConnected(): boolean {
    return this.#socket?.destroyed === false;
  }

  connect(since: number = this.revision): void {
    this.disconnect();
    let rest = '';
    const socket = new TestSocket((chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as WatchLineV1);
    });
    this.#socket = socket;
    this.#rig.streams.openV1(this.host, since, socket);
  }

  disconnect(): void {
    this.#socket?.destroy();
    this.lines.length = 0;
  }

  setTaking(takes: boolean): void {
    this.#socket?.setTaking(takes);
  }

  async until(condition: () => boolean, what = `client ${this.host}`): Promise<void> {
    const held = new Promise<void>((resolve) => {
      this.#onLine = () => condition() && resolve();
      this.#onLine();
    });
    await within(held, what);
  }

  reached(revision: number): Promise<void> {
    return this.until(() => this.revision >= revision);
  }

  puts(): string[] {
    return this.lines.flatMap((line) => (line.type === 'put' ? [line.key] : []));
  }

  #take(line: WatchLineV1): void {
    this.lines.push(line);
    if (line.type === 'put') this.slices.set(line.key, line.slice);
    else if (line.type === 'delete') this.slices.delete(line.key);
    else {
      assert.ok(line.revision >= this.revision, 'revisions never fall');
      this.revision = line.revision;
    }
    if (line.type === 'sync') {
      for (const key of this.slices.keys()) if (!(line.keys as string[]).includes(key)) this.slices.delete(key);
    }
    if (line.type === 'sync' || line.type === 'bookmark') this.onBookmark();
    this.#onLine();
  }
}

/** What the protocol of old gave, from the items that the host is to have. */
function slicesV1(world: World, host: string): Map<string, unknown> {
  const contents = contentsOf(world.tables, host);
  const slices = new Map<string, unknown>();
  for (const [name, header] of contents) {
    const [kind = '', ...id] = name.split(':');
    // Names of ports came later: protocol 1 has none.
    if (name.includes(' ') || kind === 'endpoints' || kind === 'names') continue;
    slices.set(name, { kind, ...(header as object), ...listsOf(world, contents, kind, id.join(':')) });
  }
  return slices;
}

function listsOf({ tables }: World, contents: Contents, kind: string, id: string): object {
  const items = (key: string): unknown[] =>
    [...contents]
      .filter(([name]) => name.startsWith(`${key} `))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, value]) => value);
  const lists: Readonly<Record<string, () => object>> = {
    host: () => ({
      ports: (items(`host:${id}`) as HostSliceV1['ports']).map((port) => {
        const network = contents.get(`network:${port.networkId}`) as { adminStateUp: boolean } | undefined;
        return { ...port, adminStateUp: port.adminStateUp && network?.adminStateUp === true };
      }),
    }),
    network: () => {
      const legs = tables.router_interface.by('network_id', id).map((port) => port.device_id);
      return { endpoints: items(`endpoints:${id}`), routers: [...new Set(legs)].sort() };
    },
    router: () => ({ interfaces: items(`router:${id}`) }),
    policy: () => ({ rules: items(`policy:${id}`) }),
    group: () => ({ members: items(`group:${id}`) }),
  };
  return lists[kind]?.() ?? {};
}

/** Without what only the old protocol leaves out (a network's state), and without routers of a network behind a router, which agents do not read. */
function comparable(slices: ReadonlyMap<string, unknown>, near: ReadonlySet<string>): Map<string, unknown> {
  return new Map(
    [...slices].map(([key, slice]) => {
      const { adminStateUp, routers, ...rest } = slice as NetworkSliceV1 & { adminStateUp?: boolean };
      if (!key.startsWith('network:')) return [key, slice];
      return [key, near.has(key) ? { ...rest, routers } : rest];
    }),
  );
}

function assertHolds(rig: StreamRig, client: ClientV1, what?: string): void {
  const near = new Set(
    [...rig.store.keysOf(client.host)].filter((key) => rig.store.reaches(client.host, `near:${key.slice(8)}`)),
  );
  assert.deepEqual(comparable(client.slices, near), comparable(slicesV1(rig.world, client.host), near), what);
}

async function createNetwork(others: number): Promise<StreamRig> {
  const rig = createRig();
  const { world } = rig;
  const ports = Array.from({ length: others }, (_, n) => world.put('port', testPort(0x1000 + n, NET, 'h2')));
  rig.change(world.put('host', testHost('h1', '192.0.2.1')), world.put('host', testHost('h2', '192.0.2.2')));
  rig.change(
    world.put('network', NET),
    world.put('subnet', testSubnet(NET)),
    ...ports,
    world.put('port', testPort(0x11, NET, 'h1')),
  );
  await rig.settled();
  return rig;
}

describe('a client of protocol 1', () => {
  test('ends with what its host is to have, however often it comes and goes', async (t) => {
    const seed = Number(process.env['CABLE_SEED'] ?? 21);
    const random = seededRandom(seed);
    const rig = createRig({ turns: shortTurns });
    t.after(rig.stop);
    rig.change(...WORLD_HOSTS.map((host, n) => rig.world.put('host', testHost(host, `192.0.2.${n + 1}`))));
    const clients = WORLD_HOSTS.map((host) => new ClientV1(rig, host));
    for (let round = 0; round < 300; round += 1) {
      for (let n = Math.floor(random() * 6); n > 0; n -= 1) rig.change(randomChange(rig.world, random));
      for (const client of clients) {
        if (!client.isConnected && random() < 0.5) client.connect();
        else if (random() < 0.2) client.disconnect();
        else client.setTaking(random() < 0.7);
      }
      if (random() < 0.5) await new Promise(setImmediate);
      if (round % 20 !== 0) continue;
      await rig.settled();
      for (const client of clients.filter(({ host }) => rig.store.hasHost(host))) {
        if (!client.isConnected) client.connect();
        client.setTaking(true);
        const what = `CABLE_SEED=${seed}, round ${round}, ${client.host}`;
        await client.until(() => isHeld(rig, client), what).catch(() => assertHolds(rig, client, what));
      }
    }
  });

  test('gets whole slices, a referent before what refers to it, and a sync with all keys', async (t) => {
    const rig = await createNetwork(2);
    t.after(rig.stop);
    const { world } = rig;
    const [g1, g2] = [uuid(0x71), uuid(0x72)];
    rig.change(
      world.put('network', FAR),
      world.put('subnet', testSubnet(FAR)),
      world.put('router', testRouter(5)),
      world.put('port', testLeg(0x51, uuid(5), NET)),
      world.put('port', testLeg(0x52, uuid(5), FAR)),
      world.put('port', testPort(0x11, NET, 'h1', { security_groups: [g1] })),
      world.put('security_group_rule', testRule(0x81, g1, g2)),
    );
    await rig.settled();
    const client = new ClientV1(rig, 'h1');
    client.connect();
    await client.reached(3);
    const keys = [
      `group:${g2}`,
      `policy:${g1}`,
      `router:${uuid(5)}`,
      `network:${NET.id}`,
      `network:${FAR.id}`,
      'host:h1',
    ];
    assert.deepEqual(client.puts(), keys);
    const sync = client.lines.at(-1);
    assert.deepEqual(sync?.type === 'sync' && [...sync.keys].sort(), [...keys].sort());
    assertHolds(rig, client);
    assert.deepEqual((client.slices.get(`network:${NET.id}`) as NetworkSliceV1).routers, [uuid(5)]);
    assert.equal('adminStateUp' in (client.slices.get(`network:${NET.id}`) ?? {}), false);
    await client.reached(rig.change(rig.world.delete('port', uuid(0x51))));
    assert.deepEqual((client.slices.get(`network:${NET.id}`) as NetworkSliceV1).routers, []);
  });

  test('sees its ports go down with their network', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new ClientV1(rig, 'h1');
    client.connect();
    await client.reached(2);
    await client.reached(rig.change(rig.world.put('network', { ...NET, admin_state_up: false })));
    assert.equal((client.slices.get('host:h1') as HostSliceV1).ports[0]?.adminStateUp, false);
  });

  test('that comes back gets what is newer than its revision', async (t) => {
    const rig = await createNetwork(3);
    t.after(rig.stop);
    const client = new ClientV1(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.connect();
    await client.until(() => client.lines.length > 0);
    assert.deepEqual(client.puts(), []);
    client.disconnect();
    rig.change(rig.world.put('port', testPort(0x2000, NET, 'h2')));
    rig.change(rig.world.put('network', FAR), rig.world.put('port', testPort(0x12, FAR, 'h1')));
    await rig.settled();
    client.connect();
    await client.until(() => client.lines.some((line) => line.type === 'sync'));
    assert.deepEqual(client.puts().sort(), ['host:h1', `network:${NET.id}`, `network:${FAR.id}`].sort());
    assertHolds(rig, client);
  });

  test('gets everything of a server that loaded at its revision or later', async (t) => {
    const rig = await createNetwork(3);
    t.after(rig.stop);
    await rig.store.load(2);
    const client = new ClientV1(rig, 'h1');
    client.connect(2);
    await client.until(() => client.lines.some((line) => line.type === 'sync'));
    assert.equal(client.puts().length, 3);
  });

  test('is told which slices it does not need any more', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const client = new ClientV1(rig, 'h1');
    client.connect();
    await client.reached(2);
    await client.reached(rig.change(rig.world.delete('port', uuid(0x11))));
    const deleted = client.lines.flatMap((line) => (line.type === 'delete' ? [line.key] : []));
    assert.deepEqual(deleted.sort(), [`network:${NET.id}`, 'policy:']);
  });

  test('gets a slice that changes all the time some times a second, composed once for all', async (t) => {
    const rig = await createNetwork(1);
    t.after(rig.stop);
    const clients = [new ClientV1(rig, 'h1'), new ClientV1(rig, 'h1'), new ClientV1(rig, 'h2')];
    for (const client of clients) client.connect();
    for (const client of clients) await client.reached(2);
    let composed = 0;
    const { contents } = rig.store;
    rig.store.contents = (key) => {
      if (key === `network:${NET.id}`) composed += 1;
      return contents.call(rig.store, key);
    };
    const startedAt = performance.now();
    for (let n = 0; n < 100; n += 1) {
      rig.change(
        rig.world.put('port', testPort(0x1000, NET, 'h2', { mac_address: `02:00:00:00:${10 + (n % 80)}:01` })),
      );
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    for (const client of clients) await client.reached(rig.store.taken);
    const rounds = (performance.now() - startedAt) / 50 + 2;
    // Each composition asks twice: for the slice, and for whether h2's port is up.
    assert.ok(composed <= 2 * rounds, `${composed} compositions in ${rounds} rounds`);
    for (const client of clients) assertHolds(rig, client);
  });

  test('is not told that it has everything while a change is half compiled', async (t) => {
    const rig = createRig({ turns: shortTurns });
    t.after(rig.stop);
    const { world } = rig;
    for (let n = 0; n < 5000; n += 1) world.put('port', testPort(0x1000 + n, FAR, 'unregistered'));
    rig.change(world.put('host', testHost('h1', '192.0.2.1')), world.put('network', NET), world.put('network', FAR));
    rig.change(world.put('port', testPort(0x11, NET, 'h1')));
    await rig.settled();
    const client = new ClientV1(rig, 'h1');
    client.connect();
    await client.reached(2);
    client.onBookmark = () => {
      const { ports } = client.slices.get('host:h1') as HostSliceV1;
      for (const { networkId } of ports)
        assert.ok(client.slices.has(`network:${networkId}`), `no network:${networkId}`);
    };
    // The second composition of the host's slice waits, until a batch is under way that adds a network.
    await client.reached(rig.change(world.put('port', testPort(0x11, NET, 'h1', { name: 'a' }))));
    rig.change(world.put('port', testPort(0x11, NET, 'h1', { name: 'b' })));
    await rig.settled();
    const revision = rig.change(world.put('port', testPort(0x12, FAR, 'h1')));
    await client.reached(revision);
    assertHolds(rig, client);
  });

  test('hears something while nothing happens, and is cut when it takes nothing', async (t) => {
    const rig = createRig({ keepaliveMs: 20, stalledMs: 80 });
    t.after(rig.stop);
    rig.change(rig.world.put('host', testHost('h1', '192.0.2.1')));
    const client = new ClientV1(rig, 'h1');
    client.connect();
    await client.until(() => client.lines.filter((line) => line.type === 'bookmark').length > 1);
    client.setTaking(false);
    for (let waited = 0; client.isConnected && waited < 60_000; waited += 10)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(client.isConnected, false);
  });
});

function isHeld(rig: StreamRig, client: ClientV1): boolean {
  try {
    assertHolds(rig, client);
    return true;
  } catch {
    return false;
  }
}
