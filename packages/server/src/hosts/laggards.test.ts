import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Laggards } from './laggards.ts';

function setUp() {
  const at = { ms: 0 };
  const programmed = new Map<string, number>();
  const laggards = new Laggards({ monotonicMs: () => at.ms, programmed: (host) => programmed.get(host) ?? 0 });
  const look = (ms: number, ...counted: readonly string[]) => {
    at.ms = ms;
    return laggards.look(counted);
  };
  return { laggards, programmed, look };
}

test('who comes no further for a minute while something waits for it is late, until it comes further', () => {
  const { laggards, programmed, look } = setUp();
  programmed.set('h1', 5).set('h2', 5);
  assert.deepEqual(look(0, 'h1', 'h2'), { late: [], back: [] });
  programmed.set('h2', 6);
  assert.deepEqual(look(59_000, 'h1', 'h2'), { late: [], back: [] });
  assert.deepEqual(look(60_000, 'h1', 'h2'), { late: ['h1'], back: [] });
  assert.deepEqual([laggards.has('h1'), laggards.has('h2')], [true, false]);
  assert.deepEqual(look(61_000, 'h1', 'h2'), { late: [], back: [] }, 'it is told once');
  programmed.set('h1', 6);
  assert.deepEqual(look(62_000, 'h1', 'h2'), { late: [], back: ['h1'] });
  assert.deepEqual(look(119_000, 'h1', 'h2'), { late: ['h2'], back: [] });
  assert.deepEqual(look(122_000, 'h1', 'h2'), { late: ['h1'], back: [] }, 'a minute from when it was back');
});

test('the minute begins anew when nothing waits for a host in between', () => {
  const { look } = setUp();
  look(0, 'h1');
  look(59_000);
  assert.deepEqual(look(60_000, 'h1').late, []);
  assert.deepEqual(look(119_999, 'h1').late, []);
  assert.deepEqual(look(120_000, 'h1').late, ['h1']);
});

test('a host that has gone is late no more', () => {
  const { laggards, look } = setUp();
  look(0, 'h1');
  look(60_000, 'h1');
  laggards.forget('h1');
  assert.equal(laggards.has('h1'), false);
  assert.deepEqual(look(61_000, 'h1'), { late: [], back: [] });
});
