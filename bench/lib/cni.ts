import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { agentPaths, REPOSITORY } from '@cable/lab';
import { BENCH_CLUSTER, type CableBed } from './cable.ts';
import { interruption } from './interruption.ts';
import { addNamespace, removeNamespace } from './net.ts';

/** A CNI plug-in and its network configuration. `command`: what is called in place of ADD and DEL; default: these. */
export type Plugin = { readonly program: string; readonly netconf: object; readonly command?: string };

/** A network namespace that stands for a pod's, and the pod's uid. */
export type Sandbox = { readonly containerId: string; readonly netns: string; readonly podUid: string };

/** How long each call took (ms), and all of them together. */
export type CniTimes = { readonly samples: readonly number[]; readonly elapsedMs: number };

const PLUGINS = '/usr/lib/cni';

/** The agent makes the port at ADD, and deletes it at DEL. */
export function plainPlugin(bed: CableBed, groupId: string): Plugin {
  const wish = { network: bed.networkId, project: 'bench', securityGroups: [groupId] };
  return cablePlugin(bed, { ...wish, name: 'plain' });
}

/** A controller makes the port before, and deletes it afterwards. */
export function clusterPlugin(bed: CableBed): Plugin {
  return cablePlugin(bed, { cluster: BENCH_CLUSTER, name: 'cluster' });
}

function cablePlugin(bed: CableBed, fields: object): Plugin {
  const { socket } = agentPaths(bed.names.h1.name);
  const netconf = { cniVersion: '1.0.0', type: 'cable-cni', socket, ...fields };
  return { program: `${REPOSITORY}/build/cni/cable-cni`, netconf };
}

/** The reference plug-in: a veth pair on a Linux bridge, an address from a file. No policy, no server. */
export function bridgePlugin(dataDir: string): Plugin {
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.80.0.0/16' }]] };
  const netconf = { cniVersion: '0.4.0', name: 'peer', type: 'bridge', bridge: 'br-peer', isGateway: true, ipam };
  return { program: `${PLUGINS}/bridge`, netconf };
}

/** Makes so many empty sandboxes. */
export function makeSandboxes(count: number): readonly Sandbox[] {
  return Array.from({ length: count }, () => {
    const containerId = randomUUID();
    const netns = `cbench-${containerId.slice(0, 13)}`;
    addNamespace(netns);
    return { containerId, netns, podUid: randomUUID() };
  });
}

export function removeSandboxes(sandboxes: readonly Sandbox[]): void {
  for (const { netns } of sandboxes) removeNamespace(netns);
}

/** Calls the plug-in once for each sandbox, `parallel` at a time, as a container runtime does: the whole executable. */
export async function callAll(
  host: string,
  plugin: Plugin,
  command: 'ADD' | 'DEL',
  sandboxes: readonly Sandbox[],
  parallel: number,
): Promise<CniTimes> {
  const samples: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < sandboxes.length) {
      // What was added is deleted also when the benchmark is interrupted.
      if (command === 'ADD') interruption.throwIfAborted();
      const sandbox = sandboxes[next];
      next += 1;
      if (sandbox === undefined) return;
      const startedAt = performance.now();
      await call(host, plugin, plugin.command ?? command, sandbox);
      samples.push(performance.now() - startedAt);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: parallel }, worker));
  return { samples, elapsedMs: performance.now() - startedAt };
}

function call(host: string, plugin: Plugin, command: string, sandbox: Sandbox): Promise<void> {
  const { containerId, netns, podUid } = sandbox;
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', [`--net=/run/netns/${host}`, plugin.program], {
      env: {
        PATH: process.env['PATH'],
        CNI_COMMAND: command,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: `/run/netns/${netns}`,
        CNI_IFNAME: 'eth0',
        CNI_PATH: PLUGINS,
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=${netns};K8S_POD_UID=${podUid}`,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    const hear = (chunk: Buffer): void => {
      said += chunk.toString();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${plugin.program} ${command}: ${said.slice(0, 500)}`));
    });
    child.stdin.end(JSON.stringify(plugin.netconf));
  });
}
