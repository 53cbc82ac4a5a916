import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { LocalPort } from '@cable/model';
import { CB_LIFE_LIVE, cbTuple, cbTupleKey } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { parseAddress, parseOrder } from '../plan/address.ts';
import type { ToldChange } from '../plan/inputs.ts';
import { PrefixSet } from '../plan/inside.ts';
import { portsOfPod } from './open.ts';
import { flowRecordOf } from './testing.ts';
import { GRACE_MS, ToldNames } from './told-names.ts';
import { type ToldPair, ToldTable } from './told-table.ts';

const orderOf = (text: string): string => parseOrder(text) ?? '';

/** Ports p1 and p2 have VIFs 1 and 2, and policies that mean `*.example.com`. */
function bedOf(kept: readonly ToldPair[] = []) {
  const table = new ToldTable();
  const written: ToldPair[] = [...kept];
  const changed: ToldChange[] = [];
  const flows: { vif: number; dst: string; expiresNs: bigint }[] = [];
  const bed = {
    nowMs: 1_000_000,
    here: new Set(['p1', 'p2']),
    vifs: new Map([
      ['p1', 1],
      ['p2', 2],
    ]),
    held: Promise.resolve(),
    /** The clock of the wall, ahead of that which never jumps. */
    aheadMs: 5_000_000,
    isSynced: true,
    hosts: ['172.17.0.1', '192.0.2.9'],
    /** Answers that were read. */
    reads: 0,
  };
  const names = new ToldNames({
    table,
    file: { load: () => kept, write: async (pairs) => void written.push(...pairs) },
    portsOf: (portId) => (portId === 'leg' ? ['leg', 'p1'] : [portId]),
    domainsOf: (portId) => (portId === 'p3' ? [] : ['*.example.com']),
    changed: (changes) => {
      changed.push(...changes);
      return bed.held;
    },
    withheld: () => 0,
    hosts: () => new PrefixSet(bed.hosts),
    isHere: (portId) => bed.here.has(portId),
    vifOf: (portId) => bed.vifs.get(portId),
    flows: {
      tuples: () => [
        flows.map(({ dst }, at) => ({
          key: cbTupleKey.encode({
            ...{ src: parseAddress('10.0.0.1') ?? new Uint8Array(16), dst: parseAddress(dst) ?? new Uint8Array(16) },
            ...{ sportBe: 1, dportBe: 2, net: 1, protocol: 6 },
          }),
          value: cbTuple.encode({ flow: at, direction: 0 }),
        })),
      ],
      flow: (key) => {
        const { vif, expiresNs } = flows[arrayIndex.decode(key)] ?? { vif: 0, expiresNs: 0n };
        return flowRecordOf({ vif, expiresNs, life: CB_LIFE_LIVE });
      },
    },
    isSynced: () => bed.isSynced,
    nowMs: () => bed.nowMs,
    unixMs: () => bed.nowMs + bed.aheadMs,
    nowNs: () => 1000n,
    log: silentLogger(),
    signal: new AbortController().signal,
  });
  const tell = async (portId: string, name: string, addresses: readonly string[], ttlSeconds = 30, alias?: string) => {
    await names.answered(portId, () => {
      bed.reads += 1;
      return { vif: 1, portId, names: alias === undefined ? [name] : [name, alias], addresses, ttlSeconds };
    });
  };
  return Object.assign(bed, { names, table, written, changed, flows, tell });
}

test('what policies of the port mean is kept and told on, and nothing else', async () => {
  const bed = bedOf();
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1', '127.0.0.1', '169.254.169.254']);
  assert.deepEqual(bed.changed, [{ portId: 'p1', order: orderOf('203.0.113.1') }]);
  assert.deepEqual(
    bed.written.map(({ portId, order }) => [portId, order]),
    [['p1', orderOf('203.0.113.1')]],
  );
  await bed.tell('p1', 'www.else.net.', ['203.0.113.2']);
  assert.equal(bed.reads, 2);
  await bed.tell('p3', 'www.example.com.', ['203.0.113.3']);
  assert.equal(bed.changed.length, 1);
  assert.equal(bed.reads, 2, 'regression: nothing is paid for a port whose policies mean no names');
});

test('regression: no name is an address of this host or of another', async () => {
  const bed = bedOf([{ portId: 'p1', name: 'www.example.com.', order: orderOf('172.17.0.1'), untilMs: 9e15 }]);
  bed.names.load();
  await bed.tell('p1', 'www.example.com.', ['172.17.0.1', '64:ff9b::c000:209', '203.0.113.1', '203.0.113.2'], 3000);
  const kept = () => [...bed.table.pairs()].map(({ order }) => order);
  assert.deepEqual(kept(), ['203.0.113.1', '203.0.113.2'].map(orderOf));
  bed.hosts.push('203.0.113.2');
  await bed.names.look();
  assert.deepEqual(kept(), [orderOf('203.0.113.1')], 'nor one that a host comes to have');
});

test('who asks for a name of his own that stands for another does not open that', async () => {
  const bed = bedOf();
  await bed.tell('p1', 'www.evil.net.', ['203.0.113.6'], 30, 'www.example.com.');
  assert.equal(bed.changed.length, 0);
  await bed.tell('p1', 'www.example.com.', ['203.0.113.7'], 30, 'edge.cdn.net.');
  assert.equal(bed.changed.length, 1, 'what the asked name stands for counts');
});

test('the guest waits until the data plane has it, and not for what it has', async () => {
  const bed = bedOf();
  let release = (): void => undefined;
  bed.held = new Promise((resolve) => {
    release = resolve;
  });
  let isOver = false;
  const first = bed.tell('p1', 'www.example.com.', ['203.0.113.1']).then(() => {
    isOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isOver, false);
  let isSecondOver = false;
  const second = bed.tell('p1', 'www.example.com.', ['203.0.113.1', '127.0.0.1']).then(() => {
    isSecondOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isSecondOver, false, 'regression: who asks again meanwhile waits, too');
  await bed.tell('p2', 'www.else.net.', ['203.0.113.1']);
  release();
  await Promise.all([first, second]);
  bed.held = new Promise(() => undefined);
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1']);
});

test('regression: an answer that could not be written to the maps keeps nobody else waiting', async () => {
  const bed = bedOf();
  bed.held = Promise.reject(new Error('no'));
  const answers = [0, 1].map(() => bed.tell('p1', 'www.example.com.', ['203.0.113.1']));
  const settled = await Promise.allSettled(answers);
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1']);
});

test('regression: what is not known to be here stays until the server has said what is', async () => {
  const bed = bedOf();
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1'], 3000);
  bed.here.clear();
  bed.isSynced = false;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 1);
  bed.isSynced = true;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 0);
});

test('regression: a clock that is put forward or back ends nothing and prolongs nothing', async () => {
  const bed = bedOf();
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1'], 30);
  assert.equal(bed.written[0]?.untilMs, 1_000_000 + 5_000_000 + 30_000 + GRACE_MS, 'the file says it in Unix time');
  bed.aheadMs += 86_400_000;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 1);
  bed.aheadMs -= 2 * 86_400_000;
  bed.nowMs += 30_000 + GRACE_MS;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 0);
});

test('an address goes when its time is over, some grace has passed and no connection of its port is left', async () => {
  const bed = bedOf();
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1', '203.0.113.2'], 30);
  await bed.tell('p2', 'www.example.com.', ['203.0.113.1'], 30);
  bed.flows.push({ vif: 1, dst: '203.0.113.1', expiresNs: 2000n }, { vif: 1, dst: '203.0.113.2', expiresNs: 999n });
  bed.nowMs += 30_000 + GRACE_MS - 1;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 3);
  bed.nowMs += 1;
  await bed.names.look();
  assert.deepEqual(
    [...bed.table.pairs()].map(({ portId, order }) => [portId, order]),
    [['p1', orderOf('203.0.113.1')]],
  );
  assert.equal(bed.names.counters['names_in_use'], 1);
  bed.flows.length = 0;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 0);
  assert.equal(bed.written.filter(({ untilMs }) => untilMs === 0).length, 3);
});

test('the next agent takes up what was told, and ends no connection before it knows which there are', async () => {
  const first = bedOf();
  await first.tell('p1', 'www.example.com.', ['203.0.113.1'], 30);
  const bed = bedOf(first.written);
  bed.vifs.clear();
  bed.names.load();
  bed.nowMs += 3_600_000;
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 1, 'nothing is programmed yet');
  bed.vifs.set('p1', 1);
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 0);
});

test('a clock that went back makes nothing last', () => {
  const bed = bedOf([{ portId: 'p1', name: 'www.example.com.', order: orderOf('203.0.113.1'), untilMs: 9e15 }]);
  bed.names.load();
  const [pair] = [...bed.table.pairs()];
  assert.equal(pair?.untilMs, 1_000_000 + 7 * 86_400_000, 'of the clock that never jumps');
});

test('what a port was told goes with it', async () => {
  const bed = bedOf();
  await bed.tell('p1', 'www.example.com.', ['203.0.113.1'], 3000);
  bed.here.delete('p1');
  await bed.names.look();
  assert.equal(bed.table.size.pairs, 0);
});

test('what is told again and again is written now and then', async () => {
  const bed = bedOf();
  for (let n = 0; n < 60; n += 1) {
    await bed.tell('p1', 'www.example.com.', ['203.0.113.1'], 30);
    bed.nowMs += 1000;
  }
  assert.equal(bed.written.length, 2);
  assert.equal(bed.changed.length, 1);
});

test('a pod of a VPC asks by its leg, and sends by its port in the VPC', async () => {
  const bed = bedOf();
  await bed.tell('leg', 'www.example.com.', ['203.0.113.1']);
  assert.deepEqual(
    bed.changed.map(({ portId }) => portId),
    ['leg', 'p1'],
  );
  const port = (id: string, more: object): LocalPort => ({ id, projectId: 'a', ...more }) as LocalPort;
  const all = [
    port('leg', { deviceId: 'uid:eth0', networkPolicies: 'network_policies:x' }),
    port('vpc', { deviceId: 'uid:vpc0', networkPolicies: 'network_policies:x' }),
    port('evil', { deviceId: 'uid:vpc0', networkPolicies: 'network_policies:y', projectId: 'b' }),
    port('bare', { deviceId: 'uid:vpc0' }),
  ];
  const portsOf = (portId: string): readonly string[] =>
    portsOfPod(portId, (id) => all.find((one) => one.id === id), {
      get: (deviceId) => all.filter((one) => one.deviceId === deviceId),
    });
  assert.deepEqual(portsOf('leg'), ['leg', 'vpc']);
  assert.deepEqual(portsOf('bare'), ['bare']);
});
