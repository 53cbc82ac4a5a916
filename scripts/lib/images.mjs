/**
 * The image of all parts of Cable: Node and the libraries that it, libbpf and addons need, as this machine has them; the packages that run; Cable. Without a shell, and without a
 * registry: an archive in build/images.
 */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { basename, join } from 'node:path';
import { imageArchive } from './oci.mjs';
import { capture, StepError, say } from './say.mjs';

/** Where Cable is in the image. */
const PLACE = 'opt/cable';
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };
/** User and group of what does not run as root, as the manifests have it (names.ts of the controller). */
const USER = 9697;
/** What is not read when it runs. */
const IDLE = /(\.d\.[cm]?ts|\.map|\.md|\.tsbuildinfo|\.test\.js|\.fixture\.js|\.musl\.node)$/i;
const IDLE_DIRECTORIES = new Set(['musl_x64', 'musl_arm64', 'testing', '.bin', '.github']);
/** Packages that only type what others have. */
const TYPES = /(^|\/)(@types\/|undici-types$)/;
/** Of the workspace: not on a host of a cluster. */
const LEFT_OUT = new Set(['lab', 'cni']);

/** Writes the archive. Returns its path, the image's name and digest. */
export async function buildImages(root) {
  const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const architecture = ARCHITECTURES[arch()];
  if (architecture === undefined)
    throw new StepError(`no image can be made on ${arch()}: use a machine of x64 or arm64`);
  const name = `localhost/cable:${version}`;
  const packages = packageEntries(root);
  const cable = cableEntries(root);
  const addons = packages.filter(({ path }) => path.endsWith('.node')).map(({ source }) => source);
  const { archive, digest } = imageArchive({
    ...{ name, architecture },
    layers: [
      { comment: 'Node and libraries', entries: await systemEntries(addons) },
      { comment: 'npm packages', entries: packages },
      { comment: `Cable ${version}`, entries: cable },
    ],
    config: {
      Entrypoint: ['cable'],
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'NODE_ENV=production'],
      WorkingDir: '/',
      User: '0',
    },
    labels: { 'org.opencontainers.image.version': version, 'org.opencontainers.image.licenses': license },
  });
  const path = join(root, 'build/images', `cable-${version}-${architecture}.tar`);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, archive);
  say(`${name} (${digest}), ${Math.round(archive.length / 2 ** 20)} MiB: ${path}`);
  return { path, name, digest };
}

/** The root file system below Cable: programs, libraries, and the few files that libc looks for. */
async function systemEntries(addons) {
  const programs = [realpathSync(process.execPath), '/usr/bin/env'];
  const libbpf = await findLibrary('libbpf.so.1');
  const libraries = await librariesOf([...programs, libbpf, ...addons]);
  libraries.set(basename(libbpf), libbpf);
  const file = (path, content, mode = 0o644) => ({ path, mode, content });
  const text = (path, lines) => file(path, Buffer.from(`${lines.join('\n')}\n`));
  const place = `usr/lib/${basename(join(libbpf, '..'))}`;
  const loader = [...libraries].find(([name]) => name.startsWith('ld-linux'));
  if (loader === undefined)
    throw new StepError('the loader of programs was not found by ldd: is Node linked statically?');
  return [
    ...['dev', 'etc/cable', 'host', 'proc', 'run', 'sys', 'usr/lib64', 'var/lib/cable'].map((path) => ({
      path,
      mode: 0o755,
    })),
    { path: 'tmp', mode: 0o1777 },
    ...['bin', 'lib', 'lib64', 'sbin'].map((path) => ({ path, target: path === 'sbin' ? 'usr/bin' : `usr/${path}` })),
    { path: 'var/run', target: '../run' },
    text('etc/passwd', ['root:x:0:0:root:/:/sbin/nologin', `cable:x:${USER}:${USER}:cable:/:/sbin/nologin`]),
    text('etc/group', ['root:x:0:', `cable:x:${USER}:`]),
    text('etc/nsswitch.conf', ['passwd: files', 'group: files', 'hosts: files dns']),
    file('usr/bin/node', readFileSync(programs[0]), 0o755),
    file('usr/bin/env', readFileSync(programs[1]), 0o755),
    { path: 'usr/bin/cable', target: `/${PLACE}/bin/cable.mjs` },
    { path: 'usr/bin/kubectl-cable', target: `/${PLACE}/bin/kubectl-cable.mjs` },
    ...[...libraries].map(([name, from]) => file(`${place}/${name}`, readFileSync(from), 0o755)),
    { path: `usr/lib64/${loader[0]}`, target: `/${place}/${loader[0]}` },
    ...(await copyrights([...programs, ...libraries.values()])),
  ];
}

/** Shared libraries of executables and libraries, theirs included: file by the name that it is looked for by. */
async function librariesOf(files) {
  const found = new Map();
  for (const file of files) {
    const { code, output } = await capture('ldd', [file], { env: { LC_ALL: 'C' } });
    if (code !== 0) throw new StepError(`ldd ${file} failed: ${output.trim()}`);
    if (output.includes('not found')) throw new StepError(`${file} needs a library that is not here:\n${output}`);
    for (const [, path] of output.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) found.set(basename(path), realpathSync(path));
  }
  return found;
}

async function findLibrary(name) {
  const { output } = await capture('/sbin/ldconfig', ['-p']);
  const path = output
    .split('\n')
    .find((line) => line.trim().startsWith(`${name} `))
    ?.split('=> ')[1];
  if (path !== undefined) return path.trim();
  throw new StepError(`${name} is not on this machine\nwhat to do: sudo apt-get install libbpf1`);
}

/** Of the Debian packages that files are of. */
async function copyrights(files) {
  const names = new Set();
  for (const file of files) {
    // dpkg knows files by the place that the package gave them, which may be before /usr was merged.
    for (const path of [file, file.replace(/^\/usr/, '')]) {
      const { code, output } = await capture('dpkg', ['-S', path]);
      if (code === 0) names.add(output.split(':')[0]);
    }
  }
  return [...names].sort().flatMap((name) => {
    const path = `usr/share/doc/${name}/copyright`;
    const content = readIfThere(`/${path}`);
    return content === undefined ? [] : [{ path, mode: 0o644, content }];
  });
}

/** npm packages that run, without those of other platforms (which are not installed), and the links to Cable's own. */
function packageEntries(root) {
  const { packages } = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8'));
  const wanted = Object.entries(packages).filter(
    ([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true && !TYPES.test(path),
  );
  // Those within others have lines of their own.
  return wanted.flatMap(([path]) => filesBelow(root, path, (inner) => inner === `${path}/node_modules`));
}

/** Cable: what was compiled of each package, the programs of the vrouter, the plug-in. */
function cableEntries(root) {
  const entries = [];
  for (const name of readdirSync(join(root, 'packages')).sort()) {
    if (LEFT_OUT.has(name)) continue;
    entries.push(
      ...filesBelow(root, `packages/${name}/dist`, () => false),
      oneFile(root, `packages/${name}/package.json`),
    );
    entries.push({ path: `${PLACE}/node_modules/@cable/${name}`, target: `../../packages/${name}` });
  }
  const programs = readdirSync(join(root, 'build/vrouter')).filter((name) =>
    /^(vrouter|carry|facts|labels|pseudowires|sample|\d+-to-\d+)\.bpf\.o$/.test(name),
  );
  return [
    ...entries,
    ...['package.json', 'LICENSE'].map((path) => oneFile(root, path)),
    ...filesBelow(root, 'LICENSES', () => false),
    ...readdirSync(join(root, 'bin')).map((name) => oneFile(root, `bin/${name}`, 0o755)),
    ...programs.map((name) => oneFile(root, `build/vrouter/${name}`)),
    oneFile(root, 'build/cni/cable-cni', 0o755),
  ];
}

function oneFile(root, path, mode = 0o644) {
  return { path: `${PLACE}/${path}`, mode, content: readFileSync(join(root, path)), source: join(root, path) };
}

/** Files and links below a directory that something reads when it runs. `isLeft(path)`: a directory that is not gone into. */
function filesBelow(root, directory, isLeft) {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    if (entry.isSymbolicLink()) return [{ path: `${PLACE}/${path}`, target: readlinkSync(join(root, path)) }];
    if (entry.isDirectory())
      return isLeft(path) || IDLE_DIRECTORIES.has(entry.name) ? [] : filesBelow(root, path, isLeft);
    if (!entry.isFile() || IDLE.test(entry.name)) return [];
    return [oneFile(root, path, (statSync(join(root, path)).mode & 0o111) === 0 ? 0o644 : 0o755)];
  });
}

function readIfThere(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
