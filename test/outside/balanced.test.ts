/** A load balancer's virtual address under a floating IP: members on two hosts, clients outside and behind the same router; with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import { addressOf, Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbvip-${process.pid}`;
const MACHINE = '203.0.113.1';

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function enter(netns: string, ...command: readonly string[]): readonly [program: string, args: readonly string[]] {
  return ['nsenter', [`--net=/run/netns/${netns}`, ...command]];
}

/** Who answers at port 80 of the address, or what went wrong. */
function who(netns: string, address: string, protocol: 'TCP' | 'UDP' = 'TCP'): string {
  const tcp = ['-u', `TCP:${address}:80,connect-timeout=1`, 'STDOUT'];
  const command = protocol === 'TCP' ? tcp : ['-t', '0.3', 'STDIO', `UDP:${address}:80`];
  try {
    return execFileSync(...enter(netns, 'socat', ...command), {
      ...{ input: 'who?', encoding: 'utf8' },
      stdio: ['pipe', 'pipe', 'pipe'],
    }).trim();
  } catch (err) {
    return String((err as { stderr?: string }).stderr);
  }
}

/** Who answers some connections. */
function met(netns: string, address: string, protocol?: 'TCP' | 'UDP'): string {
  return [...new Set(Array.from({ length: 6 }, () => who(netns, address, protocol)))].sort().join(' ');
}

test('a floating IP of a virtual address leads to members on any host, for clients outside and behind the router', {
  timeout: 240_000,
}, async (t) => {
  const bed = new VersionBed('vip');
  const servers: ReturnType<typeof spawn>[] = [];
  t.after(() => {
    for (const one of servers) one.kill();
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
  const range = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  const outer = { network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, ...range };
  await bed.api.create('subnet', outer);
  const cloud = await Cloud.create(bed.api);
  await cloud.allow('tcp', 8080);
  await cloud.allow('udp', 8080);
  const network = await cloud.createNetwork();
  const subnets = await bed.api.list('subnet', { network_id: network.id });
  const inner = subnets.find(({ ip_version: version }) => version === 4);
  assert.ok(inner);
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const guests: { host: BedHost; address: string }[] = [];
  for (const host of [bed.h1, bed.h2]) {
    const port = await cloud.createPort(host, network);
    await cloud.active(port);
    ip('-n', host.name, 'route', 'add', '203.0.113.0/24', 'via', String(inner.gateway_ip), 'dev', linkOf(port));
    for (const listen of ['TCP-LISTEN:8080,fork,reuseaddr', 'UDP-LISTEN:8080,fork']) {
      servers.push(spawn(...enter(host.name, 'socat', listen, `SYSTEM:echo ${host.name}`)));
    }
    guests.push({ host, address: addressOf(port) });
  }
  const [near, away] = guests;
  assert.ok(near && away);

  const lb = await bed.api.create('loadbalancer', { vip_subnet_id: inner.id });
  const pools = await Promise.all(
    (['TCP', 'UDP'] as const).map(async (protocol) => {
      const listener = await bed.api.create('listener', { loadbalancer_id: lb.id, protocol, protocol_port: 80 });
      return bed.api.create('pool', { listener_id: listener.id, protocol, lb_algorithm: 'SOURCE_IP_PORT' });
    }),
  );
  const serve = async (list: readonly { address: string }[]): Promise<void> => {
    const members = list.map(({ address }) => ({ address, protocol_port: 8080, subnet_id: inner.id }));
    for (const pool of pools) await bed.api.action('pool', pool.id, 'replace_members', { members });
  };
  await serve(guests);
  const floating = await bed.api.create('floatingip', {
    ...{ floating_network_id: external.id, port_id: lb['vip_port_id'] },
  });
  const { floating_ip_address: address } = floating;
  assert.equal(floating.fixed_ip_address, lb['vip_address']);

  const both = [near.host.name, away.host.name].sort().join(' ');
  for (const from of [OUTSIDE, near.host.name, away.host.name]) {
    await eventually(`${from} meets both by TCP`, () => met(from, address) === both);
    await eventually(`${from} meets both by UDP`, () => met(from, address, 'UDP') === both);
  }
  for (const one of guests) {
    await serve([one]);
    for (const from of [OUTSIDE, near.host.name, away.host.name]) {
      await eventually(`${from} meets ${one.host.name} alone`, () => met(from, address) === one.host.name);
    }
  }
  await serve([]);
  await eventually('without members it is refused', () => who(OUTSIDE, address).includes('Connection refused'));
  await serve(guests);
  await eventually('both serve again', () => met(OUTSIDE, address) === both);
  await bed.h1.end('SIGKILL');
  await eventually('the agent away, it goes on', () => met(OUTSIDE, address) === both);
  await bed.h1.replace(CURRENT, '--bridge-mappings', 'physnet1:ext0');
  await bed.api.update('floatingip', floating.id, { port_id: null });
  await eventually('the address is nobody’s', () => !met(OUTSIDE, address).includes(near.host.name));
});
