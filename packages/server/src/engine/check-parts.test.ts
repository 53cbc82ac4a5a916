/** Each rule about trunks, bindings, QoS, load balancers, gateways and floating IPs is broken in the raw keys, and found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Op } from '@cable/store';
import { objectKey } from '../keys.ts';
import { assertInvariants, type Harness, type Json, startHarness } from '../testing/harness.ts';
import { checkStore } from './check.ts';

type Cloud = Readonly<
  Record<
    | 'network'
    | 'subnet'
    | 'parent'
    | 'sub'
    | 'other'
    | 'lone'
    | 'trunk'
    | 'policy'
    | 'limit'
    | 'balancer'
    | 'vip'
    | 'listener'
    | 'pool'
    | 'member'
    | 'external'
    | 'router'
    | 'leg'
    | 'gateway'
    | 'floating'
    | 'outer',
    Json
  >
>;

const OTHER_ID = '00000000-0000-4000-8000-000000000001';

async function makeCloud({ create, send }: Harness): Promise<Cloud> {
  const network = await create('network', {});
  const network_id = network['id'];
  const subnet = await create('subnet', { network_id, cidr: '10.0.0.0/24' });
  const policy = await create('qos_policy', { is_default: true });
  const limits = `/v2.0/qos/policies/${policy['id']}/bandwidth_limit_rules`;
  const made = await send('POST', limits, { bandwidth_limit_rule: { max_kbps: 1000, direction: 'egress' } });
  const limit = made.body['bandwidth_limit_rule'] as Json;
  await send('POST', `/v2.0/qos/policies/${policy['id']}/minimum_bandwidth_rules`, {
    minimum_bandwidth_rule: { min_kbps: 500 },
  });
  const machine = { network_id, device_owner: 'compute:nova', 'binding:host_id': 'h1' };
  const [parent, other] = [
    await create('port', machine),
    await create('port', { ...machine, qos_policy_id: policy['id'] }),
  ];
  const [first, lone] = [await create('port', { network_id }), await create('port', { network_id })];
  const sub_ports = [{ port_id: first['id'], segmentation_type: 'vlan', segmentation_id: 7 }];
  const trunk = await create('trunk', { port_id: parent['id'], sub_ports });
  await send('PUT', '/cable/v1/hosts/h2', { underlay: '192.0.2.2', agentVersion: 'test' });
  await send('POST', `/v2.0/ports/${parent['id']}/bindings`, { binding: { host: 'h2' } });
  const balancer = await create('loadbalancer', { vip_subnet_id: subnet['id'] });
  const listener = await create('listener', {
    loadbalancer_id: balancer['id'],
    protocol: 'TCP',
    protocol_port: 80,
  });
  const pool = await create('pool', {
    listener_id: listener['id'],
    protocol: 'TCP',
    lb_algorithm: 'SOURCE_IP_PORT',
  });
  const path = `/v2.0/lbaas/pools/${pool['id']}/members`;
  const member = (await send('POST', path, { member: { address: '10.0.0.200', protocol_port: 8080 } })).body['member'];
  const external = await create('network', {
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'physnet1',
  });
  await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', enable_dhcp: false });
  const router = await create('router', { external_gateway_info: { network_id: external['id'] } });
  const attached = await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] });
  const floating = await create('floatingip', { floating_network_id: external['id'], port_id: other['id'] });
  const portOf = async (query: string): Promise<Json> =>
    ((await send('GET', `/v2.0/ports?${query}`)).body['ports'] as Json)[0] as Json;
  return {
    ...{
      network,
      subnet,
      parent,
      other,
      lone,
      trunk,
      policy,
      limit,
      balancer,
      listener,
      pool,
      external,
      router,
      floating,
    },
    member: member as Json,
    sub: await portOf(`id=${first['id']}`),
    vip: await portOf(`id=${balancer['vip_port_id']}`),
    leg: await portOf(`id=${attached.body['port_id']}`),
    gateway: await portOf('device_owner=network:router_gateway'),
    outer: await portOf('device_owner=network:floatingip'),
  };
}

type Rewrite = (type: string, object: Json, changes: object) => Op;
type Break = (cloud: Cloud, rewrite: Rewrite) => readonly Op[];

/** Another object as the one that is there, under another id. */
const copy = (type: string, object: Json, changes: object, rewrite: Rewrite): Op =>
  rewrite(type, { ...object, id: OTHER_ID } as unknown as Json, changes);

const gone = (type: string, object: Json): Op => ({ kind: 'delete', key: objectKey(type, String(object['id'])) });

const BREAKS: Readonly<Record<string, Break>> = {
  'a port that two trunks have': ({ trunk, other }, rewrite) => [
    copy('trunk', trunk, { port_id: other['id'] }, rewrite),
  ],
  'a sub-port elsewhere than its parent': ({ sub }, rewrite) => [rewrite('port', sub, { 'binding:host_id': 'h9' })],
  'a sub-port that is not prepared where its parent is': ({ sub }, rewrite) => [
    rewrite('port', sub, { inactive_bindings: [], standby_hosts: [] }),
  ],
  'a sub-port that says it is none': ({ sub }, rewrite) => [rewrite('port', sub, { device_owner: '' })],
  'two sub-ports with one tag': ({ trunk, lone, parent }, rewrite) => [
    rewrite('trunk', trunk, {
      sub_ports: [...(trunk['sub_ports'] ?? []), { ...trunk['sub_ports']?.[0], port_id: lone['id'] }],
    }),
    rewrite('port', lone, { device_owner: 'trunk:subport', 'binding:host_id': parent['binding:host_id'] }),
  ],
  'a sub-port that is gone': ({ sub }) => [gone('port', sub)],
  'a router’s leg that is a part of a trunk': ({ trunk, leg }, rewrite) => [
    rewrite('trunk', trunk, { sub_ports: [{ ...trunk['sub_ports']?.[0], port_id: leg['id'] }] }),
  ],
  'a binding that is active and inactive': ({ other }, rewrite) => [
    rewrite('port', other, {
      inactive_bindings: [{ host: 'h1', vnic_type: 'normal', profile: {}, was_active: false }],
      standby_hosts: ['h1'],
    }),
  ],
  'two bindings to one host': ({ other }, rewrite) => [
    rewrite('port', other, {
      inactive_bindings: [1, 2].map(() => ({ host: 'h2', vnic_type: 'normal', profile: {}, was_active: false })),
      standby_hosts: ['h2'],
    }),
  ],
  'inactive bindings without an active one': ({ lone }, rewrite) => [
    rewrite('port', lone, {
      inactive_bindings: [{ host: 'h2', vnic_type: 'normal', profile: {}, was_active: false }],
    }),
  ],
  'a host that is to program a port and is not told': ({ other }, rewrite) => [
    rewrite('port', other, {
      inactive_bindings: [{ host: 'h2', vnic_type: 'normal', profile: {}, was_active: false }],
    }),
  ],
  'a host that programs a port for no reason': ({ other }, rewrite) => [
    rewrite('port', other, { standby_hosts: ['h2'] }),
  ],
  'a second default policy': ({ policy }, rewrite) => [copy('qos_policy', policy, {}, rewrite)],
  'two rules of a kind and direction': ({ limit, policy }, rewrite) => [
    copy('qos_bandwidth_limit_rule', limit, { qos_policy_id: policy['id'] }, rewrite),
  ],
  'a rule of another project than its policy': ({ limit }, rewrite) => [
    rewrite('qos_bandwidth_limit_rule', limit, { project_id: 'another' }),
  ],
  'a port that is promised what was not booked': ({ other }, rewrite) => [
    rewrite('port', other, { 'binding:host_id': 'h9' }),
  ],
  'more promised on a host than was booked': (_cloud, rewrite) => [
    rewrite('host_booking', { id: 'h1' } as unknown as Json, { granted: { rp_tunnelled: { egress: 499 } } }),
  ],
  'a limit that no host holds to': ({ limit }, rewrite) => [
    rewrite('qos_bandwidth_limit_rule', limit, { max_kbps: -1 }),
  ],
  'a port with a policy that is gone': ({ lone }, rewrite) => [rewrite('port', lone, { qos_policy_id: OTHER_ID })],
  'a network with a policy that is gone': ({ network }, rewrite) => [
    rewrite('network', network, { qos_policy_id: OTHER_ID }),
  ],
  'a floating IP with a policy that is gone': ({ floating }, rewrite) => [
    rewrite('floatingip', floating, { qos_policy_id: OTHER_ID }),
  ],
  'a gateway with a policy that is gone': ({ router }, rewrite) => [
    rewrite('router', router, {
      external_gateway_info: { ...(router['external_gateway_info'] as object), qos_policy_id: OTHER_ID },
    }),
  ],
  'two load balancers at one port': ({ balancer }, rewrite) => [copy('loadbalancer', balancer, {}, rewrite)],
  'a virtual address that its port has not': ({ vip, subnet }, rewrite) => [
    rewrite('port', vip, { fixed_ips: [{ subnet_id: subnet['id'], ip_address: '10.0.0.99' }] }),
  ],
  'a virtual address in another network than its port': ({ balancer, external }, rewrite) => [
    rewrite('loadbalancer', balancer, { vip_network_id: external['id'] }),
  ],
  'a load balancer whose port does not know of it': ({ vip }, rewrite) => [rewrite('port', vip, { _vip_of: null })],
  'a port with the virtual address of a load balancer that is gone': ({ lone }, rewrite) => [
    rewrite('port', lone, { _vip_of: OTHER_ID }),
  ],
  'a virtual address that a host carries': ({ vip }, rewrite) => [rewrite('port', vip, { 'binding:host_id': 'h1' })],
  'a virtual address at a part of a trunk': ({ trunk, vip }, rewrite) => [
    rewrite('trunk', trunk, { sub_ports: [{ ...trunk['sub_ports']?.[0], port_id: vip['id'] }] }),
  ],
  'a listener of layer 7': ({ listener }, rewrite) => [rewrite('listener', listener, { protocol: 'HTTP' })],
  'two listeners at one port': ({ listener }, rewrite) => [copy('listener', listener, {}, rewrite)],
  'a listener whose pool is of another protocol': ({ pool }, rewrite) => [rewrite('pool', pool, { protocol: 'UDP' })],
  'a listener of another project than its load balancer': ({ listener }, rewrite) => [
    rewrite('listener', listener, { project_id: 'another' }),
  ],
  'a pool of another project than its load balancer': ({ pool }, rewrite) => [
    rewrite('pool', pool, { project_id: 'another' }),
  ],
  'a pool with an algorithm that there is not': ({ pool }, rewrite) => [
    rewrite('pool', pool, { lb_algorithm: 'ROUND_ROBIN' }),
  ],
  'a pool that is gone': ({ pool }) => [gone('pool', pool)],
  'a member of another project than its pool': ({ member, pool }, rewrite) => [
    rewrite('member', member, { project_id: 'another', pool_id: pool['id'] }),
  ],
  'a member out of its subnet': ({ member, pool }, rewrite) => [
    rewrite('member', member, { address: '10.9.0.1', pool_id: pool['id'] }),
  ],
  'a member at the virtual address': ({ member, pool, balancer }, rewrite) => [
    rewrite('member', member, { address: balancer['vip_address'], pool_id: pool['id'] }),
  ],
  'two members at one address and port': ({ member, pool }, rewrite) => [
    copy('member', member, { pool_id: pool['id'] }, rewrite),
  ],
  'a gateway without its port': ({ gateway }) => [gone('port', gateway)],
  'a gateway’s port without its gateway': ({ router }, rewrite) => [
    rewrite('router', router, { external_gateway_info: null, gateway_port_id: null, transit_vni: null }),
  ],
  'a gateway without a VNI': ({ router }, rewrite) => [rewrite('router', router, { transit_vni: null })],
  'a VNI without a gateway': ({ router, gateway }, rewrite) => [
    rewrite('router', router, { external_gateway_info: null, gateway_port_id: null }),
    gone('port', gateway),
  ],
  'a gateway with other addresses than its port': ({ router }, rewrite) => [
    rewrite('router', router, {
      external_gateway_info: {
        ...router['external_gateway_info'],
        enable_snat: true,
        external_fixed_ips: [
          { ...router['external_gateway_info']?.['external_fixed_ips']?.[0], ip_address: '203.0.113.99' },
        ],
      },
    }),
  ],
  'a gateway in a network that is not external': ({ external }, rewrite) => [
    rewrite('network', external, { 'router:external': false }),
  ],
  'a gateway’s subnet over one of its legs': ({ subnet }, rewrite) => [
    rewrite('subnet', subnet, { cidr: '203.0.113.128/25' }),
  ],
  'a gateway’s port of no router': ({ lone }, rewrite) => [
    rewrite('port', lone, { device_owner: 'network:router_gateway', device_id: OTHER_ID }),
  ],
  'two segments that are one': ({ external }, rewrite) => [copy('network', external, { vni: 77 }, rewrite)],
  'two networks with one VNI': ({ router, network }, rewrite) => [
    rewrite('router', router, { transit_vni: Number(network['provider:segmentation_id']) }),
  ],
  'a floating IP without its port outside': ({ outer }) => [gone('port', outer)],
  'a port outside of no floating IP': ({ lone }, rewrite) => [
    rewrite('port', lone, { device_owner: 'network:floatingip', device_id: OTHER_ID }),
  ],
  'a floating IP to an address that its port has not': ({ floating }, rewrite) => [
    rewrite('floatingip', floating, { fixed_ip_address: '10.0.0.98' }),
  ],
  'two floating IPs of one address': ({ floating }, rewrite) => [copy('floatingip', floating, {}, rewrite)],
  'a floating IP through a router that is gone': ({ floating }, rewrite) => [
    rewrite('floatingip', floating, { router_id: OTHER_ID }),
  ],
  'a floating IP that leads nowhere through a router': ({ floating }, rewrite) => [
    rewrite('floatingip', floating, { port_id: null, fixed_ip_address: null }),
  ],
  'a floating IP with an address and no port': ({ floating }, rewrite) => [
    rewrite('floatingip', floating, { port_id: null, router_id: null }),
  ],
  'a floating IP whose router has lost its leg': ({ leg }) => [gone('port', leg)],
  'a floating IP of a service’s port': ({ floating, leg }, rewrite) => [
    rewrite('floatingip', floating, { port_id: leg['id'], fixed_ip_address: leg['fixed_ips']?.[0]?.['ip_address'] }),
  ],
};

/** Besides keys that the break left out: those a server that is wrong would write, too. */
const KEYS = /has its keys|has its object/;

for (const [name, breaks] of Object.entries(BREAKS)) {
  test(`the check finds ${name}`, async (t) => {
    const harness = await startHarness(t);
    const { store, server } = harness;
    const cloud = await makeCloud(harness);
    await assertInvariants(server);
    const stored = new Map((await store.list('/cable/o/')).kvs.map((kv) => [kv.key, JSON.parse(kv.value) as object]));
    const ops = breaks(cloud, (type, object, changes) => {
      const id = String(object['id']);
      const known = stored.get(objectKey(type, id)) ?? {};
      return { kind: 'put', key: objectKey(type, id), value: JSON.stringify({ ...object, ...known, ...changes, id }) };
    });
    await server.tables.waitFor((await store.txn([], ops)).revision);
    const { violations } = await checkStore(server.deps);
    assert.notDeepEqual(
      violations.filter(({ rule }) => !KEYS.test(rule)),
      [],
      JSON.stringify(violations),
    );
  });
}
