/** What the tests of upgrades have in common: two hosts with agents of some version, traffic between them, and agents that are killed in their start. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import type { PortView } from '@cable/model';
import type { BedHost, RunningPing } from './bed-host.ts';
import { addressOf, type Cloud } from './cloud.ts';
import type { Version } from './previous-version.ts';
import { eventually } from './program.ts';
import { VersionBed } from './version-bed.ts';

const KILLS = ofAll(5, 12);

/** When an agent is killed, of the time that its start takes: from before it loads anything until it has put its programs in place. */
export const KILLED_AT: readonly number[] = Array.from({ length: KILLS }, (_, n) => 0.2 + (0.75 * n) / (KILLS - 1));

/**
 * While an older build comes to the place of this one: what the ping may miss of what was sent meanwhile. That build carries no flows back into its own table, so that
 * what is under way is an answer to nothing; and the one that has dispatchers puts its programs in force before it has filled its maps, also if it is killed then.
 * (Maps of its layout are not kept for it: they would hold what has been revoked since.) How many packets that concerns is that build's affair and the machine's.
 */
export type Downgrade = { readonly from: number; readonly to: number };

/** Puts an agent of an older build in the place of one of this version, after some that are killed in their start; traffic goes on when it is there. */
export async function downgrade(host: BedHost, older: Version, ping: RunningPing): Promise<Downgrade> {
  const from = ping.answered;
  await host.killInStart(older, KILLED_AT);
  await host.replace(older);
  const back = ping.answered;
  await eventually('the ping is answered again', () => ping.answered >= back + 10);
  return { from, to: ping.answered };
}

/** What the ping has missed outside of all of these. */
export function missedElsewhere(missing: readonly number[], downgrades: readonly Downgrade[]): readonly number[] {
  return missing.filter((n) => !downgrades.some(({ from, to }) => n > from && n <= to));
}

/** One on each host. */
export type Ports = readonly [p1: PortView, p2: PortView];

export async function startBed(
  t: TestContext,
  label: string,
  server: Version,
  agents: readonly [Version, Version],
): Promise<VersionBed> {
  const bed = new VersionBed(label);
  t.after(() => bed.remove());
  await bed.start(server, ...agents);
  return bed;
}

/** A port on each host in one network, both ACTIVE. */
export async function createPorts(bed: VersionBed, cloud: Cloud): Promise<Ports> {
  const network = await cloud.createNetwork();
  const ports = [await cloud.createPort(bed.h1, network), await cloud.createPort(bed.h2, network)] as const;
  await cloud.active(...ports);
  return ports;
}

export async function assertPings(bed: VersionBed, [p1, p2]: Ports): Promise<void> {
  await eventually('ping is answered', () => bed.h1.answersFrom(addressOf(p2)) === 5);
  assert.equal(bed.h2.answersFrom(addressOf(p1)), 5);
}

export async function assertNothingPasses(bed: VersionBed, [p1, p2]: Ports): Promise<void> {
  await eventually('no ping is answered', () => bed.h1.answersFrom(addressOf(p2), 0.3) === 0);
  await eventually('no ping is answered', () => bed.h2.answersFrom(addressOf(p1), 0.3) === 0);
  assert.equal(bed.h1.answersFrom(addressOf(p2), 0.3), 0);
}
