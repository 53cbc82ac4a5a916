import type {
  Endpoint,
  GroupSlice,
  HostSlice,
  LocalPort,
  NetworkSlice,
  PolicyRule,
  PolicySlice,
  RouterSlice,
  Slice,
  SliceKey,
  SubnetState,
} from '@cable/model';

/** Sample slices for tests: small builders, every field with a plain default. Ids are made from a number. */
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

export function sampleNetwork(n: number, fields: Partial<NetworkSlice> = {}): NetworkSlice {
  return {
    kind: 'network',
    id: sampleId('net', n),
    name: `net-${n}`,
    projectId: 'project',
    vni: 100 + n,
    mtuBytes: 1450,
    subnets: [sampleSubnet(n)],
    endpoints: [],
    routers: [],
    ...fields,
  };
}

/** The endpoint that a port is to the other hosts. */
export function sampleEndpoint(port: LocalPort, host: string, underlay: string | null): Endpoint {
  const ipAddresses = port.fixedIps.map((ip) => ip.ipAddress);
  return { portId: port.id, macAddress: port.macAddress, ipAddresses, host, underlay };
}

/** A router with the gateway of each network's only subnet. */
export function sampleRouter(n: number, networks: readonly number[], fields: Partial<RouterSlice> = {}): RouterSlice {
  return {
    kind: 'router',
    id: sampleId('rtr', n),
    name: `router-${n}`,
    adminStateUp: true,
    interfaces: networks.map((net) => ({
      portId: sampleId('rif', n * 1000 + net),
      networkId: sampleId('net', net),
      subnetId: sampleId('sub', net),
      cidr: `10.0.${net - 1}.0/24`,
      ipAddress: `10.0.${net - 1}.1`,
      macAddress: sampleMac(0xee0000 + n * 256 + net),
    })),
    routes: [],
    ...fields,
  };
}

export function sampleRule(n: number, fields: Partial<PolicyRule> = {}): PolicyRule {
  const any = { protocol: null, portMin: null, portMax: null, remote: { kind: 'any' } } as const;
  return { id: sampleId('rule', n), direction: 'ingress', ethertype: 'IPv4', ...any, ...fields };
}

export function samplePolicy(id: string, rules: readonly PolicyRule[]): PolicySlice {
  return { kind: 'policy', id, rules };
}

export function sampleGroup(id: string, members: GroupSlice['members']): GroupSlice {
  return { kind: 'group', id, members };
}

export function sampleHost(host: string, ports: readonly LocalPort[]): HostSlice {
  return { kind: 'host', host, ports };
}

/** The key under which the server sends a slice. */
export function sliceKey(slice: Slice): SliceKey {
  return slice.kind === 'host' ? `host:${slice.host}` : `${slice.kind}:${slice.id}`;
}

export function slicesOf(...slices: readonly Slice[]): Map<SliceKey, Slice> {
  return new Map(slices.map((slice) => [sliceKey(slice), slice]));
}
