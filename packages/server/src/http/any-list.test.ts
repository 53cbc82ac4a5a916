import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { objectKey } from '../keys.ts';
import { type Harness, type Json, startHarness } from '../testing/harness.ts';

type Dice = { upTo(n: number): number; one<T>(of: readonly T[]): T; chance(part: number): boolean };

function diceOf(random: () => number): Dice {
  const upTo = (n: number): number => Math.floor(random() * n);
  return { upTo, one: (of) => of[upTo(of.length)] as (typeof of)[number], chance: (part) => random() < part };
}

const PROJECTS = ['ann', 'bob', 'cat'] as const;
const NAMES = ['', 'a', 'b', 'é"x', 'web 1'] as const;
const OWNERS = ['', 'compute:nova'] as const;
const TIMES = ['2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', '2026-02-01T00:00:00Z'] as const;
const NETWORKS = 12;
const PORTS = 500;

/** Objects put into the store as they are: networks of three projects, some of them shared, each with a subnet, and ports of anybody on them. */
async function withObjects({ store, server }: Harness, dice: Dice): Promise<void> {
  const puts: { readonly key: string; readonly value: string }[] = [];
  const put = (type: string, id: string, more: object): void => {
    const standard = { project_id: dice.one(PROJECTS), created_at: dice.one(TIMES), updated_at: dice.one(TIMES) };
    const object = { id, ...standard, name: dice.one(NAMES), description: '', revision_number: dice.upTo(3), ...more };
    puts.push({ key: objectKey(type, id), value: JSON.stringify(object) });
  };
  for (let at = 0; at < NETWORKS; at += 1) {
    const granted = [['*'], ['ann', 'bob'], [], [], []][at % 5];
    put('network', `n${at}`, { shared_with: granted, 'provider:segmentation_id': at + 1, mtu: 1450 });
    put('subnet', `s${at}`, { network_id: `n${at}`, cidr: `10.${at}.0.0/16`, ip_version: 4 });
  }
  for (let at = 0; at < PORTS; at += 1) {
    // Most are on one network.
    const network = dice.chance(0.6) ? 0 : dice.upTo(NETWORKS);
    const more = {
      network_id: `n${network}`,
      mac_address: `fa:16:3e:00:${(at >> 8).toString(16).padStart(2, '0')}:${(at & 255).toString(16).padStart(2, '0')}`,
      fixed_ips: [{ subnet_id: `s${network}`, ip_address: `10.${network}.${at >> 8}.${at & 255}` }],
      device_id: dice.chance(0.2) ? '' : `vm-${at >> 1}`,
      device_owner: dice.one(OWNERS),
      security_groups: dice.chance(0.5) ? ['g1', 'g2'] : [],
      admin_state_up: dice.chance(0.5),
      'binding:host_id': dice.one(['', 'h1', 'h2']),
    };
    put('port', `${dice.upTo(1e9).toString(16)}-${at}`, more);
  }
  const result = await store.txn(
    [],
    puts.map((one) => ({ kind: 'put' as const, ...one })),
  );
  assert.ok(result.ok && (await server.tables.waitFor(result.revision)));
}

type Who = { readonly project: string; readonly isAdmin: boolean };

const headersOf = ({ project, isAdmin }: Who): Record<string, string> => ({
  'x-project-id': project,
  'x-roles': isAdmin ? 'admin' : 'member',
});

const KINDS = ['port', 'port', 'port', 'network', 'subnet'] as const;
type Kind = (typeof KINDS)[number];

/** Everything, as an admin sees it. */
type World = Readonly<Record<Kind, readonly Json[]>>;

/** Of five networks in a row the first is every project’s, the second two projects’. */
function isShared(network: Json, project: string): boolean {
  const at = Number(String(network['id']).slice(1)) % 5;
  return at === 0 || (at === 1 && project !== 'cat');
}

/** The objects as a caller sees them. */
function seenBy(world: World, kind: Kind, { project }: Who): readonly Json[] {
  if (kind !== 'network') return world[kind];
  return world.network.map((one) => ({ ...one, shared: isShared(one, project) }) as unknown as Json);
}

function canSee(world: World, kind: Kind, object: Json, { project, isAdmin }: Who): boolean {
  if (isAdmin || String(object['project_id']) === project) return true;
  if (kind === 'network') return isShared(object, project);
  const network = world.network.find((one) => String(one['id']) === String(object['network_id']));
  if (kind === 'subnet' && network !== undefined && isShared(network, project)) return true;
  return String(network?.['project_id']) === project;
}

const FILTERS: Readonly<Record<Kind, (dice: Dice, world: World) => readonly [string, string]>> = {
  network: (dice) => dice.one([['shared', dice.one(['true', 'False'])] as const, ['name', dice.one(NAMES)] as const]),
  subnet: (dice) =>
    dice.one([['network_id', `n${dice.upTo(NETWORKS)}`] as const, ['tenant_id', dice.one(PROJECTS)] as const]),
  port: (dice, world) => {
    const some = dice.one(world.port);
    return dice.one([
      ['name', dice.one(NAMES)],
      ['device_id', String(some['device_id'])],
      ['device_owner', dice.one(OWNERS)],
      ['network_id', dice.one(['n0', 'n1', 'n7', 'none'])],
      ['project_id', dice.one(PROJECTS)],
      ['fixed_ips', `ip_address=${some['fixed_ips']?.[0]?.['ip_address']}`],
      ['fixed_ips', `subnet_id=s${dice.upTo(NETWORKS)}`],
      ['fixed_ips', `ip_address_substr=.${dice.upTo(256)}`],
      ['security_groups', dice.one(['g1', 'g2', 'g3'])],
      ['admin_state_up', dice.one(['True', 'false'])],
      ['id', String(some['id'])],
    ] as const);
  },
};

function matches(object: Json, name: string, values: readonly string[]): boolean {
  const held: unknown = object[name];
  return values.some((value) => {
    if (name === 'fixed_ips') {
      const [, key = '', text = ''] = /^(\w+?)=(.*)$/.exec(value) ?? [];
      const texts = (object['fixed_ips'] ?? []).map((one) => String(one[key.replace('_substr', '')]));
      return texts.some((one) => (key.endsWith('_substr') ? one.includes(text) : one === text));
    }
    if (Array.isArray(held)) return held.includes(value);
    return typeof held === 'boolean' ? String(held) === value.toLowerCase() : String(held ?? '') === value;
  });
}

const SORTS = ['name', 'created_at', 'id', 'revision_number', 'project_id', 'status'] as const;

type Query = {
  readonly kind: Kind;
  readonly who: Who;
  readonly filters: ReadonlyMap<string, readonly string[]>;
  readonly since: string | null;
  readonly sort: readonly (readonly [string, 'asc' | 'desc'])[];
  readonly limit: number;
  readonly marker: string | null;
  readonly reverse: boolean;
  readonly fields: readonly string[];
};

function anyQuery(dice: Dice, world: World): Query {
  const kind = dice.one(KINDS);
  const filters = new Map<string, string[]>();
  for (let count = dice.one([0, 0, 1, 1, 2, 3]); count > 0; count -= 1) {
    const [name, value] = FILTERS[kind](dice, world);
    const known = filters.get(name);
    // Properties of one attribute are filters of their own; here they are not mixed.
    if (known === undefined) filters.set(name, [value]);
    else if (name !== 'fixed_ips') known.push(value);
  }
  const sorts = new Set(Array.from({ length: dice.one([0, 0, 1, 1, 2]) }, () => dice.one(SORTS)));
  if (kind === 'subnet') sorts.delete('status');
  return {
    kind,
    who: { project: dice.one(PROJECTS), isAdmin: dice.chance(0.4) },
    filters,
    since: dice.chance(0.1) ? dice.one(TIMES) : null,
    sort: [...sorts].map((name) => [name, dice.one(['asc', 'desc'] as const)] as const),
    limit: dice.one([0, 0, 1, 2, 7, 40, 300, 1000]),
    marker: dice.chance(0.4) ? String(dice.one(world[kind])['id']) : null,
    reverse: dice.chance(0.4),
    fields: dice.chance(0.3) ? ['id', dice.one(['name', 'tenant_id', 'binding:vif_type'])] : [],
  };
}

function urlOf(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, values] of query.filters) for (const value of values) params.append(name, value);
  for (const [name, direction] of query.sort) {
    params.append('sort_key', name);
    params.append('sort_dir', direction);
  }
  if (query.since !== null) params.append('changed_since', query.since);
  if (query.limit > 0) params.append('limit', String(query.limit));
  if (query.marker !== null) params.append('marker', query.marker);
  if (query.reverse) params.append('page_reverse', 'True');
  for (const field of query.fields) params.append('fields', field);
  return `/v2.0/${query.kind}s?${params}`;
}

function inOrder(query: Query): (a: Json, b: Json) => number {
  const keys = [...query.sort, ['id', 'asc'] as const];
  return (a, b) => {
    for (const [name, direction] of keys) {
      const [left, right]: readonly unknown[] = [a[name], b[name]];
      const isNumber = typeof left === 'number' && typeof right === 'number';
      const order = isNumber ? left - right : String(left) < String(right) ? -1 : String(left) > String(right) ? 1 : 0;
      if (order !== 0) return direction === 'asc' ? order : -order;
    }
    return 0;
  };
}

/** Every object of the list, said without regard to cost. */
function wholeList(world: World, query: Query): readonly Json[] {
  return seenBy(world, query.kind, query.who)
    .filter((one) => canSee(world, query.kind, one, query.who))
    .filter((one) => [...query.filters].every(([name, values]) => matches(one, name, values)))
    .filter((one) => query.since === null || String(one['updated_at']) >= query.since)
    .toSorted(inOrder(query));
}

/** The answer's objects; undefined: who asks does not see the marker, which is told of some types. Without a limit it is not looked at, as in Neutron. */
function pageOf(world: World, query: Query): readonly Json[] | undefined {
  const { limit, marker: id, reverse, kind, who } = query;
  const list = wholeList(world, query);
  const named = limit === 0 ? undefined : seenBy(world, kind, who).find((one) => String(one['id']) === id);
  const marker = named !== undefined && canSee(world, kind, named, who) ? named : undefined;
  if (id !== null && limit > 0 && marker === undefined && kind !== 'subnet') return undefined;
  const most = limit === 0 ? list.length : limit;
  const compare = inOrder(query);
  if (!reverse) return list.filter((one) => marker === undefined || compare(one, marker) > 0).slice(0, most);
  const before = list.filter((one) => marker === undefined || compare(one, marker) < 0);
  return before.slice(Math.max(0, before.length - most));
}

const HIDDEN = ['binding:', 'provider:', 'resource_request', 'cable:backend'];

function shown(object: Json, { who, fields }: Query): unknown {
  const names = Object.keys(object)
    .filter((name) => who.isAdmin || !HIDDEN.some((prefix) => name.startsWith(prefix)) || name === 'binding:vnic_type')
    .filter((name) => fields.length === 0 || fields.includes(name));
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}

async function worldOf({ send }: Harness): Promise<World> {
  const all = async (kind: Kind): Promise<readonly Json[]> =>
    (await send('GET', `/v2.0/${kind}s`)).body[`${kind}s`] ?? [];
  return { port: await all('port'), network: await all('network'), subnet: await all('subnet') };
}

test('whatever is asked for, a list is what looking through everything would give', async (t) => {
  const harness = await startHarness(t);
  const dice = diceOf(seededRandom(17));
  await withObjects(harness, dice);
  const world = await worldOf(harness);
  assert.deepEqual([world.port.length, world.network.length, world.subnet.length], [PORTS, NETWORKS, NETWORKS]);
  let answered = 0;
  for (let round = 0; round < 1500; round += 1) {
    const query = anyQuery(dice, world);
    const url = urlOf(query);
    const { status, body } = await harness.send('GET', url, undefined, headersOf(query.who));
    const wanted = pageOf(world, query)?.map((one) => shown(one, query));
    assert.equal(status, wanted === undefined ? 404 : 200, `${url} ${JSON.stringify(query.who)}`);
    if (wanted === undefined) continue;
    answered += 1;
    assert.deepEqual(
      sortedUnless(isOrdered(query), body[`${query.kind}s`] ?? []),
      sortedUnless(isOrdered(query), wanted),
      url,
    );
  }
  assert.ok(answered > 1000, String(answered));
});

const isOrdered = ({ sort, limit }: Query): boolean => sort.length > 0 || limit > 0;

function sortedUnless(isInOrder: boolean, objects: readonly unknown[]): readonly unknown[] {
  return isInOrder ? objects : objects.map((one) => JSON.stringify(one)).sort();
}

test('pages joined are the whole list, forwards and backwards', async (t) => {
  const harness = await startHarness(t);
  const dice = diceOf(seededRandom(23));
  await withObjects(harness, dice);
  const world = await worldOf(harness);
  for (let round = 0; round < 60; round += 1) {
    const query = {
      ...anyQuery(dice, world),
      marker: null,
      reverse: round % 2 > 0,
      limit: dice.one([3, 17, 100]),
      fields: ['id'],
    };
    const pages: string[][] = [];
    let marker: string | null = null;
    do {
      const { body } = await harness.send('GET', urlOf({ ...query, marker }), undefined, headersOf(query.who));
      const page: string[] = (body[`${query.kind}s`] ?? []).map((one: Json) => String(one['id']));
      pages.push(page);
      marker = (query.reverse ? page[0] : page.at(-1)) ?? null;
    } while (marker !== null);
    const ids = (query.reverse ? pages.reverse() : pages).flat();
    assert.deepEqual(
      ids,
      wholeList(world, query).map((one) => String(one['id'])),
      urlOf(query),
    );
  }
});
