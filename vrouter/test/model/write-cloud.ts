/** What an agent would write of a cloud into the maps of the real programs. */
import {
  CB_NET_F_SNOOPED,
  CB_NET_F_STEER,
  CB_PEER_F_UPLINK,
  CB_POLICY_NONE,
  CB_VIF_F_STATELESS,
} from '../../../packages/agent/src/bpf/abi.gen.ts';
import { type PortPrefix, portPrefixes } from '../../../packages/agent/src/plan/port-ranges.ts';
import { beginAsking, setAsked } from '../groups.ts';
import { setSteers, steerOf } from '../steers.ts';
import { type FloodTarget, type Guest, type GuestOptions, vifFlags, type World } from '../world.ts';
import { cidrContains, cidrCovers, maskedCidr } from './address.ts';
import {
  type Cloud,
  gatewayRouter,
  hasDhcp,
  hostsOf,
  isCarried,
  type Leg,
  mayTunnel,
  membersOf,
  networkNamed,
  type Port,
  peeredBy,
  type Router,
  type Rule,
  receiversHere,
  rulesOf,
  serviceAddresses,
  speakerTo,
} from './cloud.ts';
import { usableRoutes } from './ways.ts';

/** What is written to. */
export type Target = {
  readonly world: World;
  readonly numbers: ReturnType<typeof freshNumbers>;
  /** Ports that have, or had, a device here. */
  readonly guests: Map<string, Guest>;
  readonly encapsulatesItself: boolean;
};

/** Numbers are given at first sight, and kept for as long as the case lasts. */
export class Numbers {
  readonly #given = new Map<string, number>();
  readonly #first: number;

  constructor(first: number) {
    this.#first = first;
  }

  of(name: string): number {
    const number = this.#given.get(name) ?? this.#first + this.#given.size;
    this.#given.set(name, number);
    return number;
  }

  nameOf(number: number): string {
    return [...this.#given].find(([, one]) => one === number)?.[0] ?? `(number ${number})`;
  }
}

export const FIRST_VNI = 100;

export function freshNumbers(): Record<
  'networks' | 'routers' | 'policies' | 'classes' | 'hosts' | 'pools' | 'members',
  Numbers
> {
  return {
    networks: new Numbers(FIRST_VNI),
    routers: new Numbers(1),
    policies: new Numbers(CB_POLICY_NONE + 1),
    classes: new Numbers(1),
    hosts: new Numbers(1),
    pools: new Numbers(1),
    members: new Numbers(1),
  };
}

export const UNDERLAY = '192.0.2.';

/** The next hop to other hosts, and an MTU for all that is sent. */
const HOP = { nexthop: `${UNDERLAY}201`, mtu: 9000 } as const;
/** The vrouter does not know how the kernel's routes lead to this host: to it the overlay device tunnels. */
const WITHOUT_HOP = 'h2';

export function underlayOf({ numbers }: Target, host: string): string {
  return `${UNDERLAY}${numbers.hosts.of(host)}`;
}

export function writeCloud(on: Target, cloud: Cloud): void {
  for (const port of cloud.ports) writePort(on, cloud, port);
  const secured = cloud.ports.filter(({ host, portSecurity }) => host === undefined && portSecurity);
  const onePort = new Map(secured.map((port) => [policyOf(on, port), port]));
  for (const [policy, port] of onePort) writePolicy(on, cloud, policy, port);
  for (const router of cloud.routers) {
    const vrf = on.numbers.routers.of(router.name);
    for (const leg of router.legs)
      on.world.addRouterInterface(vrf, { ...leg, ...wayInto(on, cloud, leg.network), ip: leg.address });
    for (const { cidr, leg, nextHop, gateway } of usableRoutes(router)) {
      if (nextHop === undefined || gateway !== undefined) continue;
      on.world.addRoute(vrf, maskedCidr(cidr), { ...leg, ...wayInto(on, cloud, leg.network), nexthop: nextHop });
    }
  }
  for (const router of cloud.routers) writePolicies(on, cloud, router);
  for (const router of cloud.routers) writePeerings(on, cloud, router);
  for (const { name, outside } of cloud.networks) if (outside === undefined) writeNetwork(on, cloud, name);
  writeHosts(on, cloud);
}

function writePolicies(on: Target, cloud: Cloud, { name, legs, policies }: Router): void {
  if (policies.length === 0) return;
  const steers = policies.map(({ action, network, from, to, protocol, ports, nextHop }, at) => {
    const leg = nextHop === undefined ? undefined : legs.find(({ cidr }) => cidrContains(cidr, nextHop));
    const way = leg === undefined ? undefined : { mac: leg.mac, ...wayInto(on, cloud, leg.network) };
    return steerOf(on.world, at + 1, action, {
      ...{ from, to, protocol, dports: ports },
      net: network === undefined ? undefined : on.numbers.networks.of(network),
      ...(way === undefined || nextHop === undefined ? {} : { way: { ...way, nextHop } }),
    });
  });
  setSteers(on.world, on.numbers.routers.of(name), steers);
}

/** A route of the router's own to the same prefix stands. */
function writePeerings(on: Target, cloud: Cloud, router: Router): void {
  const taken = new Set(usableRoutes(router).map(({ cidr }) => maskedCidr(cidr)));
  const sideOf = (leg: Leg) => ({ ...leg, ...wayInto(on, cloud, leg.network) });
  for (const [at, { own, theirs }] of peeredBy(cloud, router).entries()) {
    const number = on.numbers.routers.of(`${router.name} peering ${at}`);
    const peers = theirs.filter(({ cidr }) => !taken.has(cidr)).map(sideOf);
    on.world.addPeering(on.numbers.routers.of(router.name), number, own.map(sideOf), peers);
  }
}

function writeHosts(on: Target, cloud: Cloud): void {
  const own = on.encapsulatesItself;
  for (const host of cloud.peers) {
    const networks = cloud.networks.filter(({ name }) => mayTunnel(cloud, host, name));
    const vnis = networks.map(({ name }) => on.numbers.networks.of(name));
    on.world.addPeer(underlayOf(on, host), vnis, own ? CB_PEER_F_UPLINK : 0);
  }
  const hosts = new Set(cloud.ports.flatMap(({ host }) => host ?? []));
  for (const host of own ? hosts : []) if (host !== WITHOUT_HOP) on.world.addHop(underlayOf(on, host), HOP);
}

function wayInto(on: Target, cloud: Cloud, network: string): { vni: number; mtu: number } {
  return { vni: on.numbers.networks.of(network), mtu: networkNamed(cloud, network)?.mtuBytes ?? 0 };
}

function writePort(on: Target, cloud: Cloud, port: Port): void {
  const vni = on.numbers.networks.of(port.network);
  if (port.host !== undefined) {
    const host = underlayOf(on, port.host);
    for (const ip of port.addresses) on.world.addRemote(vni, ip, port.mac, host);
    return;
  }
  const options = guestOptions(on, cloud, port);
  const known = on.guests.get(port.name);
  const guest = known ?? on.world.addGuest(port.name, options);
  if (known !== undefined) on.world.setGuest(guest, options);
  on.guests.set(port.name, guest);
  if (known === undefined) beginAsking(on.world, guest);
  setAsked(on.world, guest);
  for (const { mac, cidr } of port.pairs) {
    const [base = '', length = '32'] = maskedCidr(cidr).split('/');
    on.world.allowSource(guest, mac, base, Number(length));
  }
  if (!port.programmed) on.world.unplug(guest);
}

function guestOptions(on: Target, cloud: Cloud, port: Port): GuestOptions {
  const [ip = '', ...moreIps] = port.addresses;
  return {
    ...{ mac: port.mac, ip, moreIps, vni: on.numbers.networks.of(port.network), policy: policyOf(on, port) },
    flags:
      vifFlags({ ...port, dhcp: hasDhcp(cloud, port), pod: port.kind === 'pod' }) |
      (port.portSecurity && port.stateless ? CB_VIF_F_STATELESS : 0),
    dhcpServer: speakerTo(cloud, port),
  };
}

function policyOf(on: Target, port: Port): number {
  return port.portSecurity
    ? on.numbers.policies.of(`${[...port.groups].sort().join()} in ${port.network}`)
    : CB_POLICY_NONE;
}

function writeNetwork(on: Target, cloud: Cloud, network: string): void {
  const vni = on.numbers.networks.of(network);
  const { mtuBytes = 0, subnets = [], snooped = false } = networkNamed(cloud, network) ?? {};
  on.world.setMtu(vni, mtuBytes);
  const isSteered = cloud.routers.some(
    ({ legs, policies }) => policies.length > 0 && legs.some((leg) => leg.network === network),
  );
  on.world.setFlags(vni, (isSteered ? CB_NET_F_STEER : 0) | (snooped ? CB_NET_F_SNOOPED : 0));
  if (!subnets.some(({ dhcp }) => dhcp)) on.world.turnDhcpOff(vni);
  const router = gatewayRouter(cloud, network);
  on.world.addServices(vni, serviceAddresses(cloud, network), router && on.numbers.routers.of(router.name));
  if (!isCarried(cloud, network)) return;
  const guests = receiversHere(cloud, network).flatMap((port): FloodTarget[] => {
    const guest = on.guests.get(port.name);
    return guest === undefined ? [] : [{ guest }];
  });
  const hosts = hostsOf(cloud, network).map((host): FloodTarget => ({ host: underlayOf(on, host) }));
  on.world.setFlood(vni, [...guests, ...hosts]);
}

/**
 * The policy of a port. Each prefix that a rule's remote has is of the class of all remotes that hold it; and each class has their rules, and
 * those for any.
 */
function writePolicy(on: Target, cloud: Cloud, policy: number, port: Port): void {
  const rules = rulesOf(cloud, port) ?? [];
  const remotes = new Map(rules.map((rule) => [remoteName(rule), prefixesOf(cloud, rule, port.network)]));
  const classes = new Map<number, ReadonlySet<string>>([[0, new Set([ANY])]]);
  for (const prefix of new Set([...remotes.values()].flat())) {
    const names = [...remotes].filter(([, prefixes]) => prefixes.some((one) => cidrCovers(one, prefix)));
    const set = new Set([...names.map(([name]) => name), ANY]);
    const classId = on.numbers.classes.of(`${policy} ${[...set].sort().join()}`);
    on.world.addClass(policy, prefix, classId);
    classes.set(classId, set);
  }
  for (const [classId, set] of classes) {
    for (const rule of rules) if (set.has(remoteName(rule))) writeRule(on, policy, classId, rule);
  }
}

function writeRule(on: Target, policy: number, classId: number, rule: Rule): void {
  const { direction, protocol } = rule;
  const base = { policy, classId, direction, ...(protocol === undefined ? {} : { protocol }) };
  for (const { value, length } of portsOf(rule)) {
    on.world.addRule(length === 0 ? base : { ...base, port: value, bits: length });
  }
}

function portsOf({ protocol, portRange, icmp }: Rule): readonly PortPrefix[] {
  if (protocol !== undefined && icmp !== undefined) {
    return [{ value: (icmp.type << 8) | (icmp.code ?? 0), length: icmp.code === undefined ? 8 : 16 }];
  }
  if (protocol !== undefined && portRange !== undefined) return portPrefixes(portRange.min, portRange.max);
  return [{ value: 0, length: 0 }];
}

const ANY = 'any';

function remoteName({ remoteGroup, remoteCidr }: Rule): string {
  if (remoteGroup !== undefined) return `group ${remoteGroup}`;
  return remoteCidr === undefined ? ANY : maskedCidr(remoteCidr);
}

function prefixesOf(cloud: Cloud, { remoteGroup, remoteCidr }: Rule, network: string): readonly string[] {
  if (remoteGroup !== undefined) return membersOf(cloud, remoteGroup, network).map((address) => `${address}/32`);
  return remoteCidr === undefined ? [] : [maskedCidr(remoteCidr)];
}
