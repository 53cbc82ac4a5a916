/** A chain of the proton `ietf-sfc` from the API to packets: a port of Neutron's whose TCP passes a function on another host, and comes through. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answers } from '../../packages/agent/src/labels/testing.ts';
import type { TestNetns } from '../../packages/agent/src/net/testing.ts';
import { makeRouter } from '../../packages/agent/src/pseudowires/testing.ts';
import { carries, Inside } from '../../packages/agent/src/testing/traffic.ts';
import type { BedHost } from '../versions/bed-host.ts';
import { eventually } from '../versions/program.ts';
import { type Fields, WireBed } from './wire-bed.ts';

const BASE = 'ietf-sfc/v1.0';
const OF = { tenant_id: 'p' };
const GUEST_MTU_BYTES = 1400;

let world: WireBed;
const services = new Inside();

before(async () => {
  world = await WireBed.start('chain', 'rp_tunnelled:100000:100000');
  await world.install('ietf-sfc', { backend: 'vrouter-chain' });
});
after(async () => {
  await services.end();
  await world?.remove();
});

type Guest = { readonly id: string; readonly netns: TestNetns; readonly address: string };

async function neutron(type: string, path: string, given: Fields): Promise<Fields> {
  const { status, body } = await world.ask('POST', `/v2.0/${path}`, { [type]: given });
  assert.equal(status, 201, JSON.stringify(body));
  return body[type] as Fields;
}

/** A pod with a port of Neutron's. */
async function guest(network: unknown, host: BedHost): Promise<Guest> {
  const port = await neutron('port', 'ports', { network_id: network, device_owner: 'kubernetes:pod' });
  const id = String(port['id']);
  const netns = world.plugPod(id, String(port['mac_address']), host);
  const [first] = port['fixed_ips'] as readonly { readonly ip_address: string }[];
  const address = first?.ip_address ?? '';
  netns.ip('address', 'add', `${address}/24`, 'dev', 'eth0');
  await world.bind(id, host, 'kubernetes:pod');
  return { id, netns, address };
}

function made(path: string, given: Fields): Promise<string> {
  return world.make(`${BASE}/${path}`, { ...OF, ...given });
}

/** A machine with one port of the proton's, which routes what it gets. */
async function routerOn(
  host: BedHost,
): Promise<{ readonly fn: string; readonly port: string; readonly netns: TestNetns }> {
  const mac = world.mac();
  const port = await made('ports', {
    ...{ mac_address: mac, admin_state_up: true, status: 'DOWN', vnic_type: 'normal', mtu: 1500 },
    vlan_transparency: false,
  });
  const netns = world.plugPod(port, mac, host);
  netns.ip('address', 'add', '10.9.0.31/24', 'dev', 'eth0');
  netns.ip('address', 'add', '2001:db8:9::31/64', 'dev', 'eth0', 'nodad');
  makeRouter(netns);
  assert.notEqual(await world.bind(port, host, 'kubernetes:pod'), 'binding_failed');
  const fn = await made('servicefunctions', { type: 'firewall' });
  await world.ask('POST', `/proton/${BASE}/sfdataplanelocators`, { ...OF, interface_id: port, service_id: fn });
  return { fn, port, netns };
}

function received(netns: TestNetns): number {
  const [link] = JSON.parse(netns.ip('-j', '-s', 'link', 'show', 'eth0')) as { stats64: { rx: { packets: number } } }[];
  return link?.stats64.rx.packets ?? 0;
}

test('TCP of a port passes the function on its way, and what the chain does not take goes past it', async () => {
  const network = (await neutron('network', 'networks', { name: 'n' }))['id'];
  await neutron('subnet', 'subnets', { network_id: network, cidr: '10.7.0.0/24', ip_version: 4 });
  const [client, server] = [await guest(network, world.h1), await guest(network, world.h2)];
  await services.serve(server.netns.path, server.address);
  await eventually('they reach each other', () => answers(client.netns, server.address));
  const { fn, port, netns: router } = await routerOn(world.h2);
  await world.becomes(`/proton/${BASE}/ports/${port}`, 'ACTIVE');
  const chain = await made('chains', { name: 'c', sf_types: 'firewall' });
  const path = await made('paths', { chain_id: chain, path_id: 1 });
  await made('hops', { service_path_id: path, hop_number: 1, sf_id: fn });
  const tcp = (what: string) => carries(client.netns, server.address, what, GUEST_MTU_BYTES);

  const classifier = await made('classifiers', { acl: `port=${client.id} ip=4 proto=6`, chain_id: chain });
  const before = received(router);
  await eventually('the function has packets', async () => {
    await tcp('the chain');
    return received(router) > before + 100;
  });
  const quiet = received(router);
  assert.ok(answers(client.netns, server.address));
  assert.ok(received(router) - quiet < 5, 'a ping is not of the chain');

  assert.equal((await world.ask('PUT', `/proton/${BASE}/chains/${chain}`, { symmetric: true })).status, 200);
  const both = received(router);
  await eventually('the function has answers, too', async () => {
    const [was, sent] = [received(router), receivedBy(client)];
    await tcp('the chain both ways');
    return received(router) - was > receivedBy(client) - sent + 100;
  });
  assert.ok(received(router) > both);

  router.ip('link', 'set', 'eth0', 'down');
  assert.ok(!connects(client.netns, server.address), 'nothing goes past a function that is away');
  assert.ok(answers(client.netns, server.address));
  assert.equal((await world.ask('DELETE', `/proton/${BASE}/classifiers/${classifier}`)).status, 204);
  await eventually('it is as before', () => connects(client.netns, server.address));
});

function receivedBy({ netns }: Guest): number {
  return received(netns);
}

function connects(netns: TestNetns, address: string): boolean {
  try {
    netns.run('timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${address}/7000`);
    return true;
  } catch {
    return false;
  }
}
