/** A load balancer's virtual address under a floating IP: members on two hosts, clients outside and behind the same router; with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import { addressOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { createGuests, createInner, createOutsideBed, enter, MAPPINGS } from './outside-bed.ts';

/** Who answers at port 80 of the address, or what went wrong. */
function who(netns: string, address: string, protocol: 'TCP' | 'UDP' = 'TCP'): string {
  const tcp = ['-u', `TCP:${address}:80,connect-timeout=1`, 'STDOUT'];
  const command = protocol === 'TCP' ? tcp : ['-t', '0.3', 'STDIO', `UDP:${address}:80`];
  try {
    return execFileSync(...enter(netns, 'socat', ...command), {
      // A connection whose member is taken away in its middle hears nothing any more.
      ...{ input: 'who?', encoding: 'utf8', timeout: 5_000 },
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
  const servers: ReturnType<typeof spawn>[] = [];
  t.after(() => {
    for (const one of servers) one.kill();
  });
  const world = await createOutsideBed(t, { label: 'vip', uplinks: 1 });
  const { bed, outside, cloud, external } = world;
  await cloud.allow('tcp', 8080);
  await cloud.allow('udp', 8080);
  const inner = await createInner(world);
  const guests = (await createGuests(world, inner, bed.hosts)).map(({ host, port }) => ({
    host,
    address: addressOf(port),
  }));
  for (const { host } of guests) {
    for (const listen of ['TCP-LISTEN:8080,fork,reuseaddr', 'UDP-LISTEN:8080,fork']) {
      servers.push(spawn(...enter(host.name, 'socat', listen, `SYSTEM:echo ${host.name}`)));
    }
  }
  const [near, away] = guests;
  assert.ok(near && away);

  const lb = await bed.api.create('loadbalancer', { vip_subnet_id: inner.subnet.id });
  const pools = await Promise.all(
    (['TCP', 'UDP'] as const).map(async (protocol) => {
      const listener = await bed.api.create('listener', { loadbalancer_id: lb.id, protocol, protocol_port: 80 });
      return bed.api.create('pool', { listener_id: listener.id, protocol, lb_algorithm: 'SOURCE_IP_PORT' });
    }),
  );
  const serve = async (list: readonly { address: string }[]): Promise<void> => {
    const members = list.map(({ address }) => ({ address, protocol_port: 8080, subnet_id: inner.subnet.id }));
    for (const pool of pools) await bed.api.action('pool', pool.id, 'replace_members', { members });
  };
  await serve(guests);
  const floating = await bed.api.create('floatingip', {
    ...{ floating_network_id: external.id, port_id: lb['vip_port_id'] },
  });
  const { floating_ip_address: address } = floating;
  assert.equal(floating.fixed_ip_address, lb['vip_address']);

  const both = [near.host.name, away.host.name].sort().join(' ');
  for (const from of [outside, near.host.name, away.host.name]) {
    await eventually(`${from} meets both by TCP`, () => met(from, address) === both);
    await eventually(`${from} meets both by UDP`, () => met(from, address, 'UDP') === both);
  }
  for (const one of guests) {
    await serve([one]);
    for (const from of [outside, near.host.name, away.host.name]) {
      await eventually(`${from} meets ${one.host.name} alone`, () => met(from, address) === one.host.name);
    }
  }
  await serve([]);
  await eventually('without members it is refused', () => who(outside, address).includes('Connection refused'));
  await serve(guests);
  await eventually('both serve again', () => met(outside, address) === both);
  await bed.h1.end('SIGKILL');
  await eventually('the agent away, it goes on', () => met(outside, address) === both);
  await bed.h1.replace(CURRENT, ...MAPPINGS);
  await bed.api.update('floatingip', floating.id, { port_id: null });
  await eventually('the address is nobody’s', () => !met(outside, address).includes(near.host.name));
});
