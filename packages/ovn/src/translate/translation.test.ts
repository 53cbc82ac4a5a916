/** Rows of objects, as an operator would read them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import {
  aNetwork,
  aPort,
  aRouter,
  aRouterPort,
  aRule,
  aSecurityGroup,
  aSubnet,
  defaultRules,
  idOf,
  macOf,
} from '../testing/objects.ts';
import { parseObject, type ResourceName } from './neutron.ts';
import { Translation } from './translation.ts';
import type { WantedRow } from './wanted-row.ts';

type Step =
  | readonly [ResourceName, Readonly<Record<string, unknown>> & { readonly id: string }]
  | readonly [ResourceName, string];

/** Takes the steps, and computes again what each touches. All rows in the end, by their keys. */
function rowsAfter(steps: readonly Step[]): ReadonlyMap<string, WantedRow> {
  const translation = new Translation();
  translation.put('chassis', 'c1', { name: 'c1', hostname: 'h1', physicalNetworks: ['physnet1'], isGateway: false });
  const units = new Map<string, readonly WantedRow[]>();
  for (const [resource, given] of steps) {
    const touched = typeof given === 'string' ? translation.delete(resource, given) : put(translation, resource, given);
    for (const unit of touched) units.set(unit, translation.rowsOf(unit).rows);
  }
  return new Map([...units.values()].flat().map((row) => [row.key, row]));
}

function put(translation: Translation, resource: ResourceName, object: { readonly id: string }): readonly string[] {
  const parsed = parseObject(resource, object);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.reason);
  return translation.put(resource, object.id, parsed.value, parsed.value.revision);
}

/** `column=value` of each column that is ours, without what is empty. */
function text(row: WantedRow | undefined): string {
  if (row === undefined) return '';
  const data = Object.entries(row.columns).map(([name, datum]): [string, string] => [
    name,
    datum.kind === 'set'
      ? datum.atoms.join(' | ')
      : [...datum.entries].map(([key, value]) => `${key}=${value}`).join(' '),
  ]);
  const refs = Object.entries(row.refs).map(([name, keys]): [string, string] => [name, keys.join(' ')]);
  const said = [...data, ...refs].filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}`);
  return `${row.table} ${said.join('; ')} < ${row.holders.map(({ key, column }) => `${key}.${column}`).join(', ')}`;
}

const N1 = idOf('network', 1);
const P1 = idOf('port', 1);
const G1 = idOf('security_group', 1);
const BASE: readonly Step[] = [
  ['network', aNetwork(1)],
  ['subnet', aSubnet(1)],
  ['security_group', aSecurityGroup(1)],
  ['port', aPort(1, { 'binding:host_id': 'h1' })],
];

test('a port is a port of its switch, in its groups, with its addresses and no others', () => {
  const rows = rowsAfter(BASE);
  assert.equal(text(rows.get(`network/${N1}`)), `Logical_Switch name: neutron-${N1} < `);
  assert.equal(
    text(rows.get(`port/${P1}`)),
    `Logical_Switch_Port name: ${P1}; enabled: true; addresses: ${macOf(1)} 10.1.0.10; port_security: ${macOf(1)} 10.1.0.10; ` +
      `options: requested-chassis=h1; dhcpv4_options: subnet/${idOf('subnet', 1)} < network/${N1}.ports, drop.ports, security_group/${G1}.ports`,
  );
  assert.deepEqual(rows.get(`port/${P1}`)?.ids, {
    'cable:revision': '1',
    'cable:row': `port/${P1}`,
    'neutron:device_id': 'machine 1',
    'neutron:device_owner': 'compute:nova',
    'neutron:port_name': '',
  });
});

test('pairs widen what a port may send from, by MAC; without port security it may all', () => {
  const pairs = [
    { ip_address: '10.1.9.0/24', mac_address: macOf(1) },
    { ip_address: '10.1.8.8', mac_address: macOf(77) },
  ];
  const [, , , port] = BASE;
  assert.ok(port);
  const wide = rowsAfter([...BASE, ['port', aPort(1, { allowed_address_pairs: pairs })]]);
  assert.match(
    text(wide.get(`port/${P1}`)),
    new RegExp(
      `addresses: ${macOf(1)} 10.1.0.10 \\| ${macOf(77)}; port_security: ${macOf(1)} 10.1.0.10 10.1.9.0/24 \\| ${macOf(77)} 10.1.8.8;`,
    ),
  );
  const members = wide.get(`members/${G1}#4`);
  assert.match(text(members), /addresses: 10.1.0.10 \| 10.1.8.8 </);
  const open = rowsAfter([...BASE, ['port', aPort(1, { port_security_enabled: false, security_groups: [] })]]);
  assert.match(text(open.get(`port/${P1}`)), /10.1.0.10 \| unknown; dhcpv4_options: \S+ < \S+ports$/);
});

test('a rule is an expression of which nothing is as a tenant wrote it', () => {
  const group = idOf('security_group', 1).replaceAll('-', '_');
  const other = idOf('security_group', 2).replaceAll('-', '_');
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, string | undefined])[] = [
    [{}, `outport == @cable_sg_${group} && ip4`],
    [{ ethertype: 'IPv6', direction: 'egress' }, `inport == @cable_sg_${group} && ip6`],
    [
      { protocol: 'tcp', port_range_min: 80, port_range_max: 80 },
      `outport == @cable_sg_${group} && ip4 && tcp && tcp.dst == 80`,
    ],
    [
      { protocol: 'UDP', port_range_min: 5, port_range_max: 9 },
      `outport == @cable_sg_${group} && ip4 && udp && udp.dst >= 5 && udp.dst <= 9`,
    ],
    [{ protocol: '6', port_range_min: 1, port_range_max: 65535 }, `outport == @cable_sg_${group} && ip4 && tcp`],
    [
      { protocol: 'icmp', port_range_min: 8, port_range_max: 0 },
      `outport == @cable_sg_${group} && ip4 && icmp4 && icmp4.type == 8 && icmp4.code == 0`,
    ],
    [
      { protocol: 'icmp', ethertype: 'IPv6', port_range_min: 128 },
      `outport == @cable_sg_${group} && ip6 && icmp6 && icmp6.type == 128`,
    ],
    [{ protocol: 'vrrp' }, `outport == @cable_sg_${group} && ip4 && ip.proto == 112`],
    [{ protocol: '200' }, `outport == @cable_sg_${group} && ip4 && ip.proto == 200`],
    [{ protocol: 'none-such' }, undefined],
    [{ remote_ip_prefix: '10.0.0.7/8' }, `outport == @cable_sg_${group} && ip4 && ip4.src == 10.0.0.0/8`],
    [{ remote_ip_prefix: '0.0.0.0/0' }, `outport == @cable_sg_${group} && ip4`],
    [
      { remote_group_id: idOf('security_group', 2), direction: 'egress' },
      `inport == @cable_sg_${group} && ip4 && ip4.dst == $cable_members_4_${other}`,
    ],
    [{ remote_group_id: idOf('security_group', 3) }, undefined],
  ];
  for (const [given, match] of cases) {
    const rows = rowsAfter([
      ['security_group', aSecurityGroup(2)],
      ['security_group', aSecurityGroup(1, [aRule(1, given)])],
    ]);
    const columns = rows.get(`security_group/${G1}#${idOf('rule', 1)}`)?.columns;
    assert.equal(
      columns?.['match']?.kind === 'set' ? columns['match'].atoms[0] : undefined,
      match,
      JSON.stringify(given),
    );
  }
});

test('stateless groups track no connections', () => {
  const rows = rowsAfter([['security_group', aSecurityGroup(1, defaultRules(1), { stateful: false })]]);
  const actions = [...rows.values()]
    .filter(({ table }) => table === 'ACL')
    .map((row) => text(row).includes('action: allow-stateless'));
  assert.deepEqual(new Set(actions), new Set([true]));
});

test('what a subnet and a port say of DHCP are options of OVN, and text is quoted', () => {
  const routes = [{ destination: '192.0.2.0/24', nexthop: '10.1.0.9' }];
  const opts = [
    { ip_version: 4, opt_name: 'tag:ipxe,bootfile-name', opt_value: 'http://x/boot' },
    { ip_version: 4, opt_name: '67', opt_value: 'pxe"); drop' },
    { ip_version: 4, opt_name: 'dns-server', opt_value: '192.0.2.1, 192.0.2.2' },
    { ip_version: 6, opt_name: 'dns-server', opt_value: 'fd00::1' },
    { ip_version: 4, opt_name: 'posix-timezone', opt_value: 'not in OVN' },
  ];
  const rows = rowsAfter([
    ...BASE,
    ['subnet', aSubnet(1, { host_routes: routes })],
    ['port', aPort(1, { extra_dhcp_opts: opts })],
  ]);
  assert.match(
    text(rows.get(`subnet/${idOf('subnet', 1)}`)),
    /router=10.1.0.1 dns_server=192.0.2.53 classless_static_route=\{192.0.2.0\/24,10.1.0.9, 0.0.0.0\/0,10.1.0.1\} </,
  );
  const own = text(rows.get(`port/${P1}#dhcp4`));
  assert.match(own, /dns_server=\{192.0.2.1, 192.0.2.2\}/);
  assert.match(own, /bootfile_name="http:\/\/x\/boot" bootfile_name_alt="pxe\\"\); drop"/);
  assert.match(text(rows.get(`port/${P1}`)), new RegExp(`dhcpv4_options: port/${P1}#dhcp4 `));
  const none = rowsAfter([...BASE, ['subnet', aSubnet(1, { enable_dhcp: false })]]);
  assert.equal(none.has(`subnet/${idOf('subnet', 1)}`), false);
  assert.doesNotMatch(text(none.get(`port/${P1}`)), /dhcpv4/);
});

const OUTSIDE: readonly Step[] = [
  [
    'network',
    aNetwork(9, {
      'provider:network_type': 'vlan',
      'provider:physical_network': 'physnet1',
      'provider:segmentation_id': 7,
    }),
  ],
  ['subnet', aSubnet(9, { cidr: '198.51.100.0/24', gateway_ip: '198.51.100.1', enable_dhcp: false })],
  ['port', aRouterPort(31, 1, 1)],
  [
    'port',
    aRouterPort(33, 1, 9, {
      device_owner: 'network:router_gateway',
      fixed_ips: [{ subnet_id: idOf('subnet', 9), ip_address: '198.51.100.10' }],
    }),
  ],
  [
    'router',
    aRouter(1, {
      external_gateway_info: {
        network_id: idOf('network', 9),
        external_fixed_ips: [{ subnet_id: idOf('subnet', 9), ip_address: '198.51.100.10' }],
      },
      routes: [{ destination: '172.16.0.0/12', nexthop: '10.1.0.77' }],
    }),
  ],
  [
    'floatingip',
    {
      id: idOf('floatingip', 1),
      floating_ip_address: '198.51.100.20',
      fixed_ip_address: '10.1.0.10',
      port_id: P1,
      router_id: idOf('router', 1),
    },
  ],
];

test('a router has its legs, routes, gateway and translations', () => {
  const rows = rowsAfter([...BASE, ...OUTSIDE]);
  const router = `router/${idOf('router', 1)}`;
  const lines = [...rows]
    .filter(([key]) => key.startsWith(router) || key.includes('#lrp') || key.startsWith('floatingip'))
    .map(([, row]) => text(row));
  assert.deepEqual(lines.sort(), [
    `Gateway_Chassis name: lrp-${idOf('port', 33)}_c1; chassis_name: c1; priority: 5 < port/${idOf('port', 33)}#lrp.gateway_chassis`,
    `Logical_Router name: neutron-${idOf('router', 1)}; enabled: true; options: always_learn_from_arp_request=false dynamic_neigh_routers=true < `,
    `Logical_Router_Port name: lrp-${idOf('port', 31)}; mac: ${macOf(31)}; networks: 10.1.0.1/16 < ${router}.ports`,
    `Logical_Router_Port name: lrp-${idOf('port', 33)}; mac: ${macOf(33)}; networks: 198.51.100.10/24 < ${router}.ports`,
    `Logical_Router_Static_Route ip_prefix: 0.0.0.0/0; nexthop: 198.51.100.1 < ${router}.static_routes`,
    `Logical_Router_Static_Route ip_prefix: 172.16.0.0/12; nexthop: 10.1.0.77 < ${router}.static_routes`,
    `NAT type: dnat_and_snat; external_ip: 198.51.100.20; logical_ip: 10.1.0.10; logical_port: ${P1} < ${router}.nat`,
    `NAT type: snat; external_ip: 198.51.100.10; logical_ip: 10.1.0.0/16 < ${router}.nat`,
  ]);
  assert.match(
    text(rows.get(`network/${idOf('network', 9)}#localnet`)),
    /addresses: unknown; tag: 7; options: network_name=physnet1 </,
  );
});

test('a floating IP is answered on the host of its port if that reaches outside, with its own MAC', () => {
  const own = aPort(50, { device_owner: 'network:floatingip', device_id: idOf('floatingip', 1), fixed_ips: [] }, 9);
  const bound = (host: string): Step => ['port', aPort(1, { 'binding:host_id': host })];
  const nat = (host: string): string =>
    text(rowsAfter([...BASE, ...OUTSIDE, ['port', own], bound(host)]).get(`floatingip/${idOf('floatingip', 1)}`));
  assert.match(nat('h1'), new RegExp(`external_mac: ${macOf(50)}`));
  assert.doesNotMatch(nat('elsewhere'), /external_mac/);
  assert.doesNotMatch(nat(''), /external_mac/);
});

test('equal objects have equal rows, whatever was told before, in whatever order', () => {
  const steps = [
    ...BASE,
    ...OUTSIDE,
    ['port', aPort(2)],
    ['port', aPort(3)],
    ['security_group', aSecurityGroup(2, [aRule(1, { remote_group_id: G1 })])],
  ] as const;
  const wanted = lines(rowsAfter(steps));
  const random = seededRandom(7);
  for (let round = 0; round < 60; round += 1) {
    const noise = steps.flatMap((step): readonly Step[] => (random() < 0.3 ? [step, [step[0], idIn(step)]] : []));
    const order = [...steps].map((step) => ({ step, at: random() })).sort((a, b) => a.at - b.at);
    assert.deepEqual(lines(rowsAfter([...noise, ...order.map(({ step }) => step)])), wanted);
  }
  const gone = steps.map((step): Step => [step[0], idIn(step)]);
  assert.deepEqual(lines(rowsAfter([...steps, ...gone])), []);
});

test('an object that is not as the API shows it is refused by its attribute', () => {
  const cases: readonly (readonly [ResourceName, unknown, RegExp])[] = [
    ['network', null, /no object/],
    ['network', { id: 'x' }, /^id /],
    ['subnet', { ...aSubnet(1), cidr: '10.0.0.0/33' }, /^cidr /],
    ['subnet', { ...aSubnet(1), ipv6_ra_mode: 'x' }, /^ipv6_ra_mode /],
    ['port', { ...aPort(1), mac_address: 'x || 1' }, /^mac_address /],
    ['port', { ...aPort(1), 'binding:host_id': 'h1,h2' }, /^binding:host_id /],
    [
      'port',
      { ...aPort(1), allowed_address_pairs: [{ ip_address: '1.2.3.4 }', mac_address: macOf(1) }] },
      /^ip_address /,
    ],
    ['security_group', aSecurityGroup(1, [aRule(1, { protocol: 'tcp || ip' })]), /^protocol /],
    ['security_group', aSecurityGroup(1, [aRule(1, { remote_ip_prefix: '0/0' })]), /^remote_ip_prefix /],
    ['floatingip', { id: idOf('floatingip', 1) }, /^floating_ip_address /],
  ];
  for (const [resource, object, reason] of cases) {
    const parsed = parseObject(resource, object);
    assert.match(parsed.ok ? 'taken' : parsed.reason, reason);
  }
});

function lines(rows: ReadonlyMap<string, WantedRow>): readonly string[] {
  return [...rows.values()].map((row) => `${row.key} ${text(row)}`).sort();
}

function idIn(step: Step): string {
  return typeof step[1] === 'string' ? step[1] : step[1].id;
}
