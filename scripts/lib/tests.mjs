/** Finds and runs the checks and the tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { BUNDLES, bundleTests } from './bundles.mjs';
import { capture, say } from './say.mjs';

const PLACES = ['packages', 'vrouter/test', 'test'];

const ALONE = ['test/', 'vrouter/test/model/', 'vrouter/test/facts.test.ts'];
/** Of these such as wait for what comes, however long it takes. */
export const NOT_ALONE = [
  ...[
    'test/cni/',
    'test/gen/',
    'test/install/',
    'test/joining/',
    'test/kubernetes/',
    'test/logging/',
    'test/protons/',
    'test/rules/',
  ],
  ...[
    'balanced',
    'distributed',
    'floating-here',
    'outside',
    'port-forwarding',
    'promised',
    'provider-ports',
    'routed-in',
    'shared-address',
    'snat',
    'traced-here',
    'traced',
  ].map((name) => `test/outside/${name}.test.ts`),
  'vrouter/test/model/',
];
const ALONE_AMONG_THEM = ['test/kubernetes/announced.test.ts'];
/** Left out by default, with what shows the same more cheaply. By name, and with --all, they run as every other. */
export const LEFT_OUT = {
  'test/outside/fail-over-own-ports.test.ts': 'as fail-over-leases.test.ts, by the hosts of the guests',
  'test/versions/on-devices.test.ts': 'agents of the same older version come and go in load.test.ts, with more packets',
  'test/versions/own-encapsulation.test.ts':
    'as load.test.ts for another older version, and encapsulation.test.ts of the agent for mixed hosts',
};
/** Need packages or programs that no other test does. */
const OPENSTACK = 'test/openstack';
const KUBE = 'test/kube';

/**
 * Runs the checks, then the test files: all but those that are left out, everything with `all`, or those whose path contains one of
 * `names`. The runner's own summary (tests, pass, fail) comes last, and what was left out. Returns the exit code. `source`: nothing
 * is bundled. `secondsFile`: where the seconds of each file are written.
 */
export async function runTests(root, fromSource, { names, all, source, secondsFile }) {
  const found = findTests(root).filter((file) => wanted(file, names));
  if (found.length === 0) {
    say(`no test file matches ${names.join(' ')}`);
    return 1;
  }
  const files = all || names.length > 0 ? found : found.filter((file) => LEFT_OUT[file] === undefined);
  const checks = names.length === 0 ? await runStaticChecks(root, fromSource) : 0;
  if (!source) await bundleTests(root, files);
  const env = {
    ...(source ? {} : { CABLE_TEST_BUNDLES: join(root, BUNDLES) }),
    ...(all ? { CABLE_TEST_ALL: '1' } : {}),
  };
  const { code } = await runFiles(root, fromSource, files, { env, bundled: !source, secondsFile });
  for (const file of found.filter((file) => !files.includes(file))) say(`left out: ${file} (${LEFT_OUT[file]})`);
  const leftOut = `${found.length - files.length} of ${found.length} test file(s) left out, random cases and repetitions few`;
  if (!all) say(`${leftOut}; everything: npm test -- --all`);
  if (checks !== 0) say('a check failed: see above the tests');
  return checks || code;
}

/** Runs the test files of an OpenStack cloud. Returns the exit code. */
export async function runOpenstackTests(root, fromSource, names) {
  const files = findFiles(root, [OPENSTACK], isTest).filter((file) => wanted(file, names));
  return (await runFiles(root, fromSource, files)).code;
}

/** Runs the tests with the Kubernetes whose programs are in that directory. Returns the exit code. */
export async function runKubeTests(root, fromSource, names, programs) {
  const files = findFiles(root, [KUBE], isTest).filter((file) => wanted(file, names));
  say(`Kubernetes: ${programs}`);
  return (await runFiles(root, fromSource, files, { env: { CABLE_KUBE_BIN: programs } })).code;
}

/** Types, lint, generated files and the house rules. Returns the exit code. */
export async function runChecks(root, fromSource) {
  const checks = await runStaticChecks(root, fromSource);
  const { code } = await runFiles(
    root,
    fromSource,
    findTests(root).filter((file) => file.startsWith('test/rules/')),
  );
  return checks || code;
}

/** (tsc -b has run as part of the build: a type error never gets here.) */
async function runStaticChecks(root, fromSource) {
  const cSources = findFiles(root, ['vrouter', 'packages'], (name) => /\.[ch]$/.test(name));
  const checks = [
    {
      what: 'formatting and lint',
      command: 'node_modules/.bin/biome',
      args: ['check', '--error-on-warnings'],
      remedy: 'npm run fix',
    },
    {
      what: 'generated files',
      command: process.execPath,
      args: [...fromSource, 'scripts/gen.ts', '--check'],
      remedy: 'npm run gen',
    },
    {
      what: 'formatting of C',
      command: 'clang-format',
      args: ['--dry-run', '--Werror', ...cSources],
      remedy: 'clang-format -i FILE',
    },
  ];
  let failed = 0;
  for (const check of checks) {
    const { code, output, error } = await capture(check.command, check.args, { cwd: root });
    say(`${check.what}: ${code === 0 ? 'ok' : 'FAILED'}`);
    if (code === 0) continue;
    failed = 1;
    process.stdout.write(`${error ?? output.trimEnd().split('\n').slice(-60).join('\n')}\n`);
    say(`what to do: ${check.remedy}`);
  }
  return failed;
}

function runFiles(root, fromSource, files, { env = {}, bundled = false, secondsFile } = {}) {
  say(`running ${files.length} test file(s)`);
  const options = [...(bundled ? ['--bundled'] : []), ...(secondsFile === undefined ? [] : ['--seconds', secondsFile])];
  return capture(process.execPath, [...fromSource, join(root, 'scripts/lib/test-runner.mjs'), ...options, ...files], {
    cwd: root,
    env,
    show: true,
  });
}

function wanted(file, names) {
  return names.length === 0 || names.some((name) => file.includes(name));
}

function isTest(name) {
  return name.endsWith('.test.ts');
}

function findTests(root) {
  const isElsewhere = (file) => [OPENSTACK, KUBE].some((place) => file.startsWith(`${place}/`));
  return findFiles(root, PLACES, isTest).filter((file) => !isElsewhere(file));
}

function findFiles(root, places, wanted) {
  const found = [];
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name === 'dist') continue;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (wanted(entry.name)) found.push(relative(root, path));
    }
  };
  for (const place of places) if (existsSync(join(root, place))) walk(join(root, place));
  return found.sort();
}

/** True for a test that looks at how the machine behaves in time (silences, packets lost, connections a second): nothing runs beside it. */
export function runsAlone(file) {
  const isIn = (places) => places.some((place) => file.startsWith(place));
  return needsMachine(file) && isIn(ALONE) && (!isIn(NOT_ALONE) || isIn(ALONE_AMONG_THEM));
}

/**
 * True for a test that uses the machine beyond its own process (namespaces, programs in the kernel, an etcd), which is seen from
 * its starting other programs, itself or by what it imports of its package.
 */
export function needsMachine(file) {
  return file.includes('.kernel.') || startsPrograms(file, new Set());
}

function startsPrograms(file, seen) {
  if (seen.has(file) || !existsSync(file)) return false;
  seen.add(file);
  const source = readFileSync(file, 'utf8');
  if (source.includes("from 'node:child_process'")) return true;
  const imports = [...source.matchAll(/from '(\.[^']+)'/g)].map((found) => join(dirname(file), found[1]));
  return imports.some((target) => startsPrograms(target, seen));
}
