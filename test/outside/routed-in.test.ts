/** A router that does not translate, and an outside that is routed to its subnet: clients there reach guests and a virtual address by their own; with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import { addressOf } from '../versions/cloud.ts';
import { eventually } from '../versions/program.ts';
import { answers, createGuests, createInner, createOutsideBed, enter, gatewayOf, ip } from './outside-bed.ts';

/** Who answers at port 80 of the address; '': nobody. */
function who(netns: string, address: string): string {
  try {
    return execFileSync(...enter(netns, 'socat', '-u', `TCP:${address}:80,connect-timeout=1`, 'STDOUT'), {
      ...{ encoding: 'utf8', timeout: 5_000 },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

test('clients outside that are routed to a virtual address reach its members on any host, by its own address', {
  timeout: 240_000,
}, async (t) => {
  const servers: ReturnType<typeof spawn>[] = [];
  t.after(() => {
    for (const one of servers) one.kill();
  });
  const world = await createOutsideBed(t, { label: 'rin', uplinks: 1 });
  const { bed, outside, cloud, external, router } = world;
  await cloud.allow('tcp', 8080);
  await cloud.allowPing();
  const inner = await createInner(world);
  const guests = await createGuests(world, inner, bed.hosts);
  for (const { host } of guests) {
    const listen = ['TCP-LISTEN:8080,fork,reuseaddr', `SYSTEM:echo ${host.name}`];
    servers.push(spawn(...enter(host.name, 'socat', ...listen)));
  }
  const lb = await bed.api.create('loadbalancer', { vip_subnet_id: inner.subnet.id });
  const listener = await bed.api.create('listener', { loadbalancer_id: lb.id, protocol: 'TCP', protocol_port: 80 });
  const kind = { protocol: 'TCP', lb_algorithm: 'SOURCE_IP_PORT' } as const;
  const pool = await bed.api.create('pool', { listener_id: listener.id, ...kind });
  const members = guests.map(({ port }) => ({
    address: addressOf(port),
    protocol_port: 8080,
    subnet_id: inner.subnet.id,
  }));
  await bed.api.action('pool', pool.id, 'replace_members', { members });
  const vip = String(lb['vip_address']);

  const gateway = addressOf(await gatewayOf(world));
  ip('-n', outside, 'route', 'add', String(inner.subnet.cidr), 'via', gateway);
  assert.equal(who(outside, vip), '', 'who hides behind an address is not reached by his own');
  const info = { network_id: external.id, enable_snat: false };
  await bed.api.update('router', router.id, { external_gateway_info: info });
  for (const { port } of guests) {
    await eventually('a guest is reached', () => answers(outside, addressOf(port)) === 5);
  }
  const both = guests.map(({ host }) => host.name).sort();
  await eventually('both members are met', () => {
    const met = new Set(Array.from({ length: 8 }, () => who(outside, vip)));
    return [...met].sort().join(' ') === both.join(' ');
  });
  await bed.api.update('router', router.id, { external_gateway_info: { ...info, enable_snat: true } });
  await eventually('it is not any more', () => who(outside, vip) === '');
});
