import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { LinkTable } from './link-table.ts';
import { type OwnLinkKeeper, startOwnLinkKeeper } from './own-link-keeper.ts';
import { ensureOwnLinks, OWN_NAMES, type OwnLinks, ownLinkFaults } from './own-links.ts';

const MTU = 1450;
const stop = new AbortController();
let socket: NetlinkSocket;
let table: LinkTable;
let keeper: OwnLinkKeeper;
let own: OwnLinks;
let done: Promise<unknown>;

before(async () => {
  enterOwnNamespace();
  socket = new NetlinkSocket();
  own = ensureOwnLinks(socket, { mtuBytes: MTU });
  const names: ReadonlySet<string> = new Set(OWN_NAMES);
  const log = silentLogger();
  const { signal } = stop;
  table = new LinkTable({
    onChange: (changes) => {
      if ([...changes.names].some((name) => names.has(name))) keeper?.check();
    },
    log,
    signal,
  });
  const started = table.start();
  await started.ready;
  const onRemade = (made: OwnLinks): void => {
    own = made;
  };
  keeper = startOwnLinkKeeper({ own, mtuBytes: () => MTU, socket, links: table, onRemade, log, signal });
  done = Promise.all([started.done, keeper.done]);
});

after(async () => {
  stop.abort();
  await done;
  socket.close();
});

async function restored(): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    await delay(5);
    if (table.catchUp() && ownLinkFaults(own, table, MTU).length === 0) return;
    assert.ok(performance.now() < deadline, ownLinkFaults(own, table, MTU).join(', '));
  }
}

const DAMAGES: readonly (readonly [string, string, RegExp])[] = [
  ['set down', 'link set cable0 down', /cable0 is down/],
  ["the vrouter's end set down", 'link set cable1 down', /cable1 is down/],
  ['the overlay set down', 'link set cablevx down', /cablevx is down/],
  ['its address flushed', 'addr flush dev cable0', /addresses of cable0 are \[\], not 198\.18\.0\.1\/15/],
  [
    'another address given',
    'addr add 192.0.2.1/24 dev cable0',
    /addresses of cable0 are \[198\.18\.0\.1\/15 192\.0\.2\.1\/24\]/,
  ],
  ['its MTU changed', 'link set cable0 mtu 1300', /the MTU of cable0 is 1300, not 1450/],
  ['the MTU of the overlay changed', 'link set cablevx mtu 1300', /the MTU of cablevx is 1300/],
  ['ARP turned on', 'link set cable0 arp on', /cable0 speaks ARP/],
  ['another MAC', 'link set cable0 address 02:00:00:00:00:77', /the MAC of cable0 is 02:00:00:00:00:77/],
  ['deleted', 'link delete cable0', /cable0 is gone, cable1 is gone/],
  ['the overlay deleted', 'link delete cablevx', /cablevx is gone/],
  ['renamed', 'link set cable1 down name other', /cable1 is gone/],
];

for (const [what, command, says] of DAMAGES) {
  test(`an own link is put right when the event comes: ${what}`, async () => {
    await restored();
    const before = own;
    ip(command);
    assert.equal(table.catchUp(), true);
    assert.match(ownLinkFaults(before, table, MTU).join(', '), says);
    if (what === 'renamed') ip('link delete other');
    await restored();
  });
}

test("a device of another's is not touched", async () => {
  ip('link add foreign type veth peer name foreign1');
  ip('link set foreign mtu 1280');
  await restored();
  ip('link set cable0 down');
  await restored();
  const [foreign] = JSON.parse(ip('-j link show foreign'));
  assert.deepEqual([foreign.mtu, foreign.flags.includes('UP')], [1280, false]);
  ip('link delete foreign');
});
