import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cbNet, cbRoute } from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { NetlinkError } from '../ffi/errno.ts';
import { parseAddress } from '../plan/address.ts';
import type { Claim } from '../plan/claims.ts';
import { encodeEntry, type Planned } from '../plan/entries.ts';
import type { PlannedAsker } from '../plan/topics.ts';
import { NeighbourAsker } from './neighbour-asker.ts';

const [NET, DEVICE, TAG] = [4, 9, 100];
const NOBODY = new Uint8Array(6);
const G = Uint8Array.of(2, 0, 0, 0, 9, 0xfe);

function address(text: string): Uint8Array {
  const bytes = parseAddress(text);
  assert.ok(bytes);
  return bytes;
}

function keyOf(hop: string): Planned {
  return encodeEntry('cb_neigh_1', { net: NET, addr: address(hop) }, { learnedNs: 0n, askedNs: 0n, mac: NOBODY });
}

/** A destination with these next hops. */
function nextOf(hops: readonly string[]): Claim {
  const zero = cbRoute.decode(new Uint8Array(cbRoute.size));
  const hop = hops.map((one) => ({ ...zero, net: NET, nexthop: address(one) }));
  const key = { prefixlen: 32, vrf: 1, addr: address('198.51.100.0') };
  return encodeEntry('cb_next_1', key, { count: hops.length, hop }) as unknown as Claim;
}

/** Next hops that a test makes, and what is asked: `<to> <sender's address> <address>`, with its tag. */
class Bed {
  ms = 0;
  uplink = DEVICE;
  askers: readonly PlannedAsker[] = [{ net: NET, own: address('203.0.113.2'), mac: G }];
  failure: string | undefined;
  readonly hops = new Set<string>();
  readonly rows = new Map<ByteText, { learnedNs: bigint; mac: Uint8Array }>();
  /** Destinations that have several. */
  readonly shared: (readonly string[])[] = [];
  readonly frames: Buffer[] = [];
  readonly asker: NeighbourAsker;

  constructor() {
    const planned = (): ReadonlyMap<string, Claim> =>
      new Map([...this.hops].map((hop) => [keyOf(hop).key, keyOf(hop) as unknown as Claim]));
    const net = (): Claim => {
      const zero = cbNet.decode(new Uint8Array(cbNet.size));
      return encodeEntry('cb_net_1', NET, { ...zero, uplink: this.uplink, wireId: TAG }) as unknown as Claim;
    };
    const several = (): ReadonlyMap<string, Claim> => new Map(this.shared.map((hops) => [hops.join(), nextOf(hops)]));
    this.asker = new NeighbourAsker({
      planner: {
        entries: { of: ((map: string) => (map === 'cb_next_1' ? several() : planned())) as never, get: net },
        askers: () => [this.askers].values() as never,
      },
      row: (key) => this.rows.get(key),
      forget: (key) => this.rows.set(key, { learnedNs: 0n, mac: NOBODY }),
      send: (ifindex, frame) => {
        if (this.failure !== undefined) throw new NetlinkError('send', this.failure);
        assert.equal(ifindex, DEVICE);
        this.frames.push(Buffer.from(frame));
      },
      nowNs: () => BigInt(this.ms) * 1_000_000n + 10n ** 12n,
    });
  }

  want(...hops: readonly string[]): void {
    this.hops.clear();
    for (const hop of hops) {
      this.hops.add(hop);
      const { key } = keyOf(hop);
      if (!this.rows.has(key)) this.rows.set(key, { learnedNs: 0n, mac: NOBODY });
    }
    this.asker.changed();
  }

  hear(hop: string, mac: number): void {
    const learnedNs = BigInt(this.ms) * 1_000_000n + 10n ** 12n;
    this.rows.set(keyOf(hop).key, { learnedNs, mac: Uint8Array.of(2, 0, 0, 0, 0xee, mac) });
  }

  /** Questions of so long, looked at each 200 ms. */
  asked(forMs = 0): string[] {
    for (const end = this.ms + forMs; ; this.ms += 200) {
      this.asker.look();
      if (this.ms >= end) break;
    }
    return this.frames.splice(0).map((frame) => {
      assert.equal(frame.readUInt16BE(12), 0x8100);
      assert.equal(frame.readUInt16BE(14), TAG);
      assert.equal(frame.subarray(6, 12).compare(this.askers[0]?.mac ?? NOBODY), 0);
      const to = frame.subarray(0, 6).toString('hex');
      if (frame.readUInt16BE(16) === 0x86dd) return `${to} v6`;
      assert.equal(frame.readUInt16BE(24), 1, 'a request');
      return `${to} ${[...frame.subarray(32, 36)].join('.')} ${[...frame.subarray(42, 46)].join('.')}`;
    });
  }
}

const ALL = 'ffffffffffff';
const HOP = '203.0.113.1';
const QUESTION = `${ALL} 203.0.113.2 ${HOP}`;

test('a next hop is asked at once, and less and less often until it answers', () => {
  const bed = new Bed();
  bed.want(HOP);
  assert.deepEqual(bed.asked(), [QUESTION]);
  assert.equal(bed.asked(10_000).length, 5);
  assert.equal(bed.asked(100_000).length, 10);
  bed.hear(HOP, 1);
  assert.deepEqual(bed.asked(14_000), [], 'it is known');
});

test('one that is known is asked alone before that is old, and all when it does not answer: it may have another MAC', () => {
  const bed = new Bed();
  bed.want(HOP);
  bed.hear(HOP, 1);
  assert.deepEqual(bed.asked(14_800), []);
  bed.ms += 200;
  assert.deepEqual(bed.asked(), [`02000000ee01 203.0.113.2 ${HOP}`]);
  assert.deepEqual(bed.asked(600), [QUESTION, QUESTION]);
  bed.hear(HOP, 2);
  assert.deepEqual(bed.asked(14_800), []);
  assert.equal(bed.asked(200)[0], `02000000ee02 203.0.113.2 ${HOP}`);
});

test('one that shares a destination and falls silent is forgotten when another is there, and found again', () => {
  const OTHER = '203.0.113.3';
  const bed = new Bed();
  const known = (hop: string): boolean => bed.rows.get(keyOf(hop).key)?.learnedNs !== 0n;
  /** So long, and those answer. */
  const live = (ms: number, ...hops: readonly string[]): void => {
    for (const end = bed.ms + ms; bed.ms < end; bed.ms += 200) {
      for (const frame of bed.asked()) for (const hop of hops) if (frame.endsWith(` ${hop}`)) bed.hear(hop, 1);
    }
  };
  bed.shared.push([HOP, OTHER]);
  bed.want(HOP, OTHER, '203.0.113.4');
  live(20_000, HOP, OTHER, '203.0.113.4');
  live(3400, OTHER);
  assert.deepEqual([known(HOP), known(OTHER)], [true, true], 'not at once');
  live(3400, OTHER);
  assert.deepEqual([known(HOP), known(OTHER)], [false, true]);
  live(60_000, OTHER);
  assert.deepEqual([known(HOP), known('203.0.113.4')], [false, true], 'one that shares nothing stays');
  live(4200, HOP, OTHER);
  assert.ok(known(HOP), 'it is back');
  // When nobody answers the last that was said of them is all that there is.
  live(3400, OTHER);
  live(60_000);
  assert.ok(known(HOP) || known(OTHER));
});

test('a new agent asks of what its vrouter knows only what is old, and loses none of it', () => {
  const bed = new Bed();
  bed.want(HOP, '203.0.113.3');
  bed.hear('203.0.113.3', 3);
  bed.ms += 12_000;
  bed.hear(HOP, 1);
  bed.ms += 4_000;
  assert.deepEqual(bed.asked(), ['02000000ee03 203.0.113.2 203.0.113.3']);
});

test('nobody is asked without a device or as nobody, and at once when there is one; what cannot be sent is tried again', () => {
  const bed = new Bed();
  bed.uplink = 0;
  bed.want(HOP);
  assert.deepEqual(bed.asked(1000), []);
  bed.uplink = DEVICE;
  const { askers } = bed;
  bed.askers = [];
  bed.asker.changed();
  assert.deepEqual(bed.asked(1000), []);
  bed.askers = askers;
  bed.asker.changed();
  bed.failure = 'ENETDOWN';
  assert.deepEqual(bed.asked(1000), []);
  bed.failure = undefined;
  assert.deepEqual(bed.asked(), [QUESTION]);
  // Another has come to be it: as that one it asks at once.
  bed.askers = [{ net: NET, own: undefined, mac: Uint8Array.of(6, 0, 0, 0, 9, 0xfe) }];
  bed.asker.changed();
  assert.deepEqual(bed.asked(), [`${ALL} 0.0.0.0 ${HOP}`]);
  bed.want();
  assert.deepEqual(bed.asked(60_000), []);
});

test('of IPv6 the group is asked, by an address of IPv6 alone', () => {
  const bed = new Bed();
  bed.want('2001:db8::1');
  assert.deepEqual(bed.asked(1000), []);
  const { askers } = bed;
  bed.askers = [...askers, { net: NET, own: address('2001:db8::2'), mac: G }];
  bed.asker.changed();
  assert.deepEqual(bed.asked(), ['3333ff000001 v6']);
});

test('of as many as a host may have all have their turn, so many in a look', () => {
  const bed = new Bed();
  const hops = Array.from({ length: 2000 }, (_, n) => `203.0.${113 + (n >> 8)}.${n & 255}`);
  bed.want(...hops);
  const first = bed.asked();
  assert.equal(first.length, 500);
  const next = bed.asked(600);
  assert.deepEqual(new Set([...first, ...next].map((one) => one.split(' ')[2])).size, 2000);
});
