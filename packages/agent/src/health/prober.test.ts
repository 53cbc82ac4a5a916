import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { PoolMonitor } from '@cable/model';
import type { ProbeTarget } from '../desired.ts';
import { Prober } from './prober.ts';

const MONITOR: PoolMonitor = { type: 'TCP', delayMs: 5000, timeoutMs: 2000, rise: 2, fall: 2 };

function target(memberId: string, more: Partial<ProbeTarget> = {}): ProbeTarget {
  const address = `198.18.0.${memberId.length}`;
  return { memberId, projectId: 'p', address, port: 80, isMachine: false, authority: 'x', monitor: MONITOR, ...more };
}

function targets(...some: readonly ProbeTarget[]): ReadonlyMap<string, ProbeTarget> {
  return new Map(some.map((one) => [one.memberId, one]));
}

/** A prober by a clock that stands still until it is told otherwise, whose probes end as the test says. */
function startBed(t: TestContext) {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly call: () => void }>();
  const open = new Map<string, (result: true | string) => void>();
  const changed: string[] = [];
  const began: string[] = [];
  const prober = new Prober({
    open: ({ memberId }, onEnd) => {
      began.push(`${memberId} ${now}`);
      open.set(memberId, onEnd);
      return { close: () => void open.delete(memberId) };
    },
    clock: {
      now: () => now,
      after: (ms, call) => {
        const timer = { at: now + ms, call };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    random: () => 0.5,
    onChange: (ids) => changed.push(...[...ids].map((id) => `${id} ${prober.stateOf(id)}`)),
    log: silentLogger(),
  });
  t.after(() => prober.close());
  const forward = async (ms: number): Promise<void> => {
    const until = now + ms;
    for (;;) {
      const [next] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      timers.delete(next);
      now = next.at;
      next.call();
      await new Promise((resolve) => setImmediate(resolve));
    }
    now = until;
  };
  return {
    prober,
    open,
    changed,
    began,
    timers,
    forward,
    end: (id: string, result: true | string) => open.get(id)?.(result),
  };
}

test('a member is up or down by its first probe, and another only by several on end', async (t) => {
  const { prober, changed, began, forward, end } = startBed(t);
  prober.take(targets(target('m')));
  assert.deepEqual(prober.healthOf('m'), { memberId: 'm', state: 'unknown', reason: null });
  await forward(1000);
  assert.deepEqual(began, ['m 500'], 'soon, and not all at once');
  end('m', true);
  assert.equal(prober.stateOf('m'), 'up');
  for (const result of ['ECONNREFUSED', true, 'ECONNREFUSED', 'EHOSTUNREACH'] as const) {
    await forward(5000);
    end('m', result);
  }
  assert.deepEqual(began, ['m 500', 'm 5500', 'm 10500', 'm 15500', 'm 20500'], 'from one beginning to the next');
  assert.deepEqual(changed, ['m undefined', 'm up', 'm down']);
  assert.deepEqual(prober.healthOf('m'), { memberId: 'm', state: 'down', reason: 'EHOSTUNREACH' });
  await forward(5000);
  end('m', true);
  await forward(5000);
  end('m', true);
  assert.deepEqual(changed.slice(3), ['m up']);
  assert.equal(prober.healthOf('m').reason, null);
});

test('who does not answer in time is not well; of a datagram silence is no refusal', async (t) => {
  const { prober, open, forward } = startBed(t);
  const udp = { monitor: { ...MONITOR, type: 'UDP-CONNECT' } } as const;
  prober.take(targets(target('silent'), target('udp', udp)));
  await forward(2400);
  assert.equal(open.size, 2);
  assert.equal(prober.stateOf('udp'), undefined);
  await forward(200);
  assert.equal(open.size, 0);
  assert.equal(prober.stateOf('silent'), 'down');
  assert.equal(prober.healthOf('silent').reason, 'no answer in time');
  assert.equal(prober.stateOf('udp'), 'up');
});

test('what is no more is gone, with its probe; another way to probe forgets nothing, another address everything', async (t) => {
  const { prober, open, changed, timers, forward, end } = startBed(t);
  const first = target('m');
  prober.take(targets(first));
  await forward(600);
  end('m', true);
  prober.take(targets(first));
  assert.deepEqual(changed, ['m undefined', 'm up'], 'the same again changes nothing');
  prober.take(targets({ ...first, monitor: { ...MONITOR, delayMs: 1000 } }));
  assert.equal(prober.stateOf('m'), 'up');
  await forward(600);
  assert.equal(open.size, 1);
  prober.take(targets({ ...first, address: '198.18.0.99' }));
  assert.equal(open.size, 0);
  assert.equal(prober.stateOf('m'), undefined);
  prober.take(new Map());
  assert.equal(changed.at(-1), 'm undefined');
  assert.equal(prober.healthOf('m').state, 'gone');
  assert.equal(timers.size, 0);
});

test('of a project half of all probes may be under way, and others begin meanwhile', async (t) => {
  const { prober, open, forward, end } = startBed(t);
  const slow = Array.from({ length: 1500 }, (_, n) =>
    target(`slow-${n}`, { monitor: { ...MONITOR, timeoutMs: 5000 } }),
  );
  prober.take(targets(...slow, target('other', { projectId: 'q' })));
  await forward(2500);
  assert.equal(open.size, 1025);
  assert.equal(open.has('other'), true);
  end('slow-0', true);
  assert.equal(open.size, 1025, 'the next one that waits has begun');
  assert.equal(prober.counters()['probes_under_way'], 1025);
  prober.take(new Map());
  assert.equal(open.size, 0);
  assert.equal(prober.counters()['probes_under_way'], 0);
});

test('no more than a thousand probes begin in a second', async (t) => {
  const { prober, began, forward } = startBed(t);
  prober.take(targets(...Array.from({ length: 1200 }, (_, n) => target(`m-${n}`, { projectId: `p${n}` }))));
  await forward(999);
  assert.equal(began.length, 500);
  await forward(5000);
  const at = began.map((one) => Number(one.split(' ')[1]));
  for (const [n, ms] of at.entries()) if (n > 0) assert.ok(ms - (at[n - 1] ?? 0) >= 1);
});

test('what a round that was under way at the end wants to be probed is probed no more', async (t) => {
  const { prober, changed, forward } = startBed(t);
  prober.close();
  prober.take(targets(target('m')));
  await forward(60_000);
  assert.deepEqual(changed, []);
  assert.deepEqual([...prober.members], []);
});

test('who goes up and down with each probe has each state for some seconds', async (t) => {
  const { prober, changed, forward, end } = startBed(t);
  prober.take(targets(target('m', { monitor: { ...MONITOR, delayMs: 1000, timeoutMs: 500, rise: 1, fall: 1 } })));
  await forward(500);
  for (let n = 0; n < 30; n += 1) {
    end('m', n % 2 === 0 || 'ECONNREFUSED');
    await forward(1000);
  }
  assert.deepEqual(changed, ['m undefined', 'm up', 'm down', 'm up', 'm down', 'm up', 'm down']);
});
