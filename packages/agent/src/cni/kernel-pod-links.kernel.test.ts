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

test('two links of one prefix and one gateway: what came to an address is answered by its own interface', async () => {
  const answers = {
    table: 1068,
    from: ['10.0.0.6', '2001:db8::6'],
    routes: [{ destination: '10.0.0.0/24', gateway: null }],
  };
  const { hostName, owner } = link('c1');
  const other = {
    ...{ hostName: hostName.replace('aaaaaaa0', 'aaaaaaa1'), name: 'vpc0', macAddress: 'fa:16:3e:00:00:06' },
    ...{ owner: { ...owner, portId: PORT_ID.replace('aaaaaaa0', 'aaaaaaa1') }, routes: [] },
    addresses: ['10.0.0.6/24', '2001:db8::6/64'],
  };
  const leg = { table: 1067, from: ['10.0.0.5', '2001:db8::5'], routes: link('c1').routes };
  await plug(one, link('c1', { addresses: ['10.0.0.5/32', '2001:db8::5/128'], answers: leg }));
  await plug(one, link('c1', { ...other, answers }));
  const deviceOf = (from: string, to: string): string | undefined =>
    / dev (\S+)/.exec(ip(`route get ${to} from ${from}`, one.pid))?.[1];
  assert.deepEqual(
    [
      deviceOf('10.0.0.5', '10.0.0.9'),
      deviceOf('10.0.0.6', '10.0.0.9'),
      deviceOf('10.0.0.5', '192.0.2.1'),
      deviceOf('2001:db8::5', '2001:db8::9'),
    ],
    ['eth0', 'vpc0', 'eth0', 'eth0'],
  );
  assert.match(ip('route get 10.0.0.9', one.pid), /dev vpc0 src 10\.0\.0\.6/, 'what it begins goes to its VPC');
  const netns = links.open(`/proc/${one.pid}/ns/net`);
  try {
    assert.equal(typeof links.inspect(netns, other.hostName, 'vpc0', answers), 'object');
    ip('rule del from 10.0.0.6', one.pid);
    assert.match(String(links.inspect(netns, other.hostName, 'vpc0', answers)), /answers for 10\.0\.0\.6/);
  } finally {
    netns.close();
  }
  // Made again in one container, over the rules that are there.
  await plug(one, link('c1', { ...other, answers }));
  assert.match(ip('rule show', one.pid), /from 10\.0\.0\.6 lookup 1068/);
  await links.unplug(links.held());
});

test('routes of a link follow what they are to be: others’, default ones and those of another link under its path stay', async () => {
  const answers = { table: 1068, from: ['10.0.0.5'], routes: [{ destination: '10.0.0.0/24', gateway: null }] };
  const by = (destination: string) => ({ destination, gateway: '10.0.0.1' });
  const [gone, kept, come] = [by('10.1.0.0/16'), by('10.2.0.0/16'), by('10.3.0.0/16')];
  await plug(one, link('c1', { routes: [by('0.0.0.0/0'), gone, kept], answers }));
  ip('route add 10.4.0.0/16 dev eth0', one.pid);
  ip('route add 10.5.0.0/16 dev eth0', one.pid);
  const ways = {
    routes: [kept, come, by('10.5.0.0/16')],
    answers: { table: 1068, routes: [...answers.routes, come] },
    defaults: { own: [], other: [], beside: { hostName: 'none', name: 'none' } },
  };
  const follow = (pid: number, name = 'eth0'): string | undefined => {
    const netns = links.open(`/proc/${pid}/ns/net`);
    try {
      return links.follow(netns, HOST_NAME, name, ways);
    } finally {
      netns.close();
    }
  };
  const shown = (words: string): readonly string[] =>
    (JSON.parse(ip(`-j route show ${words}`, one.pid)) as { dst: string }[]).map(({ dst }) => dst).sort();
  assert.equal(follow(one.pid), undefined);
  assert.equal(follow(one.pid), undefined, 'again');
  assert.deepEqual(shown('table main'), [
    '10.0.0.0/24',
    '10.2.0.0/16',
    '10.3.0.0/16',
    '10.4.0.0/16',
    '10.5.0.0/16',
    'default',
  ]);
  assert.deepEqual(shown('table 1068'), ['10.0.0.0/24', '10.3.0.0/16']);
  ways.answers.routes.pop();
  assert.equal(follow(one.pid), undefined);
  assert.deepEqual(shown('table 1068'), ['10.0.0.0/24']);
  ip('link add eth0 type veth peer name other', two.pid);
  assert.match(String(follow(two.pid)), /eth0 is not the other end of cv/);
  assert.match(String(follow(two.pid, 'none')), /none is not the other end/);
  ip('link del eth0', two.pid);
  await links.unplug(links.held());
  assert.match(String(follow(one.pid)), /is not on the host/);
});

test('a default route goes from one link of a container to the other, in one step, and back; another’s stays', async () => {
  const answers = { table: 1068, from: ['10.0.0.5'], routes: [] };
  const ways = (gateway: string) => [
    { destination: '0.0.0.0/0', gateway: `10.0.0.${gateway}` },
    { destination: '::/0', gateway: `2001:db8::${gateway}` },
  ];
  const [own, other] = [ways('1'), ways('2')];
  const { hostName, owner } = link('c1');
  const second = {
    ...{ hostName: hostName.replace('aaaaaaa0', 'aaaaaaa1'), name: 'vpc0', macAddress: 'fa:16:3e:00:00:06' },
    ...{
      owner: { ...owner, portId: PORT_ID.replace('aaaaaaa0', 'aaaaaaa1') },
      addresses: ['10.0.0.6/24', '2001:db8::6/64'],
    },
  };
  await plug(one, link('c1', { routes: other, addresses: ['10.0.0.5/24', '2001:db8::5/64'] }));
  await plug(one, link('c1', { ...second, routes: [], answers }));
  const follow = (defaults: { readonly own: typeof own; readonly other: typeof own }): void => {
    const netns = links.open(`/proc/${one.pid}/ns/net`);
    try {
      const beside = { hostName, name: 'eth0' };
      const all = { routes: [], answers, defaults: { ...defaults, beside } };
      assert.equal(links.follow(netns, second.hostName, 'vpc0', all), undefined);
    } finally {
      netns.close();
    }
  };
  type Shown = { readonly dst: string; readonly dev: string; readonly gateway: string; readonly protocol: string };
  const shown = (): readonly string[] =>
    ['', '-6 '].flatMap((version) =>
      (JSON.parse(ip(`${version}-j route show default`, one.pid)) as Shown[]).map(
        (each) => `${each.dev} ${each.gateway}`,
      ),
    );
  const [byOther, byOwn] = [
    ['eth0 10.0.0.2', 'eth0 2001:db8::2'],
    ['vpc0 10.0.0.1', 'vpc0 2001:db8::1'],
  ];
  for (const _ of ['once', 'again']) {
    follow({ own, other: [] });
    assert.deepEqual(shown(), byOwn);
  }
  follow({ own: [], other });
  assert.deepEqual(shown(), byOther);
  follow({ own: own.slice(0, 1), other: other.slice(1) });
  assert.deepEqual(shown(), [byOwn[0], byOther[1]]);
  ip('route replace default via 10.0.0.9 dev vpc0', one.pid);
  ip('-6 route del default', one.pid);
  follow({ own: own.slice(1), other: other.slice(0, 1) });
  assert.deepEqual(shown(), ['vpc0 10.0.0.9'], 'what is not ours stays, and what neither has is not made');
  await links.unplug(links.held());
});
