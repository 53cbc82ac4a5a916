import assert from 'node:assert/strict';
import { sleep } from '@cable/kit';

/** Fails after so many seconds. */
export async function until(holds: () => boolean, seconds = 10): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!holds()) {
    assert(performance.now() < deadline, 'it does not come to hold');
    await sleep(2);
  }
}
