/**
 * `npm run test:openstack -- session [--only PREFIX] [--all]`: the session of the real `openstack` client on a stock neutron-server and on Cable.
 *
 * It ends with 1 when an answer differs without a reason in session-differences.ts, or, when all areas were run, when a reason there explains nothing any more.
 * `--all` shows what both answered to every command.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runSession, showTold, staleReasons, startClouds } from './session.ts';
import { readAreas } from './session-script.ts';

const options = { only: { type: 'string', default: '' }, all: { type: 'boolean', default: false } } as const;
const { values } = parseArgs({ options });
const areas = readAreas(values.only);
if (areas.length === 0) throw new Error(`no area begins with ${values.only}: see test/openstack/session`);

const directory = mkdtempSync(join(tmpdir(), `cable-session-${process.pid}-`));
process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const clouds = await startClouds(directory);
try {
  const begun = performance.now();
  const told = await runSession(clouds, areas, (one) => {
    if (values.all)
      process.stdout.write(`${one.step.place}  ${one.step.user}: ${one.step.command}\n${JSON.stringify(one.stock)}\n`);
    if (one.differences.length > 0) process.stdout.write(showTold(one));
  });
  const differing = told.filter(({ differences }) => differences.length > 0).length;
  const stale = values.only === '' ? staleReasons(told) : [];
  for (const { of, is } of stale) process.stdout.write(`no answer needs this reason any more: ${of} ${is}\n`);
  const seconds = Math.round((performance.now() - begun) / 1000);
  process.stdout.write(`\n${told.length} commands in ${seconds} s, ${differing} answered otherwise\n`);
  process.exitCode = differing + stale.length === 0 ? 0 : 1;
} finally {
  await clouds.close();
}
