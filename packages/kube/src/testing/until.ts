import assert from 'node:assert/strict';
import { sleep } from '@cable/kit';

/** Fails after ten seconds. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    assert(performance.now() < deadline, 'it does not come to hold');
    await sleep(2);
  }
}
