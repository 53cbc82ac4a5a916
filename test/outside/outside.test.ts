/** Guests of two hosts and a machine on a flat physnetwork: a router's gateway, and floating IPs, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf } from '../versions/cloud.ts';
import { eventually } from '../versions/program.ts';
import { answers, createGuests, createInner, createOutsideBed, gatewayOf, heard, MACHINE } from './outside-bed.ts';

const BYTES = 3_000_000;

test('guests of any host reach outside by the gateway, and are reached by their floating IPs alone', {
  timeout: 240_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'out', uplinks: 1 });
  const { bed, outside, cloud, external } = world;
  await cloud.allowPing();
  await cloud.allow('tcp', 8080);
  const guests = await createGuests(world, await createInner(world), bed.hosts);
  const own = (await gatewayOf(world)).fixed_ips[0]?.ip_address ?? '';

  for (const { host } of guests) {
    await eventually(`${host.name} reaches outside by the gateway`, () => answers(host.name, MACHINE) === 5);
    assert.equal(answers(host.name, own), 5, `${host.name} and the router’s address outside`);
  }
  for (const { host, port } of guests) {
    const asked = { floating_network_id: external.id, port_id: port.id };
    const floating = await bed.api.create('floatingip', asked);
    const address = String(floating['floating_ip_address']);
    await eventually(`${host.name} is reached at ${address}`, () => answers(outside, address) === 5);
    const told = await heard(host.name, { from: outside, address, bytes: BYTES });
    assert.equal(told, BYTES, `by TCP at ${address} of ${addressOf(port)}`);
    assert.equal(answers(host.name, address), 5, 'by itself too');
    await bed.api.update('floatingip', floating.id, { port_id: null });
    await eventually(`${address} is nobody's`, () => answers(outside, address) === 0);
    await eventually(`${host.name} reaches outside by the gateway again`, () => answers(host.name, MACHINE) === 5);
  }
});
