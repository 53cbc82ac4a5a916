import { randomUUID } from 'node:crypto';
import { mustRun, run } from '../exec.ts';
import { agentPaths, type LabHost, REPOSITORY } from '../names.ts';
import { createNamespace } from '../topology.ts';
import { bareAddress, type Guest } from './guest.ts';
import type { GuestDeps } from './vm.ts';

export type PodOptions = {
  readonly name: string;
  readonly host: LabHost;
  readonly networkId: string;
  readonly projectId: string;
  readonly securityGroupIds: readonly string[];
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
): Promise<Guest> {
  const { name, host } = options;
  const netns = `${deps.names.lab}-${name}`;
  await createNamespace(netns, deps.ledger);
  const containerId = randomUUID();
  const startedAt = performance.now();
  const added = JSON.parse(await callCni('ADD', containerId, netns, options)) as AddResult;
  const tookMs = performance.now() - startedAt;
  const again = (command: string): Promise<string> => callCni(command, containerId, netns, options, added);
  await again('CHECK');
  const address = added.ips?.[0]?.address;
  if (address === undefined) throw new Error(`cable-cni ADD gave ${name} no address: ${JSON.stringify(added)}`);
  const port = await findPort(`${containerId}:eth0`);
  const remove = async (): Promise<void> => {
    await again('DEL');
    await mustRun(['ip', 'netns', 'delete', netns]);
  };
  const common = { name, kind: 'pod', netns, host: host.name, portId: port.id, macAddress: port.mac_address } as const;
  return { ...common, ip: bareAddress(address), device: 'eth0', lease: undefined, tookMs, dhcp: undefined, remove };
}

async function callCni(
  command: string,
  containerId: string,
  netns: string,
  options: PodOptions,
  prevResult?: AddResult,
): Promise<string> {
  const config = {
    cniVersion: '1.0.0',
    name: 'cable',
    type: 'cable-cni',
    socket: agentPaths(options.host.name).socket,
    network: options.networkId,
    project: options.projectId,
    securityGroups: options.securityGroupIds,
    ...(prevResult === undefined ? {} : { prevResult }),
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
