/** Which lines are written of what policies decide. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, LoggedPolicy } from '@cable/model';
import { CB_DIR_EGRESS, CB_DIR_INGRESS, type CbTupleKey } from '../bpf/abi.gen.ts';
import { type FlowRecord, turned } from '../flow-export/flow-record.ts';
import { parseAddress, parsePrefix } from '../plan/address.ts';
import type { Deciders } from '../plan/policy-tiers.ts';
import { PolicyLogger } from './policy-log.ts';

const NAMESPACED: LoggedPolicy = {
  ...{ id: '0000000a-1', kind: 'NetworkPolicy', name: 'shop/db' },
  ...{ accepts: true, drops: true, directions: ['ingress'] },
};
const OF_CLUSTER: LoggedPolicy = {
  ...{ id: '0000000b-1', kind: 'AdminNetworkPolicy', name: 'no-web', accepts: false, drops: true },
};
const NOBODY: Deciders = { isAllowed: false, by: [] };

function port(id: string, namespace = 'shop'): LocalPort {
  return {
    ...{ id, name: `name-${id}`, projectId: 'p', networkId: 'n' },
    networkPolicies: `network_policies:prod/${namespace}/-/a|prod/-/b`,
  } as LocalPort;
}

function tuple(src: string, sportBe: number, dst: string, dportBe: number, protocol = 6): CbTupleKey {
  const [from, to] = [parseAddress(src), parseAddress(dst)];
  assert.ok(from !== undefined && to !== undefined);
  return { src: from, dst: to, sportBe, dportBe, protocol, net: 1 } as CbTupleKey;
}

const ASKED = tuple('10.0.0.1', 4000, '10.96.0.1', 80);
const ENDPOINT = tuple('10.0.0.1', 4000, '10.0.0.2', 8080);
/** The endpoint has the client from a node's address. */
const HIDDEN = tuple('10.0.0.9', 5000, '10.0.0.2', 8080);

function record(more: Partial<FlowRecord>, drop?: string): FlowRecord {
  const end = (id: string): FlowRecord['from'] => ({ portId: id, portName: '', projectId: 'p', oneOf: 0 });
  const { asked = ENDPOINT, goesOn = asked } = more;
  return {
    ...{ kind: drop === undefined ? 'begin' : 'drop', flow: 1, life: 1n, choice: 1, atMs: 0, beganMs: 0 },
    ...{ asked, goesOn, answered: turned(drop === undefined ? goesOn : asked), isServed: false, refusedBy: null },
    ...{ packets: [1n, 0n], bytes: [60n, 0n], from: end('a'), to: end('b'), networkId: null, networkName: '' },
    ...{ rule: null, ended: 0, drop: drop === undefined ? null : { name: drop, meaning: '', remedy: '' } },
    ...more,
  };
}

type Asked = { readonly port: string; readonly remote: string; readonly direction: number; readonly portBe: number };
type Line = Readonly<Record<string, unknown>> & { readonly policies: readonly { readonly name: string }[] };

/** `decide`: what the rules say when they are asked; `ports`: whose networkPolicies are those above. */
function logger(decide: (asked: Asked) => Deciders | undefined, ports: readonly LocalPort[] = [port('b')]) {
  const asked: Asked[] = [];
  const lines: Line[] = [];
  const time = { ms: 0, isFull: false };
  const slices = {
    header: (key: string) =>
      key.startsWith('network_policies:')
        ? { id: '', ingress: true, egress: false, tiers: 'cluster_policies:x', logged: [NAMESPACED] }
        : { id: 'x', logged: [OF_CLUSTER] },
    item: (key: string, item: string) => (key === 'host:h' ? ports.find(({ id }) => id === item) : undefined),
    items: () => [],
    keys: () => [].values(),
  };
  const made = new PolicyLogger({
    host: 'h',
    slices: slices as never,
    planner: {
      decidersOf: ({ id }: LocalPort, remote: string, { direction, portBe }: { direction: number; portBe: number }) => {
        const one = { port: id, remote, direction, portBe };
        asked.push(one);
        return decide(one);
      },
    } as never,
    write: (line) => {
      if (!time.isFull) lines.push(JSON.parse(line) as Line);
      return !time.isFull;
    },
    nowMs: () => time.ms,
  });
  return { made, lines, asked, time };
}

const order = (address: string): string => parsePrefix(`${address}/32`)?.order ?? '';

test('a connection is a line that names the policies which let it pass, if they ask for it', () => {
  const { made, lines } = logger(() => ({ isAllowed: true, by: [0xa, 0xb, 0xc] }));
  made.take(record({}));
  made.take(record({ kind: 'end' }));
  assert.deepEqual(lines, [
    {
      ...{ time: '1970-01-01T00:00:00.000Z', action: 'ACCEPT', direction: 'ingress' },
      policies: [{ kind: 'NetworkPolicy', name: 'shop/db' }],
      ...{ project_id: 'p', port_id: 'b', port_name: 'name-b', protocol: 6 },
      ...{ source: '10.0.0.1', destination: '10.0.0.2', source_port: 4000, destination_port: 8080 },
    },
  ]);
});

test('what passes by nobody’s word, or by another’s, is no line', () => {
  for (const by of [[], [0xb], [0xc]]) {
    const { made, lines } = logger(() => ({ isAllowed: true, by }));
    made.take(record({}));
    assert.deepEqual(lines, [], `${by}`);
  }
});

test('a drop names the policy that denies it, else those that isolate in its direction', () => {
  const cases: readonly (readonly [string, Deciders, readonly string[]])[] = [
    ['network_policy_ingress', { isAllowed: false, by: [0xb] }, ['no-web']],
    ['network_policy_ingress', NOBODY, ['shop/db']],
    ['network_policy_ingress', { isAllowed: true, by: [0xa] }, []],
    ['policy_ingress', NOBODY, []],
    ['private_subnet', NOBODY, []],
  ];
  for (const [reason, found, names] of cases) {
    const { made, lines } = logger(() => found);
    made.take(record({ refusedBy: 'to' }, reason));
    assert.deepEqual(
      lines.flatMap(({ policies }) => policies.map(({ name }) => name)),
      names,
      reason,
    );
    assert.ok(lines.every(({ action, direction }) => action === 'DROP' && direction === 'ingress'));
  }
  const { made, lines } = logger(() => NOBODY, [port('a')]);
  made.take(record({ refusedBy: 'from' }, 'network_policy_egress'));
  assert.deepEqual(lines, [], 'it does not isolate there');
});

test('rules are asked as the vrouter asks them: of a Service about the endpoint and the client, of an answer about its connection', () => {
  const both = [port('a'), port('b')];
  const ask = (more: Partial<FlowRecord>, drop?: string): readonly (readonly unknown[])[] => {
    const { made, asked } = logger(() => undefined, both);
    made.take(record(more, drop));
    return asked.map((one) => [one.port, one.remote, one.direction, one.portBe]);
  };
  const served = { asked: ASKED, goesOn: HIDDEN, isServed: true };
  // Only who asks for accepted ones is asked about them.
  assert.deepEqual(ask(served), [
    ['a', order('10.0.0.2'), CB_DIR_EGRESS, 8080],
    ['b', order('10.0.0.1'), CB_DIR_INGRESS, 8080],
  ]);
  assert.deepEqual(ask({ asked: ASKED, goesOn: HIDDEN }), [
    ['a', order('10.96.0.1'), CB_DIR_EGRESS, 80],
    ['b', order('10.0.0.9'), CB_DIR_INGRESS, 8080],
  ]);
  const answer = tuple('10.0.0.2', 8080, '10.0.0.1', 4000);
  const back = { asked: answer, from: record({}).to, to: record({}).from };
  assert.deepEqual(ask({ ...back, refusedBy: 'from' }, 'network_policy_ingress'), [
    ['b', order('10.0.0.1'), CB_DIR_INGRESS, 8080],
  ]);
  assert.deepEqual(ask({ ...back, refusedBy: 'to' }, 'network_policy_egress'), [
    ['a', order('10.0.0.2'), CB_DIR_EGRESS, 8080],
  ]);
});

test('the line of who sends to a Service has its address, and the endpoint', () => {
  const { made, lines } = logger(() => ({ isAllowed: true, by: [0xa] }), [port('a')]);
  made.take(record({ asked: ASKED, goesOn: ENDPOINT, isServed: true }));
  const [{ destination, destination_port, endpoint, endpoint_port } = {} as Line] = lines;
  assert.deepEqual([destination, destination_port, endpoint, endpoint_port], ['10.96.0.1', 80, '10.0.0.2', 8080]);
});

test('no port and no namespace has all lines, and what is left out is counted', () => {
  const ports = [...Array.from({ length: 8 }, (_, n) => port(`p${n}`)), port('q', 'other')];
  const { made, lines, time } = logger(() => NOBODY, ports);
  const flood = (id: string, count: number): void => {
    const to = { portId: id, portName: '', projectId: 'p', oneOf: 0 };
    for (let n = 0; n < count; n += 1) made.take(record({ to, refusedBy: 'to' }, 'network_policy_ingress'));
  };
  flood('p0', 300);
  assert.deepEqual(made.counters, { policy_log_lines: 200, policy_log_held: 100 });
  for (const { id } of ports.slice(1, 8)) flood(id, 300);
  assert.equal(lines.length, 1000, 'one namespace');
  flood('q', 100);
  assert.equal(lines.length, 1100);
  time.ms = 1000;
  time.isFull = true;
  const { policy_log_held: before } = made.counters;
  flood('q', 1);
  assert.deepEqual([lines.length, made.counters.policy_log_held - before], [1100, 1], 'a file without room');
});
