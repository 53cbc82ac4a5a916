/** `npm run test:openstack -- tempest | stock [EXPRESSION]`: Tempest against Cable or a stock neutron-server; ends with 1 when a test fails. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCloud } from './cloud.ts';
import { ALL_TESTS, type Result, runTempest } from './tempest.ts';

const [which = 'tempest', expression = ALL_TESTS] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), `cable-tempest-${process.pid}-`));
process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const cloud = await startCloud(which === 'stock' ? 'stock' : 'cable', directory);
try {
  const results = await runTempest(cloud, directory, { expression, workers: 2, tell });
  const told = results.filter(({ status }) => status !== 'exists');
  const failed = told.filter(({ status }) => status === 'fail' || status === 'inprogress');
  for (const { id, why } of failed) process.stdout.write(`\n== ${id}\n${why.trimEnd()}\n`);
  const passed = told.filter(({ status }) => status === 'success').length;
  const skipped = told.filter(({ status }) => status === 'skip').length;
  process.stdout.write(`\n${cloud.kind}: ${passed} passed, ${failed.length} failed, ${skipped} skipped\n`);
  process.exitCode = failed.length > 0 || told.length === 0 ? 1 : 0;
} finally {
  await cloud.close();
}

function tell({ id, status, seconds, why }: Result): void {
  if (status === 'exists') return;
  const reason = status === 'skip' ? `  (${why.trim().split('\n').at(-1)})` : '';
  process.stdout.write(`${status.padEnd(8)}${seconds.toFixed(1).padStart(6)} s  ${id}${reason}\n`);
}
