import { readFileSync } from 'node:fs';
import { type Client, createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import {
  type ControlPlane,
  createLedger,
  createProcesses,
  createTopology,
  giveJoinToken,
  type LabHost,
  type LabNames,
  type Ledger,
  labHost,
  labNames,
  type StoreKind,
  startAgent,
  startControlPlane,
  startPod,
  tearDown,
} from '@cable/lab';
import { addNamespace, addVeth } from './net.ts';

/** A server, two hosts with agents, a network: Cable as an operator runs it, ready to be measured. */
export type CableBed = {
  readonly names: LabNames & { readonly h1: LabHost; readonly h2: LabHost };
  readonly control: ControlPlane;
  readonly client: Client;
  readonly networkId: string;
  readonly subnetId: string;
  /** Namespace of a machine on the physical network `physnet1`, with its device `eth0`; undefined: the hosts have none. */
  readonly outside: string | undefined;
  /** A pod's namespace and address. `name` is unique. `networkId`: default the network of the bed. */
  addPod(name: string, host: LabHost, groupId: string, networkId?: string): Promise<BenchPod>;
  agentPid(host: LabHost): number;
  /** Names of the devices in the host's network namespace. */
  devices(host: LabHost): readonly string[];
  /** Removes everything; throws and says what could not be removed. */
  close(): Promise<void>;
};

export type BenchPod = { readonly netns: string; readonly address: string; readonly portId: string };

export type CableOptions = {
  /** Of its lab; default `cbench`. */
  readonly name?: string;
  readonly store: StoreKind;
  readonly say: (line: string) => void;
  /** Of the agents; default theirs. */
  readonly encapsulation?: string | undefined;
  /** Whether the first host is on a physical network, with a machine outside. */
  readonly hasOutside?: boolean;
};

/** What is built is this project's. */
export const BENCH_PROJECT = 'bench';
/** Kubernetes cluster that the hosts are of; nothing else is. */
export const BENCH_CLUSTER = 'bench';

/** Builds the bed. What was made is removed when a step fails. */
export async function buildCable({
  name: labName = 'cbench',
  store,
  say,
  encapsulation,
  hasOutside = false,
}: CableOptions): Promise<CableBed> {
  const lab = labNames(labName);
  const names = { ...lab, h1: labHost(lab, 'h1', 1), h2: labHost(lab, 'h2', 2) };
  const hosts = [names.h1, names.h2];
  const ledger = createLedger(names.dir);
  if (ledger === undefined)
    throw new Error(`a benchmark is running, or a crash left one: cable lab down --name ${labName}`);
  const close = async (): Promise<void> => {
    const left = await tearDown(names);
    if (left.length > 0) throw new Error(`could not be removed: ${left.join(', ')}`);
  };
  try {
    const processes = createProcesses(names.dir, ledger);
    say(`building Cable: a server on ${store}, two hosts with agents`);
    await createTopology(names, hosts, ledger);
    const outside = hasOutside ? addOutside(names.h1, `${names.lab}-out`, ledger) : undefined;
    const control = await startControlPlane(names, processes, store);
    const agents = new Map<LabHost, number>();
    for (const host of hosts) {
      ledger.add({ kind: 'host', name: host.name });
      await giveJoinToken(names, processes, host);
      const more = ['--cluster', BENCH_CLUSTER];
      if (hasOutside && host === names.h1) more.push('--bridge-mappings', 'physnet1:ext0');
      agents.set(host, (await startAgent(names, processes, host, encapsulation, more)).current().pid);
    }
    const agentPid = (host: LabHost): number => agents.get(host) ?? Number.NaN;
    const devices = (host: LabHost): readonly string[] =>
      [...readFileSync(`/proc/${agentPid(host)}/net/dev`, 'utf8').matchAll(/^\s*([^\s:]+):/gm)].map(
        ([, name = '']) => name,
      );
    const client = createClient({ transport: httpTransport(`unix:${names.serverSocket}`), projectId: BENCH_PROJECT });
    const network = await client.create('network', { name: 'bench' });
    const subnet = await client.create('subnet', { network_id: network.id, ip_version: 4, cidr: '10.50.0.0/16' });
    const addPod: CableBed['addPod'] = async (name, host, groupId, networkId = network.id) => {
      const wish = { name, host, networkId, projectId: BENCH_PROJECT, securityGroupIds: [groupId] };
      const pod = await startPod(wish, { names, processes, ledger }, async (deviceId) => {
        const [port] = await client.list('port', { device_id: deviceId });
        if (port === undefined) throw new Error(`pod ${name} has no port`);
        return port;
      });
      return { netns: pod.netns ?? '', address: pod.ip, portId: pod.portId };
    };
    return {
      names,
      control,
      client,
      networkId: network.id,
      subnetId: subnet.id,
      outside,
      addPod,
      agentPid,
      devices,
      close,
    };
  } catch (err) {
    await close();
    throw err;
  }
}

function addOutside(host: LabHost, name: string, ledger: Ledger): string {
  ledger.add({ kind: 'namespace', name });
  addNamespace(name);
  addVeth({ ns: host.netns, dev: 'ext0' }, { ns: name, dev: 'eth0' });
  return name;
}

/**
 * A security group as a web server's operator writes it, filled up to `rules` rules with prefixes of other sites. The benchmark's
 * own traffic is allowed by the rule for its peers (a remote group), not by an "any" rule.
 */
export async function createGroup(client: Client, rules: number): Promise<string> {
  const group = await client.create('security_group', { name: `bench-${rules}` });
  const ingress = { security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4' };
  const tcp = (port: number, prefix: string): object => ({
    ...ingress,
    protocol: 'tcp',
    port_range_min: port,
    port_range_max: port,
    remote_ip_prefix: prefix,
  });
  const wanted: object[] = [
    { ...ingress, protocol: 'tcp', port_range_min: 7000, port_range_max: 7010, remote_group_id: group.id },
    { ...ingress, protocol: 'udp', port_range_min: 7000, port_range_max: 7010, remote_group_id: group.id },
    { ...ingress, protocol: 'icmp' },
    tcp(22, '10.0.0.0/8'),
    tcp(80, '0.0.0.0/0'),
    tcp(443, '0.0.0.0/0'),
    tcp(9100, '172.16.0.0/12'),
    { ...ingress, protocol: 'tcp', port_range_min: 30000, port_range_max: 32767, remote_ip_prefix: '10.0.0.0/8' },
  ];
  // With the two egress rules that every group starts with.
  for (let i = 0; wanted.length < rules - 2; i += 1) {
    wanted.push(tcp(1024 + i, `100.${64 + (i >> 8)}.${i & 255}.0/24`));
  }
  for (let start = 0; start < wanted.length; start += 25) {
    await client.request('POST', '/v2.0/security-group-rules', {
      security_group_rules: wanted.slice(start, start + 25),
    });
  }
  return group.id;
}
