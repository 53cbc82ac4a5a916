/** The host of a router's gateway dies, with real agents and the real kernel: a standby takes its place, with and without the server. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { sleep } from '@cable/kit';
import type { RouterView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cbgw-${process.pid}`;
const MACHINE = '203.0.113.1';
const MAPPINGS = ['--bridge-mappings', 'physnet1:ext0'] as const;

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

function enter(netns: string, ...command: readonly string[]): readonly [program: string, args: readonly string[]] {
  return ['nsenter', [`--net=/run/netns/${netns}`, ...command]];
}

/** What a machine is sent back every 20 ms, for as long as the test takes. */
class Pings {
  readonly #at: number[] = [];

  constructor(t: TestContext, netns: string, address: string) {
    const ping = spawn(...enter(netns, 'ping', '-n', '-i', '0.02', '-W', '1', address), {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => ping.kill('SIGKILL'));
    createInterface({ input: ping.stdout }).on('line', (line) => {
      if (line.includes(' time=')) this.#at.push(performance.now());
    });
  }

  get count(): number {
    return this.#at.length;
  }

  /** Longest time without an answer since then, in ms. */
  gap(since: number): number {
    const at = [since, ...this.#at.filter((one) => one > since)];
    return Math.round(Math.max(...at.slice(1).map((one, n) => one - (at[n] ?? one))));
  }

  /** Answers have come again, ten of them. */
  async goOn(what: string): Promise<void> {
    const before = this.count;
    await eventually(what, () => this.count >= before + 10);
  }
}

type World = { readonly bed: VersionBed; readonly router: RouterView; readonly guest: BedHost };

/** Two hosts outside, a third with a guest. */
async function build(t: TestContext): Promise<World> {
  const bed = new VersionBed('gw', 1);
  t.after(() => {
    execFileSync('sh', ['-c', `ip netns del ${OUTSIDE} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT, CURRENT, CURRENT, CURRENT);
  ip('netns', 'add', OUTSIDE);
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
  await cloud.allowPing();
  const network = await cloud.createNetwork();
  const subnets = await bed.api.list('subnet', { network_id: network.id });
  const inner = subnets.find(({ ip_version: version }) => version === 4);
  assert.ok(inner);
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const [, , guest] = bed.hosts;
  assert.ok(guest);
  const port = await cloud.createPort(guest, network);
  await cloud.active(port);
  ip('-n', guest.name, 'route', 'add', '203.0.113.0/24', 'via', String(inner.gateway_ip), 'dev', linkOf(port));
  return { bed, router, guest };
}

async function hostOf({ bed, router }: World): Promise<string> {
  const asked = { device_id: router.id, device_owner: 'network:router_gateway' } as const;
  const [port] = await bed.api.list('port', asked);
  return String(port?.['binding:host_id']);
}

/** How a host is cut off, and comes back. */
function setLinks(host: BedHost, state: 'up' | 'down'): void {
  for (const link of ['eth0', 'ext0']) ip('-n', host.name, 'link', 'set', link, state);
}

test('guests reach outside by a standby when the host of the gateway dies, and an agent that is killed moves nothing', {
  timeout: 400_000,
}, async (t) => {
  const world = await build(t);
  const { bed, guest } = world;
  const pings = new Pings(t, guest.name, MACHINE);
  await pings.goOn('the guest reaches outside');
  const first = await hostOf(world);
  const [active, standby] = first === bed.h1.name ? [bed.h1, bed.h2] : [bed.h2, bed.h1];
  assert.equal(first, active.name);
  await eventually(
    'the standby has heard the gateway',
    async () => (await standby.status())?.gateways?.hosts[active.underlay] === 'alive',
  );

  const killed = performance.now();
  await active.end('SIGKILL');
  await sleep(5000);
  assert.deepEqual((await standby.status())?.gateways?.stands, [], 'no place is taken');
  await active.start(CURRENT, ...MAPPINGS);
  await active.inStep();
  await pings.goOn('the guest still reaches outside');
  assert.equal(await hostOf(world), active.name);
  t.diagnostic(`kill -9 of the gateway's agent: longest time without an answer ${pings.gap(killed)} ms`);

  await bed.stopServer();
  const died = performance.now();
  setLinks(active, 'down');
  await active.end('SIGKILL');
  await pings.goOn('the standby has taken its place, without the server');
  t.diagnostic(`the gateway's host dies, no server: longest time without an answer ${pings.gap(died)} ms`);
  assert.deepEqual((await standby.status())?.gateways?.stands, [active.underlay]);

  await bed.startServer(CURRENT);
  await eventually('the server knows', async () => (await hostOf(world)) === standby.name);
  await pings.goOn('the server’s word changes nothing');

  const back = performance.now();
  setLinks(active, 'up');
  await active.start(CURRENT, ...MAPPINGS);
  await active.inStep();
  await pings.goOn('the first host is back');
  assert.equal(await hostOf(world), standby.name, 'it does not get its gateway back');
  t.diagnostic(`it comes back: longest time without an answer ${pings.gap(back)} ms`);

  await eventually(
    'the first host is the standby',
    async () => (await active.status())?.gateways?.hosts[standby.underlay] === 'alive',
  );
  const again = performance.now();
  setLinks(standby, 'down');
  await standby.end('SIGKILL');
  await pings.goOn('and takes over, with the server');
  t.diagnostic(`the other dies, with a server: longest time without an answer ${pings.gap(again)} ms`);
  await eventually('the server knows', async () => (await hostOf(world)) === active.name);
});
