import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { LocalPort } from '@cable/model';
import {
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { type BedGuest, createBedGuest } from './testing/bed-guest.ts';

/** Real packets that are larger than the network takes which they go into. */
const run = promisify(execFile);

let bed: AgentBed;
let h1: BedHost;
let h2: BedHost;
const guests = new Map<LocalPort, BedGuest>();

/** Networks of MTU 1450, 1200 and (IPv6 too) 1400; what is tunnelled takes 1450. */
const small = { networkId: sampleId('net', 2) };
const at = (n: number, ...more: string[]) => ({
  fixedIps: [`10.0.1.${n}`, ...more].map((ipAddress) => ({ subnetId: sampleId('sub', 2), ipAddress })),
});
const A = samplePort(5, {
  policy: 'policy:p',
  fixedIps: [
    { subnetId: sampleId('sub', 1), ipAddress: '10.0.0.5' },
    { subnetId: sampleId('sub', 6), ipAddress: '2001:db8:6::5' },
  ],
});
const NEAR = samplePort(6, { ...small, ...at(6), policy: 'policy:p' });
const FAR = samplePort(7, { ...small, ...at(7), policy: 'policy:p' });
const NEIGHBOUR = samplePort(8, {
  policy: 'policy:p',
  fixedIps: [
    { subnetId: sampleId('sub', 1), ipAddress: '10.0.0.8' },
    { subnetId: sampleId('sub', 6), ipAddress: '2001:db8:6::8' },
  ],
});

before(async () => {
  bed = await createAgentBed('pmtu', 2);
  const [first, second] = bed.hosts;
  assert.ok(first && second);
  [h1, h2] = [first, second];
  await Promise.all([h1.start(), h2.start()]);
  const here = (port: LocalPort) => sampleEndpoint(port, h1.name, h1.underlay);
  const there = (port: LocalPort) => sampleEndpoint(port, h2.name, h2.underlay);
  const v6 = sampleSubnet(6, { cidr: '2001:db8:6::/64', ipVersion: 6, gatewayIp: '2001:db8:6::1' });
  bed.server.set([
    sampleHost(h1.name, [A, NEAR]),
    sampleHost(h2.name, [FAR, NEIGHBOUR]),
    ...sampleNetwork(1, { subnets: [sampleSubnet(1), v6] }, [here(A), there(NEIGHBOUR)]),
    ...sampleNetwork(2, { mtuBytes: 1200 }, [here(NEAR), there(FAR)]),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', [
      sampleRule(1, { direction: 'egress' }),
      sampleRule(2),
      sampleRule(3, { direction: 'egress', ethertype: 'IPv6' }),
      sampleRule(4, { ethertype: 'IPv6' }),
    ]),
  ]);
  for (const [host, ports] of [[h1, [A, NEAR]] as const, [h2, [FAR, NEIGHBOUR]] as const]) {
    for (const port of ports) plug(host, port);
  }
  for (const host of [h1, h2]) {
    await eventually(`the guests of ${host.name} are up`, async () => {
      const status = await host.ask<{ readonly vifs: { readonly up: number } }>('/status');
      return status?.vifs.up === 2;
    });
  }
});

after(async () => {
  for (const guest of guests.values()) guest.remove();
  await bed.remove();
});

/** A guest whose own device takes more than its network. */
function plug(host: BedHost, port: LocalPort): void {
  const guest = createBedGuest(host, port);
  const [, , net] = (port.fixedIps[0]?.ipAddress ?? '').split('.');
  guest.netns.ip('link', 'set', 'c0', 'mtu', '1800');
  host.exec('ip', 'link', 'set', `tap${port.id.slice(0, 11)}`, 'mtu', '1800');
  guest.netns.ip('route', 'add', 'default', 'via', `10.0.${net}.1`);
  const [, six] = port.fixedIps;
  if (six !== undefined) guest.netns.ip('address', 'add', `${six.ipAddress}/64`, 'dev', 'c0', 'nodad');
  guests.set(port, guest);
}

/** What ping says, whether it was answered or not. */
async function ping(from: LocalPort, ...words: readonly string[]): Promise<string> {
  const path = guests.get(from)?.netns.path ?? '';
  const command = [`--net=${path}`, 'ping', '-n', '-c', '5', '-i', '0.05', '-W', '2', ...words];
  const { stdout } = await run('nsenter', command, { timeout: 30_000 }).catch(
    (err: unknown) => err as { stdout: string },
  );
  return stdout;
}

for (const [where, port] of [
  ['on the same host', NEAR],
  ['on another host', FAR],
] as const) {
  const to = port.fixedIps[0]?.ipAddress ?? '';

  test(`datagrams that may be cut come to a network with a smaller MTU ${where}, all of them`, async () => {
    for (const size of ['1300', '1772']) {
      assert.match(await ping(A, '-M', 'dont', '-s', size, to), /5 packets transmitted, 5 received/, size);
    }
  });

  test(`those that may not are refused with that MTU, by the gateway: ${where}`, async () => {
    const said = await ping(A, '-M', 'do', '-s', '1300', to);
    assert.match(said, /^From 10\.0\.0\.1 icmp_seq=1 Frag needed and DF set \(mtu = 1200\)$/m);
    guests.get(A)?.netns.ip('route', 'flush', 'cache');
  });
}

test('within a network what goes to another host is cut too, or refused with the MTU of the network', async () => {
  const to = NEIGHBOUR.fixedIps[0]?.ipAddress ?? '';
  const said = await ping(A, '-M', 'dont', '-s', '1500', to);
  assert.match(said, /5 packets transmitted, 5 received/);
  assert.match(said, /ttl=64 /);
  assert.match(
    await ping(A, '-M', 'do', '-s', '1500', to),
    /^From 10\.0\.0\.1 icmp_seq=1 Frag needed and DF set \(mtu = 1450\)$/m,
  );
});

test('IPv6 is told the MTU of the network, by its router or, without one, by the address of the services', async () => {
  const said = await ping(A, '-6', '-M', 'do', '-s', '1500', '2001:db8:6::8');
  assert.match(said, /^From fe80::a9fe:a9fe%c0 icmp_seq=1 Packet too big: mtu=1450$/m);
});

test('one namespace cuts for all networks; what it keeps is nothing of the packets', () => {
  const file = h1.services.replace('services.netns', 'fragments.netns');
  const inside = (...words: readonly string[]): string => h1.exec('nsenter', `--net=${file}`, ...words);
  assert.deepEqual([...inside('ip', '-br', 'link').matchAll(/^(\w+)/gm)].map(([, name]) => name).sort(), [
    'cablef0',
    'lo',
  ]);
  assert.ok(inside('ip', 'neigh', 'show', 'nud', 'all').trim().split('\n').length <= 1);
  assert.equal(inside('ip', 'rule').trim().split('\n').length, 64 + 3);
});
