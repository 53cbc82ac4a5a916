/** IGMP (RFC 1112, 2236, 3376) for packet tests, and what an agent writes of VIFs that it has asked for their groups. MLD is in `icmp6.ts`. */
import { CB_NET_F_SNOOPED, type CbJoined, MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../packages/agent/src/bpf/codec.ts';
import { checksum, type Ipv4, ipBytes, ipv4, multicastMac, PROTO } from './packet.ts';
import { ipText } from './packet-text.ts';
import type { Guest, World } from './world.ts';

export const IGMP = { query: 0x11, report1: 0x12, report2: 0x16, leave: 0x17, report3: 0x22 } as const;

/** Of a record in a report of version 3, or of MLDv2. */
export const RECORD = { isInclude: 1, isExclude: 2, toInclude: 3, toExclude: 4, allow: 5, block: 6 } as const;

export type GroupRecord = {
  readonly type: number;
  readonly group: string;
  readonly sources?: readonly string[];
  /** Bytes of other data, a multiple of 4. */
  readonly other?: number;
};

type From = Omit<Ipv4, 'dst' | 'to'> & { readonly to?: string; readonly dst?: string };

const ROUTER_ALERT = Buffer.from([148, 4, 0, 0]);

function igmp(ip: From & { readonly to: string }, bytes: Buffer): Buffer {
  bytes.writeUInt16BE(0, 2);
  bytes.writeUInt16BE(checksum(bytes), 2);
  return ipv4({ ttl: 1, options: ROUTER_ALERT, dst: multicastMac(ip.to), ...ip }, PROTO.igmp, bytes);
}

/** A message of version 1 or 2. `to`: left out: as hosts send it. */
export function igmpMessage(ip: From, message: { type: number; group: string; maxResponse?: number }): Buffer {
  const bytes = Buffer.concat([Buffer.from([message.type, message.maxResponse ?? 0, 0, 0]), ipBytes(message.group)]);
  const hosts = message.type === IGMP.query ? '224.0.0.1' : message.type === IGMP.leave ? '224.0.0.2' : message.group;
  return igmp({ ...ip, to: ip.to ?? hosts }, bytes);
}

export function recordBytes({ type, group, sources = [], other = 0 }: GroupRecord): Buffer {
  const fixed = Buffer.from([type, other / 4, sources.length >> 8, sources.length & 0xff]);
  return Buffer.concat([fixed, ipBytes(group), ...sources.map(ipBytes), Buffer.alloc(other)]);
}

/** A report of version 3. `count`: of records, as it says; left out: as many as there are. */
export function igmpReport3(ip: From, records: readonly GroupRecord[], count = records.length): Buffer {
  const head = Buffer.from([IGMP.report3, 0, 0, 0, 0, 0, count >> 8, count & 0xff]);
  return igmp({ ...ip, to: ip.to ?? '224.0.0.22' }, Buffer.concat([head, ...records.map(recordBytes)]));
}

const HOUR_NS = 3_600_000_000_000n;

/** The network's groups are looked at. */
export function snoop(world: World, vni: number): void {
  world.setFlags(vni, CB_NET_F_SNOOPED);
}

/** Nothing is known of the guest, who is about to be asked. */
export function beginAsking(world: World, guest: Guest): void {
  writeJoined(world, guest, {});
  world.write(MAPS.cb_asked_2, guest.vif, { portId: ownerOf(guest), fromNs: 0n, untilNs: 0n, leftNs: 0n });
}

/** It was asked; what it says counts from then on, and until then (CLOCK_MONOTONIC, from now on). */
export function setAsked(
  world: World,
  guest: Guest,
  { fromNs = -HOUR_NS, untilNs = HOUR_NS, leftNs = -HOUR_NS } = {},
): void {
  const now = process.hrtime.bigint();
  const at = (ns: bigint): bigint => (now + ns > 1n ? now + ns : 1n);
  world.write(MAPS.cb_asked_2, guest.vif, {
    portId: ownerOf(guest),
    fromNs: at(fromNs),
    untilNs: at(untilNs),
    leftNs: at(leftNs),
  });
}

export function joined(world: World, guest: Guest): CbJoined {
  const value = world.map(MAPS.cb_joined_1).lookup(arrayIndex.encode(guest.vif));
  if (value === undefined) throw new Error('no such VIF');
  return MAPS.cb_joined_1.value.decode(value);
}

/** Groups that the guest is in, as they were learned. */
export function groupsOf(world: World, guest: Guest): string[] {
  const now = process.hrtime.bigint();
  const known = joined(world, guest).group.filter(({ untilNs }) => untilNs > now);
  return known.map(({ addr }) => textOf(addr)).sort();
}

export function getsAll(world: World, guest: Guest): boolean {
  return joined(world, guest).allUntilNs > process.hrtime.bigint();
}

export function isRouter(world: World, guest: Guest): boolean {
  return joined(world, guest).routerUntilNs > process.hrtime.bigint();
}

/** So much time passes: nothing else ages. */
export function age(world: World, guest: Guest, seconds: number): void {
  const by = BigInt(seconds) * 1_000_000_000n;
  const less = (ns: bigint): bigint => (ns > by ? ns - by : 0n);
  const row = joined(world, guest);
  writeJoined(world, guest, {
    ...row,
    allUntilNs: less(row.allUntilNs),
    routerUntilNs: less(row.routerUntilNs),
    reportsNs: less(row.reportsNs),
    queriesNs: less(row.queriesNs),
    answeredS: row.answeredS.map((s) => Math.max(0, s - seconds)),
    group: row.group.map(({ addr, untilNs }) => ({ addr, untilNs: less(untilNs) })),
  });
}

export function writeJoined(world: World, guest: Guest, row: Partial<CbJoined>): void {
  world.write(MAPS.cb_joined_1, guest.vif, {
    ...{ allUntilNs: 0n, routerUntilNs: 0n, reportsNs: 0n, queriesNs: 0n, used: 0n, answeredS: [0, 0], group: [] },
    ...{ portId: ownerOf(guest), ...row },
  });
}

/** As `World` writes it into the guest's row. */
function ownerOf(guest: Guest): Uint8Array {
  return Buffer.alloc(16, guest.vif);
}

function textOf(addr: Uint8Array): string {
  const isV4 = addr.subarray(0, 12).every((byte, i) => byte === (i < 10 ? 0 : 255));
  return ipText(isV4 ? addr.subarray(12) : addr);
}
