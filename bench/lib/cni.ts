import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { agentPaths, REPOSITORY } from '@cable/lab';
import type { CableBed } from './cable.ts';
import { addNamespace, removeNamespace } from './net.ts';

/** A CNI plug-in and its network configuration. */
export type Plugin = { readonly program: string; readonly netconf: object };

const PLUGINS = '/usr/lib/cni';

export function cablePlugin(bed: CableBed, groupId: string): Plugin {
  const netconf = {
    cniVersion: '1.0.0',
    name: 'cable',
    type: 'cable-cni',
    socket: agentPaths(bed.names.h1.name).socket,
    network: bed.networkId,
    project: 'bench',
    securityGroups: [groupId],
  };
  return { program: `${REPOSITORY}/build/cni/cable-cni`, netconf };
}

/** The reference plug-in: a veth pair on a Linux bridge, an address from a file. No policy, no server. */
export function bridgePlugin(dataDir: string): Plugin {
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.77.0.0/16' }]] };
  const netconf = { cniVersion: '0.4.0', name: 'peer', type: 'bridge', bridge: 'br-peer', isGateway: true, ipam };
  return { program: `${PLUGINS}/bridge`, netconf };
}

/** Runs ADD for a fresh namespace, then DEL. Returns the wall time of ADD in ms. Both plug-ins are started the same way. */
export function timeAdd(host: string, plugin: Plugin): number {
  const containerId = randomUUID();
  const netns = `cbench-${containerId.slice(0, 8)}`;
  addNamespace(netns);
  try {
    const startedAt = performance.now();
    call(host, plugin, 'ADD', containerId, netns);
    const took = performance.now() - startedAt;
    call(host, plugin, 'DEL', containerId, netns);
    return took;
  } finally {
    removeNamespace(netns);
  }
}

function call(host: string, plugin: Plugin, command: string, containerId: string, netns: string): void {
  const result = spawnSync('nsenter', [`--net=/run/netns/${host}`, plugin.program], {
    input: JSON.stringify(plugin.netconf),
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: `/run/netns/${netns}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: PLUGINS,
    },
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`${plugin.program} ${command}: ${result.stdout || result.stderr}`);
}
