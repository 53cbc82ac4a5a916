import type { SliceKey, SliceKind } from '@cable/model';
import { CB_POLICY_NONE } from '../bpf/abi.gen.ts';
import { outerScopeOf, scopeOf } from '../plan/cluster-services.ts';
import { exitOf } from '../plan/gateways.ts';
import { idOf, kindOf, type PlannedSlices, typedSlices } from '../plan/inputs.ts';
import { peeringOf } from '../plan/peerings.ts';
import type { Planner } from '../plan/planner.ts';

/** Users' names for the numbers in the maps. What has no name any more is shown as its number. */
export type Names = {
  network(net: number): string;
  router(vrf: number): string;
  /** `<security group ids>@<network name>`; empty policy: `(no groups)@...`. */
  policy(policy: number): string;
  /** Name of a VIF's port, or its id when it has no name. */
  port(vif: number): string;
  device(ifindex: number): string;
  /** Host behind an underlay address. */
  host(underlay: string): string;
  /** Host that a tunnel leads to. */
  tunnel(tunnel: number): string;
  /** `<namespace/name>` of the Service whose id begins with these 32 bits. */
  service(bits: number): string;
  /** Id of a load balancer's pool. */
  pool(pool: number): string;
  /** Id of a pool's member. */
  member(member: number): string;
  /** Name of a tap flow or tap mirror, or its id when it has none. */
  mirror(mirror: number): string;
  /** Id of a project. */
  project(project: number): string;
  /** Id of the rule whose first 32 bits these are. */
  rule(bits: number): string;
};

/** Slices that can be listed. */
export type ListedSlices = PlannedSlices & { keys(): Iterable<SliceKey> };

/** What names are read from, as it is now. */
export type NameSource = {
  readonly host: string;
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'vifs' | 'ids' | 'numberOf' | 'policies'>;
};

/** Reads all names, in portions. */
export function* readNames(source: NameSource): Generator<void, Names> {
  const { host, planner } = source;
  const slices = typedSlices(source.slices);
  const keys = [...source.slices.keys()];
  const idsOf = (kind: SliceKind): string[] => keys.filter((key) => kindOf(key) === kind).map(idOf);
  const networks = new Map<number, string>();
  for (const id of idsOf('network')) {
    const network = slices.header('network', id);
    const net = planner.ids('network').get(id);
    if (network !== undefined && net !== undefined) networks.set(net, network.name || id);
    yield;
  }
  const hosts = new Map<string, string>();
  for (const id of idsOf('endpoints')) {
    for (const [, one] of [...slices.items('endpoints', id)]) {
      if (one.underlay !== null) hosts.set(one.underlay, one.host);
      yield;
    }
  }
  const routers = new Map<number, string>();
  for (const id of idsOf('router')) {
    const vrf = planner.numberOf('router', id);
    const name = slices.header('router', id)?.name || id;
    if (vrf !== undefined) routers.set(vrf, name);
    const exit = planner.numberOf('router', exitOf(id));
    if (exit !== undefined) routers.set(exit, `${name} outside`);
  }
  for (const id of idsOf('peerings')) {
    for (const [, { id: peeringId, name }] of [...slices.items('peerings', id)]) {
      const number = planner.numberOf('router', peeringOf(peeringId));
      if (number !== undefined) routers.set(number, `peering ${name || peeringId}`);
    }
  }
  const services = new Map<number, string>();
  for (const id of idsOf('services')) {
    const number = planner.numberOf('router', scopeOf(id));
    if (number !== undefined) routers.set(number, `service scope ${id}`);
    const outer = planner.numberOf('router', outerScopeOf(id));
    if (outer !== undefined) routers.set(outer, `service scope ${id} from outside`);
    for (const [, { id: serviceId, name }] of [...slices.items('services', id)]) {
      services.set(Number.parseInt(serviceId.slice(0, 8), 16) >>> 0, name || serviceId);
      yield;
    }
  }
  const pools = new Map<number, string>();
  const members = new Map<number, string>();
  for (const id of idsOf('pool')) {
    pools.set(planner.numberOf('pool', id) ?? 0, id);
    for (const [member] of [...slices.items('pool', id)]) {
      members.set(planner.numberOf('member', member) ?? 0, member);
      yield;
    }
  }
  const mirrors = new Map<number, string>();
  for (const [, { mirrors: own = [] }] of [...slices.items('host', host)]) {
    for (const { id, name } of own) mirrors.set(planner.numberOf('mirror', id) ?? 0, name || id);
    yield;
  }
  const rules = new Map<number, string>();
  for (const id of idsOf('policy')) {
    for (const [, { id: ruleId }] of [...slices.items('policy', id)]) {
      rules.set(Number.parseInt(ruleId.slice(0, 8), 16) >>> 0, ruleId);
      yield;
    }
  }
  for (const kind of ['network_policies', 'cluster_policies'] as const) {
    for (const id of idsOf(kind)) {
      for (const [, { policyId }] of [...slices.items(kind, id)]) {
        rules.set(Number.parseInt(policyId.slice(0, 8), 16) >>> 0, policyId);
        yield;
      }
    }
  }
  for (const id of idsOf('private_subnets')) {
    for (const [, { subnetId }] of [...slices.items('private_subnets', id)]) {
      rules.set(Number.parseInt(subnetId.slice(0, 8), 16) >>> 0, subnetId);
      yield;
    }
  }
  const policies = new Map<number, string>();
  for (const name of planner.policies()) {
    const label = policyLabel(name, (id) => slices.header('network', id)?.name || id);
    policies.set(planner.numberOf('policy-use', name) ?? 0, label);
  }
  const devices = new Map<number, string>();
  for (const { ifindex, device } of planner.vifs.values()) devices.set(ifindex, device);
  const vifs = byNumber(planner.ids('vif'));
  const tunnels = byNumber(planner.ids('tunnel'));
  const projects = byNumber(planner.ids('project'));
  const portName = (vif: number): string => {
    const id = vifs.get(vif);
    return id === undefined ? `vif ${vif}` : slices.item('host', host, id)?.name || id;
  };
  const hostName = (underlay: string): string => hosts.get(underlay) ?? underlay;
  return {
    network: (net) => networks.get(net) ?? `network ${net}`,
    router: (vrf) => (vrf === 0 ? '' : (routers.get(vrf) ?? `vrf ${number(vrf)}`)),
    policy: (policy) => (policy === CB_POLICY_NONE ? 'none' : (policies.get(policy) ?? `policy ${number(policy)}`)),
    port: portName,
    device: (ifindex) => devices.get(ifindex) ?? `ifindex ${ifindex}`,
    host: hostName,
    tunnel: (tunnel) => hostName(tunnels.get(tunnel) ?? `tunnel ${tunnel}`),
    service: (bits) => services.get(bits) ?? `${number(bits)}…`,
    pool: (pool) => pools.get(pool) ?? `pool ${number(pool)}`,
    member: (member) => members.get(member) ?? `member ${number(member)}`,
    mirror: (mirror) => mirrors.get(mirror) ?? `mirror ${number(mirror)}`,
    project: (project) => projects.get(project) ?? `project ${project}`,
    rule: (bits) => rules.get(bits) ?? `${number(bits)}…`,
  };
}

function byNumber(ids: ReadonlyMap<string, number>): ReadonlyMap<number, string> {
  return new Map(Array.from(ids, ([name, id]) => [id, name]));
}

/** A host-local number as it is shown. */
export function number(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** `name`: as `policyName` makes it. */
function policyLabel(name: string, networkName: (id: string) => string): string {
  const at = name.lastIndexOf('@');
  const groups = name.slice(name.indexOf(':') + 1, at) || '(no groups)';
  return `${groups}@${networkName(name.slice(at + 1))}`;
}
