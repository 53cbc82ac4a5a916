/** Next hops outside are asked ahead: no first packet is lost, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { buildNeighbours, knownMac, knowsNextHops, ping } from './neighbours-world.ts';
import { ip, MAPPINGS } from './outside-bed.ts';

test('the first ping is answered after a router came, and after an agent began anew without a server; who has another MAC and does not say so is found', {
  timeout: 240_000,
}, async (t) => {
  const world = await buildNeighbours(t, { label: 'nb', uplinks: 1 });
  const { bed, outside, active } = world;
  await eventually('the next hop is known', knowsNextHops(active));
  ping(t, world, 'the first packets after the router came');

  await bed.stopServer();
  const before = await knownMac(active);
  await active.end('SIGKILL');
  ping(t, world, 'the agent is dead', 3);
  await active.start(CURRENT, ...MAPPINGS);
  assert.equal(await knownMac(active), before, 'the row is as it was');
  ping(t, world, 'the agent has begun anew, without a server', 3);

  const mac = '02:00:00:00:ee:77';
  ip('-n', outside, 'link', 'set', 'e1', 'address', mac);
  await eventually('its new MAC is known', async () => (await knownMac(active)) === mac);
  ping(t, world, 'the machine outside has another MAC', 3);
});
