/** The host of a router's gateway dies, with real agents and the real kernel: connections by the router's address go on at the standby. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import {
  createGuests,
  createInner,
  createOutsideBed,
  gatewayOf,
  MACHINE,
  MAPPINGS,
  type OutsideBed,
  setLinks,
} from './outside-bed.ts';
import { Party } from './party-process.ts';

type World = OutsideBed & {
  readonly guest: BedHost;
  /** Where its port 8080 is outside. */
  readonly forwarded: string;
};

/** Two hosts outside with a guest each, a third with another. */
async function build(t: TestContext): Promise<World> {
  const world = await createOutsideBed(t, { label: 'gf', uplinks: 2, more: 1 });
  const { bed, cloud, external } = world;
  await cloud.allow('tcp', 8080);
  const guests = await createGuests(world, await createInner(world), bed.hosts, `${MACHINE}/32`);
  const [, , guest] = guests;
  assert.ok(guest);
  const floating = await bed.api.create('floatingip', { floating_network_id: external.id });
  const forward = { protocol: 'tcp', internal_port_id: guest.port.id, external_port: 2222, internal_port: 8080 };
  await bed.api.within(floating.id).create('port_forwarding', forward);
  return { ...world, guest: guest.host, forwarded: floating.floating_ip_address };
}

async function hostOf(world: OutsideBed): Promise<string> {
  return String((await gatewayOf(world))['binding:host_id']);
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
  const { outside, guest, forwarded } = world;
  const server = new Party(t, outside, 'serve', String(port));
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
  const byForwarding = call(outside, forwarded, 2222, FORWARDED, 50);
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
