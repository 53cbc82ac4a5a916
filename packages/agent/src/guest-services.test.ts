/** DHCP, DNS and metadata of a real agent for real clients, on a host that does with its own network what it likes. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';
import type { LocalPort, PortNames } from '@cable/model';
import { netnsId } from './net/netns.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { type BedGuest, createBedGuest } from './testing/bed-guest.ts';

const UPSTREAM = fileURLToPath(new URL('testing/dns-upstream.ts', import.meta.url));
const A = samplePort(5, { policy: 'policy:p', deviceId: 'machine-a' });
const B = samplePort(6, { policy: 'policy:p', deviceId: 'machine-b' });

let bed: AgentBed;
let host: BedHost;
let a: BedGuest;
let b: BedGuest;

before(async () => {
  bed = await createAgentBed('svc', 1);
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

const running = new Set<ChildProcess>();

afterEach(async () => {
  await Promise.all([host.end('SIGKILL'), a.quiet(), b.quiet()]);
  for (const child of running) {
    if (child.exitCode !== null) continue;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  running.clear();
  for (const table of ['filter', 'nat']) host.exec('iptables', '-t', table, '-F');
  host.exec('iptables', '-P', 'INPUT', 'ACCEPT');
});

/** Two guests in one network. */
function cloud(): SampleSlice[] {
  const endpoints = [A, B].map((port) => sampleEndpoint(port, host.name, host.underlay));
  return [sampleHost(host.name, [A, B]), ...sampleNetwork(1, {}, endpoints), samplePolicy('p', [])];
}

async function startAgent(): Promise<void> {
  await host.start();
  await bothUp(bed.server.set(cloud()));
}

/** By that revision: what an agent remembers of the test before has them up, too. */
function bothUp(revision = 0): Promise<unknown> {
  return eventually(
    'both guests are up',
    () =>
      bed.server.status.revision >= revision &&
      [A, B].every((port) => bed.server.status.vifs.get(port.id)?.state === 'up'),
  );
}

async function assertServed(): Promise<void> {
  assert.match(await a.lease(), /lease of 10\.0\.0\.5 obtained from 10\.0\.0\.1/);
  assert.match(await b.lease(), /lease of 10\.0\.0\.6 obtained/);
  assert.equal(await a.metadata('/latest/meta-data/instance-id'), 'machine-a');
  assert.equal(await b.metadata('/latest/meta-data/instance-id'), 'machine-b');
}

/** Servers of the host's own, as libvirt's dnsmasq and any web server are. */
async function startHostServers(): Promise<void> {
  const program = `
    const http = require('node:http').createServer((request, response) => response.end('of the host'));
    const dhcp = require('node:dgram').createSocket('udp4');
    http.listen(80, () => dhcp.bind(67, '0.0.0.0', () => console.log('ready')));`;
  const child = host.spawn(process.execPath, '-e', program);
  running.add(child);
  assert.ok(child.stdout);
  const [said] = await once(child.stdout.setEncoding('utf8'), 'data', { signal: AbortSignal.timeout(60_000) });
  assert.equal(said, 'ready\n');
}

const connections = (): number => Number(host.exec('cat', '/proc/sys/net/netfilter/nf_conntrack_count'));

test('servers of the host on every address are not in the way, nor are the guests in theirs', async () => {
  await startHostServers();
  await startAgent();
  await assertServed();
  assert.equal(host.exec('curl', '-s', 'http://192.0.2.1/'), 'of the host');
});

test('servers of the host start beside the agent', async () => {
  await startAgent();
  await startHostServers();
  await assertServed();
});

/** The host sends what comes to one of its ports to another. */
function redirect(protocol: 'tcp' | 'udp', from: number, to: number): void {
  const match = ['-t', 'nat', '-A', 'PREROUTING', '-p', protocol, '--dport', String(from)];
  host.exec('iptables', ...match, '-j', 'REDIRECT', '--to-ports', String(to));
}

test("the host's firewall and its redirections do not touch guests' requests", async () => {
  host.exec('iptables', '-P', 'INPUT', 'DROP');
  redirect('tcp', 80, 8080);
  redirect('udp', 67, 6767);
  await startAgent();
  await assertServed();
});

test("guests' connections are not the host's: 64,000 SYNs leave its connection table as it was", async () => {
  host.exec('iptables', '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'DROP');
  await startAgent();
  const before = connections();
  const flood = await a.flood('syn');
  await eventually('the flood passes', async () => (await sentBy(A.id)) > 64_000);
  await flood.stop();
  assert.equal(connections(), before);
});

/** Packets that came from the port. */
async function sentBy(portId: string): Promise<number> {
  const counters = await host.ask<Readonly<Record<string, { readonly rx_packets: number }>>>('/counters');
  return counters?.[portId]?.rx_packets ?? 0;
}

test("a guest that floods with DHCP does not take another's answers", async () => {
  await startAgent();
  const flood = await a.flood('dhcp');
  const leases = [];
  for (let i = 0; i < 10; i += 1) leases.push(await b.lease().catch(() => 'none'));
  await eventually('the flood passes', async () => (await sentBy(A.id)) > 20_000);
  const sent = await flood.stop();
  assert.ok(sent > 20_000, `${sent} frames`);
  assert.equal(leases.filter((one) => one !== 'none').length, 10);
});

test('after kill -9 the next agent answers at once, by the namespace and the link that are there', async () => {
  await startAgent();
  const before = [netnsId(host.services), host.exec('ip', '-o', 'link', 'show', 'cables1').split(':')[0]];
  await host.end('SIGKILL');
  await host.start();
  await assertServed();
  assert.deepEqual([netnsId(host.services), host.exec('ip', '-o', 'link', 'show', 'cables1').split(':')[0]], before);
});

test('while a host waits to join, its guests are served as it knows them', async () => {
  await startAgent();
  await host.end('SIGKILL');
  const token = `0123456789ab.${'A'.repeat(43)}.${'B'.repeat(43)}`;
  await host.start('--server', 'https://127.0.0.1:1', '--join', token);
  await assertServed();
  const { server } = await eventually('it says why', async () => {
    const status = await host.ask<{ server: { reason: string } }>('/status');
    return status?.server.reason.includes('not joined') === true ? status : undefined;
  });
  assert.match(server.reason, /has not joined yet: .*127\.0\.0\.1:1.*nothing listens there/);
});

test('network_data.json names all ports of the machine, also after a restart while no server is there', async () => {
  await startAgent();
  const c = samplePort(7, { policy: 'policy:p', deviceId: 'machine-a' });
  const stranger = samplePort(8, { policy: 'policy:p', deviceId: 'machine-a', projectId: 'other' });
  const [, ...others] = cloud();
  bed.server.set([sampleHost(host.name, [A, B, c, stranger]), ...others]);
  const vifsOf = async (): Promise<readonly string[]> => {
    const { links } = JSON.parse(await a.metadata('/openstack/latest/network_data.json'));
    return links.map((link: { vif_id: string }) => link.vif_id);
  };
  await eventually('both are named', async () => (await vifsOf()).length === 2);
  await host.end('SIGKILL');
  await bed.stopServer();
  await host.start();
  assert.deepEqual(await vifsOf(), [A.id, c.id]);
  // The next server has another store: a host that is new follows it.
  await host.end('SIGKILL');
  rmSync(host.state, { recursive: true });
  await bed.restartServer();
});

test('a guest in a subnet without DHCP gets no answer, and its addresses by metadata', async () => {
  await host.start();
  const [first, ...others] = cloud();
  assert.ok(first);
  const still = sampleNetwork(1, { subnets: [sampleSubnet(1, { enableDhcp: false, dnsNameservers: ['10.0.0.53'] })] });
  bed.server.set([first, ...still, ...others.slice(2)]);
  await bothUp();
  await assert.rejects(a.lease(2));
  const data = JSON.parse(await a.metadata('/openstack/latest/network_data.json'));
  assert.deepEqual(data.networks[0], {
    id: 'network0',
    link: `tap${A.id.slice(0, 11)}`,
    network_id: A.networkId,
    type: 'ipv4',
    ip_address: '10.0.0.5',
    netmask: '255.255.255.0',
    routes: [
      { network: '169.254.169.254', netmask: '255.255.255.255', gateway: '10.0.0.1' },
      { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.0.0.1' },
    ],
    services: [{ type: 'dns', address: '10.0.0.53' }],
  });
  const { services } = (await host.ask<{ services: Readonly<Record<string, number>> }>('/status')) ?? { services: {} };
  assert.deepEqual(
    Object.keys(services).filter((name) => name.startsWith('dhcp_')),
    [],
  );
});

/** A name for each guest, and a port of the same network that no host carries. */
function names(networkId: string): SampleSlice {
  const named = (name: string, ...ipAddresses: string[]): PortNames => ({ name, domain: '', ipAddresses });
  const items = new Map([
    [B.id, named('web', '10.0.0.6')],
    [sampleId('port', 99), named('vip', '10.0.0.99')],
  ]);
  return { key: `names:${networkId}`, header: { networkId }, items };
}

test('DNS: names of the network by UDP and TCP, of others from the host’s upstream; also while no server is there', async () => {
  const udp = host.spawn(process.execPath, ...sourceProgram(UPSTREAM));
  running.add(udp);
  assert.ok(udp.stdout);
  await once(udp.stdout, 'data', { signal: AbortSignal.timeout(60_000) });
  await host.start('--dns-upstream', '192.0.2.1:5300');
  bed.server.set([...cloud(), names(A.networkId)]);
  await bothUp();
  const all = async (): Promise<void> => {
    assert.match(await a.dig('+short', 'web.openstacklocal'), /^10\.0\.0\.6\n$/);
    assert.match(await a.dig('+short', '+tcp', 'web.openstacklocal'), /^10\.0\.0\.6\n$/);
    assert.match(await a.dig('+short', '-x', '10.0.0.6'), /^web\.openstacklocal\.\n$/);
    assert.match(await b.dig('+short', 'host-10-0-0-5.openstacklocal'), /^10\.0\.0\.5\n$/);
    assert.match(await b.dig('+short', 'vip.openstacklocal'), /^10\.0\.0\.99\n$/);
    assert.match(await a.dig('nobody.openstacklocal'), /status: NXDOMAIN/);
    assert.match(await a.dig('+short', 'www.example.com'), /^203\.0\.113\.80\n$/);
    assert.match(await a.dig('+short', '+tcp', 'www.example.com'), /^203\.0\.113\.80\n$/);
  };
  await eventually('names have come', async () => /10\.0\.0\.99/.test(await a.dig('+short', 'vip')));
  await all();
  await host.end('SIGKILL');
  await bed.stopServer();
  await host.start('--dns-upstream', '192.0.2.1:5300');
  await all();
  await host.end('SIGKILL');
  rmSync(host.state, { recursive: true });
  await bed.restartServer();
});

test('without DNS nothing answers, and nothing of it is told', async () => {
  await host.start('--no-dns');
  await bothUp(bed.server.set(cloud()));
  await assert.rejects(a.dig('+time=2', '+short', 'host-10-0-0-5.openstacklocal'));
  const data = JSON.parse(await a.metadata('/openstack/latest/network_data.json'));
  assert.deepEqual(data.services, []);
  await host.end('SIGKILL');
  await host.start();
  await bothUp();
  const again = JSON.parse(await a.metadata('/openstack/latest/network_data.json'));
  assert.deepEqual(again.services, [{ type: 'dns', address: '169.254.169.254' }]);
});

/** Processes in the host's namespace or that of its services, and namespaces that are held for the host. */
function counts(): { readonly processes: number; readonly namespaces: number } {
  const ours = new Set([netnsId(`/run/netns/${host.netns}`), netnsId(host.services)]);
  const processes = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && ours.has(netnsOf(pid)));
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const namespaces = mounts.filter((line) => line.includes(bed.dir) && line.includes(' - nsfs '));
  return { processes: processes.length, namespaces: namespaces.length };
}

/** undefined: the process has just ended. */
function netnsOf(pid: string): string | undefined {
  try {
    return netnsId(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

test('a host has the same number of processes and namespaces with 1 network and with 1,000', async () => {
  await startAgent();
  // Of the services, and of the fragmenter.
  assert.deepEqual(counts(), { processes: 1, namespaces: 2 });
  const ports = Array.from({ length: 999 }, (_, i) => portIn(i + 2));
  const networks = ports.flatMap((port, i) =>
    sampleNetwork(i + 2, {}, [sampleEndpoint(port, host.name, host.underlay)]),
  );
  const revision = bed.server.set([sampleHost(host.name, [A, B, ...ports]), ...networks, ...cloud().slice(1)]);
  await eventually(
    'all are known',
    () => bed.server.status.revision === revision && bed.server.status.vifs.size === 1_001,
  );
  assert.deepEqual(counts(), { processes: 1, namespaces: 2 });
  await assertServed();
});

/** The only one of its network here. */
function portIn(n: number): LocalPort {
  return samplePort(1_000 + n, { networkId: sampleId('net', n), fixedIps: [], policy: 'policy:p' });
}

test('teardown leaves neither namespace nor link, also after kill -9', async () => {
  await startAgent();
  await host.end('SIGKILL');
  host.run('--teardown');
  assert.equal(counts().namespaces, 0);
  assert.ok(!existsSync(host.services));
  assert.deepEqual(
    host.links().filter((name) => name.startsWith('cable')),
    [],
  );
});
