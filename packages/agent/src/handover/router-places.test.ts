import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayHost, RouterGateway, SliceKey } from '@cable/model';
import { type RouterMoves, RouterPlaces } from './router-places.ts';

const ID = 'd0000000-0000-4000-8000-000000000001';
const HOSTS: readonly GatewayHost[] = [
  { host: 'a', underlay: '192.0.2.1' },
  { host: 'b', underlay: '192.0.2.2' },
  { host: 'c', underlay: null },
];

/** What host b knows of one router. */
function build() {
  let gateway: RouterGateway | undefined;
  let seen: string | undefined;
  const timers: (() => void)[] = [];
  const networks = new Map([
    ['ext', 4],
    ['port', 5],
    ['blue', 6],
  ]);
  const floats = new Map([['f', { networkId: 'ext', floatingIp: '203.0.113.7' }]]);
  const items: Record<string, readonly (readonly [string, unknown])[]> = {
    [`router:${ID}`]: [['leg', { cidr: '10.0.0.0/24', networkId: 'blue' }]],
  };
  const slices = {
    header: () => (gateway === undefined ? undefined : { id: ID, gateway }),
    items: (key: string) => (key === `floating:${ID}` ? floats : (items[key] ?? [])),
  };
  const places = new RouterPlaces({
    host: 'b',
    slices: slices as never,
    hostOf: () => seen,
    network: (id) => networks.get(id),
    after: (_ms, call) => timers.push(call),
  });
  const moves: RouterMoves[] = [];
  places.onMoves((one) => moves.push(one));
  const take = (kind: 'router' | 'floating' | 'leases' = 'router'): void => {
    const key: SliceKey = kind === 'leases' ? 'leases:b' : `${kind}:${ID}`;
    places.take({ changes: [{ key, item: null }] }, []);
  };
  const set = (hosts: readonly GatewayHost[]): void => {
    const [first, ...standbys] = hosts;
    const fixedIps = [{ subnetId: 's', ipAddress: '203.0.113.2' }];
    const value = { portId: 'port', networkId: 'ext', fixedIps, ...first, standbys } as unknown as RouterGateway;
    gateway = first === undefined ? undefined : value;
    take();
  };
  const see = (host: string | undefined): void => {
    seen = host;
    places.take({ changes: [] }, [ID]);
  };
  const fire = (): void => {
    for (const call of timers.splice(0)) call();
  };
  return { places, moves, set, see, fire, take, floats, networks, items };
}

test('a host that stands by asks the gateway’s, and tells nobody', () => {
  const { places, set } = build();
  set(HOSTS);
  assert.equal(places.get(ID)?.from, '192.0.2.1');
  assert.equal(places.others(ID), undefined);
  assert.equal(places.knows('192.0.2.1'), false);
});

test('the gateway’s host tells those that stand by, whose addresses are known, and asks nobody', () => {
  const { places, set } = build();
  set([HOSTS[1], HOSTS[0], HOSTS[2]].flatMap((one) => one ?? []));
  assert.equal(places.get(ID)?.from, null);
  assert.deepEqual([...(places.others(ID) ?? [])], ['192.0.2.1']);
  assert.equal(places.knows('192.0.2.1'), true);
  assert.equal(places.knows('192.0.2.9'), false);
});

test('a gateway that comes is heard of a while longer by whom it was, and then told', () => {
  const { places, moves, set, see, fire } = build();
  set(HOSTS);
  see('b');
  assert.deepEqual(moves.at(-1), { came: [ID], left: [], changed: [ID] });
  assert.deepEqual([places.get(ID)?.isHere, places.get(ID)?.from], [true, '192.0.2.1']);
  assert.deepEqual([...(places.others(ID) ?? [])], ['192.0.2.1']);
  fire();
  assert.equal(places.get(ID)?.from, null);
  assert.deepEqual(moves.at(-1), { came: [], left: [], changed: [ID] });
});

test('one that leaves is told a while longer to whom it was, also when this host stands by no more', () => {
  const { places, moves, set, see, fire } = build();
  set(HOSTS);
  see('b');
  fire();
  see(undefined);
  assert.deepEqual(moves.at(-1), { came: [], left: [ID], changed: [ID] });
  assert.deepEqual([places.get(ID)?.from, [...(places.others(ID) ?? [])]], ['192.0.2.1', ['192.0.2.1']]);
  fire();
  assert.equal(places.others(ID), undefined);
  see('b');
  fire();
  set([]);
  assert.deepEqual(moves.at(-1)?.left, [ID]);
  assert.deepEqual([...(places.others(ID) ?? [])], ['192.0.2.1']);
  fire();
  assert.equal(places.get(ID), undefined);
});

test('addresses are the router’s and those that are at its gateway; the same list as long as they are the same', () => {
  const { places, set, take, floats, networks } = build();
  networks.delete('ext');
  set(HOSTS);
  assert.deepEqual(places.addresses(ID), [], 'the network has no number yet');
  networks.set('ext', 4);
  const first = places.addresses(ID);
  assert.equal(first.length, 2);
  assert.equal(places.addresses(ID), first);
  assert.ok(places.hasAddress(ID, '203.0.113.7') && !places.hasAddress(ID, '203.0.113.8'));
  floats.delete('f');
  take('floating');
  assert.equal(places.addresses(ID).length, 1);
  assert.equal(places.hasAddress(ID, '203.0.113.7'), false);
  assert.deepEqual(places.networks(ID, '10.0.0.9'), { external: 4, transit: 5, inner: 6 });
  assert.deepEqual(places.networks(ID, '10.1.0.9'), { external: 4, transit: 5, inner: 0 });
});

test('an address is marked with ports of which own guests leave by this host whichever has the gateway', () => {
  const { places, set, take, items } = build();
  set(HOSTS);
  const marked = (): readonly boolean[] => places.addresses(ID).map(({ isOwn }) => isOwn === true);
  assert.deepEqual(marked(), [false, false]);
  const lease = { routerId: ID, address: '203.0.113.2' };
  for (const [leavesBy, expected] of [
    ['host', true],
    ['gateway', false],
    // Of an older server, which does not say.
    [undefined, false],
    ['host', true],
  ] as const) {
    items['leases:b'] = [['one', { ...lease, leavesBy }]];
    take('leases');
    assert.deepEqual(marked(), [expected, false], leavesBy);
    assert.equal(places.addresses(ID), places.addresses(ID));
  }
  delete items['leases:b'];
  take('leases');
  assert.deepEqual(marked(), [false, false]);
});
