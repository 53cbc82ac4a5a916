import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { agentPaths, REPOSITORY } from '@cable/lab';
import { BENCH_CLUSTER, type CableBed } from './cable.ts';
import { interruption } from './interruption.ts';
import { addNamespace, removeNamespace } from './net.ts';
import { buildProgram } from './programs.ts';

/** A CNI plug-in and its network configuration. `command`: what is called in place of ADD and DEL; default: these. `isOfPods`: the runtime is one of Kubernetes. */
export type Plugin = {
  readonly program: string;
  readonly netconf: object;
  readonly isOfPods: boolean;
  readonly command?: string;
};

/** A network namespace that stands for a pod's, and the pod's uid. */
export type Sandbox = { readonly containerId: string; readonly netns: string; readonly podUid: string };

/** How long each call took (ms), and all of them together. */
export type CniTimes = { readonly samples: readonly number[]; readonly elapsedMs: number };

const PLUGINS = '/usr/lib/cni';

/** The agent makes the port at ADD, and deletes it at DEL. */
export function plainPlugin(bed: CableBed, groupId: string): Plugin {
  const wish = { network: bed.networkId, project: 'bench', securityGroups: [groupId] };
  return { ...cablePlugin(bed, { ...wish, name: 'plain' }), isOfPods: false };
}

/** A controller makes the port before, and deletes it afterwards. */
export function clusterPlugin(bed: CableBed): Plugin {
  return cablePlugin(bed, { cluster: BENCH_CLUSTER, name: 'cluster' });
}

function cablePlugin(bed: CableBed, fields: object): Plugin {
  const { socket } = agentPaths(bed.names.h1.name);
  const netconf = { cniVersion: '1.0.0', type: 'cable-cni', socket, ...fields };
  return { program: `${REPOSITORY}/build/cni/cable-cni`, netconf, isOfPods: true };
}

/** The reference plug-in: a veth pair on a Linux bridge, an address from a file. No policy, no server. */
export function bridgePlugin(dataDir: string): Plugin {
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.80.0.0/16' }]] };
  const netconf = { cniVersion: '0.4.0', name: 'peer', type: 'bridge', bridge: 'br-peer', isGateway: true, ipam };
  return { program: `${PLUGINS}/bridge`, netconf, isOfPods: true };
}

/** Makes so many empty sandboxes. */
export function makeSandboxes(count: number): readonly Sandbox[] {
  return Array.from({ length: count }, () => {
    const containerId = randomBytes(32).toString('hex');
    const netns = `cbench-${containerId.slice(0, 13)}`;
    addNamespace(netns);
    return { containerId, netns, podUid: randomUUID() };
  });
}

export function removeSandboxes(sandboxes: readonly Sandbox[]): void {
  for (const { netns } of sandboxes) removeNamespace(netns);
}

/** Calls the plug-in once for each sandbox, `parallel` at a time, as a container runtime does: the whole executable. Throws with what it says when a call fails. */
export async function callAll(
  host: string,
  plugin: Plugin,
  command: 'ADD' | 'DEL',
  sandboxes: readonly Sandbox[],
  parallel: number,
): Promise<CniTimes> {
  if (command === 'ADD') interruption.throwIfAborted();
  const directory = mkdtempSync(join(tmpdir(), 'cable-bench-cni-'));
  try {
    const conf = join(directory, 'conf');
    writeFileSync(conf, JSON.stringify(plugin.netconf));
    const uidOf = ({ podUid }: Sandbox): string => (plugin.isOfPods ? podUid : '-');
    const lines = sandboxes.map((one) => `${one.containerId} ${one.netns} ${uidOf(one)}\n`).join('');
    const args = [plugin.program, plugin.command ?? command, String(parallel), conf, PLUGINS];
    const said = await output(['nsenter', `--net=/run/netns/${host}`, buildProgram('cnibench'), ...args], lines);
    const samples = said.split('\n').flatMap((line) => (/^[\d.]+$/.test(line) ? [Number(line)] : []));
    return { samples, elapsedMs: Number(/^all ([\d.]+)$/m.exec(said)?.[1]) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function output([program = '', ...args]: readonly string[], input: string): Promise<string> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const [said, failed, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
    child.stdin.end(input),
  ]);
  if (code === 0) return said;
  throw new Error(failed.slice(0, 1000));
}
