import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceKey } from '@cable/model';
import { SliceWatermarks } from './slice-watermarks.ts';

const NET: SliceKey = 'endpoints:n';

/** Hosts h1, h2 and h3 are alive and have acknowledged 5; h1 and h2 need the network. */
function setUp() {
  const subscribers = new Map<SliceKey, Set<string>>([[NET, new Set(['h1', 'h2'])]]);
  const alive = new Set(['h1', 'h2', 'h3']);
  const acked = new Map<string, number>();
  const upToDate = new Set<string>();
  const late = new Set<string>();
  const at = { revision: 5 };
  const counted = { looks: 0 };
  const programmed = (host: string): number => {
    counted.looks += 1;
    return acked.get(host) ?? 5;
  };
  const marks = new SliceWatermarks({
    slices: {
      get revision() {
        return at.revision;
      },
      subscribers: (key) => subscribers.get(key) ?? [],
      reaches: (host, key) => subscribers.get(key)?.has(host) === true,
    },
    isAlive: (host) => alive.has(host),
    covers: (host, revision) => upToDate.has(host) || programmed(host) >= revision,
    programmed,
    isElsewhere: (host) => host === 'h3',
    isLate: (host) => late.has(host),
  });
  const change = (portId: string, revision: number, key: SliceKey = NET): void => {
    at.revision = revision;
    marks.await(portId, key, revision);
  };
  const ack = (host: string, revision: number): string[] => {
    acked.set(host, revision);
    return marks.acknowledged(host);
  };
  return { subscribers, alive, acked, upToDate, late, at, marks, change, ack, looks: () => counted.looks };
}

test('a port waits for the live hosts that need the slice, and for no others', () => {
  const { marks, change, ack } = setUp();
  change('p', 6);
  assert.deepEqual(marks.hosts(), ['h1', 'h2']);
  assert.deepEqual(ack('h1', 5), []);
  assert.deepEqual(ack('h1', 6), []);
  assert.equal(marks.isProven('p'), false);
  assert.deepEqual(ack('h2', 9), ['p']);
  assert.equal(marks.isProven('p'), true);
  assert.deepEqual([marks.ports, marks.slices, marks.hosts()], [0, 0, []]);
});

test('a slice that no live host needs is waited for by nobody', () => {
  const { marks, change, alive } = setUp();
  change('p', 6, 'endpoints:other');
  alive.clear();
  change('p', 7);
  assert.deepEqual([marks.ports, marks.slices], [0, 0]);
});

test('ports that change together share a round', () => {
  const { marks, change, ack } = setUp();
  change('p', 6);
  change('q', 6);
  assert.equal(marks.slices, 1);
  ack('h1', 6);
  assert.deepEqual(ack('h2', 6).sort(), ['p', 'q']);
});

test('what changes during a round forms the next one, with the latest revision', () => {
  const { marks, change, ack } = setUp();
  change('p', 6);
  change('q', 7);
  change('r', 8);
  ack('h1', 6);
  assert.deepEqual(ack('h2', 6), ['p']);
  assert.deepEqual([marks.isProven('q'), marks.isProven('r')], [false, false]);
  ack('h1', 8);
  assert.deepEqual(ack('h2', 7), []);
  assert.deepEqual(ack('h2', 8).sort(), ['q', 'r']);
});

test('the next round does not wait for hosts that have acknowledged it meanwhile, or that have all there is for them', () => {
  const { marks, change, ack, upToDate } = setUp();
  change('p', 6);
  change('q', 7);
  ack('h1', 7);
  upToDate.add('h2');
  assert.deepEqual(marks.acknowledged('h2').sort(), ['p', 'q']);
});

test('what was just compiled is waited for also from a host that had everything before', () => {
  const { marks, change, upToDate } = setUp();
  upToDate.add('h1');
  change('p', 6);
  assert.deepEqual(marks.hosts(), ['h1', 'h2']);
});

test('a second change of a port raises the revision that is waited for', () => {
  const { marks, change, ack } = setUp();
  change('p', 6);
  change('p', 8);
  ack('h1', 6);
  assert.deepEqual(ack('h2', 6), []);
  assert.equal(marks.isProven('p'), false);
  ack('h1', 8);
  assert.deepEqual(ack('h2', 8), ['p']);
});

test('a port waits for all the slices in which it changed', () => {
  const { marks, change, ack, subscribers } = setUp();
  subscribers.set('host:h1', new Set(['h1']));
  subscribers.set('group:g', new Set(['h3']));
  for (const key of ['host:h1', NET, 'group:g'] as const) change('p', 6, key);
  ack('h1', 6);
  ack('h2', 6);
  assert.equal(marks.isProven('p'), false);
  assert.deepEqual(ack('h3', 6), ['p']);
});

test('dead hosts are not waited for, and counted again when they are alive', () => {
  const { marks, change, ack, alive } = setUp();
  alive.delete('h2');
  change('p', 6);
  assert.deepEqual(marks.hosts(), ['h1']);
  alive.add('h2');
  marks.cameAlive('h2');
  marks.cameAlive('h3');
  assert.deepEqual(ack('h1', 6), []);
  alive.delete('h2');
  assert.deepEqual(marks.died('h2'), ['p']);
});

test('a host that comes to need the slice is waited for, and must acknowledge what it was sent then', () => {
  const { marks, change, ack, at, subscribers, acked } = setUp();
  change('p', 6);
  acked.set('h3', 7);
  at.revision = 8;
  subscribers.get(NET)?.add('h3');
  assert.deepEqual(marks.reach('h3', NET, true), []);
  ack('h1', 6);
  ack('h2', 6);
  assert.deepEqual(ack('h3', 7), []);
  assert.deepEqual(ack('h3', 8), ['p']);
});

test('what is waited for from hosts of other servers is known by the highest revision', () => {
  const { marks, change, subscribers } = setUp();
  change('p', 6);
  assert.equal(marks.wants, 0);
  subscribers.set('group:g', new Set(['h3']));
  change('p', 7, 'group:g');
  assert.equal(marks.wants, 7);
});

test('a host that needs the slice no more is not waited for', () => {
  const { marks, change, ack, subscribers } = setUp();
  change('p', 6);
  ack('h1', 6);
  subscribers.get(NET)?.delete('h2');
  assert.deepEqual(marks.reach('h2', NET, false), ['p']);
  assert.deepEqual(marks.reach('h2', NET, false), []);
});

test('a port that is gone waits for nothing, and its round ends with the answers of its hosts', () => {
  const { marks, change, ack } = setUp();
  change('p', 6);
  marks.forget('p');
  assert.equal(marks.isProven('p'), true);
  ack('h1', 6);
  assert.deepEqual(ack('h2', 6), []);
  assert.equal(marks.slices, 0);
});

test('five thousand hosts and five hundred changes are counted host by host once a round, not once a change', () => {
  const { marks, change, ack, subscribers, alive, acked, looks } = setUp();
  const hosts = Array.from({ length: 5000 }, (_, n) => `host${n}`);
  subscribers.set(NET, new Set(hosts));
  for (const host of hosts) alive.add(host);
  // Each way over the hosts, and each look at what one has programmed.
  let steps = 0;
  Object.assign(subscribers.get(NET) ?? {}, {
    *[Symbol.iterator]() {
      for (const host of hosts) {
        steps += 1;
        yield host;
      }
    },
  });
  const before = looks();
  for (let n = 0; n < 500; n += 1) change(`p${n}`, 6 + n);
  for (const host of hosts) ack(host, 600);
  assert.equal(marks.ports, 0);
  assert.equal(acked.size, 5000);
  steps += looks() - before;
  // Two rounds: that of the first change, and the one of all others.
  assert.ok(steps <= 6 * hosts.length, `${steps} steps`);
});

/** The plain rule: a port waits for each (slice, host) until the host has acknowledged the revision, or needs it no more, or is dead. */
class Oracle {
  readonly waits = new Map<string, Map<string, number>>();

  await(portId: string, key: string, revision: number, hosts: Iterable<string>): void {
    const waits = this.waits.get(portId) ?? new Map<string, number>();
    this.waits.set(portId, waits);
    for (const host of hosts) waits.set(`${key} ${host}`, revision);
  }

  strike(match: (key: string, host: string, revision: number) => boolean): void {
    for (const waits of this.waits.values()) {
      for (const [pair, revision] of waits) {
        const [key = '', host = ''] = pair.split(' ');
        if (match(key, host, revision)) waits.delete(pair);
      }
    }
  }

  isProven(portId: string): boolean {
    return (this.waits.get(portId)?.size ?? 0) === 0;
  }
}

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('in any order of changes, acknowledgements, deaths and moves no port is proven before the plain rule says so, and all are in the end', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seeded(seed);
    const { marks, at, ack, acked, alive, subscribers } = setUp();
    const oracle = new Oracle();
    const hosts = ['h1', 'h2', 'h3'];
    const keys: SliceKey[] = [NET, 'group:g'];
    subscribers.set('group:g', new Set(['h2', 'h3']));
    const settled = (ports: readonly string[]): void => {
      for (const portId of ports) assert.ok(marks.isProven(portId));
    };
    for (let step = 0; step < 60; step += 1) {
      const host = hosts[random(3)] ?? '';
      const key = keys[random(2)] ?? NET;
      const portId = `p${random(4)}`;
      const doing = random(6);
      if (doing <= 1) {
        at.revision += 1;
        const live = [...(subscribers.get(key) ?? [])].filter((one) => alive.has(one));
        oracle.await(portId, key, at.revision, live);
        marks.await(portId, key, at.revision);
      } else if (doing <= 3 && alive.has(host)) {
        const revision = Math.min(at.revision, (acked.get(host) ?? 5) + random(4));
        oracle.strike((_, one, wanted) => one === host && wanted <= revision);
        settled(ack(host, revision));
      } else if (doing === 4) {
        if (alive.delete(host)) {
          oracle.strike((_, one) => one === host);
          settled(marks.died(host));
        } else {
          alive.add(host);
          marks.cameAlive(host);
        }
      } else {
        const set = subscribers.get(key) ?? new Set();
        const needed = !set.delete(host);
        if (needed) set.add(host);
        if (!needed) oracle.strike((one, other) => one === key && other === host);
        settled(marks.reach(host, key, needed));
      }
      for (let n = 0; n < 4; n += 1) {
        const early = marks.isProven(`p${n}`) && !oracle.isProven(`p${n}`);
        assert.ok(!early, `seed ${seed}, step ${step}: p${n} is proven too early`);
      }
    }
    at.revision += 1;
    for (const host of hosts) if (alive.has(host)) settled(ack(host, at.revision));
    assert.deepEqual([marks.ports, marks.slices, marks.hosts()], [0, 0, []], `seed ${seed}`);
  }
});

test('many ports of a slice wait each as alone, and hosts that cover all of them are looked at a few times', () => {
  for (const acked of [0, 3, 5, 40, 90, 200]) {
    const [alone, together] = [setUp(), setUp()];
    const waits = Array.from({ length: 100 }, (_, n) => ({ portId: `p${n}`, revision: 1 + ((n * 37) % 100) }));
    for (const { at, acked: said } of [alone, together]) {
      at.revision = 100;
      said.set('h1', acked);
      said.set('h2', 150);
    }
    const rising = [...waits].sort((a, b) => a.revision - b.revision);
    for (const { portId, revision } of rising) alone.marks.await(portId, NET, revision);
    const before = together.looks();
    together.marks.awaitAll(NET, waits);
    const looks = together.looks() - before;
    const waiting = waits.filter(({ revision }) => revision > acked).length;
    assert.ok(looks < 40, `${looks} looks at hosts for ${waits.length} ports, acknowledged ${acked}`);
    assert.equal(together.marks.ports, waiting);
    for (const { portId } of waits) assert.equal(together.marks.isProven(portId), alone.marks.isProven(portId), portId);
    assert.deepEqual(together.ack('h1', 200).sort(), alone.ack('h1', 200).sort());
    assert.deepEqual([together.marks.ports, together.marks.hosts()], [0, []]);
  }
});

test('who is late is waited for in what is its own alone, until it is late no more', () => {
  const { marks, change, ack, late, subscribers } = setUp();
  subscribers.set('gateways:h1', new Set(['h1']));
  change('p', 6);
  change('g', 6, 'gateways:h1');
  ack('h2', 6);
  late.add('h1');
  assert.deepEqual(marks.late('h1'), ['p']);
  assert.deepEqual(
    [marks.isProven('g'), marks.isCounted('h1')],
    [false, true],
    'nobody else says that a gateway is there',
  );
  change('q', 7);
  marks.awaitAll(NET, [{ portId: 'r', revision: 7 }]);
  assert.deepEqual(ack('h2', 7).sort(), ['q', 'r']);
  change('s', 8);
  late.delete('h1');
  marks.cameAlive('h1');
  assert.deepEqual(ack('h2', 8), [], 'it is counted again');
  assert.deepEqual(ack('h1', 8).sort(), ['g', 's']);
});
