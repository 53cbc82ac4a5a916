/** VPNs of a proton by a real server and real agents: commands in, packets out. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createNetns, type TestNetns } from '../../packages/agent/src/net/testing.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../../packages/agent/src/testing/agent-bed.ts';
import { createModelLoader } from '../../packages/cli/src/model-loader.ts';
import { runCommandLine } from '../../packages/cli/src/program.ts';
import { httpTransport } from '../../packages/kit/src/index.ts';
import { sourceProgram } from '../../packages/kit/src/testing/index.ts';

const SERVER = fileURLToPath(new URL('../../packages/server/src/main.ts', import.meta.url));
const MODELS = fileURLToPath(new URL('../../packages/proton/models/', import.meta.url));
const PROJECT = '7d3f5b210a9c4e8db6f71c2d3e4f5a6b';

let bed: AgentBed;
let server: ChildProcess | undefined;
let provider: string;
const guests: TestNetns[] = [];

before(async () => {
  bed = await createAgentBed('pvpn', 3);
  // Another server is to be at its place.
  await bed.stopServer();
  // bgpd is another user.
  chmodSync(bed.dir, 0o711);
  provider = mkdtempSync(join(tmpdir(), 'cable-pe-'));
  const options = ['--store', `lmdb:${bed.dir}/store`, '--listen', `unix:${bed.dir}/server.sock`, '--bgp-as', '65000'];
  server = spawn(process.execPath, [...sourceProgram(SERVER), ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
  const { stdout } = server;
  assert.ok(stdout);
  for await (const line of createInterface({ input: stdout })) if (line.startsWith('listening on')) break;
  for (const host of bed.hosts.slice(0, 2)) await host.start();
});

after(async () => {
  endProvider();
  if (server !== undefined) {
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }
  for (const one of guests) one.remove();
  rmSync(join(bed.dir, 'server.sock'), { force: true });
  await bed.restartServer();
  await bed.remove();
  rmSync(provider, { recursive: true, force: true });
});

async function cable(...words: readonly string[]): Promise<string> {
  const printed = { out: '', err: '' };
  const env = {
    CABLE_SERVER: `unix:${bed.dir}/server.sock`,
    XDG_CACHE_HOME: bed.dir,
    CABLE_PROJECT: PROJECT,
    CABLE_ROLE: 'admin',
  };
  const status = await runCommandLine(words, {
    ...{ env, connect: httpTransport, version: '0' },
    loadModels: createModelLoader({ env, fallback: [] }),
    print: (text) => {
      printed.out += text;
    },
    printError: (text) => {
      printed.err += text;
    },
  });
  assert.equal(status, 0, `cable ${words.join(' ')}: ${printed.err}`);
  return printed.out;
}

type Answer = Readonly<Record<string, unknown>>;

function ask(method: string, path: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'x-roles': 'admin', 'x-project-id': PROJECT };
    const call = request({ socketPath: join(bed.dir, 'server.sock'), method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve((text === '' ? {} : JSON.parse(text)) as Answer);
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
      });
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

type Guest = { readonly id: string; readonly netns: TestNetns; readonly mac: string };

/** A port in a VPN, on a host, with its machine. */
async function guest(base: string, n: number, host: BedHost, vpn: Answer, address: string): Promise<Guest> {
  const mac = `fa:16:3e:00:01:${n.toString(16).padStart(2, '0')}`;
  const common = { mac_address: mac, admin_state_up: true, vnic_type: 'normal', mtu: 1450, vlan_transparency: false };
  const old = base.endsWith('v1.0') ? { status: 'DOWN', tenant_id: PROJECT } : {};
  const port = await ask('POST', `${base}/ports`, { name: `p${n}`, ...common, ...old });
  const id = String(port['id']);
  const [ip = '', ...six] = address.split(' ');
  const gateway = `${ip.split('.').slice(0, 3).join('.')}.254`;
  const more = base.endsWith('v1.0')
    ? { ipaddress: ip, gateway, tenant_id: PROJECT }
    : { addresses: [ip, ...six], gateways: [gateway, ...six.map(() => '2001:db8:1::fe')] };
  await ask('POST', `${base}/vpnbindings`, { interface_id: id, service_id: vpn['id'], subnet_prefix: 24, ...more });
  await ask('PUT', `/v2.0/ports/${id}`, {
    port: { 'binding:host_id': host.name, device_id: id, device_owner: 'compute:nova' },
  });
  const netns = createNetns();
  guests.push(netns);
  const device = `tap${id.slice(0, 11)}`;
  host.exec('ip', 'link', 'add', device, 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  netns.ip('link', 'set', 'lo', 'up');
  netns.ip('link', 'set', 'eth0', 'address', mac, 'mtu', '1450', 'up');
  netns.ip('address', 'add', `${ip}/24`, 'dev', 'eth0');
  netns.ip('route', 'add', 'default', 'via', gateway);
  for (const one of six) netns.ip('address', 'add', `${one}/64`, 'dev', 'eth0', 'nodad');
  return { id, netns, mac };
}

function pings({ netns }: Guest, to: string, ...more: readonly string[]): boolean {
  try {
    netns.run('ping', '-c', '1', '-W', '1', '-q', ...more, to);
    return true;
  } catch {
    return false;
  }
}

const reaches = (from: Guest, to: string): Promise<boolean> =>
  eventually(`${from.id} reaches ${to}`, () => pings(from, to));

const isActive = ({ id }: Guest): Promise<boolean> =>
  eventually(`${id} is ACTIVE`, async () => {
    const { port } = (await ask('GET', `/v2.0/ports/${id}`)) as { port: { status: string } };
    return port.status === 'ACTIVE';
  });

/** Echo requests that somebody in the VPN would answer, of who is not there: what comes out at the other guest. */
function hears(to: Guest, send: () => void): number {
  const count = (): number =>
    (
      JSON.parse(to.netns.run('ip', '-s', '-j', 'link', 'show', 'eth0')) as { stats64: { rx: { packets: number } } }[]
    )[0]?.stats64.rx.packets ?? 0;
  const before = count();
  send();
  return count() - before;
}

test('1.0, with a back end by --backend: two VPNs with equal addresses, each over both hosts, neither in the other', async () => {
  const [h1, h2] = bed.hosts as [BedHost, BedHost, BedHost];
  const base = '/proton/net-l3vpn/v1.0';
  assert.match(await cable('proton', 'install', `${MODELS}net-l3vpn`, '--backend', 'vrouter-l3vpn'), /installed/);
  const [blue, red] = [
    await ask('POST', `${base}/vpns`, { name: 'blue', tenant_id: PROJECT }),
    await ask('POST', `${base}/vpns`, { name: 'red', tenant_id: PROJECT }),
  ];
  const a = await guest(base, 1, h1, blue, '10.0.0.1');
  const b = await guest(base, 2, h2, blue, '10.0.0.2');
  const c = await guest(base, 3, h1, red, '10.0.0.1');
  const d = await guest(base, 4, h2, red, '10.0.0.3');
  for (const one of [a, b, c, d]) await isActive(one);
  await reaches(a, '10.0.0.254');
  await reaches(a, '10.0.0.2');
  await reaches(c, '10.0.0.3');
  await reaches(b, '10.0.0.1');
  // Who has the address in the other VPN is not reached.
  assert.equal(pings(a, '10.0.0.3'), false);
  assert.equal(pings(c, '10.0.0.2'), false);
  assert.equal(
    hears(c, () => void pings(b, '10.0.0.1')),
    0,
  );
  // Whole packets of the network's MTU.
  assert.equal(pings(a, '10.0.0.2', '-M', 'do', '-s', '1422'), true);

  // Another MAC, another address, and what another's address is claimed by say nothing to anybody.
  a.netns.ip('address', 'add', '10.0.0.9/24', 'dev', 'eth0');
  assert.equal(
    hears(b, () => void pings(a, '10.0.0.2', '-I', '10.0.0.9')),
    0,
  );
  a.netns.ip('link', 'set', 'eth0', 'address', 'fa:16:3e:00:01:99');
  a.netns.ip('neigh', 'replace', '10.0.0.2', 'lladdr', b.mac, 'dev', 'eth0');
  assert.equal(
    hears(b, () => void pings(a, '10.0.0.2', '-I', '10.0.0.1')),
    0,
  );
  a.netns.ip('link', 'set', 'eth0', 'address', a.mac);
  a.netns.ip('route', 'replace', 'default', 'via', '10.0.0.254');
  await reaches(a, '10.0.0.2');

  // Out of the VPN it reaches nobody, and back in it does.
  const binding = {
    tenant_id: PROJECT,
    interface_id: b.id,
    service_id: blue['id'],
    ipaddress: '10.0.0.2',
    subnet_prefix: 24,
  };
  await ask('DELETE', `${base}/vpnbindings/${b.id}`);
  await eventually('it is out', () => !pings(a, '10.0.0.2'));
  await ask('POST', `${base}/vpnbindings`, binding);
  await reaches(a, '10.0.0.2');

  await cable('proton', 'remove', 'net-l3vpn', '--objects');
  assert.deepEqual((await ask('GET', '/cable/v1/proton-networks'))['proton_networks'], []);
  await eventually('nothing is left of the VPNs', () => !pings(a, '10.0.0.254'));
  await eventually('the device of VPNs is gone', () => !h1.links().includes('cablep0'));
});

test('1.1, which names its back end: both versions of IP, a VPN that imports of another, and a router of the provider', async () => {
  const [h1, h2, pe] = bed.hosts as [BedHost, BedHost, BedHost];
  const base = '/proton/net-l3vpn/v1.1';
  assert.match(await cable('proton', 'install', `${MODELS}net-l3vpn-v1.1`), /installed/);
  const green = await ask('POST', `${base}/vpns`, { name: 'green', ipv4_route_targets: ['65000:1'] });
  const shared = await ask('POST', `${base}/vpns`, { name: 'shared', ipv4_route_targets: ['65000:2'] });
  const a = await guest(base, 5, h1, green, '10.0.0.5 2001:db8:1::5');
  const b = await guest(base, 6, h2, green, '10.0.0.6 2001:db8:1::6');
  const c = await guest(base, 7, h2, shared, '10.9.0.7');
  for (const one of [a, b, c]) await isActive(one);
  await reaches(a, '10.0.0.6');
  await reaches(a, '2001:db8:1::6');
  assert.equal(pings(a, '10.9.0.7'), false);
  for (const [vpn, targets] of [
    [green, ['65000:1', '65000:2']],
    [shared, ['65000:1', '65000:2']],
  ] as const)
    await ask('PATCH', `${base}/vpns/${String(vpn['id'])}`, { ipv4_route_targets: targets });
  await reaches(a, '10.9.0.7');
  // Of the host itself, too.
  await reaches(b, '10.9.0.7');
  await ask('PATCH', `${base}/vpns/${String(shared['id'])}`, { ipv4_route_targets: ['65000:2'] });
  await ask('POST', `${base}/vpnafconfigs`, { vrf_rt_value: '65000:2', vrf_rt_type: 'import_extcommunity' });
  await eventually('it gives nothing out any more', () => !pings(a, '10.9.0.7'));

  startProvider(pe, h1);
  const peering = { local_ip_address: h1.underlay, peer_ip_address: pe.underlay, as_number: 65001 };
  await ask('POST', `${base}/bgppeerings`, { name: 'pe', ...peering });
  await eventually('the provider hears of the port by its host alone', () => {
    const text = asked(pe, 'show bgp ipv4 vpn json');
    return text.includes('"10.0.0.5/32"') && !text.includes('"10.0.0.6/32"');
  });
  await eventually('the host has learned what the provider tells', async () => {
    const status = await h1.ask<{ bgp: { learned: Record<string, number> } | null }>('/status');
    return Object.values(status?.bgp?.learned ?? {}).some((count) => count > 0);
  });
  assert.equal((await h2.ask<{ bgp: unknown }>('/status'))?.bgp ?? null, null);
});

function startProvider(pe: BedHost, peer: BedHost): void {
  const text = [
    'hostname provider',
    'route-map GREEN permit 10',
    ' set extcommunity rt 65000:1',
    'router bgp 65001',
    ` bgp router-id ${pe.underlay}`,
    ' no bgp ebgp-requires-policy',
    ' no bgp default ipv4-unicast',
    ` neighbor ${peer.underlay} remote-as 65000`,
    ` neighbor ${peer.underlay} passive`,
    ' address-family ipv4 vpn',
    `  neighbor ${peer.underlay} activate`,
    '  network 172.16.0.0/16 rd 65001:7 label 300 route-map GREEN',
    ' exit-address-family',
  ];
  const file = join(provider, 'bgpd.conf');
  writeFileSync(file, `${text.join('\n')}\n`, { mode: 0o644 });
  execFileSync('chown', ['-R', 'frr:frrvty', provider]);
  chmodSync(provider, 0o755);
  const where = ['-f', file, '-i', join(provider, 'bgpd.pid'), '--vty_socket', provider];
  pe.exec('/usr/lib/frr/bgpd', '-d', ...where, '-Z', '-P', '0');
}

/** Empty: it does not answer just now. */
function asked(pe: BedHost, command: string): string {
  try {
    return pe.exec('vtysh', '--vty_socket', provider, '-c', command);
  } catch {
    return '';
  }
}

function endProvider(): void {
  try {
    process.kill(Number(execFileSync('cat', [join(provider, 'bgpd.pid')], { encoding: 'utf8' })), 'SIGKILL');
  } catch {
    // It never began.
  }
}
