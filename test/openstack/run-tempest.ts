/**
 * `npm run test:openstack -- tempest | stock [EXPRESSION] [--workers N] [--record]`: Tempest against Cable or a stock neutron-server.
 *
 * On Cable it ends with 1 when a test fails that the stock server passes, or is skipped without a reason in skips.ts. With `--record` what the stock server passes is
 * written to stock-passes.txt, which Cable is compared with.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Kind, startCloud } from './cloud.ts';
import { differencesOf, readStockPasses, writeStockPasses } from './stock-passes.ts';
import { ALL_TESTS, type Result, runTempest } from './tempest.ts';

const options = {
  workers: { type: 'string', default: '6' },
  record: { type: 'boolean', default: false },
} as const;
const { values, positionals } = parseArgs({ allowPositionals: true, options });
const kind: Kind = positionals[0] === 'stock' ? 'stock' : 'cable';
const expression = positionals[1] ?? ALL_TESTS;
const workers = Number(values.workers);
if (!Number.isInteger(workers) || workers < 1 || workers > 64)
  throw new Error(`--workers must be a whole number from 1 to 64, not ${values.workers}`);
if (values.record && kind !== 'stock') throw new Error('--record is for the stock server: tempest is compared with it');

const directory = mkdtempSync(join(tmpdir(), `cable-tempest-${process.pid}-`));
process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const cloud = await startCloud(kind, directory);
try {
  const results = await runTempest(cloud, directory, { expression, workers, tell });
  const count = (status: Result['status']): number => results.filter((result) => result.status === status).length;
  const failed = count('fail') + count('inprogress');
  process.stdout.write(`\n${kind}: ${count('success')} passed, ${failed} failed, ${count('skip')} skipped\n`);
  if (values.record) writeStockPasses(results);
  process.exitCode = (kind === 'cable' ? compare(results) : failed === 0) && results.length > 0 ? 0 : 1;
} finally {
  await cloud.close();
}

/** Of what was asked for, in Tempest's way: by what a name begins with or has in it. */
function stockPassesOf(asked: string): ReadonlySet<string> {
  const pattern = new RegExp(asked);
  return new Set([...readStockPasses()].filter((name) => pattern.test(name)));
}

/** Says what the stock server passes and this one does not; false: there is such a test. */
function compare(results: readonly Result[]): boolean {
  const differences = differencesOf(results, stockPassesOf(expression));
  for (const { id, why } of differences) process.stdout.write(`the stock server passes ${id}: ${why}\n`);
  return differences.length === 0;
}

function tell({ id, status, seconds, why }: Result): void {
  const reason = status === 'skip' ? `  (${why.trim().split('\n').at(-1)})` : '';
  process.stdout.write(`${status.padEnd(8)}${seconds.toFixed(1).padStart(6)} s  ${id}${reason}\n`);
  if (status === 'fail' || status === 'inprogress') process.stdout.write(`${why.trimEnd().replace(/^/gm, '    | ')}\n`);
}
