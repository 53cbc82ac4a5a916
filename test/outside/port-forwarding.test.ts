/** Ports of one floating IP that lead to guests of two hosts, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbfwd-${process.pid}`;
const MACHINE = '203.0.113.1';
const BYTES = 1_000_000;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function enter(netns: string, ...command: readonly string[]): readonly [program: string, args: readonly string[]] {
  return ['nsenter', [`--net=/run/netns/${netns}`, ...command]];
}

function pings(netns: string, address: string): boolean {
  try {
    execFileSync(...enter(netns, 'ping', '-q', '-c', '1', '-W', '1', address), { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Bytes that a guest hears at port 8080 of what `from` sends to that port of the address. */
async function heard(guest: BedHost, from: string, address: string, port: number): Promise<number> {
  const server = spawn(...enter(guest.name, 'timeout', '20', 'socat', '-u', 'TCP-LISTEN:8080,reuseaddr', 'STDOUT'));
  let bytes = 0;
  server.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const closed = once(server, 'close');
  await eventually('the guest listens', () =>
    execFileSync(...enter(guest.name, 'ss', '-Htln', 'sport = :8080'), { encoding: 'utf8' }).includes(':8080'),
  );
  const client = spawn(...enter(from, 'timeout', '20', 'socat', '-u', 'STDIN', `TCP:${address}:${port}`));
  client.stdin.end(Buffer.alloc(BYTES));
  await Promise.all([once(client, 'close'), closed]);
  return bytes;
}

/** Connects from outside; what it says when it cannot, else ''. */
function refusal(address: string, port: number): string {
  try {
    const command = enter(OUTSIDE, 'socat', '-u', '/dev/null', `TCP:${address}:${port},connect-timeout=1`);
    execFileSync(...command, { stdio: ['ignore', 'ignore', 'pipe'] });
    return '';
  } catch (err) {
    return String(err);
  }
}

/** What a guest answers by UDP at `inside`, to who asks at `port` of the address from outside. */
async function asks(guest: BedHost, inside: number, address: string, port: number): Promise<string> {
  const server = spawn(...enter(guest.name, 'timeout', '20', 'socat', `UDP-LISTEN:${inside},fork`, 'PIPE'));
  const closed = once(server, 'close');
  // Refused until the guest listens.
  const ask = (): string => {
    const command = enter(OUTSIDE, 'socat', '-t', '1', 'STDIO', `UDP:${address}:${port}`);
    try {
      return execFileSync(...command, { input: `to ${inside}`, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] });
    } catch {
      return '';
    }
  };
  try {
    let answer = '';
    await eventually(`an answer from ${guest.name}`, () => {
      answer = ask();
      return answer !== '';
    });
    return answer;
  } finally {
    server.kill();
    await closed;
  }
}

test('ports of one floating IP lead to guests of any host, and its other ports nowhere', {
  timeout: 240_000,
}, async (t) => {
  const bed = new VersionBed('fwd');
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
  await bed.api.create('subnet', {
    ...{ network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE },
    ...pool,
  });
  const cloud = await Cloud.create(bed.api);
  await cloud.allow('tcp', 8080);
  const rule = await cloud.allow('udp', 6002);
  const network = await cloud.createNetwork();
  const inner = (await bed.api.list('subnet', { network_id: network.id })).find((one) => one.ip_version === 4);
  assert.ok(inner);
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const port1 = await cloud.createPort(bed.h1, network);
  const port2 = await cloud.createPort(bed.h2, network);
  await cloud.active(port1, port2);
  const guests = [
    { host: bed.h1, port: port1 },
    { host: bed.h2, port: port2 },
  ];
  for (const { host, port } of guests)
    ip('-n', host.name, 'route', 'add', '203.0.113.0/24', 'via', String(inner.gateway_ip), 'dev', linkOf(port));

  const floating = await bed.api.create('floatingip', { floating_network_id: external.id });
  const { floating_ip_address: address } = floating;
  const forwardings = bed.api.within(floating.id);
  const forward = (port: { readonly id: string }, ports: object): Promise<{ readonly id: string }> =>
    forwardings.create('port_forwarding', { protocol: 'tcp', internal_port_id: port.id, ...ports });
  const first = await forward(port1, { external_port: 2221, internal_port: 8080 });
  const second = await forward(port2, { external_port: 2222, internal_port: 8080 });
  await forward(port2, { protocol: 'udp', external_port_range: '5000:5003', internal_port_range: '6000:6003' });

  await eventually('the address answers', () => pings(OUTSIDE, address));
  assert.equal(await heard(bed.h1, OUTSIDE, address, 2221), BYTES, 'to a guest of the gateway’s host');
  assert.equal(await heard(bed.h2, OUTSIDE, address, 2222), BYTES, 'to a guest of another host');
  assert.equal(await heard(bed.h2, bed.h1.name, address, 2222), BYTES, 'from a guest, by the address outside');
  assert.match(await asks(bed.h2, 6002, address, 5002), /^to 6002/, 'a port of a range');
  assert.notEqual(refusal(address, 2223), '', 'no other port');
  await cloud.revoke(rule);
  await cloud.allow('udp', 5002);
  const isShut = (): boolean =>
    execFileSync(...enter(OUTSIDE, 'socat', '-t', '0.3', 'STDIO', `UDP:${address}:5002`), { input: 'x' }).length === 0;
  await eventually('the rules see the port inside', isShut);

  await forwardings.update('port_forwarding', second.id, {
    external_port: 2229,
    internal_port_id: port1.id,
    internal_port: 8081,
  });
  await forwardings.update('port_forwarding', first.id, { internal_port_id: port2.id });
  await eventually('it has moved', () => refusal(address, 2222) !== '');
  assert.equal(await heard(bed.h2, OUTSIDE, address, 2221), BYTES, 'to the other guest now');
  for (const one of await forwardings.list('port_forwarding')) await forwardings.delete('port_forwarding', one.id);
  await eventually('the address is nobody’s', () => !pings(OUTSIDE, address));
  assert.equal((await bed.api.list('floatingip', { id: floating.id }))[0]?.status, 'DOWN');
});
