/**
 * Random NetworkPolicies and policies of the cluster, from Kubernetes' objects to map entries (controller, compiler, planner of a host), decide for random packets as Kubernetes' API reference says;
 * before them private subnets do, as docs/design/private-subnets.md says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, SliceHeader, SliceItem } from '@cable/model';
import {
  AGENT_FEATURES,
  cidrContains,
  cidrsOverlap,
  type IpPrefix,
  parseCidr,
  parseIp,
  parseLabelSelector,
  parseLabels,
  selects,
} from '@cable/model';
import { CB_CLASS_PRIVATE, MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { textBytes } from '../../packages/agent/src/bpf/codec.ts';
import { parseAddress, parseOrder } from '../../packages/agent/src/plan/address.ts';
import type { Planner } from '../../packages/agent/src/plan/planner.ts';
import { plannedBed } from '../../packages/agent/src/plan/testing/plan-bed.ts';
import { createRandom } from '../../packages/agent/src/plan/testing/random.ts';
import { type SampleSlice, sampleId } from '../../packages/agent/src/plan/testing/sample.ts';
import { mayDeny } from '../../packages/agent/src/plan/topics.ts';
import { ToldTable } from '../../packages/agent/src/told/told-table.ts';
import type { CompilerTables, PortRow, TableName } from '../../packages/compiler/src/compiler-tables.ts';
import type { NodeKey } from '../../packages/compiler/src/kind.ts';
import { isSent, KINDS, splitKey } from '../../packages/compiler/src/kinds.ts';
import { Reader } from '../../packages/compiler/src/reader.ts';
import {
  createTables,
  EMPTY_STATE,
  host,
  network,
  port,
  type State,
  subnet,
  withRow,
} from '../../packages/compiler/src/state.fixture.ts';
import { clusterPolicyBody } from '../../packages/controller/src/cluster-policy-facts.ts';
import {
  labelTexts,
  type NetworkPolicyObject,
  policyFacts,
  type SelectorSpec,
} from '../../packages/controller/src/policy-facts.ts';
import {
  type ClusterPolicy,
  factsOf,
  meant,
  NODE_LABELS,
  randomClusterPolicies,
  TOLD,
} from './cluster-policy-oracle.ts';

type Labels = Readonly<Record<string, string>>;
type PodSpec = {
  readonly id: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly named: Readonly<Record<string, number>>;
  readonly addresses: readonly string[];
  readonly host: string;
  /** Prefix of an allowed address pair; none: ''. */
  readonly pair: string;
};
type Packet = {
  readonly direction: 'ingress' | 'egress';
  readonly remote: string;
  readonly protocol: number;
  readonly port: number;
};
type Rules = NonNullable<NonNullable<NetworkPolicyObject['spec']>['ingress']>;
type PeerSpec = NonNullable<Rules[number]['from']>[number];
type PortSpec = NonNullable<Rules[number]['ports']>[number];
type Random = (below: number) => number;

const NETWORK = sampleId('net', 1);
const NAMESPACES: Readonly<Record<string, Labels>> = { a: { team: 'x' }, b: { team: 'y' }, c: {} };
const NODES = { h1: '10.1.9.1', h2: '10.1.9.2' } as const;
const OUTSIDE = ['192.0.2.7', '198.51.100.9', '2001:db8:5::9'];
const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;
const some = <T>(random: Random, most: number, make: () => T): readonly T[] =>
  Array.from({ length: random(most + 1) }, make);

function randomPod(random: Random, n: number): PodSpec {
  const labels = { ...(random(2) ? { app: pick(random, ['db', 'web']) } : {}), ...(random(2) ? { old: '' } : {}) };
  const named = { ...(random(2) ? { http: pick(random, [80, 8080]) } : {}), ...(random(3) ? {} : { sql: 5432 }) };
  const addresses = [`10.1.0.${n}`, `fd00::${n.toString(16)}`];
  return {
    id: sampleId('port', n),
    namespace: pick(random, ['a', 'b', 'c']),
    labels,
    named,
    addresses,
    host: n % 2 ? 'h1' : 'h2',
    pair: '',
  };
}

/** `allow`: undefined: it is not private. */
type PodSubnet = { readonly id: string; readonly cidr: string; readonly allow: readonly string[] | undefined };

const CIDRS = ['10.1.0.0/30', '10.1.0.4/30', '10.1.9.0/24', 'fd00::/126', 'fd00::4/126'];
const OPEN: readonly PodSubnet[] = CIDRS.map((cidr, n) => ({ id: sampleId('sub', n + 1), cidr, allow: undefined }));

/** Nodes are in the third. */
function randomSubnets(random: Random): readonly PodSubnet[] {
  return OPEN.map((one) => {
    if (random(2)) return one;
    const all = one.cidr.includes(':')
      ? ['fd00::4/127', 'fd00::1/128', '2001:db8::/32', '::/0']
      : ['10.1.0.4/31', '10.1.0.1/32', '192.0.2.0/24', '10.1.9.2/32', '10.1.9.0/24', '0.0.0.0/0'];
    return { ...one, allow: some(random, 2, () => pick(random, all)) };
  });
}

const prefixOf = (text: string): IpPrefix => parseCidr(text) ?? { base: { version: 4, value: 0n }, prefixLength: 32 };
const isWithin = (address: string, cidr: string): boolean => {
  const ip = parseIp(address);
  return ip !== undefined && cidrContains(prefixOf(cidr), ip);
};

/** What the design says of private subnets. */
function keepsOut(subnets: readonly PodSubnet[], { addresses, pair }: PodSpec, remote: string): boolean {
  const mine = subnets.filter(
    ({ cidr, allow }) =>
      allow !== undefined &&
      cidr.includes(':') === remote.includes(':') &&
      (addresses.some((one) => isWithin(one, cidr)) || (pair !== '' && cidrsOverlap(prefixOf(pair), prefixOf(cidr)))),
  );
  const own = mine.some(({ cidr }) => isWithin(remote, cidr));
  return !own && mine.some(({ allow = [] }) => !allow.some((one) => isWithin(remote, one)));
}

function randomSelector(random: Random, keys: Readonly<Record<string, readonly string[]>>): SelectorSpec {
  const key = pick(random, Object.keys(keys));
  const values = keys[key] ?? [];
  return pick<SelectorSpec>(random, [
    {},
    { matchLabels: { [key]: pick(random, values) } },
    { matchExpressions: [{ key, operator: 'In', values }] },
    { matchExpressions: [{ key, operator: 'NotIn', values: [pick(random, values)] }] },
    { matchExpressions: [{ key, operator: 'Exists' }] },
    { matchExpressions: [{ key, operator: 'DoesNotExist' }] },
  ]);
}

const podSelector = (random: Random): SelectorSpec => randomSelector(random, { app: ['db', 'web'], old: [''] });
const namespaceSelector = (random: Random): SelectorSpec => randomSelector(random, { team: ['x', 'y'] });

function randomPeer(random: Random): PeerSpec {
  return pick<() => PeerSpec>(random, [
    () => ({ podSelector: podSelector(random) }),
    () => ({ namespaceSelector: namespaceSelector(random) }),
    () => ({ podSelector: podSelector(random), namespaceSelector: namespaceSelector(random) }),
    () => ({ ipBlock: { cidr: pick(random, ['10.1.0.0/30', '0.0.0.0/0', '::/0', '192.0.2.0/24', 'fd00::/126']) } }),
    () => ({ ipBlock: { cidr: '0.0.0.0/0', except: ['10.1.0.0/16', '192.0.2.7/32'] } }),
    () => ({ ipBlock: { cidr: 'fd00::/16', except: ['fd00::2/127'] } }),
  ])();
}

function randomPort(random: Random): PortSpec {
  const protocol = pick(random, [{}, { protocol: 'UDP' }, { protocol: 'SCTP' }]);
  return pick<PortSpec>(random, [
    { ...protocol },
    { ...protocol, port: 80 },
    { ...protocol, port: 79, endPort: 8081 },
    { port: 'http' },
    { port: 'sql' },
    { protocol: 'UDP', port: 'http' },
  ]);
}

function randomPolicy(random: Random, n: number): NetworkPolicyObject {
  const rules = (side: 'from' | 'to') =>
    some(random, 2, () => ({
      ...(random(4) ? { [side]: some(random, 2, () => randomPeer(random)) } : {}),
      ...(random(3) ? { ports: some(random, 2, () => randomPort(random)) } : {}),
    }));
  return {
    metadata: { name: `p${n}`, namespace: pick(random, ['a', 'b', 'c']), uid: sampleId('rule', n) },
    spec: {
      podSelector: podSelector(random),
      ...pick(random, [
        {},
        { policyTypes: ['Ingress'] },
        { policyTypes: ['Egress'] },
        { policyTypes: ['Ingress', 'Egress'] },
      ]),
      ingress: rules('from'),
      egress: rules('to'),
    },
  } as NetworkPolicyObject;
}

/** Rows of a server as the controller writes them. */
function tablesState(
  pods: readonly PodSpec[],
  policies: readonly NetworkPolicyObject[],
  clusterPolicies: readonly ClusterPolicy[],
  subnets: readonly PodSubnet[],
): State {
  let state = withRow(EMPTY_STATE, 'network', network(NETWORK));
  for (const { id, cidr, allow } of subnets) {
    const more = { 'cable:private': allow !== undefined, 'cable:allow_subnets': [...(allow ?? [])] };
    state = withRow(state, 'subnet', subnet(id, NETWORK, { cidr, ip_version: cidr.includes(':') ? 6 : 4, ...more }));
  }
  for (const name of ['h1', 'h2'])
    state = withRow(state, 'host', host(name, '192.0.2.1', { features: AGENT_FEATURES }));
  const ofCluster = { device_owner: 'kubernetes:pod', 'cable:cluster': 'prod', port_security_enabled: true } as const;
  const fixed = (addresses: readonly string[]) =>
    addresses.map((one) => ({
      subnet_id: subnets.find(({ cidr }) => isWithin(one, cidr))?.id ?? '',
      ip_address: one,
    }));
  for (const { id, namespace, labels, named, addresses, host: place, pair } of pods) {
    const namedPorts = Object.entries(named).map(([name, number]) => ({
      name,
      protocol: 'TCP' as const,
      port: number,
    }));
    const more = {
      'cable:namespace': `prod/${namespace}`,
      'cable:labels': labelTexts(labels),
      'cable:named_ports': namedPorts,
      allowed_address_pairs: pair === '' ? [] : [{ ip_address: pair, mac_address: '02:00:00:00:00:01' }],
    };
    state = withRow(state, 'port', port(id, NETWORK, place, { ...ofCluster, ...more, fixed_ips: fixed(addresses) }));
  }
  for (const [n, [name, address]] of Object.entries(NODES).entries()) {
    const node = port(sampleId('port', 90 + n), NETWORK, name, { ...ofCluster, device_owner: 'kubernetes:node' });
    state = withRow(state, 'port', { ...node, fixed_ips: fixed([address]) });
  }
  for (const [name, labels] of Object.entries(NAMESPACES)) {
    const row = { id: `ns-${name}`, name: `prod/${name}`, cluster: 'prod', labels: labelTexts(labels) };
    state = withRow(state, 'kubernetes_namespace', row);
  }
  for (const one of policies) {
    const { uid, namespace, body } = policyFacts(one);
    state = withRow(state, 'network_policy', { id: uid, namespace: `prod/${namespace}`, ...body });
  }
  for (const one of clusterPolicies) {
    const facts = factsOf(one);
    const body = clusterPolicyBody(facts, nodesWith, []);
    state = withRow(state, 'cluster_network_policy', { id: facts.uid, cluster: 'prod', ...body });
  }
  return state;
}

/** Addresses of the nodes that a selector selects. */
function nodesWith(selector: string): readonly string[] {
  const asked = parseLabelSelector(selector) ?? [];
  return Object.entries(NODES).flatMap(([name, address]) =>
    selects(asked, parseLabels(labelTexts(NODE_LABELS[name] ?? {}))) ? [address] : [],
  );
}

/** What a host is sent. */
function slicesOf(tables: CompilerTables, name: string): readonly SampleSlice[] {
  const reader = new Reader(tables);
  const found = new Map<NodeKey, SampleSlice>();
  const due: NodeKey[] = [`host:${name}`];
  for (let key = due.pop(); key !== undefined; key = due.pop()) {
    const { kind, id } = splitKey(key);
    const { header, items } = KINDS[kind];
    const made = header(reader, id);
    if (found.has(key) || made === undefined) continue;
    const table = items === undefined ? undefined : tables[items.table as TableName];
    const rows = items?.sourceKeys(id).flatMap((one) => table?.by(items.index as never, one) ?? []) ?? [];
    const parts = rows.flatMap((row) => items?.compute(reader, row, id) ?? []);
    due.push(...made.refs, ...parts.flatMap(({ refs }) => refs));
    const value = {
      header: made.value as SliceHeader,
      items: new Map(parts.map((one) => [one.key, one.value as SliceItem])),
    };
    if (isSent(key)) found.set(key, { key, ...value });
  }
  return [...found.values()];
}

/** An LPM look-up, as the kernel does it. */
function lpm<T>(
  planner: Planner,
  map: 'cb_class_1' | 'cb_rule_1',
  key: Uint8Array,
  take: (value: Uint8Array) => T,
): T | undefined {
  const bits = (bytes: Uint8Array): string =>
    [...bytes.subarray(4)].map((one) => one.toString(2).padStart(8, '0')).join('');
  const wanted = bits(key);
  let best: { readonly length: number; readonly value: Uint8Array } = { length: -1, value: new Uint8Array() };
  for (const entry of planner.entries.of(map).values()) {
    const bytes = textBytes(entry.key);
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (length > best.length && bits(bytes).slice(0, length) === wanted.slice(0, length))
      best = { length, value: textBytes(entry.value) };
  }
  return best.length < 0 ? undefined : take(best.value);
}

/** Number of the policies that the pod has there; 0: none. */
function policyOf(planner: Planner, pod: PodSpec): number {
  const rows = [...planner.entries.of('cb_vif_2').values()].map(({ value }) =>
    MAPS.cb_vif_2.value.decode(textBytes(value)),
  );
  const vif = rows.find(({ portId }) => Buffer.from(portId).toString('hex') === pod.id.replaceAll('-', ''));
  assert(vif !== undefined, `${pod.id} is programmed`);
  return vif.networkPolicies;
}

/** Does the host say that tiers deny it? */
function isTold(planner: Planner, pod: PodSpec, packet: Packet): boolean {
  return planner.denierOf(policyOf(planner, pod), parseOrder(packet.remote) ?? '', judged(packet)) !== undefined;
}

function judged({ direction, remote, protocol, port: number }: Packet) {
  return {
    direction: direction === 'ingress' ? 0 : 1,
    family: remote.includes(':') ? 6 : 4,
    protocol,
    portBe: number,
  };
}

/** What the data plane of the pod's host does; and whom it names, if it drops it. */
function passes(
  planner: Planner,
  pod: PodSpec,
  { direction, remote, protocol, port: number }: Packet,
): true | 'policy' | 'subnet' {
  const policy = policyOf(planner, pod);
  if (policy === 0) return true;
  const addr = parseAddress(remote) ?? new Uint8Array(16);
  const classKey = MAPS.cb_class_1.key.encode({ prefixlen: 160, policy, addr });
  const classId = lpm(planner, 'cb_class_1', classKey, (value) => MAPS.cb_class_1.value.decode(value).classId) ?? 0;
  const family = remote.includes(':') ? 6 : 4;
  const rule = {
    prefixlen: 112,
    policy,
    classId,
    direction: direction === 'ingress' ? 0 : 1,
    family,
    protocol,
    portBe: number,
  };
  const denier = (classId & CB_CLASS_PRIVATE) === 0 ? 'policy' : 'subnet';
  return lpm(planner, 'cb_rule_1', MAPS.cb_rule_1.key.encode(rule), () => true as const) ?? denier;
}

function isFromOwnNode({ host: name }: PodSpec, { direction, remote }: Packet): boolean {
  return direction === 'ingress' && remote === NODES[name as 'h1'];
}

/** What the API reference says. */
function means(
  pods: readonly PodSpec[],
  policies: readonly NetworkPolicyObject[],
  ofCluster: readonly ClusterPolicy[],
  pod: PodSpec,
  packet: Packet,
): boolean {
  const isOwnNode = isFromOwnNode(pod, { ...packet, direction: 'ingress' });
  const other = pods.find(({ addresses }) => addresses.includes(packet.remote));
  const node = Object.entries(NODES).find(([, address]) => address === packet.remote)?.[0];
  const asked = { ofCluster, pod, peer: other, node, namespaces: NAMESPACES, packet, matches };
  const byAdmin = meant('Admin', asked);
  if (byAdmin === 'allow' || byAdmin === 'deny') return byAdmin === 'allow';
  if (isOwnNode) return true;
  const mine = policies.filter(
    ({ metadata, spec = {} }) => metadata.namespace === pod.namespace && matches(spec.podSelector ?? {}, pod.labels),
  );
  const isolating = mine.filter(({ spec = {} }) => {
    const types = spec.policyTypes ?? (spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']);
    return types.includes(packet.direction === 'ingress' ? 'Ingress' : 'Egress');
  });
  if (isolating.length === 0) return meant('Baseline', asked) !== 'deny';
  const peer = pods.find(({ addresses }) => addresses.includes(packet.remote));
  const receiver = packet.direction === 'ingress' ? pod : peer;
  return isolating.some(({ metadata, spec = {} }) => {
    const rules = packet.direction === 'ingress' ? (spec.ingress ?? []) : (spec.egress ?? []);
    return rules.some((rule) => {
      const whom = (rule as { from?: PeerSpec[] }).from ?? (rule as { to?: PeerSpec[] }).to ?? [];
      const isWhom =
        whom.length === 0 || whom.some((one) => isPeer(one, metadata.namespace ?? '', peer, packet.remote));
      const ports = rule.ports ?? [];
      return isWhom && (ports.length === 0 || ports.some((one) => isPort(one, receiver, packet)));
    });
  });
}

function isPeer(spec: PeerSpec, namespace: string, peer: PodSpec | undefined, address: string): boolean {
  if (spec.ipBlock !== undefined) {
    const within = (cidr: string): boolean => {
      const [prefix, one] = [parseCidr(cidr), parseIp(address)];
      return (
        prefix !== undefined && one !== undefined && prefix.base.version === one.version && cidrContains(prefix, one)
      );
    };
    return within(spec.ipBlock.cidr) && !(spec.ipBlock.except ?? []).some(within);
  }
  if (peer === undefined) return false;
  const isThere =
    spec.namespaceSelector === undefined
      ? peer.namespace === namespace
      : matches(spec.namespaceSelector, NAMESPACES[peer.namespace] ?? {});
  return isThere && matches(spec.podSelector ?? {}, peer.labels);
}

function isPort(
  { protocol = 'TCP', port: number, endPort }: PortSpec,
  receiver: PodSpec | undefined,
  packet: Packet,
): boolean {
  if (PROTOCOLS[protocol] !== packet.protocol) return false;
  if (number === undefined) return true;
  if (typeof number === 'string') return protocol === 'TCP' && receiver?.named[number] === packet.port;
  return packet.port >= number && packet.port <= (endPort ?? number);
}

function matches({ matchLabels = {}, matchExpressions = [] }: SelectorSpec, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      return (value !== undefined && values.includes(value)) === (operator === 'In');
    })
  );
}

for (const [name, seeds, most, areSome] of [
  ['policies', 60, 0, false],
  ['policies of namespaces and of the cluster', 60, 5, false],
  ['the same and private subnets', 20, 3, true],
] as const) {
  test(`${name} decide as Kubernetes says, for random pods, policies and packets`, () =>
    decideRightly(seeds, most, areSome));
}

function toldTo(ports: readonly LocalPort[]): ToldTable {
  const told = new ToldTable();
  for (const { id: portId } of ports) {
    for (const [name, addresses] of Object.entries(TOLD)) {
      const orders = addresses.map((text) => parseOrder(text) ?? '');
      told.take({ portId, name: `${name}.`, orders, untilMs: 1 });
    }
  }
  return told;
}

/** `most`: so many policies of the cluster. `areSome`: subnets may be private. */
async function decideRightly(seeds: number, most: number, areSome: boolean): Promise<void> {
  let [allowed, denied, keptOut] = [0, 0, 0];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const random = createRandom(seed);
    const plain = Array.from({ length: 6 }, (_, n) => randomPod(random, n + 1));
    const policies = Array.from({ length: 1 + random(5) }, (_, n) => randomPolicy(random, n + 1));
    const ofCluster = most === 0 ? [] : randomClusterPolicies(random, most);
    const subnets = areSome ? randomSubnets(random) : OPEN;
    const pods = areSome
      ? plain.map((one) => ({ ...one, pair: pick(random, ['', '', '10.1.0.4/31', 'fd00::/16']) }))
      : plain;
    const slices = slicesOf(createTables(tablesState(pods, policies, ofCluster, subnets)).tables, 'h1');
    const here = [...(slices.find(({ key }) => key === 'host:h1')?.items.values() ?? [])] as LocalPort[];
    const { planner } = await plannedBed(slices, here, { told: toldTo(here) });
    for (const pod of pods.filter((one) => one.host === 'h1')) {
      const remotes = [...pods.flatMap(({ addresses }) => addresses), ...OUTSIDE, ...Object.values(NODES)];
      for (const remote of remotes.filter((one) => !pod.addresses.includes(one))) {
        const direction = pick(random, ['ingress', 'egress'] as const);
        const protocol = pick(random, [6, 6, 17, 132, 1]);
        const number = protocol === 1 ? 0x0800 : pick(random, [80, 8080, 5432, 443]);
        const packet = { direction, remote, protocol, port: number };
        const isOut = keepsOut(subnets, pod, remote);
        const meaning = !isOut && means(pods, policies, ofCluster, pod, packet);
        const expected = isFromOwnNode(pod, packet) || meaning;
        if (expected) allowed += 1;
        else if (isOut) keptOut += 1;
        else denied += 1;
        const story = { seed, pod, packet, policies, ofCluster, subnets };
        const verdict = expected || (isOut ? 'subnet' : 'policy');
        assert.equal(passes(planner, pod, packet), verdict, JSON.stringify(story, null, 1));
        const its = policyOf(planner, pod);
        const hasTiers = [...planner.policies()].some(
          (one) => mayDeny(one) && planner.numberOf('policy-use', one) === its,
        );
        assert.equal(isTold(planner, pod, packet), hasTiers && !expected, JSON.stringify(story, null, 1));
        const own = here.find(({ id }) => id === pod.id);
        const said = own === undefined ? undefined : planner.decidersOf(own, parseOrder(remote) ?? '', judged(packet));
        assert.equal(said?.isAllowed ?? true, expected, JSON.stringify(story, null, 1));
      }
    }
  }
  const counts = `${allowed} allowed, ${denied} denied, ${keptOut} kept out by subnets`;
  const least = areSome ? 80 : 400;
  assert(allowed > least && denied > least && keptOut > 200 === areSome, counts);
}

const VPC = sampleId('net', 2);

/** A pod with a port in the VPC, in the private subnet or the other one, and its leg. */
function vpcPod(n: number, isKept: boolean, namespace = 'prod/a'): readonly PortRow[] {
  const ofPod = { 'cable:cluster': 'prod', 'cable:namespace': namespace };
  const place = n % 2 ? 'h1' : 'h2';
  const [subnet, prefix] = isKept ? [sampleId('sub', 8), '10.1.0'] : [sampleId('sub', 9), '172.16.0'];
  const inVpc = { device_owner: 'kubernetes:pod', device_id: `uid-${n}:vpc0` };
  const leg = { device_owner: 'kubernetes:leg', device_id: `uid-${n}:eth0` };
  const fixed = (id: string, address: string) => [{ subnet_id: id, ip_address: address }];
  return [
    port(sampleId('port', n), VPC, place, { ...ofPod, ...inVpc, fixed_ips: fixed(subnet, `${prefix}.${n}`) }),
    port(legOf(n).id, NETWORK, place, {
      ...{ ...ofPod, ...leg },
      fixed_ips: fixed(sampleId('sub', 1), legOf(n).addresses[0] ?? ''),
    }),
  ];
}

const legOf = (n: number): PodSpec => ({
  ...{ id: sampleId('port', 40 + n), namespace: 'a', labels: {}, named: {}, host: 'h1', pair: '' },
  addresses: [`10.1.0.${100 + n}`],
});

test('a leg of a pod in a private subnet meets its node, and legs of that subnet', async () => {
  let state = tablesState([], [], [], [{ id: sampleId('sub', 1), cidr: '10.1.0.0/16', allow: undefined }]);
  state = withRow(state, 'network', network(VPC));
  const kept = { cidr: '10.1.0.0/24', 'cable:private': true, 'cable:allow_subnets': ['10.1.0.0/16'] };
  state = withRow(state, 'subnet', subnet(sampleId('sub', 8), VPC, kept));
  state = withRow(state, 'subnet', subnet(sampleId('sub', 9), VPC, { cidr: '172.16.0.0/24' }));
  const forged = port(sampleId('port', 0), VPC, 'h2', {
    ...{ device_owner: 'kubernetes:pod', device_id: 'uid-1:vpc0' },
    fixed_ips: [{ subnet_id: sampleId('sub', 9), ip_address: '172.16.0.77' }],
  });
  for (const one of [forged, ...vpcPod(1, true), ...vpcPod(2, true), ...vpcPod(3, false), ...vpcPod(4, false)])
    state = withRow(state, 'port', one);
  const slices = slicesOf(createTables(state).tables, 'h1');
  const here = [...(slices.find(({ key }) => key === 'host:h1')?.items.values() ?? [])] as never[];
  const { planner } = await plannedBed(slices, here);
  const reach = (n: number, direction: 'ingress' | 'egress', remote: string) =>
    passes(planner, legOf(n), { direction, remote, protocol: 6, port: 80 });
  for (const direction of ['ingress', 'egress'] as const) {
    assert.equal(reach(1, direction, '10.1.0.102'), true, 'the leg of a pod of the subnet');
    assert.equal(reach(1, direction, '10.1.0.103'), 'subnet', 'of another of the VPC');
    assert.equal(reach(1, direction, '10.1.0.2'), 'subnet', 'who has in the cluster an address that the subnet has');
    assert.equal(reach(1, direction, '192.0.2.7'), 'subnet', 'outside');
    assert.equal(reach(3, direction, '10.1.0.101'), true, 'a leg of a subnet that is not private says nothing');
  }
  assert.equal(reach(1, 'ingress', NODES.h1), true);
  assert.equal(reach(1, 'ingress', NODES.h2), 'subnet');
});
