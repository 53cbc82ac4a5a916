/**
 * `npm run test:openstack -- compare [--only PREFIX] [--json]`: thousands of requests, most of them odd, to a stock neutron-server in one process and to Cable.
 *
 * At the end it says how many requests each reason explains. It ends with 1 when an answer differs without a reason in compare-differences.ts, or, when all was asked, when a reason there explains nothing any more.
 * `--json` writes each request with both answers, a line of JSON each, in place of the differences.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { subjectsOf } from './compare/all.ts';
import { compareAll, showTold, staleReasons, type Told } from './compare.ts';

const options = { only: { type: 'string', default: '' }, json: { type: 'boolean', default: false } } as const;
const { values } = parseArgs({ options });
const subjects = subjectsOf(values.only);
if (subjects.length === 0) throw new Error(`nothing begins with ${values.only}: see test/openstack/compare`);

const directory = mkdtempSync(join(tmpdir(), `cable-compare-${process.pid}-`));
process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const begun = performance.now();
const all: Told[] = [];
await compareAll(directory, { subjects, pairs: Math.min(2, subjects.length) }, (told) => {
  all.push(told);
  if (values.json) process.stdout.write(`${JSON.stringify(told)}\n`);
  else if (told.differences.length > 0) process.stdout.write(showTold(told));
});
const seconds = Math.round((performance.now() - begun) / 1000);
const differing = all.filter(({ differences }) => differences.length > 0).length;
const accepted = all.filter(({ differences, reasons }) => differences.length === 0 && reasons.length > 0).length;
const explained = new Map<string, number>();
for (const { reasons } of all) {
  for (const reason of new Set(reasons.map((one) => one.reason)))
    explained.set(reason, (explained.get(reason) ?? 0) + 1);
}
for (const [reason, count] of [...explained].sort(([, one], [, other]) => other - one)) {
  process.stderr.write(`${String(count).padStart(6)} ${reason}\n`);
}
const stale = values.only === '' ? staleReasons(all) : [];
for (const { of, is } of stale) process.stderr.write(`no answer needs this reason any more: ${of} ${is}\n`);
process.stderr.write(
  `\n${all.length} requests in ${seconds} s: ${all.length - accepted - differing} answered alike, ${accepted} otherwise with a reason, ${differing} otherwise\n`,
);
process.exitCode = differing + stale.length === 0 ? 0 : 1;
