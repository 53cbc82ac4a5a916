import { mkdirSync } from 'node:fs';
import { askAgent } from './agent-socket.ts';
import { eventually } from './eventually.ts';
import { joinFile, podUserFiles } from './joining.ts';
import { LAUNCHER, type LabHost, type LabNames } from './names.ts';
import { checkAlive, type Processes } from './processes.ts';
import { type Restartable, restartable } from './restartable.ts';

/**
 * Starts the agent of a host; its socket answers when this resolves. A host that has not joined needs a token (`giveJoinToken`). `encapsulation`: default the
 * agent's. `more`: further options.
 */
export async function startAgent(
  names: LabNames,
  processes: Processes,
  host: LabHost,
  encapsulation?: string,
  more: readonly string[] = [],
): Promise<Restartable> {
  const { cert, key } = podUserFiles(names);
  const agent = [
    process.execPath,
    LAUNCHER,
    'agent',
    '--server',
    names.serverUrl,
    '--join-file',
    joinFile(names, host),
  ];
  agent.push('--cni-cert', cert, '--cni-key', key, '--host', host.name, '--underlay', host.underlay, ...more);
  if (encapsulation !== undefined) agent.push('--encapsulation', encapsulation);
  const command = host.root === '' ? agent : [...onOwnFiles(host.root), ...agent];
  return restartable(`agent-${host.short}`, async () => {
    const started = await processes.start({ name: `agent-${host.short}`, command, netns: host.netns });
    await eventually({ what: `the agent on ${host.short} to answer`, deadlineMs: 60_000 }, async () => {
      checkAlive(started);
      return askAgent(host, '/status');
    });
    return started;
  });
}

/** Directories that agents use, and the file system for pins: of the machine's own, seen by nobody else. */
const MOUNT_OWN = [
  'set -e',
  'mount --bind "$1/run/cable" /run/cable',
  'mount --bind "$1/var/lib/cable" /var/lib/cable',
  'mount -t bpf bpf /sys/fs/bpf',
  'shift',
  'exec "$@"',
].join('; ');

function onOwnFiles(root: string): readonly string[] {
  for (const place of ['/run/cable', '/var/lib/cable']) {
    mkdirSync(place, { recursive: true });
    mkdirSync(`${root}${place}`, { recursive: true });
  }
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', MOUNT_OWN, 'sh', root];
}
