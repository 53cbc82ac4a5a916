const startedAt = performance.now();

/** Says on standard error how far the benchmark has come, and after how long. */
export function say(line: string): void {
  process.stderr.write(`bench ${Math.round((performance.now() - startedAt) / 1000)} s: ${line}\n`);
}
