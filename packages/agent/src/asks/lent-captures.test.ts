import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import {
  ANY_FRAME,
  type CapturedFrames,
  type CaptureQuery,
  FOLLOW_LEASE_MS,
  MAX_CAPTURE_ANSWER_BYTES,
  MAX_CAPTURES,
  MAX_CAPTURES_A_PORT,
  MAX_CAPTURES_A_PROJECT,
  MAX_SNAPLEN,
} from '@cable/model';
import { NetlinkError } from '../ffi/errno.ts';
import { udp } from '../testing/raw-frames.ts';
import type { FollowedPort } from './follows.ts';
import { LentCaptures } from './lent-captures.ts';
import { NO_PORT } from './tracer.ts';

const ALL: CaptureQuery = { lease: null, after: 0, filter: ANY_FRAME, snaplen: MAX_SNAPLEN };
const ENDS = { fromMac: '02:00:00:00:00:01', toMac: '02:00:00:00:00:02', from: '10.0.0.1', to: '10.0.0.2' };

function portOf(id: string, vif: number, projectId = `of ${id}`): FollowedPort {
  return { id, vif, device: `tap${id}`, ifindex: 10 + vif, vlan: 0, networkId: 'n', projectId };
}

type Sampler = {
  readonly port: FollowedPort;
  readonly take: (frame: Uint8Array, atUs: number) => void;
  readonly onEnd: () => void;
  missing: number;
  isOpen: boolean;
};

function bed(...names: readonly string[]) {
  const timers = new Set<{ at: number; call: () => void }>();
  const ports = new Map(names.map((name, n) => [name, portOf(name, n + 1)]));
  const watched: string[] = [];
  const samplers: Sampler[] = [];
  let [now, leases] = [0, 0];
  const captures = new LentCaptures({
    port: (id) => ports.get(id),
    watched: {
      watch: (device) => {
        watched.push(device);
        return () => void watched.splice(watched.indexOf(device), 1);
      },
    },
    sample: (port, _query, take, onEnd) => {
      if (port.id === 'deaf') throw new NetlinkError('hear', 'ENODEV');
      const sampler: Sampler = { port, take, onEnd, missing: 0, isOpen: true };
      samplers.push(sampler);
      const close = (): void => {
        sampler.isOpen = false;
      };
      return { missing: () => sampler.missing, close };
    },
    newLease: () => {
      leases += 1;
      return `lease${leases}`;
    },
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    monotonicMs: () => now,
    log: silentLogger(),
  });
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.call();
  };
  const ask = (portId: string, more: Partial<CaptureQuery> = {}) => captures.ask({ portId, ...ALL, ...more });
  const only = (): Sampler => {
    const sampler = samplers.at(-1);
    assert.ok(sampler !== undefined);
    return sampler;
  };
  return { captures, ports, watched, samplers, pass, ask, only };
}

function value(said: ReturnType<LentCaptures['ask']>): CapturedFrames {
  assert.ok('value' in said, JSON.stringify(said));
  return said.value;
}

const numbers = ({ frames }: CapturedFrames): readonly number[] => frames.map(({ number }) => number);

test('frames are given from the first question on, again if an answer was lost, and no more when nobody has asked for a while', () => {
  const { ask, watched, pass, only, captures } = bed('a');
  const { lease, frames } = value(ask('a'));
  assert.deepEqual([frames, watched], [[], ['tapa']]);
  const frame = udp(ENDS, 53);
  for (const atUs of [1_700_000_000_000_001, 1_700_000_000_000_002]) only().take(frame, atUs);
  const [first, second] = value(ask('a', { lease })).frames;
  assert.deepEqual(first, {
    number: 1,
    atUs: 1_700_000_000_000_001,
    bytes: frame.length,
    frame: frame.toString('base64'),
  });
  assert.deepEqual(value(ask('a', { lease, after: 0 })).frames, [first, second]);
  assert.deepEqual(value(ask('a', { lease, after: 1 })).frames, [second]);
  only().missing = 7;
  const last = value(ask('a', { lease, after: 2 }));
  assert.deepEqual([last.frames, last.lost, last.hasMore], [[], 7, false]);
  pass(FOLLOW_LEASE_MS - 1);
  assert.equal(value(ask('a', { lease, after: 2 })).lease, lease);
  pass(FOLLOW_LEASE_MS);
  assert.deepEqual([watched, only().isOpen], [[], false]);
  const anew = value(ask('a', { lease, after: 2 }));
  assert.ok(anew.lease !== lease);
  captures.close();
  assert.deepEqual([watched, only().isOpen], [[], false]);
});

test('an answer has so much at the most, and what waits has a bound: what comes then is counted', () => {
  const { ask, only } = bed('a');
  const { lease } = value(ask('a', { snaplen: 1000 }));
  const frame = udp(ENDS, 53, Buffer.alloc(1400)).subarray(0, 1000);
  for (let n = 0; n < 5000; n += 1) only().take(frame, n);
  let after = 0;
  let answers = 0;
  for (let hasMore = true; hasMore; answers += 1) {
    const answer = value(ask('a', { lease, after, snaplen: 1000 }));
    assert.ok(JSON.stringify(answer).length <= MAX_CAPTURE_ANSWER_BYTES, 'the text is not too long');
    assert.deepEqual(numbers(answer)[0], after + 1);
    after = numbers(answer).at(-1) ?? after;
    ({ hasMore } = answer);
    assert.equal(answer.frames[0]?.bytes, 1442, 'how long it was is known');
    assert.equal(answer.lost, 5000 - 730);
  }
  assert.deepEqual([after, answers], [730, 5]);
  only().take(frame, 1);
  assert.deepEqual(numbers(value(ask('a', { lease, after, snaplen: 1000 }))), [731], 'there is room again');
});

test('the last question ends it, gives what is there, and begins none', () => {
  const { ask, only, watched, samplers } = bed('a');
  const { lease } = value(ask('a'));
  only().take(udp(ENDS, 53), 5);
  for (const count of [1, 0]) {
    const said = value(ask('a', { lease, isLast: true }));
    assert.deepEqual([said.frames.length, said.lease, watched], [count, lease, []]);
  }
  assert.deepEqual([samplers.length, only().isOpen], [1, false]);
});

test('a lease is of one port, query and device; frames of a device that is another port’s by now are nobody’s', () => {
  const { ask, ports, samplers, watched } = bed('a', 'b');
  const first = value(ask('a')).lease;
  assert.notEqual(value(ask('b', { lease: first })).lease, first);
  assert.equal(value(ask('a', { lease: first })).lease, first, 'another’s question has not ended it');
  const second = value(ask('a', { lease: first, snaplen: 64 })).lease;
  assert.notEqual(second, first);
  assert.equal(samplers[0]?.isOpen, false);
  ports.set('a', { ...portOf('a', 1), ifindex: 99 });
  const third = value(ask('a', { lease: second, snaplen: 64 })).lease;
  assert.notEqual(third, second);
  assert.equal(samplers.at(-1)?.port.ifindex, 99);
  ports.set('a', portOf('a', 1));
  samplers.at(-1)?.take(udp(ENDS, 53), 1);
  assert.equal(samplers.at(-1)?.isOpen, false, 'the port is not at the device any more');
  const fourth = value(ask('a', { lease: third, snaplen: 64 }));
  assert.deepEqual([fourth.lease === third, fourth.frames], [false, []]);
  samplers.at(-1)?.onEnd();
  assert.notEqual(value(ask('a', { lease: fourth.lease, snaplen: 64 })).lease, fourth.lease, 'its device went');
  ports.delete('a');
  assert.deepEqual(ask('a', { lease: 'lease6', snaplen: 64 }), { fault: NO_PORT });
  assert.deepEqual(watched, ['tapb']);
});

test('so many run of a port, of a project and on the host; one that cannot be heard is refused, and takes no place', () => {
  const others = Array.from({ length: MAX_CAPTURES }, (_, n) => `p${n}`);
  const { ask, ports, watched } = bed('a', 'b', 'c', 'deaf', ...others);
  for (const [n, id] of ['a', 'b', 'c'].entries()) ports.set(id, portOf(id, n + 1, 'mine'));
  const said = (id: string): string => {
    const answer = ask(id);
    return 'fault' in answer ? answer.fault.message : 'taken';
  };
  for (let n = 0; n < 8; n += 1) assert.match(said('deaf'), /packets of the port cannot be read \(ENODEV\)/);
  assert.match(said('deaf'), /the project begins anew too often; again in 2 s/);
  const ofA = Array.from({ length: 100 }, () => said('a'));
  assert.equal(ofA.filter((one) => one === 'taken').length, MAX_CAPTURES_A_PORT);
  assert.match(ofA.at(-1) ?? '', /^2 captures of the port run on the host already$/);
  assert.deepEqual([said('b'), said('b')], ['taken', 'taken']);
  assert.equal(watched.length, MAX_CAPTURES_A_PROJECT);
  assert.match(said('c'), /^4 captures of the project run/);
  const rest = others.map(said);
  assert.equal(rest.filter((one) => one === 'taken').length, MAX_CAPTURES - MAX_CAPTURES_A_PROJECT);
  assert.match(rest.at(-1) ?? '', /^8 captures of the host run/);
});

test('who begins and ends again and again is let in no more often than now and then; others are', () => {
  const { ask, pass, samplers } = bed('a', 'b');
  const beginAndEnd = (id: string): boolean => {
    const answer = ask(id);
    if ('value' in answer) ask(id, { lease: answer.value.lease, isLast: true });
    return 'value' in answer;
  };
  const count = (id: string): number => Array.from({ length: 100 }, () => beginAndEnd(id)).filter(Boolean).length;
  assert.deepEqual([count('a'), count('b')], [8, 8]);
  pass(2000);
  assert.equal(count('a'), 1);
  pass(60_000);
  assert.equal(count('a'), 8);
  assert.equal(samplers.length, 25);
});
