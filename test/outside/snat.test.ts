/** Guests of two hosts that leave by the uplinks of their own, with ports of their own blocks of the router's address: real agents, the real kernel. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { SnatLease } from '@cable/model';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbsn-${process.pid}`;
const MACHINE = '203.0.113.1';
/** Behind the machine: what is on the external network itself is reached by the gateway's host. */
const FAR = '198.51.100.9';

/** Four blocks, which each guest begins with, are 256 ports. */
const MANY = 400;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function enter(netns: string, ...command: readonly string[]): readonly [program: string, args: readonly string[]] {
  return ['nsenter', [`--net=/run/netns/${netns}`, ...command]];
}

/** What the machine outside says of who has called it: `<address> <port>`. */
function caller(guest: string): string {
  try {
    return execFileSync(...enter(guest, 'timeout', '3', 'socat', '-u', `TCP:${FAR}:8081`, 'STDOUT'), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

/** Frames that left by a device of the outside's bridge end, counted by the kernel. */
function received(device: string): number {
  const [link] = JSON.parse(
    execFileSync('ip', ['-n', OUTSIDE, '-j', '-s', 'link', 'show', device], { encoding: 'utf8' }),
  );
  return link.stats64.rx.packets;
}

/** `party.ts` in a namespace, and how often it has said what. */
function party(
  netns: string,
  ...args: readonly string[]
): { child: ChildProcess; counts: ReadonlyMap<string, number> } {
  const program = new URL('party.ts', import.meta.url).pathname;
  const child = spawn(...enter(netns, process.execPath, '--import', 'tsx', program, ...args), {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const counts = new Map<string, number>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { event } = JSON.parse(line) as { readonly event: string };
    counts.set(event, (counts.get(event) ?? 0) + 1);
  });
  return { child, counts };
}

test('guests leave by their own hosts with ports of their own blocks, are answered, and are found by them', {
  timeout: 300_000,
}, async (t) => {
  const bed = new VersionBed('snat');
  const children: ChildProcess[] = [];
  t.after(() => {
    for (const child of children) child.kill('SIGKILL');
    execFileSync('sh', ['-c', `ip netns del ${OUTSIDE} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT, CURRENT, CURRENT);
  ip('netns', 'add', OUTSIDE);
  ip('-n', OUTSIDE, 'link', 'add', 'br0', 'up', 'type', 'bridge');
  for (const [n, host] of [bed.h1, bed.h2].entries()) {
    ip('-n', host.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', `p${n + 1}`, 'netns', OUTSIDE);
    ip('-n', OUTSIDE, 'link', 'set', `p${n + 1}`, 'master', 'br0', 'up');
  }
  ip('-n', OUTSIDE, 'address', 'add', `${MACHINE}/24`, 'dev', 'br0');
  ip('-n', OUTSIDE, 'address', 'add', `${FAR}/32`, 'dev', 'lo');
  ip('-n', OUTSIDE, 'link', 'set', 'lo', 'up');
  children.push(
    spawn(...enter(OUTSIDE, 'socat', 'TCP-LISTEN:8081,reuseaddr,fork', 'SYSTEM:echo $SOCAT_PEERADDR $SOCAT_PEERPORT'), {
      stdio: 'ignore',
    }),
  );
  for (const host of [bed.h1, bed.h2]) await host.replace(CURRENT, '--bridge-mappings', 'physnet1:ext0');

  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const external = await bed.api.create('network', { name: 'ext', 'router:external': true, ...flat });
  const pool = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  const outer = { network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, ...pool };
  await bed.api.create('subnet', outer);
  const cloud = await Cloud.create(bed.api);
  await cloud.allowPing();
  const network = await cloud.createNetwork();
  const subnets = await bed.api.list('subnet', { network_id: network.id });
  const inner = subnets.find(({ ip_version: version }) => version === 4);
  assert.ok(inner);
  const asked = { name: 'r', external_gateway_info: { network_id: external.id }, 'cable:snat': 'distributed' } as const;
  const router = await bed.api.create('router', asked);
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const guests = [];
  for (const host of [bed.h1, bed.h2]) guests.push({ host, port: await cloud.createPort(host, network) });
  await cloud.active(...guests.map(({ port }) => port));
  for (const { host, port } of guests) {
    ip('-n', host.name, 'route', 'add', `${FAR}/32`, 'via', String(inner.gateway_ip), 'dev', linkOf(port));
  }
  const address = router.external_gateway_info?.external_fixed_ips[0]?.ip_address ?? '';
  for (const [n, { host, port }] of guests.entries()) {
    let told = '';
    const heard = (): boolean => {
      told = caller(host.name);
      return told.startsWith(`${address} `);
    };
    await eventually(`${host.name} is answered`, heard);
    const before = received(`p${n + 1}`);
    for (let m = 0; m < 5; m += 1) assert.ok(heard(), told);
    assert.ok(received(`p${n + 1}`) - before >= 20, `what ${host.name} sends leaves by its own uplink`);
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

  // More connections at once to one place than the ports that it has.
  const [hungry] = guests;
  assert.ok(hungry);
  const server = party(OUTSIDE, 'serve', '8082');
  children.push(server.child);
  await eventually('the machine outside listens', () => server.counts.get('ready') === 1);
  const many = party(hungry.host.name, 'call', FAR, '8082', String(MANY));
  children.push(many.child);
  await eventually('all connections are open', () => many.counts.get('open') === MANY);
  assert.equal(many.counts.get('closed') ?? 0, 0);
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
});
