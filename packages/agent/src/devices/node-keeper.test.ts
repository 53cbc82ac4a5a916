import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { makeGuard } from './guard.ts';
import { type NodeKeeper, startNodeKeeper } from './node-keeper.ts';

const LINK = 'cb01234567-89';
const stop = new AbortController();
const names: string[] = [];
const said: string[] = [];
let keeper: NodeKeeper;

function sysctl(path: string, value?: string): string {
  if (value !== undefined) writeFileSync(`/proc/sys/${path}`, value);
  return readFileSync(`/proc/sys/${path}`, 'utf8').trim();
}

async function eventually(is: () => boolean): Promise<void> {
  for (const until = performance.now() + 30_000; !is(); ) {
    assert.ok(performance.now() < until, 'it did not come');
    keeper.check();
    await delay(20);
  }
}

function nft(text: string): void {
  execFileSync('nft', ['-f', '-'], { input: text.replaceAll('}', '\n}\n') });
}

const warned = (pattern: RegExp): boolean => keeper.status().warnings.some(({ what }) => pattern.test(what));

before(() => {
  enterOwnNamespace();
  ip(`link add ${LINK} type veth peer name far`);
  // From then on connections are tracked.
  const socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
  makeGuard(socket, { tunnelDevices: undefined, nodeLinks: [LINK] });
  socket.close();
  const log = silentLogger();
  keeper = startNodeKeeper({
    links: { names, versions: new Set([4, 6] as const) },
    leavesConntrack: false,
    hasDevice: (name) => name === 'kube-ipvs0' && said.includes(name),
    log,
    signal: stop.signal,
  });
});

after(async () => {
  stop.abort();
  await keeper.done;
});

test('without a link as a node nothing of the host is changed', async () => {
  keeper.check();
  await delay(50);
  assert.equal(sysctl('net/ipv4/ip_forward'), '0');
  assert.equal(keeper.status().warnings.length, 0);
});

test('regression: forwarding that others turn off is turned on again, and that is counted', async () => {
  names.push(LINK);
  await eventually(() => sysctl('net/ipv4/ip_forward') === '1');
  assert.equal(sysctl('net/ipv6/conf/all/forwarding'), '1');
  assert.equal(sysctl(`net/ipv6/conf/${LINK}/accept_ra`), '2');
  assert.equal(keeper.status().restored, 0, 'nobody has undone it yet');
  for (const path of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding', `net/ipv4/conf/${LINK}/forwarding`]) {
    const { restored } = keeper.status();
    sysctl(path, '0');
    await eventually(() => sysctl(path) === '1');
    assert.equal(keeper.status().restored, restored + 1, path);
  }
  sysctl(`net/ipv6/conf/${LINK}/accept_ra`, '1');
  await eventually(() => sysctl(`net/ipv6/conf/${LINK}/accept_ra`) === '2');
});

test('connection tracking has the timeouts that kube-proxy gave it', async () => {
  const path = (name: string): string => `net/netfilter/nf_conntrack_tcp_timeout_${name}`;
  assert.deepEqual([sysctl(path('established')), sysctl(path('close_wait'))], ['86400', '3600']);
  sysctl(path('close_wait'), '60');
  await eventually(() => sysctl(path('close_wait')) === '3600');
});

test('a chain of others that drops what is forwarded is said with its remedy, which ends it', async () => {
  nft('table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; } }');
  await eventually(() => warned(/the chain FORWARD of the nftables table ip filter drops/));
  const [warning] = keeper.status().warnings;
  assert.equal(warning?.remedy, 'iptables -I FORWARD -i cb+ -j ACCEPT && iptables -I FORWARD -o cb+ -j ACCEPT');
  nft('insert rule ip filter FORWARD iifname "cb*" accept');
  keeper.check();
  await delay(50);
  assert.ok(warned(/FORWARD/), 'answers do not pass yet');
  nft('insert rule ip filter FORWARD oifname "cb*" accept');
  await eventually(() => keeper.status().warnings.length === 0);
});

test('a chain of nft’s own and firewalld’s are said, too, with commands that mend them', async () => {
  nft('table inet fence { chain through { type filter hook forward priority 10; policy drop; } }');
  await eventually(() => warned(/chain through of the nftables table inet fence/));
  execFileSync('sh', ['-c', keeper.status().warnings[0]?.remedy ?? 'false']);
  await eventually(() => keeper.status().warnings.length === 0);
  nft('table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; policy accept; } }');
  await eventually(() => warned(/firewalld/));
  nft('insert rule inet firewalld filter_FORWARD iifname "cb*" accept');
  await eventually(() => keeper.status().warnings.length === 0);
});

test('what does not drop, or is not where packets are forwarded, is not said', async () => {
  nft(`table inet open {
    chain a { type filter hook forward priority 0; policy accept; }
    chain b { type filter hook input priority 0; policy drop; }
    chain c { drop; }
  }`);
  keeper.check();
  await delay(100);
  assert.deepEqual(keeper.status().warnings, []);
  nft('delete table inet open');
});

test('what kube-proxy has left is said once, with all its places', async () => {
  nft('table ip nat { chain KUBE-SERVICES { } chain KUBE-KUBELET-CANARY { } }');
  said.push('kube-ipvs0');
  await eventually(() => warned(/kube-proxy/));
  const [warning, ...more] = keeper.status().warnings;
  assert.match(warning?.what ?? '', /chain KUBE-SERVICES of the nftables table ip nat, the device kube-ipvs0$/);
  assert.match(warning?.remedy ?? '', /kube-proxy --cleanup/);
  assert.equal(more.length, 0);
});
