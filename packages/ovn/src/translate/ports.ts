/** A port: the switch's port, and for one of a router the router's port behind it. */
import { hashedUuid } from '@cable/kit';
import { portOptions, servesDhcp } from './dhcp.ts';
import { routerPortName } from './names.ts';
import type { Network, Port, Router, Subnet } from './neutron.ts';
import { DROP_KEY } from './security-groups.ts';
import { type Holder, type WantedRow, wantedRow } from './wanted-row.ts';
import { reaches, type WorldReader } from './world.ts';

const INTERFACE = 'network:router_interface';
const GATEWAY = 'network:router_gateway';
/** Address of a floating IP: what has it is the router. */
const FLOATING = 'network:floatingip';

/** Hosts that may take a gateway, one after the other: OVN watches them by BFD. */
const GATEWAY_CHASSIS_MAX = 5;

/** None while the port's network is not there. */
export function portRows(key: string, port: Port, read: WorldReader): readonly WantedRow[] {
  if (port.deviceOwner === FLOATING) return [];
  const network = read.need('network', port.networkId);
  if (network === undefined) return [];
  if (port.deviceOwner === INTERFACE || port.deviceOwner === GATEWAY) return routerPortRows(key, port, network, read);
  const subnets = port.fixedIps.flatMap(({ subnetId }) => read.need('subnet', subnetId) ?? []);
  const answers = ([4, 6] as const).map((version) => dhcpOf(key, port, version, { network, subnets }));
  const [four, six] = answers.map(({ refs }) => refs);
  const row = wantedRow('Logical_Switch_Port', key, {
    columns: {
      name: port.id,
      type: '',
      enabled: port.isUp,
      addresses: addressesOf(port),
      port_security: port.hasSecurity ? securityOf(port) : [],
      options: port.host === '' ? {} : { 'requested-chassis': port.host },
    },
    refs: { dhcpv4_options: four ?? [], dhcpv6_options: six ?? [] },
    ids: idsOf(port),
    holders: [{ key: `network/${network.id}`, column: 'ports' }, ...groupsOf(port, read)],
  });
  return [row, ...answers.flatMap(({ rows }) => rows)];
}

function idsOf(port: Port): Readonly<Record<string, string>> {
  return {
    'neutron:port_name': port.name,
    'neutron:device_id': port.deviceId,
    'neutron:device_owner': port.deviceOwner,
    'cable:revision': String(port.revision),
  };
}

/** Who is in no group that is known may send and receive nothing but DHCP. */
function groupsOf(port: Port, read: WorldReader): readonly Holder[] {
  if (!port.hasSecurity || port.deviceOwner.startsWith('network:')) return [];
  const known = port.groups.filter((id) => read.get('security_group', id) !== undefined);
  return [DROP_KEY, ...known.map((id) => `security_group/${id}`)].map((key) => ({ key, column: 'ports' }));
}

/** Where frames for it go: its own MACs, and of one without port security any that nobody else has. */
function addressesOf({ mac, fixedIps, pairs, hasSecurity }: Port): readonly string[] {
  const own = [mac, ...fixedIps.map(({ address }) => address)].join(' ');
  const others = pairs.map((pair) => pair.mac).filter((one) => one !== mac);
  return [own, ...others, ...(hasSecurity ? [] : ['unknown'])];
}

/** What it may send from: for each MAC the addresses. */
function securityOf({ mac, fixedIps, pairs }: Port): readonly string[] {
  const byMac = new Map([[mac, fixedIps.map(({ address }) => address)]]);
  for (const pair of pairs) byMac.set(pair.mac, [...(byMac.get(pair.mac) ?? []), pair.prefix]);
  return [...byMac].map(([one, prefixes]) => [one, ...new Set(prefixes)].join(' '));
}

type Around = { readonly network: Network; readonly subnets: readonly Subnet[] };
type Answer = { readonly refs: readonly string[]; readonly rows: readonly WantedRow[] };

function dhcpOf(key: string, port: Port, version: 4 | 6, { network, subnets }: Around): Answer {
  const subnet = subnets.find((one) => one.version === version && servesDhcp(one));
  if (subnet === undefined || port.deviceOwner.startsWith('network:')) return { refs: [], rows: [] };
  const options = portOptions(port, subnet, network);
  if (options === 'disabled') return { refs: [], rows: [] };
  if (options === undefined) return { refs: [`subnet/${subnet.id}`], rows: [] };
  const own = `${key}#dhcp${version}`;
  return { refs: [own], rows: [wantedRow('DHCP_Options', own, { columns: { cidr: subnet.cidr, options } })] };
}

function routerPortRows(key: string, port: Port, network: Network, read: WorldReader): readonly WantedRow[] {
  const isGateway = port.deviceOwner === GATEWAY;
  const announces = isGateway ? { 'nat-addresses': 'router', 'exclude-lb-vips-from-garp': 'true' } : {};
  const end = wantedRow('Logical_Switch_Port', key, {
    columns: {
      name: port.id,
      type: 'router',
      enabled: port.isUp,
      addresses: ['router'],
      port_security: [],
      options: { 'router-port': routerPortName(port.id), ...announces },
    },
    refs: { dhcpv4_options: [], dhcpv6_options: [] },
    ids: idsOf(port),
    holders: [{ key: `network/${network.id}`, column: 'ports' }],
  });
  const router = read.need('router', port.deviceId);
  if (router === undefined || port.fixedIps.length === 0) return [end];
  return [end, ...routerEnd(key, port, { router, network, isGateway }, read)];
}

type Leg = { readonly router: Router; readonly network: Network; readonly isGateway: boolean };

function routerEnd(
  key: string,
  port: Port,
  { router, network, isGateway }: Leg,
  read: WorldReader,
): readonly WantedRow[] {
  const places = port.fixedIps.flatMap(({ subnetId, address }) => {
    const subnet = read.need('subnet', subnetId);
    return subnet === undefined ? [] : [{ subnet, network: `${address}/${subnet.cidr.split('/')[1]}` }];
  });
  if (places.length === 0) return [];
  const own = `${key}#lrp`;
  const subnets = places.map(({ subnet }) => subnet);
  const row = wantedRow('Logical_Router_Port', own, {
    columns: {
      name: routerPortName(port.id),
      mac: port.mac,
      networks: places.map((place) => place.network),
      options: {},
      ipv6_ra_configs: isGateway ? {} : advertised(subnets, network),
    },
    holders: [{ key: `router/${router.id}`, column: 'ports' }],
  });
  return [row, ...(isGateway ? chassisRows(own, port, network, read) : [])];
}

const ADDRESS_MODES = { slaac: 'slaac', 'dhcpv6-stateful': 'dhcpv6_stateful', 'dhcpv6-stateless': 'dhcpv6_stateless' };

/** What the router tells guests of IPv6; nothing where no subnet says that routers are to. */
function advertised(subnets: readonly Subnet[], network: Network): Readonly<Record<string, string>> {
  const subnet = subnets.find(({ raMode }) => raMode !== null);
  if (subnet?.raMode == null) return {};
  const dns = subnet.nameServers.find((one) => one.includes(':'));
  return {
    address_mode: ADDRESS_MODES[subnet.raMode],
    send_periodic: 'true',
    ...(network.mtu === 0 ? {} : { mtu: String(network.mtu) }),
    ...(dns === undefined ? {} : { rdnss: dns }),
  };
}

/** The hosts that may have the gateway, the first while it lives. Which is first follows from both names: gateways spread, and one host more moves few. */
function chassisRows(own: string, port: Port, network: Network, read: WorldReader): readonly WantedRow[] {
  const reached = read.chassis().filter((one) => reaches(one, network));
  const gateways = reached.filter(({ isGateway }) => isGateway);
  const ranked = (gateways.length > 0 ? gateways : reached)
    .map(({ name }) => ({ name, rank: hashedUuid(`${port.id} ${name}`) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .slice(0, GATEWAY_CHASSIS_MAX);
  return ranked.map(({ name }, i) =>
    wantedRow('Gateway_Chassis', `${own}#${name}`, {
      columns: {
        name: `${routerPortName(port.id)}_${name}`,
        chassis_name: name,
        priority: GATEWAY_CHASSIS_MAX - i,
      },
      holders: [{ key: own, column: 'gateway_chassis' }],
    }),
  );
}
