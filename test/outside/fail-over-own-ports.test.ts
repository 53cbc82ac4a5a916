/** The host of a gateway dies that gives on the answers of guests that leave by hosts of their own, with real agents and the real kernel. */
import { test } from 'node:test';
import { eventually } from '../versions/program.ts';
import { buildLeased, failOverLeased, hostsOfLeases } from './leased-world.ts';

test('connections by leased ports that leave by the guests’ own hosts outlive the host of the gateway, which gives on their answers', {
  timeout: 240_000,
}, async (t) => {
  const world = await buildLeased(t, 'gd', 'distributed', 3);
  const { others } = world;
  await eventually('each guest leaves by its own host', async () => {
    const hosts = new Set(await hostsOfLeases(world));
    return hosts.size === 2 && others.every(({ name }) => hosts.has(name));
  });
  await failOverLeased(t, world, async () => true);
});
