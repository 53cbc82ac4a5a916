import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { LinkRemover } from '../devices/link-remover.ts';
import { LinkTable } from '../devices/link-table.ts';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { createKernelPodLinks } from './kernel-pod-links.ts';
import { hostLinkName, type PluggedLink, type PodLink, type PodLinks } from './pod-link.ts';

const PORT_ID = 'aaaaaaa0-bbbb-4ccc-8ddd-000000000000';
const HOST_NAME = hostLinkName(PORT_ID);
const stop = new AbortController();
let links: PodLinks;
let close = async (): Promise<void> => undefined;
let one: HeldNamespace;
let two: HeldNamespace;

before(async () => {
  enterOwnNamespace();
  one = await holdNamespace();
  two = await holdNamespace();
  const socket = new NetlinkSocket();
  const remover = new LinkRemover();
  const table = new LinkTable({ onChange: () => undefined, log: silentLogger(), signal: stop.signal });
  const { ready, done } = table.start();
  await ready;
  links = createKernelPodLinks({ socket, remover, links: table });
  close = async () => {
    stop.abort();
    await Promise.all([done, remover.close()]);
    socket.close();
  };
});

after(async () => {
  await close();
  await one?.end();
  await two?.end();
});

function link(containerId: string, changes: Partial<PodLink> = {}): PodLink {
  return {
    owner: {
      portId: PORT_ID,
      plugged: { containerId, interfaceName: 'eth0', networkMark: '000000000000', limits: {} },
    },
    hostName: HOST_NAME,
    name: 'eth0',
    macAddress: 'fa:16:3e:00:00:05',
    mtuBytes: 1450,
    addresses: ['10.0.0.5/24', '2001:db8::5/64'],
    routes: [
      { destination: '0.0.0.0/0', gateway: '10.0.0.1' },
      { destination: '::/0', gateway: '2001:db8::1' },
    ],
    needsDefault: false,
    ...changes,
  };
}

async function plug(into: HeldNamespace, wanted: PodLink): Promise<PluggedLink> {
  const netns = links.open(`/proc/${into.pid}/ns/net`);
  try {
    return await links.plug(netns, wanted);
  } finally {
    netns.close();
  }
}

function names(pid?: number): readonly string[] {
  const shown: { ifname: string }[] = JSON.parse(ip('-j link show', pid));
  return shown.map(({ ifname }) => ifname).filter((name) => name !== 'lo');
}

function containers(): readonly (string | undefined)[] {
  return links.held().map(({ owner }) => owner.plugged?.containerId);
}

test('a link into another container takes the place of the one that has the port, with all that it shall have', async () => {
  await plug(one, link('c1'));
  const { device, routes } = await plug(two, link('c2'));
  assert.deepEqual([names(one.pid), names(two.pid), names()], [[], ['eth0'], [HOST_NAME]]);
  assert.deepEqual(containers(), ['c2']);
  assert.equal(links.held()[0]?.ifindex, device.ifindex);
  assert.equal(routes.length, 2);
  const [shown] = JSON.parse(ip('-j addr show eth0', two.pid));
  assert.ok(shown.flags.includes('LOWER_UP'));
  const own = shown.addr_info.filter(({ scope }: { scope: string }) => scope === 'global');
  assert.deepEqual(
    own.map(({ local }: { local: string }) => local),
    ['10.0.0.5', '2001:db8::5'],
  );
  for (const version of [4, 6]) assert.match(ip(`-${version} route show default`, two.pid), /dev eth0/);
  assert.equal(ip(`-6 addr show dev ${HOST_NAME}`), '', 'the host says nothing of its own on the link');
  await links.unplug(links.held());
  assert.deepEqual([names(), names(two.pid)], [[], []]);
});

test('a link that cannot be made leaves the one that has the port as it is', async () => {
  await plug(one, link('c1'));
  ip('link add eth0 type veth peer name other', two.pid);
  await assert.rejects(plug(two, link('c2')), /the container has an interface eth0 already/);
  ip('link del eth0', two.pid);
  for (const words of ['link add d0 up type veth peer name d1', 'address add 192.0.2.1/24 dev d0']) ip(words, two.pid);
  ip('route add default via 192.0.2.2', two.pid);
  await assert.rejects(plug(two, link('c2', { needsDefault: true })), /has a default route already/);
  ip('link del d0', two.pid);
  assert.deepEqual([names(one.pid), names(two.pid), names(), containers()], [['eth0'], [], [HOST_NAME], ['c1']]);
  await links.unplug(links.held());
});

test('a link that is made again in one container is made anew', async () => {
  const first = await plug(one, link('c1'));
  const again = await plug(one, link('c1'));
  assert.notEqual(first.device.ifindex, again.device.ifindex);
  assert.deepEqual([names(one.pid), names(), containers()], [['eth0'], [HOST_NAME], ['c1']]);
  await links.unplug(links.held());
});
