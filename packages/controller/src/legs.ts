/**
 * Legs: a pod of another VPC than the cluster's own has, beside its port there, one in the cluster's network of pods, with an address that nobody else of the cluster has. Kubelet, Services and
 * the API server know the pod by that. Who may come in by it is said by groups that the controller makes here (docs/design/pod-vpc.md).
 */
import type { Client } from '@cable/api';
import { ApiError } from '@cable/api';
import { type AnyObject, cidrsOverlap, namespaceProject, parseCidr } from '@cable/model';
import type { CableAccess } from './cable-access.ts';
import type { ClusterNetworks } from './cluster-networks.ts';

/** `device_owner` of a leg. */
export const LEG_OWNER = 'kubernetes:leg';

/** What networks belong together as: those of one router, or one without. */
export type Vpc = {
  /** Of the router; of the network, where no router that is seen joins it to others. */
  readonly id: string;
  /** Undefined: none that is seen. */
  readonly routerId?: string | undefined;
  /** Prefixes of the network's subnets. */
  readonly cidrs: readonly string[];
};

export type LegsDeps = {
  readonly cable: Pick<CableAccess, 'own' | 'as'>;
  readonly cluster: string;
  readonly networks: () => ClusterNetworks;
  readonly joinCidrs: readonly string[];
  /** Prefixes that a pod reaches by its leg, whatever its VPC has: of nodes, of Services. */
  readonly legCidrs: readonly string[];
  readonly nowMs?: () => number;
};

/** The groups that a pod's port has. */
export type PodGroups = { readonly ids: readonly string[]; readonly isStateless: boolean };

const ROUTER_INTERFACE = 'network:router_interface';

/** How long it is not asked again which router a network has. */
const KNOWN_MS = 30_000;

export class Legs {
  readonly #deps: LegsDeps;
  readonly #vpcs = new Map<string, { readonly untilMs: number; readonly vpc: Promise<Vpc | undefined> }>();
  /** Of a group by its name, and of what is shared with a project: a promise while it is being made. */
  readonly #made = new Map<string, Promise<string>>();

  constructor(deps: LegsDeps) {
    this.#deps = deps;
  }

  /** The VPC of a network, as the project sees it; undefined: the cluster's own, where pods have no leg. */
  async vpcOf(networkId: string, projectId: string): Promise<Vpc | undefined> {
    const { nowMs = () => performance.now(), networks } = this.#deps;
    if (networkId === networks().pods.networkId) return undefined;
    const key = `${networkId} ${projectId}`;
    const known = this.#vpcs.get(key);
    if (known !== undefined && known.untilMs > nowMs()) return await known.vpc;
    const vpc = this.#ask(networkId, this.#deps.cable.as(projectId));
    this.#vpcs.set(key, { untilMs: nowMs() + KNOWN_MS, vpc });
    try {
      return await vpc;
    } catch (err) {
      this.#vpcs.delete(key);
      throw err;
    }
  }

  /** A prefix of the VPC within which there are addresses that its pods reach by their legs; undefined: there is none. */
  overlapOf({ cidrs }: Vpc): { readonly cidr: string; readonly legCidr: string } | undefined {
    for (const cidr of cidrs) {
      const own = parseCidr(cidr);
      for (const legCidr of this.#deps.legCidrs) {
        const other = parseCidr(legCidr);
        if (own !== undefined && other !== undefined && cidrsOverlap(own, other)) return { cidr, legCidr };
      }
    }
    return undefined;
  }

  /**
   * Groups of a leg of that project. Without groups of the pod: nodes come in, and legs of the VPC. With groups: nodes, and whom these let in. The groups are the project's to use when this
   * resolves; the network of pods is not: nobody but the controller makes anything there.
   */
  async groupsOf(vpc: Vpc, projectId: string, { ids, isStateless }: PodGroups): Promise<readonly string[]> {
    const fromNodes = this.#deps.joinCidrs.map((cidr) => ({ direction: 'ingress', remote_ip_prefix: cidr }));
    if (ids.length > 0) {
      // Of a stateless group an answer needs a rule of its own.
      const answers = isStateless ? fromNodes.map((one) => ({ ...one, direction: 'egress' })) : [];
      const name = `${NODES_GROUP}${isStateless ? ' stateless' : ''}`;
      const nodes = await this.#group(name, { isStateless, rules: [...fromNodes, ...answers], isOpen: false });
      await this.#share(nodes, projectId);
      return [nodes, ...ids];
    }
    const group = await this.#group(`${VPC_GROUP}${vpc.id}`, { isStateless: false, rules: fromNodes, isOpen: true });
    await this.#share(group, projectId);
    return [group];
  }

  /**
   * Deletes groups of VPCs that no port has any more, and takes back what is shared with projects that are gone. `isUsed`: of what is known of ports; the server refuses what has come
   * meanwhile, and what ports of such a project have still.
   */
  async sweep(isUsed: (id: string) => boolean, isOver: (project: string) => boolean): Promise<void> {
    const { cable, nowMs = () => performance.now() } = this.#deps;
    const client = cable.own;
    // Who has undone some of it meanwhile finds it made anew.
    const own = { object_type: 'security_group', project_id: namespaceProject(this.#deps.cluster, '') };
    const before = [...this.#made.keys()];
    const shares = (await client.list('rbac_policy', { ...own, limit: 2000 })) as readonly AnyObject[];
    const there = new Set(shares.map((one) => shareKey(String(one['object_id']), String(one['target_tenant']))));
    for (const key of before) if (!there.has(key)) this.#made.delete(key);
    for (const { id, object_id: group, target_tenant: target } of shares) {
      if (!isOver(String(target))) continue;
      this.#made.delete(shareKey(String(group), String(target)));
      await deleteUnused(client, 'rbac_policy', id);
    }
    for (const [key, { untilMs }] of this.#vpcs) if (untilMs <= nowMs()) this.#vpcs.delete(key);
    const groups = await client.list('security_group', { project_id: namespaceProject(this.#deps.cluster, '') });
    for (const { id, name } of groups) {
      // Somebody asks for it in this moment.
      if (!name.startsWith(VPC_GROUP) || isUsed(id) || this.#made.has(name)) continue;
      await deleteUnused(client, 'security_group', id);
    }
    await this.#takeBack();
  }

  /** Controllers of before have shared the network of pods with projects of pods: shares go as soon as nothing of the project is there. */
  async #takeBack(): Promise<void> {
    const { cluster, cable, networks } = this.#deps;
    const own = namespaceProject(cluster, '');
    const there = (await cable.own.list('rbac_policy', {
      object_id: networks().pods.networkId,
    })) as readonly AnyObject[];
    for (const { id, project_id: project, target_tenant: target } of there) {
      if (project === own && !String(target).startsWith(own)) await deleteUnused(cable.own, 'rbac_policy', id);
    }
  }

  async #ask(networkId: string, client: Client): Promise<Vpc | undefined> {
    const query = { network_id: networkId, device_owner: ROUTER_INTERFACE };
    const { own } = this.#deps.cable;
    // The router may be the project's, or the cluster's own.
    const found = await Promise.all([client.list('port', query), own.list('port', query)]);
    const interfaces = [...new Map(found.flat().map((port) => [port.id, port])).values()];
    if (interfaces.some((port) => port.device_id === this.#deps.networks().routerId)) return undefined;
    const subnets = (await client.list('subnet', { network_id: networkId })) as readonly SubnetRow[];
    const routerId = routerOf(interfaces, subnets);
    return { id: routerId ?? networkId, routerId, cidrs: subnets.map(({ cidr }) => cidr) };
  }

  /** `isOpen`: whoever has it sends what it likes, and lets in who has it, too. */
  #group(name: string, wanted: Group): Promise<string> {
    return this.#once(name, async () => {
      const client = this.#deps.cable.own;
      const project = { project_id: namespaceProject(this.#deps.cluster, '') };
      const [found] = await client.list('security_group', { name, ...project });
      const more = wanted.isStateless ? { stateful: false } : {};
      const { id } = found ?? (await client.create('security_group', { name, ...more }));
      await ensureRules(client, id, wanted);
      return id;
    });
  }

  async #share(id: string, projectId: string): Promise<void> {
    await this.#once(shareKey(id, projectId), async () => {
      const client = this.#deps.cable.own;
      const policy = {
        object_type: 'security_group',
        object_id: id,
        action: 'access_as_shared',
        target_tenant: projectId,
      };
      const [there] = await client.list('rbac_policy', { object_id: id, target_tenant: projectId });
      if (there === undefined) await client.create('rbac_policy', policy);
      return id;
    });
  }

  async #once(key: string, make: () => Promise<string>): Promise<string> {
    const known = this.#made.get(key) ?? make();
    this.#made.set(key, known);
    try {
      return await known;
    } catch (err) {
      this.#made.delete(key);
      throw err;
    }
  }
}

function shareKey(groupId: string, projectId: string): string {
  return `${groupId} ${projectId}`;
}

/** What is used meanwhile stays. */
async function deleteUnused(client: Client, type: string, id: string): Promise<void> {
  await client.delete(type, id).catch((err: unknown) => {
    if (!(err instanceof ApiError) || err.status >= 500) throw err;
  });
}

const VPC_GROUP = 'kubernetes vpc ';
const NODES_GROUP = 'kubernetes nodes';

type SubnetRow = {
  readonly cidr: string;
  readonly gateway_ip: string | null;
  readonly project_id: string;
};

/** A router's leg in the network. */
type Interface = {
  readonly device_id: string;
  readonly project_id: string;
  readonly fixed_ips: readonly { readonly ip_address: string }[];
};

/**
 * Of several routers the one that the network's owner has made its gateway, for who shares a network may join it to a router of his own; then one of the owner's, then a gateway of
 * another's; of equal ones the lowest ID.
 */
function routerOf(interfaces: readonly Interface[], subnets: readonly SubnetRow[]): string | undefined {
  const owners = new Set(subnets.map(({ project_id: project }) => project));
  const gateways = new Set(subnets.map(({ gateway_ip: gateway }) => gateway));
  const rank = ({ project_id: project, fixed_ips: addresses }: Interface): number =>
    (owners.has(project) ? 0 : 2) + (addresses.some(({ ip_address: address }) => gateways.has(address)) ? 0 : 1);
  return [...interfaces].sort((a, b) => rank(a) - rank(b) || (a.device_id < b.device_id ? -1 : 1))[0]?.device_id;
}

type Group = {
  readonly isStateless: boolean;
  readonly rules: readonly { readonly direction: string; readonly remote_ip_prefix: string }[];
  readonly isOpen: boolean;
};

/** What is there already stays: the name says what the group is. */
async function ensureRules(client: Client, groupId: string, { rules, isOpen }: Group): Promise<void> {
  const there = (await client.list('security_group_rule', { security_group_id: groupId })) as readonly AnyObject[];
  const own = isOpen
    ? ['IPv4', 'IPv6'].map((ethertype) => ({ direction: 'ingress', ethertype, remote_group_id: groupId }))
    : [];
  const wanted = [
    ...rules.map((rule) => ({ ...rule, ethertype: rule.remote_ip_prefix.includes(':') ? 'IPv6' : 'IPv4' })),
    ...own,
  ];
  const isSame = (rule: object, one: AnyObject): boolean =>
    Object.entries(rule).every(([name, value]) => one[name] === value);
  for (const rule of wanted) {
    if (!there.some((one) => isSame(rule, one)))
      await client.create('security_group_rule', { ...rule, security_group_id: groupId });
  }
  // A new group lets everything out.
  for (const one of there) {
    const isExtra = !isOpen && one['direction'] === 'egress' && !wanted.some((rule) => isSame(rule, one));
    if (isExtra) await client.delete('security_group_rule', one.id);
  }
}
