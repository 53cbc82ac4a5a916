/** Guests of two hosts and a machine on a flat physnetwork: a router's gateway, and floating IPs, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import { addressOf, Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbout-${process.pid}`;
const MACHINE = '203.0.113.1';
const BYTES = 3_000_000;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function enter(netns: string, ...command: readonly string[]): readonly [program: string, args: readonly string[]] {
  return ['nsenter', [`--net=/run/netns/${netns}`, ...command]];
}

/** How many of five pings are answered. */
function answers(netns: string, address: string): number {
  try {
    const report = execFileSync(...enter(netns, 'ping', '-q', '-c', '5', '-i', '0.05', '-W', '1', address), {
      encoding: 'utf8',
    });
    return Number(/(\d+) received/.exec(report)?.[1]);
  } catch {
    return 0;
  }
}

/** Bytes that a guest hears of what the machine outside sends to port 8080 of the address. */
async function heard(guest: BedHost, address: string): Promise<number> {
  const server = spawn(...enter(guest.name, 'timeout', '20', 'socat', '-u', 'TCP-LISTEN:8080,reuseaddr', 'STDOUT'));
  let bytes = 0;
  server.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const closed = once(server, 'close');
  await eventually('the guest listens', () =>
    execFileSync(...enter(guest.name, 'ss', '-Htln', 'sport = :8080'), { encoding: 'utf8' }).includes(':8080'),
  );
  const client = spawn(...enter(OUTSIDE, 'timeout', '20', 'socat', '-u', 'STDIN', `TCP:${address}:8080`));
  client.stdin.end(Buffer.alloc(BYTES));
  await Promise.all([once(client, 'close'), closed]);
  return bytes;
}

test('guests of any host reach outside by the gateway, and are reached by their floating IPs alone', {
  timeout: 240_000,
}, async (t) => {
  const bed = new VersionBed('out');
  t.after(() => {
    execFileSync('sh', ['-c', `ip netns del ${OUTSIDE} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT, CURRENT, CURRENT);
  ip('netns', 'add', OUTSIDE);
  ip('-n', bed.h1.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', OUTSIDE);
  ip('-n', OUTSIDE, 'address', 'add', `${MACHINE}/24`, 'dev', 'eth0');
  ip('-n', OUTSIDE, 'link', 'set', 'eth0', 'up');
  await bed.h1.replace(CURRENT, '--bridge-mappings', 'physnet1:ext0');

  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const external = await bed.api.create('network', { name: 'ext', 'router:external': true, ...flat });
  const pool = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  const outer = { network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, ...pool };
  await bed.api.create('subnet', outer);
  const cloud = await Cloud.create(bed.api);
  await cloud.allowPing();
  await cloud.allow('tcp', 8080);
  const network = await cloud.createNetwork();
  const subnets = await bed.api.list('subnet', { network_id: network.id });
  const inner = subnets.find(({ ip_version: version }) => version === 4);
  assert.ok(inner);
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const guests = [];
  for (const host of [bed.h1, bed.h2]) guests.push({ host, port: await cloud.createPort(host, network) });
  await cloud.active(...guests.map(({ port }) => port));
  for (const { host, port } of guests)
    ip('-n', host.name, 'route', 'add', '203.0.113.0/24', 'via', String(inner.gateway_ip), 'dev', linkOf(port));

  for (const { host } of guests) {
    await eventually(`${host.name} reaches outside by the gateway`, () => answers(host.name, MACHINE) === 5);
  }
  for (const { host, port } of guests) {
    const asked = { floating_network_id: external.id, port_id: port.id };
    const floating = await bed.api.create('floatingip', asked);
    const address = String(floating['floating_ip_address']);
    await eventually(`${host.name} is reached at ${address}`, () => answers(OUTSIDE, address) === 5);
    assert.equal(await heard(host, address), BYTES, `by TCP at ${address} of ${addressOf(port)}`);
    assert.equal(answers(host.name, address), 5, 'by itself too');
    await bed.api.update('floatingip', floating.id, { port_id: null });
    await eventually(`${address} is nobody's`, () => answers(OUTSIDE, address) === 0);
    await eventually(`${host.name} reaches outside by the gateway again`, () => answers(host.name, MACHINE) === 5);
  }
});
