/** Whom a machine on a physical network reaches, by which address on its link, and which hosts may answer for that. */
import { hostOf } from '@cable/compiler';
import { cidrContains, type FloatingIp, type Network, type Port, parseCidr, parseIp, type Subnet } from '@cable/model';
import { FLOATING_IP, ROUTER_GATEWAY } from '../resources/device-owners.ts';
import { mayCarry } from '../resources/gateway-hosts.ts';
import type { FaultDeps } from './counted.ts';

export type OutsideTarget = {
  /** Whom the packet is for. */
  readonly port: Port;
  /** Whom the machine sends to: the destination itself, or a router's address. */
  readonly nextHop: string;
  /** An address on the link that asks for the next hop: the machine's own, or that of the link's gateway, behind which it is. */
  readonly asker: string;
  /** That may answer, the likeliest first. */
  readonly hosts: readonly string[];
};

export type Wanted = {
  readonly to: string;
  readonly source: string;
  readonly protocol: number;
  readonly destinationPort: number;
};

type Deps = Pick<FaultDeps, 'tables' | 'addresses'>;

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132, dccp: 33, udplite: 136 };

/** None: nobody here is known to be reached. Several: behind several routers the address is another port's each time. */
export function targetsFrom(deps: Deps, network: Network, wanted: Wanted): readonly OutsideTarget[] {
  const subnets = deps.tables.of('subnet').by('network_id', network.id);
  const own = subnets.find((subnet) => holds(subnet, wanted.to));
  if (own === undefined) return behindRouters(deps, network, subnets, wanted);
  const holder = portAt(deps, own.id, wanted.to);
  if (holder === undefined) return [];
  const way = { nextHop: wanted.to, asker: askerOn(own, wanted.source) };
  if (holder.device_owner !== FLOATING_IP) return [{ port: holder, ...way, hosts: hostsOf(holder) }];
  const floating = deps.tables.of('floatingip').get(holder.device_id);
  const inside = floating === undefined ? undefined : behindFloating(deps, floating, wanted);
  if (floating === undefined || inside === undefined) return [{ port: holder, ...way, hosts: [] }];
  const itself = hostsOf(inside).filter((name) => {
    const host = deps.tables.of('host').get(name);
    return floating.port_id !== null && host !== undefined && mayCarry(host, network);
  });
  const gateways = gatewaysOf(deps, floating.router_id).flatMap(hostsOf);
  return [{ port: inside, ...way, hosts: [...new Set([...itself, ...gateways])] }];
}

/** The port that a floating IP leads to, for this packet; of what it leads to no port the first of those that its other ports lead to. */
function behindFloating(
  { tables }: Deps,
  { id, port_id: portId }: FloatingIp,
  { protocol, destinationPort }: Wanted,
): Port | undefined {
  if (portId !== null) return tables.of('port').get(portId);
  const all = tables.of('port_forwarding').by('floatingip_id', id);
  const forwarded = all.find(({ protocol: name, external_port_range: range }) => {
    const [first = 0, last = first] = String(range).split(':').map(Number);
    return PROTOCOLS[name] === protocol && destinationPort >= first && destinationPort <= last;
  });
  return tables.of('port').get((forwarded ?? all[0])?.internal_port_id ?? '');
}

/** Who has the address on a network behind a router whose gateway is on this one: by the router's own address. */
function behindRouters(
  deps: Deps,
  network: Network,
  subnets: readonly Subnet[],
  { to, source }: Wanted,
): readonly OutsideTarget[] {
  const isSame = (one: string): boolean => one.includes(':') === to.includes(':');
  const gateways = deps.tables
    .of('port')
    .by('network_id', network.id)
    .filter(({ device_owner: owner }) => owner === ROUTER_GATEWAY);
  return gateways.flatMap((gateway) => {
    const own = gateway.fixed_ips.find(({ ip_address: ip }) => isSame(ip));
    const port = legsOf(deps, gateway.device_id)
      .map((subnetId) => portAt(deps, subnetId, to))
      .find((found) => found !== undefined);
    if (own === undefined || port === undefined) return [];
    const subnet = subnets.find(({ id }) => id === own.subnet_id);
    const asker = subnet === undefined ? source : askerOn(subnet, source);
    return [{ port, nextHop: own.ip_address, asker, hosts: hostsOf(gateway) }];
  });
}

/** Subnets that the router has an interface in. */
function legsOf({ tables }: Deps, routerId: string): readonly string[] {
  const legs = tables.of('router_interface').by('device_id', routerId);
  return legs.flatMap(({ fixed_ips: ips }) => ips.map(({ subnet_id: id }) => id));
}

function gatewaysOf({ tables }: Deps, routerId: string | null): readonly Port[] {
  if (routerId === null) return [];
  const ports = tables.of('port').by('device_id', routerId);
  return ports.filter(({ device_owner: owner }) => owner === ROUTER_GATEWAY);
}

function portAt({ tables, addresses }: Deps, subnetId: string, address: string): Port | undefined {
  const id = addresses.holderOf(subnetId, address);
  return id === undefined ? undefined : tables.of('port').get(id);
}

/** That carries the port, or the gateway whose port it is. */
function hostsOf(port: Port): readonly string[] {
  const host = hostOf(port);
  return host === '' ? [] : [host];
}

function askerOn(subnet: Subnet, source: string): string {
  return holds(subnet, source) ? source : (subnet.gateway_ip ?? source);
}

function holds({ cidr }: Subnet, address: string): boolean {
  const [prefix, ip] = [parseCidr(cidr), parseIp(address)];
  return prefix !== undefined && ip !== undefined && cidrContains(prefix, ip);
}
