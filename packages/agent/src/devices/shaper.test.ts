import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { CB_METER_F_SHAPE, cbMeter } from '../bpf/abi.gen.ts';
import { htbClasses } from '../net/htb.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { ensureVeth } from '../net/veth.ts';
import { Shaper } from './shaper.ts';

let netns: TestNetns;
let socket: NetlinkSocket;
let ifindex: number;
let shaper: Shaper;
let due: (() => void)[];

before(() => {
  netns = createNetns();
  socket = new NetlinkSocket({ netns: netns.path });
  ifindex = ensureVeth(socket, { name: 'cableq0', peer: { name: 'cableq1' } }).link.ifindex;
});

after(() => {
  socket.close();
  netns.remove();
});

beforeEach(() => {
  shaper = fresh();
  shaper.take(ifindex, []);
  pass();
});

/** As an agent has it that has just been started. */
function fresh(): Shaper {
  due = [];
  return new Shaper(socket, ifindex, silentLogger(), (call) => {
    due.push(call);
    return () => {
      due = due.filter((one) => one !== call);
    };
  });
}

/** The time passes after which queues are empty. */
function pass(): void {
  for (const call of due.splice(0)) call();
}

const classes = (): readonly number[] => [...htbClasses(socket, ifindex)].sort((a, b) => a - b);

/** A row with a limit of so many kbit/s that waits, or not. */
function row(kbps: number, waits = true): Uint8Array {
  const byteCost = kbps === 0 ? 0n : (8_000_000n << 20n) / BigInt(kbps);
  const limits = { byteCost, byteBurstNs: 10_000_000n, packetCost: 0n, packetBurstNs: 0n, dscp: 0 };
  return cbMeter.encode({ ...limits, flags: waits ? CB_METER_F_SHAPE : 0 });
}

function rateOf(minor: number): string {
  const text = netns.run('tc', 'class', 'show', 'dev', 'cableq0');
  return new RegExp(`class htb 1:${minor.toString(16)} .*?rate (\\S+)`).exec(text)?.[1] ?? 'none';
}

test('a row that waits has a class with its rate, one that does not has none', () => {
  shaper.put(2, row(20_000));
  shaper.put(3, row(20_000, false));
  shaper.put(5, row(0));
  assert.deepEqual([classes(), rateOf(2)], [[2], '20Mbit']);
});

test('a changed limit changes its class, which stays the same', () => {
  shaper.put(2, row(20_000));
  shaper.put(2, row(1_000));
  assert.deepEqual([classes(), rateOf(2)], [[2], '1Mbit']);
});

test('a class stays until what waits in it is gone, and for good if the limit comes back meanwhile', () => {
  shaper.put(2, row(20_000));
  shaper.release(2);
  assert.deepEqual(classes(), [2]);
  shaper.put(2, row(20_000));
  pass();
  assert.deepEqual(classes(), [2]);
  shaper.release(2);
  pass();
  assert.deepEqual(classes(), []);
});

test('an agent that comes after finds the classes of rows, makes those that lack, and lets go of the others', () => {
  shaper.put(2, row(20_000));
  shaper.put(3, row(20_000));
  shaper = fresh();
  shaper.take(ifindex, [
    [2, row(1_000)],
    [4, row(2_000)],
    [6, row(2_000, false)],
  ]);
  assert.deepEqual([classes(), rateOf(2), rateOf(4)], [[2, 3, 4], '1Mbit', '2Mbit']);
  pass();
  assert.deepEqual(classes(), [2, 4]);
});

test('on a device that was made anew all classes are made anew', () => {
  shaper.put(2, row(20_000));
  netns.ip('link', 'delete', 'cableq0');
  ifindex = ensureVeth(socket, { name: 'cableq0', peer: { name: 'cableq1' } }).link.ifindex;
  shaper.take(ifindex, [[2, row(20_000)]]);
  assert.deepEqual([classes(), shaper.drops(2)], [[2], 0]);
});
