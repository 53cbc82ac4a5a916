/** Custom resources and what Cable has of them, by a controller between a real server and the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import { customKinds } from '@cable/controller';
import type { KubeObject } from '@cable/kube';
import type { AnyObject, RouterEgress } from '@cable/model';
import { type Custom, customsOf, guideExamples, readyOf } from './custom.ts';
import { DEFINITIONS, EVENTS, NAMESPACES, PODS, startWorld, until, type World } from './world.ts';

const managed = (err: unknown): boolean => err instanceof ApiError && err.type === 'ManagedByKubernetes';

async function rulesOf({ cable }: World, id: string): Promise<readonly string[]> {
  const rules = (await cable.list('security_group_rule', { security_group_id: id })) as readonly AnyObject[];
  const texts = rules.map((one) =>
    ['direction', 'ethertype', 'protocol', 'port_range_min', 'remote_ip_prefix', 'remote_group_id']
      .map((name) => one[name] ?? '-')
      .join(' '),
  );
  return texts.sort();
}

test('a SecurityGroup is a group of the namespace’s project, and goes with it', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused, remove, gone } = customsOf(world);
  world.control('a');
  await create('SecurityGroup', 'web', {
    ingressRules: [
      { protocol: 'tcp', portRangeMin: 80, portRangeMax: 80, remoteAddress: '10.0.0.0/8' },
      { protocol: 'tcp', portRangeMin: 443, portRangeMax: 443, remoteSecurityGroup: 'front' },
    ],
    allowSameGroupTraffic: true,
  });
  assert.match(await refused('SecurityGroup', 'web', 'NotFound'), /security_group front/);
  await create('SecurityGroup', 'front', { egressRules: [] });
  const [front, web] = [await ready('SecurityGroup', 'front'), await ready('SecurityGroup', 'web')];
  const [frontId = '', webId = ''] = [front.status?.id, web.status?.id];
  assert.deepEqual(await rulesOf(world, frontId), []);
  assert.deepEqual(await rulesOf(world, webId), [
    'egress IPv4 - - - -',
    'egress IPv6 - - - -',
    `ingress IPv4 - - - ${webId}`,
    `ingress IPv4 tcp 443 - ${frontId}`,
    'ingress IPv4 tcp 80 10.0.0.0/8 -',
    `ingress IPv6 - - - ${webId}`,
  ]);
  const group = await world.cable.get('security_group', webId);
  assert.deepEqual([group.name, group.project_id], ['web', 'prod.shop']);
  await assert.rejects(world.cable.update('security_group', webId, { name: 'x' }), managed);
  await assert.rejects(world.cable.delete('security_group', webId), managed);
  const odd = [
    { protocol: 'TCP', portRangeMin: 53, portRangeMax: 53, remoteAddress: '10.0.0.5' },
    { protocol: 'tcp', portRangeMin: 53, portRangeMax: 53, remoteAddress: '10.0.0.5/32' },
    { ipVersion: 'ipv6', protocol: 'icmp', remoteAddress: 'FD00:0::/64' },
  ];
  await change('SecurityGroup', 'front', { ingressRules: odd });
  await ready('SecurityGroup', 'front');
  const ids = async () =>
    (await world.cable.list('security_group_rule', { security_group_id: frontId })).map(({ id }) => id).sort();
  const before = await ids();
  assert.equal(before.length, 2, 'two say the same');
  await change('SecurityGroup', 'front', { ingressRules: odd, description: 'again' });
  await ready('SecurityGroup', 'front');
  assert.deepEqual(await ids(), before, 'however the server writes them, they are the same');
  await change('SecurityGroup', 'web', { ingressRules: [{ ipVersion: 'ipv6' }], allowSameGroupTraffic: null });
  await until(
    () => rulesOf(world, webId),
    (rules) => rules.join() === 'egress IPv4 - - - -,egress IPv6 - - - -,ingress IPv6 - - - -',
  );
  // What is wrong with one rule keeps no other that is taken away.
  for (const [wrong, reason] of [
    [{ protocol: 'nonsense' }, undefined],
    [{ remoteSecurityGroup: 'nobody' }, 'NotFound'],
  ] as const) {
    await change('SecurityGroup', 'web', { ingressRules: [{ remoteAddress: '10.9.0.0/16' }] });
    await ready('SecurityGroup', 'web');
    await change('SecurityGroup', 'web', { ingressRules: [wrong] });
    await until(
      () => rulesOf(world, webId),
      (rules) => rules.join() === 'egress IPv4 - - - -,egress IPv6 - - - -',
    );
    if (reason !== undefined) await refused('SecurityGroup', 'web', reason);
  }
  await change('SecurityGroup', 'web', { ingressRules: [] });
  await ready('SecurityGroup', 'web');
  await world.node('node-1');
  await world.pod('one', { node: 'node-1', annotations: { 'cable.io/security-groups': 'web' } });
  await world.ports((found) => found.get('one')?.security_groups[0] === webId);
  await remove('SecurityGroup', 'web');
  assert.match(await refused('SecurityGroup', 'web', 'SecurityGroupInUse'), /in use/i);
  await world.annotate('one', { 'cable.io/security-groups': null });
  await gone('SecurityGroup', 'web');
  assert.deepEqual(await world.cable.list('security_group', { id: webId }), []);
});

test('a Vpc with Subnets is a router with networks; nothing goes while it is used', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused, remove, gone, get } = customsOf(world);
  world.control('a');
  await create('Subnet', 'front', {
    ...{ vpc: 'blue', cidrBlock: '10.0.0.0/24,fd00:1::/64', gateway: '10.0.0.254' },
    ...{ excludeIps: ['10.0.0.1..10.0.0.9', '10.0.0.20'], dnsServers: ['10.0.0.5', 'fd00:1::5'] },
  });
  await refused('Subnet', 'front', 'NotFound');
  await create('Vpc', 'blue', {
    staticRoutes: [{ cidr: '192.0.2.0/24', nextHop: '10.0.0.7' }],
    policyRoutes: [{ priority: 10, action: 'drop', protocol: 'tcp', portRangeMin: 25, source: '10.0.0.0/24' }],
  });
  const subnet = await ready('Subnet', 'front');
  const vpc = await ready('Vpc', 'blue');
  const routerId = vpc.status?.id ?? '';
  const networkId = subnet.status?.id ?? '';
  const subnets = (await world.cable.list('subnet', { network_id: networkId })).sort(
    (a, b) => a.ip_version - b.ip_version,
  );
  assert.deepEqual(
    subnets.map((one) => [one.cidr, one.gateway_ip, one.dns_nameservers, one.project_id]),
    [
      ['10.0.0.0/24', '10.0.0.254', ['10.0.0.5'], 'prod.shop'],
      ['fd00:1::/64', 'fd00:1::1', ['fd00:1::5'], 'prod.shop'],
    ],
  );
  assert.deepEqual(subnets[0]?.allocation_pools, [
    { start: '10.0.0.10', end: '10.0.0.19' },
    { start: '10.0.0.21', end: '10.0.0.253' },
  ]);
  const counted = (used: number) =>
    until(
      async () => (await get('Subnet', 'front'))?.status,
      (status) => (status?.['usedIPs'] as { ipv4?: number } | undefined)?.ipv4 === used,
    );
  // Of IPv6 there are more than numbers are exact.
  const most = Number.MAX_SAFE_INTEGER;
  assert.deepEqual((await counted(1))?.['availableIPs'], { ipv4: 243, ipv6: most });
  const legs = await world.cable.list('port', { device_id: routerId });
  assert.deepEqual(legs.flatMap((leg) => leg.fixed_ips.map((one) => one.ip_address)).sort(), [
    '10.0.0.254',
    'fd00:1::1',
  ]);
  const router = await world.cable.get('router', routerId);
  assert.deepEqual(router['routes' as never], [{ destination: '192.0.2.0/24', nexthop: '10.0.0.7' }]);
  const policies = world.cable.within(routerId);
  assert.equal((await policies.list('router_policy')).length, 1);
  await assert.rejects(policies.create('router_policy', { priority: 1, action: 'allow' }), managed);
  await assert.rejects(world.cable.update('subnet', subnets[0]?.id ?? '', { name: 'x' }), managed);
  await change('Vpc', 'blue', { staticRoutes: [], policyRoutes: [{ priority: 11, action: 'allow' }] });
  await until(
    async () => ((await policies.list('router_policy')) as readonly AnyObject[]).map((one) => one['priority']),
    (found) => found.join() === '11',
  );
  await change('Subnet', 'front', { cidrBlock: '10.0.1.0/24' });
  assert.match(await refused('Subnet', 'front', 'Immutable'), /10\.0\.0\.0\/24/);
  await change('Subnet', 'front', { cidrBlock: '10.0.0.0/24,fd00:1::/64' });
  await ready('Subnet', 'front');
  await change('Subnet', 'front', { private: true, allowSubnets: ['10.9.0.7', '2001:db8::/32', '10.8.1.0/16'] });
  const keeping = await until(
    () => world.cable.list('subnet', { network_id: networkId }),
    (found) => found.every((one) => one['cable:private']),
  );
  const allowed = keeping.map((one) => `${one.ip_version} ${one['cable:allow_subnets']}`);
  assert.deepEqual(allowed.sort(), ['4 10.8.0.0/16,10.9.0.7/32', '6 2001:db8::/32']);
  await change('Subnet', 'front', { allowSubnets: ['everywhere'] });
  assert.match(await refused('Subnet', 'front', 'Invalid'), /allowSubnets: everywhere is no prefix/);
  await change('Subnet', 'front', { private: false, allowSubnets: [] });
  await ready('Subnet', 'front');
  const open = await world.cable.list('subnet', { network_id: networkId });
  assert.ok(open.every((one) => !one['cable:private'] && one['cable:allow_subnets'].length === 0));
  const port = await world.cable.create('port', { network_id: networkId, project_id: 'prod.shop' });
  await change('Subnet', 'front', { description: 'counted anew' });
  const counts = await counted(2);
  assert.deepEqual(
    ['usedIPs', 'availableIPs'].map((name) => counts?.[name]),
    [
      { ipv4: 2, ipv6: 2 },
      { ipv4: 242, ipv6: most },
    ],
  );
  await remove('Vpc', 'blue');
  await refused('Vpc', 'blue', 'RouterInUse');
  await remove('Subnet', 'front');
  await refused('Subnet', 'front', 'NetworkInUse');
  await world.cable.delete('port', port.id);
  await gone('Subnet', 'front');
  await gone('Vpc', 'blue');
  assert.deepEqual(await world.cable.list('network', { id: networkId }), []);
  assert.deepEqual(await world.cable.list('router', { id: routerId }), []);
});

test('pods have addresses of the Subnet that their namespace is bound to; only the operator binds others', async (t) => {
  const world = await startWorld(t);
  const { create, change, get, ready, refused, remove } = customsOf(world);
  world.control('a');
  await world.kube.create(NAMESPACES, { metadata: { name: 'team' } });
  await world.node('node-1');
  await create('Subnet', 'own', { cidrBlock: '10.7.0.0/24', default: true });
  await create('Subnet', 'theft', { cidrBlock: '10.8.0.0/24', namespaces: ['team'] });
  assert.match(await refused('Subnet', 'theft', 'NamespaceNotAllowed'), /team/);
  const shared = { cidrBlock: '10.9.0.0/24', namespaces: ['team', 'shop'], natOutgoing: false };
  await create('Subnet', 'shared', shared, 'kube-system');
  await ready('Subnet', 'own');
  const { status: { subnetIDs } = {} } = await ready('Subnet', 'shared', 'kube-system');
  const [sharedId = ''] = subnetIDs as readonly string[];
  assert.equal((await world.cable.get('subnet', sharedId))['cable:nat_outgoing'], false);
  await create('Subnet', 'bare', { cidrBlock: '10.6.0.0/24', natOutgoing: false });
  assert.match(await refused('Subnet', 'bare', 'NatOutgoingNotAllowed'), /in the namespace kube-system/);
  await change('Subnet', 'bare', { natOutgoing: true });
  await ready('Subnet', 'bare');
  // What shuts it is in force, whatever else cannot be.
  await change('Subnet', 'bare', { private: true, allowSubnets: ['10.9.0.0/24'], qosPolicy: 'nobody' });
  await refused('Subnet', 'bare', 'NotFound');
  const bareIds = (await get('Subnet', 'bare'))?.status?.['subnetIDs'];
  const [bareId = ''] = bareIds as readonly string[];
  const bare = await world.cable.get('subnet', bareId);
  assert.deepEqual([bare['cable:private'], bare['cable:allow_subnets']], [true, ['10.9.0.0/24']]);
  await change('Subnet', 'bare', { private: false, allowSubnets: null, qosPolicy: null });
  await ready('Subnet', 'bare');
  await world.pod('in-shop', { node: 'node-1' });
  await world.pod('in-team', { node: 'node-1', namespace: 'team' });
  await world.pod('chosen', { node: 'node-1', annotations: { 'ovn.kubernetes.io/logical_switch': 'shared' } });
  const ports = await world.ports((found) => found.size === 3);
  const addressOf = (name: string): string => ports.get(name)?.fixed_ips[0]?.ip_address ?? '';
  assert.match(addressOf('in-shop'), /^10\.7\.0\./);
  assert.match(addressOf('in-team'), /^10\.9\.0\./);
  assert.match(addressOf('chosen'), /^10\.9\.0\./);
  assert.deepEqual([ports.get('in-shop')?.project_id, ports.get('in-team')?.project_id], ['prod.shop', 'prod.team']);
  // A namespace that comes later is seen at once, and its pods.
  await change('Subnet', 'shared', { namespaces: ['team', 'shop', 'coming'] }, 'kube-system');
  assert.match(await refused('Subnet', 'shared', 'WaitsFor', 'kube-system'), /there is no namespace coming/);
  await world.kube.create(NAMESPACES, { metadata: { name: 'coming' } });
  await world.pod('in-coming', { node: 'node-1', namespace: 'coming' });
  const coming = (await world.ports((found) => found.has('in-coming'))).get('in-coming');
  assert.match(coming?.fixed_ips[0]?.ip_address ?? '', /^10\.9\.0\./);
  await ready('Subnet', 'shared', 'kube-system');
  // Watches of two kinds are in no order: a pod is told of before the Subnet that it is to be in.
  await world.kube.create(NAMESPACES, { metadata: { name: 'late' } });
  world.fake.hold('subnets');
  await create('Subnet', 'front', { cidrBlock: '10.10.0.0/24', default: true }, 'late');
  const subnetLists = (): number => world.fake.asked.filter((one) => /\/subnets(\?limit=\d+)?$/.test(one)).length;
  const before = subnetLists();
  await world.pod('in-late', { node: 'node-1', namespace: 'late' });
  await until(
    async () => (await world.ports(() => true)).has('in-late') || subnetLists() > before,
    (isDecided) => isDecided,
  );
  world.fake.hold();
  const late = (await world.ports((found) => found.has('in-late'))).get('in-late');
  assert.match(late?.fixed_ips[0]?.ip_address ?? '', /^10\.10\.0\./);
  await remove('Subnet', 'own');
  assert.match(await refused('Subnet', 'own', 'NetworkInUse'), /port /);
  await world.pod('later', { node: 'node-1' });
  const later = (await world.ports((found) => found.has('later'))).get('later');
  assert.match(later?.fixed_ips[0]?.ip_address ?? '', /^10\.9\.0\./, 'what is going takes no more');
});

test('what a Subnet excludes nobody gets unasked by either door, changed while it is used; who asks for it gets it', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  await create('Subnet', 'small', {
    ...{ cidrBlock: '10.3.0.0/29', default: true, excludeIps: ['10.3.0.2..10.3.0.4'] },
  });
  const { status: { networkID, subnetIDs } = {} } = await ready('Subnet', 'small');
  const [subnetId = ''] = subnetIDs as readonly string[];
  const project = { network_id: networkID, project_id: 'prod.shop' };
  const take = async (): Promise<unknown> => (await world.cable.create('port', project)).fixed_ips[0]?.ip_address;
  const isFull = (err: unknown): boolean => err instanceof ApiError && err.type === 'IpAddressGenerationFailure';
  const poolsBecome = async (...wanted: readonly string[]): Promise<void> => {
    await until(
      () => world.cable.get('subnet', subnetId),
      ({ allocation_pools: pools }) => pools.map(({ start, end }) => `${start}-${end}`).join() === wanted.join(),
    );
  };
  await world.pod('plain', { node: 'node-1' });
  const free = await world.ports((found) => found.has('plain'));
  const first = free.get('plain')?.fixed_ips[0]?.ip_address ?? '';
  assert.deepEqual([first, await take()].sort(), ['10.3.0.5', '10.3.0.6']);
  await assert.rejects(take(), isFull);
  // Who asks for one gets it, a pod as well as a port of Neutron's.
  await world.pod('fixed', { node: 'node-1', annotations: { 'cable.io/ip-address': '10.3.0.3' } });
  const asked = (await world.ports((found) => found.has('fixed'))).get('fixed');
  assert.equal(asked?.fixed_ips[0]?.ip_address, '10.3.0.3');
  const own = { ...project, fixed_ips: [{ subnet_id: subnetId, ip_address: '10.3.0.4' }] };
  const port = await world.cable.create('port', own);
  await world.cable.delete('port', port.id);
  await assert.rejects(take(), isFull, 'what was asked for does not come among the others');

  await change('Subnet', 'small', { excludeIps: ['10.3.0.2', '10.3.0.5..10.3.0.6'] });
  await poolsBecome('10.3.0.3-10.3.0.4');
  assert.equal(await take(), '10.3.0.4');
  await assert.rejects(take(), isFull);
  const kept = (await world.ports((found) => found.has('plain'))).get('plain');
  assert.equal(kept?.fixed_ips[0]?.ip_address, first, 'who has one that is excluded later keeps it');
  await change('Subnet', 'small', { excludeIps: null });
  await poolsBecome('10.3.0.2-10.3.0.6');
  assert.equal(await take(), '10.3.0.2');
  const pools = { allocation_pools: [{ start: '10.3.0.6', end: '10.3.0.6' }] };
  await assert.rejects(world.cable.update('subnet', subnetId, pools), managed, 'by one door it is said');
});

test('a Subnet says by which nodes it leaves where that can be, and why not elsewhere', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused, get } = customsOf(world);
  world.control('a');
  const outside = await world.cable.create('network', { name: 'outside', 'router:external': true });
  await world.cable.create('subnet', { network_id: outside.id, cidr: '203.0.113.0/24' });
  const mine = 'kube-system';
  const central = { gatewayType: 'centralized', gatewayNodes: ['node-1', 'node-2'] };
  await create('Subnet', 'theirs', { cidrBlock: '10.4.0.0/24', ...central });
  assert.match(await refused('Subnet', 'theirs', 'GatewayTypeNotAllowed'), /in the namespace kube-system/);
  await create('Subnet', 'own', { cidrBlock: '10.5.0.0/24', ...central }, mine);
  assert.match(await refused('Subnet', 'own', 'WaitsFor', mine), /no node node-1, node-2/);
  await world.node('node-2');
  assert.match(
    await until(
      () => refused('Subnet', 'own', 'WaitsFor', mine),
      (why) => !why.includes('node-2'),
    ),
    /no node node-1/,
  );
  const saidBy = async (): Promise<unknown> => {
    const [subnet] = await world.cable.list('subnet', { cidr: '10.5.0.0/24' });
    return [subnet?.['cable:gateway_nodes'], subnet?.['cable:gateway_node']];
  };
  assert.deepEqual(await saidBy(), [['node-2'], 'node-2'], 'those that there are count');
  await world.node('node-1');
  assert.equal((await ready('Subnet', 'own', mine)).status?.['gatewayNode'], 'node-1');
  assert.deepEqual(await saidBy(), [['node-1', 'node-2'], 'node-1']);
  await change('Subnet', 'own', { gatewayNodes: null, gatewayNode: ' node-2, node-1 ' }, mine);
  await until(saidBy, (said) => JSON.stringify(said) === '[["node-2","node-1"],"node-2"]');
  await change('Subnet', 'own', { gatewayNodes: ['node-1'] }, mine);
  assert.match(await refused('Subnet', 'own', 'Invalid', mine), /give one of them/);
  await change('Subnet', 'own', { gatewayNodes: null, gatewayNode: null }, mine);
  await until(
    () => refused('Subnet', 'own', 'Invalid', mine),
    (why) => why.includes('needs the name of a node'),
  );
  await change('Subnet', 'own', { gatewayType: 'distributed' }, mine);
  assert.equal((await ready('Subnet', 'own', mine)).status?.['gatewayNode'], '');
  assert.deepEqual(await saidBy(), [[], null]);

  await create('Vpc', 'led', { externalGateway: { network: 'outside' } }, mine);
  await create('Subnet', 'led', { vpc: 'led', cidrBlock: '10.6.0.0/24', ...central }, mine);
  assert.match(await refused('Subnet', 'led', 'GatewayTypeNotAllowed', mine), /externalGateway/);
  await create('Vpc', 'wide', {}, mine);
  await create('Subnet', 'wide', { vpc: 'wide', cidrBlock: '10.6.0.0/24', ...central }, mine);
  assert.equal((await ready('Subnet', 'wide', mine)).status?.['gatewayNode'], 'node-1');
  assert.equal((await get('Subnet', 'wide', mine))?.spec?.['gatewayType'], 'centralized');
});

test('a controller that is stopped in between goes on; what is undone elsewhere is put back; what is left is cleaned up', async (t) => {
  const world = await startWorld(t);
  const { create, ready, remove, gone } = customsOf(world);
  const first = world.control('a');
  await create('Vpc', 'blue', {});
  await ready('Vpc', 'blue');
  const group = await ready('SecurityGroup', (await create('SecurityGroup', 'web', {})).metadata.name);
  await first.stop();
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.0.0.0/24' });
  await remove('SecurityGroup', 'web');
  // As somebody does who is tired of waiting.
  const groups = { group: 'cable.io', version: 'v1', plural: 'securitygroups', isNamespaced: true };
  await world.kube.patch(groups, { namespace: 'shop', name: 'web' }, { metadata: { finalizers: [] } });
  await gone('SecurityGroup', 'web');
  const second = world.control('b');
  const subnet = await ready('Subnet', 'front');
  await until(
    () => world.cable.list('security_group', { id: group.status?.id ?? '' }),
    (found) => found.length === 0,
  );
  await second.stop();
  const [leg] = await world.cable.list('port', { network_id: subnet.status?.id ?? '' });
  const [subnetId] = (subnet.status?.['subnetIDs'] ?? []) as readonly string[];
  await world.cable.action('router', leg?.device_id ?? '', 'remove_router_interface', { subnet_id: subnetId });
  world.control('c');
  await until(
    () => world.cable.list('port', { network_id: subnet.status?.id ?? '' }),
    (found) => found.length === 1,
  );
  assert.deepEqual((await world.cable.list('network', { name: 'front' })).length, 1, 'nothing was made twice');
});

test('a definition that is removed takes nothing along without a word', async (t) => {
  const world = await startWorld(t);
  const { create, ready, refused, remove, gone } = customsOf(world);
  world.control('a');
  const metadata = { name: 'securitygroups.cable.io', finalizers: ['customresourcecleanup.apiextensions.k8s.io'] };
  await world.kube.patch(DEFINITIONS, { name: metadata.name }, { metadata });
  await create('SecurityGroup', 'web', {});
  const group = await ready('SecurityGroup', 'web');
  await world.kube.delete(DEFINITIONS, { name: metadata.name });
  await remove('SecurityGroup', 'web');
  assert.match(await refused('SecurityGroup', 'web', 'DeletionHeld'), /kubectl annotate crd securitygroups\.cable\.io/);
  assert.equal((await world.cable.get('security_group', group.status?.id ?? '')).name, 'web');
  const confirmed = { metadata: { annotations: { 'cable.io/confirm-deletion': 'all' } } };
  await world.kube.patch(DEFINITIONS, { name: metadata.name }, confirmed);
  const groups = { group: 'cable.io', version: 'v1', plural: 'securitygroups', isNamespaced: true };
  await world.kube.patch(groups, { namespace: 'shop', name: 'web' }, { metadata: { labels: { looked: 'at' } } });
  await gone('SecurityGroup', 'web');
});

test('of two in a list of spec that are one to Cable the last counts, and Ready says so', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused } = customsOf(world);
  world.control('a');
  const outside = await world.cable.create('network', { name: 'outside', 'router:external': true });
  await world.cable.create('subnet', { network_id: outside.id, cidr: '203.0.113.0/24' });
  const [first, second] = [{ cidr: '198.51.100.0/24' }, { cidr: '203.0.113.0/24' }].map(({ cidr }) => ({
    ...{ priority: 10, action: 'drop', destination: cidr },
  }));
  await create('Vpc', 'red', {});
  const red = { name: 'red', vpc: { name: 'red' } };
  await create('Vpc', 'blue', { externalGateway: { network: 'outside' }, policyRoutes: [first, second] });
  assert.match(await refused('Vpc', 'blue', 'Invalid'), /policyRoutes: there are two with priority 10/);
  await create('Vpc', 'green', { peerings: [red, { ...red, acceptedPrefixes: ['10.9.0.0/16'] }] });
  assert.match(await refused('Vpc', 'green', 'Invalid'), /peerings: there are two with the name red/);
  await change('Vpc', 'blue', { policyRoutes: [second] });
  const router = (await ready('Vpc', 'blue')).status?.id ?? '';
  const policies = (await world.cable.within(router).list('router_policy')) as readonly AnyObject[];
  assert.deepEqual(
    policies.map((one) => one['destination_ip_prefix']),
    ['203.0.113.0/24'],
  );
  const limit = (maxKbps: number) => ({ direction: 'egress', maxKbps });
  await create('QosPolicy', 'slow', { bandwidthLimits: [limit(1000), limit(2000)] });
  assert.match(await refused('QosPolicy', 'slow', 'Invalid'), /bandwidthLimits: there are two with direction egress/);
  const policy = await world.cable.list('qos_policy', { name: 'slow' });
  const limits = (await world.cable
    .within(policy[0]?.id ?? '')
    .list('qos_bandwidth_limit_rule')) as readonly AnyObject[];
  assert.deepEqual(
    limits.map((one) => one['max_kbps']),
    [2000],
  );
  await create('SecurityGroup', 'web', {});
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.0.0.0/24' });
  const group = (await ready('SecurityGroup', 'web')).status?.id ?? '';
  await create('Port', 'db', { subnet: 'front', securityGroups: ['web', 'web', group] });
  const port = (await ready('Port', 'db')).status?.id ?? '';
  assert.deepEqual((await world.cable.get('port', port)).security_groups, [group]);
  const lead = { port: 80, target: { port: 'db' } };
  await create('Gateway', 'way', { vpc: 'blue', ports: [lead, { ...lead, protocol: 'TCP', targetPort: 81 }] });
  assert.match(await refused('Gateway', 'way', 'Invalid'), /ports: there are two with port 80 of TCP/);
});

test('QosPolicies, Ports, FloatingIPs and Mirrors are what Neutron has of the names; a pod that comes again has its own', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused, remove, gone, get } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  const outside = await world.cable.create('network', { name: 'outside', 'router:external': true });
  await world.cable.create('subnet', { network_id: outside.id, cidr: '203.0.113.0/24' });
  await create('QosPolicy', 'slow', { bandwidthLimits: [{ direction: 'egress', maxKbps: 1000 }], dscpMark: 10 });
  await create('Vpc', 'blue', { externalGateway: { network: 'outside' } });
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.0.0.0/24', default: true, qosPolicy: 'slow' });
  const policy = await ready('QosPolicy', 'slow');
  const limits = () => world.cable.within(policy.status?.id ?? '').list('qos_bandwidth_limit_rule');
  assert.deepEqual(
    (await limits()).map((one) => (one as AnyObject)['max_kbps']),
    [1000],
  );
  await change('QosPolicy', 'slow', { bandwidthLimits: [{ direction: 'ingress', maxKbps: 2000 }], dscpMark: null });
  await until(limits, (found) => found.length === 1 && (found[0] as AnyObject)['direction'] === 'ingress');
  const subnet = await ready('Subnet', 'front');
  assert.equal(
    (await world.cable.get('network', subnet.status?.id ?? ''))['qos_policy_id' as never],
    policy.status?.id,
  );
  assert.match(String((await ready('Vpc', 'blue')).status?.['externalIPs']), /^203\.0\.113\./);
  await remove('QosPolicy', 'slow');
  assert.match(await refused('QosPolicy', 'slow', 'QosPolicyInUse'), /in use|used/i);

  await create('Port', 'vm', { subnet: 'front', ipAddresses: ['10.0.0.77'], securityGroups: [] });
  const port = await ready('Port', 'vm');
  assert.deepEqual(port.status?.['ipAddresses'], ['10.0.0.77']);
  const plugged = { device_id: 'vm-1', device_owner: 'compute:nova' };
  await world.cable.update('port', port.status?.id ?? '', plugged);
  await assert.rejects(world.cable.update('port', port.status?.id ?? '', { name: 'x' }), managed);
  await change('Port', 'vm', { ipAddresses: ['10.0.0.78'] });
  assert.match(await refused('Port', 'vm', 'Immutable'), /10\.0\.0\.77/);
  await remove('Port', 'vm');
  assert.match(await refused('Port', 'vm', 'PortInUse'), /compute:nova vm-1/);
  await world.cable.update('port', port.status?.id ?? '', { device_id: '', device_owner: '' });
  await gone('Port', 'vm');

  await create('FloatingIP', 'www', { target: { pod: 'web' } });
  assert.match(await refused('FloatingIP', 'www', 'WaitsFor'), /pod web/);
  const address = (await get('FloatingIP', 'www'))?.status?.['address'];
  await world.pod('web', { node: 'node-1' });
  const first = await ready('FloatingIP', 'www');
  assert.match(String(first.status?.['fixedIP']), /^10\.0\.0\./);
  await world.kube.delete(PODS, { namespace: 'shop', name: 'web' });
  await refused('FloatingIP', 'www', 'WaitsFor');
  await world.pod('web', { node: 'node-1' });
  await world.pod('ids', { node: 'node-1' });
  const second = await ready('FloatingIP', 'www');
  assert.deepEqual([second.status?.['address'], second.status?.id], [address, first.status?.id]);
  const [floating] = await world.cable.list('floatingip', { id: second.status?.id ?? '' });
  assert.equal(floating?.port_id, second.status?.['portID']);

  await create('Mirror', 'watch', { source: { pod: 'web' }, target: { pod: 'ids' }, filter: [{ protocol: 'tcp' }] });
  const mirror = await ready('Mirror', 'watch');
  await change('Mirror', 'watch', { direction: 'egress' });
  const flows = () => world.cable.list('tap_flow') as Promise<readonly AnyObject[]>;
  const [flow] = await until(flows, (found) => found.length === 1 && found[0]?.['direction'] === 'OUT');
  assert.equal(flow?.['source_port'], second.status?.['portID']);
  await assert.rejects(world.cable.delete('tap_flow', flow?.id ?? ''), managed);
  await remove('Mirror', 'watch');
  await remove('FloatingIP', 'www');
  await gone('Mirror', 'watch');
  await gone('FloatingIP', 'www');
  assert.deepEqual(
    [await flows(), await world.cable.list('tap_service'), await world.cable.list('floatingip')],
    [[], [], []],
  );
  assert.ok(mirror.status?.id);
});

test('a Gateway gives pods addresses to leave by, and leads ports of one to them', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused, remove, gone, get } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  const outside = await world.cable.create('network', { name: 'outside', 'router:external': true });
  await world.cable.create('subnet', { network_id: outside.id, cidr: '203.0.113.0/24' });
  const egress = [
    { name: 'web', priority: 200, podSelector: { matchLabels: { app: 'web' } } },
    { name: 'all', subnet: 'front' },
  ];
  await create('Gateway', 'way', {
    vpc: 'blue',
    egress,
    ports: [{ port: 8080, target: { pod: 'web' }, targetPort: 80 }],
  });
  await refused('Gateway', 'way', 'NotFound');
  await create('Vpc', 'blue', {});
  assert.match(await refused('Gateway', 'way', 'WaitsFor'), /blue has no externalGateway/);
  await change('Vpc', 'blue', { externalGateway: { network: 'outside' } });
  assert.match(await refused('Gateway', 'way', 'NotFound'), /front/);
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.0.0.0/24', default: true });
  await until(
    () => refused('Gateway', 'way', 'WaitsFor'),
    (text) => /pod web/.test(text ?? ''),
  );
  await world.pod('web', { node: 'node-1' });
  const gateway = await ready('Gateway', 'way');
  const rows = () => world.cable.list('router_egress') as unknown as Promise<readonly RouterEgress[]>;
  const said = async (): Promise<string> =>
    (await rows())
      .map(({ name, priority, pods, namespaces, subnet_ids: subnets }) =>
        [name, priority, pods, namespaces, subnets.length].join(' '),
      )
      .sort()
      .join(', ');
  assert.equal(await said(), 'all 100  prod/shop 1, web 200 app=web prod/shop 0');
  const addresses = ((gateway.status?.['egress'] ?? []) as readonly { addresses: readonly string[] }[]).flatMap(
    (one) => one.addresses,
  );
  assert.equal(new Set(addresses).size, 2);
  const [row] = await rows();
  assert.ok(row);
  await assert.rejects(world.cable.update('router_egress', row.id, { name: 'x' }), managed);
  const forwards = async (): Promise<readonly AnyObject[]> => {
    const [floating] = await world.cable.list('floatingip');
    return floating === undefined ? [] : world.cable.within(floating.id).list('port_forwarding');
  };
  assert.deepEqual(
    (await forwards()).map((one) => [one['protocol'], one['external_port'], one['internal_port']]),
    [['tcp', 8080, 80]],
  );
  await change('Gateway', 'way', {
    ports: [{ port: 8443, protocol: 'UDP', target: { pod: 'web' } }],
    egress: egress.slice(1),
  });
  await until(forwards, ([one]) => one?.['external_port'] === 8443 && one['internal_port'] === 8443);
  // In each other's place, and one after the other.
  const leading = async (): Promise<string> =>
    (await forwards())
      .map((one) => `${one['external_port']}-${one['internal_port']}`)
      .sort()
      .join();
  for (const ports of [
    { 81: 1, 82: 2, 83: 3 },
    { 81: 2, 82: 1, 83: 3 },
    { 81: 1, 82: 3, 83: 4, 84: 2 },
  ]) {
    const wanted = Object.entries(ports).map(([port, targetPort]) => ({
      port: Number(port),
      targetPort,
      target: { pod: 'web' },
    }));
    await change('Gateway', 'way', { ports: wanted });
    await ready('Gateway', 'way');
    assert.equal(
      await leading(),
      wanted
        .map((one) => `${one.port}-${one.targetPort}`)
        .sort()
        .join(),
    );
  }
  await until(said, (text) => text === 'all 100  prod/shop 1');
  await change('Gateway', 'way', { egress: [{ name: 'all', namespaces: ['team'] }] });
  assert.match(await refused('Gateway', 'way', 'NamespaceNotAllowed'), /team is another namespace/);
  await change('Gateway', 'way', { egress: [{ name: 'all', addresses: ['203.0.113.250'] }] });
  await refused('Gateway', 'way', 'Immutable');
  await remove('Vpc', 'blue');
  await refused('Vpc', 'blue', 'RouterInUse');
  await remove('Gateway', 'way');
  await gone('Gateway', 'way');
  assert.deepEqual([await rows(), await world.cable.list('floatingip')], [[], []]);
  assert.equal(await get('Gateway', 'way'), undefined);
});

test('a Subnet is on a VLAN of those that an administrator has given the cluster', async (t) => {
  const world = await startWorld(t);
  const { create, change, ready, refused, remove, gone } = customsOf(world);
  world.control('a');
  await world.node('node-1');
  const provider = { physicalNetwork: 'physnet1', vlan: 120 };
  const spec = { cidrBlock: '192.0.2.0/24', gateway: '192.0.2.1', provider };
  await create('Subnet', 'wire', { ...spec, namespaces: ['shop'] }, 'kube-system');
  assert.match(await refused('Subnet', 'wire', 'ProviderNetworkNotAllowed', 'kube-system'), /provider_networks/);
  const vlans = { physical_network: 'physnet1', minimum: 100, maximum: 120 };
  const give = (networks: readonly object[]) =>
    world.cable.update('kubernetes_cluster', 'prod', { provider_networks: networks });
  await give([vlans]);
  // What was refused is tried again by itself, half a minute later.
  await change('Subnet', 'wire', { description: 'tried again' }, 'kube-system');
  const { status: { id: networkId = '' } = {} } = await ready('Subnet', 'wire', 'kube-system');
  const network = await world.cable.get('network', networkId);
  const said = ['network_type', 'physical_network', 'segmentation_id'].map(
    (one) => network[`provider:${one}` as never],
  );
  assert.deepEqual(said, ['vlan', 'physnet1', 120]);
  assert.deepEqual(await world.cable.list('port', { network_id: networkId }), [], 'its router is on the wire');
  await world.pod('in-vlan', { node: 'node-1' });
  const ports = await world.ports((found) => found.has('in-vlan'));
  assert.equal(ports.get('in-vlan')?.network_id, networkId);

  // What is given to the cluster is no namespace’s.
  await create('Subnet', 'mine', { ...spec, provider: { ...provider, vlan: 101 } });
  await refused('Subnet', 'mine', 'ProviderNetworkNotAllowed');
  await give([vlans, { ...vlans, minimum: 101, maximum: 101, project_id: 'prod.shop' }]);
  await change('Subnet', 'mine', { description: 'tried again' });
  await ready('Subnet', 'mine');
  await give([]);
  await change('Subnet', 'wire', { description: 'stays' }, 'kube-system');
  await ready('Subnet', 'wire', 'kube-system');
  await change('Subnet', 'wire', { provider: null }, 'kube-system');
  assert.match(await refused('Subnet', 'wire', 'Immutable', 'kube-system'), /VLAN 120 of physnet1/);
  await remove('Subnet', 'mine');
  await gone('Subnet', 'mine');
});

test('two Vpcs are peers when both say so; as many deletions as half of a kind wait for a word', async (t) => {
  const world = await startWorld(t);
  const { change, create, ready, refused, remove, gone, get } = customsOf(world);
  world.control('a');
  await world.kube.create(NAMESPACES, { metadata: { name: 'team' } });
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.0.0.0/24' });
  await create('Vpc', 'blue', {
    peerings: [{ name: 'red', vpc: { namespace: 'team', name: 'red' }, subnets: ['front'] }],
  });
  await ready('Vpc', 'blue');
  assert.match(JSON.stringify((await get('Vpc', 'blue'))?.status?.['peerings']), /DOWN/);
  await create('Vpc', 'red', { peerings: [{ name: 'blue', vpc: { namespace: 'shop', name: 'blue' } }] }, 'team');
  for (const [name, namespace] of [
    ['blue', 'shop'],
    ['red', 'team'],
  ] as const)
    await until(
      async () => JSON.stringify((await get('Vpc', name, namespace))?.status?.['peerings']),
      (text) => /ACTIVE/.test(text ?? ''),
    );
  // A peering that is taken away goes, whatever another one waits for.
  const routerId = (await get('Vpc', 'blue'))?.status?.id ?? '';
  await change('Vpc', 'blue', {
    peerings: [{ name: 'green', vpc: { namespace: 'team', name: 'red' }, subnets: ['nowhere'] }],
  });
  await until(
    () => world.cable.within(routerId).list('router_peering'),
    (found) => found.length === 0,
  );
  const names = Array.from({ length: 21 }, (_, at) => `group-${at}`);
  for (const name of names) await create('SecurityGroup', name, {});
  for (const name of names) await ready('SecurityGroup', name);
  for (const name of names.slice(0, 18)) await remove('SecurityGroup', name);
  const held = await until(
    async () => (await Promise.all(names.map((name) => get('SecurityGroup', name)))).filter((one) => one !== undefined),
    (left) => left.some((one) => readyOf(one)?.['reason'] === 'DeletionHeld'),
  );
  assert.ok(held.length >= 11, `${held.length} are left`);
  const stopped = held.find((one) => readyOf(one)?.['reason'] === 'DeletionHeld')?.metadata.name ?? '';
  assert.match(await refused('SecurityGroup', stopped, 'DeletionHeld'), /more than half/);
  await world.kube.delete(NAMESPACES, { name: 'shop' });
  await world.kube.patch(
    { group: 'cable.io', version: 'v1', plural: 'securitygroups', isNamespaced: true },
    { namespace: 'shop', name: stopped },
    { metadata: { labels: { looked: 'at' } } },
  );
  await gone('SecurityGroup', stopped);
});

test('what Neutron’s door has made in a project is shown in its namespace, to look at and to refer to, and nothing more', async (t) => {
  const world = await startWorld(t, { hasRules: true });
  const { create, ready, get } = customsOf(world);
  const team = await world.kube.create<KubeObject>(NAMESPACES, { metadata: { name: 'team' } });
  const given = [{ uid: team.metadata.uid, project_id: 'f0e1d2c3' }];
  await world.cable.create('kubernetes_cluster', { name: 'prod', namespace_projects: given });
  const theirs = { project_id: 'f0e1d2c3' };
  const network = await world.cable.create('network', { name: 'Office LAN', ...theirs });
  const keeps = { 'cable:private': true, 'cable:allow_subnets': ['10.0.0.0/8'] };
  const pools = { allocation_pools: [{ start: '192.168.7.10', end: '192.168.7.254' }] };
  await world.cable.create('subnet', { network_id: network.id, cidr: '192.168.7.0/24', ...keeps, ...pools, ...theirs });
  const group = await world.cable.create('security_group', { name: 'db', ...theirs });
  const vm = { network_id: network.id, device_owner: 'compute:nova', device_id: 'vm-1', name: 'vm', ...theirs };
  const port = await world.cable.create('port', vm);
  world.control('a');
  const [subnetName, groupName] = [`office-lan-${network.id.slice(0, 8)}`, `db-${group.id.slice(0, 8)}`];
  const shown = await ready('Subnet', subnetName, 'team');
  assert.equal(shown.spec?.['cidrBlock'], '192.168.7.0/24');
  assert.deepEqual(shown.spec?.['excludeIps'], ['192.168.7.2..192.168.7.9'], 'what its pools leave out');
  assert.deepEqual([shown.spec?.['private'], shown.spec?.['allowSubnets']], [true, ['10.0.0.0/8']]);
  assert.deepEqual(shown.metadata.finalizers, undefined);
  const numbers = await until(
    async () => (await get('Subnet', subnetName, 'team'))?.status,
    (status) => status?.['availableIPs'] !== undefined,
  );
  assert.deepEqual([numbers?.['usedIPs'], numbers?.['availableIPs']], [{ ipv4: 1 }, { ipv4: 244 }]);
  assert.equal(readyOf(shown)?.['reason'], 'ManagedByNeutron');
  assert.equal((await ready('Port', `vm-${port.id.slice(0, 8)}`, 'team')).status?.['deviceID'], 'vm-1');
  await ready('SecurityGroup', groupName, 'team');
  await create('Port', 'mine', { subnet: subnetName, securityGroups: [groupName] }, 'team');
  const mine = await ready('Port', 'mine', 'team');
  assert.deepEqual((await world.cable.get('port', mine.status?.id ?? '')).security_groups, [group.id]);

  const groups = { group: 'cable.io', version: 'v1', plural: 'securitygroups', isNamespaced: true };
  const place = { namespace: 'team', name: groupName };
  await world.kube.patch(groups, place, { spec: { description: 'ours now', ingressRules: [{ protocol: 'tcp' }] } });
  await until(
    async () => (await get('SecurityGroup', groupName, 'team'))?.spec,
    (spec) => spec?.['description'] === undefined && JSON.stringify(spec?.['ingressRules']) === '[]',
  );
  await until(
    () => world.kube.list(EVENTS, { namespace: 'team' }),
    ({ items }) => JSON.stringify(items).includes('ManagedByNeutron'),
  );
  // Who takes its marks off makes it no object of its own.
  const unmarked = { labels: { 'cable.io/managed-by': null }, annotations: { 'cable.io/id': null } };
  for (const metadata of [{ labels: unmarked.labels }, unmarked]) {
    await world.kube.patch(groups, place, { metadata });
    const marked = await until(
      () => get('SecurityGroup', groupName, 'team'),
      (one) => one?.metadata.labels?.['cable.io/managed-by'] === 'neutron',
    );
    assert.deepEqual(
      [marked?.metadata.finalizers, marked?.metadata.annotations?.['cable.io/id']],
      [undefined, group.id],
    );
  }
  assert.equal((await world.cable.list('security_group', { name: groupName })).length, 0);
  const uid = (await get('SecurityGroup', groupName, 'team'))?.metadata.uid;
  await world.kube.delete(groups, place);
  await until(
    () => get('SecurityGroup', groupName, 'team'),
    (one) => one !== undefined && one.metadata.uid !== uid,
  );
  assert.equal((await world.cable.get('security_group', group.id)).name, 'db');
  await world.cable.update('security_group', group.id, { description: 'for the database' });
  await world.kube.patch(groups, place, { metadata: { labels: { looked: 'at' } } });
  await until(
    async () => (await get('SecurityGroup', groupName, 'team'))?.spec?.['description'],
    (text) => text === 'for the database',
  );
  // What nobody may change in Kubernetes is changed by Neutron's door all the same.
  await world.cable.create('subnet', {
    network_id: network.id,
    cidr: 'fd00:7::/64',
    'cable:private': true,
    ip_version: 6,
    ...theirs,
  });
  await world.kube.patch(groups, place, { metadata: { labels: { looked: 'again' } } });
  const wider = await until(
    () => get('Subnet', subnetName, 'team'),
    (one) => one?.spec?.['cidrBlock'] === '192.168.7.0/24,fd00:7::/64',
  );
  assert.notEqual(wider?.metadata.uid, shown.metadata.uid);
  await create('Port', 'next', { subnet: subnetName }, 'team');
  const { status: { ipAddresses } = {} } = await ready('Port', 'next', 'team');
  assert.match(String(ipAddresses), /^192\.168\.7\..*,fd00:7::/);
  const networks = await world.kube.list({ ...groups, plural: 'subnets' }, { namespace: 'shop' });
  assert.deepEqual(networks.items, [], 'in no other namespace');
});

test('what the guide prints is what it says', async (t) => {
  const world = await startWorld(t);
  const { create, ready } = customsOf(world);
  const vlans = [{ physical_network: 'physnet1', minimum: 100, maximum: 199 }];
  await world.cable.create('kubernetes_cluster', { name: 'prod', provider_networks: vlans });
  world.control('a');
  for (const name of ['node-1', 'node-2']) await world.node(name);
  const outside = await world.cable.create('network', { name: 'outside', 'router:external': true });
  await world.cable.create('subnet', { network_id: outside.id, cidr: '203.0.113.0/24' });
  const examples = guideExamples();
  assert.equal(new Set(examples.map(({ kind }) => kind)).size, customKinds().length, 'one of each kind');
  // Of what is taken over the guide says some ID.
  const theirs = await world.cable.create('security_group', { name: 'theirs', project_id: 'prod.shop' });
  const isOfNamespace = ({ kind }: Custom) => customKinds().some((one) => one.kind === kind && one.isNamespaced);
  const tenants = examples.filter(isOfNamespace);
  for (const { kind = '', metadata, spec = {} } of tenants) {
    const { annotations = {} } = metadata;
    const given = annotations['cable.io/adopt'] === undefined ? {} : { 'cable.io/adopt': theirs.id };
    await create(kind, metadata.name, spec, metadata.namespace, { ...annotations, ...given });
  }
  await ready('Subnet', 'front');
  await world.pod('web-1', { node: 'node-1' });
  for (const { kind = '', metadata } of tenants) await ready(kind, metadata.name, metadata.namespace);
  assert.equal((await world.cable.get('security_group', theirs.id)).description, 'who may ask the database');
  const port = (await world.ports((found) => found.has('web-1'))).get('web-1');
  assert.match(port?.fixed_ips[0]?.ip_address ?? '', /^10\.1\.0\.[1-9]\d\d$/);
});
