/**
 * Runs the test files named on the command line with node:test: first those that are at home in their own process, then those that
 * use the machine, both side by side, then one at a time those that nothing may run beside; and prints one summary for all.
 * `--bundled`: what has a bundle is run by that, without this process's Node options, which the others inherit. `--seconds FILE`: the
 * seconds of each file are written there.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec as Spec } from 'node:test/reporters';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bundleOf } from './bundles.mjs';
import { endTree, programsOf } from './process-tree.mjs';
import { needsMachine, runsAlone } from './tests.mjs';

const FILE_TIMEOUT_MS = 480_000;
/** What a file over its time has to say what keeps it. */
const LAST_WORDS_MS = 3000;
const LAST_WORDS = ['--import', new URL('./last-words.mjs', import.meta.url).href];
const SLOWEST = 15;
const SUMS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo'];

const { values: options, positionals: files } = parseArgs({
  options: { bundled: { type: 'boolean', default: false }, seconds: { type: 'string' } },
  allowPositionals: true,
});
const fromSource = process.execArgv;
/** What is run for each file: its bundle, or itself. */
const ranFor = new Map(
  files.map((file) => [file, options.bundled && existsSync(bundleOf(file)) ? bundleOf(file) : file]),
);
const fileOf = new Map([...ranFor].map(([file, ran]) => [ran, file]));
const passes = [
  { what: 'at home in their process', concurrency: 2, files: files.filter((file) => !needsMachine(file)) },
  {
    what: 'that use the machine',
    concurrency: 2,
    files: files.filter((file) => needsMachine(file) && !runsAlone(file)),
  },
  { what: 'that nothing may run beside', concurrency: 1, files: files.filter((file) => runsAlone(file)) },
];

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop.abort());

const began = new Map();
const seconds = new Map();
/** By place of the source, the tests of it that have begun and not ended, and the last that has. */
const open = new Map();
const ended = new Map();
/** Files that were over their time. */
const late = new Set();

async function* events() {
  const sums = Object.fromEntries(SUMS.map((name) => [name, 0]));
  const begin = Date.now();
  const took = [];
  for (const pass of passes) {
    const passBegin = { atMs: Date.now(), busyMs: busyMs() };
    for (const { files, execArgv } of portions(pass.files)) {
      if (files.length === 0 || stop.signal.aborted) continue;
      // What node:test starts files with.
      process.execArgv = execArgv;
      const { concurrency } = pass;
      for await (const event of run({ files, concurrency, timeout: FILE_TIMEOUT_MS + 15_000, signal: stop.signal })) {
        for (const line of watch(event)) yield diagnostic(line);
        const sum = summaryLine(event);
        if (sum === undefined) yield event;
        else if (sum.name in sums) sums[sum.name] += sum.value;
      }
    }
    if (pass.files.length > 0) took.push(passLine(pass, passBegin));
  }
  if (sums.fail > 0 || sums.cancelled > 0 || stop.signal.aborted) process.exitCode = 1;
  const slowest = [...seconds].sort((a, b) => b[1] - a[1]);
  if (options.seconds !== undefined) {
    writeFileSync(options.seconds, slowest.map(([file, s]) => `${s.toFixed(1)}\t${file}\n`).join(''));
  }
  for (const [file, s] of slowest.slice(0, SLOWEST)) yield diagnostic(`slow: ${s.toFixed(0).padStart(4)} s ${file}`);
  for (const line of took) yield diagnostic(line);
  for (const name of SUMS) yield diagnostic(`${name} ${sums[name]}`);
  yield diagnostic(`duration_ms ${Date.now() - begin}`);
}

/** Those that have a bundle, and those that are run from source. */
function portions(files) {
  const ran = files.map((file) => ranFor.get(file));
  const ofSource = (file) => file.endsWith('.ts');
  return [
    { execArgv: [...fromSource, ...LAST_WORDS], files: ran.filter(ofSource) },
    { execArgv: ['--enable-source-maps', ...LAST_WORDS], files: ran.filter((file) => !ofSource(file)) },
  ];
}

function passLine({ what, concurrency, files }, { atMs, busyMs: busyBeforeMs }) {
  const sum = files.reduce((total, file) => total + (seconds.get(file) ?? 0), 0);
  const wallMs = Date.now() - atMs;
  const busy = ((100 * (busyMs() - busyBeforeMs)) / Math.max(1, wallMs * cpus().length)).toFixed(0);
  return `time: ${(wallMs / 1000).toFixed(0).padStart(4)} s for ${files.length} files ${what}, ${concurrency} at a time (their sum ${sum.toFixed(0)} s), the machine busy by ${busy} %`;
}

/** What all processors have worked since the machine began. */
function busyMs() {
  return cpus().reduce((total, { times }) => total + times.user + times.nice + times.sys + times.irq, 0);
}

/**
 * Notes how long each file takes, and ends one that is over its time with all that it started. (node:test only asks it to end and
 * goes on, so that what it leaves would run beside the others and keep this process from ending; its own limit is for a file that
 * ended but left a program which holds its pipes.) Returns what is to be said of a file that was cut short.
 */
function watch({ type, data }) {
  const file = fileOf.get(data.name) ?? data.name;
  if (data.nesting !== 0 || !files.includes(file)) {
    noteTest(type, data);
    return [];
  }
  if (type === 'test:dequeue') began.set(file, { at: Date.now(), timer: setTimeout(() => end(file), FILE_TIMEOUT_MS) });
  if (type === 'test:complete') {
    const { at, timer } = began.get(file);
    clearTimeout(timer);
    seconds.set(file, (Date.now() - at) / 1000);
  }
  // Only now its tests are known: those of all files but one are told after they have ended.
  return type === 'test:fail' ? cutShort(file) : [];
}

function noteTest(type, { file, name }) {
  if (type === 'test:dequeue') open.set(file, (open.get(file) ?? new Set()).add(name));
  if (type !== 'test:complete') return;
  open.get(file)?.delete(name);
  ended.set(file, name);
}

/** A test has the place of its source, whatever was run. */
function cutShort(file) {
  const source = resolve(file);
  const within = [...(open.get(source) ?? [])].map((name) => `cut short in: ${name}`);
  if (within.length > 0 || !late.has(file)) return within;
  return [`cut short: no test is known to have been under way; the last that ended: ${ended.get(source) ?? 'none'}`];
}

async function end(file) {
  late.add(file);
  const pids = programsOf(process.pid, ranFor.get(file));
  for (const pid of pids) askForLastWords(pid);
  await sleep(LAST_WORDS_MS);
  for (const pid of pids) endTree(pid);
}

/** One that says nothing keeps its event loop from turning. */
function askForLastWords(pid) {
  try {
    process.kill(pid, 'SIGUSR2');
  } catch (err) {
    if (err.code !== 'ESRCH') throw err;
  }
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

await pipeline(Readable.from(events()).compose(new Spec()), process.stdout, { end: false });
// What a test left running may hold this process's pipes: the end does not wait for it.
process.exit();
