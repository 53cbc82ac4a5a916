/**
 * Random NetworkPolicies, from Kubernetes' objects to map entries (controller, compiler, planner of a host), decide for random packets as Kubernetes' API reference says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceHeader, SliceItem } from '@cable/model';
import { cidrContains, parseCidr, parseIp } from '@cable/model';
import { MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { textBytes } from '../../packages/agent/src/bpf/codec.ts';
import { parseAddress } from '../../packages/agent/src/plan/address.ts';
import type { Planner } from '../../packages/agent/src/plan/planner.ts';
import { plannedBed } from '../../packages/agent/src/plan/testing/plan-bed.ts';
import { createRandom } from '../../packages/agent/src/plan/testing/random.ts';
import { type SampleSlice, sampleId } from '../../packages/agent/src/plan/testing/sample.ts';
import type { CompilerTables, TableName } from '../../packages/compiler/src/compiler-tables.ts';
import type { NodeKey } from '../../packages/compiler/src/kind.ts';
import { isSent, KINDS, splitKey } from '../../packages/compiler/src/kinds.ts';
import { Reader } from '../../packages/compiler/src/reader.ts';
import {
  createTables,
  EMPTY_STATE,
  host,
  network,
  port,
  subnet,
  withRow,
} from '../../packages/compiler/src/state.fixture.ts';
import {
  labelTexts,
  type NetworkPolicyObject,
  policyFacts,
  type SelectorSpec,
} from '../../packages/controller/src/policy-facts.ts';

type Labels = Readonly<Record<string, string>>;
type PodSpec = {
  readonly id: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly named: Readonly<Record<string, number>>;
  readonly addresses: readonly string[];
  readonly host: string;
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
  };
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

/** Tables of a server as the controller writes them. */
function tablesOf(pods: readonly PodSpec[], policies: readonly NetworkPolicyObject[]): CompilerTables {
  let state = withRow(EMPTY_STATE, 'network', network(NETWORK));
  state = withRow(state, 'subnet', subnet(sampleId('sub', 1), NETWORK, { cidr: '10.1.0.0/16' }));
  for (const name of ['h1', 'h2'])
    state = withRow(state, 'host', host(name, '192.0.2.1', { features: ['network-policies'] }));
  const ofCluster = { device_owner: 'kubernetes:pod', 'cable:cluster': 'prod', port_security_enabled: true } as const;
  const fixed = (addresses: readonly string[]) =>
    addresses.map((one) => ({ subnet_id: sampleId('sub', 1), ip_address: one }));
  for (const { id, namespace, labels, named, addresses, host: place } of pods) {
    const namedPorts = Object.entries(named).map(([name, number]) => ({
      name,
      protocol: 'TCP' as const,
      port: number,
    }));
    const more = {
      'cable:namespace': `prod/${namespace}`,
      'cable:labels': labelTexts(labels),
      'cable:named_ports': namedPorts,
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
  return createTables(state).tables;
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

/** What the data plane of the pod's host does. */
function passes(planner: Planner, pod: PodSpec, { direction, remote, protocol, port: number }: Packet): boolean {
  const rows = [...planner.entries.of('cb_vif_2').values()].map(({ value }) =>
    MAPS.cb_vif_2.value.decode(textBytes(value)),
  );
  const vif = rows.find(({ portId }) => Buffer.from(portId).toString('hex') === pod.id.replaceAll('-', ''));
  assert(vif !== undefined, `${pod.id} is programmed`);
  const policy = vif.networkPolicies;
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
  return lpm(planner, 'cb_rule_1', MAPS.cb_rule_1.key.encode(rule), () => true) ?? false;
}

/** What the API reference says. */
function means(
  pods: readonly PodSpec[],
  policies: readonly NetworkPolicyObject[],
  pod: PodSpec,
  packet: Packet,
): boolean {
  if (packet.remote === NODES[pod.host as 'h1']) return true;
  const mine = policies.filter(
    ({ metadata, spec = {} }) => metadata.namespace === pod.namespace && matches(spec.podSelector ?? {}, pod.labels),
  );
  const isolating = mine.filter(({ spec = {} }) => {
    const types = spec.policyTypes ?? (spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']);
    return types.includes(packet.direction === 'ingress' ? 'Ingress' : 'Egress');
  });
  if (isolating.length === 0) return true;
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

test('policies decide as Kubernetes says, for random pods, policies and packets', async () => {
  let [allowed, denied] = [0, 0];
  for (let seed = 1; seed <= 80; seed += 1) {
    const random = createRandom(seed);
    const pods = Array.from({ length: 6 }, (_, n) => randomPod(random, n + 1));
    const policies = Array.from({ length: 1 + random(5) }, (_, n) => randomPolicy(random, n + 1));
    const slices = slicesOf(tablesOf(pods, policies), 'h1');
    const here = [...(slices.find(({ key }) => key === 'host:h1')?.items.values() ?? [])] as never[];
    const { planner } = await plannedBed(slices, here);
    for (const pod of pods.filter((one) => one.host === 'h1')) {
      const remotes = [...pods.flatMap(({ addresses }) => addresses), ...OUTSIDE, ...Object.values(NODES)];
      for (const remote of remotes.filter((one) => !pod.addresses.includes(one))) {
        const direction = pick(random, ['ingress', 'egress'] as const);
        const protocol = pick(random, [6, 6, 17, 132, 1]);
        const number = protocol === 1 ? 0x0800 : pick(random, [80, 8080, 5432, 443]);
        const packet = { direction, remote, protocol, port: number };
        const expected = means(pods, policies, pod, packet);
        if (expected) allowed += 1;
        else denied += 1;
        const story = { seed, pod, packet, policies };
        assert.equal(passes(planner, pod, packet), expected, JSON.stringify(story, null, 1));
      }
    }
  }
  assert(allowed > 500 && denied > 500, `${allowed} allowed, ${denied} denied`);
});
