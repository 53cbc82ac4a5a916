/** The host of a gateway dies by which guests leave with ports of their own, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildLeased, ENDS, failOverLeased, hostsOfLeases } from './leased-world.ts';

test('connections by leased ports that leave by the gateway outlive its host', { timeout: 240_000 }, async (t) => {
  const world = await buildLeased(t, 'gl', 'leased', 2);
  assert.deepEqual(new Set(await hostsOfLeases(world)), new Set([world.active.name]));
  // Those of the standby's own guest wait.
  await failOverLeased(t, world, async (host) => {
    const routers = (await host.status())?.handover?.routers;
    return routers !== undefined && routers.waiting >= ENDS && routers.made + routers.renewed >= ENDS;
  });
});
