/** A real bgpd of FRR for the agent, another as a provider's router, and packets to what that tells. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { VpnHeader } from '@cable/model';
import { addVpnGuest, answers, ProviderRouter, type VpnGuest, vpnPlaces, vpnWorld } from '../labels/testing.ts';
import { parseAddress } from '../plan/address.ts';
import { type SampleSlice, sampleId } from '../plan/testing/sample.ts';
import { sampleLabel, sampleVpn } from '../plan/testing/sample-vpn.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { NEIGHBOR_ROUTES_MAX } from './bgp-config.ts';
import { askBgpd, bgpDirectory } from './bgpd.ts';
import type { SpeakerView } from './speaker.ts';

let bed: AgentBed;
let h1: BedHost;
let pe: BedHost;
let guests: readonly VpnGuest[] = [];
let router: ProviderRouter;
let provider: string;
let run: string;

const BASE = `
hostname provider
route-map BLUE permit 10
 set extcommunity rt 65000:1
route-map RED permit 10
 set extcommunity rt 65000:2
route-map OTHER permit 10
 set extcommunity rt 65000:9
router bgp 65001
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 192.0.2.1 remote-as 65000
 neighbor 192.0.2.1 timers 10 30
 neighbor 192.0.2.1 passive
 address-family ipv4 vpn
  neighbor 192.0.2.1 activate
  network 172.16.0.0/16 rd 65001:7 label 300 route-map BLUE
  network 172.16.0.0/16 rd 65001:8 label 301 route-map RED
  network 172.17.0.0/16 rd 65001:9 label 302 route-map OTHER
  network 10.0.0.1/32 rd 65001:7 label 300 route-map BLUE
  network 172.18.0.0/16 rd 65001:7 label 3 route-map BLUE
 exit-address-family
 address-family ipv6 vpn
  neighbor 192.0.2.1 activate
  network 2001:db8:99::/64 rd 65001:7 label 300 route-map BLUE
 exit-address-family
`;

before(async () => {
  bed = await createAgentBed('bgp', 2);
  const [first, second] = bed.hosts;
  assert.ok(first && second);
  [h1, pe] = [first, second];
  // bgpd is another user.
  chmodSync(bed.dir, 0o711);
  run = join(bed.dir, h1.name, 'run');
  guests = [addVpnGuest(1, 1, 1, h1), addVpnGuest(2, 2, 1, h1)];
  router = new ProviderRouter(pe);
  provider = mkdtempSync(join(tmpdir(), 'cable-pe-'));
  startProvider();
});

after(async () => {
  endProvider();
  router.close();
  for (const { netns } of guests) netns.remove();
  await bed.remove();
  rmSync(provider, { recursive: true, force: true });
});

function startProvider(more = ''): void {
  const file = join(provider, 'bgpd.conf');
  writeFileSync(file, BASE + more, { mode: 0o644 });
  execFileSync('chown', ['-R', 'frr:frrvty', provider]);
  chmodSync(provider, 0o755);
  const where = ['-f', file, '-i', join(provider, 'bgpd.pid'), '--vty_socket', provider];
  pe.exec('/usr/lib/frr/bgpd', '-d', ...where, '-Z', '-P', '0');
}

function endProvider(): void {
  try {
    process.kill(Number(execFileSync('cat', [join(provider, 'bgpd.pid')], { encoding: 'utf8' })), 'SIGKILL');
  } catch {
    // It never began.
  }
}

/** Empty: it does not answer just now. */
function askProvider(commands: readonly string[]): Promise<string> {
  return askBgpd(provider, commands).catch(() => '');
}

function vpn(n: number, bgp: VpnHeader['bgp']): readonly SampleSlice[] {
  return sampleVpn(n, vpnPlaces(guests, n), bgp === undefined ? {} : { bgp });
}

const TOLD = { localAs: 65_000, neighbors: [{ address: '192.0.2.2', as: 65_001 }] };

async function viewOf(): Promise<SpeakerView | null> {
  return (await h1.ask<{ bgp: SpeakerView | null }>('/status'))?.bgp ?? null;
}

function guest(n: number): VpnGuest {
  const found = guests.find((one) => one.vpn === n);
  assert.ok(found);
  return found;
}

/** Sends echo requests, and gives the label with which the provider hears one. */
async function labelTo(n: number, address: string): Promise<number> {
  const bytes = parseAddress(address) ?? new Uint8Array(16);
  const to = Buffer.from(address.includes(':') ? bytes : bytes.subarray(12));
  const isTo = (inner: Buffer): boolean =>
    inner
      .subarray(to.length === 4 ? 16 : 24)
      .subarray(0, to.length)
      .equals(to);
  const heard = await eventually(`a packet to ${address}`, () => {
    answers(guest(n).netns, address);
    return router.heard.find(({ inner }) => isTo(inner));
  });
  return heard.label;
}

test('without neighbours there is no bgpd', async () => {
  bed.server.set(vpnWorld([h1], guests, [vpn(1, undefined), vpn(2, undefined)]));
  await h1.start();
  assert.equal(await viewOf(), null);
  assert.throws(() => h1.exec('test', '-e', bgpDirectory(run)));
});

test('the neighbour is told of each port with its VPN’s distinguisher, targets and label, and of nothing else', async () => {
  bed.server.set(vpnWorld([h1], guests, [vpn(1, TOLD), vpn(2, TOLD)]));
  const prefixes = ['65000:1 10.0.0.1/32', '65000:2 10.0.0.1/32'];
  for (const [n, one] of prefixes.entries()) {
    const [rd, prefix] = one.split(' ');
    const text = await eventually(`the provider hears ${one}`, async () => {
      const answer = await askProvider([`show bgp ipv4 vpn rd ${rd} ${prefix} json`]);
      return answer.includes('remoteLabel') && answer;
    });
    const { paths } = (JSON.parse(text) as Record<string, { paths: Record<string, unknown>[] }>)[rd ?? ''] ?? {
      paths: [],
    };
    assert.equal(paths[0]?.['remoteLabel'], sampleLabel(n + 1));
    assert.deepEqual(paths[0]?.['extendedCommunity'], { string: `RT:${rd}` });
    assert.match(text, /"ip":"192\.0\.2\.1"/);
  }
  const list = await askProvider(['show bgp ipv4 vpn json']);
  assert.equal(list.match(/"peerId":"192\.0\.2\.1"/g)?.length, 2, 'nothing that it told comes back');
  assert.match(await askProvider(['show bgp ipv6 vpn json']), /"2001:db8:1::1\/128"/);
});

test('each VPN reaches what is told for it by its label, and what else is told does nothing', async () => {
  await eventually('routes are learned', async () => (await viewOf())?.learned[sampleId('vpn', 1)] === 3);
  assert.equal(await labelTo(1, '172.16.5.9'), 300);
  assert.equal(await labelTo(2, '172.16.5.10'), 301);
  assert.equal(await labelTo(1, '2001:db8:99::5'), 300);
  const view = await viewOf();
  assert.deepEqual(view?.unused, { label: 1 });
  assert.deepEqual(view?.learned, { [sampleId('vpn', 1)]: 3, [sampleId('vpn', 2)]: 1 });
  assert.equal(view?.neighbors[0]?.state, 'Established');
  // The port's own address, which the provider claims: it stays the port's.
  assert.ok(answers(guest(1).netns, '10.0.0.254'));
  for (const address of ['172.17.0.1', '172.18.0.1'])
    assert.match(reply(1, address), /no route|unreachable|100% packet loss/i);
});

function reply(n: number, address: string): string {
  try {
    return guest(n).netns.run('ping', '-c', '1', '-W', '1', address);
  } catch (err) {
    return String((err as { stdout?: unknown }).stdout ?? err);
  }
}

function bgpdPid(): string {
  return execFileSync('cat', [join(bgpDirectory(run), 'bgpd.pid')], { encoding: 'utf8' }).trim();
}

test('what is withdrawn is used no more, and what comes is', async () => {
  const enter = ['configure terminal', 'router bgp 65001', 'address-family ipv4 vpn'];
  await askBgpd(provider, [
    ...enter,
    'no network 172.16.0.0/16 rd 65001:7 label 300',
    'network 172.20.0.0/16 rd 65001:7 label 300 route-map BLUE',
  ]);
  assert.equal(await labelTo(1, '172.20.0.1'), 300);
  assert.match(reply(1, '172.16.5.11'), /100% packet loss/);
});

test('bgpd outlives the agent, and the next one has its routes; another port needs no new one', async () => {
  const pid = bgpdPid();
  await h1.end('SIGKILL');
  assert.equal(await labelTo(1, '172.20.0.2'), 300, 'while no agent runs');
  await h1.start();
  await eventually('routes are learned', async () => (await viewOf())?.learned[sampleId('vpn', 2)] === 1);
  assert.equal(await labelTo(1, '172.20.0.3'), 300);
  bed.server.set(vpnWorld([h1], guests, [vpn(1, TOLD)]));
  await eventually('the other VPN’s port is taken back', async () => {
    const answer = await askProvider(['show bgp ipv4 vpn rd 65000:2 10.0.0.1/32 json']);
    return answer !== '' && !answer.includes('remoteLabel');
  });
  assert.equal(bgpdPid(), pid);
});

test('a neighbour that tells too much loses its session, and its routes go', async () => {
  const networks = Array.from({ length: NEIGHBOR_ROUTES_MAX + 10 }, (_, i) => {
    return `  network 100.${64 + (i >> 8)}.${i & 255}.0/24 rd 65001:7 label 300 route-map BLUE`;
  });
  endProvider();
  startProvider(['router bgp 65001', ' address-family ipv4 vpn', ...networks, ''].join('\n'));
  await eventually('the session ends', async () => (await viewOf())?.neighbors[0]?.state.includes('PfxCt'));
  await eventually('nothing is learned', async () => (await viewOf())?.learned[sampleId('vpn', 1)] === 0);
});

test('with the last VPN that has neighbours bgpd ends', async () => {
  const pid = bgpdPid();
  bed.server.set(vpnWorld([h1], guests, [vpn(1, undefined)]));
  await eventually('it has ended', async () => (await viewOf()) === null && !isAlive(pid));
});

function isAlive(pid: string): boolean {
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch {
    return false;
  }
}
