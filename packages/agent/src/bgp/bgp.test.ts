/** What FRR is told, and what is believed of its answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseList, parseRoute, parseSummary, splitDocuments } from './bgp-answers.ts';
import { type BgpSpeaker, bgpConfig, configChanges, configText, type SpokenVpn } from './bgp-config.ts';

const BLUE: SpokenVpn = {
  ...{ id: 'blue', label: 117, routeDistinguisher: '65000:1', importTargets: ['65000:1'], exportTargets: ['65000:1'] },
  prefixes: ['10.0.0.1/32', '2001:db8:1::1/128'],
};
const RED: SpokenVpn = {
  ...BLUE,
  id: 'red',
  label: 118,
  routeDistinguisher: '65000:2',
  importTargets: ['65000:2', '65000:1'],
  exportTargets: ['65000:2'],
};
const SPEAKER: BgpSpeaker = {
  ...{ localAs: 65_000, underlay: '192.0.2.1', vpns: [BLUE] },
  neighbors: [{ address: '192.0.2.254', as: 65_001 }],
};

function changes(before: readonly SpokenVpn[], after: readonly SpokenVpn[]): readonly string[] {
  const configOf = (vpns: readonly SpokenVpn[]) => bgpConfig({ ...SPEAKER, vpns });
  return configChanges(SPEAKER, configOf(before), configOf(after));
}

test('the order of VPNs and neighbours does not matter', () => {
  const other = { address: '192.0.2.9', as: 65_000 };
  const [a, b] = [
    bgpConfig({ ...SPEAKER, vpns: [BLUE, RED], neighbors: [...SPEAKER.neighbors, other] }),
    bgpConfig({ ...SPEAKER, vpns: [RED, BLUE], neighbors: [other, ...SPEAKER.neighbors] }),
  ];
  assert.deepEqual(a, b);
  assert.match(configText(SPEAKER, a), /network 10\.0\.0\.1\/32 rd 65000:2 label 118 route-map CABLE-[0-9a-f]{16}/);
});

test('equal configurations need no command; a port more needs one, and its end another', () => {
  assert.deepEqual(changes([BLUE], [BLUE]), []);
  const more = { ...BLUE, prefixes: [...BLUE.prefixes, '10.0.0.9/32'] };
  const [enter, family, line] = changes([BLUE], [more]);
  assert.deepEqual([enter, family], ['router bgp 65000', 'address-family ipv4 vpn']);
  assert.match(line ?? '', /^network 10\.0\.0\.9\/32 rd 65000:1 label 117 route-map CABLE-/);
  assert.ok(changes([more], [BLUE]).includes('no network 10.0.0.9/32 rd 65000:1 label 117'));
});

test('other targets are another map, and so all networks are told anew', () => {
  const all = changes([BLUE], [{ ...BLUE, exportTargets: ['65000:7'] }]);
  assert.equal(all.filter((one) => one.startsWith('network ')).length, 2);
  assert.equal(all.filter((one) => one.startsWith('no network ')).length, 2);
  assert.equal(all.filter((one) => one.startsWith('no route-map CABLE-')).length, 1);
});

test('targets that are imported come and go', () => {
  assert.ok(changes([BLUE], [BLUE, RED]).includes('bgp extcommunity-list standard CABLE-TARGETS permit rt 65000:2'));
  assert.ok(changes([BLUE, RED], [BLUE]).includes('no bgp extcommunity-list standard CABLE-TARGETS permit rt 65000:2'));
});

const path = (fields: object): object => ({
  valid: true,
  bestpath: true,
  version: 4,
  peerId: '192.0.2.254',
  ...fields,
});
const list = (prefixes: object): string => JSON.stringify({ routes: { routeDistinguishers: { '65001:7': prefixes } } });

test('of a list those count that a neighbour told and that are best', () => {
  const text = list({
    '10.1.0.0/24': [path({})],
    '10.2.0.0/24': [path({ peerId: '(unspec)' })],
    '10.3.0.0/24': [path({ bestpath: undefined }), path({ version: 9 })],
    '10.4.0.0/24': [path({ valid: false })],
    '10.5.0.0/33': [path({})],
    'show run': [path({})],
    '10.6.0.0/24': 'x',
  });
  assert.deepEqual(parseList(text), [
    { rd: '65001:7', prefix: '10.1.0.0/24', version: 4 },
    { rd: '65001:7', prefix: '10.3.0.0/24', version: 9 },
  ]);
});

test('what is no list is none', () => {
  for (const text of ['', 'x', '[]', 'null', '{}', '{"routes":[]}', '{"routes":{"routeDistinguishers":7}}'])
    assert.equal(parseList(text), undefined, text);
  assert.deepEqual(
    parseList(JSON.stringify({ routes: { routeDistinguishers: { '__proto__ x': {}, '65000:1; x': {} } } })),
    [],
  );
});

const LISTED = { rd: '65001:7', prefix: '10.1.0.0/24', version: 4 };
const route = (fields: object): string =>
  JSON.stringify({
    '65001:7': {
      paths: [
        {
          ...{ bestpath: { overall: true }, remoteLabel: 200, nexthops: [{ ip: '192.0.2.254' }] },
          extendedCommunity: { string: 'RT:65000:1 SoO:1:1 RT:x RT:65000:2' },
          ...fields,
        },
      ],
    },
  });

test('a sound route is taken with its targets', () => {
  assert.deepEqual(parseRoute(route({}), LISTED, '192.0.2.1'), {
    ...{ prefix: '10.1.0.0/24', nextHop: '192.0.2.254', label: 200, targets: ['65000:1', '65000:2'] },
  });
});

test('an IPv4 next hop in the form of IPv6 is one', () => {
  const told = parseRoute(route({ nexthops: [{ ip: '::ffff:c000:2fe' }] }), LISTED, '192.0.2.1');
  assert.equal(typeof told === 'object' && told.nextHop, '192.0.2.254');
});

for (const ip of ['192.0.2.1', '0.0.0.0', '127.0.0.1', '224.0.0.5', '255.255.255.255', '2001:db8::1', 'x', '', 7]) {
  test(`next hop ${JSON.stringify(ip)} is not`, () => {
    assert.equal(parseRoute(route({ nexthops: [{ ip }] }), LISTED, '192.0.2.1'), 'next_hop');
  });
}

for (const remoteLabel of [undefined, 0, 3, 15, 1_048_576, -1, 1.5, '200', null]) {
  test(`label ${JSON.stringify(remoteLabel)} is not`, () => {
    assert.equal(parseRoute(route({ remoteLabel }), LISTED, '192.0.2.1'), 'label');
  });
}

test('what is not to be read is not', () => {
  for (const text of ['', '{', '{}', '{"65001:7":{"paths":[7]}}', '{"65001:7":{"paths":{}}}'])
    assert.equal(parseRoute(text, LISTED, '192.0.2.1'), 'unreadable', text);
});

test('documents that follow each other are told apart', () => {
  assert.deepEqual(splitDocuments('{\n  "a":{\n  }\n}\n{\n}\n'), ['{\n  "a":{\n  }\n}\n', '{\n}\n']);
});

test('neighbours are those with an address', () => {
  const text = JSON.stringify({
    peers: { '192.0.2.254': { state: 'Established', pfxRcd: 3 }, x: {}, '192.0.2.9': {} },
  });
  assert.deepEqual(parseSummary(text), [
    { address: '192.0.2.254', state: 'Established', routes: 3 },
    { address: '192.0.2.9', state: 'unknown', routes: 0 },
  ]);
});
