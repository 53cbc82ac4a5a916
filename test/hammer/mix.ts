/** What the clients ask for: conflicting requests of every kind, drawn at random. */
import type { Caller } from './client.ts';
import type { Deed, Row, TypeName } from './history.ts';
import { placeOfName, textOf } from './history.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/** Requests to be sent at once, each through any server. */
export type Wish = { readonly deeds: readonly Deed[]; readonly caller: Caller };

type Draw = (world: World, random: Random) => Wish | undefined;

const ADMIN: Caller = { project: 'owner', roles: undefined };
const MEMBERS: readonly [Caller, ...Caller[]] = [
  { project: 'owner', roles: 'member' },
  { project: 'tenant-1', roles: 'member' },
  { project: 'tenant-2', roles: 'member' },
];
/** Has few ports, so that its default group can be deleted now and then. */
const SMALL_PROJECT = 'tenant-3';
const BULK = 50;
/** Rules of a group that go by a tombstone when it is deleted. */
const VERY_MANY = 600;

/** Few, so that they overlap and meet. */
const CIDRS = ['10.0.0.0/24', '10.0.0.0/23', '10.0.1.0/24', '10.0.2.0/24', '10.0.0.0/22'] as const;
const ADDRESSES: readonly [readonly string[], ...(readonly string[])[]] = [
  [],
  ['192.0.2.0/24'],
  ['192.0.2.1/32', '2001:db8:1::/48'],
];
/** Of networks whose number is chosen, and of ranges. */
const FIRST_NUMBER = 5000;
const HOSTS = ['', 'host-1', 'host-2'] as const;
const TAGGED: readonly [TypeName, ...TypeName[]] = ['network', 'subnet', 'port', 'router', 'security_group'];
/** Types that RBAC policies are about. */
const GRANTED: readonly [TypeName, ...TypeName[]] = [
  'network',
  'network',
  'security_group',
  'qos_policy',
  'subnetpool',
  'address_group',
];
const OWNERS = ['', 'compute:nova', 'network:dhcp', 'network:other'] as const;

/** Weight and draw of each kind. */
const KINDS: readonly (readonly [weight: number, draw: Draw])[] = [
  [6, (world, random) => create(world, random, 'network', [{ shared: random.chance(0.6) }], ADMIN)],
  [9, (world, random) => update(world, random, 'network', { shared: random.chance(0.5) }, ADMIN)],
  [4, (world, random) => remove(world, random, 'network')],
  [8, createSubnet],
  [8, changeSubnet],
  [3, createPool],
  [8, takeFromPool],
  [3, changePool],
  [2, (world, random) => remove(world, random, 'subnetpool')],
  [4, (world, random) => remove(world, random, 'subnet')],
  [20, createPort],
  [14, changePort],
  [9, (world, random) => remove(world, random, 'port')],
  [4, (world, random) => create(world, random, 'router', [{}], callerOf(random))],
  [6, changeRouter],
  [3, (world, random) => remove(world, random, 'router')],
  [14, attach],
  [8, detach],
  [4, (world, random) => create(world, random, 'security_group', [{}], callerOf(random))],
  [4, (world, random) => update(world, random, 'security_group', {}, ADMIN)],
  [3, (world, random) => remove(world, random, 'security_group')],
  [2, removeGroupOfPort],
  [8, createRule],
  [4, (world, random) => remove(world, random, 'security_group_rule')],
  [4, createMany],
  [0.4, createVeryMany],
  [4, (world, random) => create(world, random, 'network', [{ 'router:external': true }], ADMIN)],
  [4, (world, random) => update(world, random, 'network', { 'router:external': random.chance(0.7) }, ADMIN)],
  [8, changeGateway],
  [8, createFloatingIp],
  [4, (world, random) => remove(world, random, 'floatingip')],
  [4, createTrunk],
  [3, (world, random) => update(world, random, 'trunk', {}, ADMIN)],
  [3, (world, random) => remove(world, random, 'trunk')],
  [5, createBalancer],
  [4, (world, random) => remove(world, random, 'loadbalancer')],
  [3, createPolicy],
  [4, (world, random) => update(world, random, 'qos_policy', { shared: random.chance(0.6) }, ADMIN)],
  [3, (world, random) => remove(world, random, 'qos_policy')],
  [6, changePolicy],
  [4, createNumberedNetwork],
  [3, createSegmentRange],
  [4, changeSegmentRange],
  [3, (world, random) => remove(world, random, 'network_segment_range')],
  [3, (world, random) => create(world, random, 'address_group', [{ addresses: random.one(ADDRESSES) }], ADMIN)],
  [3, (world, random) => remove(world, random, 'address_group')],
  [5, (world, random) => tag(world, random)],
  [4, untag],
  [6, grant],
  [3, regrant],
  [5, revoke],
  [4, read],
  [25, duel],
];

const TOTAL = KINDS.reduce((sum, [weight]) => sum + weight, 0);

/** The next request; undefined: what was drawn needs something that is not there yet. */
export function drawWish(world: World, random: Random): Wish | undefined {
  let left = random.next() * TOTAL;
  for (const [weight, draw] of KINDS) {
    left -= weight;
    if (left < 0) return draw(world, random);
  }
  return undefined;
}

function callerOf(random: Random): Caller {
  return random.chance(0.5) ? ADMIN : random.one(MEMBERS);
}

/** Each of `given` gets a name. Some requests get an Idempotency-Key and are sent more than once, sometimes beside another with the same key. */
function create(world: World, random: Random, type: TypeName, given: readonly Row[], caller: Caller): Wish {
  const key = random.chance(0.2) ? `key-${world.newName()}` : null;
  const deed = createDeed(world, type, given, key);
  if (key === null) return { deeds: [deed], caller };
  const rivals = random.chance(0.2) ? [createDeed(world, type, given, key)] : [];
  return { deeds: [...Array<Deed>(1 + random.below(3)).fill(deed), ...rivals], caller };
}

function createDeed(world: World, type: TypeName, given: readonly Row[], key: string | null): Deed {
  const names = given.map(() => world.newName());
  const place = placeOfName(type);
  return { kind: 'create', type, names, given: given.map((one, n) => ({ ...one, [place]: names[n] })), key };
}

function update(world: World, random: Random, type: TypeName, sets: Row, caller: Caller): Wish | undefined {
  const row = pickFor(world, random, type);
  if (row === undefined) return undefined;
  const revision = row['revision_number'];
  const ifRevision = random.chance(0.25) && typeof revision === 'number' ? revision : null;
  const deed = { kind: 'update', type, id: textOf(row, 'id'), token: world.newName(), sets, ifRevision } as const;
  return { deeds: [deed], caller };
}

function remove(world: World, random: Random, type: TypeName): Wish | undefined {
  const row = pickFor(world, random, type);
  if (row === undefined) return undefined;
  const revision = row['revision_number'];
  const ifRevision = random.chance(0.2) && typeof revision === 'number' ? revision : null;
  return onceOrTwice(random, { kind: 'delete', type, id: textOf(row, 'id'), ifRevision });
}

/** Mostly a project's default group, which nobody made by a request. */
function removeGroupOfPort(world: World, random: Random): Wish | undefined {
  const ports = world.hot('port').filter((one) => textOf(one, 'project_id') === SMALL_PROJECT);
  const [id] = (random.pick(ports)?.['security_groups'] ?? []) as readonly string[];
  if (id === undefined) return undefined;
  return onceOrTwice(random, { kind: 'delete', type: 'security_group', id, ifRevision: null });
}

function onceOrTwice(random: Random, deed: Deed): Wish {
  return { deeds: random.chance(0.2) ? [deed, deed] : [deed], caller: ADMIN };
}

/** Of ports also a router's legs. */
function pickFor(world: World, random: Random, type: TypeName): Row | undefined {
  const leg = type === 'port' && random.chance(0.1) ? world.pickLeg(random) : undefined;
  return leg === undefined ? world.pick(type, random) : { id: leg['port_id'] };
}

/** A number out of a few, which ranges come to have and lose. */
function createNumberedNetwork(world: World, random: Random): Wish {
  const number = FIRST_NUMBER + random.below(8);
  const given = { 'provider:network_type': 'vxlan', 'provider:segmentation_id': number };
  return create(world, random, 'network', [given], ADMIN);
}

function createSegmentRange(world: World, random: Random): Wish {
  const shared = random.chance(0.5);
  const owner = shared ? {} : { project_id: random.one(MEMBERS).project };
  return create(
    world,
    random,
    'network_segment_range',
    [{ network_type: 'vxlan', shared, ...owner, ...drawRange(random) }],
    ADMIN,
  );
}

function changeSegmentRange(world: World, random: Random): Wish | undefined {
  return update(world, random, 'network_segment_range', drawRange(random), ADMIN);
}

function drawRange(random: Random): Row {
  const minimum = FIRST_NUMBER + random.below(6);
  return { minimum, maximum: minimum + random.below(4) };
}

function read(world: World, random: Random): Wish | undefined {
  const type = random.one(['network', 'subnet', 'port', 'router', 'security_group']);
  const row = world.pick(type, random);
  if (row === undefined) return undefined;
  return { deeds: [{ kind: 'read', type, id: textOf(row, 'id') }], caller: ADMIN };
}

/** A word that no other object has; of types that can be tagged. */
function tag(world: World, random: Random, types: readonly [TypeName, ...TypeName[]] = TAGGED): Wish | undefined {
  const type = random.one(types);
  const row = world.pick(type, random);
  if (row === undefined) return undefined;
  return { deeds: [{ kind: 'tag', type, id: textOf(row, 'id'), tag: world.newName() }], caller: ADMIN };
}

function untag(world: World, random: Random): Wish | undefined {
  const given = world.pickTag(random);
  return given === undefined ? undefined : onceOrTwice(random, { ...given, kind: 'untag' });
}

/** To one project: what is shared with all says so itself, too. */
function grant(world: World, random: Random): Wish | undefined {
  const type = random.one(GRANTED);
  const row = world.pick(type, random);
  if (row === undefined) return undefined;
  const { project } = random.one(MEMBERS);
  return onceOrTwice(random, { kind: 'grant', type, id: textOf(row, 'id'), project });
}

function regrant(world: World, random: Random): Wish | undefined {
  const given = world.pickGrant(random);
  const { project } = random.one(MEMBERS);
  return given === undefined ? undefined : { deeds: [{ ...given, kind: 'regrant', project }], caller: ADMIN };
}

function revoke(world: World, random: Random): Wish | undefined {
  const given = world.pickGrant(random);
  return given === undefined ? undefined : onceOrTwice(random, { ...given, kind: 'revoke' });
}

function createSubnet(world: World, random: Random): Wish | undefined {
  const network = world.pick('network', random);
  if (network === undefined) return undefined;
  if (random.chance(0.2)) return create(world, random, 'subnet', [slaacIn(network['id'])], ADMIN);
  const cidr = random.one(CIDRS);
  const base = cidr.slice(0, cidr.lastIndexOf('.'));
  // The gateway can move outside of the pool.
  const pools = [{ start: `${base}.10`, end: `${base}.200` }];
  const given = { network_id: network['id'], ip_version: 4, cidr, allocation_pools: pools };
  return create(world, random, 'subnet', [given], ADMIN);
}

/** Few addresses, so that they run out, of which a project may have fewer. */
function createPool(world: World, random: Random): Wish | undefined {
  const quota = random.chance(0.5) ? 256 : null;
  const given = {
    name: 'pool',
    prefixes: ['10.0.4.0/23'],
    default_prefixlen: '26',
    default_quota: quota,
    shared: true,
  };
  return create(world, random, 'subnetpool', [given], ADMIN);
}

function changePool(world: World, random: Random): Wish | undefined {
  return update(world, random, 'subnetpool', { default_quota: random.one([0, 128, 512]) }, ADMIN);
}

function takeFromPool(world: World, random: Random): Wish | undefined {
  const [network, pool] = [world.pick('network', random), world.pick('subnetpool', random)];
  if (network === undefined || pool === undefined) return undefined;
  const from = { network_id: network['id'], ip_version: 4, subnetpool_id: pool['id'] };
  const place = random.chance(0.3) ? { cidr: random.one(['10.0.4.0/25', '10.0.4.0/26', '10.0.5.64/26']) } : {};
  return create(world, random, 'subnet', [{ ...from, ...place }], ADMIN);
}

/** Gives each port of the network an address. A router cannot have it, so a leg is of one subnet still, and goes with it. */
function slaacIn(networkId: unknown): Row {
  return { network_id: networkId, ip_version: 6, cidr: '2001:db8::/64', ipv6_address_mode: 'slaac' };
}

/** A subnet of SLAAC in the network of the port that the first request makes. */
function createSlaacBeside(world: World, random: Random, first: Wish): Wish {
  return create(world, random, 'subnet', [slaacIn(givenBy(first)['network_id'])], ADMIN);
}

function changeSubnet(world: World, random: Random): Wish | undefined {
  const base = random.one(['10.0.0', '10.0.1', '10.0.2']);
  const gateway = random.chance(0.15) ? null : `${base}.${random.one([1, 2, 3, 210])}`;
  return update(world, random, 'subnet', { gateway_ip: gateway }, ADMIN);
}

/** An address out of a few, in a subnet that may be of another network. */
function chosenAddress(world: World, random: Random): Row | undefined {
  const subnet = world.pick('subnet', random);
  const cidr = textOf(subnet, 'cidr');
  if (subnet === undefined || cidr.includes(':')) return undefined;
  const tail = random.one([1, 2, 3, 10, 11, 12, 210]);
  return { subnet_id: subnet['id'], ip_address: `${cidr.slice(0, cidr.lastIndexOf('.'))}.${tail}` };
}

function chosenMac(random: Random): string {
  return `02:00:00:00:00:0${random.below(6)}`;
}

function createPort(world: World, random: Random): Wish | undefined {
  const caller = callerOf(random);
  const fixed = random.chance(0.5) ? chosenAddress(world, random) : undefined;
  const subnet = world.hot('subnet').find((one) => one['id'] === fixed?.['subnet_id']);
  const networkId = subnet?.['network_id'] ?? world.pick('network', random)?.['id'];
  if (networkId === undefined) return undefined;
  const given: Row = {
    network_id: networkId,
    ...(fixed === undefined ? {} : { fixed_ips: [fixed] }),
    ...(caller.roles === undefined && random.chance(0.3) ? { mac_address: chosenMac(random) } : {}),
    ...(caller.roles === undefined ? adminsOwn(random) : {}),
  };
  return create(world, random, 'port', [given], caller);
}

/** What an administrator alone says of a port. */
function adminsOwn(random: Random): Row {
  return {
    'binding:host_id': random.one(HOSTS),
    device_owner: random.one(OWNERS),
    project_id: random.chance(0.15) ? SMALL_PROJECT : random.one(MEMBERS).project,
  };
}

function changePort(world: World, random: Random): Wish | undefined {
  const kind = random.below(5);
  if (kind === 0) return update(world, random, 'port', { device_owner: random.one(OWNERS) }, ADMIN);
  if (kind === 1) return update(world, random, 'port', { 'binding:host_id': random.one(HOSTS) }, ADMIN);
  if (kind === 2) return update(world, random, 'port', { mac_address: chosenMac(random) }, ADMIN);
  if (kind === 3) {
    const group = world.pick('security_group', random);
    return group === undefined
      ? undefined
      : update(world, random, 'port', { security_groups: [group['id']] }, callerOf(random));
  }
  const fixed = chosenAddress(world, random);
  return fixed === undefined ? undefined : update(world, random, 'port', { fixed_ips: [fixed] }, callerOf(random));
}

function changeRouter(world: World, random: Random): Wish | undefined {
  const base = random.one(['10.0.0', '10.0.1', '10.0.2']);
  const routes = random.chance(0.4) ? [] : [{ destination: '192.0.2.0/24', nexthop: `${base}.9` }];
  return update(world, random, 'router', { routes }, ADMIN);
}

function attach(world: World, random: Random): Wish | undefined {
  const router = world.pick('router', random);
  const byPort = random.chance(0.4);
  const target = world.pick(byPort ? 'port' : 'subnet', random);
  if (router === undefined || target === undefined) return undefined;
  return onRouter(random, 'attach', textOf(router, 'id'), byPort ? 'port_id' : 'subnet_id', textOf(target, 'id'));
}

function detach(world: World, random: Random): Wish | undefined {
  const leg = world.pickLeg(random);
  const by = random.one(['port_id', 'subnet_id']);
  return leg === undefined ? undefined : onRouter(random, 'detach', textOf(leg, 'id'), by, textOf(leg, by));
}

function onRouter(
  random: Random,
  kind: 'attach' | 'detach',
  id: string,
  by: 'port_id' | 'subnet_id',
  target: string,
): Wish {
  return onceOrTwice(random, { kind, type: 'router', id, body: { [by]: target } });
}

function createRule(world: World, random: Random): Wish | undefined {
  const group = world.pick('security_group', random);
  if (group === undefined) return undefined;
  const other = random.chance(0.3) ? world.pick('security_group', random) : undefined;
  const given = {
    security_group_id: group['id'],
    direction: random.one(['ingress', 'egress']),
    protocol: 'tcp',
    port_range_min: 80,
    port_range_max: 80 + random.below(3),
    ...remoteOf(world, random, other),
  };
  return create(world, random, 'security_group_rule', [given], ADMIN);
}

/** Another group, an address group, or nobody in particular. */
function remoteOf(world: World, random: Random, other: Row | undefined): Row {
  const addresses = other === undefined && random.chance(0.3) ? world.pick('address_group', random) : undefined;
  if (addresses !== undefined) return { remote_address_group_id: addresses['id'] };
  return { remote_group_id: other?.['id'] ?? null };
}

function changeGateway(world: World, random: Random): Wish | undefined {
  const network = world.pick('network', random);
  const gateway = random.chance(0.25) || network === undefined ? null : { network_id: network['id'] };
  return update(world, random, 'router', { external_gateway_info: gateway }, ADMIN);
}

/** Mostly to a port of whose network nobody knows whether it is behind a router with a gateway. */
function createFloatingIp(world: World, random: Random): Wish | undefined {
  const network = world.pick('network', random);
  const port = random.chance(0.7) ? world.pick('port', random) : undefined;
  if (network === undefined) return undefined;
  const given = { floating_network_id: network['id'], port_id: port?.['id'] ?? null };
  return create(world, random, 'floatingip', [given], ADMIN);
}

/** Without sub-ports: what becomes of those is not asked for by those who made them. */
function createTrunk(world: World, random: Random): Wish | undefined {
  const port = world.pick('port', random);
  return port === undefined ? undefined : create(world, random, 'trunk', [{ port_id: port['id'] }], ADMIN);
}

function createBalancer(world: World, random: Random): Wish | undefined {
  const subnet = world.pick('subnet', random);
  if (subnet === undefined) return undefined;
  return create(world, random, 'loadbalancer', [{ vip_subnet_id: subnet['id'] }], callerOf(random));
}

function createPolicy(world: World, random: Random): Wish {
  const given = { shared: random.chance(0.6), is_default: random.chance(0.3) };
  return create(world, random, 'qos_policy', [given], ADMIN);
}

/** Of ports, networks and floating IPs: which policy they have, or none. */
function changePolicy(world: World, random: Random): Wish | undefined {
  const policy = random.chance(0.3) ? undefined : world.pick('qos_policy', random);
  const type = random.chance(0.5) ? 'port' : random.chance(0.6) ? 'network' : 'floatingip';
  return update(world, random, type, { qos_policy_id: policy?.['id'] ?? null }, callerOf(random));
}

/** Many in one request: all or none. */
function createMany(world: World, random: Random): Wish | undefined {
  const type = random.one(['port', 'port', 'network', 'security_group_rule']);
  if (type === 'network') return create(world, random, type, Array(BULK).fill({ shared: false }), ADMIN);
  const parent = world.pick(type === 'port' ? 'network' : 'security_group', random)?.['id'];
  if (parent === undefined) return undefined;
  if (type === 'port') return create(world, random, type, Array(BULK).fill({ network_id: parent }), callerOf(random));
  return createRules(world, random, parent, 1000 + 25 * random.below(4), BULK);
}

function createVeryMany(world: World, random: Random): Wish | undefined {
  const group = world.pick('security_group', random)?.['id'];
  return group === undefined ? undefined : createRules(world, random, group, 3000 + 500 * random.below(2), VERY_MANY);
}

function createRules(world: World, random: Random, group: unknown, from: number, count: number): Wish {
  const rules = Array.from({ length: count }, (_, n) => {
    const port = { port_range_min: from + n, port_range_max: from + n };
    const remote = random.chance(0.1) ? { remote_group_id: world.pick('security_group', random)?.['id'] ?? group } : {};
    return { security_group_id: group, direction: 'ingress', protocol: 'udp', ...port, ...remote };
  });
  return create(world, random, 'security_group_rule', rules, ADMIN);
}

/** Two requests at once of which at most one may be done, or that together would break a rule if neither looked at the other. */
function duel(world: World, random: Random): Wish | undefined {
  const [one, other] = random.one([
    [attach, changeSubnetOf],
    [attach, (_world, _random, first) => removalOf(first)],
    [createForTenant, unshareNetworkOf],
    [createForTenant, (all, draws) => revoke(all, draws)],
    [tagNetwork, (all, draws) => tagNetwork(all, draws)],
    [grant, (_world, _random, first) => deletionOf(first)],
    [grant, (all, draws) => grant(all, draws)],
    [createSubnet, (all, draws, first) => createSubnetBeside(all, draws, first)],
    [createPort, (_world, _random, first) => removalOf(first)],
    [createPort, createSlaacBeside],
    [createSegmentRange, (all, draws) => createSegmentRange(all, draws)],
    [createNumberedNetwork, (all, draws) => changeSegmentRange(all, draws)],
    [createNumberedNetwork, (all, draws) => createNumberedNetwork(all, draws)],
    [createRule, (_world, _random, first) => removalOf(first)],
    [changeRouter, (all, draws) => detach(all, draws)],
    [changeGateway, (all, draws) => detach(all, draws)],
    [createFloatingIp, (all, draws) => detach(all, draws)],
    [createFloatingIp, (_world, _random, first) => removalOf(first)],
    [createTrunk, (_world, _random, first) => removalOf(first)],
    [createTrunk, (all, draws, first) => attachOf(all, draws, first)],
    [createBalancer, (all, draws) => remove(all, draws, 'subnet')],
  ] as [readonly [Draw, Answering], ...(readonly [Draw, Answering])[]]);
  const first = one(world, random);
  const second = first === undefined ? undefined : other(world, random, first);
  if (first === undefined || second === undefined) return first;
  return { deeds: [...first.deeds, ...second.deeds], caller: ADMIN };
}

/** Draws what goes against another request. */
type Answering = (world: World, random: Random, first: Wish) => Wish | undefined;

/** What the first request gives: of a create its object, of an attach its body. */
function givenBy({ deeds: [deed] }: Wish): Row {
  if (deed?.kind === 'create') return deed.given[0] ?? {};
  return deed?.kind === 'attach' ? deed.body : {};
}

function changeSubnetOf(world: World, random: Random, first: Wish): Wish | undefined {
  const id = textOf(givenBy(first), 'subnet_id');
  const gateway = textOf(world.hot('subnet').find((one) => one['id'] === id) ?? {}, 'gateway_ip');
  if (gateway === '' || gateway.includes(':')) return undefined;
  const base = gateway.slice(0, gateway.lastIndexOf('.'));
  const sets = { gateway_ip: `${base}.${random.one([1, 2, 3, 210])}` };
  const deed = { kind: 'update', type: 'subnet', id, token: world.newName(), sets, ifRevision: null } as const;
  return { deeds: [deed], caller: ADMIN };
}

/** Makes the port of the first request a router's leg. */
function attachOf(world: World, random: Random, first: Wish): Wish | undefined {
  const router = world.pick('router', random);
  const port = textOf(givenBy(first), 'port_id');
  return router === undefined ? undefined : onRouter(random, 'attach', textOf(router, 'id'), 'port_id', port);
}

/** Deletes what the first request refers to. */
function removalOf(first: Wish): Wish | undefined {
  const given = givenBy(first);
  for (const type of ['subnet', 'port', 'network', 'address_group', 'security_group'] as const) {
    const id = textOf(given, type === 'address_group' ? 'remote_address_group_id' : `${type}_id`);
    if (id !== '') return { deeds: [{ kind: 'delete', type, id, ifRevision: null }], caller: ADMIN };
  }
  return undefined;
}

/** Of a few, so that two are of one. */
function tagNetwork(world: World, random: Random): Wish | undefined {
  return tag(world, random, ['network']);
}

/** Deletes what the first request is about. */
function deletionOf({ deeds: [deed] }: Wish): Wish | undefined {
  if (deed === undefined || !('id' in deed)) return undefined;
  return { deeds: [{ kind: 'delete', type: deed.type, id: deed.id, ifRevision: null }], caller: ADMIN };
}

function createForTenant(world: World, random: Random): Wish | undefined {
  const network = random.pick(world.hot('network').filter((one) => one['shared'] === true));
  if (network === undefined) return undefined;
  return create(world, random, 'port', [{ network_id: network['id'], project_id: 'tenant-1' }], ADMIN);
}

function unshareNetworkOf(world: World, _random: Random, first: Wish): Wish {
  const id = textOf(givenBy(first), 'network_id');
  const sets = { shared: false };
  const deed = { kind: 'update', type: 'network', id, token: world.newName(), sets, ifRevision: null } as const;
  return { deeds: [deed], caller: ADMIN };
}

function createSubnetBeside(world: World, random: Random, first: Wish): Wish {
  const { name: _name, ...given } = givenBy(first);
  return create(world, random, 'subnet', [given], ADMIN);
}
