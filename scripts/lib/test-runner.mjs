/**
 * Runs the test files named on the command line with node:test: first those that may run side by side, then one at a time those
 * that use the machine; and prints one summary for both. Its child processes inherit this process's Node options.
 */
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec as Spec } from 'node:test/reporters';
import { needsMachine } from './tests.mjs';

const FILE_TIMEOUT_MS = 300_000;
const SUMS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo'];

const files = process.argv.slice(2);
const passes = [
  { files: files.filter((file) => !needsMachine(file)), concurrency: 2 },
  { files: files.filter((file) => needsMachine(file)), concurrency: 1 },
];

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop.abort());

async function* events() {
  const sums = Object.fromEntries(SUMS.map((name) => [name, 0]));
  const startedAt = Date.now();
  for (const pass of passes) {
    if (pass.files.length === 0 || stop.signal.aborted) continue;
    for await (const event of run({ ...pass, timeout: FILE_TIMEOUT_MS, signal: stop.signal })) {
      const sum = summaryLine(event);
      if (sum === undefined) yield event;
      else if (sum.name in sums) sums[sum.name] += sum.value;
    }
  }
  if (sums.fail > 0 || sums.cancelled > 0 || stop.signal.aborted) process.exitCode = 1;
  for (const name of SUMS) yield diagnostic(`${name} ${sums[name]}`);
  yield diagnostic(`duration_ms ${Date.now() - startedAt}`);
}

/** `{name, value}` if the event is a line of the summary that node:test ends a run with. */
function summaryLine(event) {
  if (event.type !== 'test:diagnostic' || event.data.nesting !== 0 || event.data.file !== undefined) return undefined;
  const found = /^(\w+) ([\d.]+)$/.exec(event.data.message);
  return found === null ? undefined : { name: found[1], value: Number(found[2]) };
}

function diagnostic(message) {
  return { type: 'test:diagnostic', data: { nesting: 0, message } };
}

Readable.from(events()).compose(new Spec()).pipe(process.stdout);
