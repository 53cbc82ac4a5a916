/**
 * containerd and runc beside the programs of Kubernetes: those of Debian's packages, unpacked and not installed. Packages would start a service, and take the place
 * of another containerd, as Docker's own, that the machine has.
 */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { step } from './say.mjs';

/** Program -> where its package has it. */
const PROGRAMS = {
  containerd: 'usr/bin/containerd',
  'containerd-shim-runc-v2': 'usr/bin/containerd-shim-runc-v2',
  ctr: 'usr/bin/ctr',
  runc: 'usr/sbin/runc',
};
const PACKAGES = ['containerd', 'runc'];

/** Puts them into that directory. `work`: an empty one for what lies between. */
export async function fetchContainerRuntime(bin, work) {
  const remedy = 'see that this machine reaches its Debian mirror, then try again (sudo apt-get update)';
  mkdirSync(work, { recursive: true });
  await step('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...PACKAGES], { cwd: work, remedy });
  for (const name of readdirSync(work).filter((one) => one.endsWith('.deb')))
    await step('dpkg-deb', ['-x', join(work, name), join(work, 'root')], { remedy: 'see that the disk has room' });
  for (const [name, path] of Object.entries(PROGRAMS)) {
    const made = join(work, name);
    copyFileSync(join(work, 'root', path), made);
    chmodSync(made, 0o755);
    renameSync(made, join(bin, name));
  }
}
