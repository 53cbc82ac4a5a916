/** Traces from outside of what is not behind a gateway: a floating IP on its port's own host, a port of a provider network; and of forwarded ports. With real agents. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf } from '../versions/cloud.ts';
import { eventually } from '../versions/program.ts';
import { answers, bindGateway, createGuests, createInner, createOutsideBed, MACHINE } from './outside-bed.ts';

type Hop = { readonly host: string; readonly steps: readonly { readonly text: string }[] };

type Told = {
  readonly verdict: string;
  readonly cause: { readonly reason: string; readonly meaning: string } | null;
  readonly receiver: { readonly id: string } | null;
  readonly there: readonly Hop[];
  readonly back: readonly Hop[];
};

test('a trace from outside begins at the host that has the address: the port’s own, the gateway’s, any of a provider network', {
  timeout: 240_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'trh', uplinks: 2 });
  const { bed, outside, cloud, external } = world;
  await cloud.allowPing();
  await cloud.allow('tcp', 8080);
  await bindGateway(world, bed.h1);
  const [guest] = await createGuests(world, await createInner(world), [bed.h2]);
  assert.ok(guest);
  const trace = async (of: string, query: Readonly<Record<string, string>>): Promise<Told> => {
    const text = new URLSearchParams(query).toString();
    return (await bed.api.request('GET', `/cable/v1/networks/${of}/trace?${text}`)) as Told;
  };
  const judged = ({ verdict, cause }: Told): string => (cause === null ? verdict : `${verdict} ${cause.reason}`);
  const hostsOf = (hops: readonly Hop[]): readonly string[] => hops.map(({ host }) => host);

  const forwarding = await bed.api.create('floatingip', { floating_network_id: external.id });
  const range = { protocol: 'tcp', external_port: 8022, internal_port: 8080 };
  const inside = { internal_port_id: guest.port.id, internal_ip_address: addressOf(guest.port) };
  const path = `/v2.0/floatingips/${forwarding.id}/port_forwardings`;
  const { port_forwarding: forward } = (await bed.api.request('POST', path, {
    port_forwarding: { ...range, ...inside },
  })) as { readonly port_forwarding: { readonly id: string } };
  const tcp = { to: forwarding.floating_ip_address, source: MACHINE, protocol: 'tcp' };
  const open = async (): Promise<Told> => trace(external.id, { ...tcp, dport: '8022' });
  await eventually('the forwarded port is reached', async () => judged(await open()) === 'passes');
  const forwarded = await open();
  assert.deepEqual(hostsOf(forwarded.there), [bed.h1.name, bed.h2.name]);
  assert.equal(forwarded.receiver?.id, guest.port.id);
  assert.equal(judged(await trace(external.id, { ...tcp, dport: '8023' })), 'dropped no_endpoint');
  await bed.api.request('DELETE', `${path}/${forward.id}`);

  const made = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: guest.port.id });
  const here = { to: made.floating_ip_address, source: MACHINE };
  await eventually('the floating IP answers', () => answers(outside, here.to) === 5);
  const ping = await trace(external.id, here);
  assert.equal(judged(ping), 'passes', JSON.stringify(ping));
  assert.deepEqual(
    [hostsOf(ping.there), hostsOf(ping.back)],
    [[bed.h2.name], [bed.h2.name]],
    'the gateway’s is not on the way',
  );

  const vlan = { 'provider:network_type': 'vlan', 'provider:physical_network': 'physnet1' } as const;
  const office = await bed.api.create('network', { name: 'office', ...vlan, 'provider:segmentation_id': 77 });
  await bed.api.create('subnet', { network_id: office.id, ip_version: 4, cidr: '10.77.0.0/24', enable_dhcp: false });
  const port = await cloud.createPort(bed.h2, office);
  await cloud.active(port);
  const machine = { to: addressOf(port), source: '10.77.0.200' };
  const desk = await trace(office.id, { ...machine, protocol: 'tcp', dport: '8080' });
  assert.equal(judged(desk), 'passes', JSON.stringify(desk));
  assert.deepEqual([hostsOf(desk.there), hostsOf(desk.back)], [[bed.h2.name], [bed.h2.name]]);
  const shut = await trace(office.id, { ...machine, protocol: 'tcp', dport: '8081' });
  assert.equal(judged(shut), 'dropped policy_ingress');
  const forged = await trace(office.id, { ...machine, source: machine.to });
  assert.equal(judged(forged), 'dropped spoofed_peer', JSON.stringify(forged));
});
