/** A floating IP of an address that moves between two machines (VRRP): outside reaches whichever has it, and the host of the gateway may die; with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, linkOf } from '../versions/cloud.ts';
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
  MACHINE,
  neighbourOf,
  portOf,
  run,
  setLinks,
} from './outside-bed.ts';

const BYTES = 100_000;

/** It says that it has the address, by the ARP request that a packet from there needs, as keepalived does when it becomes master. */
function claim({ host, port, router }: Guest, address: string): void {
  run(host.name, 'ip', 'neigh', 'flush', 'dev', linkOf(port));
  run(host.name, 'sh', '-c', `ping -n -c 1 -W 1 -I ${address} ${router} || true`);
}

test('the floating IP of an address that two machines share leads to whichever has it, and outlives the host of the gateway', {
  timeout: 300_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'vr', uplinks: 2 });
  const { bed, outside, cloud, external } = world;
  await cloud.allowPing();
  await cloud.allow('tcp', 8080);
  await bindGateway(world, bed.h1);
  const inner = await createInner(world);
  const guests = await createGuests(world, inner, [bed.h1, bed.h2]);
  const [here, there] = guests;
  assert.ok(here && there);
  // Nobody's but of those who are allowed it.
  const shared = await bed.api.create('port', { network_id: inner.network.id, device_owner: 'neutron:VIP' });
  const address = addressOf(shared);
  for (const { port } of guests) {
    await bed.api.update('port', port.id, { allowed_address_pairs: [{ ip_address: address }] });
  }
  const made = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: shared.id });
  const floating = made.floating_ip_address;
  const [own] = await bed.api.list('port', { device_id: made.id });
  assert.ok(own);

  const hold = async (guest: Guest, what: string): Promise<void> => {
    // The device's own addresses are the agent's business: it takes away what it has not given.
    ip('-n', guest.host.name, 'address', 'add', `${address}/32`, 'dev', 'lo');
    await eventually(`${what}: it is reached from outside`, () => {
      claim(guest, address);
      return answers(outside, floating) === 5;
    });
    const sent = { from: outside, address: floating, bytes: BYTES };
    assert.equal(await heard(guest.host.name, sent), BYTES, `${what}: by TCP`);
    const left = run(guest.host.name, 'ping', '-q', '-c', '3', '-i', '0.1', '-W', '2', '-I', address, MACHINE);
    assert.match(left, / 3 received/, `${what}: it reaches outside`);
  };
  const leave = ({ host }: Guest): void => ip('-n', host.name, 'address', 'del', `${address}/32`, 'dev', 'lo');

  await hold(here, 'on the gateway’s host');
  assert.deepEqual([neighbourOf(outside, floating), portOf(outside, own.mac_address)], [own.mac_address, 'e1']);
  leave(here);
  await hold(there, 'on another host');
  leave(there);
  await hold(here, 'and back');
  leave(here);
  await hold(there, 'on another host again');

  const hears = async (): Promise<boolean> => (await bed.h2.status())?.gateways?.hosts[bed.h1.underlay] === 'alive';
  await eventually('the standby has heard the gateway', hears);
  setLinks(bed.h1, 'down');
  await bed.h1.end('SIGKILL');
  // Nobody sends: the switch and the machine outside know it by the announcement alone.
  await eventually('the switch is told', () => portOf(outside, own.mac_address) === 'e2');
  assert.equal(neighbourOf(outside, floating), own.mac_address, 'the machine outside goes on with what it knows');
  await eventually('it is reached at the next gateway', () => answers(outside, floating) === 5);
});
