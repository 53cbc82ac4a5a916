/** `npm run lab:nova`: the cloud with a real Nova, in namespaces of its own, which end with it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, say, step } from './say.mjs';

/** Packages whose installation would start services: unpacked. */
const UNPACKED = ['rabbitmq-server', 'nova-common', 'glance-common'];

/** What services find at fixed places is in a layer above the machine's own /var and /etc; pins, links and processes are of these namespaces. */
const OWN = [
  'set -e',
  'ip link set lo up',
  'mount -t sysfs sysfs /sys',
  'mount -t bpf bpf /sys/fs/bpf',
  'mount -t tmpfs tmpfs /run',
  'for name in var etc',
  'do mkdir -p /run/layers/$name /run/layers/work-$name',
  'mount -t overlay overlay -o lowerdir=/$name,upperdir=/run/layers/$name,workdir=/run/layers/work-$name /$name',
  'done',
  // Not exec: the shell is the first process of its namespace, and waits for those that lose their parent. libvirt waits until they are gone.
  '"$@"',
  'exit $?',
].join('\n');

const NAMESPACES = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];

/** Returns what the scenario ends with: 0 when every check passed. Logs stay in build/nova/logs. */
export async function runNovaLab(root, fromSource) {
  const unpacked = join(root, 'build/nova/unpacked');
  if (!existsSync(unpacked)) await unpack(join(root, 'build/nova'));
  const directory = mkdtempSync(join(tmpdir(), 'cable-nova-'));
  // Ended by a terminal, those inside end; then what they leave is removed.
  const stay = () => {};
  process.on('SIGINT', stay);
  process.on('SIGTERM', stay);
  try {
    const lab = [process.execPath, ...fromSource, join(root, 'test/nova/lab.ts'), directory, unpacked];
    const { code } = await capture('unshare', [...NAMESPACES, 'sh', '-c', OWN, 'sh', ...lab], { show: true });
    await keepLogs(directory, join(root, 'build/nova/logs'));
    if (code !== 0) say('logs: build/nova/logs');
    return code;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function unpack(home) {
  const work = join(home, 'work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, 'root'), { recursive: true });
  for (const name of UNPACKED) {
    say(`fetching ${name} (unpacked into build/nova, not installed: nothing of it is started)`);
    await step('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], {
      cwd: work,
      remedy: 'see that this machine reaches its Debian mirror (apt-get update)',
    });
    const deb = readdirSync(work).find((file) => file.startsWith(`${name}_`));
    await step('dpkg-deb', ['-x', join(work, deb), join(work, 'root')], { remedy: 'remove build/nova and try again' });
  }
  renameSync(join(work, 'root'), join(home, 'unpacked'));
  rmSync(work, { recursive: true, force: true });
}

async function keepLogs(directory, kept) {
  rmSync(kept, { recursive: true, force: true });
  mkdirSync(kept, { recursive: true });
  await capture('sh', ['-c', 'cp "$1"/*.log "$1"/*/*.log "$2" 2>/dev/null', 'sh', directory, kept]);
}
