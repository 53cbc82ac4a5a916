import assert from 'node:assert/strict';
import { sleep } from '@cable/kit';

/** Waits until it holds; fails after so many seconds, and says what was told last. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  seconds = 10,
  tell: () => string = () => '',
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await holds())) {
    assert(performance.now() < deadline, `it does not come to hold: ${tell()}`);
    await sleep(5);
  }
}
