/**
 * The long hammer: rounds of clients and faults until the time is over, on two servers and etcd, or (--store lmdb) on one with LMDB. Ends with 1 when a round had
 * a problem, which it prints.
 */
import { parseArgs } from 'node:util';
import { startBed } from './bed.ts';
import { runRound } from './round.ts';

const ROUND_MS = 25_000;
/** So many rounds go by until one has a restore. */
const RESTORE_EVERY = 4;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '150' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    store: { type: 'string', default: 'etcd' },
    clients: { type: 'string', default: '24' },
  },
});
const tell = (what: string): void => void process.stdout.write(`${(performance.now() / 1000).toFixed(1)} s ${what}\n`);
const kind = values.store === 'lmdb' ? 'lmdb' : 'etcd';
const bed = await startBed(kind);
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    interrupted.abort();
    process.exit(1);
  });
}
try {
  const untilMs = performance.now() + 1000 * Number(values.seconds);
  for (let round = 0; performance.now() < untilMs; round += 1) {
    const seed = Number(values.seed) + round;
    const restores = kind === 'etcd' && round % RESTORE_EVERY === RESTORE_EVERY - 1;
    tell(`round with seed ${seed}${restores ? ', with a restore' : ''}`);
    const { problems, answers } = await runRound(bed, {
      ...{ seed, restores, tell, hammerMs: Math.min(ROUND_MS, 1000 * Number(values.seconds)) },
      ...{ clients: Number(values.clients), mostPauseMs: 5000, monotonicMs: () => performance.now() },
    });
    tell(JSON.stringify(answers));
    for (const problem of problems.slice(0, 40)) tell(`PROBLEM: ${problem}`);
    tell(`seed ${seed}: ${problems.length} problem(s)`);
    if (problems.length > 0) process.exitCode = 1;
  }
} finally {
  await bed.close();
}
