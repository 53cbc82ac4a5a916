/** Where floating IPs of a router are that is distributed, and of one that is not: two hosts with an uplink each, real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../versions/program.ts';
import { answers, bindGateway, createGuests, createInner, createOutsideBed, MACHINE, portOf } from './outside-bed.ts';

test('floating IPs of a router that is not distributed are all on the host of its gateway', {
  timeout: 300_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'dvr', uplinks: 2 });
  const { bed, outside, cloud, external, router } = world;
  await cloud.allowPing();
  await bindGateway(world, bed.h1);
  const [guest] = await createGuests(world, await createInner(world), [bed.h2]);
  assert.ok(guest);
  const made = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: guest.port.id });
  const [own] = await bed.api.list('port', { device_id: made.id });
  assert.ok(own);
  const place = (): string | undefined => portOf(outside, own.mac_address);
  const isReached = (): boolean => answers(outside, made.floating_ip_address) === 5;
  await eventually('it is reached', isReached);
  assert.equal(place(), 'e2', 'by the host of its port');

  const change = async (distributed: boolean): Promise<void> => {
    for (const changes of [{ admin_state_up: false }, { distributed }, { admin_state_up: true }]) {
      await bed.api.update('router', router.id, changes);
    }
  };
  await change(false);
  // Nobody sends: the switch knows it by the announcement.
  await eventually('the gateway’s host says that it has it', () => place() === 'e1');
  await eventually('it is reached there', isReached);
  assert.equal(place(), 'e1');
  assert.equal(answers(bed.h2.name, MACHINE), 5, 'what its port sends leaves there, too');
  assert.equal(place(), 'e1');
  await change(true);
  await eventually('its own host says so again', () => place() === 'e2');
  await eventually('it is reached again', isReached);
  assert.equal(place(), 'e2');
});
