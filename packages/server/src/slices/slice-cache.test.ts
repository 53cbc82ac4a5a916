import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableChange } from '@cable/compiler';
import type { SliceKey } from '@cable/model';
import { testNetwork, testPort, testRouter, testSubnet, uuid } from '../hosts/plane.fixture.ts';
import { SliceCache } from './slice-cache.ts';
import { createWorld, failOnError, type World } from './world.fixture.ts';

const HOSTS = ['h1', 'h2', 'h3'];
const NETS = [testNetwork(1), testNetwork(2), testNetwork(3)] as const;

/** A client by the protocol: it has the content of what it was sent, and asks again from the revision it was told. */
class Client {
  readonly #host: string;
  readonly #cache: SliceCache;
  readonly #slices = new Map<SliceKey, string>();
  #since = 0;
  #stop: (() => void) | undefined;

  constructor(host: string, cache: SliceCache) {
    this.#host = host;
    this.#cache = cache;
  }

  connect(): void {
    this.#stop = this.#cache.subscribe(this.#host, (keys) => {
      for (const key of keys) this.#receive(key);
      this.#since = this.#cache.revision;
    });
    for (const key of this.#cache.keysSince(this.#host, this.#since)) this.#receive(key);
    const all = new Set(this.#cache.keys(this.#host));
    for (const key of this.#slices.keys()) if (!all.has(key)) this.#slices.delete(key);
    this.#since = this.#cache.revision;
  }

  disconnect(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  get connected(): boolean {
    return this.#stop !== undefined;
  }

  state(): string[] {
    return [...this.#slices].map(([key, content]) => `${key}${content}`).sort();
  }

  #receive(key: SliceKey): void {
    const entry = this.#cache.reaches(this.#host, key) ? this.#cache.entry(key) : undefined;
    if (entry === undefined) this.#slices.delete(key);
    else this.#slices.set(key, entry.line.subarray(entry.contentOffset).toString());
  }
}

function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

function randomChange(world: World, random: () => number): TableChange | undefined {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const net = pick(NETS);
  const gone = random() < 0.3;
  const host = { id: pick(HOSTS), underlay: pick(['192.0.2.1', '192.0.2.2']) };
  const groups = [uuid(71), uuid(72)].filter(() => random() < 0.5);
  const rule = { id: uuid(80 + Math.floor(random() * 3)), security_group_id: pick([uuid(71), uuid(72)]) };
  const edits: readonly (readonly [TableChange['type'], { readonly id: string }])[] = [
    ['network', net],
    ['subnet', testSubnet(net)],
    ['router', testRouter(5 + Math.floor(random() * 2))],
    ['host', host],
    ['port', testPort(0x10 + Math.floor(random() * 8), net, pick(['', ...HOSTS]), { security_groups: groups })],
    [
      'port',
      testPort(0x50 + Math.floor(random() * 3), net, '', {
        device_owner: 'network:router_interface',
        device_id: uuid(5 + Math.floor(random() * 2)),
      }),
    ],
    [
      'security_group_rule',
      {
        ...rule,
        direction: 'ingress',
        ethertype: 'IPv4',
        protocol: null,
        port_range_min: null,
        port_range_max: null,
        remote_ip_prefix: null,
        remote_group_id: pick([null, uuid(71), uuid(72)]),
      } as { readonly id: string },
    ],
  ];
  const [type, row] = pick(edits);
  return gone ? world.delete(type, row.id) : world.put(type, row);
}

test('clients that come and go have what a new client gets, in random worlds', () => {
  const seed = Number(process.env['CABLE_SEED'] ?? 7);
  const random = seededRandom(seed);
  const world = createWorld();
  const cache = new SliceCache(world.tables, failOnError);
  cache.load(0);
  const clients = HOSTS.map((host) => new Client(host, cache));
  for (let revision = 1; revision < 3000; revision += 1) {
    const changes: TableChange[] = [];
    for (let n = Math.ceil(random() * 3); n > 0; n -= 1) {
      const change = randomChange(world, random);
      if (change !== undefined) changes.push(change);
    }
    cache.apply(revision, changes);
    const fresh = new SliceCache(world.tables, failOnError);
    fresh.load(revision);
    for (const [index, client] of clients.entries()) {
      if (client.connected && random() < 0.1) client.disconnect();
      else if (!client.connected && random() < 0.3) client.connect();
      if (!client.connected) continue;
      const newcomer = new Client(HOSTS[index] ?? '', fresh);
      newcomer.connect();
      assert.deepEqual(client.state(), newcomer.state(), `CABLE_SEED=${seed}, revision ${revision}`);
    }
    assert.equal(cache.size, fresh.size, `CABLE_SEED=${seed}, revision ${revision}: slices nobody needs are kept`);
  }
});

test('a change that alters no slice tells nobody and keeps bytes and revision', () => {
  const world = createWorld();
  const cache = new SliceCache(world.tables, failOnError);
  cache.load(0);
  const port = testPort(1, NETS[0], 'h1');
  cache.apply(1, [world.put('host', { id: 'h1' }), world.put('network', NETS[0]), world.put('port', port)]);
  const before = cache.entry(`network:${NETS[0].id}`);
  let told = 0;
  cache.subscribe('h1', () => {
    told += 1;
  });
  cache.apply(2, [world.put('port', { ...port, status: 'ACTIVE' } as typeof port)]);
  cache.apply(3, [world.put('network', { ...NETS[0], description: 'x' } as (typeof NETS)[0])]);
  assert.equal(told, 0);
  assert.equal(cache.entry(`network:${NETS[0].id}`), before);
  assert.equal(cache.revision, 3);
});

test('an object that cannot be compiled stops nothing but its own slices', () => {
  const world = createWorld();
  const failures: string[] = [];
  const cache = new SliceCache(world.tables, (what) => failures.push(what));
  cache.load(0);
  const [bad, good] = [testPort(1, NETS[0], 'h1'), testPort(2, NETS[1], 'h1')];
  const { fixed_ips, ...broken } = bad;
  cache.apply(1, [
    world.put('host', { id: 'h1' }),
    world.put('network', NETS[0]),
    world.put('network', NETS[1]),
    world.put('port', broken),
  ]);
  cache.apply(2, [world.put('port', good)]);
  assert.ok(failures.includes(`change of port ${bad.id}`));
  assert.ok(cache.keys('h1').includes(`network:${NETS[1].id}`));
  cache.apply(3, [world.put('port', { ...broken, fixed_ips })]);
  assert.deepEqual(cache.keys('h1').sort(), ['host:h1', `network:${NETS[0].id}`, `network:${NETS[1].id}`, 'policy:']);
});
