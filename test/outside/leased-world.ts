/** Guests that have ports of a router's address of their own, and the host of its gateway that dies: their connections go on, before and after the server knows. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { SnatLease } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import {
  bindGateway,
  createGuests,
  createInner,
  createOutsideBed,
  gatewayOf,
  ip,
  type OutsideBed,
  setLinks,
} from './outside-bed.ts';
import { Party } from './party-process.ts';

/** Behind the machine: what is on the external network itself is reached by the gateway's host. */
const FAR = '198.51.100.9';
const [IDLE, BUSY] = [10, 3];
/** Connections of a guest. */
export const ENDS: number = IDLE + BUSY;

export type LeasedWorld = OutsideBed & {
  /** The gateway's, and those of the guests; one of these stands by at least. */
  readonly active: BedHost;
  readonly others: readonly [BedHost, BedHost];
};

/** Two guests, none of them on the gateway's host. */
export async function buildLeased(
  t: TestContext,
  label: string,
  snat: 'leased' | 'distributed',
  uplinks: 2 | 3,
): Promise<LeasedWorld> {
  const world = await createOutsideBed(t, { label, uplinks, more: 1, router: { 'cable:snat': snat } });
  const { bed, outside } = world;
  const [active, one, other] = bed.hosts;
  assert.ok(active && one && other);
  ip('-n', outside, 'address', 'add', `${FAR}/32`, 'dev', 'lo');
  await bindGateway(world, active);
  await createGuests(world, await createInner(world), [one, other], `${FAR}/32`);
  const hears = async (): Promise<boolean> => (await one.status())?.gateways?.hosts[active.underlay] === 'alive';
  await eventually('a standby has heard the gateway', hears);
  return { ...world, active, others: [one, other] };
}

/** A guest's connections: some silent, some that ask all the time. */
type Ends = { readonly host: BedHost; readonly idle: Party; readonly busy: Party };

async function connect(t: TestContext, { name }: BedHost, port: number): Promise<Omit<Ends, 'host'>> {
  const idle = new Party(t, name, 'call', FAR, String(port), String(IDLE));
  await idle.has('open', IDLE, `${name}: idle connections are open`);
  const busy = new Party(t, name, 'call', FAR, String(port), String(BUSY), '50');
  await busy.has('answer', BUSY, `${name}: busy connections are answered`, 10);
  return { idle, busy };
}

/** On all of them both ends hear each other once more: the machine outside speaks first. */
async function goOn(what: string, server: Party, all: readonly Ends[], round: number): Promise<void> {
  server.speak();
  for (const { host, idle } of all) {
    await idle.has('word', IDLE, `${what}: idle connections of ${host.name} hear the machine outside`, round);
  }
  for (const { idle } of all) idle.speak();
  await server.has('word', IDLE * all.length, `${what}: and are heard`, round);
  for (const { host, busy } of all) {
    let heard = 1;
    while (busy.count('answer', heard) === BUSY) heard += 1;
    await busy.has('answer', BUSY, `${what}: busy connections of ${host.name} go on`, heard + 10);
  }
  for (const end of [server, ...all.flatMap(({ idle, busy }) => [idle, busy])]) {
    assert.equal(end.count('closed'), 0, what);
  }
}

export async function hostsOfLeases({ bed }: LeasedWorld): Promise<readonly string[]> {
  const leases = (await bed.api.list('snat_lease', {})) as unknown as readonly SnatLease[];
  return leases.map((lease) => lease.host_id);
}

/** `told`: whether a host knows what it has to of connections of the others. */
export async function failOverLeased(
  t: TestContext,
  world: LeasedWorld,
  told: (host: BedHost) => Promise<boolean>,
): Promise<void> {
  const { bed, outside, active, others } = world;
  const server = new Party(t, outside, 'serve', '7001');
  await server.has('ready', 1, 'it listens');
  const all: Ends[] = [];
  for (const host of others) all.push({ host, ...(await connect(t, host, 7001)) });
  await eventually('a standby was told of all connections', () => told(others[0]));

  await bed.stopServer();
  const died = performance.now();
  setLinks(active, 'down');
  await active.end('SIGKILL');
  let place: BedHost | undefined;
  await eventually('its place is taken', async () => {
    for (const host of others) if ((await host.status())?.gateways?.stands.length === 1) place = host;
    return place !== undefined;
  });
  await goOn('without a server', server, all, 1);
  const gaps = all.map(({ host, busy }) => `${busy.gap(died)} ms (${host === place ? 'its own' : 'another’s'} guest)`);
  t.diagnostic(`${all.length * (IDLE + BUSY)} connections go on; longest time without an answer: ${gaps.join(', ')}`);

  await bed.startServer(CURRENT);
  await eventually('the server knows', async () => (await gatewayOf(world))['binding:host_id'] === place?.name);
  await eventually('no lease is of the dead host', async () => !(await hostsOfLeases(world)).includes(active.name));
  for (const host of others) await host.inStep();
  await goOn('the server knows', server, all, 2);
}
