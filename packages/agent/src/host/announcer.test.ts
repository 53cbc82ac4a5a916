import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { CB_FLOOD_TUNNEL, CB_FLOOD_VIF, CB_VIF_F_ADMIN_UP, cbEndpoint, cbNet, cbVif } from '../bpf/abi.gen.ts';
import { NetlinkError } from '../ffi/errno.ts';
import { parseAddress } from '../plan/address.ts';
import type { Claim } from '../plan/claims.ts';
import { encodeEntry, type Planned } from '../plan/entries.ts';
import type { MovedAddress } from '../reconcile/moved-addresses.ts';
import { Announcer, type AnnouncerDeps } from './announcer.ts';

/** A port of this host by its VIF number, whose device is 50 more; or another host. */
type Target = { readonly vif: number; readonly up?: boolean; readonly vlan?: number } | { readonly tunnel: number };

/** Broadcast of network 1 goes to these, of any other to nobody. */
function floodLists(chunks: readonly (readonly Target[])[]): AnnouncerDeps['entries'] {
  const entries = chunks.flatMap((targets, chunk) => {
    const target = targets.map((one) =>
      'vif' in one
        ? { kind: CB_FLOOD_VIF, flags: 0, id: one.vif }
        : { kind: CB_FLOOD_TUNNEL, flags: 0, id: one.tunnel },
    );
    return [
      encodeEntry('cb_flood_2', { net: 1, list: 0, purpose: 0, chunk }, { count: target.length, target }),
      ...targets.flatMap((one) => ('vif' in one ? vifRow(one.vif, one.up ?? true, one.vlan ?? 0) : [])),
    ];
  });
  return { get: (map, key) => entries.find((one) => one.map === map && one.key === key) as Claim | undefined };
}

function vifRow(vif: number, up: boolean, vlan: number): Planned {
  const zero = cbVif.decode(new Uint8Array(cbVif.size));
  return encodeEntry('cb_vif_2', vif, { ...zero, ifindex: 50 + vif, vlan, flags: up ? CB_VIF_F_ADMIN_UP : 0 });
}

function movedTo(mac: number, fields: Partial<MovedAddress> = {}): MovedAddress {
  const address = parseAddress('10.0.0.6');
  assert.ok(address);
  return { net: 1, address, mac: Uint8Array.of(2, 0, 0, 0, 0, mac), vif: 0, isHere: false, isRouter: false, ...fields };
}

type Told = {
  readonly announcer: Announcer;
  /** Who was told which MAC (its last byte), with `v6` if by IPv6. */
  readonly told: string[];
  /** What is to be done later. */
  readonly later: (() => void)[];
  readonly settle: () => Promise<void>;
};

/** An announcer until the test ends. */
function start(
  t: TestContext,
  entries: AnnouncerDeps['entries'],
  refuse: (ifindex: number) => string | undefined = () => undefined,
): Told {
  const stop = new AbortController();
  const told: string[] = [];
  const later: (() => void)[] = [];
  const send = (ifindex: number, frame: Uint8Array): void => {
    const code = refuse(ifindex);
    if (code !== undefined) throw new NetlinkError('send', code);
    const isTagged = frame[12] === 0x81;
    const tag = isTagged ? ` vlan ${((frame[14] ?? 0) << 8) | (frame[15] ?? 0)}` : '';
    told.push(`${ifindex} ${frame[11]}${tag}${frame[isTagged ? 16 : 12] === 0x86 ? ' v6' : ''}`);
  };
  const after = (ms: number, call: () => void): void => {
    assert.equal(ms, 1000);
    later.push(call);
  };
  const announcer = new Announcer({ entries, send, after, log: silentLogger(), signal: stop.signal });
  t.after(async () => {
    stop.abort();
    await announcer.done;
  });
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
  };
  return { announcer, told, later, settle };
}

async function toldOf(
  t: TestContext,
  entries: AnnouncerDeps['entries'],
  moved: readonly MovedAddress[],
  refuse?: (ifindex: number) => string | undefined,
): Promise<string[]> {
  const { announcer, told, settle } = start(t, entries, refuse);
  announcer.announce(moved);
  await settle();
  return told;
}

test('an address that has moved is told to the guests of its network here that are up, but not to its own', async (t) => {
  const lists = floodLists([
    Array.from({ length: 16 }, (_, n) => ({ vif: 1 + n, up: n !== 3 })),
    [{ vif: 20 }, { vif: 21 }, { tunnel: 5 }],
  ]);
  const told = await toldOf(t, lists, [movedTo(6, { vif: 2 })]);
  assert.deepEqual(
    told,
    [51, 53, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 70, 71].map((ifindex) => `${ifindex} 6`),
  );
});

test('guests of another network are told nothing; of an IPv6 address they are told by IPv6', async (t) => {
  const address = parseAddress('2001:db8::6');
  assert.ok(address);
  const moved = [movedTo(6, { net: 2 }), movedTo(7, { address })];
  assert.deepEqual(await toldOf(t, floodLists([[{ vif: 1 }, { vif: 2, vlan: 5 }]]), moved), [
    '51 7 v6',
    '52 7 vlan 5 v6',
  ]);
});

test('of several moves of one address the last is told, and a guest that is gone keeps it from no other', async (t) => {
  const lists = floodLists([[1, 2, 3].map((vif) => ({ vif }))]);
  const gone = (ifindex: number): string | undefined => (ifindex === 52 ? 'ENXIO' : undefined);
  assert.deepEqual(await toldOf(t, lists, [movedTo(6), movedTo(7)], gone), ['51 7', '53 7']);
});

test('a sub-port is told with its tag', async (t) => {
  const told = await toldOf(t, floodLists([[{ vif: 1 }, { vif: 2, vlan: 0x123 }]]), [movedTo(6)]);
  assert.deepEqual(told, ['51 6', '52 6 vlan 291']);
});

const ROW = encodeEntry('cb_net_1', 1, { ...cbNet.decode(new Uint8Array(cbNet.size)), wireId: 100, uplink: 9 });

/** Network 1 is on a physical network; who has addresses in it is read anew each time. */
function onUplink(holders: () => readonly Planned[]): AnnouncerDeps['entries'] {
  return {
    get: (map, key) => [ROW, ...holders()].find((one) => one.map === map && one.key === key) as Claim | undefined,
  };
}

function holder({ net, address, vif, mac }: MovedAddress): Planned {
  const zero = cbEndpoint.decode(new Uint8Array(cbEndpoint.size));
  return encodeEntry('cb_ep_2', { net, addr: address }, { ...zero, vif, mac });
}

test('an address that this host has on a physical network is told there, with the tag of its network', async (t) => {
  const entries = onUplink(() => []);
  assert.deepEqual(await toldOf(t, entries, [movedTo(6, { isHere: true })]), ['9 6 vlan 100']);
  assert.deepEqual(await toldOf(t, entries, [movedTo(6)]), [], 'of another host’s that one tells');
});

test('outside it is told three times, as long as it is here, and guests once', async (t) => {
  const moved = movedTo(6, { isHere: true, vif: 4 });
  const lists = floodLists([[{ vif: 1 }]]);
  let held = [holder(moved)];
  const uplink = onUplink(() => held);
  const entries: AnnouncerDeps['entries'] = { get: (map, key) => uplink.get(map, key) ?? lists.get(map, key) };
  const { announcer, told, later, settle } = start(t, entries);
  const next = async (): Promise<readonly string[]> => {
    later.shift()?.();
    await settle();
    return told.splice(0);
  };
  announcer.announce([moved]);
  await settle();
  assert.deepEqual(told.splice(0), ['9 6 vlan 100', '51 6']);
  assert.deepEqual([await next(), await next()], [['9 6 vlan 100'], ['9 6 vlan 100']]);
  assert.equal(later.length, 0, 'that was the last time');

  for (const [who, now] of [
    ['nobody', []],
    ['another host', [holder({ ...moved, vif: 0 })]],
    ['another MAC', [holder(movedTo(7, { vif: 4 }))]],
  ] as const) {
    held = [holder(moved)];
    announcer.announce([moved]);
    await settle();
    assert.equal(told.splice(0).length, 2);
    held = [...now];
    assert.deepEqual([await next(), later.length], [[], 0], `${who} has it now`);
  }

  held = [holder(moved)];
  announcer.announce([moved]);
  await settle();
  announcer.announce([moved]);
  await settle();
  told.splice(0);
  assert.deepEqual(
    [await next(), await next(), later.length],
    [['9 6 vlan 100'], ['9 6 vlan 100'], 0],
    'from the last on',
  );
});
