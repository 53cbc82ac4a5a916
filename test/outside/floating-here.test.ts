/** Floating IPs on the hosts of their ports: two hosts with an uplink each to a switch, on which a machine outside is, too; with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { PortView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { addressOf, Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbfip-${process.pid}`;
const MACHINE = '203.0.113.1';
const BYTES = 1_000_000;

function run(netns: string, ...command: readonly string[]): string {
  return execFileSync('nsenter', [`--net=/run/netns/${netns}`, ...command], { encoding: 'utf8' });
}

/** How many of five pings are answered. */
function answers(netns: string, address: string): number {
  try {
    const report = run(netns, 'ping', '-q', '-c', '5', '-i', '0.05', '-W', '1', address);
    return Number(/(\d+) received/.exec(report)?.[1]);
  } catch {
    return 0;
  }
}

/** The switch's port behind which it has last heard the MAC. */
function switchPort(mac: string): string | undefined {
  const rows = JSON.parse(run(OUTSIDE, 'bridge', '-j', 'fdb', 'show', 'br', 'br0')) as {
    mac: string;
    ifname: string;
  }[];
  return rows.find((row) => row.mac === mac)?.ifname;
}

/** What the machine outside takes the address's MAC to be. */
function neighbour(address: string): string | undefined {
  const rows = JSON.parse(run(OUTSIDE, 'ip', '-j', 'neigh', 'show', address)) as { lladdr?: string }[];
  return rows[0]?.lladdr;
}

/** Bytes that the machine outside hears of what the guest sends to its port 8080. */
async function sent(guest: BedHost): Promise<number> {
  const enter = (netns: string, ...command: readonly string[]) =>
    spawn('nsenter', [`--net=/run/netns/${netns}`, 'timeout', '20', 'socat', '-u', ...command]);
  const server = enter(OUTSIDE, 'TCP-LISTEN:8080,reuseaddr', 'STDOUT');
  let bytes = 0;
  server.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const closed = once(server, 'close');
  await eventually('the machine listens', () => run(OUTSIDE, 'ss', '-Htln', 'sport = :8080').includes(':8080'));
  const client = enter(guest.name, 'STDIN', `TCP:${MACHINE}:8080`);
  client.stdin.end(Buffer.alloc(BYTES));
  await Promise.all([once(client, 'close'), closed]);
  return bytes;
}

test('a floating IP is answered for by its port’s host, by that one’s uplink, and follows the port', {
  timeout: 300_000,
}, async (t) => {
  const bed = new VersionBed('fip');
  t.after(() => {
    execFileSync('sh', ['-c', `ip netns del ${OUTSIDE} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT, CURRENT, CURRENT);
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args);
  ip('netns', 'add', OUTSIDE);
  ip('-n', OUTSIDE, 'link', 'add', 'br0', 'up', 'type', 'bridge');
  ip('-n', OUTSIDE, 'address', 'add', `${MACHINE}/24`, 'dev', 'br0');
  for (const [host, port] of [
    [bed.h1, 'e1'],
    [bed.h2, 'e2'],
  ] as const) {
    ip('-n', host.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', port, 'netns', OUTSIDE);
    ip('-n', OUTSIDE, 'link', 'set', port, 'master', 'br0', 'up');
    await host.replace(CURRENT, '--bridge-mappings', 'physnet1:ext0');
  }
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const external = await bed.api.create('network', { name: 'ext', 'router:external': true, ...flat });
  const pool = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  await bed.api.create('subnet', {
    ...{ network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, ...pool },
  });
  const cloud = await Cloud.create(bed.api);
  await cloud.allowPing();
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  const [gateway] = await bed.api.list('port', { device_id: router.id });
  assert.ok(gateway);
  await bed.api.update('port', gateway.id, { 'binding:host_id': bed.h1.name });

  /** The machine that the host is reaches outside by that port of it. */
  const leaveBy = (host: BedHost, { port, router: via }: { readonly port: PortView; readonly router: string }): void =>
    ip('-n', host.name, 'route', 'replace', '203.0.113.0/24', 'via', via, 'dev', linkOf(port));
  const guests: { host: BedHost; port: PortView; router: string; floating: string; mac: string }[] = [];
  for (const host of [bed.h2, bed.h1]) {
    const network = await cloud.createNetwork();
    const subnets = await bed.api.list('subnet', { network_id: network.id });
    const inner = subnets.find(({ ip_version: version }) => version === 4);
    assert.ok(inner);
    await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
    const port = await cloud.createPort(host, network);
    await cloud.active(port);
    const guest = { host, port, router: String(inner.gateway_ip), floating: '', mac: '' };
    leaveBy(host, guest);
    guests.push(guest);
  }
  const [away, near] = guests;
  assert.ok(away && near);
  await eventually('without a floating IP it goes by the gateway', () => answers(away.host.name, MACHINE) === 5);
  assert.equal(switchPort(gateway.mac_address), 'e1');

  for (const guest of guests) {
    const made = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: guest.port.id });
    const [own] = await bed.api.list('port', { device_id: made.id });
    assert.ok(own);
    guest.floating = made.floating_ip_address;
    guest.mac = own.mac_address;
    await eventually(`${guest.floating} answers`, () => answers(OUTSIDE, guest.floating) === 5);
    assert.equal(neighbour(guest.floating), guest.mac, 'with the MAC of its own');
  }
  assert.deepEqual([switchPort(away.mac), switchPort(near.mac)], ['e2', 'e1'], 'each by the uplink of its host');
  // The first packet to a neighbour becomes the question for its MAC.
  await eventually('from the one to the other, by the wire', () => answers(near.host.name, away.floating) === 5);
  await eventually('and back', () => answers(away.host.name, near.floating) === 5);
  await eventually('and to itself', () => answers(away.host.name, away.floating) === 5);

  ip('-n', bed.h1.name, 'link', 'set', 'ext0', 'down');
  await eventually('the gateway’s host is no part of it', () => answers(OUTSIDE, away.floating) === 5);
  assert.equal(await sent(away.host), BYTES);
  ip('-n', bed.h1.name, 'link', 'set', 'ext0', 'up');

  // Nobody sends: the switch and the machine know it only by the announcement.
  const before = neighbour(away.floating);
  const moved = await bed.api.update('port', away.port.id, { 'binding:host_id': bed.h1.name });
  await cloud.active(moved);
  await eventually('the switch is told', () => switchPort(away.mac) === 'e1');
  assert.equal(neighbour(away.floating), before, 'the machine outside goes on with what it knows');
  leaveBy(bed.h1, away);
  await eventually(`${addressOf(moved)} is reached at its new host`, () => answers(OUTSIDE, away.floating) === 5);
  await bed.api.update('port', away.port.id, { 'binding:host_id': bed.h2.name });
  await eventually('and back', () => switchPort(away.mac) === 'e2');
  await cloud.active(moved);
  leaveBy(bed.h2, away);
  await eventually('it is reached again', () => answers(OUTSIDE, away.floating) === 5);

  // A host that is on the physical network no more gives it to the gateway's.
  await bed.h2.replace(CURRENT);
  await eventually('the gateway’s host answers for it', () => answers(OUTSIDE, away.floating) === 5);
  assert.equal(switchPort(away.mac), 'e1');
  await bed.h2.replace(CURRENT, '--bridge-mappings', 'physnet1:ext0');
  await eventually('its own host answers again', () => switchPort(away.mac) === 'e2');
  await eventually('it is reached', () => answers(OUTSIDE, away.floating) === 5);
});
