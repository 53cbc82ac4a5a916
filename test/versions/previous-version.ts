/** Versions of Cable from before a change that they must live with, made from their commits so that they run beside this one. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A tree of sources with its C parts compiled: agent and server run from it. */
export type Version = { readonly name: string; readonly root: string };

export type BuiltVersion = Version & { remove(): void };

export type OldVersion = { readonly name: string; readonly commit: string };

/** The last commit that speaks protocol 1 of the host stream, and nothing newer. */
export const PREVIOUS: OldVersion = { name: 'previous', commit: 'a1426e4c2c1f3260bbec4a1e3cb102658f8f366a' };

/**
 * The last commit whose agent puts the programs on the devices themselves. The one above does so too, but knows no `cb_prog_1`: it replaces programs
 * over maps that it has not filled, so of an upgrade it tells less.
 */
export const BEFORE_DISPATCHERS: OldVersion = {
  name: 'before-dispatchers',
  commit: 'ad67526e12075190de2060f5ef8ce36892e120ba',
};

/** The last commit whose agent knows nothing of programs on the underlay's devices; it has dispatchers. */
export const BEFORE_UPLINKS: OldVersion = {
  name: 'before-uplinks',
  commit: '6b48d73f8e1e423c8899ca08c5a4e6ad69fa8c16',
};

/** This tree. */
export const CURRENT: Version = { name: 'current', root: fileURLToPath(new URL('../..', import.meta.url)) };

const BUNDLE = `
  import { bundleMains } from ${JSON.stringify(new URL('../../scripts/lib/bundles.mjs', import.meta.url).href)};
  await bundleMains(process.argv[1]);
`;

/** Why the version cannot be built here; undefined: it can. */
export function whyNotBuildable({ name, commit }: OldVersion): string | undefined {
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: CURRENT.root, stdio: 'ignore' });
    return undefined;
  } catch {
    return `no git history with commit ${commit}: the ${name} version cannot be built`;
  }
}

/** Builds the version in a temporary directory. It shares this tree's packages, which must fit what it asks for. */
export function buildOldVersion({ name, commit }: OldVersion): BuiltVersion {
  const root = mkdtempSync(join(tmpdir(), `cable-${name}-${process.pid}-`));
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  try {
    const archive = execFileSync('git', ['archive', commit, 'packages', 'vrouter'], {
      cwd: CURRENT.root,
      maxBuffer: 256 << 20,
    });
    execFileSync('tar', ['-x', '-C', root], { input: archive });
    linkPackages(root, commit);
    execFileSync('make', ['-s', '-C', join(root, 'vrouter'), '../build/vrouter/vrouter.bpf.o'], { stdio: 'inherit' });
    // Its agents start many times: from source each start compiles all of it once more.
    execFileSync(process.execPath, ['--input-type=module', '-e', BUNDLE, root], { stdio: 'inherit' });
    return { name, root, remove };
  } catch (err) {
    remove();
    throw err;
  }
}

/** `node_modules` of links: to the tree's own packages by name, and to this tree's for all others. */
function linkPackages(root: string, commit: string): void {
  const ours = join(CURRENT.root, 'node_modules');
  const theirs = join(root, 'node_modules');
  mkdirSync(join(theirs, '@cable'), { recursive: true });
  for (const name of readdirSync(ours)) if (name !== '@cable') symlinkSync(join(ours, name), join(theirs, name));
  for (const name of readdirSync(join(root, 'packages'))) {
    const path = join(root, 'packages', name);
    if (!readdirSync(path).includes('package.json')) continue;
    checkDependencies(path, ours, commit);
    symlinkSync(path, join(theirs, '@cable', name));
  }
}

type Manifest = { readonly version: string; readonly dependencies?: Readonly<Record<string, string>> };

/** Throws unless each dependency is there in the version that is asked for (a caret range, as all here are) or a later one that fits. */
function checkDependencies(path: string, modules: string, commit: string): void {
  for (const [name, range] of Object.entries(readManifest(path).dependencies ?? {})) {
    if (name.startsWith('@cable/')) continue;
    const { version } = readManifest(join(modules, name));
    if (!fits(version, range)) throw new Error(`commit ${commit} needs ${name} ${range}, here is ${version}`);
  }
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Manifest;
}

function fits(version: string, range: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0, wantedPatch = 0] = range.replace(/^\^/, '').split('.').map(Number);
  if (major !== wantedMajor) return false;
  return minor > wantedMinor || (minor === wantedMinor && patch >= wantedPatch);
}
