/** A whole Cable server with `cable ovn` as a back end of it, and real packets through Debian's OVN. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TOKEN, until } from '@cable/ovn/testing';
import { ipIn, runIn } from '../../bench/lib/net.ts';
import { type Harness, type Json, startHarness } from '../../packages/server/src/testing/harness.ts';
import { OvnWorld, PHYSICAL } from './ovn-world.ts';

let world: OvnWorld;
const prefix = `cos${process.pid % 10_000}`;

before(async () => {
  world = await OvnWorld.build(prefix);
});
after(() => world?.close());

function pings(ns: string, address: string): boolean {
  try {
    runIn(ns, 'ping', '-c', '1', '-W', '1', address);
    return true;
  } catch {
    return false;
  }
}

const reached = (ns: string, address: string) =>
  until(
    () => pings(ns, address),
    20,
    () => `${ns} does not reach ${address}`,
  );

const shown = async ({ send }: Harness, collection: string, id: unknown, key: string): Promise<Json> =>
  (await send('GET', `${collection}/${String(id)}`)).body[key] as Json;

const becomes = (harness: Harness, id: unknown, status: string) =>
  until(async () => String((await shown(harness, '/v2.0/ports', id, 'port'))['status']) === status, 30);

/** A guest of a port that is bound, with the port's address. */
function guest(name: string, host: 1 | 2, port: Json, gateway: string): { readonly ns: string; readonly ip: string } {
  const told = { id: String(port['id']), mac_address: String(port['mac_address']) };
  const ns = world.plug(name, host, told);
  const ip = String(port['fixed_ips']?.[0]?.['ip_address']);
  ipIn(ns, 'addr', 'add', `${ip}/24`, 'dev', 'eth0');
  ipIn(ns, 'route', 'add', 'default', 'via', gateway);
  return { ns, ip };
}

test('networks, routers and floating IPs of a Cable server are realised by OVN, and go on when its back end starts anew', async (t) => {
  const harness = await startHarness(t, { pluginTimes: { beatMs: 200, lostMs: 60_000 } });
  const { create, send } = harness;
  await create('plugin', { name: 'ovn', endpoint: world.backEnd.endpoint, token: TOKEN });
  const plugin = () => shown(harness, '/cable/v1/plugins', 'ovn', 'plugin');
  await until(async () => String((await plugin())['state']) !== 'Registering', 30);
  assert.equal(String((await plugin())['state']), 'Ready', String((await plugin())['reason']));
  await create('dispatch_rule', { priority: 1, plugin: 'ovn' });

  const networkOf = async (name: string, cidr: string) => {
    const network = await create('network', { name });
    const subnet = await create('subnet', { network_id: network['id'], cidr, ip_version: 4 });
    return { network, subnet };
  };
  const [one, two] = [await networkOf('one', '10.1.0.0/24'), await networkOf('two', '10.2.0.0/24')];
  assert.deepEqual(
    [one.network['cable:backend'], one.network['provider:network_type'], Number(one.network['mtu'])].map(String),
    ['ovn', 'geneve', '1442'],
  );
  const portOf = ({ network }: { readonly network: Json }, host: 1 | 2) =>
    create('port', { network_id: network['id'], 'binding:host_id': world.host(host), device_owner: 'compute:nova' });
  const ports = [await portOf(one, 1), await portOf(one, 2), await portOf(two, 2)] as const;
  assert.deepEqual(
    ports.map((port) => String(port['binding:vif_type'])),
    ['ovs', 'ovs', 'ovs'],
  );
  assert.equal(String(ports[0]['binding:vif_details']?.['bridge_name']), 'br-int');
  const a = guest('a', 1, ports[0], '10.1.0.1');
  const b = guest('b', 2, ports[1], '10.1.0.1');
  const c = guest('c', 2, ports[2], '10.2.0.1');
  for (const { id } of ports) await becomes(harness, id, 'ACTIVE');
  await reached(a.ns, b.ip);
  assert.equal(pings(a.ns, c.ip), false);

  const router = await create('router', { name: 'r' });
  for (const { subnet } of [one, two]) {
    const added = await send('PUT', `/v2.0/routers/${String(router['id'])}/add_router_interface`, {
      subnet_id: subnet['id'],
    });
    assert.equal(added.status, 200, JSON.stringify(added.body));
  }
  await reached(a.ns, '10.1.0.1');
  // Its group lets in what is of the group itself, and so the ping that comes by the router.
  await reached(a.ns, c.ip);

  const outside = await create('network', {
    name: 'outside',
    'router:external': true,
    ...{ 'provider:network_type': 'flat', 'provider:physical_network': PHYSICAL },
  });
  await create('subnet', {
    ...{ network_id: outside['id'], cidr: '198.51.100.0/24', ip_version: 4, enable_dhcp: false },
    gateway_ip: '198.51.100.1',
  });
  ipIn(world.outside, 'addr', 'add', '198.51.100.1/24', 'dev', 'eth0');
  const gateway = await send('PUT', `/v2.0/routers/${String(router['id'])}`, {
    router: { external_gateway_info: { network_id: outside['id'] } },
  });
  assert.equal(gateway.status, 200, JSON.stringify(gateway.body));
  await reached(a.ns, '198.51.100.1');
  const floating = await create('floatingip', { floating_network_id: outside['id'], port_id: ports[0]['id'] });
  const address = String(floating['floating_ip_address']);
  const [group] = ports[0]['security_groups'] as readonly Json[];
  await create('security_group_rule', {
    ...{ security_group_id: group, direction: 'ingress', ethertype: 'IPv4', protocol: 'icmp' },
    remote_ip_prefix: '198.51.100.0/24',
  });
  await reached(world.outside, address);

  await world.backEnd.kill();
  assert.equal(pings(a.ns, c.ip), true);
  const refused = await send('POST', '/v2.0/ports', { port: { network_id: one.network['id'] } });
  assert.deepEqual([refused.status, String(refused.body['NeutronError']?.['type'])], [503, 'BackendUnavailable']);
  await world.backEnd.start();
  await until(
    async () => (await send('POST', '/v2.0/ports', { port: { network_id: one.network['id'] } })).status === 201,
    30,
  );
  assert.equal(pings(world.outside, address), true);

  assert.equal((await send('DELETE', `/v2.0/floatingips/${String(floating['id'])}`)).status, 204);
  await until(() => !pings(world.outside, address), 20);
  assert.equal((await send('DELETE', `/v2.0/ports/${String(ports[1]['id'])}`)).status, 204);
  await until(() => !pings(a.ns, b.ip), 20);
});
