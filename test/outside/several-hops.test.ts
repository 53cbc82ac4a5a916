/** Two next hops outside share a destination, and one falls silent: its connections go by the other, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../versions/program.ts';
import { answers, bindGateway, createGuests, createInner, createOutsideBed, ip, MACHINE } from './outside-bed.ts';

/** Behind both. */
const FAR = ['198.51.100.1', '198.51.100.2', '198.51.100.3', '198.51.100.4', '198.51.100.5', '198.51.100.6'] as const;
const SECOND = '203.0.113.2';

test('what goes by a next hop outside that falls silent goes by the other, and again by it when it is back', {
  timeout: 240_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'ecm', uplinks: 2 });
  const { bed, outside, cloud, router } = world;
  const [active, other] = bed.hosts;
  assert.ok(active && other);
  // Another machine on the switch; both have all the addresses behind them.
  const second = `${outside}-b`;
  ip('netns', 'add', second);
  t.after(() => ip('netns', 'del', second));
  ip('-n', second, 'link', 'add', 'o0', 'up', 'type', 'veth', 'peer', 'name', 'e9', 'netns', outside);
  ip('-n', outside, 'link', 'set', 'e9', 'master', 'br0', 'up');
  ip('-n', second, 'link', 'set', 'lo', 'up');
  ip('-n', second, 'address', 'add', `${SECOND}/24`, 'dev', 'o0');
  for (const machine of [outside, second]) {
    for (const far of FAR) ip('-n', machine, 'address', 'add', `${far}/32`, 'dev', 'lo');
  }
  await bindGateway(world, active);
  await cloud.allowPing();
  const guests = await createGuests(world, await createInner(world), [other], '198.51.100.0/24');
  const [guest] = guests;
  assert.ok(guest);
  const routes = [MACHINE, SECOND].map((nexthop) => ({ destination: '198.51.100.0/24', nexthop }));
  await bed.api.update('router', router.id, { routes });
  const all = (what: string): void => {
    for (const far of FAR) assert.equal(answers(guest.host.name, far, 3), 3, `${what}: ${far}`);
  };
  const known = async (address: string): Promise<boolean> => {
    const row = (await active.maps('cb_neigh_1')).find((one) => one['address'] === address);
    return row !== undefined && row['mac'] !== 'unknown';
  };
  await eventually('both are known', async () => (await known(MACHINE)) && (await known(SECOND)));
  all('both are there');

  ip('-n', second, 'link', 'set', 'o0', 'down');
  await eventually('it is known to be silent', async () => !(await known(SECOND)));
  assert.ok(await known(MACHINE));
  all('one is silent');
  all('and again: no packet is to ask for it');

  ip('-n', second, 'link', 'set', 'o0', 'up');
  await eventually('it is known again', () => known(SECOND));
  all('both are there again');
});
