import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { parseAddress } from '../plan/address.ts';
import { FlowCollector, type FlowCollectorDeps } from './collector.ts';
import type { FlowRecord } from './flow-record.ts';
import { ENTERPRISE } from './ipfix.ts';

type Element = { readonly id: number; readonly enterprise: number; readonly length: number };
/** Data records by template, each by `ENTERPRISE/ELEMENT` in hexadecimal. */
type Decoded = { readonly template: number; readonly fields: Readonly<Record<string, string>> };

/** Reads messages as RFC 7011 says, with the templates that came before. */
class Reader {
  readonly #templates = new Map<number, readonly Element[]>();
  readonly records: Decoded[] = [];
  readonly sequences: number[] = [];

  take(message: Buffer): void {
    assert.equal(message.readUInt16BE(0), 10);
    assert.equal(message.readUInt16BE(2), message.length);
    this.sequences.push(message.readUInt32BE(8));
    for (let at = 16; at < message.length; ) {
      const [id, length] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)];
      const set = message.subarray(at + 4, at + length);
      if (id === 2) this.#templatesIn(set, 4);
      else if (id === 3) this.#templatesIn(set, 6);
      else this.#recordsIn(id, set);
      at += length;
    }
  }

  #templatesIn(set: Buffer, headBytes: number): void {
    for (let at = 0; at < set.length; ) {
      const [id, count] = [set.readUInt16BE(at), set.readUInt16BE(at + 2)];
      at += headBytes;
      const elements: Element[] = [];
      for (let n = 0; n < count; n += 1) {
        const [word, length] = [set.readUInt16BE(at), set.readUInt16BE(at + 2)];
        at += 4;
        const isOwn = (word & 0x8000) !== 0;
        elements.push({ id: word & 0x7fff, length, enterprise: isOwn ? set.readUInt32BE(at) : 0 });
        at += isOwn ? 4 : 0;
      }
      this.#templates.set(id, elements);
    }
  }

  #recordsIn(id: number, set: Buffer): void {
    const elements = this.#templates.get(id);
    assert.ok(elements !== undefined, `template ${id} came before`);
    for (let at = 0; at < set.length; ) {
      const fields: Record<string, string> = {};
      for (const { enterprise, id: element, length } of elements) {
        const size: number = length === 0xffff ? (set[at++] ?? 0) : length;
        const value: Buffer = set.subarray(at, at + size);
        assert.equal(value.length, size);
        fields[`${enterprise}/${element}`] =
          enterprise === ENTERPRISE && length === 0xffff ? value.toString() : value.toString('hex');
        at += size;
      }
      this.records.push({ template: id, fields });
    }
  }
}

type Bed = {
  readonly collector: FlowCollector;
  readonly reader: Reader;
  readonly clock: { ms: number };
  fail: Error | null;
};

function bed(): Bed {
  const reader = new Reader();
  const clock = { ms: 1_000_000 };
  const made: Bed = {
    reader,
    clock,
    fail: null,
    collector: new FlowCollector({
      host: 'node-1',
      domain: 7,
      send: (bytes, done) => {
        if (made.fail === null) reader.take(Buffer.from(bytes));
        done(made.fail);
      },
      lost: () => 5,
      after: () => () => undefined,
      nowMs: () => clock.ms,
      log: silentLogger(),
    } satisfies FlowCollectorDeps),
  };
  return made;
}

function tuple(from: string, to: string, sport: number, dport: number): FlowRecord['asked'] {
  const [src, dst] = [parseAddress(from), parseAddress(to)];
  assert.ok(src !== undefined && dst !== undefined);
  return { src, dst, sportBe: sport, dportBe: dport, net: 1, protocol: 6 };
}

const END = { portId: 'port-1', portName: 'wéb', projectId: 'blue', oneOf: 1 };

function record(more: Partial<FlowRecord> = {}): FlowRecord {
  return {
    kind: 'begin',
    flow: 3,
    life: 2n,
    choice: 8,
    atMs: 5000,
    beganMs: 4000,
    asked: tuple('10.0.0.1', '203.0.113.9', 1000, 80),
    answered: tuple('203.0.113.9', '198.51.100.7', 80, 2048),
    goesOn: tuple('198.51.100.7', '203.0.113.9', 2048, 80),
    isServed: false,
    refusedBy: null,
    packets: [0n, 0n],
    bytes: [0n, 0n],
    from: END,
    to: null,
    networkId: 'net-1',
    networkName: 'blue',
    rule: 'rule-1',
    ended: 0,
    drop: null,
    ...more,
  };
}

const hex = (value: number, bytes: number): string => value.toString(16).padStart(2 * bytes, '0');

test('a flow is told with both directions, its translation and users’ names, behind the templates', () => {
  const { collector, reader } = bed();
  collector.add(record());
  collector.add(record({ kind: 'end', ended: 3, packets: [4n, 3n], bytes: [400n, 3000n] }));
  collector.flush();
  const [loss, begin, end] = reader.records;
  assert.deepEqual(loss, { template: 258, fields: { '0/144': hex(7, 4), '0/42': hex(0, 8), '0/165': hex(5, 8) } });
  assert.equal(begin?.template, 256);
  const { fields } = begin;
  assert.deepEqual(
    ['0/8', '0/12', '0/225', '0/226', '0/7', '0/227', '0/4', '0/152', '0/153', '0/233'].map((name) => fields[name]),
    [
      '0a000001',
      'cb007109',
      'c6336407',
      'cb007109',
      hex(1000, 2),
      hex(2048, 2),
      '06',
      hex(4000, 8),
      hex(5000, 8),
      '01',
    ],
  );
  const own = (n: number): string | undefined => fields[`${ENTERPRISE}/${n}`];
  assert.deepEqual([1, 2, 3, 4, 7, 8, 9, 10, 11, 12].map(own), [
    ...['port-1', 'wéb', 'blue', '', 'net-1', 'blue', 'rule-1', '', 'node-1'],
    hex(1, 4),
  ]);
  assert.deepEqual(
    ['0/2', '0/1', '29305/2', '29305/1', '0/136', '0/233'].map((name) => end?.fields[name]),
    [hex(4, 8), hex(400, 8), hex(3, 8), hex(3000, 8), '03', '02'],
  );
  assert.deepEqual(reader.sequences, [0, 1]);
});

test('what a flow has carried is told once: each record has what came since the one before, and the sum', () => {
  const { collector, reader } = bed();
  const told = (at: number): readonly (string | undefined)[] =>
    ['0/1', '0/85', '0/136'].map((name) => reader.records.at(at)?.fields[name]);
  collector.add(record({ kind: 'update', packets: [10n, 0n], bytes: [1000n, 0n] }));
  collector.add(record({ kind: 'update', packets: [10n, 0n], bytes: [1000n, 0n] }));
  collector.add(record({ kind: 'end', ended: 1, packets: [15n, 0n], bytes: [1500n, 0n] }));
  collector.flush();
  assert.equal(reader.records.length, 3, 'an update without news is none');
  assert.deepEqual(told(1), [hex(1000, 8), hex(1000, 8), '02']);
  assert.deepEqual(told(2), [hex(500, 8), hex(1500, 8), '01']);
  collector.note(record({ life: 3n, packets: [7n, 0n], bytes: [700n, 0n] }));
  collector.add(record({ kind: 'end', ended: 4, life: 3n, packets: [8n, 0n], bytes: [800n, 0n] }));
  collector.add(record({ kind: 'end', ended: 4, life: 4n, packets: [9n, 0n], bytes: [900n, 0n] }));
  collector.flush();
  assert.deepEqual([told(3)[0], told(4)[0]], [hex(100, 8), hex(900, 8)], 'another flow of the same number is another');
});

test('only flows that a port at one end exports, by its share', () => {
  const { collector, reader } = bed();
  const end = (oneOf: number): FlowRecord['from'] => ({ ...END, oneOf });
  for (const [from, to] of [
    [end(0), null],
    [end(3), end(5)],
    [null, end(4)],
    [end(16), end(8)],
  ] as const)
    collector.add(record({ from, to }));
  collector.flush();
  const shares = reader.records.slice(1).map(({ fields }) => fields[`${ENTERPRISE}/12`]);
  assert.deepEqual(shares, [hex(4, 4), hex(8, 4)]);
});

test('IPv6 has a template of its own; templates are told again; messages fit a datagram', () => {
  const { collector, reader, clock } = bed();
  const six = tuple('2001:db8::1', '2001:db8::2', 1, 2);
  for (let n = 0; n < 20; n += 1) collector.add(record({ flow: n, from: { ...END, portName: 'é'.repeat(255) } }));
  collector.add(record({ asked: six, answered: tuple('2001:db8::2', '2001:db8::1', 2, 1) }));
  collector.flush();
  assert.equal(reader.records.at(-1)?.fields['0/27'], '20010db8000000000000000000000001');
  assert.equal(reader.records[1]?.fields[`${ENTERPRISE}/2`], 'é'.repeat(32));
  assert.ok(reader.sequences.length > 5, `${reader.sequences.length} messages`);
  clock.ms += 60_000;
  collector.add(record());
  collector.flush();
  assert.equal(reader.records.filter(({ template }) => template === 258).length, 2);
});

test('what cannot be sent is counted, and told when it can be again', () => {
  const made = bed();
  const { collector, reader, clock } = made;
  made.fail = new Error('ENETUNREACH');
  collector.add(record());
  collector.flush();
  assert.deepEqual(collector.counters, { flow_records_sent: 0, flow_records_unsent: 2 });
  made.fail = null;
  clock.ms += 60_000;
  collector.add(record());
  collector.flush();
  assert.equal(reader.records[0]?.fields['0/165'], hex(7, 8), '5 lost before it, 2 not sent');
});
