/** Sample slices for tests: small builders, every field with a plain default. Ids are made from a number. */
import type {
  Endpoint,
  GroupMember,
  LocalPort,
  NetworkHeader,
  PeeredSubnet,
  PolicyRule,
  QosHeader,
  RouterHeader,
  RouterInterface,
  RouterPeeringState,
  SliceHeader,
  SliceItem,
  SliceKey,
  SubnetState,
} from '@cable/model';

export function sampleId(kind: string, n: number): string {
  const head = Buffer.from(kind).toString('hex').slice(0, 4).padEnd(4, '0');
  return `${n.toString(16).padStart(8, '0')}-${head}-4000-8000-${n.toString(16).padStart(12, '0')}`;
}

export function sampleMac(n: number): string {
  return `fa:16:3e:${[n >> 16, (n >> 8) & 255, n & 255].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}

export function samplePort(n: number, fields: Partial<LocalPort> = {}): LocalPort {
  return {
    id: sampleId('port', n),
    name: `port-${n}`,
    projectId: 'project',
    networkId: sampleId('net', 1),
    macAddress: sampleMac(n),
    adminStateUp: true,
    vifKind: 'tap',
    deviceId: '',
    deviceOwner: '',
    fixedIps: [{ subnetId: sampleId('sub', 1), ipAddress: `10.0.0.${n}` }],
    allowedAddressPairs: [],
    portSecurityEnabled: true,
    policy: 'policy:',
    hostname: `port-${n}`,
    userData: null,
    ...fields,
  };
}

export function sampleSubnet(n: number, fields: Partial<SubnetState> = {}): SubnetState {
  return {
    id: sampleId('sub', n),
    cidr: `10.0.${n - 1}.0/24`,
    ipVersion: 4,
    gatewayIp: `10.0.${n - 1}.1`,
    enableDhcp: true,
    dnsNameservers: [],
    hostRoutes: [],
    ...fields,
  };
}

/** What slices hold: a header and items each. */
export type SampleSlice = {
  readonly key: SliceKey;
  readonly header: SliceHeader;
  readonly items: ReadonlyMap<string, SliceItem>;
};

/** A network and its endpoints. */
export function sampleNetwork(
  n: number,
  fields: Partial<NetworkHeader> = {},
  endpoints: readonly Endpoint[] = [],
): readonly SampleSlice[] {
  const id = sampleId('net', n);
  const header: NetworkHeader = {
    id,
    name: `net-${n}`,
    projectId: 'project',
    adminStateUp: true,
    vni: 100 + n,
    mtuBytes: 1450,
    subnets: [sampleSubnet(n)],
    ...fields,
  };
  return [
    { key: `network:${id}`, header, items: new Map() },
    { key: `endpoints:${id}`, header: { networkId: id }, items: byKey(endpoints, (one) => one.portId) },
  ];
}

/** A QoS policy. */
export function sampleQos(id: string, fields: Partial<QosHeader> = {}): SampleSlice {
  return { key: `qos:${id}`, header: { id, egress: {}, ingress: {}, ...fields }, items: new Map() };
}

/** The endpoint that a port is to the other hosts. */
export function sampleEndpoint(port: LocalPort, host: string, underlay: string | null): Endpoint {
  const ipAddresses = port.fixedIps.map((ip) => ip.ipAddress);
  return { portId: port.id, macAddress: port.macAddress, ipAddresses, host, underlay };
}

/** The gateway of a network's only subnet. */
export function sampleLeg(router: number, net: number): RouterInterface {
  return {
    portId: sampleId('rif', router * 1000 + net),
    networkId: sampleId('net', net),
    subnetId: sampleId('sub', net),
    cidr: `10.0.${net - 1}.0/24`,
    ipAddress: `10.0.${net - 1}.1`,
    macAddress: sampleMac(0xee0000 + router * 256 + net),
  };
}

/** The key of a router's interface in its slice. */
export function legKey(leg: RouterInterface): string {
  return `${leg.portId}/${leg.ipAddress}`;
}

/** A router with the gateway of each network's only subnet. */
/** `more`: interfaces beside those in the networks. */
export function sampleRouter(
  n: number,
  networks: readonly number[],
  fields: Partial<RouterHeader> = {},
  more: readonly RouterInterface[] = [],
): SampleSlice {
  const id = sampleId('rtr', n);
  const header: RouterHeader = { id, name: `router-${n}`, adminStateUp: true, routes: [], ...fields };
  const legs = [...networks.map((net) => sampleLeg(n, net)), ...more];
  return { key: `router:${id}`, header, items: byKey(legs, legKey) };
}

/** A peering of a router, in which these networks' only subnets are let through. */
export function samplePeering(
  n: number,
  own: readonly number[],
  peers: readonly number[],
  peerRouter: number = n + 1,
): RouterPeeringState {
  const subnet = (net: number): PeeredSubnet => ({ networkId: sampleId('net', net), cidr: `10.0.${net - 1}.0/24` });
  return {
    id: sampleId('peer', n),
    name: `peering-${n}`,
    own: own.map(subnet),
    peers: peers.map((net) => ({ ...subnet(net), macAddress: sampleLeg(peerRouter, net).macAddress })),
  };
}

/** The peerings of a router. */
export function samplePeerings(router: number, peerings: readonly RouterPeeringState[]): SampleSlice {
  const routerId = sampleId('rtr', router);
  return { key: `peerings:${routerId}`, header: { routerId }, items: byKey(peerings, (one) => one.id) };
}

export function sampleRule(n: number, fields: Partial<PolicyRule> = {}): PolicyRule {
  const any = { protocol: null, portMin: null, portMax: null, remote: { kind: 'any' } } as const;
  return { id: sampleId('rule', n), direction: 'ingress', ethertype: 'IPv4', ...any, ...fields };
}

export function samplePolicy(id: string, rules: readonly PolicyRule[], more: { stateless?: true } = {}): SampleSlice {
  return { key: `policy:${id}`, header: { id, ...more }, items: byKey(rules, (one) => one.id) };
}

/** `addresses`: of an address group; absent: it is a security group. */
export function sampleGroup(id: string, members: readonly GroupMember[], addresses?: readonly string[]): SampleSlice {
  const header = addresses === undefined ? { id } : { id, addresses };
  return { key: `group:${id}`, header, items: byKey(members, (one) => one.portId) };
}

export function sampleHost(host: string, ports: readonly LocalPort[]): SampleSlice {
  return { key: `host:${host}`, header: { host }, items: byKey(ports, (one) => one.id) };
}

function byKey<T extends SliceItem>(list: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, T> {
  return new Map(list.map((one) => [keyOf(one), one] as const));
}
