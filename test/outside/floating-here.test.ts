/** Floating IPs on the hosts of their ports: two hosts with an uplink each to a switch, on which a machine outside is, too; with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import {
  answers,
  bindGateway,
  createGuests,
  createInner,
  createOutsideBed,
  type Guest,
  heard,
  ip,
  leaveBy,
  MACHINE,
  MAPPINGS,
  neighbourOf,
  portOf,
} from './outside-bed.ts';

const BYTES = 1_000_000;

test('a floating IP is answered for by its port’s host, by that one’s uplink, and follows the port', {
  timeout: 300_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'fip', uplinks: 2 });
  const { bed, outside, cloud, external } = world;
  const switchPort = (mac: string): string | undefined => portOf(outside, mac);
  const neighbour = (address: string): string | undefined => neighbourOf(outside, address);
  await cloud.allowPing();
  const gateway = await bindGateway(world, bed.h1);
  const guests: (Guest & { floating: string; mac: string })[] = [];
  for (const host of [bed.h2, bed.h1]) {
    const [guest] = await createGuests(world, await createInner(world), [host]);
    assert.ok(guest);
    guests.push({ ...guest, floating: '', mac: '' });
  }
  const [away, near] = guests;
  assert.ok(away && near);
  await eventually('without a floating IP it goes by the gateway', () => answers(away.host.name, MACHINE) === 5);
  assert.equal(switchPort(gateway.mac_address), 'e1');

  for (const guest of guests) {
    const made = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: guest.port.id });
    const [own] = await bed.api.list('port', { device_id: made.id });
    assert.ok(own);
    guest.floating = made.floating_ip_address;
    guest.mac = own.mac_address;
    await eventually(`${guest.floating} answers`, () => answers(outside, guest.floating) === 5);
    assert.equal(neighbour(guest.floating), guest.mac, 'with the MAC of its own');
  }
  assert.deepEqual([switchPort(away.mac), switchPort(near.mac)], ['e2', 'e1'], 'each by the uplink of its host');
  // The first packet to a neighbour becomes the question for its MAC.
  await eventually('from the one to the other, by the wire', () => answers(near.host.name, away.floating) === 5);
  await eventually('and back', () => answers(away.host.name, near.floating) === 5);
  await eventually('and to itself', () => answers(away.host.name, away.floating) === 5);

  ip('-n', bed.h1.name, 'link', 'set', 'ext0', 'down');
  await eventually('the gateway’s host is no part of it', () => answers(outside, away.floating) === 5);
  assert.equal(await heard(outside, { from: away.host.name, address: MACHINE, bytes: BYTES }), BYTES);
  ip('-n', bed.h1.name, 'link', 'set', 'ext0', 'up');

  // Nobody sends: the switch and the machine know it only by the announcement.
  const before = neighbour(away.floating);
  const moved = await bed.api.update('port', away.port.id, { 'binding:host_id': bed.h1.name });
  await cloud.active(moved);
  await eventually('the switch is told', () => switchPort(away.mac) === 'e1');
  assert.equal(neighbour(away.floating), before, 'the machine outside goes on with what it knows');
  leaveBy(bed.h1, away);
  await eventually(`${addressOf(moved)} is reached at its new host`, () => answers(outside, away.floating) === 5);
  await bed.api.update('port', away.port.id, { 'binding:host_id': bed.h2.name });
  await eventually('and back', () => switchPort(away.mac) === 'e2');
  await cloud.active(moved);
  leaveBy(bed.h2, away);
  await eventually('it is reached again', () => answers(outside, away.floating) === 5);

  // A host that is on the physical network no more gives it to the gateway's.
  await bed.h2.replace(CURRENT);
  await eventually('the gateway’s host answers for it', () => answers(outside, away.floating) === 5);
  assert.equal(switchPort(away.mac), 'e1');
  await bed.h2.replace(CURRENT, ...MAPPINGS);
  await eventually('its own host answers again', () => switchPort(away.mac) === 'e2');
  await eventually('it is reached', () => answers(outside, away.floating) === 5);
});
