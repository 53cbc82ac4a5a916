import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { CB_FLOOD_TUNNEL, CB_FLOOD_VIF, CB_VIF_F_ADMIN_UP, cbNet, cbVif } from '../bpf/abi.gen.ts';
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
  return { net: 1, address, mac: Uint8Array.of(2, 0, 0, 0, 0, mac), vif: 0, isHere: false, ...fields };
}

/** Announces, and gives who was told which MAC (its last byte). */
async function toldOf(
  entries: AnnouncerDeps['entries'],
  moved: readonly MovedAddress[],
  refuse: (ifindex: number) => string | undefined = () => undefined,
): Promise<string[]> {
  const stop = new AbortController();
  const told: string[] = [];
  const send = (ifindex: number, frame: Uint8Array): void => {
    const code = refuse(ifindex);
    if (code !== undefined) throw new NetlinkError('send', code);
    const tag = frame[12] === 0x81 ? ` vlan ${((frame[14] ?? 0) << 8) | (frame[15] ?? 0)}` : '';
    told.push(`${ifindex} ${frame[11]}${tag}`);
  };
  const announcer = new Announcer({ entries, send, log: silentLogger(), signal: stop.signal });
  announcer.announce(moved);
  for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
  stop.abort();
  await announcer.done;
  return told;
}

test('an address that has moved is told to the guests of its network here that are up, but not to its own', async () => {
  const lists = floodLists([
    Array.from({ length: 16 }, (_, n) => ({ vif: 1 + n, up: n !== 3 })),
    [{ vif: 20 }, { vif: 21 }, { tunnel: 5 }],
  ]);
  const told = await toldOf(lists, [movedTo(6, { vif: 2 })]);
  assert.deepEqual(
    told,
    [51, 53, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 70, 71].map((ifindex) => `${ifindex} 6`),
  );
});

test('guests of another network are told nothing, nor is anybody of an IPv6 address', async () => {
  const ipv6 = parseAddress('2001:db8::6');
  assert.ok(ipv6);
  assert.deepEqual(
    await toldOf(floodLists([[{ vif: 1 }]]), [movedTo(6, { net: 2 }), movedTo(6, { address: ipv6 })]),
    [],
  );
});

test('of several moves of one address the last is told, and a guest that is gone keeps it from no other', async () => {
  const lists = floodLists([[1, 2, 3].map((vif) => ({ vif }))]);
  const gone = (ifindex: number): string | undefined => (ifindex === 52 ? 'ENXIO' : undefined);
  assert.deepEqual(await toldOf(lists, [movedTo(6), movedTo(7)], gone), ['51 7', '53 7']);
});

test('a sub-port is told with its tag', async () => {
  const told = await toldOf(floodLists([[{ vif: 1 }, { vif: 2, vlan: 0x123 }]]), [movedTo(6)]);
  assert.deepEqual(told, ['51 6', '52 6 vlan 291']);
});

test('an address that this host has on a physical network is told there, with the tag of its network', async () => {
  const zero = cbNet.decode(new Uint8Array(cbNet.size));
  const row = encodeEntry('cb_net_1', 1, { ...zero, wireId: 100, uplink: 9 });
  const entries = {
    get: (map: string, key: string) => (map === row.map && key === row.key ? (row as Claim) : undefined),
  };
  assert.deepEqual(await toldOf(entries, [movedTo(6, { isHere: true })]), ['9 6 vlan 100']);
  assert.deepEqual(await toldOf(entries, [movedTo(6)]), [], 'of another host’s that one tells');
});
