import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_BLOCK_PORTS } from '../bpf/abi.gen.ts';
import { LeaseUses } from './lease-uses.ts';

const LEASE = 'd0000000-0000-4000-8000-000000000001';
const SECOND = 1_000_000_000n;

/** One lease of host h1, a time that the test makes, and what the vrouter says of blocks, by first port. */
function build() {
  const state = { now: 1000n * SECOND, ports: [1024, 1088] as readonly number[] };
  const rows = new Map<number, { usedNs: bigint; wantedNs: bigint }>();
  const lease = () => ({ ...{ routerId: 'r', networkId: 'n', address: '203.0.113.2', portId: 'p', fixedIps: [] } });
  const uses = new LeaseUses({
    host: 'h1',
    slices: {
      items: ((key: string) =>
        key === 'leases:h1' ? [[LEASE, { ...lease(), firstPorts: state.ports }]] : []) as never,
    },
    held: (_address, block) => rows.get(block * CB_BLOCK_PORTS) ?? { usedNs: 0n, wantedNs: 0n },
    nowNs: () => state.now,
  });
  const after = (seconds: number): boolean => {
    state.now += BigInt(seconds) * SECOND;
    return uses.look();
  };
  return { state, rows, told: () => uses.uses, after };
}

test('a guest that runs short is told of, again and again, until it has more or does not any more', () => {
  const { state, rows, told, after } = build();
  assert.equal(after(1), false);
  assert.deepEqual(told(), []);
  rows.set(1024, { usedNs: state.now, wantedNs: state.now });
  assert.equal(after(1), true);
  assert.deepEqual(told(), [{ leaseId: LEASE, blocks: 2, wanted: true, idle: [] }]);
  assert.equal(after(1), false, 'it was told');
  for (let n = 0; n < 9; n += 1) {
    rows.set(1024, { usedNs: state.now, wantedNs: state.now });
    assert.equal(after(1), n === 8, String(n));
  }
  state.ports = [1024, 1088, 1152, 1216];
  assert.equal(after(1), false, 'it ran short of what it had before');
  assert.deepEqual(told(), []);
  rows.set(1024, { usedNs: state.now, wantedNs: state.now + SECOND });
  assert.equal(after(2), true);
  assert.equal(told()[0]?.blocks, 4);
  after(10);
  assert.deepEqual(told(), []);
});

test('blocks that nothing has used for ten minutes are told of, but not the first', () => {
  const { state, rows, told, after } = build();
  state.ports = [1024, 1088, 1152];
  after(1);
  rows.set(1152, { usedNs: state.now + 300n * SECOND, wantedNs: 0n });
  after(400);
  assert.deepEqual(told(), []);
  assert.equal(after(210), true);
  assert.deepEqual(told(), [{ leaseId: LEASE, blocks: 3, wanted: false, idle: [1088] }]);
  after(300);
  assert.deepEqual(told()[0]?.idle, [1088, 1152]);
  state.ports = [1024];
  after(31);
  assert.deepEqual(told(), []);
});
