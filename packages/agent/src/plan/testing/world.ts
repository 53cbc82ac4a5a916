import assert from 'node:assert/strict';
import type {
  ClusterPolicyRule,
  ClusterService,
  Endpoint,
  HostPlace,
  LocalPort,
  NetworkPolicyRule,
  PolicyRule,
  PortMirror,
  ServiceBackend,
  SliceKey,
} from '@cable/model';
import { vifDeviceName } from '../device-names.ts';
import { firstBits } from '../numbers.ts';
import { mayDeny, policyName } from '../topics.ts';
import { createRandom, type Random } from './random.ts';
import {
  legKey,
  sampleEndpoint,
  sampleGroup,
  sampleId,
  sampleLeg,
  sampleMac,
  sampleNetwork,
  samplePeering,
  samplePeerings,
  samplePort,
  sampleQos,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './sample.ts';
import { SampleState } from './sample-state.ts';

const HOST = 'h1';
const CIDRS = [
  '10.0.0.0/8',
  '10.0.0.0/24',
  '10.0.0.0/30',
  '10.0.0.5/32',
  '10.0.1.0/25',
  '0.0.0.0/0',
  '2001:db8::/32',
  'x',
];

/** The slices and devices of host `h1`, with its ports by number, and what changes them. */
export type World = {
  readonly state: SampleState;
  readonly random: Random;
  readonly ports: Map<number, LocalPort>;
  /** Some of its ports are in private subnets. */
  readonly hasPrivate: boolean;
};

export function createWorld(seed: number, hasPrivate = false): World {
  return { state: new SampleState(), random: createRandom(seed), ports: new Map(), hasPrivate };
}

/** One random change of any kind. */
export function change(world: World): void {
  const { random } = world;
  const kinds = [
    changePort,
    changePort,
    changePort,
    changePairs,
    changeEndpoint,
    changeEndpoint,
    changeNetwork,
    changeDevice,
    changeDevice,
    changeLeg,
    changeRouter,
    changePeering,
    changeService,
    changeService,
    changeRule,
    changeRule,
    changeMember,
    changeMember,
    changeNetworkPolicies,
    changeNetworkPolicies,
    changeClusterPolicies,
    changeClusterPolicies,
    ...(world.hasPrivate ? [changePrivateSubnets, changePrivateSubnets] : []),
    changeSelected,
    changePolicy,
    changeQos,
  ];
  kinds[random(kinds.length)]?.(world);
}

const oneOf = <T>(random: Random, list: readonly T[]): T => {
  const one = list[random(list.length)];
  assert.ok(one !== undefined);
  return one;
};

const address = (random: Random, net: number): string => `10.0.${net - 1}.${random(9)}`;

function randomPort({ random, hasPrivate }: World, n: number): LocalPort {
  const net = 1 + random(3);
  const secure = random(5) > 0;
  const ips = Array.from({ length: random(3) }, () => ({
    subnetId: sampleId('sub', net),
    ipAddress: address(random, net),
  }));
  return samplePort(n, {
    // Two of the ids have the same first eleven characters, so they mean one device.
    id: n === 9 ? sampleId('port', 8).replace(/.$/, 'f') : sampleId('port', n),
    networkId: sampleId('net', net),
    projectId: oneOf(random, ['a', 'b']),
    macAddress: random(20) === 0 ? 'no mac' : sampleMac(random(10) === 0 ? 1 : n),
    fixedIps: ips,
    adminStateUp: random(4) > 0,
    vifKind: oneOf(random, ['tap', 'tap', 'veth', 'host'] as const),
    portSecurityEnabled: secure,
    policy: secure ? oneOf<SliceKey>(random, ['policy:', 'policy:g0', 'policy:g0+g1']) : null,
    ...(random(4) === 0 ? { trunk: { parentPortId: sampleId('port', 1 + random(9)), vlan: 100 + random(3) } } : {}),
    ...(random(4) === 0 ? { networkPolicies: oneOf(random, policiesOf({ hasPrivate })) } : {}),
    allowedAddressPairs: random(3) === 0 ? [{ ipAddress: oneOf(random, CIDRS), macAddress: sampleMac(n) }] : [],
    ...(random(3) === 0 ? { qosPolicyId: oneOf(random, ['q0', 'q1']) } : {}),
    ...(random(3) === 0
      ? { mirrors: Array.from({ length: 1 + random(3) }, (_, m) => randomMirror(random, n, m)) }
      : {}),
    ...(random(5) === 0 ? { taps: [{ id: sampleId('tap', n), vni: 700 + n, sources: [randomPlace(random)] }] } : {}),
  });
}

function randomPlace(random: Random): HostPlace {
  const n = random(4);
  return { host: n === 0 ? HOST : `h${n}`, underlay: random(8) === 0 ? null : `192.0.2.${n}` };
}

function randomMirror(random: Random, port: number, place: number): PortMirror {
  const leg = { place, tunnel: 10 * port + place };
  const toPort = { kind: 'port', portId: sampleId('port', 1 + random(9)), vni: 700, ...randomPlace(random) } as const;
  return {
    id: sampleId('mirror', 10 * port + place),
    name: '',
    ...(random(2) === 0 ? { in: leg } : {}),
    ...(random(3) > 0 ? { out: leg } : {}),
    maxKbps: 1 + random(1000),
    filter: random(2) === 0 ? [] : [{ protocol: 6 + random(2), remote: oneOf(random, CIDRS) }],
    target: random(3) === 0 ? { kind: oneOf(random, ['gre', 'erspan'] as const), remoteIp: '192.0.2.50' } : toPort,
  };
}

function changePort(world: World): void {
  const n = 1 + world.random(9);
  const port = world.random(4) === 0 ? undefined : randomPort(world, n);
  const id = port?.id ?? world.ports.get(n)?.id;
  if (id === undefined) return;
  if (port === undefined) world.ports.delete(n);
  else world.ports.set(n, port);
  const isStandby = world.random(10) === 0;
  const standby = port === undefined ? undefined : { ...port, left: world.random(2) === 0 };
  world.state.setItem(`host:${HOST}`, id, isStandby ? undefined : port);
  world.state.setItem(`standby:${HOST}`, id, isStandby ? standby : undefined);
}

/** Other allowed address pairs of a port, and nothing else of it. */
function changePairs({ state, random, ports }: World): void {
  const n = 1 + random(9);
  const port = ports.get(n);
  // A port is the host's own, or one that it is prepared for; never both.
  if (port === undefined || state.item(`host:${HOST}`, port.id) === undefined) return;
  const pairs = Array.from({ length: random(3) }, () => ({
    ipAddress: oneOf(random, CIDRS),
    macAddress: sampleMac(n),
  }));
  ports.set(n, { ...port, allowedAddressPairs: pairs });
  state.setItem(`host:${HOST}`, port.id, { ...port, allowedAddressPairs: pairs });
}

function changeEndpoint({ state, random }: World): void {
  const n = random(14);
  const net = 1 + random(4);
  const host = random(5);
  const fixedIps = [{ subnetId: '', ipAddress: address(random, net) }];
  const port = samplePort(n, { fixedIps });
  const underlay = random(8) === 0 ? null : `192.0.2.${host}`;
  state.setItem(
    `endpoints:${sampleId('net', net)}`,
    port.id,
    random(4) === 0 ? undefined : { ...sampleEndpoint(port, `h${host}`, underlay), ...randomPairs(random, n) },
  );
}

function randomPairs(random: Random, n: number): Pick<Endpoint, 'pairs'> {
  if (random(2) === 0) return {};
  return { pairs: [{ ipAddress: oneOf(random, CIDRS), macAddress: sampleMac(n) }] };
}

function changeNetwork({ state, random }: World): void {
  const n = 1 + random(4);
  const subnets = Array.from({ length: random(3) }, (_, i) =>
    sampleSubnet(i === 0 ? n : n + 10, {
      enableDhcp: random(2) === 0,
      gatewayIp: random(4) === 0 ? null : `10.0.${n - 1}.${1 + random(2)}`,
      hostRoutes: random(3) === 0 ? [{ destination: '172.16.0.0/12', nexthop: `10.0.${n - 1}.9` }] : [],
    }),
  );
  const [slice] = sampleNetwork(n, { subnets, mtuBytes: 1400 + random(2), adminStateUp: random(4) > 0 });
  if (slice !== undefined) state.setHeader(slice.key, random(5) === 0 ? undefined : slice.header);
}

function changeDevice({ state, random, ports }: World): void {
  const port = ports.get(1 + random(9));
  if (port === undefined) return;
  const name = vifDeviceName(port);
  const known = state.byName(name);
  const other = [...state.devices.values()][random(Math.max(1, state.devices.size))];
  const what = random(4);
  if (what === 0) state.setDevice(name, undefined);
  else if (what === 1 && known !== undefined && other !== undefined) {
    // Two devices exchange their names.
    state.setDevice(name, other.ifindex);
    state.setDevice(other.name, known.ifindex);
  } else state.setDevice(name, 50 + random(12));
}

function changeLeg({ state, random }: World): void {
  const router = 1 + random(3);
  const leg = sampleLeg(router, 1 + random(4));
  const macAddress = random(8) === 0 ? sampleMac(1) : leg.macAddress;
  state.setItem(`router:${sampleId('rtr', router)}`, legKey(leg), random(3) === 0 ? undefined : { ...leg, macAddress });
}

/** Another router, or other routes of one. */
export function changeRouter({ state, random }: World): void {
  const n = 1 + random(3);
  const routes = Array.from({ length: random(3) }, () => ({
    destination: oneOf(random, CIDRS),
    nexthop: address(random, 1 + random(4)),
  }));
  const slice = sampleRouter(n, [], { adminStateUp: random(4) > 0, routes });
  state.setHeader(slice.key, random(5) === 0 ? undefined : slice.header);
}

/** Another peering of a router, or one that lets other networks through. */
export function changePeering({ state, random }: World): void {
  const n = 1 + random(3);
  const networks = (): number[] => [1, 2, 3, 4].filter(() => random(2) === 0);
  const peering = samplePeering(10 * n + random(2), networks(), networks(), 1 + random(3));
  const { key } = samplePeerings(n, []);
  state.setItem(key, peering.id, random(4) === 0 ? undefined : peering);
}

/** A Service of one of two scopes, an endpoint of one, or where the scope is in force. */
export function changeService({ state, random }: World): void {
  const which = 1 + random(2);
  const scope = sampleId('scope', which);
  const of = (n: number): string => sampleId('svc', 10 * which + n);
  const protocol = oneOf(random, ['TCP', 'UDP'] as const);
  const n = 1 + random(3);
  if (random(3) === 0) {
    const routerIds = [1, 2].filter(() => random(2) === 0).map((router) => sampleId('rtr', router));
    const header = { scopeId: scope, cidrs: ['10.96.0.0/16', 'fd96::/112'], routerIds };
    state.setHeader(`services:${scope}`, random(4) === 0 ? undefined : header);
  } else if (random(2) === 0) {
    const service: ClusterService = {
      ...{ id: of(n), name: `svc-${n}`, projectId: 'k', clusterIps: [`10.96.0.${n}`, `fd96::${n}`] },
      externalIps: random(3) === 0 ? ['203.0.113.7'] : [],
      ports: [{ name: '', protocol, port: 80 }],
      ...(random(2) === 0 ? { local: true as const } : {}),
    };
    state.setItem(`services:${scope}`, service.id, random(4) === 0 ? undefined : service);
  } else {
    const ipAddress = oneOf(random, ['10.0.0.5', '10.0.1.6', 'fd00::7', 'no address']);
    const backend: ServiceBackend = {
      ...{ serviceId: of(n), ipAddress, ports: [{ name: '', protocol, port: 8080 + random(2) }] },
      ...(random(2) === 0 ? { host: HOST } : {}),
      ...(random(3) === 0 ? { terminating: true as const } : {}),
      ...(random(3) === 0 ? { zoneHints: ['nova'] } : {}),
    };
    state.setItem(`backends:${scope}`, `set${random(2)}/${ipAddress}`, random(4) === 0 ? undefined : backend);
  }
}

function randomRule(random: Random, n: number): PolicyRule {
  const remote = oneOf(random, [
    { kind: 'any' },
    { kind: 'prefix', cidr: oneOf(random, CIDRS) },
    { kind: 'group', groupId: `g${random(3)}` },
    { kind: 'group', groupId: `g${random(3)}` },
  ] as const);
  const first = random(20);
  const ports = random(3) === 0 ? { portMin: first, portMax: first + random(9) } : {};
  return sampleRule(n, {
    direction: oneOf(random, ['ingress', 'egress'] as const),
    protocol: oneOf(random, [null, 6, 17]),
    remote,
    ...ports,
  });
}

function changeRule({ state, random }: World): void {
  const key = oneOf<SliceKey>(random, ['policy:', 'policy:g0', 'policy:g0+g1']);
  const rule = randomRule(random, 1 + random(6));
  state.setItem(key, rule.id, random(3) === 0 ? undefined : rule);
}

function changePolicy({ state, random }: World): void {
  const key = oneOf<SliceKey>(random, ['policy:', 'policy:g0', 'policy:g0+g1']);
  state.setHeader(key, random(5) === 0 ? undefined : { id: key.slice('policy:'.length) });
}

const NETWORK_POLICIES = [
  ...['network_policies:n0', 'network_policies:n1'],
  ...['network_policies:n2|c0', 'network_policies:n3|c1'],
] as const satisfies readonly SliceKey[];

function policiesOf({ hasPrivate }: Pick<World, 'hasPrivate'>): readonly SliceKey[] {
  return hasPrivate ? [...NETWORK_POLICIES, 'network_policies:n4||p0', 'network_policies:n5|c0|p0'] : NETWORK_POLICIES;
}

/** Numbers of policies that may deny, as a planner with numbers of its own gives them. */
export const DENYING: ReadonlySet<number> = new Set(
  NETWORK_POLICIES.flatMap((key) => [1, 2, 3, 4].map((n) => policyName(key, sampleId('net', n))))
    .filter(mayDeny)
    .map(firstBits),
);

const CLUSTER_POLICIES = ['cluster_policies:c0', 'cluster_policies:c1'] as const;
const SELECTED = ['pods:s0', 'pods:s1', 'cluster_pods:s2'] as const;

function changeNetworkPolicies(world: World): void {
  const { state, random } = world;
  const key = oneOf(random, policiesOf(world));
  const [id = '', tiers = '', privateIn = ''] = key.slice('network_policies:'.length).split('|');
  const header = {
    ...{ id, ingress: random(2) === 0, egress: random(2) === 0 },
    ...(tiers === '' ? {} : { tiers: `cluster_policies:${tiers}` as const }),
    ...(privateIn === '' ? {} : { privateIn: `private_subnets:${privateIn}` as const }),
  };
  if (random(3) === 0) state.setHeader(key, random(5) === 0 ? undefined : header);
  state.setItem(key, `k/${random(4)}`, random(3) === 0 ? undefined : randomPolicyRule(random));
}

function changeClusterPolicies({ state, random }: World): void {
  const key = oneOf(random, CLUSTER_POLICIES);
  if (random(3) === 0) state.setHeader(key, random(5) === 0 ? undefined : { id: key });
  const rule: ClusterPolicyRule = {
    ...randomPolicyRule(random),
    tier: oneOf(random, ['admin', 'baseline'] as const),
    order: `${random(5)}`,
    action: oneOf(random, ['allow', 'deny', 'pass'] as const),
  };
  state.setItem(key, `k/${random(4)}`, random(3) === 0 ? undefined : rule);
}

/** Subnets come and go by themselves, and the slice that they are in. */
function changePrivateSubnets({ state, random }: World): void {
  const key = 'private_subnets:p0';
  if (random(3) === 0) state.setHeader(key, random(8) === 0 ? undefined : { id: key });
  const subnetId = sampleId('sub', random(2));
  const ipVersion = random(9) === 0 ? 6 : 4;
  const all = ipVersion === 6 ? ['2001:db8::/32', 'fd00::/8', '::/0'] : CIDRS.filter((one) => !one.includes(':'));
  const peers = [...(random(3) > 0 ? all.slice(0, 1) : []), oneOf(random, all)];
  state.setItem(key, subnetId, random(2) === 0 ? undefined : { subnetId, ipVersion, peers });
}

function randomPolicyRule(random: Random): NetworkPolicyRule {
  const first = random(20);
  const peers = [
    { pods: [oneOf(random, SELECTED), oneOf(random, SELECTED)] },
    { cidr: oneOf(random, CIDRS), except: random(2) === 0 ? [] : [oneOf(random, CIDRS)] },
  ] as const;
  return {
    policyId: sampleId('rule', random(4)),
    direction: oneOf(random, ['ingress', 'egress'] as const),
    ...(random(3) === 0 ? {} : { peers: random(2) === 0 ? peers : [oneOf(random, peers)] }),
    ...(random(2) === 0 ? {} : { ports: [{ protocol: oneOf(random, [6, 17]), first, last: first + random(9) }] }),
  };
}

function changeSelected({ state, random }: World): void {
  const portId = sampleId('port', random(12));
  const addresses = Array.from({ length: 1 + random(2) }, () => address(random, 1 + random(3)));
  const member = { portId, networkId: sampleId('net', 1 + random(3)), addresses };
  state.setItem(oneOf(random, SELECTED), portId, random(3) === 0 ? undefined : member);
}

function changeQos({ state, random }: World): void {
  const limit = { bandwidth: { maxKbps: 1 + random(3), burstKbits: random(2) } };
  const { key, header } = sampleQos(oneOf(random, ['q0', 'q1']), {
    ...(random(2) === 0 ? { egress: limit } : { ingress: limit }),
    ...(random(3) === 0 ? { dscp: 46 } : {}),
  });
  state.setHeader(key, random(5) === 0 ? undefined : header);
}

function changeMember({ state, random }: World): void {
  const group = random(3);
  const portId = sampleId('port', random(12));
  const addresses = Array.from({ length: random(4) }, () =>
    random(3) === 0 ? oneOf(random, CIDRS) : address(random, 1 + random(3)),
  );
  const member = { portId, networkId: sampleId('net', 1 + random(3)), addresses };
  state.setItem(sampleGroup(`g${group}`, []).key, portId, random(4) === 0 ? undefined : member);
}
