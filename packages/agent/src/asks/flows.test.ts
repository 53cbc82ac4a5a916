import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FlowQuery } from '@cable/model';
import {
  CB_DELIVER_OVERLAY,
  CB_FLOW_ESTABLISHED,
  CB_FLOW_NEW,
  CB_LIFE_BUSY,
  CB_LIFE_LIVE,
  type CbFlow,
  cbFlow,
} from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import { type FlowRecords, showFlows } from './flows.ts';
import type { HostNumbers } from './numbers.ts';

const NOW = 1_000_000_000_000n;
const S = 1_000_000_000n;
const EMPTY = cbFlow.decode(new Uint8Array(cbFlow.size));
const NUMBERS: HostNumbers = {
  port: (vif) => `port ${vif}`,
  network: (net) => `network ${net}`,
  router: () => null,
  peering: () => null,
  mirror: () => null,
  underlay: (tunnel) => `host ${tunnel}`,
};
const ALL: FlowQuery = { limit: 500, after: 0 };

type Wish = {
  readonly owners: readonly [number, number];
  readonly to?: string;
  readonly dport?: number;
  readonly protocol?: number;
  readonly life?: bigint;
  readonly expiresNs?: bigint;
  readonly state?: number;
  readonly rule?: number;
};

function record({ owners, to = '10.0.0.2', dport = 80, protocol = 6, ...more }: Wish): Uint8Array {
  const { life = BigInt(CB_LIFE_LIVE), expiresNs = NOW + 30n * S, state = CB_FLOW_NEW, rule = 0 } = more;
  const [way, tally, tuple] = [EMPTY.way[0], EMPTY.tally[0], EMPTY.tuple[0]];
  assert.ok(way !== undefined && tally !== undefined && tuple !== undefined);
  const [src, dst] = [parseAddress('10.0.0.1') ?? NO_ADDRESS, parseAddress(to) ?? NO_ADDRESS];
  const there = { ...way, expiresNs, state, ...(owners[1] === 0 ? { deliver: CB_DELIVER_OVERLAY, tunnel: 4 } : {}) };
  const flow: CbFlow = {
    ...EMPTY,
    ...{ way: [there, { ...way, expiresNs, state }], owner: owners, life, atNs: NOW - 5n * S, rule },
    tally: [
      { ...tally, packets: 1n, bytes: 2n },
      { ...tally, packets: 3n, bytes: 4n },
    ],
    tuple: [
      { ...tuple, src, dst, sportBe: 1000, dportBe: dport, net: 8, protocol },
      { ...tuple, src: dst, dst: src, sportBe: dport, dportBe: 1000, net: 8, protocol },
    ],
  };
  return cbFlow.encode(flow);
}

/** Numbered from 1, in batches of two. */
function recordsOf(wishes: readonly Wish[]): FlowRecords {
  const entries = wishes.map((wish, n) => ({ key: arrayIndex.encode(n + 1), value: record(wish) }));
  return entries.flatMap((_, n) => (n % 2 === 0 ? [entries.slice(n, n + 2)] : []));
}

const show = (wishes: readonly Wish[], vif: number, query: FlowQuery = ALL) =>
  showFlows(recordsOf(wishes), vif, query, { numbers: NUMBERS, nowNs: NOW });

test('a port has the flows that it began and that it received, as they stand', async () => {
  const wishes: Wish[] = [
    { owners: [7, 9], state: CB_FLOW_ESTABLISHED, rule: 0x00ab12cd },
    { owners: [9, 7], dport: 0x0800, protocol: 1 },
    { owners: [7, 0] },
    { owners: [0x107, 0x907] },
    { owners: [8, 9] },
  ];
  const { flows, total, next } = await show(wishes, 7);
  assert.deepEqual([total, next, flows.map(({ flow }) => flow)], [3, null, [1, 2, 3]]);
  assert.deepEqual(flows[0], {
    ...{ flow: 1, isBegun: true, networkId: 'network 8', protocol: 6, source: '10.0.0.1', destination: '10.0.0.2' },
    ...{ sourcePort: 1000, destinationPort: 80, icmpType: null, state: 'established', packets: 1, bytes: 2 },
    ...{ replyPackets: 3, replyBytes: 4, ageSeconds: 5, expiresSeconds: 30, peerPortId: 'port 9', peerUnderlay: null },
    rule: '00ab12cd',
    becomes: null,
  });
  const [, ping, far] = flows;
  assert.deepEqual([ping?.isBegun, ping?.icmpType, ping?.sourcePort, ping?.rule], [false, 8, null, null]);
  assert.deepEqual([far?.peerPortId, far?.peerUnderlay], [null, 'host 4']);
});

test('records that are free, under way or over are none', async () => {
  const wishes: Wish[] = [
    { owners: [7, 0], life: 0n },
    { owners: [7, 0], life: (9n << 2n) | BigInt(CB_LIFE_BUSY) },
    { owners: [7, 0], expiresNs: NOW - 1n },
    { owners: [7, 0], life: (9n << 2n) | BigInt(CB_LIFE_LIVE) },
  ];
  assert.deepEqual(
    (await show(wishes, 7)).flows.map(({ flow }) => flow),
    [4],
  );
});

test('pages follow one another, each knows of all that fit, and the last says so', async () => {
  const wishes = Array.from({ length: 7 }, (): Wish => ({ owners: [7, 0] }));
  const seen: number[] = [];
  let after: number | null = 0;
  while (after !== null) {
    const page = await show(wishes, 7, { limit: 3, after });
    assert.equal(page.total, 7);
    seen.push(...page.flows.map(({ flow }) => flow));
    after = page.next;
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7]);
});

test('filters look at both ends', async () => {
  const wishes: Wish[] = [
    { owners: [7, 0], to: '10.0.0.9' },
    { owners: [7, 0], protocol: 17 },
    { owners: [7, 0], dport: 443 },
    { owners: [7, 0], state: CB_FLOW_ESTABLISHED },
    { owners: [7, 0], to: '2001:db8::1' },
  ];
  const found = async (query: Partial<FlowQuery>) =>
    (await show(wishes, 7, { ...ALL, ...query })).flows.map(({ flow }) => flow);
  assert.deepEqual(await found({ address: '10.0.0.9' }), [1]);
  assert.deepEqual(await found({ address: '10.0.0.1' }), [1, 2, 3, 4, 5]);
  assert.deepEqual(await found({ address: '2001:db8::1' }), [5]);
  assert.deepEqual(await found({ protocol: 17 }), [2]);
  assert.deepEqual(await found({ port: 443 }), [3]);
  assert.deepEqual(await found({ port: 1000, state: 'established' }), [4]);
});
