/** The QEMU guest's kernel and initial file system, under build/guest: Debian's cloud kernel (unpacked, not installed) and busybox. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { capture, StepError, say, step } from './say.mjs';

/** Modules of a virtio network card, in the order in which they load. */
const MODULES = [
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci',
  'net/core/failover',
  'drivers/net/net_failover',
  'drivers/net/virtio_net',
];

/** Makes build/guest/vmlinuz and build/guest/initrd.gz when they lack or their sources are others. */
export async function buildGuest(root) {
  const dir = join(root, 'build/guest');
  const sources = join(root, 'packages/lab/guest');
  mkdirSync(dir, { recursive: true });
  if (!existsSync(join(dir, 'vmlinuz'))) await unpackKernel(dir);
  if (!initrdIsFresh(dir, sources)) await packInitrd(dir, sources);
}

async function unpackKernel(dir) {
  const name = await kernelPackage();
  say(`fetching the QEMU guest's kernel (${name}; unpacked into build/guest, not installed)`);
  const work = join(dir, 'unpack');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  await step('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], {
    cwd: work,
    remedy:
      'see that this machine reaches its Debian mirror (apt-get update), or leave the QEMU guest out: npm run lab -- --no-qemu',
  });
  const deb = readdirSync(work).find((file) => file.endsWith('.deb'));
  await step('dpkg-deb', ['-x', join(work, deb), join(work, 'root')], { remedy: 'remove build/guest and try again' });
  const release = readdirSync(join(work, 'root/lib/modules'))[0];
  const modules = join(dir, 'modules');
  rmSync(modules, { recursive: true, force: true });
  mkdirSync(modules);
  MODULES.forEach((module, index) => {
    const file = join(work, 'root/lib/modules', release, 'kernel', `${module}.ko`);
    copyFileSync(file, join(modules, `${index}-${module.split('/').at(-1)}.ko`));
  });
  copyFileSync(join(work, 'root/boot', `vmlinuz-${release}`), join(dir, 'vmlinuz.part'));
  renameSync(join(dir, 'vmlinuz.part'), join(dir, 'vmlinuz'));
  rmSync(work, { recursive: true, force: true });
}

/** The package that Debian's kernel for clouds currently is. */
async function kernelPackage() {
  for (const attempt of ['first', 'after update']) {
    const { output } = await capture('apt-cache', ['depends', '--important', 'linux-image-cloud-amd64'], {
      env: { LC_ALL: 'C' },
    });
    const found = /Depends: (linux-image-\S+-cloud-amd64)/.exec(output);
    if (found) return found[1];
    if (attempt === 'first') await capture('apt-get', ['update', '-q']);
  }
  throw new StepError(
    'Debian names no linux-image-cloud-amd64 for this machine.\nwhat to do: leave the QEMU guest out: npm run lab -- --no-qemu',
  );
}

/** By what the sources are, and not by their times: a copied build directory has new ones. */
function initrdIsFresh(dir, sources) {
  const [initrd, made] = [join(dir, 'initrd.gz'), join(dir, MADE_OF)];
  return existsSync(initrd) && existsSync(made) && readFileSync(made, 'utf8') === hashOf(sources);
}

const SOURCES = ['init', 'udhcpc-guest'];
const MADE_OF = 'initrd.sources';

function hashOf(sources) {
  const hash = createHash('sha256');
  for (const file of SOURCES) hash.update(`${file}\n`).update(readFileSync(join(sources, file)));
  return hash.digest('hex');
}

async function packInitrd(dir, sources) {
  const tree = join(dir, 'initrd');
  rmSync(tree, { recursive: true, force: true });
  for (const sub of ['bin', 'etc', 'dev', 'proc', 'sys', 'run', 'tmp', 'lib/modules']) {
    mkdirSync(join(tree, sub), { recursive: true });
  }
  copyFileSync('/usr/bin/busybox', join(tree, 'bin/busybox'));
  for (const module of readdirSync(join(dir, 'modules'))) {
    copyFileSync(join(dir, 'modules', module), join(tree, 'lib/modules', module));
  }
  for (const file of SOURCES) {
    const to = join(tree, file === 'init' ? 'init' : `etc/${file}`);
    copyFileSync(join(sources, file), to);
    chmodSync(to, 0o755);
  }
  const pack =
    'set -e; cd "$1"; busybox find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$2.part"; mv "$2.part" "$2"';
  await step('sh', ['-c', pack, 'pack', tree, join(dir, 'initrd.gz')], { remedy: 'remove build/guest and try again' });
  rmSync(tree, { recursive: true, force: true });
  writeFileSync(join(dir, MADE_OF), hashOf(sources));
}
