/** Next hops outside are asked ahead by who takes a gateway's place: no first packet is lost, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../versions/program.ts';
import { buildNeighbours, knowsNextHops, ping } from './neighbours-world.ts';
import { setLinks } from './outside-bed.ts';

test('the first ping is answered after the host of the gateway died, without a server', {
  timeout: 240_000,
}, async (t) => {
  const world = await buildNeighbours(t, { label: 'nf', uplinks: 2, more: 1 });
  const { bed, active } = world;
  const [, standby] = bed.hosts;
  assert.ok(standby);
  const hears = async (): Promise<boolean> => (await standby.status())?.gateways?.hosts[active.underlay] === 'alive';
  await eventually('the standby has heard the gateway', hears);
  await bed.stopServer();
  setLinks(active, 'down');
  await active.end('SIGKILL');
  await eventually('its place is taken', async () => (await standby.status())?.gateways?.stands.length === 1);
  await eventually('the next hop is known there', knowsNextHops(standby));
  ping(t, world, 'the first packets after the fail-over');
});
