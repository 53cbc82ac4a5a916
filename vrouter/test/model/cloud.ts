/**
 * A cloud as its users see it, as far as one host's vrouter has to do with it: what the reference model knows, and what the rig puts into the
 * real programs' maps. No numbers of the host, no layouts.
 */
import { cidrContains } from './address.ts';

/** Answers for the gateways that no router has, and for metadata. */
export const SERVICE_MAC = 'fa:16:3e:ca:b1:e0';

/** Answers on 169.254.169.254, and speaks for subnets without a gateway. */
export const METADATA_ADDRESS = '169.254.169.254';

/** Both ends included. */
export type Range = { readonly min: number; readonly max: number };

export type Subnet = { readonly cidr: string; readonly gateway?: string; readonly dhcp: boolean };

export type Network = {
  readonly name: string;
  readonly mtuBytes: number;
  /** One or more; a port's addresses are in them. */
  readonly subnets: readonly Subnet[];
  /** Its groups of multicast are looked at, and each port of this host was asked which it has joined. */
  readonly snooped: boolean;
  /** It is outside: on the uplink, with this tag or none. No port of ours is there. */
  readonly outside?: { readonly tag?: number };
};

/** An allowed address pair. */
export type Pair = { readonly mac: string; readonly cidr: string };

export type Port = {
  readonly name: string;
  readonly network: string;
  readonly mac: string;
  /** One or more. */
  readonly addresses: readonly string[];
  /** Undefined: this host. */
  readonly host: string | undefined;
  /** A pod's device is one end of a veth whose other end is in a namespace of its own. */
  readonly kind: 'vm' | 'pod';
  readonly adminUp: boolean;
  readonly portSecurity: boolean;
  /** Its rules are asked about each packet by itself. Counts with port security only. */
  readonly stateless: boolean;
  readonly groups: readonly string[];
  readonly pairs: readonly Pair[];
  /** False: the others already know of the port, and the vrouter does not yet know what it may do. Of a port of this host. */
  readonly programmed: boolean;
};

/** Left out: any. `portRange`: of destination ports, both ends included; `icmp`: the type and perhaps the code. */
export type Rule = {
  readonly direction: 'ingress' | 'egress';
  readonly protocol?: number;
  readonly portRange?: Range;
  readonly icmp?: { readonly type: number; readonly code?: number };
  readonly remoteGroup?: string;
  readonly remoteCidr?: string;
};

export type Group = { readonly name: string; readonly rules: readonly Rule[] };

/** A router's interface. */
export type Leg = { readonly network: string; readonly cidr: string; readonly address: string; readonly mac: string };

/** The next hop is an address in the subnet of one of the router's legs. */
export type Route = { readonly cidr: string; readonly nextHop: string };

/** A policy route. Left out of its match: any. `ports`: of destinations, both ends included. */
export type Policy = {
  readonly action: 'allow' | 'drop' | 'reroute';
  readonly network?: string;
  readonly from?: string;
  readonly to?: string;
  readonly protocol?: number;
  readonly ports?: Range;
  /** Of `reroute`: an address in the subnet of one of the router's legs; elsewhere the packet is dropped. */
  readonly nextHop?: string;
};

/** `fixed`: an address of the port. */
export type FloatingIp = { readonly address: string; readonly port: string; readonly fixed: string };

/** Ports of an address outside that lead to as many of a port's. */
export type Forward = {
  readonly address: string;
  readonly protocol: number;
  readonly ports: Range;
  readonly port: string;
  readonly fixed: string;
  readonly toFirst: number;
};

/** A router's interface in a network outside. Addresses are each one's there, of all routers. */
export type Gateway = {
  readonly network: string;
  readonly cidr: string;
  readonly address: string;
  readonly mac: string;
  readonly nextHop: string;
  /** The ports with which those behind it leave by its address. Undefined: they leave as they are. */
  readonly snat?: Range;
  readonly floatingIps: readonly FloatingIp[];
  readonly forwards: readonly Forward[];
};

export type Router = {
  readonly name: string;
  readonly legs: readonly Leg[];
  readonly routes: readonly Route[];
  /** The first that matches counts. */
  readonly policies: readonly Policy[];
  readonly gateway?: Gateway;
};

/** Two routers, and the networks that each lets through to the other; those that it has no leg in count for nothing. */
export type Peering = {
  readonly name: string;
  readonly router: string;
  readonly own: readonly string[];
  readonly peer: string;
  readonly theirs: readonly string[];
};

/** Who serves. `isDown`: it fails its probes. One of weight 0 gets no new connection. */
export type Member = {
  readonly name: string;
  readonly network: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly isDown: boolean;
};

/** `affinity`: all that a client begins goes to one member. */
export type Pool = {
  readonly name: string;
  readonly protocol: number;
  readonly affinity: boolean;
  readonly members: readonly Member[];
};

/** A port of a virtual address, of its pool's protocol. */
export type Listener = { readonly port: number; readonly pool: string };

/** A load balancer; its virtual address, and the MAC of that. Names of pools and members are each one's in the cloud. */
export type Balancer = {
  readonly name: string;
  readonly network: string;
  readonly address: string;
  readonly mac: string;
  readonly listeners: readonly Listener[];
  readonly pools: readonly Pool[];
};

export type Cloud = {
  readonly networks: readonly Network[];
  readonly ports: readonly Port[];
  readonly groups: readonly Group[];
  readonly routers: readonly Router[];
  readonly peerings: readonly Peering[];
  readonly balancers: readonly Balancer[];
  /** The hosts that may tunnel to this one. */
  readonly peers: readonly string[];
};

/** Who has a MAC, or an address, in a network. */
export type Owner =
  | { readonly kind: 'port'; readonly port: Port }
  | { readonly kind: 'leg'; readonly router: Router; readonly leg: Leg }
  | { readonly kind: 'balancer'; readonly balancer: Balancer }
  /** The service MAC. `router`: of the subnet's gateway, if one has it. */
  | { readonly kind: 'service'; readonly router: Router | undefined };

export function ownerOfMac(cloud: Cloud, network: string, mac: string): Owner | undefined {
  if (networkNamed(cloud, network) === undefined) return undefined;
  if (mac === SERVICE_MAC) return { kind: 'service', router: gatewayRouter(cloud, network) };
  const port = cloud.ports.find((one) => one.network === network && one.mac === mac);
  if (port !== undefined) return { kind: 'port', port };
  const balancer = cloud.balancers.find((one) => one.network === network && one.mac === mac);
  if (balancer !== undefined) return { kind: 'balancer', balancer };
  return legOwner(cloud, (leg) => leg.network === network && leg.mac === mac);
}

export function ownerOfAddress(cloud: Cloud, network: string, address: string): Owner | undefined {
  const port = cloud.ports.find((one) => one.network === network && one.addresses.includes(address));
  if (port !== undefined) return { kind: 'port', port };
  const balancer = cloud.balancers.find((one) => one.network === network && one.address === address);
  if (balancer !== undefined) return { kind: 'balancer', balancer };
  const leg = legOwner(cloud, (one) => one.network === network && one.address === address);
  if (leg !== undefined) return leg;
  return serviceAddresses(cloud, network).includes(address) ? { kind: 'service', router: undefined } : undefined;
}

export function macOf(owner: Owner): string {
  switch (owner.kind) {
    case 'port':
      return owner.port.mac;
    case 'leg':
      return owner.leg.mac;
    case 'balancer':
      return owner.balancer.mac;
    case 'service':
      return SERVICE_MAC;
  }
}

/** Is it a router's interface, or stands for one? */
export function isRouters(owner: Owner | undefined): boolean {
  return owner?.kind === 'leg' || (owner?.kind === 'service' && owner.router !== undefined);
}

function legOwner(cloud: Cloud, wanted: (leg: Leg) => boolean): Owner | undefined {
  for (const router of cloud.routers) {
    const leg = router.legs.find(wanted);
    if (leg !== undefined) return { kind: 'leg', router, leg };
  }
  return undefined;
}

/** The router that has a gateway address of the network. */
export function gatewayRouter(cloud: Cloud, network: string): Router | undefined {
  const gateways = networkNamed(cloud, network)?.subnets.map((subnet) => subnet.gateway) ?? [];
  return cloud.routers.find(({ legs }) =>
    legs.some((leg) => leg.network === network && gateways.includes(leg.address)),
  );
}

/** What the service MAC answers for: gateways that no router has, and metadata. */
export function serviceAddresses(cloud: Cloud, network: string): readonly string[] {
  const gateways = networkNamed(cloud, network)?.subnets.flatMap((subnet) => subnet.gateway ?? []) ?? [];
  const legs = cloud.routers.flatMap((router) => router.legs.filter((leg) => leg.network === network));
  return [...gateways.filter((address) => !legs.some((leg) => leg.address === address)), METADATA_ADDRESS];
}

export function networkNamed(cloud: Cloud, name: string): Network | undefined {
  return cloud.networks.find((network) => network.name === name);
}

export function isOutside(cloud: Cloud, network: string): boolean {
  return networkNamed(cloud, network)?.outside !== undefined;
}

export function portNamed(cloud: Cloud, name: string): Port | undefined {
  return cloud.ports.find((port) => port.name === name);
}

export function isHere(port: Port): boolean {
  return port.host === undefined;
}

/** Does anybody of the network live here, so that this host carries it? */
export function isCarried(cloud: Cloud, network: string): boolean {
  return receiversHere(cloud, network).length > 0;
}

/** Is DHCP on in some subnet of the network? Then its guests are no servers. */
export function servesDhcp(cloud: Cloud, network: string): boolean {
  return networkNamed(cloud, network)?.subnets.some(({ dhcp }) => dhcp) ?? false;
}

/** The ports of this host that broadcast in the network is for. */
export function receiversHere(cloud: Cloud, network: string): readonly Port[] {
  return cloud.ports.filter((port) => port.network === network && isHere(port) && port.programmed);
}

/** The other hosts that broadcast in the network is for. */
export function hostsOf(cloud: Cloud, network: string): readonly string[] {
  const hosts = cloud.ports.flatMap((port) => (port.network === network && port.host !== undefined ? [port.host] : []));
  return [...new Set(hosts)].sort();
}

/** Is DHCP on in a subnet that the port has an address in? */
export function hasDhcp(cloud: Cloud, port: Port): boolean {
  return subnetsOf(cloud, port).some((subnet) => subnet.dhcp);
}

/** What the vrouter and the agent call themselves towards the port: the gateway of its subnet with DHCP, else of its first. */
export function speakerTo(cloud: Cloud, port: Port): string {
  const subnets = subnetsOf(cloud, port);
  return (subnets.find((subnet) => subnet.dhcp) ?? subnets[0])?.gateway ?? METADATA_ADDRESS;
}

function subnetsOf(cloud: Cloud, port: Port): readonly Subnet[] {
  const subnets = networkNamed(cloud, port.network)?.subnets ?? [];
  return port.addresses.flatMap((address) => subnets.find((subnet) => cidrContains(subnet.cidr, address)) ?? []);
}

/**
 * The addresses of a group's members as a port of `network` sees them: those in the network and in what a router joins with it. Equal
 * addresses of another tenant are nobody's.
 */
export function membersOf(cloud: Cloud, group: string, network: string): readonly string[] {
  const reach = reachOf(cloud, network);
  const members = cloud.ports.filter((port) => port.groups.includes(group) && reach.has(port.network));
  return members.flatMap((port) => port.addresses);
}

/** A network, and those that routers, and peerings of these, join with it. */
export function reachOf(cloud: Cloud, network: string): ReadonlySet<string> {
  const isIn = (legs: readonly Leg[]): boolean => legs.some((leg) => leg.network === network);
  const joined = cloud.routers.filter(({ legs }) => isIn(legs)).flatMap(({ legs }) => legs);
  const peered = cloud.routers.flatMap((router) =>
    peeredBy(cloud, router).flatMap(({ own, theirs }) => (isIn(own) ? theirs : [])),
  );
  return new Set([network, ...[...joined, ...peered].map((leg) => leg.network)]);
}

/** A peering as one of its routers sees it: of its own legs, and of the other's, those that are let through. */
export type Peered = { readonly own: readonly Leg[]; readonly theirs: readonly Leg[] };

export function peeredBy({ peerings, routers }: Cloud, { name, legs }: Router): readonly Peered[] {
  return peerings.flatMap((one) => {
    const [own, peer, theirs] =
      one.router === name ? [one.own, one.peer, one.theirs] : [one.theirs, one.router, one.own];
    if (one.router !== name && one.peer !== name) return [];
    const others = routers.find((router) => router.name === peer)?.legs ?? [];
    return [{ own: among(legs, own), theirs: among(others, theirs) }];
  });
}

function among(legs: readonly Leg[], networks: readonly string[]): readonly Leg[] {
  return legs.filter(({ network }) => networks.includes(network));
}

/** May the host send into the network? It is a peer, and somebody there can reach the network. */
export function mayTunnel(cloud: Cloud, host: string, network: string): boolean {
  if (networkNamed(cloud, network) === undefined || !cloud.peers.includes(host)) return false;
  const reach = reachOf(cloud, network);
  return cloud.ports.some((port) => port.host === host && reach.has(port.network));
}

/** The rules that hold for a port. Undefined: port security is off, everything is allowed. */
export function rulesOf(cloud: Cloud, port: Port): readonly Rule[] | undefined {
  if (!port.portSecurity) return undefined;
  return cloud.groups.filter((group) => port.groups.includes(group.name)).flatMap((group) => group.rules);
}
