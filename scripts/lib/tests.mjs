/** Finds and runs the checks and the tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { capture, say } from './say.mjs';

const PLACES = ['packages', 'vrouter/test', 'test'];

const ALONE = ['test/', 'vrouter/test/model/', 'vrouter/test/facts.test.ts'];
/** Need packages or programs that no other test does. */
const OPENSTACK = 'test/openstack';
const KUBE = 'test/kube';

/**
 * Runs the checks, then the test files (all, or those whose path contains one of `names`).
 * The runner's own summary (tests, pass, fail) comes last. Returns the exit code.
 */
export async function runTests(root, fromSource, names) {
  const files = findTests(root).filter((file) => wanted(file, names));
  if (files.length === 0) {
    say(`no test file matches ${names.join(' ')}`);
    return 1;
  }
  const checks = names.length === 0 ? await runStaticChecks(root, fromSource) : 0;
  const { code } = await runFiles(root, fromSource, files);
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
  return (await runFiles(root, fromSource, files, { CABLE_KUBE_BIN: programs })).code;
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

function runFiles(root, fromSource, files, env = {}) {
  say(`running ${files.length} test file(s)`);
  return capture(process.execPath, [...fromSource, join(root, 'scripts/lib/test-runner.mjs'), ...files], {
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
  return findFiles(root, PLACES, isTest).filter((file) => !file.startsWith(OPENSTACK) && !file.startsWith(KUBE));
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
  return needsMachine(file) && ALONE.some((place) => file.startsWith(place));
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
