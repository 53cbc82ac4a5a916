/** Which lines are written of what the vrouter tells. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, PacketLog } from '@cable/model';
import type { CbTupleKey } from '../bpf/abi.gen.ts';
import { type FlowRecord, turned } from '../flow-export/flow-record.ts';
import { parseAddress } from '../plan/address.ts';
import { logsOf } from './logs-of.ts';
import { PacketLogger } from './packet-log.ts';

const GROUPS = ['g1', 'g2'];

function port(id: string, more: Partial<LocalPort> = {}): LocalPort {
  return { id, projectId: 'p', policy: `policy:${GROUPS.join('+')}`, ...more } as LocalPort;
}

function log(id: string, more: Partial<PacketLog> = {}): PacketLog {
  return { id, projectId: 'p', groupId: null, portId: null, accepts: true, drops: true, ...more };
}

function address(text: string): Uint8Array {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
}

function tuple(src: string, sportBe: number, dst: string, dportBe: number): CbTupleKey {
  return { src: address(src), dst: address(dst), sportBe, dportBe, protocol: 6, net: 1 } as CbTupleKey;
}

/** From a to b, which has 203.0.113.9 as its floating IP. */
const ASKED = tuple('192.0.2.1', 4000, '203.0.113.9', 80);
const ANSWERED = tuple('10.0.0.2', 80, '192.0.2.1', 4000);

function record(kind: FlowRecord['kind'], from: string | null, to: string | null, drop?: string): FlowRecord {
  const end = (id: string | null): FlowRecord['from'] =>
    id === null ? null : { portId: id, portName: '', projectId: 'p', oneOf: 0 };
  return {
    ...{ kind, flow: 1, life: 1n, choice: 1, atMs: 0, beganMs: 0, asked: ASKED, answered: ANSWERED },
    ...{ goesOn: turned(ANSWERED), isServed: false, refusedBy: null },
    ...{ packets: [1n, 0n], bytes: [60n, 0n], from: end(from), to: end(to), networkId: null, networkName: '' },
    ...{ rule: null, ended: 0, drop: drop === undefined ? null : { name: drop, meaning: '', remedy: '' } },
  };
}

type Line = { readonly action: string; readonly direction: string; readonly vm_port: string } & Readonly<
  Record<string, unknown>
>;

function logger(ports: readonly LocalPort[], logs: readonly PacketLog[]) {
  const lines: Line[] = [];
  const time = { ms: 0, isFull: false };
  const items = new Map<string, ReadonlyMap<string, unknown>>([
    ['host:h', new Map(ports.map((one) => [one.id, one]))],
    ['logs:cloud', new Map(logs.map((one) => [one.id, one]))],
  ]);
  const slices = {
    header: () => undefined,
    item: (key: string, item: string) => items.get(key)?.get(item),
    items: (key: string) => items.get(key) ?? [],
    keys: () => items.keys(),
  };
  const made = new PacketLogger({
    host: 'h',
    slices: slices as never,
    write: (line) => {
      if (!time.isFull) lines.push(JSON.parse(line) as Line);
      return !time.isFull;
    },
    nowMs: () => time.ms,
  });
  return { made, lines, time };
}

test('a log is about ports of its group, its port, or its project', () => {
  const cases: readonly (readonly [Partial<PacketLog>, boolean])[] = [
    [{}, true],
    [{ projectId: 'q' }, false],
    [{ projectId: 'q', groupId: 'g2' }, true],
    [{ groupId: 'g3' }, false],
    [{ projectId: 'q', portId: 'a' }, true],
    [{ portId: 'b' }, false],
    [{ portId: 'a', groupId: 'g3' }, false],
    [{ portId: 'a', groupId: 'g1' }, true],
  ];
  for (const [more, isAbout] of cases) {
    assert.equal(logsOf(port('a'), [log('l', more)]).length, Number(isAbout), JSON.stringify(more));
    assert.equal(logsOf(port('a', { policy: null }), [log('l', more)]).length, 0, 'no groups hold for it');
  }
});

test('the begin of a connection is a line for each end that is logged, as that end has the packet', () => {
  const { made, lines } = logger([port('a'), port('b')], [log('l1', { drops: false }), log('l2', { portId: 'b' })]);
  made.take(record('begin', 'a', 'b'));
  made.take(record('end', 'a', 'b'));
  made.take(record('update', 'a', 'b'));
  assert.deepEqual(
    lines.map(({ action, direction, vm_port: id, log_resource_ids: ids }) => [action, direction, id, ids]),
    [
      ['ACCEPT', 'egress', 'a', ['l1']],
      ['ACCEPT', 'ingress', 'b', ['l1', 'l2']],
    ],
  );
  assert.deepEqual(
    lines.map(({ source, source_port, destination, destination_port }) => [
      `${source}:${source_port}`,
      `${destination}:${destination_port}`,
    ]),
    [
      ['192.0.2.1:4000', '203.0.113.9:80'],
      ['192.0.2.1:4000', '10.0.0.2:80'],
    ],
  );
  made.take(record('begin', null, 'c'));
  made.take(record('begin', null, null));
  assert.equal(lines.length, 2, 'ends of other hosts');
});

test('a drop is a line of the port whose groups dropped it, and none if something else did', () => {
  const { made, lines } = logger([port('a'), port('b')], [log('l', { accepts: false })]);
  made.take(record('drop', 'a', 'b', 'policy_egress'));
  made.take(record('drop', 'a', 'b', 'policy_ingress'));
  made.take(record('drop', 'a', 'b', 'spoofed_ip'));
  made.take(record('drop', null, 'b', 'policy_ingress'));
  made.take(record('begin', 'a', 'b'));
  assert.deepEqual(
    lines.map(({ action, direction, vm_port: id }) => [action, direction, id].join()),
    ['DROP,egress,a', 'DROP,ingress,b', 'DROP,ingress,b'],
  );
});

test('a dropped answer is a line of the port whose rules refuse its connection', () => {
  const { made, lines } = logger([port('a'), port('b')], [log('l', { accepts: false })]);
  made.take({ ...record('drop', 'b', 'a', 'policy_egress'), refusedBy: 'to' });
  made.take({ ...record('drop', 'b', 'a', 'policy_ingress'), refusedBy: 'from' });
  assert.deepEqual(
    lines.map(({ direction, vm_port: id }) => [direction, id].join()),
    ['egress,a', 'ingress,b'],
  );
});

test('a port that floods has 100 lines a second, and takes none from another', () => {
  const { made, lines, time } = logger([port('a'), port('b')], [log('l')]);
  for (let n = 0; n < 1000; n += 1) made.take(record('drop', 'a', null, 'policy_egress'));
  made.take(record('drop', 'b', null, 'policy_egress'));
  assert.deepEqual([lines.length, lines.at(-1)?.vm_port], [201, 'b']);
  assert.deepEqual(made.counters, { packet_log_lines: 201, packet_log_held: 800 });
  time.ms = 1000;
  for (let n = 0; n < 1000; n += 1) made.take(record('drop', 'a', null, 'policy_egress'));
  assert.equal(lines.length, 301);
  time.ms = 2000;
  time.isFull = true;
  made.take(record('drop', 'b', null, 'policy_egress'));
  assert.equal(made.counters.packet_log_held, 1701, 'a file without room');
});
