import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CB_FLOOD_TUNNEL,
  CB_FLOOD_VIF,
  CB_GROUP_RECORDS,
  CB_GROUP_SECONDS,
  CB_NET_F_SNOOPED,
  CB_STEP_COPY,
  CB_STEP_PASSED_OVER,
  CB_VIF_GROUPS,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { removePins } from '../../packages/agent/src/bpf/pin.ts';
import { type JoinedGroups, kernelGroupPlaces } from '../../packages/agent/src/guest/joined-groups.ts';
import { formatUuid } from '../../packages/agent/src/plan/address.ts';
import {
  age,
  beginAsking,
  type GroupRecord,
  getsAll,
  groupsOf,
  IGMP,
  igmpMessage,
  igmpReport3,
  isRouter,
  joined,
  RECORD,
  setAsked,
  snoop,
  writeJoined,
} from './groups.ts';
import { listenerQuery, listenerReport, listenerReport2 } from './icmp6.ts';
import { checksum, ipBytes, ipv4, ipv6, macBytes, multicastMac, PROTO, pseudoHeader, udp } from './packet.ts';
import { AGENT_MAC, DEFAULT_FLAGS, type Guest, linkLocal, OPEN_FLAGS, SERVICE_MAC, World } from './world.ts';

const VNI = 100;
const HOST = '192.0.2.2';
const FAR = '02:00:00:00:00:1f';
const G = '239.1.2.3';
const G6 = 'ff05::5';
const NOTHING_EGRESS = 7;
const HOUR_NS = 3_600_000_000_000n;

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;
let mute: Guest;
let all: readonly Guest[];

const mac = (n: number): string => `02:00:00:00:00:0${n}`;

before(() => {
  world = new World();
  const guest = (name: string, n: number, more = {}): Guest =>
    world.addGuest(name, { mac: mac(n), ip: `10.0.0.${n}`, vni: VNI, ip6: `2001:db8::${n}`, ...more });
  a = guest('a', 1);
  b = guest('b', 2);
  c = guest('c', 3, { flags: OPEN_FLAGS });
  // Its rules let it send nothing.
  mute = guest('mute', 4, { policy: NOTHING_EGRESS, flags: DEFAULT_FLAGS });
  all = [a, b, c, mute];
  for (const family of [4, 6] as const) world.addRule({ policy: NOTHING_EGRESS, direction: 'ingress', family });
  world.addPeer(HOST);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  snoop(world, VNI);
  world.setFlood(VNI, [...all.map((guest) => ({ guest })), { host: HOST }]);
  for (const guest of all) {
    beginAsking(world, guest);
    setAsked(world, guest);
  }
});

const own = (guest: Guest): { src: string; from: string } => ({ src: guest.mac, from: guest.ip });
const own6 = (guest: Guest): { src: string; from: string } => ({ src: guest.mac, from: linkLocal(guest.mac) });

function report2(guest: Guest, group = G): Buffer {
  return igmpMessage(own(guest), { type: IGMP.report2, group });
}

function reportOf(guest: Guest, ...records: readonly GroupRecord[]): Buffer {
  return igmpReport3(own(guest), records);
}

const mld = (guest: Guest, to = 'ff02::16') => ({ ...own6(guest), dst: multicastMac(to), to });

function reportOf6(guest: Guest, ...records: readonly GroupRecord[]): Buffer {
  return listenerReport2(mld(guest), records);
}

function data(from: Guest, group = G): Buffer {
  return udp({ ...own(from), dst: multicastMac(group), to: group }, { sport: 1000, dport: 5000 });
}

function data6(from: Guest, group = G6): Buffer {
  const to = { src: from.mac, from: from.ip.replace('10.0.0.', '2001:db8::'), dst: multicastMac(group), to: group };
  return udp(to, { sport: 1000, dport: 5000 });
}

/** Who gets a copy of what is sent: guests, in the order of their names, and other hosts. */
function receivers(send: () => unknown): string {
  const count = (guest: Guest | undefined): bigint => world.stat(guest).txPackets;
  const before = all.map(count);
  const far = count(undefined);
  send();
  const here = all.filter((guest, i) => count(guest) > (before[i] ?? 0n)).map(({ name }) => name);
  return [...here, ...(count(undefined) > far ? ['host'] : [])].join(' ');
}

const from = (guest: Guest, frame: Buffer): string => receivers(() => world.send(guest, frame));

describe('a guest has joined what it reports', () => {
  for (const [what, frame, groups] of [
    ['IGMPv1', () => igmpMessage(own(b), { type: IGMP.report1, group: G }), [G]],
    ['IGMPv2', () => report2(b), [G]],
    ['IGMPv3, that it wants all', () => reportOf(b, { type: RECORD.isExclude, group: G }), [G]],
    ['IGMPv3, that it begins to', () => reportOf(b, { type: RECORD.toExclude, group: G }), [G]],
    ['from all sources but one', () => reportOf(b, { type: RECORD.isExclude, group: G, sources: ['10.9.9.9'] }), [G]],
    ['from one source', () => reportOf(b, { type: RECORD.isInclude, group: G, sources: ['10.9.9.9'] }), [G]],
    ['from one source now', () => reportOf(b, { type: RECORD.toInclude, group: G, sources: ['10.9.9.9'] }), [G]],
    ['from one source more', () => reportOf(b, { type: RECORD.allow, group: G, sources: ['10.9.9.9'] }), [G]],
    ['from no source', () => reportOf(b, { type: RECORD.isInclude, group: G }), []],
    ['that it leaves', () => reportOf(b, { type: RECORD.toInclude, group: G }), []],
    [
      'that it wants one source no more',
      () => reportOf(b, { type: RECORD.block, group: G, sources: ['10.9.9.9'] }),
      [],
    ],
    ['a record of no known type', () => reportOf(b, { type: 9, group: G, sources: ['10.9.9.9'] }), []],
    ['MLDv1', () => listenerReport(mld(b, G6), { group: G6 }), [G6]],
    ['MLDv2', () => reportOf6(b, { type: RECORD.toExclude, group: G6 }), [G6]],
    [
      'MLDv2 of a guest without an address',
      () => listenerReport2({ ...mld(b), from: '::' }, [{ type: 4, group: G6 }]),
      [G6],
    ],
    ['MLDv2, one source', () => reportOf6(b, { type: RECORD.isInclude, group: G6, sources: ['2001:db8::99'] }), [G6]],
    ['MLDv2, none', () => reportOf6(b, { type: RECORD.toInclude, group: G6 }), []],
    ['a group of the link', () => reportOf(b, { type: RECORD.isExclude, group: '224.0.0.251' }), []],
    ['a group of the link of IPv6', () => reportOf6(b, { type: RECORD.isExclude, group: 'ff02::fb' }), []],
    ['what is no group', () => reportOf(b, { type: RECORD.isExclude, group: '10.0.0.9' }), []],
    [
      'several records, with sources and other data between',
      () =>
        reportOf(
          b,
          { type: RECORD.isExclude, group: '239.0.0.1', sources: ['10.9.9.9', '10.9.9.8'], other: 8 },
          { type: RECORD.toInclude, group: '239.0.0.2' },
          { type: RECORD.isExclude, group: '239.0.0.3', other: 4 },
          { type: RECORD.isExclude, group: '239.0.0.4' },
        ),
      ['239.0.0.1', '239.0.0.3', '239.0.0.4'],
    ],
    [
      'several records of MLDv2',
      () =>
        reportOf6(
          b,
          { type: RECORD.isExclude, group: 'ff05::1', sources: ['2001:db8::9', '2001:db8::8'] },
          { type: RECORD.isExclude, group: 'ff0e::2' },
        ),
      ['ff05::1', 'ff0e::2'],
    ],
  ] as const) {
    test(what, () => {
      world.send(b, frame());
      assert.deepEqual([groupsOf(world, b), getsAll(world, b), isRouter(world, b)], [groups, false, false]);
    });
  }

  test('whatever its rules let it send', () => {
    assert.equal(world.send(mute, report2(mute)).verdict, 'drop policy_egress');
    assert.deepEqual(groupsOf(world, mute), [G]);
  });

  test('and not what it reports in the name of another', () => {
    assert.equal(world.send(a, report2(b)).verdict, 'drop spoofed_mac');
    assert.equal(
      world.send(a, igmpMessage({ ...own(a), from: b.ip }, { type: IGMP.report2, group: G })).verdict,
      'drop spoofed_ip',
    );
    assert.equal(
      world.send(a, listenerReport2({ ...mld(a), from: linkLocal(b.mac) }, [{ type: 4, group: G6 }])).verdict,
      'drop spoofed_ip',
    );
    for (const guest of all) assert.deepEqual(groupsOf(world, guest), []);
  });

  test('nor in a network whose groups are not looked at, nor while the row is of another', () => {
    world.setFlags(VNI, 0);
    world.send(b, report2(b));
    world.setFlags(VNI, CB_NET_F_SNOOPED);
    writeJoined(world, a, { portId: Buffer.alloc(16, 99) });
    world.send(a, report2(a));
    assert.deepEqual([groupsOf(world, a), groupsOf(world, b)], [[], []]);
  });

  test('nor from another host', () => {
    const ip = { src: FAR, from: '10.0.0.77' };
    world.receive({ vni: VNI, from: HOST }, igmpMessage(ip, { type: IGMP.report2, group: G }));
    for (const guest of all) assert.deepEqual(groupsOf(world, guest), []);
  });

  test('and stays in one place', () => {
    world.send(b, report2(b));
    age(world, b, CB_GROUP_SECONDS / 2);
    world.send(b, reportOf(b, { type: RECORD.isExclude, group: G }));
    age(world, b, CB_GROUP_SECONDS / 2 + 10);
    assert.deepEqual([groupsOf(world, b), joined(world, b).used], [[G], 1n]);
  });
});

describe('a membership ends', () => {
  const other = { group: '239.9.9.9' } as const;
  const gets = (): boolean => from(a, data(a)) === 'b host';
  /** What was left until now was asked for, without an answer. */
  const askedWhatWasLeft = (): void => setAsked(world, b, { leftNs: 0n });

  for (const [what, answer] of [
    ['of version 3', () => reportOf(b, { type: RECORD.isExclude, ...other })],
    ['of version 3, some sources', () => reportOf(b, { type: RECORD.isInclude, ...other, sources: ['10.9.9.9'] })],
    ['of version 2', () => report2(b, other.group)],
  ] as const) {
    test(`when its guest has answered without it for long (${what})`, () => {
      world.send(b, report2(b));
      world.send(b, answer());
      assert.equal(gets(), true);
      age(world, b, CB_GROUP_SECONDS + 1);
      assert.equal(gets(), true);
      world.send(b, answer());
      assert.equal(gets(), false);
    });
  }

  test('not by a guest that answers nothing, whatever it joins meanwhile: its own firewall may drop the questions', () => {
    world.send(b, reportOf(b, { type: RECORD.toExclude, group: G }));
    for (let n = 0; n < 3; n++) {
      age(world, b, CB_GROUP_SECONDS + 1);
      world.send(b, reportOf(b, { type: RECORD.toExclude, ...other }));
      world.send(b, reportOf(b, { type: RECORD.allow, group: '239.9.9.8', sources: ['10.9.9.9'] }));
      world.send(b, reportOf6(b, { type: RECORD.isExclude, group: G6 }));
      assert.equal(gets(), true);
    }
  });

  test('of IPv6 by an answer of IPv6', () => {
    world.send(b, reportOf6(b, { type: RECORD.toExclude, group: G6 }));
    age(world, b, CB_GROUP_SECONDS + 1);
    world.send(b, report2(b));
    assert.equal(from(a, data6(a)), 'b host');
    world.send(b, reportOf6(b, { type: RECORD.isExclude, group: 'ff05::6' }));
    assert.equal(from(a, data6(a)), 'host');
  });

  for (const [what, join, leave] of [
    ['IGMPv2', () => report2(b), () => igmpMessage(own(b), { type: IGMP.leave, group: G })],
    ['IGMPv3', () => report2(b), () => reportOf(b, { type: RECORD.toInclude, group: G })],
    [
      'MLDv1',
      () => listenerReport(mld(b, G6), { group: G6 }),
      () => listenerReport(mld(b, 'ff02::2'), { group: G6, done: true }),
    ],
    [
      'MLDv2',
      () => reportOf6(b, { type: RECORD.toExclude, group: G6 }),
      () => reportOf6(b, { type: RECORD.toInclude, group: G6 }),
    ],
  ] as const) {
    const inIt = (): boolean => from(a, what.startsWith('IGMP') ? data(a) : data6(a)) === 'b host';
    test(`when it was left by ${what}, and nobody behind the port answers a question`, () => {
      world.send(b, join());
      world.send(b, leave());
      assert.equal(inIt(), true, 'others behind its port may still be in it');
      askedWhatWasLeft();
      assert.equal(inIt(), false);
      world.send(b, join());
      assert.equal(inIt(), true);
    });

    test(`which somebody who answers prevents (${what})`, () => {
      world.send(b, join());
      world.send(b, leave());
      world.send(b, join());
      askedWhatWasLeft();
      assert.equal(inIt(), true);
    });

    test(`without a question in time, also of a guest that answers none (${what})`, () => {
      world.send(b, join());
      world.send(b, leave());
      age(world, b, CB_GROUP_SECONDS / 2);
      world.send(b, leave());
      assert.equal(inIt(), true);
      age(world, b, CB_GROUP_SECONDS / 2 + 1);
      assert.equal(inIt(), false);
    });
  }

  test('not when it was left after the question', () => {
    world.send(b, report2(b));
    askedWhatWasLeft();
    world.send(b, igmpMessage(own(b), { type: IGMP.leave, group: G }));
    assert.equal(gets(), true);
  });

  test('not by one source that is not wanted any more', () => {
    world.send(b, report2(b));
    world.send(b, reportOf(b, { type: RECORD.block, group: G, sources: ['10.9.9.9'] }));
    askedWhatWasLeft();
    assert.equal(gets(), true);
  });

  test('not by what another guest, or another host, says', () => {
    world.send(b, report2(b));
    world.send(c, igmpMessage(own(c), { type: IGMP.leave, group: G }));
    world.receive({ vni: VNI, from: HOST }, igmpMessage({ src: FAR, from: b.ip }, { type: IGMP.leave, group: G }));
    askedWhatWasLeft();
    assert.equal(gets(), true);
  });
});

describe('a guest that cannot be followed gets all', () => {
  const group = (n: number): string => `239.7.${n >> 8}.${n & 0xff}`;

  test('once it is in more groups than there are places; what is free again is used', () => {
    for (let n = 0; n < CB_VIF_GROUPS; n++) world.send(b, report2(b, group(n)));
    assert.deepEqual([groupsOf(world, b).length, getsAll(world, b)], [CB_VIF_GROUPS, false]);
    world.send(b, report2(b, group(CB_VIF_GROUPS)));
    assert.equal(getsAll(world, b), true);
    assert.equal(from(a, data(a, group(1000))), 'b host');
    age(world, b, CB_GROUP_SECONDS + 1);
    world.send(b, reportOf(b, { type: RECORD.toExclude, group: group(500) }));
    assert.equal(getsAll(world, b), true, 'whoever answers nothing keeps its places');
    age(world, b, CB_GROUP_SECONDS + 1);
    world.send(b, igmpMessage(own(b), { type: IGMP.leave, group: group(3) }));
    setAsked(world, b, { leftNs: 0n });
    world.send(b, reportOf(b, { type: RECORD.toExclude, group: group(500) }));
    assert.deepEqual([groupsOf(world, b), getsAll(world, b)], [[group(500)], false], 'what was left is free');
    world.send(b, reportOf(b, { type: RECORD.isExclude, group: group(500) }));
    world.send(b, report2(b, group(501)));
    assert.deepEqual([groupsOf(world, b), getsAll(world, b)], [[group(500), group(501)], false]);
  });

  test('and so takes no place of others', () => {
    for (let n = 0; n <= 2 * CB_VIF_GROUPS; n++) world.send(b, report2(b, group(n)));
    world.send(c, report2(c));
    assert.deepEqual([groupsOf(world, c), getsAll(world, c)], [[G], false]);
  });

  test('by a report with more records than are read', () => {
    const records = Array.from({ length: CB_GROUP_RECORDS + 1 }, () => ({ type: RECORD.isExclude, group: G }));
    world.send(b, igmpReport3(own(b), records.slice(1)));
    assert.equal(getsAll(world, b), false);
    world.send(b, igmpReport3(own(b), records));
    assert.equal(getsAll(world, b), true);
  });

  test('by more reports than are read', () => {
    const left = (): bigint => joined(world, b).reportsNs;
    const before = left();
    world.send(b, report2(b));
    assert.ok(left() > before, 'each takes some of what is left');
    writeJoined(world, b, { ...joined(world, b), reportsNs: process.hrtime.bigint() + HOUR_NS });
    world.send(b, report2(b));
    assert.equal(getsAll(world, b), true);
    assert.equal(getsAll(world, c), false);
    age(world, b, 2 * 3600);
    world.send(b, report2(b));
    assert.deepEqual([groupsOf(world, b), getsAll(world, b)], [[G], false]);
  });

  const whole = (): Buffer => reportOf(b, { type: RECORD.isExclude, group: G, sources: ['10.9.9.9'] });
  const cut = (frame: Buffer, bytes: number): Buffer => {
    const ip = frame.subarray(14 + 24, frame.length - bytes);
    return ipv4({ ...own(b), dst: multicastMac('224.0.0.22'), to: '224.0.0.22', ttl: 1, options: 4 }, PROTO.igmp, ip);
  };
  for (const [what, frame] of [
    ['ends in a record', () => cut(whole(), 9)],
    ['ends in its header', () => cut(whole(), 17)],
    ['has but a type', () => cut(whole(), 19)],
    ['says that it has more records', () => igmpReport3(own(b), [{ type: RECORD.isExclude, group: G }], 65_535)],
    [
      'has more sources than fit',
      () => {
        const bytes = reportOf(b, { type: RECORD.isExclude, group: G }, { type: RECORD.isExclude, group: G });
        bytes.writeUInt16BE(65_535, 14 + 24 + 8 + 2);
        return bytes;
      },
    ],
    [
      'is of version 2 and ends before its group',
      () => {
        const ip = { ...own(b), dst: multicastMac(G), to: G, ttl: 1 };
        return ipv4(ip, PROTO.igmp, Buffer.from([IGMP.report2, 0, 0, 0]));
      },
    ],
    [
      'is a fragment',
      () => {
        const ip = { ...own(b), dst: multicastMac(G), to: G, moreFragments: true, id: 7 };
        return ipv4(ip, PROTO.igmp, Buffer.from([IGMP.report2, 0, 0, 0, 239, 1, 2, 3]));
      },
    ],
  ] as const) {
    test(`by a report that ${what}`, () => {
      world.send(b, frame());
      assert.equal(getsAll(world, b), true);
    });
  }

  test('and by one whose group is in the padding alone', () => {
    const ip = { ...own(b), dst: multicastMac(G), to: G, ttl: 1 };
    const short = ipv4(ip, PROTO.igmp, Buffer.from([IGMP.report2, 0, 0, 0]));
    world.send(b, Buffer.concat([short, Buffer.from([239, 1, 2, 3]), Buffer.alloc(20)]));
    assert.deepEqual([groupsOf(world, b), getsAll(world, b)], [[], true]);
  });
});

describe('a packet to a group', () => {
  test('goes to those who have joined it, and to other hosts', () => {
    assert.equal(from(a, data(a)), 'host');
    world.send(b, report2(b));
    world.send(c, reportOf(c, { type: RECORD.isInclude, group: G, sources: ['10.9.9.9'] }));
    assert.equal(from(a, data(a)), 'b c host');
    assert.equal(from(a, data(a, '239.1.2.4')), 'host');
  });

  test('of IPv6 as well', () => {
    world.send(b, reportOf6(b, { type: RECORD.isExclude, group: G6 }));
    assert.equal(from(a, data6(a)), 'b host');
    assert.equal(from(a, data6(a, 'ff05::6')), 'host');
  });

  test('that another host sends goes to those who have joined it', () => {
    world.send(b, report2(b));
    const frame = udp({ src: FAR, dst: multicastMac(G), from: '10.0.0.77', to: G }, { sport: 1, dport: 2 });
    assert.equal(
      receivers(() => world.receive({ vni: VNI, from: HOST }, frame)),
      'b',
    );
  });

  for (const group of ['224.0.0.1', '224.0.0.251', 'ff02::fb', 'ff02::1:ff00:1', 'ff01::1']) {
    test(`of the link goes to all: ${group}`, () => {
      assert.equal(from(a, group.includes(':') ? data6(a, group) : data(a, group)), 'b c mute host');
    });
  }

  test('goes to all where groups are not looked at, and so does what is for all', () => {
    const toAll = udp({ ...own(a), dst: 'ff:ff:ff:ff:ff:ff', to: '255.255.255.255' }, { sport: 1, dport: 2 });
    assert.equal(from(a, toAll), 'b c mute host');
    world.setFlags(VNI, 0);
    assert.equal(from(a, data(a)), 'b c mute host');
  });

  const HOUR = 3_600_000_000_000n;
  for (const [what, change] of [
    ['that was not asked', () => beginAsking(world, b)],
    ['that has yet to answer', () => setAsked(world, b, { fromNs: HOUR })],
    ['that nobody asks any more', () => setAsked(world, b, { untilNs: -1n })],
    [
      'whose number was asked when it was of another',
      () => {
        world.write(MAPS.cb_asked_2, b.vif, {
          portId: Buffer.alloc(16, 99),
          fromNs: 1n,
          untilNs: 1n << 62n,
          leftNs: 0n,
        });
      },
    ],
    ['of whose number another is known', () => writeJoined(world, b, { portId: Buffer.alloc(16, 99) })],
    [
      'of which nothing was ever written',
      () => {
        world.write(MAPS.cb_asked_2, b.vif, { portId: new Uint8Array(16), fromNs: 0n, untilNs: 0n, leftNs: 0n });
        writeJoined(world, b, { portId: new Uint8Array(16) });
      },
    ],
  ] as const) {
    test(`goes to a guest ${what}`, () => {
      change();
      assert.equal(from(a, data(a)), 'b host');
    });
  }
});

describe('a report', () => {
  const router = (guest: Guest): void => {
    world.send(guest, igmpMessage(own(guest), { type: IGMP.query, group: '0.0.0.0', maxResponse: 100 }));
  };

  for (const [what, frame] of [
    ['of IGMPv1', () => igmpMessage(own(a), { type: IGMP.report1, group: G })],
    ['of IGMPv2', () => report2(a)],
    [
      'of IGMPv2, to another group',
      () => igmpMessage({ ...own(a), to: '224.0.0.1' }, { type: IGMP.report2, group: G }),
    ],
    [
      'of IGMPv2, to all by its MAC',
      () => igmpMessage({ ...own(a), dst: 'ff:ff:ff:ff:ff:ff' }, { type: IGMP.report2, group: G }),
    ],
    ['of IGMPv2, of a group of the link', () => report2(a, '224.0.0.251')],
    ['that a group is left', () => igmpMessage(own(a), { type: IGMP.leave, group: G })],
    ['of IGMPv3', () => reportOf(a, { type: RECORD.isExclude, group: G })],
    ['of MLDv1', () => listenerReport(mld(a, G6), { group: G6 })],
    ['of MLDv1, of a group of the link', () => listenerReport(mld(a, 'ff02::fb'), { group: 'ff02::fb' })],
    ['done', () => listenerReport(mld(a, 'ff02::2'), { group: G6, done: true })],
    ['of MLDv2', () => reportOf6(a, { type: RECORD.isExclude, group: G6 })],
  ] as const) {
    test(`${what} goes to routers and other hosts alone, whoever is in the group`, () => {
      world.send(b, report2(b));
      world.send(b, listenerReport(mld(b, G6), { group: G6 }));
      assert.equal(from(a, frame()), 'host');
      router(c);
      assert.equal(from(a, frame()), 'c host');
      age(world, c, CB_GROUP_SECONDS + 1);
      assert.equal(from(a, frame()), 'host');
    });
  }

  test('goes to none of those who get all for want of knowledge', () => {
    beginAsking(world, b);
    assert.equal(from(a, report2(a)), 'host');
  });

  test('of another host goes to routers', () => {
    router(c);
    const frame = igmpMessage({ src: FAR, from: '10.0.0.77' }, { type: IGMP.report2, group: G });
    assert.equal(
      receivers(() => world.receive({ vni: VNI, from: HOST }, frame)),
      'c',
    );
    const frame6 = listenerReport2({ src: FAR, from: linkLocal(FAR), dst: multicastMac('ff02::16') }, [
      { type: 4, group: G6 },
    ]);
    assert.equal(
      receivers(() => world.receive({ vni: VNI, from: HOST }, frame6)),
      'c',
    );
  });
});

describe('a query of a guest', () => {
  const queries: readonly (readonly [string, (guest: Guest) => Buffer])[] = [
    ['IGMP', (guest) => igmpMessage(own(guest), { type: IGMP.query, group: '0.0.0.0', maxResponse: 0 })],
    ['MLD', (guest) => listenerQuery({ ...own6(guest), dst: multicastMac('ff02::1') }, { maxDelayMs: 0 })],
  ];

  for (const [what, query] of queries) {
    test(`goes to all, and makes its own port a router's, which gets all groups (${what})`, () => {
      world.send(b, report2(b));
      assert.equal(from(c, query(c)), 'a b mute host');
      assert.deepEqual(
        all.map((guest) => isRouter(world, guest)),
        [false, false, true, false],
      );
      assert.equal(from(a, data(a, '239.9.9.9')), 'c host');
      assert.equal(from(a, data6(a)), 'c host');
      assert.deepEqual(groupsOf(world, b), [G], 'nobody else is another');
    });

    test(`is one of few (${what})`, () => {
      const before = joined(world, c).queriesNs;
      assert.equal(world.send(c, query(c)).verdict, 'flood 4 copies');
      assert.ok(joined(world, c).queriesNs > before, 'it takes some of what is left');
      writeJoined(world, c, { ...joined(world, c), queriesNs: process.hrtime.bigint() + HOUR_NS });
      assert.equal(world.send(c, query(c)).verdict, 'drop rate_query');
      assert.equal(world.send(a, query(a)).verdict, 'flood 4 copies', 'and takes nothing of others');
    });
  }

  test('does so by PIM, too', () => {
    const hello = ipv4({ ...own(c), dst: multicastMac('224.0.0.13'), to: '224.0.0.13', ttl: 1 }, 103, Buffer.alloc(8));
    assert.equal(from(c, hello), 'a b mute host');
    assert.equal(isRouter(world, c), true);
    const hello6 = ipv6({ ...own6(b), dst: multicastMac('ff02::d'), to: 'ff02::d', hopLimit: 1 }, 103, Buffer.alloc(8));
    assert.equal(from(b, hello6), 'a c mute host');
    assert.equal(isRouter(world, b), true);
  });

  test('of another host makes nobody a router', () => {
    const frame = igmpMessage({ src: FAR, from: '10.0.0.77' }, { type: IGMP.query, group: '0.0.0.0' });
    assert.equal(
      receivers(() => world.receive({ vni: VNI, from: HOST }, frame)),
      'a b c mute',
    );
    assert.ok(all.every((guest) => !isRouter(world, guest)));
  });
});

describe('the agent asks a guest', () => {
  const at = { src: AGENT_MAC, dst: SERVICE_MAC };
  const down = (guest: Guest) => ({ ...at, from: '198.18.0.1', to: guest.service });
  const down6 = (guest: Guest) => ({
    ...{ ...at, from: 'fdca:b1e0::1', to: `fdca:b1e0::${(guest.vif * 16 + 15).toString(16)}` },
  });
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  for (const [what, group, to] of [
    ['for all that it has joined', '0.0.0.0', '224.0.0.1'],
    ['for one group', G, G],
  ] as const) {
    test(`by IGMP ${what}, in nobody's name`, () => {
      const asked = igmpMessage(down(b), { type: IGMP.query, group, maxResponse: 100 });
      const { verdict, data: frame } = world.serve(asked);
      assert.equal(verdict, 'vif b');
      assert.equal(hex(frame.subarray(0, 12)), hex(Buffer.concat([macBytes(multicastMac(to)), macBytes(SERVICE_MAC)])));
      assert.equal(hex(frame.subarray(26, 34)), hex(Buffer.concat([ipBytes('0.0.0.0'), ipBytes(to)])));
      assert.equal(checksum(frame.subarray(14, 38)), 0, 'its header');
      assert.equal(hex(frame.subarray(38)), hex(asked.subarray(38)));
      assert.equal(frame[22], 1, 'TTL');
      assert.equal(isRouter(world, b), false);
    });
  }

  for (const [what, group, to] of [
    ['for all that it has joined', '::', 'ff02::1'],
    ['for one group', G6, G6],
  ] as const) {
    test(`by MLD ${what}, by its services' address`, () => {
      const { verdict, data: frame } = world.serve(listenerQuery(down6(b), { group, sources: [] }));
      assert.equal(verdict, 'vif b');
      assert.equal(hex(frame.subarray(0, 12)), hex(Buffer.concat([macBytes(multicastMac(to)), macBytes(SERVICE_MAC)])));
      assert.equal(hex(frame.subarray(22, 54)), hex(Buffer.concat([ipBytes('fe80::a9fe:a9fe'), ipBytes(to)])));
      const message = frame.subarray(62);
      const ends = { from: 'fe80::a9fe:a9fe', to };
      assert.equal(checksum(pseudoHeader(ends, PROTO.icmp6, message.length), message), 0, 'its checksum');
      assert.equal(frame[21], 1, 'hop limit');
    });
  }

  for (const [what, frame] of [
    ['a report', () => igmpMessage(down(b), { type: IGMP.report2, group: G })],
    ['a report of IGMPv3', () => igmpReport3(down(b), [{ type: RECORD.isExclude, group: G }])],
    ['less than a message', () => ipv4(down(b), PROTO.igmp, Buffer.from([IGMP.query, 0, 0]))],
    ['a report of MLD', () => listenerReport(down6(b), { group: G6 })],
    ['what MLD says', () => listenerReport2(down6(b), [{ type: RECORD.isExclude, group: G6 }])],
  ] as const) {
    test(`and tells it nothing else: ${what}`, () => assert.equal(world.serve(frame()).verdict, 'drop service'));
  }
});

describe('a guest that comes from another host', () => {
  const places = () =>
    kernelGroupPlaces(
      () => world.map(MAPS.cb_joined_1),
      () => process.hrtime.bigint(),
    );
  const idOf = (guest: Guest): string => formatUuid(Buffer.alloc(16, guest.vif));
  const NOTHING = { groups: [], getsAll: false, isRouter: false };
  const tell = (guest: Guest, told: Partial<JoinedGroups>): void =>
    places().write(guest.vif, idOf(guest), { ...NOTHING, ...told });

  test('has joined what that host tells, however long it says nothing here', () => {
    tell(b, { groups: [G, G6] });
    assert.deepEqual(places().read(b.vif, idOf(b)), { ...NOTHING, groups: [G, G6] });
    for (const seconds of [0, CB_GROUP_SECONDS + 100]) {
      age(world, b, seconds);
      assert.equal(from(a, data(a)), 'b host');
      assert.equal(from(a, data6(a)), 'b host');
      assert.equal(from(a, data(a, '239.9.9.9')), 'host');
    }
    world.send(b, reportOf(b, { type: RECORD.isExclude, group: '239.9.9.9' }));
    assert.equal(from(a, data(a)), 'host', 'it has answered, and does not speak of it');
  });

  test('is out of what it leaves there, and out of nothing that it has joined here', () => {
    tell(b, { groups: [G, G6] });
    tell(b, { groups: [G6] });
    assert.deepEqual([from(a, data(a)), from(a, data6(a))], ['host', 'b host']);
    world.send(b, reportOf(b, { type: RECORD.isExclude, group: '239.9.9.9' }));
    tell(b, { groups: [G] });
    assert.equal(from(a, data(a, '239.9.9.9')), 'b host');
    assert.deepEqual([from(a, data(a)), from(a, data6(a))], ['b host', 'b host']);
  });

  test('gets all, or is a router, as it was there, and where not all fits', () => {
    tell(b, { getsAll: true });
    assert.equal(from(a, data(a)), 'b host');
    tell(c, { isRouter: true });
    assert.deepEqual(places().read(c.vif, idOf(c)), { ...NOTHING, isRouter: true });
    assert.equal(from(a, report2(a)), 'c host');
    const many = (first: number) => Array.from({ length: CB_VIF_GROUPS }, (_, n) => `239.1.${first}.${n}`);
    tell(mute, { groups: many(1) });
    assert.equal(getsAll(world, mute), false);
    assert.equal(from(a, data(a, '239.1.1.31')), 'b c mute host');
    writeJoined(world, mute, { ...joined(world, mute), answeredS: [1, 1] });
    tell(mute, { groups: many(2) });
    assert.equal(getsAll(world, mute), true);
  });

  test('is nobody else', () => {
    tell(b, { groups: [G] });
    assert.equal(places().read(b.vif, idOf(c)), undefined);
    assert.equal(places().read(60_000, idOf(c)), undefined);
  });
});

test('a trace learns nothing, and tells how many are passed over', () => {
  const pins = `/sys/fs/bpf/cable-test-snoop-${randomBytes(6).toString('hex')}`;
  const traced = new World(4, undefined, { pinnedMaps: `${pins}/maps` });
  try {
    const guests = [1, 2, 3].map((n) => traced.addGuest(`g${n}`, { mac: mac(n), ip: `10.0.0.${n}`, vni: VNI }));
    const [sender, member, other] = guests;
    assert.ok(sender !== undefined && member !== undefined && other !== undefined);
    snoop(traced, VNI);
    traced.setFlood(VNI, [...guests.map((guest) => ({ guest })), { host: HOST }]);
    for (const guest of guests) {
      beginAsking(traced, guest);
      setAsked(traced, guest);
    }
    traced.trace(other, report2(other));
    assert.deepEqual(groupsOf(traced, other), []);
    traced.send(member, report2(member));
    const told = (frame: Buffer): unknown =>
      traced
        .trace(sender, frame)
        .steps.filter(({ kind }) => kind === CB_STEP_COPY || kind === CB_STEP_PASSED_OVER)
        .map(({ kind, id, a: what }) => [kind, id, what]);
    assert.deepEqual(told(data(sender)), [
      [CB_STEP_COPY, member.vif, CB_FLOOD_VIF],
      [CB_STEP_COPY, traced.tunnel(HOST), CB_FLOOD_TUNNEL],
      [CB_STEP_PASSED_OVER, 1, 0],
    ]);
    assert.deepEqual(told(report2(sender)), [
      [CB_STEP_COPY, traced.tunnel(HOST), CB_FLOOD_TUNNEL],
      [CB_STEP_PASSED_OVER, 2, 1],
    ]);
  } finally {
    traced.close();
    removePins(pins);
  }
});
