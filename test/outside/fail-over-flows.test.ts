/** The host of a router's gateway dies, with real agents and the real kernel: connections by the router's address go on at the standby. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import type { PortView, RouterView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbgf-${process.pid}`;
const MACHINE = '203.0.113.1';
const MAPPINGS = ['--bridge-mappings', 'physnet1:ext0'] as const;
const PARTY = new URL('party.ts', import.meta.url).pathname;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

/** An end of many connections, in a namespace. */
class Party {
  readonly #child: ChildProcess;
  /** Times of events, by event and connection. */
  readonly #seen = new Map<string, number[]>();

  constructor(t: TestContext, netns: string, ...args: readonly string[]) {
    const program = [process.execPath, '--import', 'tsx', PARTY, ...args];
    const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...program], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child = child;
    t.after(() => child.kill('SIGKILL'));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { event, n } = JSON.parse(line) as { readonly event: string; readonly n: number };
      const key = `${event} ${n}`;
      this.#seen.set(key, [...(this.#seen.get(key) ?? []), performance.now()]);
    });
  }

  /** Says something on every connection. */
  speak(): void {
    this.#child.stdin?.write('speak\n');
  }

  /** Connections on which it has seen that at least so often. */
  count(event: string, times = 1): number {
    return [...this.#seen].filter(([key, at]) => key.startsWith(`${event} `) && at.length >= times).length;
  }

  /** Longest time since then that some connection was without an answer, in ms. */
  gap(since: number): number {
    const gaps = [...this.#seen].flatMap(([key, all]) => {
      const at = [since, ...all.filter((one) => one > since)];
      return key.startsWith('answer ') ? at.slice(1).map((one, n) => one - (at[n] ?? one)) : [];
    });
    return Math.round(Math.max(0, ...gaps));
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }

  async has(event: string, connections: number, what: string, times = 1): Promise<void> {
    try {
      await eventually(what, () => this.count(event, times) >= connections);
    } catch {
      assert.fail(`${what}: ${this.count(event, times)} of ${connections}`);
    }
  }
}

type World = {
  readonly bed: VersionBed;
  readonly router: RouterView;
  readonly guest: BedHost;
  /** Where its port 8080 is outside. */
  readonly forwarded: string;
};

/** Two hosts outside with a guest each, a third with another. */
async function build(t: TestContext): Promise<World> {
  const bed = new VersionBed('gf', 1);
  t.after(() => {
    execFileSync('sh', ['-c', `ip netns del ${OUTSIDE} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT, CURRENT, CURRENT, CURRENT);
  ip('netns', 'add', OUTSIDE);
  ip('-n', OUTSIDE, 'link', 'set', 'lo', 'up');
  ip('-n', OUTSIDE, 'link', 'add', 'br0', 'up', 'type', 'bridge');
  ip('-n', OUTSIDE, 'address', 'add', `${MACHINE}/24`, 'dev', 'br0');
  for (const [n, host] of [bed.h1, bed.h2].entries()) {
    ip('-n', host.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', `p${n}`, 'netns', OUTSIDE);
    ip('-n', OUTSIDE, 'link', 'set', `p${n}`, 'master', 'br0', 'up');
    await host.replace(CURRENT, ...MAPPINGS);
  }
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const external = await bed.api.create('network', { name: 'ext', 'router:external': true, ...flat });
  const pool = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  const outer = { network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, ...pool };
  await bed.api.create('subnet', outer);
  const cloud = await Cloud.create(bed.api);
  await cloud.allow('tcp', 8080);
  const network = await cloud.createNetwork();
  const inner = (await bed.api.list('subnet', { network_id: network.id })).find((one) => one.ip_version === 4);
  assert.ok(inner);
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const ports: PortView[] = [];
  for (const host of bed.hosts) ports.push(await cloud.createPort(host, network));
  await cloud.active(...ports);
  for (const [n, host] of bed.hosts.entries()) {
    const port = ports[n];
    assert.ok(port);
    ip('-n', host.name, 'route', 'add', `${MACHINE}/32`, 'via', String(inner.gateway_ip), 'dev', linkOf(port));
  }
  const floating = await bed.api.create('floatingip', { floating_network_id: external.id });
  const forward = { protocol: 'tcp', internal_port_id: ports[2]?.id, external_port: 2222, internal_port: 8080 };
  await bed.api.within(floating.id).create('port_forwarding', forward);
  const [, , guest] = bed.hosts;
  assert.ok(guest);
  return { bed, router, guest, forwarded: floating.floating_ip_address };
}

async function hostOf({ bed, router }: World): Promise<string> {
  const asked = { device_id: router.id, device_owner: 'network:router_gateway' } as const;
  const [port] = await bed.api.list('port', asked);
  return String(port?.['binding:host_id']);
}

function setLinks(host: BedHost, state: 'up' | 'down'): void {
  for (const link of ['eth0', 'ext0']) ip('-n', host.name, 'link', 'set', link, state);
}

const [IDLE, BUSY, FORWARDED, BESIDE] = [20, 5, 5, 5];

type Parties = {
  readonly server: Party;
  /** Of the guest: silent ones, and some that ask all the time. */
  readonly idle: Party;
  readonly busy: Party;
  /** Of the machine outside, to the guest's forwarded port. */
  readonly inside: Party;
  readonly forwarded: Party;
  /** Of the standby's own guest. */
  readonly beside: Party;
};

/** All are established. */
async function connect(t: TestContext, world: World, standby: BedHost, port: number): Promise<Parties> {
  const { guest, forwarded } = world;
  const server = new Party(t, OUTSIDE, 'serve', String(port));
  const inside = new Party(t, guest.name, 'serve', '8080');
  await Promise.all([server.has('ready', 1, 'it listens'), inside.has('ready', 1, 'the guest listens')]);
  const call = (netns: string, address: string, at: number, count: number, everyMs?: number): Party =>
    new Party(
      t,
      netns,
      'call',
      address,
      String(at),
      String(count),
      ...(everyMs === undefined ? [] : [String(everyMs)]),
    );
  const idle = call(guest.name, MACHINE, port, IDLE);
  await idle.has('open', IDLE, 'idle connections are open');
  const beside = call(standby.name, MACHINE, port, BESIDE);
  await beside.has('open', BESIDE, 'connections of the standby’s guest are open');
  const busy = call(guest.name, MACHINE, port, BUSY, 50);
  await busy.has('answer', BUSY, 'busy connections are answered', 10);
  const byForwarding = call(OUTSIDE, forwarded, 2222, FORWARDED, 50);
  await byForwarding.has('answer', FORWARDED, 'connections by the port forwarding are answered', 10);
  return { server, idle, busy, inside, forwarded: byForwarding, beside };
}

/** All go on: the machine outside speaks first on those that were idle, then their own end. */
async function goOn(t: TestContext, what: string, parties: Parties, since: number): Promise<void> {
  const { server, idle, busy, inside, forwarded, beside } = parties;
  server.speak();
  await idle.has('word', IDLE, `${what}: idle connections hear the machine outside`);
  await beside.has('word', BESIDE, `${what}: so do those of the standby’s own guest`);
  const before = server.count('word');
  assert.equal(before, 0);
  idle.speak();
  beside.speak();
  await server.has('word', IDLE + BESIDE, `${what}: and are heard`);
  for (const [one, count] of [
    [busy, BUSY],
    [forwarded, FORWARDED],
  ] as const) {
    const heard = Math.max(...[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024].filter((n) => one.count('answer', n) > 0));
    await one.has('answer', count, `${what}: busy connections go on`, heard + 20);
  }
  for (const one of [server, idle, busy, inside, forwarded, beside]) assert.equal(one.count('closed'), 0, what);
  const all = IDLE + BUSY + FORWARDED + BESIDE;
  t.diagnostic(
    `${what}: ${all} of ${all} connections go on; longest time without an answer: ${busy.gap(since)} ms by the router's address, ` +
      `${forwarded.gap(since)} ms by the port forwarding`,
  );
}

test('connections by a router’s address and by its port forwardings outlive the host of its gateway', {
  timeout: 400_000,
}, async (t) => {
  const world = await build(t);
  const { bed } = world;
  const first = await hostOf(world);
  const [active, standby] = first === bed.h1.name ? [bed.h1, bed.h2] : [bed.h2, bed.h1];
  assert.equal(first, active.name);
  const hears = (host: BedHost, other: BedHost) => async (): Promise<boolean> =>
    (await host.status())?.gateways?.hosts[other.underlay] === 'alive';
  await eventually('the standby has heard the gateway', hears(standby, active));
  const parties = await connect(t, world, standby, 7001);
  await told(standby);

  await bed.stopServer();
  const died = performance.now();
  setLinks(active, 'down');
  await active.end('SIGKILL');
  await eventually('its place is taken', async () => (await standby.status())?.gateways?.stands.length === 1);
  await goOn(t, 'the gateway’s host dies, without a server', parties, died);

  await bed.startServer(CURRENT);
  await eventually('the server knows', async () => (await hostOf(world)) === standby.name);
  setLinks(active, 'up');
  await active.start(CURRENT, ...MAPPINGS);
  await active.inStep();
  await eventually('the first host is the standby', hears(active, standby));
  for (const party of Object.values(parties)) party.close();
  const more = await connect(t, world, active, 7002);
  await told(active);
  const again = performance.now();
  setLinks(standby, 'down');
  await standby.end('SIGKILL');
  await eventually('the server knows', async () => (await hostOf(world)) === active.name);
  await goOn(t, 'the other dies, with a server', more, again);
});

/** The standby has all of them: those of its own guest wait. */
async function told(standby: BedHost): Promise<void> {
  const all = IDLE + BUSY + FORWARDED;
  await eventually('the standby was told of all connections', async () => {
    const routers = (await standby.status())?.handover?.routers;
    return routers !== undefined && routers.waiting >= BESIDE && routers.made + routers.renewed >= all;
  });
}
