/** Objects that go from Neutron's door to custom resources and back, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import { openCableAccess } from '@cable/controller';
import type { KubeObject } from '@cable/kube';
import type { AnyObject } from '@cable/model';
import { type Custom, customsOf, readyOf } from './custom.ts';
import { EVENTS, NAMESPACES, startWorld, until, type World } from './world.ts';

const managed = (err: unknown): boolean => err instanceof ApiError && err.type === 'ManagedByKubernetes';
const isGone = (err: unknown): boolean => err instanceof ApiError && err.status === 404;
const RETAIN = { 'cable.io/deletion-policy': 'retain' };

function handing({ kube, cable }: World) {
  const customs = customsOf({ kube });
  return {
    ...customs,
    /** A custom resource that is to take over what has the ID. */
    adopt: (kind: string, name: string, id: string, spec: object = {}) =>
      customs.create(kind, name, spec, 'shop', { 'cable.io/adopt': id }),
    events: async (reason: string, namespace = 'shop') => {
      const { items } = await until(
        () => kube.list<KubeObject & { reason?: string; message?: string }>(EVENTS, { namespace }),
        (found) => found.items.some((one) => one.reason === reason),
      );
      return items.flatMap((one) => (one.reason === reason ? [one.message ?? ''] : []));
    },
    /** What Neutron's door shows of an object, without what being handed over changes. */
    shown: async (type: string, id: string): Promise<Readonly<Record<string, unknown>>> => {
      const row = (await cable.get(type, id)) as AnyObject;
      const passing = /^(cable:cluster|cable:origin|revision_number|updated_at|security_group_rules|status)$/;
      return Object.fromEntries(Object.entries(row).filter(([name]) => !passing.test(name)));
    },
  };
}

function adoptedOf(one: Custom | undefined): unknown {
  return one?.status?.conditions?.find(({ type }) => type === 'Adopted')?.['status'];
}

/** A VPC of Neutron's with everything that custom resources have words for. */
async function officeOf({ cable }: World, project_id: string) {
  const mine = { project_id };
  const outside = await cable.create('network', { name: 'outside', 'router:external': true });
  await cable.create('subnet', { network_id: outside.id, cidr: '203.0.113.0/24' });
  const policy = await cable.create('qos_policy', { name: 'Slow', ...mine });
  const limits = cable.within(policy.id);
  await limits.create('qos_bandwidth_limit_rule', { direction: 'ingress', max_kbps: 5000, max_burst_kbps: 400 });
  await limits.create('qos_packet_rate_limit_rule', { direction: 'egress', max_kpps: 7 });
  const router = await cable.create('router', {
    ...{ name: 'Office', external_gateway_info: { network_id: outside.id }, ...mine },
  });
  const network = await cable.create('network', { name: 'LAN', qos_policy_id: policy.id, ...mine });
  const subnet = await cable.create('subnet', {
    ...{ name: 'lan four', network_id: network.id, cidr: '10.0.0.0/24', gateway_ip: '10.0.0.254', ...mine },
    ...{
      allocation_pools: [
        { start: '10.0.0.10', end: '10.0.0.99' },
        { start: '10.0.0.120', end: '10.0.0.120' },
      ],
    },
    ...{
      enable_dhcp: false,
      dns_nameservers: ['10.0.0.5'],
      'cable:private': true,
      'cable:allow_subnets': ['10.9.0.0/16'],
    },
    host_routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.7' }],
  });
  const six = { ip_version: 6, cidr: 'fd00:1::/64', enable_dhcp: false, 'cable:private': true };
  const subnet6 = await cable.create('subnet', { name: 'lan six', network_id: network.id, ...six, ...mine });
  for (const { id } of [subnet, subnet6])
    await cable.action('router', router.id, 'add_router_interface', { subnet_id: id });
  await cable.update('router', router.id, { routes: [{ destination: '198.51.100.0/24', nexthop: '10.0.0.7' }] });
  const route = {
    priority: 10,
    action: 'drop',
    subnet_id: subnet.id,
    protocol: 'tcp',
    port_range_min: 25,
    port_range_max: 25,
  };
  await cable.within(router.id).create('router_policy', route);
  const peering = { name: 'red', peer_router_id: '11111111-2222-4333-8444-555555555555', subnet_ids: [subnet.id] };
  await cable.within(router.id).create('router_peering', peering);
  const group = await cable.create('security_group', { name: 'Database', description: 'of the shop', ...mine });
  await cable.create('security_group_rule', {
    ...{ security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4', protocol: 'tcp', ...mine },
    ...{ port_range_min: 5432, port_range_max: 5432, remote_group_id: group.id, description: 'clients' },
  });
  const fixed = [{ subnet_id: subnet.id, ip_address: '10.0.0.40' }];
  const port = await cable.create('port', {
    ...{
      name: 'Spare',
      network_id: network.id,
      fixed_ips: fixed,
      security_groups: [group.id],
      qos_policy_id: policy.id,
      ...mine,
    },
  });
  const other = await cable.create('port', {
    name: 'Watcher',
    network_id: network.id,
    fixed_ips: [{ subnet_id: subnet.id }],
    ...mine,
  });
  const floating = await cable.create('floatingip', { floating_network_id: outside.id, port_id: port.id, ...mine });
  const service = await cable.create('tap_service', { name: 'ids', port_id: other.id, ...mine });
  const flow = await cable.create('tap_flow', {
    ...{ name: 'copies', tap_service_id: service.id, source_port: port.id, direction: 'IN', ...mine },
    'cable:filter': [{ protocol: 'tcp', port_range_min: 80, port_range_max: 81 }],
  });
  const forwarding = await cable.create('floatingip', { floating_network_id: outside.id, ...mine });
  await cable.within(forwarding.id).create('port_forwarding', {
    ...{ protocol: 'tcp', external_port: 2222, internal_port: 22 },
    ...{ internal_port_id: other.id, internal_ip_address: other.fixed_ips[0]?.ip_address },
  });
  const egress = await cable.create('router_egress', {
    ...{ name: 'batch', router_id: router.id, priority: 7, subnet_ids: [subnet.id], pods: 'app=batch', ...mine },
  });
  return {
    outside,
    policy,
    router,
    network,
    subnet,
    subnet6,
    group,
    port,
    other,
    floating,
    service,
    flow,
    forwarding,
    egress,
  };
}

test('what a project has by Neutron’s door is taken over as it is, and given back as it is', async (t) => {
  const world = await startWorld(t, { hasRules: true });
  const { adopt, ready, remove, gone, get, shown, events, change, annotate } = handing(world);
  const { cable } = world;
  world.control('a');
  await cable.create('kubernetes_cluster', { name: 'prod' }).catch(() => undefined);
  const office = await officeOf(world, 'prod.shop');
  const parts = async () => ({
    rules: (await cable.list('security_group_rule', { security_group_id: office.group.id })).map(({ id }) => id).sort(),
    policies: await cable.within(office.router.id).list('router_policy'),
    peerings: (await cable.within(office.router.id).list('router_peering')).map(({ id }) => id),
    forwardings: await cable.within(office.forwarding.id).list('port_forwarding'),
    legs: (await cable.list('port', { device_id: office.router.id, device_owner: 'network:router_interface' })).map(
      ({ id }) => id,
    ),
  });
  const objects: readonly (readonly [kind: string, type: string, id: string, spec: object])[] = [
    ['QosPolicy', 'qos_policy', office.policy.id, {}],
    ['SecurityGroup', 'security_group', office.group.id, {}],
    ['Vpc', 'router', office.router.id, {}],
    ['Subnet', 'network', office.network.id, { cidrBlock: 'fd00:1::/64,10.0.0.0/24' }],
    ['Port', 'port', office.port.id, { subnet: office.subnet.id }],
    ['FloatingIP', 'floatingip', office.floating.id, {}],
    ['Mirror', 'tap_flow', office.flow.id, { source: { portID: office.port.id }, target: { port: office.other.id } }],
    ['Gateway', 'floatingip', office.forwarding.id, { vpc: office.router.id }],
  ];
  const others = [
    ['subnet', office.subnet.id],
    ['subnet', office.subnet6.id],
    ['tap_service', office.service.id],
    ['router_egress', office.egress.id],
  ] as const;
  const all = [...objects.map(([, type, id]) => [type, id] as const), ...others];
  const states = async () => [await Promise.all(all.map(([type, id]) => shown(type, id))), await parts()];
  const before = await states();
  for (const [kind, , id, spec] of objects)
    await adopt(kind, 'office', kind === 'Gateway' ? `${id},${office.egress.id}` : id, spec);
  for (const [kind, type, id] of objects) {
    const one = await ready(kind, 'office');
    assert.equal(adoptedOf(one), 'True', kind);
    if (kind !== 'Gateway') assert.equal(one.status?.id, id);
    await assert.rejects(cable.update(type, id, { description: 'x' }), managed);
  }
  for (const [type, id] of others)
    await assert.rejects(cable.update(type, id, type === 'subnet' ? { name: 'x' } : { description: 'x' }), managed);
  assert.deepEqual(await states(), before);
  assert.match((await events('Adopted')).join(), /Neutron’s API changes no more/);
  assert.deepEqual((await get('Subnet', 'office'))?.spec, {
    ...{
      cidrBlock: 'fd00:1::/64,10.0.0.0/24',
      gateway: '10.0.0.254,fd00:1::1',
      vpc: office.router.id,
      enableDHCP: false,
    },
    ...{ private: true, allowSubnets: ['10.9.0.0/16'], dnsServers: ['10.0.0.5'], qosPolicy: office.policy.id },
    excludeIps: ['10.0.0.1..10.0.0.9', '10.0.0.100..10.0.0.119', '10.0.0.121..10.0.0.253'],
    routes: [{ cidr: '192.0.2.0/24', nextHop: '10.0.0.7' }],
  });
  // From now on spec is what counts; the name stays.
  await change('SecurityGroup', 'office', { ingressRules: [] });
  await until(
    async () => (await parts()).rules.length,
    (count) => count === 2,
  );
  assert.equal((await cable.get('security_group', office.group.id)).name, 'Database');

  for (const [kind] of objects) await annotate(kind, 'office', RETAIN);
  for (const [kind] of objects) await remove(kind, 'office');
  for (const [kind] of objects) await gone(kind, 'office');
  assert.match((await events('Released')).join(), /Neutron’s API changes it/);
  const [rows] = await states();
  assert.deepEqual(rows, before[0]);
  for (const [type, id] of all) {
    const row = (await cable.get(type, id)) as AnyObject;
    assert.equal(row['cable:cluster'], null);
    await cable.update(type, id, type === 'subnet' ? { name: 'x' } : { description: 'x' });
  }
  // The same manifest again takes it over again; without the policy it goes with it.
  await adopt('FloatingIP', 'office', office.floating.id);
  await ready('FloatingIP', 'office');
  await remove('FloatingIP', 'office');
  await gone('FloatingIP', 'office');
  await assert.rejects(cable.get('floatingip', office.floating.id), isGone);
});

test('nobody takes over what is another’s, or what could not stay as it is; what was refused holds nothing', async (t) => {
  const world = await startWorld(t);
  const { adopt, ready, refused, remove, gone, create, annotate } = handing(world);
  const { cable } = world;
  world.control('a');
  await create('SecurityGroup', 'made', {});
  const made = await ready('SecurityGroup', 'made');
  await cable.create('kubernetes_cluster', { name: 'dev' });
  const mine = { project_id: 'prod.shop' };
  const groupOf = (name: string, more: object) => cable.create('security_group', { name, ...more });
  const [theirs, another, own, addressed] = [
    await groupOf('theirs', { project_id: 'prod.team' }),
    await groupOf('another', { ...mine, 'cable:cluster': 'dev', 'cable:origin': 'SecurityGroup/shop/web/u1' }),
    await groupOf('own', mine),
    await groupOf('addressed', mine),
  ];
  const addresses = await cable.create('address_group', { name: 'offices', ...mine });
  const rule = { security_group_id: addressed.id, direction: 'ingress', remote_address_group_id: addresses.id };
  await cable.create('security_group_rule', { ...rule, ...mine });
  const network = await cable.create('network', mine);
  const prefix = { network_id: network.id, cidr: '10.0.0.0/24', ...mine };
  await cable.create('subnet', prefix);
  await cable.create('rbac_policy', {
    ...{
      object_type: 'network',
      object_id: network.id,
      action: 'access_as_shared',
      target_tenant: 'elsewhere',
      ...mine,
    },
  });
  const bad: readonly (readonly [
    kind: string,
    name: string,
    id: string,
    spec: object,
    reason: string,
    says: RegExp,
  ])[] = [
    ['SecurityGroup', 'theirs', theirs.id, {}, 'NotFound', /project prod\.shop has no security_group/],
    ['SecurityGroup', 'another', another.id, {}, 'ManagedByKubernetes', /cluster dev.*cluster release dev/],
    ['SecurityGroup', 'taken', made.status?.id ?? '', {}, 'ManagedByKubernetes', /SecurityGroup shop\/made/],
    ['SecurityGroup', 'odd', 'own', {}, 'Invalid', /own is no ID/],
    ['SecurityGroup', 'two', `${own.id},${own.id}`, {}, 'Invalid', /give one ID/],
    ['SecurityGroup', 'addressed', addressed.id, {}, 'NotAdoptable', /a rule about an address group/],
    ['Vpc', 'other', own.id, {}, 'NotFound', /no router/],
    ['Subnet', 'typo', network.id, { cidrBlock: '10.0.0.0/16' }, 'NotAdoptable', /shared with elsewhere/],
  ];
  for (const [kind, name, id, spec, reason, says] of bad) {
    await adopt(kind, name, id, spec);
    assert.match(await refused(kind, name, reason), says);
  }
  const [shared] = await cable.list('rbac_policy', { object_id: network.id });
  await cable.delete('rbac_policy', shared?.id ?? '');
  await annotate('Subnet', 'typo', { looked: 'again' });
  assert.match(await refused('Subnet', 'typo', 'Immutable'), /cidrBlock is \["10\.0\.0\.0\/24"\]/);
  for (const { id, name } of [theirs, own, addressed]) {
    const row = (await cable.get('security_group', id)) as AnyObject;
    assert.deepEqual([name, row['cable:cluster'], row['cable:origin']], [name, null, null]);
  }
  for (const [kind, name] of bad) {
    await remove(kind, name);
    await gone(kind, name);
  }
  for (const { id } of [theirs, another, own, addressed]) await cable.get('security_group', id);
  await cable.get('network', network.id);
  // One that has something takes over nothing besides, and keeps what it has.
  await annotate('SecurityGroup', 'made', { 'cable.io/adopt': own.id });
  assert.match(
    await refused('SecurityGroup', 'made', 'Invalid'),
    new RegExp(`it has security_group ${made.status?.id}`),
  );
  await annotate('SecurityGroup', 'made', { 'cable.io/adopt': null, 'cable.io/deletion-policy': 'keep' });
  await ready('SecurityGroup', 'made');
  await remove('SecurityGroup', 'made');
  assert.match(await refused('SecurityGroup', 'made', 'DeletionHeld'), /give delete or retain/);
  await annotate('SecurityGroup', 'made', { 'cable.io/deletion-policy': null });
  await gone('SecurityGroup', 'made');
  await assert.rejects(cable.get('security_group', made.status?.id ?? ''), isGone);
});

test('a view takes over in place what it shows, as it is and not as it was shown', async (t) => {
  const world = await startWorld(t, { hasRules: true });
  const { annotate, ready, get, events, remove, gone, create } = handing(world);
  const { cable } = world;
  const team = await world.kube.create<KubeObject>(NAMESPACES, { metadata: { name: 'team' } });
  const projects = [{ uid: team.metadata.uid, project_id: 'f0e1d2c3' }];
  await cable.create('kubernetes_cluster', { name: 'prod', namespace_projects: projects });
  const office = await officeOf(world, 'f0e1d2c3');
  world.control('a');
  const nameOf = (prefix: string, { id }: { readonly id: string }) => `${prefix}-${id.slice(0, 8)}`;
  const group = nameOf('database', office.group);
  const lan = nameOf('lan', office.network);
  await ready('SecurityGroup', group, 'team');
  const uid = (await ready('Subnet', lan, 'team')).metadata.uid;
  await create('Port', 'before', { subnet: lan, securityGroups: [group] }, 'team');
  await ready('Port', 'before', 'team');
  await annotate('SecurityGroup', group, { 'cable.io/adopt': office.network.id }, 'team');
  assert.match((await events('AdoptionRefused', 'team')).join(), new RegExp(office.group.id));
  // The view does not know of it yet.
  const more = { direction: 'ingress', ethertype: 'IPv4', protocol: 'udp', project_id: 'f0e1d2c3' };
  const added = await cable.create('security_group_rule', { security_group_id: office.group.id, ...more });
  await annotate('SecurityGroup', group, { 'cable.io/adopt': office.group.id }, 'team');
  await annotate('Subnet', lan, { 'cable.io/adopt': office.network.id, ...RETAIN }, 'team');
  const own = async (kind: string, name: string) =>
    await until(
      () => get(kind, name, 'team'),
      (one) => adoptedOf(one) === 'True' && readyOf(one)?.['reason'] === 'AsAskedFor',
    );
  const taken = await own('SecurityGroup', group);
  assert.match(JSON.stringify(taken?.spec?.['ingressRules']), /udp/);
  assert.deepEqual(
    [
      taken?.metadata.finalizers,
      taken?.metadata.labels?.['cable.io/managed-by'],
      taken?.metadata.annotations?.['cable.io/id'],
    ],
    [['cable.io/finalizer'], undefined, undefined],
  );
  await cable.get('security_group_rule', added.id);
  const subnet = await own('Subnet', lan);
  assert.equal(subnet?.metadata.uid, uid);
  assert.equal(subnet?.spec?.['vpc'], office.router.id);
  assert.equal(
    (await cable.list('port', { device_id: office.router.id, device_owner: 'network:router_interface' })).length,
    2,
  );
  await ready('Port', 'before', 'team');
  await remove('Subnet', lan, 'team');
  const shown = await until(
    () => get('Subnet', lan, 'team'),
    (one) => one !== undefined && one.metadata.uid !== uid && readyOf(one)?.['reason'] === 'ManagedByNeutron',
  );
  assert.equal(shown?.metadata.finalizers, undefined);
  await remove('Port', 'before', 'team');
  await gone('Port', 'before', 'team');
});

test('a controller that died between two steps goes on; what an administrator has let go of is not made anew', async (t) => {
  const world = await startWorld(t);
  const { adopt, ready, refused, annotate, get, remove, gone } = handing(world);
  const { cable } = world;
  const first = world.control('a');
  await until(
    async () => (await cable.list('kubernetes_cluster'))[0]?.['epoch' as never],
    (epoch) => Number(epoch) > 0,
  );
  await first.stop();
  const group = await cable.create('security_group', { name: 'db', project_id: 'prod.shop' });
  const kept = { security_group_id: group.id, direction: 'ingress', protocol: 'tcp', project_id: 'prod.shop' };
  await cable.create('security_group_rule', kept);
  const { metadata } = await adopt('SecurityGroup', 'db', group.id, { egressRules: [{}] });
  const origin = `SecurityGroup/shop/db/${metadata.uid}`;
  // As the one before has left it: taken over, and spec says nothing of the rules yet.
  const access = openCableAccess({ server: world.address, cluster: 'prod', tls: undefined });
  t.after(() => access.close());
  access.lead(Number((await cable.get('kubernetes_cluster', 'prod'))['epoch' as never]));
  await access.as('prod.shop').action('kubernetes_cluster', 'prod', 'adopt', { object_id: group.id, origin });
  world.control('b');
  const taken = await ready('SecurityGroup', 'db');
  assert.match(JSON.stringify(taken.spec?.['ingressRules']), /tcp/);
  const rules = await cable.list('security_group_rule', { security_group_id: group.id });
  assert.deepEqual(rules.map((one) => `${one['direction' as never]} ${one['ethertype' as never]}`).sort(), [
    'egress IPv4',
    'ingress IPv4',
  ]);

  await cable.action('kubernetes_cluster', 'prod', 'release', { origin });
  await annotate('SecurityGroup', 'db', { looked: 'at' });
  assert.match(
    await refused('SecurityGroup', 'db', 'LetGoOf'),
    new RegExp(`cable\\.io/adopt=${group.id} cable\\.io/adopted-`),
  );
  await cable.update('security_group', group.id, { description: 'Neutron’s again' });
  assert.equal((await cable.list('security_group', { project_id: 'prod.shop', name: 'db' })).length, 1);
  await annotate('SecurityGroup', 'db', { 'cable.io/adopted': null });
  await ready('SecurityGroup', 'db');
  await assert.rejects(cable.update('security_group', group.id, { description: 'x' }), managed);
  await cable.action('kubernetes_cluster', 'prod', 'release', { origin });
  await annotate('SecurityGroup', 'db', { looked: 'again' });
  await refused('SecurityGroup', 'db', 'LetGoOf');
  await remove('SecurityGroup', 'db');
  await gone('SecurityGroup', 'db');
  assert.equal((await cable.get('security_group', group.id)).name, 'db');
  assert.equal(await get('SecurityGroup', 'db'), undefined);
});
