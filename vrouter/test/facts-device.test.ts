/** What the kernel's devices and its packet filter do with what programs give them: docs/design/kernel-facts.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadedObject } from '../../packages/agent/src/bpf/object.ts';
import type { RodataValue } from '../../packages/agent/src/bpf/rodata.ts';
import { ensureIngressFilter } from '../../packages/agent/src/net/filter.ts';
import { inNetns } from '../../packages/agent/src/net/netns.ts';
import { NetlinkSocket } from '../../packages/agent/src/net/socket.ts';
import { createNetns, type TestNetns } from '../../packages/agent/src/net/testing.ts';
import { FRAME, loadFacts, program, run, takeResults, word } from './facts.ts';
import { dropFrom } from './facts-nft.ts';
import { ipBytes, macBytes } from './packet.ts';

const MARK = 0x1234;
const ETH_BYTES = 14;
/** IPv4 or IPv6, UDP, VXLAN, inner Ethernet. */
const OUTER4_BYTES = 20 + 8 + 8 + ETH_BYTES;
const OUTER6_BYTES = 40 + 8 + 8 + ETH_BYTES;

/** struct note. */
type Note = {
  readonly packets: number;
  readonly mark: number;
  readonly priority: number;
  readonly queueMapping: number;
  readonly length: number;
  readonly head: Uint8Array;
};

/** Two namespaces; `r0` of the first is one end of a veth, `r1` of the second the other. What is loaded or made is removed at the end. */
class Pair {
  readonly here: TestNetns = createNetns();
  readonly there: TestNetns = createNetns();
  readonly #objects: LoadedObject[] = [];

  constructor() {
    // No router solicitations among the test's frames.
    for (const netns of [this.here, this.there]) netns.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    this.addVeth('r');
    this.here.ip('link', 'set', 'r1', 'netns', this.there.name);
    this.there.ip('link', 'set', 'r1', 'up');
  }

  /** `<name>0` and `<name>1`, both here, of four queues each. */
  addVeth(name: string): void {
    const queues = ['numtxqueues', '4', 'numrxqueues', '4'];
    this.here.ip('link', 'add', `${name}0`, 'up', ...queues, 'type', 'veth', 'peer', 'name', `${name}1`, ...queues);
    this.here.ip('link', 'set', `${name}1`, 'up');
  }

  load(rodata: Readonly<Record<string, RodataValue>> = {}): LoadedObject {
    const object = loadFacts({ rodata });
    this.#objects.push(object);
    return object;
  }

  attach(netns: TestNetns, device: string, object: LoadedObject, name: string): void {
    const socket = new NetlinkSocket({ netns: netns.path });
    try {
      assert.ok(ensureIngressFilter(socket, ifindexOf(netns, device), program(object, name)));
    } finally {
      socket.close();
    }
  }

  /** A frame goes out of a device here, with a mark and a priority. */
  send(object: LoadedObject, device: string, mark = 0, priority = 0): void {
    const cb = [ifindexOf(this.here, device), mark, priority];
    assert.equal(
      inNetns(this.here.path, () => run(object, 'send', cb).verdict),
      0,
    );
  }

  close(): void {
    for (const object of this.#objects) object.close();
    this.there.remove();
    this.here.remove();
  }
}

async function inPair(body: (pair: Pair) => Promise<void>): Promise<void> {
  const pair = new Pair();
  try {
    await body(pair);
  } finally {
    pair.close();
  }
}

function ifindexOf(netns: TestNetns, device: string): number {
  return Number(/^(\d+):/.exec(netns.ip('-o', 'link', 'show', device))?.[1]);
}

function macOf(netns: TestNetns, device: string): string {
  return /ether (\S+)/.exec(netns.ip('-o', 'link', 'show', device))?.[1] ?? '';
}

/** What the program `note` of the object saw on the device, once it did. */
async function noted(object: LoadedObject, netns: TestNetns, device: string): Promise<Note> {
  const key = word(ifindexOf(netns, device));
  for (let tries = 0; tries < 6000; tries += 1) {
    const found = object.maps.get('fact_note')?.lookup(key);
    if (found !== undefined) return decodeNote(found);
    await delay(10);
  }
  throw new Error(`nothing came to ${device}`);
}

function decodeNote(bytes: Uint8Array): Note {
  const view = new DataView(bytes.buffer);
  const [packets, mark, priority, queueMapping, length] = [0, 4, 8, 12, 16].map((at) => view.getUint32(at, true));
  assert.ok(packets !== undefined && mark !== undefined && priority !== undefined);
  assert.ok(queueMapping !== undefined && length !== undefined);
  return { packets, mark, priority, queueMapping, length, head: bytes.slice(24) };
}

test('a mark goes through a veth in one namespace; priority and queue do not; between namespaces nothing does', () =>
  inPair(async (pair) => {
    pair.addVeth('p');
    const object = pair.load();
    pair.attach(pair.here, 'p1', object, 'note');
    pair.send(object, 'p0', MARK, 0x10020);
    const same = await noted(object, pair.here, 'p1');
    assert.deepEqual([same.packets, same.mark, same.priority, same.queueMapping], [1, MARK, 0, 0]);

    const other = pair.load();
    pair.attach(pair.there, 'r1', other, 'note');
    pair.send(object, 'r0', MARK, 0x10020);
    const between = await noted(other, pair.there, 'r1');
    assert.deepEqual([between.packets, between.mark, between.priority, between.queueMapping], [1, 0, 0, 0]);
  }));

test('a redirect into a veth meets its HTB, where the priority is the class, and the mark goes on', () =>
  inPair(async (pair) => {
    pair.addVeth('p');
    pair.addVeth('q');
    const tc = (...words: string[]): string => pair.here.run('tc', ...words);
    tc('qdisc', 'add', 'dev', 'q0', 'root', 'handle', '1:', 'htb', 'default', '10');
    for (const minor of ['10', '20'])
      tc('class', 'add', 'dev', 'q0', 'parent', '1:', 'classid', `1:${minor}`, 'htb', 'rate', '1gbit');
    const object = pair.load({ cfg_to: ifindexOf(pair.here, 'q0'), cfg_priority: 0x1_0020 });
    pair.attach(pair.here, 'p1', object, 'pass_on');
    pair.attach(pair.here, 'q1', object, 'note');
    pair.send(object, 'p0', MARK);
    assert.equal((await noted(object, pair.here, 'q1')).mark, MARK);
    const sent = (minor: string): string | undefined =>
      new RegExp(`class htb 1:${minor} [^]*?Sent \\d+ bytes (\\d+) pkt`).exec(
        tc('-s', 'class', 'show', 'dev', 'q0'),
      )?.[1];
    assert.deepEqual([sent('10'), sent('20')], ['0', '1']);
  }));

test('a copy to a veth is received when the program that sent it is through', () =>
  inPair(async (pair) => {
    pair.addVeth('p');
    pair.addVeth('q');
    const object = pair.load({ cfg_to: ifindexOf(pair.here, 'q0') });
    pair.attach(pair.here, 'p1', object, 'copy_inside');
    pair.attach(pair.here, 'q1', object, 'look_inside');
    takeResults(object);
    const copies = 20;
    for (let i = 0; i < copies; i += 1) pair.send(object, 'p0');
    let received = 0;
    for (let tries = 0; received < copies && tries < 12_000; tries += 1) {
      const { firedInside, firedOutside } = takeResults(object);
      assert.equal(firedInside, 0);
      received += firedOutside;
      await delay(5);
    }
    assert.equal(received, copies);
  }));

test('an encapsulated frame goes to the next hop that is named, by IPv4 and by IPv6', () =>
  inPair(async (pair) => {
    pair.addVeth('p');
    pair.here.ip('address', 'add', '198.51.100.1/24', 'dev', 'r0');
    pair.there.ip('address', 'add', '198.51.100.2/24', 'dev', 'r1');
    const enable = (device: string): string[] =>
      ['accept_dad', 'disable_ipv6'].map((name) => `net.ipv6.conf.${device}.${name}=0`);
    pair.here.run('sysctl', '-qw', ...enable('r0'));
    pair.there.run('sysctl', '-qw', ...enable('r1'));
    pair.here.ip('address', 'add', 'fd00::1/64', 'dev', 'r0', 'nodad');
    pair.there.ip('address', 'add', 'fd00::2/64', 'dev', 'r1', 'nodad');
    const uplinkMac = macBytes(macOf(pair.there, 'r1'));
    for (const { name, outer, ethertype, at, to } of [
      { name: 'encap4', outer: OUTER4_BYTES, ethertype: 0x0800, at: ETH_BYTES + 16, to: ipBytes('203.0.113.1') },
      {
        name: 'encap6',
        outer: OUTER6_BYTES,
        ethertype: 0x86dd,
        at: ETH_BYTES + 24,
        to: Uint8Array.of(0x20, ...Array(15).fill(0)),
      },
    ]) {
      const object = pair.load({
        cfg_to: ifindexOf(pair.here, 'r0'),
        cfg_next_hop4: ipBytes('198.51.100.2'),
        cfg_next_hop6: Uint8Array.of(0xfd, ...Array(14).fill(0), 2),
      });
      pair.attach(pair.here, 'p1', object, name);
      pair.attach(pair.there, 'r1', object, 'note');
      pair.send(object, 'p0');
      const { head, length } = await noted(object, pair.there, 'r1');
      assert.equal(length, FRAME.length + outer, name);
      assert.deepEqual(Buffer.from(head.subarray(0, 6)), Buffer.from(uplinkMac), 'to the next hop');
      assert.equal((head[12] ?? 0) * 256 + (head[13] ?? 0), ethertype);
      assert.deepEqual(Buffer.from(head.subarray(at, at + to.length)), Buffer.from(to), 'outer destination');
      const inner = head.subarray(outer, outer + 40);
      assert.deepEqual(Buffer.from(inner), Buffer.from(FRAME.subarray(0, 40)), 'the frame is whole inside');
    }
  }));

test('the packet filter drops by an interface name with some of its bytes masked, IP and ARP', () =>
  inPair(async (pair) => {
    const ours = 'tap12345678-9a';
    for (const [i, device] of [ours, 'tap0'].entries()) {
      pair.here.ip('link', 'add', device, 'up', 'type', 'veth', 'peer', 'name', `far${i}`);
      pair.here.ip('link', 'set', `far${i}`, 'netns', pair.there.name);
      pair.there.ip('link', 'set', `far${i}`, 'up');
      pair.here.ip('address', 'add', `198.51.${100 + i}.1/24`, 'dev', device);
      pair.there.ip('address', 'add', `198.51.${100 + i}.2/24`, 'dev', `far${i}`);
    }
    const answered = (i: number): boolean => {
      try {
        pair.there.run('ping', '-n', '-c1', '-W', '0.4', `198.51.${100 + i}.1`);
        return true;
      } catch {
        return false;
      }
    };
    assert.deepEqual([answered(0), answered(1)], [true, true]);
    dropFrom(pair.here.path, 'inet', 'tap????????-??');
    assert.deepEqual([answered(0), answered(1)], [false, true]);

    pair.there.ip('neighbour', 'flush', 'all');
    dropFrom(pair.here.path, 'arp', 'tap????????-??');
    answered(0);
    assert.match(pair.there.ip('neighbour', 'show', '198.51.100.1'), /FAILED|INCOMPLETE|^$/);
    assert.equal(answered(1), true);
  }));
