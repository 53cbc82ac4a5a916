/** Container images made here: Debian's static busybox, and curl with its libraries (what is static cannot ask a name server). */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const BUSYBOX = '/usr/bin/busybox';
const CURL = '/usr/bin/curl';

/** What the images are made of. */
export const IMAGE_SOURCES = [BUSYBOX, CURL];

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
/** Of this machine, as images have it. */
export const ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

/** What containers of tests run. */
export const IMAGE = 'cable.test/busybox:1';
/** What holds a pod's namespaces. */
export const SANDBOX_IMAGE = 'cable.test/pause:1';

/** Writes both images as one archive, for `ctr images import`. */
export function writeImages(directory: string): string {
  const root = join(directory, 'root');
  for (const one of ['bin', 'etc', 'proc', 'tmp', 'www/cgi-bin']) mkdirSync(join(root, one), { recursive: true });
  copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  for (const name of execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n'))
    if (name !== 'busybox') symlinkSync('busybox', join(root, 'bin', name));
  copyWithLibraries(CURL, root);
  tar(directory, 'layer.tar', ['-C', root, '.']);
  const layer = readFileSync(join(directory, 'layer.tar'));
  const diff = `sha256:${createHash('sha256').update(layer).digest('hex')}`;
  const image = (name: string, tag: string, Entrypoint: readonly string[]): object => {
    const config = { architecture: ARCHITECTURE, os: 'linux', config: { Env: ['PATH=/bin:/usr/bin'], Entrypoint } };
    writeFileSync(join(directory, name), JSON.stringify({ ...config, rootfs: { type: 'layers', diff_ids: [diff] } }));
    return { Config: name, RepoTags: [tag], Layers: ['layer.tar'] };
  };
  const images = [
    image('busybox.json', IMAGE, []),
    image('pause.json', SANDBOX_IMAGE, ['/bin/tail', '-f', '/dev/null']),
  ];
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(images));
  tar(directory, 'images.tar', ['manifest.json', 'busybox.json', 'pause.json', 'layer.tar']);
  return join(directory, 'images.tar');
}

function tar(directory: string, to: string, what: readonly string[]): void {
  execFileSync('tar', ['-cf', to, ...what], { cwd: directory });
}

function copyWithLibraries(program: string, root: string): void {
  const needed = execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  for (const path of [program, ...[...needed].map(([, library = '']) => library)]) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}
