/** What tests of the outside begin with: hosts with uplinks to a machine on a flat physnetwork, a router with its gateway there, and guests behind it; and commands in their namespaces. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import type { NetworkView, PortView, RouterView, SubnetView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

/** The machine outside: gateway of the external network. */
export const MACHINE = '203.0.113.1';
const EXTERNAL = '203.0.113.0/24';
/** Of an agent whose host has an uplink to the outside, `ext0`. */
export const MAPPINGS = ['--bridge-mappings', 'physnet1:ext0'] as const;

export type OutsideBedOptions = {
  /** Short, and no other bed's. */
  readonly label: string;
  /** Hosts that have an uplink, the bed's first ones: of one it ends at the machine itself, of more at the ports `e1`, `e2` and so on of a switch, `br0`, that is the machine, too. */
  readonly uplinks: 1 | 2 | 3;
  /** Hosts besides two. Default: none. */
  readonly more?: number;
  /** More of the router than its name and gateway. Default: nothing. */
  readonly router?: { readonly 'cable:snat'?: 'leased' | 'distributed' };
};

export type OutsideBed = {
  readonly bed: VersionBed;
  /** Namespace of the machine outside. */
  readonly outside: string;
  readonly cloud: Cloud;
  readonly external: NetworkView;
  readonly router: RouterView;
};

/** A machine of a host, on a network inside. */
export type Guest = {
  readonly host: BedHost;
  readonly port: PortView;
  /** Address of the router on its network. */
  readonly router: string;
};

/** Starts it, with a router that has no network yet. All is removed when the test has ended, however far it came. */
export async function createOutsideBed(t: TestContext, options: OutsideBedOptions): Promise<OutsideBed> {
  const { label, uplinks, more = 0 } = options;
  const outside = `cb${label}-${process.pid}`;
  const bed = new VersionBed(label, more);
  t.after(() => {
    execFileSync('sh', ['-c', `ip netns del ${outside} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT);
  ip('netns', 'add', outside);
  ip('-n', outside, 'link', 'set', 'lo', 'up');
  if (uplinks > 1) ip('-n', outside, 'link', 'add', 'br0', 'up', 'type', 'bridge');
  const hosts = bed.hosts.slice(0, uplinks);
  for (const [n, { name }] of hosts.entries()) {
    const end = `e${n + 1}`;
    ip('-n', name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', end, 'netns', outside);
    ip('-n', outside, 'link', 'set', end, ...(uplinks > 1 ? ['master', 'br0'] : []), 'up');
  }
  ip('-n', outside, 'address', 'add', `${MACHINE}/24`, 'dev', uplinks > 1 ? 'br0' : 'e1');
  // One after the other: each has a time of its own to begin in.
  for (const host of bed.hosts) await host.start(CURRENT, ...(hosts.includes(host) ? MAPPINGS : []));
  await Promise.all(bed.hosts.map((host) => host.inStep()));

  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const external = await bed.api.create('network', { name: 'ext', 'router:external': true, ...flat });
  const pool = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  const subnet = { network_id: external.id, ip_version: 4, cidr: EXTERNAL, gateway_ip: MACHINE, ...pool };
  await bed.api.create('subnet', subnet);
  const gateway = { external_gateway_info: { network_id: external.id } };
  const router = await bed.api.create('router', { name: 'r', ...gateway, ...options.router });
  return { bed, outside, cloud: await Cloud.create(bed.api), external, router };
}

/** The port of the router's gateway. */
export async function gatewayOf({ bed, router }: OutsideBed): Promise<PortView> {
  const asked = { device_id: router.id, device_owner: 'network:router_gateway' } as const;
  const [port] = await bed.api.list('port', asked);
  assert.ok(port);
  return port;
}

/** Puts the router's gateway on that host; gives its port. */
export async function bindGateway(world: OutsideBed, host: BedHost): Promise<PortView> {
  const { id } = await gatewayOf(world);
  return world.bed.api.update('port', id, { 'binding:host_id': host.name });
}

/** Makes a network, and its IPv4 subnet a leg of the router. */
export async function createInner({
  bed,
  cloud,
  router,
}: OutsideBed): Promise<{ readonly network: NetworkView; readonly subnet: SubnetView }> {
  const network = await cloud.createNetwork();
  const subnets = await bed.api.list('subnet', { network_id: network.id });
  const subnet = subnets.find(({ ip_version: version }) => version === 4);
  assert.ok(subnet);
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
  return { network, subnet };
}

/** One of each host, which reaches `to`, the external network as a rule, by the router. Their ports are ACTIVE. */
export async function createGuests(
  { cloud }: OutsideBed,
  { network, subnet }: { readonly network: NetworkView; readonly subnet: SubnetView },
  hosts: readonly BedHost[],
  to: string = EXTERNAL,
): Promise<readonly Guest[]> {
  const guests: Guest[] = [];
  for (const host of hosts) {
    guests.push({ host, port: await cloud.createPort(host, network), router: String(subnet.gateway_ip) });
  }
  await cloud.active(...guests.map(({ port }) => port));
  for (const guest of guests) leaveBy(guest.host, guest, to);
  return guests;
}

/** The machine that the host is reaches `to` by that port of it. */
export function leaveBy(host: BedHost, { port, router }: Omit<Guest, 'host'>, to: string = EXTERNAL): void {
  ip('-n', host.name, 'route', 'replace', to, 'via', router, 'dev', linkOf(port));
}

/** How a host with an uplink is cut off, and comes back. */
export function setLinks(host: BedHost, state: 'up' | 'down'): void {
  for (const link of ['eth0', 'ext0']) ip('-n', host.name, 'link', 'set', link, state);
}

export function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

/** A command in a namespace, as `spawn` and `execFile` take it. */
export function enter(
  netns: string,
  ...command: readonly string[]
): readonly [program: string, args: readonly string[]] {
  return ['nsenter', [`--net=/run/netns/${netns}`, ...command]];
}

/** What a command in a namespace says. */
export function run(netns: string, ...command: readonly string[]): string {
  return execFileSync(...enter(netns, ...command), { encoding: 'utf8', timeout: 30_000 });
}

/** How many of so many pings, five as a rule, are answered. */
export function answers(netns: string, address: string, count = 5): number {
  try {
    const report = run(netns, 'ping', '-q', '-c', String(count), '-i', '0.05', '-W', '1', address);
    return Number(/(\d+) received/.exec(report)?.[1]);
  } catch {
    return 0;
  }
}

/** The port of the outside's switch behind which that has last heard the MAC. */
export function portOf(outside: string, mac: string): string | undefined {
  const rows = JSON.parse(run(outside, 'bridge', '-j', 'fdb', 'show', 'br', 'br0')) as {
    mac: string;
    ifname: string;
  }[];
  return rows.find((row) => row.mac === mac)?.ifname;
}

/** What the machine outside takes the address's MAC to be. */
export function neighbourOf(outside: string, address: string): string | undefined {
  const rows = JSON.parse(run(outside, 'ip', '-j', 'neigh', 'show', address)) as { lladdr?: string }[];
  return rows[0]?.lladdr;
}

export type Sending = {
  readonly from: string;
  readonly address: string;
  /** Default: 8080. */
  readonly port?: number;
  readonly bytes: number;
};

/** Bytes that a namespace hears by TCP at its port 8080 of those that another sends to a port of the address. */
export async function heard(netns: string, { from, address, port = 8080, bytes }: Sending): Promise<number> {
  const server = spawn(...enter(netns, 'timeout', '20', 'socat', '-u', 'TCP-LISTEN:8080,reuseaddr', 'STDOUT'));
  let count = 0;
  server.stdout.on('data', (chunk: Buffer) => {
    count += chunk.length;
  });
  const closed = once(server, 'close');
  await eventually(`${netns} listens`, () => run(netns, 'ss', '-Htln', 'sport = :8080').includes(':8080'));
  const client = spawn(...enter(from, 'timeout', '20', 'socat', '-u', 'STDIN', `TCP:${address}:${port}`));
  client.stdin.end(Buffer.alloc(bytes));
  await Promise.all([once(client, 'close'), closed]);
  return count;
}
