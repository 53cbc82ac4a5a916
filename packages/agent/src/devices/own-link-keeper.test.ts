import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import type { Netns } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { openFragmenterNamespace, removeFragmenterNamespace } from './fragmenter.ts';
import { LinkTable } from './link-table.ts';
import { type OwnLinkKeeper, startOwnLinkKeeper } from './own-link-keeper.ts';
import { ensureOwnLinks, OWN_NAMES, type OwnLinks, ownLinkFaults } from './own-links.ts';
import { openServiceNamespace, removeServiceNamespace } from './service-namespace.ts';

const MTU = 1450;
const stop = new AbortController();
const runDir = mkdtempSync(join(tmpdir(), `cable-keeper-${process.pid}-`));
let socket: NetlinkSocket;
let netns: Netns;
let fragments: Netns;
let table: LinkTable;
let services: LinkTable;
let keeper: OwnLinkKeeper;
let own: OwnLinks;
let done: Promise<unknown>;

before(async () => {
  enterOwnNamespace();
  socket = new NetlinkSocket();
  netns = openServiceNamespace(runDir, socket);
  fragments = openFragmenterNamespace(runDir, socket);
  own = await ensureOwnLinks(socket, { mtuBytes: MTU, netns, fragments });
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
  services = new LinkTable({ onChange: () => keeper?.check(), netns, log, signal });
  const started = [table.start(), services.start()];
  await Promise.all(started.map(({ ready }) => ready));
  const onRemade = (made: OwnLinks): void => {
    own = made;
  };
  keeper = startOwnLinkKeeper({
    own,
    mtuBytes: () => MTU,
    socket,
    netns,
    fragments,
    tables: tables(),
    onRemade,
    log,
    signal,
  });
  done = Promise.all([...started.map((one) => one.done), keeper.done]);
});

after(async () => {
  stop.abort();
  await done;
  socket.close();
  netns.close();
  fragments.close();
  removeServiceNamespace(runDir);
  removeFragmenterNamespace(runDir);
  rmSync(runDir, { recursive: true, force: true });
});

function tables(): { readonly own: LinkTable; readonly services: LinkTable } {
  return { own: table, services };
}

/** In the namespace of the guest services. */
function inside(words: string): void {
  execFileSync('nsenter', [`--net=${netns.path}`, 'ip', ...words.split(' ')]);
}

async function restored(): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    await delay(5);
    if (table.catchUp() && services.catchUp() && ownLinkFaults(own, tables(), MTU).length === 0) return;
    assert.ok(performance.now() < deadline, ownLinkFaults(own, tables(), MTU).join(', '));
  }
}

const DAMAGES: readonly (readonly [string, string, RegExp])[] = [
  ['set down', 'link set cables0 down', /cables0 is down/],
  ["the vrouter's end set down", 'link set cables1 down', /cables1 is down/],
  ['the overlay set down', 'link set cablevx down', /cablevx is down/],
  [
    'its address flushed',
    'addr flush dev cables0',
    /addresses of cables0 are \[\], not \[198\.18\.0\.1\/15 fdca:b1e0::1\/64\]/,
  ],
  [
    'another address given',
    'addr add 192.0.2.1/24 dev cables0',
    /addresses of cables0 are \[198\.18\.0\.1\/15 fdca:b1e0::1\/64 192\.0\.2\.1\/24\]/,
  ],
  ['its MTU changed', 'link set cables0 mtu 1300', /the MTU of cables0 is 1300, not 1450/],
  ['the MTU of the overlay changed', 'link set cablevx mtu 1300', /the MTU of cablevx is 1300/],
  ['ARP turned on', 'link set cables0 arp on', /cables0 speaks ARP/],
  ['another MAC', 'link set cables0 address 02:00:00:00:00:77', /the MAC of cables0 is 02:00:00:00:00:77/],
  ['deleted', 'link delete cables1', /cables0 is gone, cables1 is gone/],
  ['the overlay deleted', 'link delete cablevx', /cablevx is gone/],
  ['renamed', 'link set cables1 down name other', /cables1 is gone/],
];

for (const [what, command, says] of DAMAGES) {
  test(`an own link is put right when the event comes: ${what}`, async () => {
    await restored();
    const before = own;
    if (command.includes(' cables0 ') || command.endsWith(' cables0')) inside(command);
    else ip(command);
    assert.deepEqual([table.catchUp(), services.catchUp()], [true, true]);
    assert.match(ownLinkFaults(before, tables(), MTU).join(', '), says);
    if (what === 'renamed') ip('link delete other');
    await restored();
  });
}

test("a device of another's is not touched", async () => {
  ip('link add foreign type veth peer name foreign1');
  ip('link set foreign mtu 1280');
  await restored();
  ip('link set cables1 down');
  await restored();
  const [foreign] = JSON.parse(ip('-j link show foreign'));
  assert.deepEqual([foreign.mtu, foreign.flags.includes('UP')], [1280, false]);
  ip('link delete foreign');
});
