import { randomBytes } from 'node:crypto';
import { mustRun, run } from '../exec.ts';
import { agentPaths, type LabHost, REPOSITORY } from '../names.ts';
import { createNamespace } from '../topology.ts';
import type { GuestDeps } from './card.ts';
import { bareAddress, type Guest } from './guest.ts';

export type PodOptions = {
  readonly name: string;
  readonly host: LabHost;
  readonly networkId: string;
  readonly projectId: string;
  readonly securityGroupIds: readonly string[];
};

/** A pod that was added. */
export type Pod = Guest & {
  readonly containerId: string;
  /** Calls cable-cni for the pod once more, as the runtime on its host, or on the host given, would. Throws with the plug-in's words. */
  call(command: 'CHECK' | 'DEL' | 'GC', host?: LabHost, extra?: object): Promise<string>;
};

/** What the executable answers to ADD (CNI 1.0.0), the parts that the lab reads. */
type AddResult = {
  readonly interfaces?: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
  readonly ips?: readonly { readonly address: string }[];
};

const EXECUTABLE = `${REPOSITORY}/build/cni/cable-cni`;

/** A pod's network: a namespace plugged by the CNI executable, as a container runtime does. `findPort`: its port, by device id. */
export async function startPod(
  options: PodOptions,
  deps: GuestDeps,
  findPort: (deviceId: string) => Promise<{ readonly id: string; readonly mac_address: string }>,
): Promise<Pod> {
  const { name, host } = options;
  const netns = `${deps.names.lab}-${name}`;
  await createNamespace(netns, deps.ledger);
  // As containerd's; a UUID would be taken for a pod's on a host of a Kubernetes cluster.
  const containerId = randomBytes(32).toString('hex');
  const startedAt = performance.now();
  const added = JSON.parse(await callCni('ADD', containerId, netns, options)) as AddResult;
  const tookMs = performance.now() - startedAt;
  const call: Pod['call'] = (command, on = host, extra = {}) =>
    callCni(command, containerId, netns, { ...options, host: on }, { prevResult: added, ...extra });
  await call('CHECK');
  const address = added.ips?.[0]?.address;
  if (address === undefined) throw new Error(`cable-cni ADD gave ${name} no address: ${JSON.stringify(added)}`);
  const port = await findPort(`${containerId}:eth0`);
  const remove = async (): Promise<void> => {
    await call('DEL');
    await mustRun(['ip', 'netns', 'delete', netns]);
  };
  const common = {
    name,
    kind: 'pod',
    netns,
    host,
    portId: port.id,
    macAddress: port.mac_address,
    containerId,
  } as const;
  const device = { device: 'eth0', lease: undefined, dhcp: undefined } as const;
  return { ...common, ...device, ip: bareAddress(address), tookMs, call, remove };
}

async function callCni(
  command: string,
  containerId: string,
  netns: string,
  options: PodOptions,
  extra: object = {},
): Promise<string> {
  const config = {
    cniVersion: command === 'GC' ? '1.1.0' : '1.0.0',
    name: 'cable',
    type: 'cable-cni',
    socket: agentPaths(options.host.name, options.host.root).socket,
    network: options.networkId,
    project: options.projectId,
    securityGroups: options.securityGroupIds,
    ...extra,
  };
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: `/run/netns/${netns}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: `${REPOSITORY}/build/cni`,
    CNI_ARGS: `K8S_POD_NAMESPACE=lab;K8S_POD_NAME=${options.name}`,
  };
  const result = await run([EXECUTABLE], { input: JSON.stringify(config), env, timeoutMs: 20_000 });
  if (result.code !== 0) throw new Error(`cable-cni ${command}: ${(result.stdout || result.stderr).trim()}`);
  return result.stdout;
}
