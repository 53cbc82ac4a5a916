import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { HostLink } from '../desired.ts';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { applyHostLinks, unwantedHostLinks } from './host-links.ts';
import { LinkTable } from './link-table.ts';

const stop = new AbortController();
let socket: NetlinkSocket;
let table: LinkTable;
let done: Promise<void>;

before(async () => {
  enterOwnNamespace();
  socket = new NetlinkSocket();
  table = new LinkTable({ onChange: () => undefined, log: silentLogger(), signal: stop.signal });
  const started = table.start();
  done = started.done;
  await started.ready;
});

after(async () => {
  stop.abort();
  await done;
  socket.close();
});

const LINK: HostLink = {
  portId: 'aaaaaaaa-bbbb-4ccc-8ddd-000000000001',
  name: 'cbaaaaaaaa-bb',
  vifName: 'cvaaaaaaaa-bb',
  macAddress: 'fa:16:3e:00:00:05',
  mtuBytes: 1450,
  addresses: ['10.0.0.5/24'],
  routes: [{ destination: '10.9.0.0/16', gateway: '10.0.0.254' }],
};

function apply(link: HostLink): ReturnType<typeof applyHostLinks> {
  return applyHostLinks(new Map([[link.portId, link]]), { socket, log: silentLogger() });
}

test('a link is made as wanted, taken as it is when it is so, and brought to what is wanted now', () => {
  ip('route add 192.0.2.0/24 dev lo');
  assert.deepEqual(apply(LINK), { changed: true, failures: new Map() });
  assert.deepEqual(apply(LINK), { changed: false, failures: new Map() });
  assert.match(ip('route show dev cbaaaaaaaa-bb proto 67'), /^10\.9\.0\.0\/16 via 10\.0\.0\.254/);
  const routes = [{ destination: '10.8.0.0/16', gateway: '10.0.0.254' }];
  apply({ ...LINK, addresses: ['10.0.0.6/24'], routes, mtuBytes: 1400 });
  assert.match(ip('addr show dev cbaaaaaaaa-bb'), /mtu 1400.*inet 10\.0\.0\.6\/24/s);
  assert.match(ip('route show dev cbaaaaaaaa-bb proto 67'), /^10\.8\.0\.0\/16 via 10\.0\.0\.254\s*$/);
  assert.match(ip('route show 192.0.2.0/24'), /dev lo/);
});

test('a link that cannot be made fails alone, with the reason', () => {
  const bad = { ...LINK, portId: 'other', name: 'lo', vifName: 'lo' };
  const { failures } = applyHostLinks(
    new Map([
      ['other', bad],
      [LINK.portId, LINK],
    ]),
    { socket, log: silentLogger() },
  );
  assert.deepEqual([...failures.keys()], ['other']);
  assert.match(failures.get('other') ?? '', /EEXIST/);
});

test('of which no port is wanted: our links, and nobody else’s of such a name', () => {
  ip('tuntap add cb01234567-89 mode tap');
  table.catchUp();
  const names = (wanted: Parameters<typeof unwantedHostLinks>[0]) =>
    unwantedHostLinks(wanted, table.values()).map(({ name }) => name);
  assert.deepEqual(names(new Map()), ['cbaaaaaaaa-bb']);
  assert.deepEqual(names(new Map([[LINK.portId, LINK]])), []);
});
