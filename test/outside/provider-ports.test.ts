/** Guests in a network that is on a physical one: who their gateway is, outside, is whom they reach. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkOf } from '../versions/cloud.ts';
import { eventually } from '../versions/program.ts';
import { answers, createGuests, createInner, createOutsideBed, ip, leaveBy, MACHINE, run } from './outside-bed.ts';

test('a guest on the wire reaches the router outside that is its gateway, and what is behind that', {
  timeout: 240_000,
}, async (t) => {
  const { bed, outside, cloud, external } = await createOutsideBed(t, { label: 'prov', uplinks: 1 });
  await cloud.allowPing();
  const [host] = bed.hosts;
  assert.ok(host);
  const port = await cloud.createPort(host, external);
  await cloud.active(port);
  ip('-n', outside, 'address', 'add', '192.0.2.9/32', 'dev', 'lo');
  ip('-n', host.name, 'route', 'replace', '192.0.2.9', 'via', MACHINE, 'dev', linkOf(port));
  await eventually('it reaches its gateway', () => answers(host.name, MACHINE) === 5);
  assert.equal(answers(host.name, '192.0.2.9'), 5);
  const [neighbour] = JSON.parse(run(host.name, 'ip', '-j', 'neigh', 'show', MACHINE)) as { lladdr?: string }[];
  const [link] = JSON.parse(run(outside, 'ip', '-j', 'link', 'show', 'e1')) as { address?: string }[];
  assert.equal(neighbour?.lladdr, link?.address);
});

test('a gateway that is not in its subnet is reached on the wire, by guests there and by routers', {
  timeout: 240_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'away', uplinks: 1 });
  const { bed, outside, cloud, external, router } = world;
  await cloud.allowPing();
  const subnet = { network_id: external.id, ip_version: 4, cidr: '198.51.100.0/28', gateway_ip: MACHINE } as const;
  const away = await bed.api.create('subnet', { ...subnet, enable_dhcp: false });
  ip('-n', outside, 'route', 'add', subnet.cidr, 'dev', 'e1');
  ip('-n', outside, 'address', 'add', '192.0.2.9/32', 'dev', 'lo');
  await bed.api.update('router', router.id, {
    external_gateway_info: { network_id: external.id, external_fixed_ips: [{ subnet_id: away.id }] },
  });
  const guests = await createGuests(world, await createInner(world), bed.hosts);
  for (const guest of guests) leaveBy(guest.host, guest, '192.0.2.9/32');
  for (const { host } of guests) {
    await eventually(`${host.name} reaches what is behind it`, () => answers(host.name, '192.0.2.9') === 5);
  }
  const [first] = guests;
  assert.ok(first);
  const asked = { floating_network_id: external.id, subnet_id: away.id, port_id: first.port.id };
  const address = String((await bed.api.create('floatingip', asked))['floating_ip_address']);
  await eventually(`it is reached at ${address}`, () => answers(outside, address) === 5);
  assert.equal(answers(first.host.name, '192.0.2.9'), 5);
});
