/**
 * The entry of every command in package.json: installs what is missing, builds what is not fresh, then does the job.
 * Plain JavaScript without dependencies, because it runs before any package is installed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildC, buildTypeScript } from './lib/build.mjs';
import { installPackages, packagesFor } from './lib/debian.mjs';
import { buildGuest } from './lib/guest.mjs';
import { buildImages } from './lib/images.mjs';
import { buildKubernetes, findKubernetes, KUBERNETES_PROGRAMS } from './lib/kubernetes.mjs';
import { labNeeds } from './lib/lab-needs.mjs';
import { runNovaLab } from './lib/nova.mjs';
import { installNpm } from './lib/npm.mjs';
import { capture, StepError, say, step } from './lib/say.mjs';
import { runChecks, runKubeTests, runOpenstackTests, runTests } from './lib/tests.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FROM_SOURCE = ['--import', 'tsx', '--conditions=cable-source'];

const COMMANDS = {
  lab: {
    help: 'build a cloud of namespaces on this machine and check it (list: other stories; --help)',
    root: true,
    run: lab,
  },
  test: {
    help: 'run every check and test but slow repetitions; names of test files narrow it; --all: everything; --source: without bundles; --seconds FILE: write how long each file took',
    root: true,
    run: test,
  },
  setup: { help: 'install what is missing and build, nothing more', root: false, run: setup },
  build: { help: 'compile what is not fresh', root: false, run: build },
  images: {
    help: 'build the image of all parts, without a registry: build/images/*.tar (ctr -n k8s.io images import)',
    root: false,
    run: images,
  },
  gen: { help: 'write the generated files anew (--check: fail if that would change one)', root: false, run: gen },
  check: { help: 'types, lint, generated files, house rules', root: false, run: check },
  openstack: {
    help: 'tests with a real Keystone; tempest | stock [EXPRESSION] [--workers N] [--record]: Tempest on Cable, on a stock neutron-server; session [--only PREFIX]: the openstack client on both; compare [--only PREFIX] [--json]: odd requests to both',
    root: true,
    run: openstack,
  },
  kube: {
    help: 'tests with a real Kubernetes, of CABLE_KUBE_BIN or built once; build [PROGRAM]...: builds more of it; --no-build: only if it is there',
    root: false,
    run: kube,
  },
  nova: { help: 'start machines on Cable by a real Nova, reboot and delete them', root: true, run: nova },
  fuzz: {
    help: 'vrouter: compare the programs with the reference model over random cases (--cases, --seed, --only, --world, --frames)',
    root: true,
    run: fuzz,
  },
  bench: { help: 'dataplane | control | scale | api | kube: measure (--json)', root: true, run: bench },
};

async function main([name, ...args]) {
  const command = COMMANDS[name];
  if (command === undefined) return usage();
  checkNode();
  if (command.root && process.getuid?.() !== 0 && !args.includes('--help')) {
    throw new StepError(
      `${name} makes network namespaces and loads eBPF programs, which needs root.\nwhat to do: sudo npm run ${name}`,
    );
  }
  await installPackages(packagesFor(name, args));
  await installNpm(ROOT);
  return command.run(args);
}

async function build() {
  await buildC(ROOT);
  await buildTypeScript(ROOT);
  return 0;
}

async function setup() {
  await build();
  await buildGuest(ROOT);
  say('ready: npm run lab, npm test');
  return 0;
}

async function lab(args) {
  await build();
  if (labNeeds(args).qemu) await buildGuest(ROOT);
  await mountBpffs();
  return show(process.execPath, [join(ROOT, 'bin/cable.mjs'), 'lab', ...args]);
}

async function test(args) {
  const options = testOptions(args);
  await build();
  await buildGuest(ROOT);
  await mountBpffs();
  return runTests(ROOT, FROM_SOURCE, options);
}

function testOptions(args) {
  try {
    const flag = { type: 'boolean', default: false };
    const options = { all: flag, source: flag, seconds: { type: 'string' } };
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { names: positionals, all: values.all, source: values.source, secondsFile: values.seconds };
  } catch (err) {
    throw new StepError(`${err.message}\nwhat to do: npm test -- [--all] [--source] [--seconds FILE] [NAME]...`);
  }
}

async function openstack(args) {
  await build();
  if (args[0] === 'tempest' || args[0] === 'stock')
    return show(process.execPath, [...FROM_SOURCE, join(ROOT, 'test/openstack/run-tempest.ts'), ...args]);
  if (args[0] === 'session')
    return show(process.execPath, [...FROM_SOURCE, join(ROOT, 'test/openstack/run-session.ts'), ...args.slice(1)]);
  if (args[0] === 'compare')
    return show(process.execPath, [...FROM_SOURCE, join(ROOT, 'test/openstack/run-compare.ts'), ...args.slice(1)]);
  return runOpenstackTests(ROOT, FROM_SOURCE, args);
}

async function kube(args) {
  if (args[0] === 'build') {
    const named = args.slice(1);
    say(`in ${await buildKubernetes(named.length === 0 ? KUBERNETES_PROGRAMS : named)}`);
    return 0;
  }
  const names = args.filter((name) => name !== '--no-build');
  const found = findKubernetes();
  if (found === undefined && names.length < args.length) {
    say('real Kubernetes was not asked: it was never built here (npm run test:kube), and CABLE_KUBE_BIN is not set');
    return 0;
  }
  const programs = found ?? (await buildKubernetes(['kube-apiserver']));
  await build();
  if (names.length === 0 || names.some((name) => REAL_PODS.includes(name))) await buildImagesFor(programs);
  return runKubeTests(ROOT, FROM_SOURCE, names, programs);
}

const REAL_PODS = 'test/kube/real-pods.test.ts';

/** Kubelets run Cable from its image, which has to be of what was built. */
async function buildImagesFor(programs) {
  if (existsSync(join(programs, 'kubelet'))) await buildImages(ROOT);
}

async function nova() {
  await build();
  await buildGuest(ROOT);
  return runNovaLab(ROOT, FROM_SOURCE);
}

async function images() {
  await build();
  await buildImages(ROOT);
  return 0;
}

async function check() {
  await build();
  return runChecks(ROOT, FROM_SOURCE);
}

async function gen(args) {
  await buildC(ROOT);
  return show(process.execPath, [...FROM_SOURCE, join(ROOT, 'scripts/gen.ts'), ...args]);
}

async function bench([which, ...args]) {
  const file = join(ROOT, 'bench', `${which}.ts`);
  if (which === undefined || !existsSync(file))
    throw new StepError(
      'usage: npm run bench:dataplane | npm run bench:control | npm run bench:scale | npm run bench:api | npm run bench:kube',
    );
  await build();
  const { CABLE_KUBE_BIN: programs = '' } = process.env;
  if (which === 'kube' && !/--only[= ](?!ready)/.test(args.join(' '))) await buildImagesFor(programs);
  await mountBpffs();
  return show(process.execPath, [...FROM_SOURCE, file, ...args]);
}

async function fuzz([which, ...args]) {
  if (which !== 'vrouter') throw new StepError('usage: npm run fuzz:vrouter -- --cases 100000 --seed 7');
  await build();
  return show(process.execPath, [...FROM_SOURCE, join(ROOT, 'vrouter/test/model/fuzz.ts'), ...args]);
}

/** Runs a program on this terminal; its end is ours. */
async function show(program, args) {
  const { code } = await capture(program, args, { show: true });
  return code;
}

/** The vrouter's maps are pinned in the eBPF file system, which a minimal machine may not have mounted. */
async function mountBpffs() {
  const mounted = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === '/sys/fs/bpf' && line.split(' ')[2] === 'bpf');
  if (mounted) return;
  say('mounting the eBPF file system on /sys/fs/bpf');
  await step('mount', ['-t', 'bpf', 'bpf', '/sys/fs/bpf'], {
    remedy: 'the kernel needs CONFIG_BPF_SYSCALL and /sys mounted',
  });
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new StepError(
    `Node ${process.versions.node} is too old: 20.19 or later is needed.\nwhat to do: install Node 20 LTS or later`,
  );
}

function usage() {
  say('usage: node scripts/run.mjs COMMAND [ARGUMENTS]');
  for (const [name, { help }] of Object.entries(COMMANDS)) say(`  ${name.padEnd(6)} ${help}`);
  return 2;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (err) {
  if (!(err instanceof StepError)) throw err;
  process.stderr.write(`cable: ${err.message}\n`);
  process.exitCode = 1;
}
