/** The host of a router's gateway dies, with real agents and the real kernel: a standby takes its place, with and without the server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { sleep } from '@cable/kit';
import type { BedHost } from '../versions/bed-host.ts';
import { linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import {
  createGuests,
  createInner,
  createOutsideBed,
  enter,
  gatewayOf,
  ip,
  MACHINE,
  MAPPINGS,
  type OutsideBed,
  setLinks,
} from './outside-bed.ts';

const MACHINE6 = '2001:db8:ff::1';

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

type World = OutsideBed & { readonly guest: BedHost };

/** Two hosts outside, a third with a guest. */
async function build(t: TestContext): Promise<World> {
  const world = await createOutsideBed(t, { label: 'gw', uplinks: 2, more: 1 });
  await world.cloud.allowPing();
  const [, , guest] = world.bed.hosts;
  assert.ok(guest);
  await createGuests(world, await createInner(world), [guest]);
  return { ...world, guest };
}

async function hostOf(world: OutsideBed): Promise<string> {
  return String((await gatewayOf(world))['binding:host_id']);
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
  const isActive = async (): Promise<boolean> => (await gatewayOf(world)).status === 'ACTIVE';
  await eventually('the gateway is ACTIVE', isActive);
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
  await eventually('the gateway is ACTIVE at the standby', isActive);
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
  await eventually('the gateway is ACTIVE again at the first', isActive);

  setLinks(active, 'down');
  await active.end('SIGKILL');
  await eventually('nobody has the gateway', async () => !(await isActive()));
  const { id } = await gatewayOf(world);
  const why = (await bed.api.request('GET', `/cable/v1/ports/${id}/why`)) as { findings: { code: string }[] };
  assert.equal(why.findings[0]?.code, 'host_down');
});

test('with IPv6 alone outside it is the same', { timeout: 300_000 }, async (t) => {
  const world = await createOutsideBed(t, { label: 'gw6', uplinks: 2, more: 1 });
  const { bed, outside, external, router, cloud } = world;
  const [, , host] = bed.hosts;
  assert.ok(host);
  const inner = await createInner(world);
  const [guest] = await createGuests(world, inner, [host]);
  assert.ok(guest);
  const subnets = await bed.api.list('subnet', { network_id: inner.network.id });
  const inside = subnets.find(({ ip_version: version }) => version === 6);
  assert.ok(inside);
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inside.id });
  const subnet = await bed.api.create('subnet', {
    ...{ network_id: external.id, ip_version: 6, cidr: '2001:db8:ff::/64', gateway_ip: MACHINE6, enable_dhcp: false },
  });
  const info = { network_id: external.id, external_fixed_ips: [{ subnet_id: subnet.id }] };
  await bed.api.update('router', router.id, { external_gateway_info: info });
  const own = (await gatewayOf(world)).fixed_ips[0]?.ip_address ?? '';
  ip('-n', outside, 'address', 'add', `${MACHINE6}/64`, 'dev', 'br0', 'nodad');
  ip('-n', outside, 'route', 'add', inside.cidr, 'via', own);
  ip('-n', host.name, 'route', 'replace', subnet.cidr, 'via', String(inside.gateway_ip), 'dev', linkOf(guest.port));
  await cloud.active(guest.port);

  const pings = new Pings(t, host.name, MACHINE6);
  await pings.goOn('the guest reaches outside');
  const [active, standby] = (await hostOf(world)) === bed.h1.name ? [bed.h1, bed.h2] : [bed.h2, bed.h1];
  await eventually(
    'the standby has heard the gateway',
    async () => (await standby.status())?.gateways?.hosts[active.underlay] === 'alive',
  );
  const died = performance.now();
  setLinks(active, 'down');
  await active.end('SIGKILL');
  await pings.goOn('the standby has taken its place');
  t.diagnostic(`the gateway's host dies: longest time without an answer ${pings.gap(died)} ms`);
});
