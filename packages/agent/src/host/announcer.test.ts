import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { CB_FLOOD_REMOTE, CB_FLOOD_VIF, CB_VIF_F_ADMIN_UP, type CbFloodTarget } from '../bpf/abi.gen.ts';
import { NetlinkError } from '../ffi/errno.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import type { Claim } from '../plan/claims.ts';
import { encodeEntry } from '../plan/entries.ts';
import type { MovedAddress } from '../reconcile/moved-addresses.ts';
import { Announcer, type AnnouncerDeps } from './announcer.ts';

const VIF: CbFloodTarget = {
  kind: CB_FLOOD_VIF,
  ifindex: 50,
  policy: 0,
  flags: CB_VIF_F_ADMIN_UP,
  remote: NO_ADDRESS,
};

/** Broadcast of network 101 goes to these, of any other to nobody. */
function floodLists(chunks: readonly (readonly CbFloodTarget[])[]): AnnouncerDeps['entries'] {
  const claims = chunks.map((target, chunk) => {
    const planned = encodeEntry('cb_flood_1', { vni: 101, chunk }, { count: target.length, target });
    return [planned.key, planned as Claim] as const;
  });
  const lists = new Map(claims);
  return { get: (map, key) => (map === 'cb_flood_1' ? lists.get(key) : undefined) };
}

function movedTo(mac: number, fields: Partial<MovedAddress> = {}): MovedAddress {
  const address = parseAddress('10.0.0.6');
  assert.ok(address);
  return { vni: 101, address, mac: Uint8Array.of(2, 0, 0, 0, 0, mac), ifindex: 0, ...fields };
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
    told.push(`${ifindex} ${frame[11]}`);
  };
  const announcer = new Announcer({ entries, send, log: silentLogger(), signal: stop.signal });
  announcer.announce(moved);
  for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
  stop.abort();
  await announcer.done;
  return told;
}

test('an address that has moved is told to the guests of its network here that are up, but not to its own', async () => {
  const remote = { ...VIF, kind: CB_FLOOD_REMOTE, ifindex: 0 };
  const lists = floodLists([
    Array.from({ length: 16 }, (_, n) => ({ ...VIF, ifindex: 50 + n, flags: n === 3 ? 0 : CB_VIF_F_ADMIN_UP })),
    [{ ...VIF, ifindex: 70 }, { ...VIF, ifindex: 71 }, remote],
  ]);
  const told = await toldOf(lists, [movedTo(6, { ifindex: 51 })]);
  assert.deepEqual(
    told,
    [50, 52, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 70, 71].map((ifindex) => `${ifindex} 6`),
  );
});

test('guests of another network are told nothing, nor is anybody of an IPv6 address', async () => {
  const ipv6 = parseAddress('2001:db8::6');
  assert.ok(ipv6);
  assert.deepEqual(await toldOf(floodLists([[VIF]]), [movedTo(6, { vni: 102 }), movedTo(6, { address: ipv6 })]), []);
});

test('of several moves of one address the last is told, and a guest that is gone keeps it from no other', async () => {
  const lists = floodLists([[50, 51, 52].map((ifindex) => ({ ...VIF, ifindex }))]);
  const gone = (ifindex: number): string | undefined => (ifindex === 51 ? 'ENXIO' : undefined);
  assert.deepEqual(await toldOf(lists, [movedTo(6), movedTo(7)], gone), ['50 7', '52 7']);
});
