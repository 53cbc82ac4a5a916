/** What tests of next hops outside begin with: guests, none of them on the gateway's host, and somebody behind the machine outside, whom they ping. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import {
  answers,
  bindGateway,
  createGuests,
  createInner,
  createOutsideBed,
  type Guest,
  ip,
  MACHINE,
  type OutsideBed,
  type OutsideBedOptions,
} from './outside-bed.ts';

/** Behind the machine. */
const FAR = '198.51.100.9';

export type NeighboursWorld = OutsideBed & {
  /** The gateway's. */
  readonly active: BedHost;
  /** One on each other host. */
  readonly guests: readonly Guest[];
};

export async function buildNeighbours(t: TestContext, options: OutsideBedOptions): Promise<NeighboursWorld> {
  const world = await createOutsideBed(t, options);
  const { bed, outside, cloud } = world;
  const [active, ...others] = bed.hosts;
  assert.ok(active);
  ip('-n', outside, 'address', 'add', `${FAR}/32`, 'dev', 'lo');
  await bindGateway(world, active);
  await cloud.allowPing();
  const guests = await createGuests(world, await createInner(world), others, `${FAR}/32`);
  return { ...world, active, guests };
}

/** Each guest's pings, one as a rule, are all answered. */
export function ping(t: TestContext, { guests }: NeighboursWorld, what: string, count = 1): void {
  for (const { host } of guests) assert.equal(answers(host.name, FAR, count), count, `${what}: ${host.name}`);
  t.diagnostic(`${what}: ${count * guests.length} of ${count * guests.length} answered`);
}

/** Whether the host knows the MACs of all its next hops outside, and has some. */
export function knowsNextHops(host: BedHost): () => Promise<boolean> {
  return async () => {
    const rows = await host.maps('cb_neigh_1');
    return rows.length > 0 && rows.every((row) => row['mac'] !== 'unknown');
  };
}

/** The MAC that the host knows of the machine outside. */
export async function knownMac(host: BedHost): Promise<unknown> {
  return (await host.maps('cb_neigh_1')).find((row) => row['address'] === MACHINE)?.['mac'];
}
