/** The cluster's own networks: that of pods, that of nodes, and the router between them. Made once; what is there is taken as it is. */
import type { Client } from '@cable/api';
import { ExpectedError, type Logger } from '@cable/kit';
import { type AnyObject, clusterProjects, formatIp, parseCidr } from '@cable/model';
import type { CableAccess } from './cable-access.ts';

export type ClusterNetworksOptions = {
  readonly cluster: string;
  /** Prefixes that pods have addresses of, one of each version of IP at the most; the first one's address is a pod's first. */
  readonly podCidrs: readonly string[];
  /** The same of nodes. */
  readonly joinCidrs: readonly string[];
  /** Where Services have their addresses. */
  readonly serviceCidrs: readonly string[];
};

/** IDs. `subnets` in the order of the prefixes. */
export type ClusterNetwork = { readonly networkId: string; readonly subnetIds: readonly string[] };

export type ClusterNetworks = {
  readonly pods: ClusterNetwork;
  readonly nodes: ClusterNetwork;
  readonly routerId: string;
};

/** Where the resolver of each host answers pods (`CLUSTER_DNS_ADDRESS` of the agent). */
export const RESOLVER = '169.254.20.10/32';

/** Throws `ExpectedError` where what is there is otherwise than asked for. */
export async function ensureClusterNetworks(
  { own }: Pick<CableAccess, 'own'>,
  options: ClusterNetworksOptions,
  log: Logger,
): Promise<ClusterNetworks> {
  const { cluster } = options;
  const maker: Maker = { client: own, cluster, log };
  const router = { name: `${cluster} default`, 'cable:node_egress': true };
  const routerId = await ensure(maker, 'router', 'Vpc/default', router);
  const pods = await ensureNetwork(maker, {
    ...{ what: 'pods', cidrs: options.podCidrs },
    // A pod that has its default route by another interface reaches them all the same.
    routes: [...options.joinCidrs, ...options.serviceCidrs, RESOLVER],
  });
  await ensureShared(maker, pods.networkId);
  const nodes = await ensureNetwork(maker, {
    what: 'nodes',
    cidrs: options.joinCidrs,
    routes: [...options.podCidrs, ...options.serviceCidrs],
  });
  await ensureLegs(own, routerId, [...pods.subnetIds, ...nodes.subnetIds]);
  return { pods, nodes, routerId };
}

type Maker = { readonly client: Client; readonly cluster: string; readonly log: Logger };

/** The object of that origin, which is made if it is not there. Answers its ID. */
async function ensure(
  maker: Maker,
  type: 'router' | 'network' | 'subnet',
  origin: string,
  body: object,
): Promise<string> {
  const found = await find(maker, type, origin);
  if (found !== undefined) return found.id;
  const made = await maker.client.create(type, { ...body, 'cable:cluster': maker.cluster, 'cable:origin': origin });
  maker.log.info({ type, id: made.id, origin }, 'made for the cluster');
  return made.id;
}

async function find({ client, cluster }: Maker, type: string, origin: string): Promise<AnyObject | undefined> {
  const [found] = await client.list(type, { 'cable:cluster': cluster, 'cable:origin': origin });
  return found as AnyObject | undefined;
}

type Wanted = {
  readonly what: 'pods' | 'nodes';
  readonly cidrs: readonly string[];
  /** Prefixes to which whoever is there goes by the gateway. */
  readonly routes: readonly string[];
};

async function ensureNetwork(maker: Maker, { what, cidrs, routes }: Wanted): Promise<ClusterNetwork> {
  const networkId = await ensure(maker, 'network', `Network/${what}`, { name: `${maker.cluster} ${what}` });
  const subnetIds: string[] = [];
  for (const cidr of cidrs) {
    const version = versionOf(cidr);
    const origin = `Subnet/${what}-ipv${version}`;
    const before = await find(maker, 'subnet', origin);
    if (before !== undefined && before['cidr'] !== cidr) {
      throw new ExpectedError(
        `the ${what} of cluster ${maker.cluster} have addresses of ${before['cidr']}, not of ${cidr}: give the prefix that they have`,
      );
    }
    const gateway = gatewayOf(cidr);
    const hostRoutes = routes
      .filter((one) => versionOf(one) === version)
      .map((destination) => ({ destination, nexthop: gateway }));
    if (before !== undefined) {
      if (JSON.stringify(before['host_routes']) !== JSON.stringify(hostRoutes))
        await maker.client.update('subnet', before.id, { host_routes: hostRoutes });
      subnetIds.push(before.id);
      continue;
    }
    const body = { network_id: networkId, name: `${maker.cluster} ${what}`, cidr, ip_version: version };
    const more = { gateway_ip: gateway, enable_dhcp: false, host_routes: hostRoutes };
    subnetIds.push(await ensure(maker, 'subnet', origin, { ...body, ...more }));
  }
  return { networkId, subnetIds };
}

function versionOf(cidr: string): 4 | 6 {
  return cidr.includes(':') ? 6 : 4;
}

/** The first address behind the network's. */
function gatewayOf(cidr: string): string {
  const prefix = parseCidr(cidr);
  if (prefix === undefined) throw new Error(`${cidr} is no prefix`);
  const { version, value } = prefix.base;
  return formatIp({ version, value: value + 1n });
}

/** With all projects of the cluster, so that each namespace's ports can be there. */
async function ensureShared({ client, cluster }: Maker, networkId: string): Promise<void> {
  const target = clusterProjects(cluster);
  const policies = await client.list('rbac_policy', { object_id: networkId });
  if (policies.some((one) => one['target_tenant'] === target)) return;
  const policy = { object_type: 'network', object_id: networkId, action: 'access_as_shared', target_tenant: target };
  await client.create('rbac_policy', policy);
}

async function ensureLegs(client: Client, routerId: string, subnetIds: readonly string[]): Promise<void> {
  const legs = await client.list('port', { device_id: routerId, fields: ['id', 'fixed_ips'] });
  const attached = new Set(legs.flatMap((leg) => leg.fixed_ips.map((one) => one.subnet_id)));
  for (const subnetId of subnetIds) {
    if (attached.has(subnetId)) continue;
    await client.action('router', routerId, 'add_router_interface', { subnet_id: subnetId });
  }
}
