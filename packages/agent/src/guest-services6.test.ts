/** Router advertisements and DHCPv6 of a real agent for real clients, through the vrouter. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { SubnetState } from '@cable/model';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { type BedGuest, createBedGuest } from './testing/bed-guest.ts';

const run = promisify(execFile);
const NET = sampleId('net', 1);
const FOUR = { subnetId: sampleId('sub', 1), ipAddress: '10.0.0.5' };
/** The address that SLAAC gives its MAC, and one that it does not. */
const A = samplePort(5, {
  policy: 'policy:p',
  fixedIps: [FOUR, { subnetId: sampleId('sub', 6), ipAddress: '2001:db8:6:0:f816:3eff:fe00:5' }],
});
const B = samplePort(6, {
  policy: 'policy:p',
  fixedIps: [
    { ...FOUR, ipAddress: '10.0.0.6' },
    { subnetId: sampleId('sub', 7), ipAddress: '2001:db8:7::77' },
  ],
});
const SLAAC = { ipv6RaMode: 'slaac', ipv6AddressMode: 'slaac', dnsNameservers: ['2001:db8::53'] } as const;
const STATEFUL = { ipv6RaMode: 'dhcpv6-stateful', ipv6AddressMode: 'dhcpv6-stateful' } as const;

let bed: AgentBed;
let host: BedHost;
let a: BedGuest;
let b: BedGuest;

before(async () => {
  bed = await createAgentBed('s6', 1);
  const [only] = bed.hosts;
  assert.ok(only);
  host = only;
  a = createBedGuest(host, A);
  b = createBedGuest(host, B);
});

after(async () => {
  await bed.remove();
  a.remove();
  b.remove();
});

afterEach(async () => {
  await host.end('SIGKILL');
});

function subnet(n: number, fields: Partial<SubnetState>): SubnetState {
  return sampleSubnet(n, { cidr: `2001:db8:${n}::/64`, ipVersion: 6, gatewayIp: `2001:db8:${n}::1`, ...fields });
}

/** Two guests in one network, one in a subnet of SLAAC and one in a subnet of DHCPv6; a router in both. */
function cloud(slaac: Partial<SubnetState> = {}): SampleSlice[] {
  const endpoints = [A, B].map((port) => sampleEndpoint(port, host.name, host.underlay));
  const subnets = [sampleSubnet(1), subnet(6, { ...SLAAC, ...slaac }), subnet(7, STATEFUL)];
  const legs = [6, 7].map((n) => ({
    ...{ portId: sampleId('rif', n), networkId: NET, subnetId: sampleId('sub', n) },
    ...{ cidr: `2001:db8:${n}::/64`, ipAddress: `2001:db8:${n}::1`, macAddress: sampleMac(0xee) },
  }));
  return [
    sampleHost(host.name, [A, B]),
    ...sampleNetwork(1, { subnets }, endpoints),
    sampleRouter(1, [], {}, legs),
    samplePolicy('p', []),
  ];
}

async function startAgent(slices = cloud()): Promise<void> {
  await host.start();
  // What the agent remembers of the test before has them up, too.
  const revision = bed.server.set(slices);
  await eventually(
    'both guests are up',
    () =>
      bed.server.status.revision >= revision &&
      [A, B].every((port) => bed.server.status.vifs.get(port.id)?.state === 'up'),
  );
}

async function inside(guest: BedGuest, ...command: readonly string[]): Promise<string> {
  const { stdout } = await run('nsenter', [`--net=${guest.netns.path}`, ...command], { timeout: 60_000 });
  return stdout;
}

/** The guest's device goes down and comes up again, so that it asks as after a start. */
async function reboot(guest: BedGuest): Promise<void> {
  await inside(guest, 'sysctl', '-qw', 'net.ipv6.conf.c0.accept_ra=1');
  guest.netns.ip('link', 'set', 'c0', 'down');
  guest.netns.ip('link', 'set', 'c0', 'up');
}

const addresses = (guest: BedGuest) => inside(guest, 'ip', '-6', 'addr', 'show', 'dev', 'c0', 'scope', 'global');

test('a Linux guest makes the address that its port has, and takes the router as default route', async () => {
  await startAgent();
  await reboot(a);
  const shown = await eventually('an address', async () => (await addresses(a)).match(/inet6 \S+ .*dynamic/)?.[0]);
  assert.match(shown, /inet6 2001:db8:6:0:f816:3eff:fe00:5\/64/);
  const routes = await inside(a, 'ip', '-6', 'route', 'show', 'default');
  assert.match(routes, /^default via fe80::f816:3eff:fe00:ee dev c0 proto ra/m);
  assert.equal((await inside(a, 'sysctl', '-n', 'net.ipv6.conf.c0.mtu')).trim(), '1450');
  assert.doesNotMatch(shown, /2001:db8:7/);
});

test('rdisc6 is answered: flags by the mode of its own subnet', async () => {
  await startAgent();
  for (const [guest, managed, autonomous, prefix] of [
    [a, 'No', 'Yes', '2001:db8:6::/64'],
    [b, 'Yes', 'No', '2001:db8:7::/64'],
  ] as const) {
    const said = await inside(guest, 'rdisc6', '-1', '-w', '3000', '-r', '3', 'c0');
    assert.match(said, new RegExp(`^Stateful address conf\\. *: *${managed}$`, 'm'));
    assert.match(said, new RegExp(`^ Prefix *: *${prefix}$`, 'm'));
    assert.match(said, new RegExp(`Autonomous address conf\\.: *${autonomous}$`, 'm'));
    assert.match(said, /Source link-layer address: FA:16:3E:00:00:EE$/m);
    assert.match(said, / from fe80::f816:3eff:fe00:ee$/m);
  }
});

test('subnets that change are advertised at once, unasked', async () => {
  await startAgent();
  await reboot(a);
  await eventually('an address', async () => /2001:db8:6:/.test(await addresses(a)));
  await reboot(b);
  assert.doesNotMatch(await inside(a, 'ip', '-6', 'route', 'show'), /2001:db8:99::/);
  const hostRoutes = [{ destination: '2001:db8:99::/48', nexthop: '2001:db8:6::1' }];
  await inside(a, 'sysctl', '-qw', 'net.ipv6.conf.c0.accept_ra_rt_info_max_plen=64');
  bed.server.set(cloud({ hostRoutes }));
  await eventually('the route', async () => /2001:db8:99::/.test(await inside(a, 'ip', '-6', 'route', 'show')));
});

/** Runs dhclient once; what its script saw. */
async function dhclient(guest: BedGuest, ...words: readonly string[]): Promise<string> {
  const [script, log] = [join(bed.dir, 'script'), join(bed.dir, 'env')];
  rmSync(log, { force: true });
  const end = 'case $reason in BOUND6) (sleep 0.3; kill -KILL $PPID) & esac';
  writeFileSync(script, `#!/bin/sh\n{ echo "event $reason"; env; } >> ${log}\n${end}\n`);
  chmodSync(script, 0o755);
  const files = ['-cf', '/dev/null', '-lf', join(bed.dir, 'leases'), 'c0'];
  await inside(guest, 'dhclient', '-6', '-1', ...words, '-d', '--no-pid', '-sf', script, ...files).catch(
    (err: { signal?: string | null }) => {
      if (typeof err.signal !== 'string') throw err;
    },
  );
  return readFileSync(log, 'utf8');
}

async function hasLinkLocal(guest: BedGuest): Promise<void> {
  const shown = () => inside(guest, 'ip', '-6', 'addr', 'show', 'dev', 'c0', 'scope', 'link');
  await eventually('a link-local address', async () => /fe80/.test(await shown()) && !/tentative/.test(await shown()));
}

test('metadata and DNS at fe80::a9fe:a9fe: before the guest has an address, and from its own', async () => {
  await startAgent();
  await hasLinkLocal(a);
  const url = (path: string) => `http://[fe80::a9fe:a9fe%25c0]${path}`;
  const fetch = (guest: BedGuest, path: string) => inside(guest, 'curl', '-sSf', '-g', '-m', '3', url(path));
  assert.match(await fetch(a, '/latest/meta-data/mac'), /fa:16:3e:00:00:05/);
  const data = JSON.parse(await fetch(a, '/openstack/latest/network_data.json'));
  assert.deepEqual(data.networks[1], {
    ...{ id: 'network1', link: `tap${A.id.slice(0, 11)}`, network_id: NET, type: 'ipv6_slaac' },
    ...{ ip_address: '2001:db8:6:0:f816:3eff:fe00:5', netmask: 'ffff:ffff:ffff:ffff::' },
    routes: [{ network: '::', netmask: '::', gateway: '2001:db8:6::1' }],
    services: [{ type: 'dns', address: '2001:db8::53' }],
  });
  await hasLinkLocal(b);
  b.netns.ip('-6', 'address', 'add', '2001:db8:7::77/64', 'dev', 'c0', 'nodad');
  const from = ['--interface', 'host!2001:db8:7::77'];
  assert.match(await inside(b, 'curl', '-sSf', '-g', '-m', '3', ...from, url('/latest/meta-data/mac')), /00:06/);
  const dig = ['dig', '@fe80::a9fe:a9fe%c0', '+tries=1', '+time=2', '+short'];
  assert.equal(await inside(b, ...dig, 'host-10-0-0-5.openstacklocal'), '10.0.0.5\n');
  assert.equal(await inside(b, ...dig, '+tcp', 'host-10-0-0-5.openstacklocal'), '10.0.0.5\n');
});

test('a guest that floods with solicitations takes no answers from another', async () => {
  await startAgent();
  await hasLinkLocal(a);
  await hasLinkLocal(b);
  const flood = run('nsenter', [
    `--net=${a.netns.path}`,
    ...['timeout', '5', 'sh', '-c', 'while :; do rdisc6 -q -1 -w 1 -r 1 c0 >/dev/null 2>&1; done'],
  ]).catch(() => undefined);
  assert.match(await inside(b, 'rdisc6', '-1', '-w', '3000', '-r', '3', 'c0'), /2001:db8:7::\/64/);
  assert.match(await dhclient(b), /^new_ip6_address=2001:db8:7::77$/m);
  await flood;
});

test('dhclient -6 gets the address of its port, also while the server is away and after the agent was killed', async () => {
  await startAgent();
  await hasLinkLocal(b);
  assert.match(await dhclient(b), /^new_ip6_address=2001:db8:7::77$/m);
  await host.end('SIGKILL');
  await bed.stopServer();
  await host.start();
  await eventually('it answers', async () => /2001:db8:7::77/.test(await dhclient(b)));
});
