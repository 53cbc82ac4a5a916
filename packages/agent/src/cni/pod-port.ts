import { isUuid } from '@cable/model';
import { invalidConfig } from './errors.ts';
import type { Netconf, PlainNetconf } from './netconf.ts';
import type { CniRequest } from './request.ts';
import {
  asking,
  type CniApi,
  type GroupFacts,
  type NetworkFacts,
  type PortFacts,
  type PortRequest,
  type SubnetFacts,
} from './server-api.ts';

/** A pod's port with what its link needs to know. */
export type PodPort = {
  readonly port: PortFacts;
  readonly network: NetworkFacts;
  readonly subnets: readonly SubnetFacts[];
};

export const POD_OWNER = 'kubernetes:pod';
/** `device_owner` of a leg: the port of a pod in its cluster's own network, where its other one is in another VPC. */
export const LEG_OWNER = 'kubernetes:leg';

/** What makes a port this interface's: a pod may have several. */
export function deviceIdOf(request: Pick<CniRequest, 'containerId' | 'interfaceName'>): string {
  return `${request.containerId}:${request.interfaceName}`;
}

/** Tells GC which ports are of one CNI network; users see it as the port's description. */
export function descriptionOf(conf: Pick<Netconf, 'name'>): string {
  return `CNI network ${conf.name}`;
}

/** The ports of an interface, on one host when given; normally none or one. */
export function findPorts(api: CniApi, request: CniRequest, host?: string): Promise<readonly PortFacts[]> {
  const query = { device_id: deviceIdOf(request), device_owner: POD_OWNER };
  return asking('look for the port', api.ports(host === undefined ? query : { ...query, 'binding:host_id': host }));
}

/** Finds or creates the port: two rounds of requests, each in parallel. Throws CniError. */
export async function ensurePort(api: CniApi, host: string, request: CniRequest<PlainNetconf>): Promise<PodPort> {
  const { conf } = request;
  const finding = findNetwork(api, conf);
  const [network, groups, found] = await Promise.all([
    finding,
    findGroups(api, conf, async () => conf.project ?? (await finding).project_id),
    findPorts(api, request, host),
  ]);
  const wantedSubnet = await findSubnet(api, conf, network);
  const old = found[0];
  if (old !== undefined && old.network_id !== network.id) {
    const problem = `interface ${request.interfaceName} of this container is in another network already`;
    throw invalidConfig('network', problem, 'call DEL before ADD');
  }
  const subnets = asking('read the subnets', api.subnets({ network_id: network.id }));
  const port =
    old ?? asking('create the port', api.createPort(portRequest(host, request, network, wantedSubnet, groups)));
  const [madeSubnets, madePort] = await Promise.all([subnets, port]);
  return { port: madePort, network, subnets: madeSubnets };
}

function portRequest(
  host: string,
  request: CniRequest<PlainNetconf>,
  network: NetworkFacts,
  subnetId: string | undefined,
  groups: readonly string[] | undefined,
): PortRequest {
  const { conf } = request;
  const subnet = subnetId === undefined ? {} : { subnet_id: subnetId };
  const wanted = conf.ipAddresses.map((address) => ({ ...subnet, ip_address: address }));
  const fixedIps = wanted.length === 0 && subnetId !== undefined ? [subnet] : wanted;
  return {
    name: request.podName || request.containerId.slice(0, 63),
    description: descriptionOf(conf),
    project_id: conf.project ?? network.project_id,
    network_id: network.id,
    device_id: deviceIdOf(request),
    device_owner: POD_OWNER,
    'binding:host_id': host,
    ...(conf.macAddress === undefined ? {} : { mac_address: conf.macAddress }),
    ...(fixedIps.length === 0 ? {} : { fixed_ips: fixedIps }),
    ...(groups === undefined ? {} : { security_groups: groups }),
  };
}

async function findNetwork(api: CniApi, conf: PlainNetconf): Promise<NetworkFacts> {
  const all = await asking('look for the network', api.networks(idOrName(conf.network)));
  const own = all.filter((one) => conf.project === undefined || one.project_id === conf.project);
  return onlyOne(own.length === 0 ? all : own, 'network', conf.network);
}

async function findSubnet(api: CniApi, conf: PlainNetconf, network: NetworkFacts): Promise<string | undefined> {
  if (conf.subnet === undefined || isUuid(conf.subnet)) return conf.subnet;
  const query = { name: conf.subnet, network_id: network.id };
  return onlyOne(await asking('look for the subnet', api.subnets(query)), 'subnet', conf.subnet).id;
}

async function findGroups(
  api: CniApi,
  conf: PlainNetconf,
  projectOf: () => Promise<string>,
): Promise<readonly string[] | undefined> {
  if (conf.securityGroups === undefined) return undefined;
  const ids = conf.securityGroups.map(async (group, index) => {
    if (isUuid(group)) return group;
    const field = `securityGroups[${index}]`;
    const project = conf.project === undefined ? {} : { project_id: conf.project };
    const all = await look(api, { name: group, ...project });
    if (all.length === 1 && group !== DEFAULT_GROUP) return onlyOne(all, field, group).id;
    // Each project has one called default: the port's is meant, which asking for it by its project makes.
    const own = await look(api, { name: group, project_id: await projectOf() });
    return onlyOne(group === DEFAULT_GROUP || own.length > 0 ? own : all, field, group).id;
  });
  return Promise.all(ids);
}

/** Name of the group that every project has. */
const DEFAULT_GROUP = 'default';

function look(api: CniApi, query: Parameters<CniApi['securityGroups']>[0]): Promise<readonly GroupFacts[]> {
  return asking('look for a security group', api.securityGroups(query));
}

function idOrName(text: string): Readonly<Record<string, string>> {
  return isUuid(text) ? { id: text } : { name: text };
}

function onlyOne<T>(found: readonly T[], field: string, text: string): T {
  const [first, second] = found;
  if (first === undefined) throw invalidConfig(field, `there is no "${text}"`, 'create it, or correct the id or name');
  if (second !== undefined) throw invalidConfig(field, `several are named "${text}"`, 'give the id, or "project"');
  return first;
}
