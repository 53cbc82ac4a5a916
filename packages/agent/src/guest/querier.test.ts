import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_GROUP_SECONDS } from '../bpf/abi.gen.ts';
import { igmpQuery, mldQuery } from './group-query.ts';
import { type Asked, Querier } from './querier.ts';

const SECOND = 1_000_000_000n;
const START = 1000n * SECOND;

/** A host whose clock is the test's: `run` looks each quarter of a second. */
function createHost() {
  const state = {
    now: START,
    guests: new Map<number, { portId: string; isHere: boolean }>(),
    asked: new Map<number, Asked>(),
    joinedBy: new Map<number, string>(),
    routers: new Set<number>(),
    down: new Set<number>(),
    left: new Map<number, bigint>(),
    /** When whom: in seconds since the beginning. */
    sent: [] as string[],
    works: true,
  };
  const since = (): number => Number(state.now - START) / 1e9;
  const start = (): Querier =>
    new Querier({
      guests: () => state.guests,
      ask: (vif, question) => {
        if (state.works) state.sent.push(`${Math.floor(since())}: ${vif}${question === 'within 1 s' ? ' now' : ''}`);
        return state.works;
      },
      leftAt: (vif) => state.left.get(vif) ?? 0n,
      rowsOf: (vif) => ({
        asked: state.asked.get(vif) ?? null,
        joinedBy: state.joinedBy.get(vif) ?? null,
        isUp: !state.down.has(vif),
        isRouter: state.routers.has(vif),
      }),
      begin: (vif, portId) => void state.joinedBy.set(vif, portId),
      write: (vif, asked) => void state.asked.set(vif, asked),
      forget: (vif) => {
        state.asked.delete(vif);
        state.joinedBy.delete(vif);
      },
      count: () => {},
      nowNs: () => state.now,
      random: () => 0.999_999,
    });
  const run = (querier: Querier, seconds: number): void => {
    for (const end = state.now + BigInt(seconds) * SECOND; state.now < end; state.now += SECOND / 4n) querier.look();
  };
  /** Does what is known of the VIF count? */
  const counts = (vif: number): boolean => {
    const { portId, fromNs, untilNs } = state.asked.get(vif) ?? { portId: '', fromNs: 0n, untilNs: 0n };
    return (
      portId !== '' && portId === state.joinedBy.get(vif) && fromNs > 0n && fromNs <= state.now && state.now < untilNs
    );
  };
  return { state, start, run, counts };
}

test('a guest that comes is asked twice, and what it answers counts when it has had the time; then each two minutes', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: true });
  run(querier, 42);
  assert.deepEqual([state.sent, counts(3)], [['0: 3', '31: 3'], false]);
  run(querier, 2);
  assert.equal(counts(3), true);
  run(querier, 300);
  assert.deepEqual(state.sent, ['0: 3', '31: 3', '155: 3', '279: 3']);
  assert.equal(counts(3), true);
});

test('without an agent nothing counts any more before a membership is over; the next one asks at once, and what is known counts on', () => {
  const { state, start, run, counts } = createHost();
  state.guests.set(3, { portId: 'p', isHere: true });
  run(start(), 60);
  const last = 31;
  state.now = START + BigInt(last + 100) * SECOND;
  const next = start();
  run(next, 11);
  assert.deepEqual([state.sent.at(-1), counts(3)], ['141: 3', true]);
  state.now += 244n * SECOND;
  assert.equal(counts(3), false, 'and ends so much later without one');
  const asked = state.asked.get(3);
  assert.ok(asked !== undefined && asked.untilNs - START <= BigInt(141 + CB_GROUP_SECONDS) * SECOND);
  run(start(), 1);
  assert.deepEqual([counts(3), state.asked.get(3)?.fromNs], [false, 0n], 'it begins anew');
});

test('a question that cannot go out makes nothing count', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: true });
  run(querier, 60);
  state.works = false;
  run(querier, 300);
  assert.equal(counts(3), false);
  state.works = true;
  run(querier, 35);
  assert.equal(counts(3), false, 'what it said before may be over');
  run(querier, 30);
  assert.equal(counts(3), true);
});

test('a guest that runs elsewhere is not asked, however long it is on its way: what it has joined is not known when it comes', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: false });
  run(querier, 600);
  assert.deepEqual([state.sent, counts(3), state.joinedBy.get(3)], [[], false, 'p']);
  state.guests.set(3, { portId: 'p', isHere: true });
  run(querier, 40);
  assert.deepEqual([state.sent, counts(3)], [['600: 3', '631: 3'], false]);
  run(querier, 10);
  assert.equal(counts(3), true);
  state.guests.set(3, { portId: 'p', isHere: false });
  run(querier, 200);
  assert.equal(counts(3), false, 'it has left');
});

test('a number that is another port’s begins anew', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: true });
  run(querier, 60);
  state.guests.set(3, { portId: 'q', isHere: true });
  querier.look();
  assert.deepEqual([counts(3), state.joinedBy.get(3), state.asked.get(3)?.fromNs], [false, 'q', 0n]);
  run(querier, 50);
  assert.equal(counts(3), true);
});

test('a router is not asked, and when it is none any more it begins anew', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: true });
  run(querier, 60);
  state.routers.add(3);
  run(querier, 200);
  const asked = state.sent.length;
  assert.equal(counts(3), false);
  run(querier, 200);
  assert.equal(state.sent.length, asked);
  state.routers.delete(3);
  run(querier, 60);
  assert.equal(counts(3), true);
});

test('who has left a group is asked twice at once, and what he has not said then is over', () => {
  const { state, start, run } = createHost();
  state.guests.set(3, { portId: 'p', isHere: true });
  state.guests.set(4, { portId: 'q', isHere: true });
  const querier = start();
  run(querier, 50);
  const leftAt = state.now;
  state.left.set(3, leftAt);
  run(querier, 2);
  assert.deepEqual([state.sent.slice(4), state.asked.get(3)?.leftNs], [['50: 3 now', '51: 3 now'], 0n]);
  run(querier, 2);
  const { leftNs = 0n } = state.asked.get(3) ?? {};
  assert.ok(leftNs >= leftAt && leftNs < state.now - 2n * SECOND, 'as of when it was asked');
  run(querier, 60);
  assert.equal(state.sent.length, 6, 'once for what was left');
  state.left.set(3, state.now);
  run(querier, 150);
  assert.ok((state.asked.get(3)?.leftNs ?? 0n) > leftNs, 'also the next time');
  assert.equal(state.asked.get(4)?.leftNs, 0n);
  const next = start();
  const asked = state.sent.length;
  run(next, 1);
  assert.equal(state.sent.slice(asked).filter((one) => one.endsWith('now')).length, 0, 'nor by the next agent');
});

test('of very many guests none waits long to be looked at for what it has left', () => {
  const { state, start, run } = createHost();
  const last = 5000;
  const querier = start();
  for (let vif = 1; vif <= last; vif++) state.guests.set(vif, { portId: `p${vif}`, isHere: true });
  run(querier, 70);
  state.left.set(last, state.now);
  run(querier, 12);
  assert.ok(state.sent.some((one) => one.endsWith(`: ${last} now`)));
});

test('what is left is not over while the question does not go out', () => {
  const { state, start, run } = createHost();
  state.guests.set(3, { portId: 'p', isHere: true });
  const querier = start();
  run(querier, 50);
  state.works = false;
  state.left.set(3, state.now);
  run(querier, 20);
  assert.equal(state.asked.get(3)?.leftNs, 0n);
  state.works = true;
  run(querier, 10);
  assert.ok((state.asked.get(3)?.leftNs ?? 0n) > 0n);
});

test('nothing is kept of a guest that is gone', () => {
  const { state, start, run } = createHost();
  state.guests.set(3, { portId: 'p', isHere: true });
  const querier = start();
  run(querier, 50);
  state.guests.delete(3);
  querier.look();
  assert.deepEqual([state.asked.size, state.joinedBy.size], [0, 0]);
});

test('many guests are asked in parts', () => {
  const { state, start } = createHost();
  const querier = start();
  for (let vif = 1; vif <= 250; vif++) state.guests.set(vif, { portId: `p${vif}`, isHere: true });
  const after = [1, 2, 3, 4].map(() => {
    querier.look();
    return state.sent.length;
  });
  assert.deepEqual(after, [100, 200, 250, 250]);
});

test('the questions are those of the RFCs', () => {
  assert.equal(Buffer.from(igmpQuery(10)).toString('hex'), '1164ec1e00000000027d0000');
  assert.equal(Buffer.from(mldQuery(10)).toString('hex'), `8200000027100000${'00'.repeat(16)}027d0000`);
});

test('a guest that a question does not reach is asked when one does, and nothing counts before', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: true });
  state.down.add(3);
  run(querier, 60);
  assert.deepEqual([state.sent, counts(3)], [[], false]);
  state.down.clear();
  run(querier, 45);
  assert.deepEqual([state.sent, counts(3)], [['60: 3', '91: 3'], true]);
  state.down.add(3);
  run(querier, 130);
  assert.equal(counts(3), false, 'it was not asked when it was due');
});

test('rows that are gone, as those of maps made anew are, begin anew', () => {
  const { state, start, run, counts } = createHost();
  const querier = start();
  state.guests.set(3, { portId: 'p', isHere: true });
  run(querier, 60);
  assert.equal(counts(3), true);
  state.joinedBy.clear();
  state.asked.clear();
  run(querier, 200);
  assert.deepEqual([state.joinedBy.get(3), counts(3)], ['p', true]);
});
