/** VPNs: what is in their slices, and that what changes is found whatever it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VPN_WIRE, type VpnHeader } from '@cable/model';
import type { VpnPeeringRow, VpnRow, VpnTargetRow } from '../compiler-tables.ts';
import { type NodeKey, sourceKeysOf } from '../kind.ts';
import { Reader } from '../reader.ts';
import {
  changesBetween,
  createTables,
  EMPTY_STATE,
  leg,
  network,
  port,
  router,
  type State,
  subnet,
  without,
  withRow,
} from '../state.fixture.ts';
import { fromScratch, Incremental } from '../world.fixture.ts';
import { nearKind } from './near.ts';
import { vpnKind } from './vpn.ts';

const vpn = (id: string, n: number, targets: readonly string[]): VpnRow => ({
  ...{ id, name: id, project_id: 'p', proton: 'net-l3vpn', router_id: `r-${id}`, label: 100 + n },
  ...{ route_distinguisher: `65000:${n}`, targets },
});

const host = (id: string, underlay: string) => ({ id, underlay, bridge_mappings: {}, features: [], cluster: null });

const addresses = (id: string, n: number) => [
  { subnet_id: `s-${id}`, ip_address: `10.0.0.${n}` },
  { subnet_id: `s-${id}`, ip_address: `2001:db8::${n}` },
];

/** A VPN with a port on h1 and one on h2. */
function withVpn(before: State, id: string, n: number, targets: readonly string[]): State {
  const wire = {
    ...({
      'provider:network_type': 'vlan',
      'provider:physical_network': VPN_WIRE,
      'provider:segmentation_id': n,
    } as const),
  };
  let state = withRow(before, 'network', network(id, { ...wire, vni: 4000 + n }));
  state = withRow(state, 'subnet', subnet(`s-${id}`, id));
  state = withRow(state, 'router', router(`r-${id}`));
  state = withRow(state, 'port', leg(`l-${id}`, `r-${id}`, id));
  state = withRow(state, 'vpn', vpn(id, n, targets));
  for (const at of [1, 2])
    state = withRow(
      state,
      'port',
      port(`${id}${at}`, id, `h${at}`, { fixed_ips: addresses(id, at), mac_address: `fa:16:3e:00:0${n}:0${at}` }),
    );
  return state;
}

const HOSTS = [host('h1', '192.0.2.1'), host('h2', '192.0.2.2')].reduce(
  (state, one) => withRow(state, 'host', one as never),
  EMPTY_STATE,
);

const TWO = withVpn(withVpn(HOSTS, 'blue', 1, ['65000:1']), 'red', 2, ['65000:2']);

const target = (id: string, one: string, direction: VpnTargetRow['direction']): VpnTargetRow => ({
  ...{ id, proton: 'net-l3vpn', target: one, direction },
});

const peering = (id: string, more: Partial<VpnPeeringRow> = {}): VpnPeeringRow => ({
  ...{ id, proton: 'net-l3vpn', local_as: 65000, local_address: null, peer_as: 65001, peer_address: '192.0.2.99' },
  ...more,
});

function sliceOf(state: State, id: string) {
  const { tables } = createTables(state);
  const reader = new Reader(tables);
  const header = vpnKind.header(reader, id);
  const rows = sourceKeysOf(vpnKind, id, header).flatMap((key) => tables.port.by('network_id', key));
  const items = rows.flatMap((row) => [...(vpnKind.items?.compute(reader, row, id) ?? [])]);
  return {
    header: header?.value as VpnHeader | undefined,
    refs: header?.refs ?? [],
    items: new Map(items.map(({ key, value }) => [key, value])),
  };
}

test('a VPN names its network and its router, and has a place for each port that is bound', () => {
  const { header, refs, items } = sliceOf(TWO, 'blue');
  assert.deepEqual(header, {
    ...{ id: 'blue', name: 'blue', projectId: 'p', networkId: 'blue', routerId: 'r-blue', label: 101 },
    ...{ routeDistinguisher: '65000:1', importTargets: ['65000:1'], exportTargets: ['65000:1'] },
  });
  assert.deepEqual(refs, ['router:r-blue', 'network:blue']);
  assert.deepEqual([...items.keys()], ['blue1', 'blue2']);
  assert.deepEqual(items.get('blue2'), {
    ...{ host: 'h2', underlay: '192.0.2.2', macAddress: 'fa:16:3e:00:01:02' },
    prefixes: ['10.0.0.2/32', '2001:db8::2/128'],
  });
  assert.equal(sliceOf(TWO, 'green').header, undefined);
});

test('the network of a VPN brings the VPN, another network none', () => {
  const refsOf = (id: string): readonly NodeKey[] =>
    nearKind.header(new Reader(createTables(TWO).tables), id)?.refs ?? [];
  assert.deepEqual(refsOf('blue'), ['router:r-blue', 'vpn:blue']);
  assert.deepEqual(refsOf('other'), []);
});

test('another VPN’s ports are places where it gives out what this one takes, with its label', () => {
  const state = withRow(TWO, 'vpn', vpn('blue', 1, ['65000:1', '65000:2']));
  assert.deepEqual(sliceOf(state, 'blue').items.get('red/red2'), {
    ...{ host: 'h2', underlay: '192.0.2.2', prefixes: ['10.0.0.2/32', '2001:db8::2/128'], label: 102 },
  });
  // Blue gives out 65000:2, too.
  assert.deepEqual([...sliceOf(state, 'red').items.keys()], ['red1', 'red2', 'blue/blue1', 'blue/blue2']);
  const oneWay = withRow(state, 'vpn', vpn('red', 2, ['65000:2', '65000:3']));
  const taken = withRow(oneWay, 'vpn_target', target('t', '65000:2', 'import'));
  assert.deepEqual([...sliceOf(taken, 'blue').items.keys()], ['blue1', 'blue2']);
  assert.deepEqual(sliceOf(taken, 'blue').header?.exportTargets, ['65000:1']);
  const others = withRow(oneWay, 'vpn_target', { ...target('t', '65000:2', 'import'), proton: 'another' });
  assert.deepEqual([...sliceOf(others, 'blue').items.keys()], ['blue1', 'blue2', 'red/red1', 'red/red2']);
});

test('each VPN of a proton has its peerings, those of one AS, and the order of what it has does not matter', () => {
  const some = [
    peering('b'),
    peering('a', { local_address: '192.0.2.1', peer_address: '192.0.2.98' }),
    peering('c', { local_as: 65009 }),
  ];
  const stateOf = (all: readonly VpnPeeringRow[], targets: readonly string[]): State =>
    all.reduce((state, one) => withRow(state, 'vpn_peering', one), withRow(TWO, 'vpn', vpn('blue', 1, targets)));
  const { header } = sliceOf(stateOf(some, ['65000:9', '65000:1', '65000:9']), 'blue');
  assert.deepEqual(header?.bgp, {
    localAs: 65000,
    neighbors: [
      { address: '192.0.2.98', as: 65001, localAddress: '192.0.2.1' },
      { address: '192.0.2.99', as: 65001 },
    ],
  });
  assert.deepEqual(header?.importTargets, ['65000:1', '65000:9']);
  const turned = sliceOf(stateOf([...some].reverse(), ['65000:1', '65000:9']), 'blue');
  assert.equal(JSON.stringify(turned.header), JSON.stringify(header));
});

test('what is touched is what changes: targets, what they are used for, ports, peerings', () => {
  const steps: readonly ((state: State) => State)[] = [
    (state) => withRow(state, 'vpn', vpn('blue', 1, ['65000:1', '65000:2'])),
    (state) => withRow(state, 'port', port('red3', 'red', 'h1', { fixed_ips: addresses('red', 3) })),
    (state) => withRow(state, 'vpn_target', target('t', '65000:2', 'import')),
    (state) => withRow(state, 'port', port('red4', 'red', 'h2', { fixed_ips: addresses('red', 4) })),
    (state) => without(state, 'vpn_target', 't'),
    (state) => withRow(state, 'host', host('h2', '192.0.2.22') as never),
    (state) => withRow(state, 'vpn_peering', peering('a')),
    (state) => without(state, 'port', 'red2'),
    (state) => withVpn(state, 'green', 3, ['65000:1']),
    (state) => without(state, 'vpn', 'red'),
    (state) => without(state, 'port', 'blue1'),
    (state) => without(state, 'port', 'green1'),
  ];
  const world = new Incremental();
  let state = TWO;
  world.apply(changesBetween(EMPTY_STATE, state));
  assert.deepEqual(world.world(), fromScratch(createTables(state).tables));
  for (const step of steps) {
    const next = step(state);
    world.apply(changesBetween(state, next));
    assert.deepEqual(world.world(), fromScratch(createTables(next).tables));
    state = next;
  }
});
