/** `Subnet`: a network with a prefix of each version of IP, in a Vpc or by itself. */
import { isDeepStrictEqual } from 'node:util';
import type { Client } from '@cable/api';
import { type AnyObject, formatCidr, parseIpOrCidr } from '@cable/model';
import { isRefusal } from '../cable-access.ts';
import { given, notAdoptable, onlyRow, refuseDiffering } from './adoption.ts';
import { type Declaration, immutable, reference } from './definition.ts';
import {
  canonical,
  EXCLUDED_MAX,
  excludedOf,
  type Family,
  familiesOf,
  listIn,
  type RangesSpec,
} from './subnet-ranges.ts';
import { USAGE_STATUS } from './subnet-usage.ts';
import { gatewayNodeOf, subnetOf } from './views.ts';
import { type CustomKind, type CustomObject, type Described, type Outcome, Unmet, unmetBy, type Work } from './work.ts';

export type SubnetSpec = RangesSpec & {
  readonly description?: string;
  readonly vpc?: string;
  readonly provider?: { readonly physicalNetwork: string; readonly vlan: number };
  readonly default?: boolean;
  readonly namespaces?: readonly string[];
  readonly private?: boolean;
  readonly allowSubnets?: readonly string[];
  readonly natOutgoing?: boolean;
  readonly gatewayType?: 'distributed' | 'centralized';
  readonly gatewayNodes?: readonly string[];
  /** Kube-OVN's word for the same: names with commas between. */
  readonly gatewayNode?: string;
  readonly enableDHCP?: boolean;
  readonly dnsServers?: readonly string[];
  readonly routes?: readonly { readonly cidr: string; readonly nextHop: string }[];
  readonly qosPolicy?: string;
};

const DECLARED: Declaration = {
  ...{ kind: 'Subnet', plural: 'subnets', singular: 'subnet', shortNames: ['subnet'] },
  description: 'A network with addresses: pods that are bound to it, Ports and VMs get them there.',
  spec: {
    type: 'object',
    description: 'What addresses it has, and for whom.',
    required: ['cidrBlock'],
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      vpc: reference(
        'The Vpc of the namespace that it is in. Absent: none, so that its addresses reach nothing else; in the namespace of Cable’s controller: the cluster’s own.',
      ),
      cidrBlock: {
        ...{ type: 'string', minLength: 1, maxLength: 100 },
        description: 'The prefix, or one of each version of IP, with a comma between.',
      },
      gateway: {
        ...{ type: 'string', maxLength: 100 },
        description: 'The Vpc’s address in it, one of each version of IP; by default the first of the prefix.',
      },
      excludeIps: {
        ...{ type: 'array', maxItems: EXCLUDED_MAX },
        description: 'Addresses that nobody gets without asking for them.',
        items: {
          type: 'string',
          minLength: 1,
          maxLength: 100,
          description: 'An address, or a range: 10.1.0.1..10.1.0.9.',
        },
      },
      provider: {
        type: 'object',
        description:
          'Where it is carried: a VLAN of a physical network that nodes are on, of those that an administrator of Cable has given the cluster. Absent: in tunnels between nodes. Without vpc the gateway is a router there.',
        required: ['physicalNetwork', 'vlan'],
        properties: {
          physicalNetwork: {
            ...{ type: 'string', minLength: 1, maxLength: 64 },
            description: 'Name of the physical network, as nodes map it to an interface.',
          },
          vlan: { type: 'integer', minimum: 1, maximum: 4094, description: 'The VLAN, which one network has.' },
        },
      },
      default: { type: 'boolean', description: 'True: pods of its namespace have addresses of it.' },
      namespaces: {
        ...{ type: 'array', maxItems: 1000 },
        description:
          'Namespaces whose pods have addresses of it; besides its own in the namespace of Cable’s controller alone. They see it and its network.',
        items: { type: 'string', minLength: 1, maxLength: 63, description: 'Name of a namespace.' },
      },
      private: {
        type: 'boolean',
        description: 'True: it exchanges packets with nobody but itself, allowSubnets, and the nodes of its pods.',
      },
      allowSubnets: {
        ...{ type: 'array', maxItems: 256 },
        description: 'With whom a private one exchanges packets besides.',
        items: { type: 'string', minLength: 1, maxLength: 49, description: 'A prefix.' },
      },
      natOutgoing: {
        type: 'boolean',
        description:
          'False: what its pods send outside by their nodes keeps its own address, for which outside must have a way back. In the cluster’s own network alone, of Subnets in the namespace of Cable’s controller; a Vpc has what its externalGateway does.',
      },
      gatewayType: {
        ...{ type: 'string', enum: ['distributed', 'centralized'] },
        description:
          'By which node leaves what its pods send outside of the cluster. distributed, as where it is absent: by that of each; centralized: by one of gatewayNodes, with its address. In the namespace of Cable’s controller alone, of Subnets in the cluster’s own network or in a Vpc without externalGateway.',
      },
      gatewayNodes: {
        ...{ type: 'array', maxItems: 8 },
        description:
          'Of centralized: names of nodes. The first that lives counts; when it dies the next takes its place, and keeps it. A list that is another begins with its first.',
        items: { type: 'string', minLength: 1, maxLength: 253, description: 'Name of a node.' },
      },
      gatewayNode: {
        ...{ type: 'string', maxLength: 2048 },
        description:
          'The same as gatewayNodes, in one text with commas between, as Kube-OVN has it. Give one of the two.',
      },
      enableDHCP: {
        type: 'boolean',
        description: 'False: machines in it get their addresses by no DHCP; absent: they do.',
      },
      dnsServers: {
        ...{ type: 'array', maxItems: 6 },
        description: 'Name servers that DHCP tells.',
        items: { type: 'string', minLength: 1, maxLength: 45, description: 'An address.' },
      },
      routes: {
        ...{ type: 'array', maxItems: 100 },
        description: 'Routes that DHCP tells, and that pods get.',
        items: {
          type: 'object',
          description: 'One route.',
          required: ['cidr', 'nextHop'],
          properties: {
            cidr: { type: 'string', minLength: 1, maxLength: 49, description: 'Where to.' },
            nextHop: { type: 'string', minLength: 1, maxLength: 45, description: 'By which address of it.' },
          },
        },
      },
      qosPolicy: reference(
        'QosPolicy of ports in it that have none: one of the namespace, or name or ID of what its project sees.',
      ),
    },
    'x-kubernetes-validations': immutable('cidrBlock', 'vpc', 'provider'),
  },
  status: {
    networkID: { type: 'string', description: 'ID of the network in Cable’s API.' },
    subnetIDs: {
      ...{ type: 'array', items: { type: 'string', description: 'An ID.' } },
      description: 'IDs of its subnets in Cable’s API, in the order of cidrBlock.',
    },
    gateway: { type: 'string', description: 'The Vpc’s address in it, of each version of IP.' },
    gatewayNode: {
      type: 'string',
      description: 'Of centralized: the node by which it leaves; empty: each pod by its own. As of the last minute.',
    },
    ...USAGE_STATUS,
  },
  columns: [
    { name: 'VPC', type: 'string', jsonPath: '.spec.vpc' },
    { name: 'CIDR', type: 'string', jsonPath: '.spec.cidrBlock' },
    { name: 'Gateway', type: 'string', jsonPath: '.status.gateway', priority: 1 },
    { name: 'VLAN', type: 'integer', jsonPath: '.spec.provider.vlan', priority: 1 },
    { name: 'Gateway-Type', type: 'string', jsonPath: '.spec.gatewayType', priority: 1 },
    { name: 'Gateway-Node', type: 'string', jsonPath: '.status.gatewayNode', priority: 1 },
    { name: 'Default', type: 'boolean', jsonPath: '.spec.default' },
    { name: 'Private', type: 'boolean', jsonPath: '.spec.private' },
    { name: 'Used', type: 'integer', jsonPath: '.status.usedIPs.ipv4' },
    { name: 'Available', type: 'integer', jsonPath: '.status.availableIPs.ipv4' },
    { name: 'Used-IPv6', type: 'integer', jsonPath: '.status.usedIPs.ipv6', priority: 1 },
    { name: 'Available-IPv6', type: 'integer', jsonPath: '.status.availableIPs.ipv6', priority: 1 },
  ],
};

export const subnetKind: CustomKind = {
  ...{ declared: DECLARED, types: ['network'], apply, release: detach },
  adoptable: { types: ['network'], describe, check },
};

/** Namespaces whose pods have addresses of it. */
export function boundBy(object: CustomObject, operatorNamespace: string): readonly string[] {
  const { default: isDefault, namespaces = [] } = (object.spec ?? {}) as SubnetSpec;
  const { namespace = '' } = object.metadata;
  const named = namespaces.filter((one) => one === namespace || namespace === operatorNamespace);
  return [...new Set([...(isDefault === true ? [namespace] : []), ...named])];
}

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<SubnetSpec>();
  const foreign = work.isOperators ? undefined : spec.namespaces?.find((one) => one !== work.namespace);
  if (foreign !== undefined) {
    const where = `in the namespace ${work.deps.operatorNamespace} alone a Subnet can be of others`;
    throw new Unmet('NamespaceNotAllowed', `namespaces: ${foreign} is another namespace; ${where}`);
  }
  const families = familiesOf(spec);
  const allowed = allowedBy(spec, families);
  // Looked at once: a namespace that comes while this goes on is told, and waits for the next time.
  const { projects, missing } = sharingOf(work);
  const shared = await shut(work, spec, { allowed, projects });
  const routerId = await routerOf(work, spec);
  const natOutgoing = natOf(work, spec, routerId);
  const { nodes: gatewayNodes, unmet } = await gatewayNodesOf(work, spec, routerId);
  const qos = spec.qosPolicy === undefined ? null : await work.refer('QosPolicy', 'qos_policy', spec.qosPolicy);
  const called = { name: work.name, description: spec.description ?? '' };
  const network = await work.ensure('network', {
    fixed: carriedBy(spec),
    wanted: { ...called, qos_policy_id: qos },
  });
  refuseOtherCarriage(network, spec);
  const before = await work.rows('subnet');
  if (before.some((one) => !families.some(({ cidr }) => cidr === one['cidr']))) {
    const is = before.map((one) => one['cidr']).join(',');
    throw new Unmet('Immutable', `cidrBlock is ${is}, and cannot be changed: make another Subnet`);
  }
  const subnets: AnyObject[] = [];
  for (const family of families)
    subnets.push(await ensureSubnet(work, network.id, { family, allowed, natOutgoing, gatewayNodes }, spec));
  const ids = subnets.map(({ id }) => id);
  await ensureLegs(work.client, network.id, routerId, ids);
  await share(work.client, network.id, projects);
  const gateway = families.map((one) => one.gateway).join(',');
  const gatewayNode = gatewayNodeOf(subnets[0]);
  const status = { networkID: network.id, subnetIDs: ids, gateway, gatewayNode };
  const outcome = { id: network.id, projectId: work.projectId, status, subnetIds: ids };
  const waits = shared ?? unmet ?? missing;
  return waits === undefined ? outcome : { ...outcome, unmet: waits };
}

/** A router on the wire may be the gateway of a VLAN: no other one is put there unasked. */
async function routerOf(work: Work, { vpc, provider }: SubnetSpec): Promise<string | undefined> {
  if (vpc !== undefined) return await work.refer('Vpc', 'router', vpc);
  return work.isOperators && provider === undefined ? work.deps.networks().routerId : undefined;
}

/** As the network’s attributes say it. */
function carriedBy({ provider }: SubnetSpec): Readonly<Record<string, unknown>> {
  if (provider === undefined) return {};
  return {
    'provider:network_type': 'vlan',
    'provider:physical_network': provider.physicalNetwork,
    'provider:segmentation_id': provider.vlan,
  };
}

/** One that was made for a VLAN stays there. Throws `Unmet`. */
function refuseOtherCarriage(network: AnyObject, { provider }: SubnetSpec): void {
  if (provider !== undefined || network['provider:network_type'] !== 'vlan') return;
  const is = `VLAN ${network['provider:segmentation_id']} of ${network['provider:physical_network']}`;
  throw new Unmet('Immutable', `provider: it is on ${is}, which cannot be changed: make another Subnet`);
}

/** Whether what leaves it has another address, where that is to be said here. Throws `Unmet`. */
function natOf(work: Work, { natOutgoing = true }: SubnetSpec, routerId: string | undefined): boolean {
  if (natOutgoing || (work.isOperators && routerId === work.deps.networks().routerId)) return natOutgoing;
  const why = work.isOperators
    ? 'it is in no network whose pods leave by their nodes: leave vpc away, for the cluster’s own'
    : `what is to be known outside by its own address the operator says, of Subnets in the namespace ${work.deps.operatorNamespace}`;
  throw new Unmet('NatOutgoingNotAllowed', `natOutgoing: false cannot be: ${why}`);
}

/** The nodes by which what leaves it goes, of those that there are; none: each pod's own. Throws `Unmet`. */
async function gatewayNodesOf(
  work: Work,
  spec: SubnetSpec,
  routerId: string | undefined,
): Promise<{ readonly nodes: readonly string[]; readonly unmet?: Unmet }> {
  if (spec.gatewayType !== 'centralized') return { nodes: [] };
  const { gatewayNodes = [], gatewayNode = '' } = spec;
  if (gatewayNodes.length > 0 && listIn(gatewayNode).length > 0)
    throw new Unmet('Invalid', 'gatewayNode and gatewayNodes are the same: give one of them');
  const named = namedNodes(spec);
  if (named.length === 0) throw new Unmet('Invalid', 'gatewayNodes: centralized needs the name of a node');
  await refuseCentralized(work, routerId);
  const missing = named.filter((name) => work.deps.ports.of('Node', name).length === 0);
  if (missing.length === 0) return { nodes: named };
  const nodes = named.filter((name) => !missing.includes(name));
  const unmet = new Unmet('WaitsFor', `gatewayNodes: no node ${missing.join(', ')} is there`);
  if (nodes.length === 0) throw unmet;
  return { nodes, unmet };
}

/** Nodes that it names, each once. */
export function namedNodes({ gatewayNodes = [], gatewayNode = '' }: SubnetSpec): readonly string[] {
  return [...new Set([...gatewayNodes, ...listIn(gatewayNode)])];
}

/** It leaves by nodes where its router does, or its pods' legs do. Throws `Unmet`. */
async function refuseCentralized(work: Work, routerId: string | undefined): Promise<void> {
  const { operatorNamespace, networks } = work.deps;
  const notAllowed = (why: string): Unmet => new Unmet('GatewayTypeNotAllowed', `gatewayType: centralized: ${why}`);
  if (!work.isOperators)
    throw notAllowed(`by which node Subnets leave the operator says, of those in the namespace ${operatorNamespace}`);
  if (routerId === undefined) throw notAllowed('it is in no Vpc whose pods leave by nodes: it reaches nothing outside');
  if (routerId === networks().routerId) return;
  const router = (await work.client.get('router', routerId)) as AnyObject;
  const routes = router['routes'] as readonly { readonly destination: string }[];
  if (router['external_gateway_info'] !== null)
    throw notAllowed('its Vpc leaves by its externalGateway: give pods addresses of their own there by a Gateway');
  if (routes.some(({ destination }) => destination.endsWith('/0')))
    throw notAllowed('its Vpc has a default route of its own: take it from staticRoutes');
}

/** `allowSubnets`, as the API writes them. Throws `Unmet`. */
function allowedBy({ allowSubnets = [] }: SubnetSpec, families: readonly Family[]): readonly string[] {
  for (const text of allowSubnets) {
    const prefix = parseIpOrCidr(text);
    if (prefix === undefined) throw new Unmet('Invalid', `allowSubnets: ${text} is no prefix, such as 10.2.0.0/16`);
    const { version } = prefix.base;
    if (!families.some((one) => one.version === version))
      throw new Unmet('Invalid', `allowSubnets: ${text} is of IPv${version}, of which cidrBlock has no prefix`);
  }
  return [...new Set(allowSubnets.flatMap((text) => prefixIn(text)))].sort();
}

/** An address is a prefix of its own; bits behind the length do not count. */
function prefixIn(text: string): readonly string[] {
  const prefix = parseIpOrCidr(text);
  return prefix === undefined ? [] : [formatCidr(prefix)];
}

type Ways = {
  readonly family: Family;
  readonly allowed: readonly string[];
  readonly natOutgoing: boolean;
  readonly gatewayNodes: readonly string[];
};

async function ensureSubnet(
  work: Work,
  networkId: string,
  { family, allowed, natOutgoing, gatewayNodes }: Ways,
  spec: SubnetSpec,
): Promise<AnyObject> {
  const { version, cidr, gateway, pools } = family;
  const isOwn = (address: string): boolean => address.includes(':') === (version === 6);
  return await work.ensure('subnet', {
    query: { ip_version: version },
    place: `/ipv${version}`,
    fixed: { network_id: networkId, ip_version: version, cidr },
    wanted: {
      ...{ name: work.name, gateway_ip: gateway, allocation_pools: pools, enable_dhcp: spec.enableDHCP ?? true },
      'cable:private': spec.private ?? false,
      'cable:allow_subnets': allowed.filter(isOwn),
      'cable:nat_outgoing': natOutgoing,
      'cable:gateway_nodes': gatewayNodes,
      dns_nameservers: (spec.dnsServers ?? []).filter(isOwn).map(canonical),
      host_routes: (spec.routes ?? [])
        .filter((one) => isOwn(one.cidr))
        .map((one) => ({ destination: canonical(one.cidr), nexthop: canonical(one.nextHop) })),
    },
  });
}

const LEG = 'network:router_interface';

/** A leg of the router in each subnet. Of another router, as of a Vpc of before, none stays. */
async function ensureLegs(
  client: Client,
  networkId: string,
  routerId: string | undefined,
  subnetIds: readonly string[],
): Promise<void> {
  const legs = await client.list('port', { network_id: networkId, device_owner: LEG });
  for (const subnetId of subnetIds) {
    const on = legs.filter((leg) => leg.fixed_ips.some((one) => one.subnet_id === subnetId));
    for (const leg of on)
      if (leg.device_id !== routerId)
        await client.action('router', leg.device_id, 'remove_router_interface', { subnet_id: subnetId });
    if (routerId !== undefined && !on.some((leg) => leg.device_id === routerId))
      await client.action('router', routerId, 'add_router_interface', { subnet_id: subnetId });
  }
}

/** Projects whose pods have addresses of it, besides its own; of namespaces that are not there nobody knows them. */
function sharingOf(work: Work): { readonly projects: ReadonlySet<string>; readonly missing?: Unmet } {
  const { operatorNamespace, podProjectOf } = work.deps;
  const bound = boundBy(work.object, operatorNamespace).map((one) => ({ name: one, project: podProjectOf(one) }));
  const projects = new Set(bound.flatMap(({ project }) => project ?? []).filter((one) => one !== work.projectId));
  const missing = bound.filter(({ project }) => project === undefined).map(({ name }) => name);
  if (missing.length === 0) return { projects };
  const message = `namespaces: there is no namespace ${missing.join(', ')}: its pods have addresses of it as soon as it is there`;
  return { projects, missing: new Unmet('WaitsFor', message) };
}

type Shut = { readonly allowed: readonly string[]; readonly projects: ReadonlySet<string> };

/** Has one that is there let in no more than it should, before anything of it that may not be as spec says. Answers why it is shared still with who should not have it. */
async function shut(work: Work, spec: SubnetSpec, { allowed, projects }: Shut): Promise<Unmet | undefined> {
  if (spec.private === true) {
    for (const one of await work.rows('subnet')) {
      const own = allowed.filter((text) => text.includes(':') === (one['ip_version'] === 6));
      if (isDeepStrictEqual([one['cable:private'], one['cable:allow_subnets']], [true, own])) continue;
      await work.client.update('subnet', one.id, { 'cable:private': true, 'cable:allow_subnets': own });
    }
  }
  const [network] = await work.rows('network');
  return network === undefined ? undefined : await endShares(work.client, network.id, projects);
}

/** With nobody but those. Who has ports there keeps it, for himself alone: why is answered. */
async function endShares(client: Client, networkId: string, projects: ReadonlySet<string>): Promise<Unmet | undefined> {
  let refused: Unmet | undefined;
  for (const policy of (await client.list('rbac_policy', { object_id: networkId })) as readonly AnyObject[]) {
    if (projects.has(String(policy['target_tenant']))) continue;
    try {
      await client.delete('rbac_policy', policy.id);
    } catch (err) {
      if (!isRefusal(err)) throw err;
      refused ??= unmetBy(err);
    }
  }
  return refused;
}

/** With whose pods have addresses of it. */
async function share(client: Client, networkId: string, projects: ReadonlySet<string>): Promise<void> {
  const there = (await client.list('rbac_policy', { object_id: networkId })) as readonly AnyObject[];
  const targets = new Set(there.map((policy) => String(policy['target_tenant'])));
  for (const target of projects) {
    if (targets.has(target)) continue;
    const policy = { object_type: 'network', object_id: networkId, action: 'access_as_shared', target_tenant: target };
    await client.create('rbac_policy', policy);
  }
}

async function describe(work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  const subnets = await subnetsOf(work, row);
  const view = subnetOf(row, subnets);
  if (view === undefined)
    throw notAdoptable('it leads outside, or has not one prefix of each version of IP at the most');
  refuseWordless(row, subnets);
  const policies = (await work.client.list('rbac_policy', { object_id: row.id })) as readonly AnyObject[];
  const { projects: shared } = sharingOf(work);
  const other = policies.map((one) => String(one['target_tenant'])).find((one) => !shared.has(one));
  if (other !== undefined) throw notAdoptable(`it is shared with ${other}`);
  const excludeIps = subnets.flatMap(excludedOf);
  if (excludeIps.length > EXCLUDED_MAX)
    throw notAdoptable(`its allocation_pools leave out more than ${EXCLUDED_MAX} ranges`);
  const routes = subnets.flatMap((one) => one['host_routes'] as readonly { destination: string; nexthop: string }[]);
  const vpc = await routerOn(work, row.id);
  const more = given({
    ...{ excludeIps, qosPolicy: row['qos_policy_id'], vpc: isClusters(work, vpc) ? null : vpc },
    routes: routes.map(({ destination, nexthop }) => ({ cidr: destination, nextHop: nexthop })),
    provider: providerOf(row),
  });
  return { ...view.spec, ...more };
}

async function subnetsOf(work: Work, network: AnyObject): Promise<readonly AnyObject[]> {
  const found = (await work.client.list('subnet', { network_id: network.id })) as readonly AnyObject[];
  return found.toSorted((a, b) => Number(a['ip_version']) - Number(b['ip_version']));
}

/** Throws `Unmet` for what would be lost. */
function refuseWordless(network: AnyObject, subnets: readonly AnyObject[]): void {
  if (subnets.some((one) => (one['gateway_ip'] ?? null) === null))
    throw notAdoptable('it has a subnet without gateway_ip');
  if (subnets.some((one) => one['enable_dhcp'] !== subnets[0]?.['enable_dhcp']))
    throw notAdoptable('one of its subnets has DHCP and another one has not');
  const count = (name: string): number => subnets.flatMap((one) => (one[name] ?? []) as readonly unknown[]).length;
  const most = { dns_nameservers: 6, 'cable:allow_subnets': 256, host_routes: 100 };
  for (const [name, max] of Object.entries(most))
    if (count(name) > max) throw notAdoptable(`it has more than ${max} of ${name}`);
  const type = network['provider:network_type'] ?? null;
  if (type === 'flat') throw notAdoptable('it is a flat network');
}

/** ID of the router that is attached; undefined: none is. */
async function routerOn(work: Work, networkId: string): Promise<string | undefined> {
  const legs = await work.client.list('port', { network_id: networkId, device_owner: LEG });
  const [first, second] = new Set(legs.map((leg) => leg.device_id));
  if (second !== undefined) throw notAdoptable('several routers are attached to it');
  return first;
}

/** Whether a Subnet there is in that router without a word. */
function isClusters(work: Work, routerId: string | undefined): boolean {
  return work.isOperators && routerId === work.deps.networks().routerId;
}

function providerOf(network: AnyObject): SubnetSpec['provider'] | null {
  if (network['provider:network_type'] !== 'vlan') return null;
  return {
    physicalNetwork: String(network['provider:physical_network']),
    vlan: Number(network['provider:segmentation_id']),
  };
}

async function check(work: Work, rows: readonly AnyObject[], said: Described): Promise<void> {
  const network = onlyRow(rows);
  const spec: SubnetSpec = said;
  const cidrs = (await subnetsOf(work, network)).map((one) => String(one['cidr']));
  const families = familiesOf(spec);
  refuseDiffering('cidrBlock', cidrs.toSorted(), families.map(({ cidr }) => cidr).toSorted());
  refuseDiffering('provider', providerOf(network), spec.provider ?? null);
  const wanted = await routerOf(work, spec);
  const is = await routerOn(work, network.id);
  if (is !== undefined) refuseDiffering('vpc', is, wanted);
  natOf(work, spec, wanted);
  allowedBy(spec, families);
}

/** Who is in it holds it; its router does not. */
async function detach({ client }: Pick<Work, 'client' | 'deps'>, network: AnyObject): Promise<void> {
  const ports = await client.list('port', {
    network_id: network.id,
    fields: ['id', 'device_owner', 'device_id', 'fixed_ips'],
  });
  const legs = ports.filter((one) => one.device_owner === LEG);
  const others = ports.filter((one) => !one.device_owner.startsWith('network:'));
  if (others.length > 0) {
    const more = others.length > 1 ? ` and ${others.length - 1} more` : '';
    throw new Unmet('NetworkInUse', `port ${others[0]?.id}${more} has addresses of it`);
  }
  for (const leg of legs)
    for (const { subnet_id: subnetId } of leg.fixed_ips)
      await client.action('router', leg.device_id, 'remove_router_interface', { subnet_id: subnetId });
}
