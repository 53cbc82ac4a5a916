import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import { CB_PROBE_NEVER, type CbBeacon, type CbHeard } from '../bpf/abi.gen.ts';
import { FailOver, TICK_MS } from './fail-over.ts';
import { beaconOf, beaconRow, numberOf, placeName, textOf } from './probe-frame.ts';

const NOBODY = beaconRow({ serves: false, stands: new Set() });

/** Hosts h1, h2, ... with the addresses 192.0.2.1, ... and one router, of which some of them may be the gateway. */
class Cloud {
  ms = 1000;
  readonly hosts = new Map<string, SimHost>();
  /** Pairs between which nothing passes. */
  readonly cuts = new Set<string>();
  loses: (from: string, to: string) => boolean = () => false;
  /** They may be the way outside of a subnet, not a router's gateway. */
  readonly isOfSubnet: boolean;

  constructor(names: readonly string[], order: readonly string[], isCold = false, isOfSubnet = false) {
    this.isOfSubnet = isOfSubnet;
    for (const name of names) this.hosts.set(name, new SimHost(this, name, order));
    for (const host of this.hosts.values()) host.start(isCold);
  }

  host(name: string): SimHost {
    const host = this.hosts.get(name);
    assert.ok(host);
    return host;
  }

  passes(from: string, to: string): boolean {
    return !this.cuts.has([from, to].sort().join()) && !this.loses(from, to);
  }

  run(ms: number, look: () => void = () => undefined): void {
    for (const end = this.ms + ms; this.ms < end; ) {
      this.ms += TICK_MS / 4;
      for (const host of this.hosts.values()) host.passTime();
      look();
    }
  }

  /** Hosts that answer for the router outside. */
  active(): readonly string[] {
    return [...this.hosts.values()].filter((one) => one.isUp && one.place() === one.name).map(({ name }) => name);
  }

  /** Where hosts send what leaves. */
  places(): readonly (string | undefined)[] {
    return [...this.hosts.values()].filter(({ isUp }) => isUp).map((one) => one.place());
  }
}

class SimHost {
  readonly name: string;
  readonly address: string;
  readonly #cloud: Cloud;
  order: readonly string[];
  /** The machine, and with it the vrouter. */
  isUp = true;
  /** The agent. */
  isRunning = true;
  serverHeardMs: number | undefined;
  heard = new Map<string, CbHeard>();
  beacon: CbBeacon = NOBODY;
  failOver: FailOver | undefined;
  #nextMs: number;

  constructor(cloud: Cloud, name: string, order: readonly string[]) {
    this.#cloud = cloud;
    this.name = name;
    this.address = addressOf(name);
    this.order = order;
    this.#nextMs = cloud.ms + 13 * Number(name.slice(1));
  }

  /** An agent begins, over what is in the kernel. */
  start(isCold: boolean): void {
    const cloud = this.#cloud;
    this.failOver = new FailOver({
      ...{ host: this.name, underlay: this.address, isCold, log: silentLogger(), newToken: () => 5n },
      slices: {
        keys: () => (['router:r'] as SliceKey[]).values(),
        header: (() => this.#header()) as never,
      },
      rows: {
        heard: (host) => this.heard.get(host),
        listen: (host, token) => {
          const nothing = { heardNs: 0n, sequence: 0, aboutBe: 0, aboutMs: 0, beacon: NOBODY };
          this.heard.set(host, { ...nothing, token });
        },
        forget: (host) => void this.heard.delete(host),
        beacon: () => this.beacon,
        say: (beacon) => {
          this.beacon = beacon;
        },
      },
      ask: (address, { sequence, token, about }) => {
        const other = [...cloud.hosts.values()].find((one) => one.address === address);
        if (!other?.isUp || !cloud.passes(this.name, other.name) || !cloud.passes(other.name, this.name)) return;
        const last = about === undefined ? undefined : other.heard.get(about)?.heardNs;
        const aboutMs = last === undefined || last === 0n ? CB_PROBE_NEVER : cloud.ms - Number(last) / 1e6;
        const answer = {
          token,
          sequence,
          aboutBe: about === undefined ? 0 : (numberOf(placeName(about)) ?? 0),
          aboutMs,
        };
        this.heard.set(address, { ...answer, heardNs: BigInt(cloud.ms) * 1_000_000n, beacon: other.beacon });
      },
      peers: () => [...cloud.hosts.values()].map(({ address }) => address),
      hasCarrier: () => true,
      serverHeardMs: () => this.serverHeardMs,
      now: () => cloud.ms,
    });
    this.isRunning = true;
  }

  #header(): unknown {
    if (this.#cloud.isOfSubnet) {
      const hosts = this.order.map((one) => ({ host: one, underlay: addressOf(one) }));
      return { centralized: [{ subnetId: 'r', hosts }] };
    }
    const [host = '', ...others] = this.order;
    const standbys = others.map((one) => ({ host: one, underlay: addressOf(one) }));
    return { gateway: { portId: 'p', networkId: 'x', host, underlay: addressOf(host), standbys } };
  }

  /** The server's word. */
  reorder(order: readonly string[]): void {
    this.order = order;
    this.failOver?.take([{ key: 'router:r', item: null }]);
  }

  passTime(): void {
    if (!this.isUp || !this.isRunning || this.#cloud.ms < this.#nextMs) return;
    this.#nextMs = this.#cloud.ms + TICK_MS;
    this.failOver?.tick();
  }

  place(): string {
    return this.failOver?.hostOf('r') ?? this.order[0] ?? '';
  }
}

/** Of the hosts' addresses, while a test runs. */
let version: 4 | 6 = 4;

function addressOf(name: string): string {
  return version === 6 ? `2001:db8::${name.slice(1)}` : `192.0.2.${name.slice(1)}`;
}

/** For hosts of either family. */
function forBoth(name: string, body: () => void): void {
  for (const one of [4, 6] as const) {
    test(`${name}, over IPv${one}`, () => {
      version = one;
      body();
    });
  }
}

const ALL = ['h1', 'h2', 'h3', 'h4'];

forBoth('when the host of a gateway dies, the next takes its place within two seconds, and all hosts follow', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  assert.deepEqual(cloud.places(), ['h1', 'h1', 'h1', 'h1']);
  cloud.host('h1').isUp = false;
  const from = cloud.ms;
  let movedMs = 0;
  cloud.run(4000, () => {
    if (movedMs === 0 && cloud.places().every((place) => place === 'h2')) movedMs = cloud.ms - from;
  });
  assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2']);
  assert.ok(movedMs < 2000, `after ${movedMs} ms of the injected clock`);
  assert.deepEqual(cloud.host('h2').failOver?.taken, ['p']);
  cloud.host('h2').isUp = false;
  cloud.run(4000);
  assert.deepEqual(cloud.places(), ['h3', 'h3'], 'and the one after that');
});

forBoth('when the node dies by which a subnet leaves, all leave by the next, and stay with it', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3'], false, true);
  cloud.run(2000);
  assert.deepEqual(cloud.places(), ['h1', 'h1', 'h1', 'h1']);
  cloud.host('h1').isUp = false;
  cloud.run(2000);
  assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2']);
  assert.deepEqual(cloud.host('h2').failOver?.taken, ['r']);
  cloud.host('h1').isUp = true;
  cloud.run(5000);
  assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2', 'h2']);
  for (const host of cloud.hosts.values()) host.reorder(['h2', 'h1', 'h3']);
  cloud.run(1000);
  assert.deepEqual(cloud.host('h2').failOver?.taken, [], 'the server knows');
  for (const host of cloud.hosts.values()) host.reorder(['h1', 'h2', 'h3']);
  cloud.run(1000);
  assert.deepEqual(cloud.places(), ['h1', 'h1', 'h1', 'h1'], 'a list that is another begins with its first');
  for (const host of cloud.hosts.values()) host.reorder([]);
  assert.deepEqual(cloud.host('h2').failOver?.taken, [], 'none is named any more');
});

forBoth('one that comes back stays behind the one that took its place, until the server says otherwise', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  cloud.host('h1').isUp = false;
  cloud.run(3000);
  const h1 = cloud.host('h1');
  h1.isUp = true;
  // It was started anew: its maps are empty, and the state on its disk is that of before.
  h1.heard.clear();
  h1.beacon = NOBODY;
  h1.start(true);
  cloud.run(5000, () => assert.deepEqual(cloud.active(), ['h2']));
  assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2', 'h2']);
  for (const host of cloud.hosts.values()) host.reorder(['h2', 'h1', 'h3']);
  cloud.run(1000, () => assert.deepEqual(cloud.active(), ['h2']));
  assert.equal(beaconOf(cloud.host('h2').beacon).stands.size, 0, 'no place is taken any more');
  for (const host of cloud.hosts.values()) host.reorder(['h1', 'h2', 'h3']);
  cloud.run(1000);
  assert.deepEqual(cloud.places(), ['h1', 'h1', 'h1', 'h1'], 'the server may move it back');
});

forBoth('an agent that is killed, or hangs, moves nothing, however long; nor does one that starts again', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  const always = (): void => assert.deepEqual(cloud.places(), ['h1', 'h1', 'h1', 'h1']);
  cloud.host('h1').isRunning = false;
  cloud.run(60_000, always);
  cloud.host('h1').start(false);
  cloud.run(5000, always);
  cloud.host('h2').isRunning = false;
  cloud.run(5000, always);
  cloud.host('h2').isRunning = true;
  cloud.run(5000, always);
  for (const host of cloud.hosts.values()) host.isRunning = false;
  cloud.run(5000, always);
  for (const host of cloud.hosts.values()) host.start(false);
  cloud.run(5000, always);
});

forBoth('an agent that starts again knows whose place its host has taken, and who has taken that of its host', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  cloud.host('h1').isUp = false;
  cloud.run(3000);
  cloud.host('h1').isUp = true;
  cloud.run(1000);
  for (const name of ['h1', 'h2', 'h4']) cloud.host(name).start(false);
  assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2', 'h2'], 'before it has heard anybody');
  cloud.run(5000, () => assert.deepEqual(cloud.active(), ['h2']));
});

forBoth('a machine that stood still and goes on is no gateway any more as soon as its agent looks', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  cloud.host('h1').isUp = false;
  cloud.run(5000);
  cloud.host('h1').isUp = true;
  let both = 0;
  cloud.run(5000, () => {
    if (cloud.active().length > 1) both += TICK_MS / 4;
  });
  assert.ok(both <= 2 * TICK_MS, `two answered for ${both} ms of the injected clock`);
  assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2', 'h2']);
});

forBoth('loss moves nothing as long as one question of four is answered', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  const counts = new Map<string, number>();
  cloud.loses = (from, to) => {
    const key = `${from} ${to}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return from < to && count % 4 !== 0;
  };
  cloud.run(60_000, () => assert.deepEqual(cloud.active(), ['h1']));
});

forBoth('a host that comes and goes moves a gateway once', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  let moves = 0;
  let last = 'h1';
  for (let n = 0; n < 20; n += 1) {
    cloud.host('h1').isUp = n % 2 === 1;
    cloud.run(700 + n * 150, () => {
      const place = cloud.host('h4').place();
      if (place !== last) moves += 1;
      last = place;
    });
  }
  assert.equal(last, 'h2');
  assert.ok(moves <= 3, `${moves} moves`);
});

forBoth('when only the path between two gateways breaks, the one that others see keeps its place', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  cloud.cuts.add('h1,h2');
  cloud.run(30_000, () => assert.deepEqual(cloud.active(), ['h1']));
  assert.equal(cloud.host('h4').place(), 'h1');
  cloud.cuts.clear();
  cloud.run(3000, () => assert.deepEqual(cloud.active(), ['h1']));
});

forBoth(
  'a gateway that is cut off from all gives up, and the next takes its place; when it is back there is one',
  () => {
    const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
    cloud.run(2000);
    for (const name of ['h2', 'h3', 'h4']) cloud.cuts.add(`h1,${name}`);
    let both = 0;
    cloud.run(20_000, () => {
      if (cloud.active().length > 1) both += TICK_MS / 4;
    });
    assert.deepEqual(cloud.active(), ['h2']);
    assert.ok(both <= 2 * TICK_MS, `two answered for ${both} ms of the injected clock`);
    cloud.cuts.clear();
    cloud.run(5000, () => assert.deepEqual(cloud.active(), ['h2']));
    assert.deepEqual(cloud.places(), ['h2', 'h2', 'h2', 'h2']);
  },
);

forBoth('one that is alone but hears the server goes on: the server would tell it', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3']);
  cloud.run(2000);
  for (const name of ['h2', 'h3', 'h4']) cloud.host(name).isUp = false;
  cloud.run(3000);
  assert.deepEqual(cloud.active(), []);
  cloud.host('h1').serverHeardMs = cloud.ms;
  cloud.run(1000);
  assert.deepEqual(cloud.active(), ['h1']);
});

forBoth('of two hosts that are all there are each goes on alone, and when they meet again there is one', () => {
  const cloud = new Cloud(['h1', 'h2'], ['h1', 'h2']);
  cloud.run(2000);
  cloud.cuts.add('h1,h2');
  cloud.run(3000);
  assert.deepEqual(cloud.active(), ['h1', 'h2']);
  cloud.cuts.clear();
  cloud.run(4 * TICK_MS);
  assert.deepEqual(cloud.active(), ['h2']);
});

forBoth('a host that has just been started serves when it has heard the others, or has asked in vain', () => {
  const cloud = new Cloud(ALL, ['h1', 'h2', 'h3'], true);
  assert.deepEqual(cloud.active(), []);
  cloud.run(2000);
  assert.deepEqual(cloud.active(), ['h1']);
  const alone = new Cloud(['h1'], ['h1', 'h2', 'h3'], true);
  alone.run(3000);
  assert.deepEqual(alone.active(), ['h1']);
});

forBoth('a host that has never answered, as of a build before, is taken to live', () => {
  const cloud = new Cloud(ALL, ['h9', 'h2', 'h3']);
  cloud.run(10_000, () => assert.deepEqual(cloud.active(), []));
});

test('of two between which nothing passes the one that took the place keeps it when the server says so, and the other does not take it back at once', () => {
  const cloud = new Cloud(['h1', 'h2'], ['h1', 'h2']);
  cloud.run(2000);
  assert.deepEqual(cloud.active(), ['h1']);
  cloud.cuts.add('h1,h2');
  cloud.run(3000);
  for (const host of cloud.hosts.values()) host.reorder(['h2', 'h1']);
  cloud.run(5000, () => assert.deepEqual(cloud.active(), ['h2']));
  cloud.cuts.clear();
  cloud.run(3000, () => assert.deepEqual(cloud.active(), ['h2']));
  cloud.cuts.add('h1,h2');
  cloud.run(3000);
  assert.deepEqual(cloud.active(), ['h1', 'h2'], 'who has heard the other since takes it for dead');
});

test('addresses and numbers of hosts are each other’s', () => {
  assert.equal(textOf(numberOf('203.0.113.255') ?? 0), '203.0.113.255');
  assert.equal(placeName('203.0.113.255'), '203.0.113.255');
  assert.notEqual(placeName('2001:db8::1'), placeName('2001:db8::2'));
  assert.equal(textOf(numberOf(placeName('2001:db8::1')) ?? 0), placeName('2001:db8::1'));
});
