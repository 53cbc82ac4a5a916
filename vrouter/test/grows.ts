/** What is received anew is not in the test's own run: a test waits for what it counts. */
import assert from 'node:assert/strict';

/** Waits until the count is @by or more, at most a minute, and asserts that it is no more. */
export async function grows(count: () => number, by: number, what: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (count() < by && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(count(), by, what);
}
