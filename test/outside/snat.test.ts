/** Guests of two hosts that leave by the uplinks of their own, with ports of their own blocks of the router's address: real agents, the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import type { RouterEgress, SnatLease } from '@cable/model';
import { eventually } from '../versions/program.ts';
import { createGuests, createInner, createOutsideBed, enter, ip, leaveBy, MACHINE } from './outside-bed.ts';
import { Party } from './party-process.ts';

/** Behind the machine: what is on the external network itself is reached by the gateway's host. */
const FAR = '198.51.100.9';

/** Four blocks, which each guest begins with, are 256 ports. */
const MANY = 400;

/** What the machine outside says of who has called it by that address: `<address> <port>`. */
function caller(guest: string, called: string = FAR): string {
  try {
    return execFileSync(...enter(guest, 'timeout', '3', 'socat', '-u', `TCP:${called}:8081`, 'STDOUT'), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

/** Frames that left by a device of the outside's bridge end, counted by the kernel. */
function received(outside: string, device: string): number {
  const [link] = JSON.parse(
    execFileSync('ip', ['-n', outside, '-j', '-s', 'link', 'show', device], { encoding: 'utf8' }),
  );
  return link.stats64.rx.packets;
}

test('guests leave by their own hosts with ports of their own blocks, are answered, and are found by them', {
  timeout: 300_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'snat', uplinks: 2, router: { 'cable:snat': 'distributed' } });
  const { bed, outside, cloud, router } = world;
  ip('-n', outside, 'address', 'add', `${FAR}/32`, 'dev', 'lo');
  const says = ['TCP-LISTEN:8081,reuseaddr,fork', 'SYSTEM:echo $SOCAT_PEERADDR $SOCAT_PEERPORT'];
  const far = spawn(...enter(outside, 'socat', ...says), { stdio: 'ignore' });
  t.after(() => far.kill('SIGKILL'));
  await cloud.allowPing();
  const guests = await createGuests(world, await createInner(world), bed.hosts, `${FAR}/32`);
  const address = router.external_gateway_info?.external_fixed_ips[0]?.ip_address ?? '';
  for (const [n, { host, port }] of guests.entries()) {
    let told = '';
    const heard = (): boolean => {
      told = caller(host.name);
      return told.startsWith(`${address} `);
    };
    await eventually(`${host.name} is answered`, heard);
    const before = received(outside, `e${n + 1}`);
    for (let m = 0; m < 5; m += 1) assert.ok(heard(), told);
    assert.ok(received(outside, `e${n + 1}`) - before >= 20, `what ${host.name} sends leaves by its own uplink`);
    const number = Number(told.split(' ')[1]);
    const all = (await bed.api.list('snat_lease', {})) as unknown as readonly SnatLease[];
    const [lease, ...more] = all.filter((one) => one.port_id === port.id);
    assert.deepEqual(more, []);
    assert.ok(
      lease?.first_ports.some((first) => number >= (first ?? 0) && number < (first ?? 0) + 64),
      `${number} is of ${lease?.first_ports}`,
    );
    const found = await bed.api.action('snat_lease', '', 'find', {
      ...{ external_address: address, external_port: number, at: new Date().toISOString() },
    });
    const { records } = found as { records: readonly { port_id: string; host_id: string }[] };
    assert.deepEqual(
      records.map((one) => [one.port_id, one.host_id]),
      [[port.id, port['binding:host_id']]],
    );
  }

  // The gateway's host has no other way to these than to know the blocks of the others' guests.
  for (const guest of guests) {
    leaveBy(guest.host, guest);
    let told = '';
    await eventually(`${guest.host.name} is answered by who is on the external network itself`, () => {
      told = caller(guest.host.name, MACHINE);
      return told.startsWith(`${address} `);
    });
    const number = Number(told.split(' ')[1]);
    const all = (await bed.api.list('snat_lease', {})) as unknown as readonly SnatLease[];
    const { first_ports: firstPorts = [] } = all.find((one) => one.port_id === guest.port.id) ?? {};
    assert.ok(
      firstPorts.some((first) => number >= (first ?? 0) && number < (first ?? 0) + 64),
      `${number} is of ${firstPorts}`,
    );
  }

  // More connections at once to one place than the ports that it has.
  const [hungry] = guests;
  assert.ok(hungry);
  const server = new Party(t, outside, 'serve', '8082');
  await server.has('ready', 1, 'the machine outside listens');
  const many = new Party(t, hungry.host.name, 'call', FAR, '8082', String(MANY));
  await many.has('open', MANY, 'all connections are open');
  assert.equal(many.count('closed'), 0);
  const all = (await bed.api.list('snat_lease', {})) as unknown as readonly SnatLease[];
  const blocks = all.filter((one) => one.port_id === hungry.port.id).flatMap((one) => one.first_ports);
  assert.ok(blocks.length > 4, String(blocks.length));
  t.diagnostic(`${MANY} connections at once to one address and port: ${blocks.length} blocks`);
  const records = await Promise.all(
    blocks.map(async (first) => {
      const at = { external_address: address, external_port: first, at: new Date().toISOString() };
      return (await bed.api.action('snat_lease', '', 'find', at)) as { records: readonly { port_id: string }[] };
    }),
  );
  assert.ok(records.every((one) => one.records.length === 1 && one.records[0]?.port_id === hungry.port.id));

  // An address of their own, and back.
  const egress = await bed.api.create('router_egress', { router_id: router.id, priority: 1 });
  const [own] = (egress as RouterEgress).external_addresses;
  assert.ok(own !== undefined && own !== address);
  for (const { host } of guests)
    await eventually(`${host.name} leaves by ${own}`, () => caller(host.name).startsWith(`${own} `));
  await bed.api.delete('router_egress', egress.id);
  for (const { host } of guests)
    await eventually(`${host.name} leaves by ${address} again`, () => caller(host.name).startsWith(`${address} `));
});
