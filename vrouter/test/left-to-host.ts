import assert from 'node:assert/strict';
import type { World } from './world.ts';

/** The uplink's frame goes on to the host as it is, and nothing is counted of it. */
export function assertLeftToHost(world: World, frame: Uint8Array): void {
  const before = world.stat();
  const out = world.arrive(frame);
  assert.equal(out.verdict, 'pass');
  assert.deepEqual(Buffer.from(out.data), Buffer.from(frame));
  assert.deepEqual(world.stat(), before, 'nothing is counted here');
}
