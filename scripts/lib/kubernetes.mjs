/**
 * A real Kubernetes to test against: that of `CABLE_KUBE_BIN`, else one built from Debian's source package `kubernetes` and kept outside the repository,
 * below `${XDG_CACHE_HOME:-~/.cache}/cable`. A program is there whole or not at all: it is built elsewhere and then given its name.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { fetchContainerRuntime } from './container-runtime.mjs';
import { installPackages, updateLists } from './debian.mjs';
import { endChildren } from './process-tree.mjs';
import { capture, StepError, say, step } from './say.mjs';

/** Package -> what it is for. Installed only when something is to be built. */
const NEEDED = {
  'dpkg-dev': "unpacks Debian's source of Kubernetes",
  'golang-go': 'compiles Kubernetes',
  'golang-github-modern-go-reflect2-dev': 'a library of Kubernetes that is too old for this Go',
  gcc: 'compiles the pause program of Kubernetes',
  'libc6-dev': 'C headers',
};

/** Name -> how it is made, in the order in which they are worth most. */
const PROGRAMS = {
  'kube-apiserver': command('kube-apiserver'),
  'kube-controller-manager': command('kube-controller-manager'),
  'kube-scheduler': command('kube-scheduler'),
  kubelet: command('kubelet'),
  kubectl: command('kubectl'),
  pause: buildPause,
  agnhost: (source, to) => goBuild(source, to, 'test/images/agnhost'),
  'e2e.test': buildEndToEndTest,
};

/** Not built but fetched, with runc. */
const RUNTIME = 'containerd';

/** Programs that can be built. */
export const KUBERNETES_PROGRAMS = [...Object.keys(PROGRAMS), RUNTIME];

const PACKAGE = 'k8s.io/kubernetes';
const VERSION_VARIABLES = ['component-base/version', 'client-go/pkg/version'].map(
  (name) => `${PACKAGE}/vendor/k8s.io/${name}`,
);

/** The directory with a `kube-apiserver`: of `CABLE_KUBE_BIN`, or the newest that was built. Undefined: there is none. */
export function findKubernetes() {
  const { CABLE_KUBE_BIN: given = '' } = process.env;
  if (given !== '') {
    const directory = resolve(given);
    if (existsSync(join(directory, 'kube-apiserver'))) return directory;
    throw new StepError(
      `CABLE_KUBE_BIN: there is no kube-apiserver in ${directory}\nwhat to do: name the directory that has it, or unset the variable`,
    );
  }
  const built = builtVersions().map((version) => binOf(version));
  return built.find((directory) => existsSync(join(directory, 'kube-apiserver')));
}

/** Builds those of the programs that lack. Returns their directory. */
export async function buildKubernetes(programs) {
  const unknown = programs.filter((name) => !KUBERNETES_PROGRAMS.includes(name));
  if (unknown.length > 0)
    throw new StepError(`nothing is known of ${unknown.join(' ')}; there are: ${KUBERNETES_PROGRAMS.join(' ')}`);
  const [newest] = builtVersions();
  if (newest !== undefined && missingIn(binOf(newest), programs).length === 0) return binOf(newest);
  const built = programs.filter((name) => name !== RUNTIME);
  const isBuilt = newest !== undefined && missingIn(binOf(newest), built).length === 0;
  if (!isBuilt) await installPackages(NEEDED);
  mkdirSync(cache(), { recursive: true });
  removeAbandoned();
  const work = mkdtempSync(join(cache(), WORK));
  const stop = () => {
    endChildren();
    removeTree(work);
    process.exit(1);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    const bin = isBuilt ? binOf(newest) : await buildIn(work, built);
    if (missingIn(bin, programs).includes(RUNTIME)) {
      say("fetching Debian's containerd and runc");
      await fetchContainerRuntime(bin, join(work, 'runtime'));
    }
    return bin;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
    removeTree(work);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

async function buildIn(work, programs) {
  const source = await unpackSource(work);
  const bin = binOf(source.version);
  mkdirSync(bin, { recursive: true });
  const missing = missingIn(bin, programs);
  await makeBuildable(source);
  for (const [index, name] of missing.entries()) {
    const made = join(work, name);
    await timed(`compiling ${name} ${source.version} (${index + 1} of ${missing.length})`, () =>
      PROGRAMS[name](source, made),
    );
    renameSync(made, join(bin, name));
  }
  return bin;
}

function cache() {
  const { XDG_CACHE_HOME: given = '' } = process.env;
  return join(isAbsolute(given) ? given : join(homedir(), '.cache'), 'cable');
}

function binOf(version) {
  return join(cache(), `${BUILT}${version}`, 'bin');
}

const BUILT = 'kubernetes-';
const WORK = 'build-kubernetes-';

/** Newest first. */
function builtVersions() {
  if (!existsSync(cache())) return [];
  const names = readdirSync(cache()).filter((name) => name.startsWith(BUILT) && /^\d/.test(name.slice(BUILT.length)));
  const order = new Intl.Collator('en', { numeric: true });
  return names.map((name) => name.slice(BUILT.length)).sort((a, b) => order.compare(b, a));
}

function missingIn(bin, programs) {
  return programs.filter((name) => !existsSync(join(bin, name)));
}

/** What builds left that were killed: one that goes on has made something within a day. */
function removeAbandoned() {
  for (const name of readdirSync(cache()).filter((one) => one.startsWith(WORK))) {
    const path = join(cache(), name);
    if (Date.now() - statSync(path).mtimeMs > 86_400_000) removeTree(path);
  }
}

/** (What was just ended may still write into it.) */
function removeTree(path) {
  rmSync(path, { recursive: true, force: true, maxRetries: 10 });
}

/** Debian's source, where Go looks for it without modules: its vendored tree is not one that Go's module mode takes any more. */
async function unpackSource(work) {
  say("fetching Debian's source of Kubernetes");
  const options = await ownAptOptions(work);
  const apt = (...args) =>
    step('apt-get', [...options, '-q', ...args], {
      cwd: work,
      remedy: `see that this machine reaches its Debian mirror, or have a Kubernetes elsewhere and name it: ${REMEDY}`,
    });
  await apt('update');
  await apt('source', '--download-only', 'kubernetes');
  const description = readdirSync(work).find((name) => name.endsWith('.dsc'));
  const goPath = join(work, 'go');
  mkdirSync(join(goPath, 'src/k8s.io'), { recursive: true });
  const directory = join(goPath, 'src', PACKAGE);
  await step('dpkg-source', ['-q', '-x', join(work, description), directory], {
    remedy: 'see that the disk has room (a few GiB)',
  });
  if (!existsSync(join(directory, 'cmd/kube-apiserver')))
    throw new StepError(
      `Debian's ${basename(description, '.dsc')} has no API server.\nwhat to do: have a Kubernetes elsewhere and name it: ${REMEDY}`,
    );
  return { directory, goPath, work, version: upstreamVersion(basename(description, '.dsc')) };
}

const REMEDY = 'CABLE_KUBE_BIN=DIRECTORY npm run test:kube';

/** Of `kubernetes_1.20.5+really1.20.2-1.1+deb12u1`: `1.20.2`. */
function upstreamVersion(name) {
  return /(?:.*really|_)(\d+\.\d+\.\d+)/.exec(name)[1];
}

/** The machine's own mirror of Debian, with lists and files of this build alone: whether or not the machine asks for sources, nothing of it is changed. */
async function ownAptOptions(work) {
  const mirrors = await debianMirrors();
  for (const directory of ['lists/partial', 'archives/partial'])
    mkdirSync(join(work, 'apt', directory), { recursive: true });
  const sources = join(work, 'apt/sources.list');
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(sources, mirrors.map((mirror) => `deb-src [signed-by=${keyring}] ${mirror}\n`).join(''));
  const settings = {
    'Dir::Etc::SourceList': sources,
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Lists': join(work, 'apt/lists'),
    'Dir::Cache': join(work, 'apt'),
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** As `URI RELEASE COMPONENT`. */
async function debianMirrors() {
  const listed = await listedMirrors();
  if (listed.length > 0) return listed;
  await updateLists();
  const found = await listedMirrors();
  if (found.length > 0) return found;
  throw new StepError(`apt knows no mirror of Debian.\nwhat to do: have a Kubernetes elsewhere and name it: ${REMEDY}`);
}

/** Empty as long as apt has no lists. */
async function listedMirrors() {
  const format = '$(ORIGIN)|$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const { output } = await capture('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const found = output.split('\n').flatMap((line) => {
    const [origin, mirror] = line.split('|');
    return origin === 'Debian' && mirror.endsWith(' main') ? [mirror] : [];
  });
  return [...new Set(found)];
}

/** What Debian's source lacks or Debian's Go refuses. */
async function makeBuildable(source) {
  const { directory, goPath, work } = source;
  // It reads maps by functions of Go's own run time, which have changed in Go 1.18: maps that are not there are written as null, and custom resources lose their metadata.
  const old = join(directory, 'vendor/github.com/modern-go/reflect2');
  rmSync(old, { recursive: true });
  cpSync('/usr/share/gocode/src/github.com/modern-go/reflect2', old, { recursive: true, dereference: true });
  // Upstream generates it in each build, from all that is marked; without it the API server has no schema, and does not compile.
  await timed('generating the OpenAPI description', async () => {
    const generator = join(work, 'openapi-gen');
    await goBuild(source, generator, 'vendor/k8s.io/kube-openapi/cmd/openapi-gen');
    const { output } = await capture(
      'grep',
      ['-rl', '--include=*.go', '+k8s:openapi-gen=', 'pkg', 'staging/src/k8s.io'],
      {
        cwd: directory,
      },
    );
    const marked = output
      .trim()
      .split('\n')
      .filter((file) => !/_test\.go$|\/testdata\/|\/code-generator\/|\/sample-apiserver\//.test(file));
    const packages = new Set(marked.map((file) => join(PACKAGE, file.replace(/^staging\/src/, 'vendor'), '..')));
    await go(source, generator, [
      ...['--input-dirs', [...packages].join(','), '--output-base', join(goPath, 'src')],
      ...['--output-package', `${PACKAGE}/pkg/generated/openapi`, '--output-file-base', 'zz_generated.openapi'],
      ...['--go-header-file', join(directory, 'hack/boilerplate/boilerplate.generatego.txt')],
      ...['--report-filename', join(work, 'openapi-report')],
    ]);
  });
}

function command(name) {
  return (source, to) => goBuild(source, to, `cmd/${name}`);
}

async function buildPause({ directory }, to) {
  const from = join(directory, 'build/pause/linux/pause.c');
  await step('gcc', ['-Os', '-Wall', '-static', '-DVERSION=cable', '-o', to, from], { remedy: FAILED });
}

/** It carries the manifests that the tests apply, in a file that upstream generates in each build. */
async function buildEndToEndTest(source, to) {
  const { directory, work } = source;
  const packer = join(work, 'go-bindata');
  await goBuild(source, packer, 'vendor/github.com/go-bindata/go-bindata/go-bindata');
  const files = ['conformance/testdata', 'e2e/testing-manifests', 'e2e_node/testing-manifests', 'images', 'fixtures'];
  const ignored = ['\\.jpg', '\\.png', '\\.md', 'BUILD(\\.bazel)?'].flatMap((pattern) => ['-ignore', pattern]);
  await step(
    packer,
    [
      ...['-nometadata', '-o', 'test/e2e/generated/bindata.go', '-pkg', 'generated', ...ignored],
      ...files.map((name) => `test/${name}/...`),
    ],
    { cwd: directory, remedy: FAILED },
  );
  await go(source, GO, ['test', '-c', '-p', '2', '-ldflags', linkFlags(source), '-o', to, `${PACKAGE}/test/e2e`]);
}

function goBuild(source, to, path) {
  return go(source, GO, ['build', '-p', '2', '-ldflags', linkFlags(source), '-o', to, `${PACKAGE}/${path}`]);
}

/** Debian's, also where another is found first. */
const GO = '/usr/lib/go/bin/go';
const FAILED = `see that memory and disk suffice (4 GiB each), or have a Kubernetes elsewhere and name it: ${REMEDY}`;

/** Others have work on this machine, too. */
function go({ directory, goPath, work }, program, args) {
  return step('nice', ['-n', '10', program, ...args], {
    cwd: directory,
    env: {
      GO111MODULE: 'off',
      GOPATH: goPath,
      GOCACHE: join(work, 'objects'),
      GOTMPDIR: work,
      GOFLAGS: '',
      CGO_ENABLED: '0',
      PWD: directory,
    },
    remedy: FAILED,
  });
}

/** The version, which clients look at; no tables for debuggers, half of the size. */
function linkFlags({ version }) {
  const [major, minor] = version.split('.');
  const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'archive' };
  const set = VERSION_VARIABLES.flatMap((place) =>
    Object.entries(values).map(([name, value]) => `-X ${place}.${name}=${value}`),
  );
  return ['-s', '-w', ...set].join(' ');
}

/** Says what goes on, each minute that it does, and how long it took. */
async function timed(what, run) {
  const beganAt = performance.now();
  const minutes = () => ((performance.now() - beganAt) / 60_000).toFixed(1);
  say(`${what} ...`);
  const telling = setInterval(() => say(`${what}: ${minutes()} min so far`), 60_000);
  try {
    await run();
  } finally {
    clearInterval(telling);
  }
  say(`${what}: done in ${minutes()} min`);
}
