/**
 * What clients send and how Neutron takes it: a table for each of its validators and converters, on attributes that have it, and for the body around them. A row
 * is what is given, and what comes of it: a value, or the error.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES, CableError, type ResourceModel } from '@cable/model';
import { parseCreate, parseUpdate } from './body.ts';

const A = '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b';
const B = '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11';

/** What must be given besides the attribute that a row is about. */
const REQUIRED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ...{ network: {}, router: {}, security_group: {} },
  subnet: { network_id: A, cidr: '10.0.0.0/24', ip_version: 4 },
  port: { network_id: A },
  floatingip: { floating_network_id: A },
  security_group_rule: { security_group_id: A, direction: 'ingress' },
  trunk: { port_id: A },
};

function model(type: string): ResourceModel {
  const found = BUILT_IN_RESOURCES.find((one) => one.type === type);
  assert.ok(found, type);
  return found;
}

/** The message, with the type of the error in front. */
function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (err) {
    if (err instanceof CableError) return `${err.type}: ${err.message}`;
    throw err;
  }
  return 'no error';
}

type Row = readonly [given: unknown, outcome: unknown];
type Refusal = readonly [given: unknown, message: string];

/** `place`: type and attribute, e.g. `port.mac_address`; created with, unless that says `update`. */
function parse(place: string, given: unknown): unknown {
  const [type = '', attribute = '', how] = place.split('.');
  const resource = model(type);
  const parsed =
    how === 'update'
      ? parseUpdate(resource, { [resource.name]: { [attribute]: given } }).attributes
      : parseCreate(resource, { [resource.name]: { ...REQUIRED[type], [attribute]: given } }).objects[0]?.attributes;
  return parsed?.[attribute];
}

function assertTaken(place: string, rows: readonly Row[]): void {
  for (const [given, outcome] of rows) {
    assert.deepEqual(parse(place, given), outcome, `${place} ${JSON.stringify(given)}`);
  }
}

function assertRefused(place: string, rows: readonly Refusal[]): void {
  for (const [given, message] of rows) {
    assert.equal(
      errorOf(() => parse(place, given)),
      message,
      `${place} ${JSON.stringify(given)}`,
    );
  }
}

const bad = (attribute: string, reason: string): string =>
  `HTTPBadRequest: Invalid input for ${attribute}. Reason: ${reason}.`;
const unfit = (reason: string): string => `InvalidInput: Invalid input for operation: ${reason}.`;

test('booleans: true and false in any of their words', () => {
  for (const place of [
    'network.admin_state_up',
    'network.shared',
    'subnet.enable_dhcp',
    'port.port_security_enabled',
  ]) {
    const yes = [true, 'true', 'True', 'TRUE', ' true ', 1, '1', 't', 'on', 'y', 'yes', 'YES'];
    const no = [false, 'false', 'False', 0, '0', 'f', 'off', 'n', 'no'];
    assertTaken(place, [...yes.map((one): Row => [one, true]), ...no.map((one): Row => [one, false])]);
    assertRefused(place, [
      ['maybe', unfit("'maybe' cannot be converted to boolean")],
      ['', unfit("'' cannot be converted to boolean")],
      [2, unfit("'2' cannot be converted to boolean")],
      [null, unfit("'None' cannot be converted to boolean")],
      [[], unfit("'[]' cannot be converted to boolean")],
      [{}, unfit("'{}' cannot be converted to boolean")],
    ]);
  }
});

test('integers: also as text; what is none, and what is out of range', () => {
  assertTaken('network.mtu', [
    ...([1400, '1400', ' 1400 ', '+1400', 1400.0] as const).map((one): Row => [one, 1400]),
    [68, 68],
    [65535, 65535],
  ]);
  assertRefused('network.mtu', [
    ['x', unfit("'x' is not an integer")],
    ['', unfit("'' is not an integer")],
    [null, unfit("'None' is not an integer")],
    [true, unfit("'True' is not an integer")],
    [[1], unfit("'[1]' is not an integer")],
    [1400.5, unfit("'1400.5' is not an integer")],
    ['1e3', unfit("'1e3' is not an integer")],
    [67, bad('mtu', "'67' is too small - must be at least '68'")],
    [-1, bad('mtu', "'-1' is too small - must be at least '68'")],
    [65536, bad('mtu', "'65536' is too large - must be no larger than '65535'")],
  ]);
  assertTaken('subnet.ip_version', [
    [4, 4],
    ['4', 4],
  ]);
  assertRefused('subnet.ip_version', [
    [5, bad('ip_version', "'5' is not in [4, 6]")],
    ['abc', unfit("'abc' is not an integer")],
  ]);
});

test('texts: of at most 255 characters, and nothing but texts', () => {
  const long = 'x'.repeat(256);
  for (const type of ['network', 'subnet', 'port', 'router', 'security_group', 'trunk']) {
    for (const attribute of ['name', 'description']) {
      assertTaken(`${type}.${attribute}`, [
        ...['', ' ', ' a ', 'é', '😀', 'a\nb', 'x'.repeat(255), '😀'.repeat(255)].map((one): Row => [one, one]),
      ]);
      assertRefused(`${type}.${attribute}`, [
        [long, bad(attribute, `'${long}' exceeds maximum length of 255`)],
        [5, bad(attribute, "'5' is not a valid string")],
        [0, bad(attribute, "'0' is not a valid string")],
        [true, bad(attribute, "'True' is not a valid string")],
        [null, bad(attribute, "'None' is not a valid string")],
        [[], bad(attribute, "'[]' is not a valid string")],
        [['a', 1, null], bad(attribute, "'['a', 1, None]' is not a valid string")],
        [{ a: { b: true } }, bad(attribute, "'{'a': {'b': True}}' is not a valid string")],
      ]);
    }
  }
  assertRefused('port.device_id', [[null, bad('device_id', "'None' is not a valid string")]]);
  assertRefused('port.device_owner', [[null, bad('device_owner', "'None' is not a valid string")]]);
});

test('UUIDs: in any case, with and without hyphens', () => {
  const bare = A.replaceAll('-', '');
  assertTaken('port.network_id', [
    [A, A],
    [A.toUpperCase(), A],
    [bare, A],
  ]);
  assertRefused('port.network_id', [
    ['x', bad('network_id', "'x' is not a valid UUID")],
    ['', bad('network_id', "'' is not a valid UUID")],
    [null, bad('network_id', "'None' is not a valid UUID")],
    [1, bad('network_id', "'1' is not a valid UUID")],
    [[A], bad('network_id', `'['${A}']' is not a valid UUID`)],
  ]);
  assertTaken('floatingip.port_id', [
    [null, null],
    [A, A],
  ]);
  assertRefused('floatingip.port_id', [['', bad('port_id', "'' is not a valid UUID")]]);
});

test('lists of UUIDs: none twice, and none of anything else', () => {
  assertTaken('port.security_groups', [
    [[], []],
    [
      [B, A.toUpperCase()],
      [B, A],
    ],
    [null, []],
  ]);
  assertRefused('port.security_groups', [
    [[A, A], bad('security_groups', `Duplicate items in the list: '${A}'`)],
    [[A, 'x'], bad('security_groups', "'x' is not a valid UUID")],
    [[null], bad('security_groups', "'None' is not a valid UUID")],
    [A, bad('security_groups', `'${A}' is not a list`)],
    [{}, bad('security_groups', "'{}' is not a list")],
  ]);
  assertTaken('port.security_groups.update', [[null, []]]);
});

test('empty text that is null', () => {
  assertTaken('security_group_rule.remote_ip_prefix', [['', null]]);
  assertTaken('port.device_profile', [['', null]]);
  assertTaken('router.external_gateway_info', [['', null]]);
  assertTaken('router.external_gateway_info.update', [['', null]]);
});

test('MAC addresses: canonical, whatever notation', () => {
  const mac = 'fa:16:3e:0a:0b:0c';
  const forms = [mac, 'FA:16:3E:0A:0B:0C', 'fa-16-3e-0a-0b-0c', 'FA-16-3E-0A-0B-0C', 'fa163e0a0b0c', 'fa16.3e0a.0b0c'];
  const rows = [...forms, 'fa:16:3e:a:b:c'].map((one): Row => [one, mac]);
  assertTaken('port.mac_address', rows);
  assertTaken('port.mac_address', [[null, null]]);
  assertRefused('port.mac_address', [
    ...['', 'x', 'fa:16:3e:0a:0b', 'fa:16-3e:0a:0b:0c', ' fa:16:3e:0a:0b:0c', 'fa:16:3e:0a:0b:0g'].map(
      (one): Refusal => [one, bad('mac_address', `'${one}' is not a valid MAC address`)],
    ),
    [1, bad('mac_address', "'1' is not a valid MAC address")],
  ]);
});

test('addresses: canonical; IPv4 without zeros in front', () => {
  assertTaken('subnet.gateway_ip', [
    ['10.0.0.1', '10.0.0.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    [null, null],
  ]);
  assertRefused('subnet.gateway_ip', [
    ['10.0.0.01', bad('gateway_ip', "'10.0.0.01' is not an accepted IP address, '10.0.0.1' is recommended")],
    ...['', 'x', '10.0.0', '10.0.0.256', '1.2.3.4.5', ' 10.0.0.1', '10.0.0.1/24', '1111', ':', 'fe80::1%eth0'].map(
      (one): Refusal => [one, bad('gateway_ip', `'${one}' is not a valid IP address`)],
    ),
    [1, bad('gateway_ip', "'1' is not a valid IP address")],
    [['10.0.0.1'], bad('gateway_ip', "'['10.0.0.1']' is not a valid IP address")],
  ]);
});

test('the prefix of a subnet: host bits are cut, and an address is a prefix of its own', () => {
  assertTaken('subnet.cidr', [
    ['10.0.0.0/24', '10.0.0.0/24'],
    ['10.0.0.7/24', '10.0.0.0/24'],
    ['10.0.0.7', '10.0.0.7/32'],
    ['2001:DB8::/64', '2001:db8::/64'],
    ['2001:db8::7/64', '2001:db8::/64'],
    [null, undefined],
  ]);
  assertRefused('subnet.cidr', [
    ...['', 'x', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/24/24', ' 10.0.0.0/24', '10.0.0.0/255.255.255.0.0'].map(
      (one): Refusal => [one, unfit(`${one} is not in a CIDR format`)],
    ),
  ]);
});

test('routes: prefixes without host bits, next hops that are addresses', () => {
  const route = { destination: '192.0.2.0/24', nexthop: '10.0.0.9' };
  for (const place of ['subnet.host_routes', 'router.routes.update']) {
    const attribute = place.split('.')[1] ?? '';
    assertTaken(place, [
      [[], []],
      [null, []],
      [[route], [route]],
      [[{ destination: '2001:DB8::/32', nexthop: 'FE80::1' }], [{ destination: '2001:db8::/32', nexthop: 'fe80::1' }]],
    ]);
    for (const given of ['x', {}, [1], [{}], [{ destination: '192.0.2.0/24' }], [{ ...route, metric: 1 }]]) {
      assert.match(
        errorOf(() => parse(place, given)),
        new RegExp(`^HTTPBadRequest: Invalid input for ${attribute}`),
        `${place} ${JSON.stringify(given)}`,
      );
    }
    for (const destination of ['192.0.2.1/24', '192.0.2.0/33', 'x', null]) {
      assert.match(
        errorOf(() => parse(place, [{ ...route, destination }])),
        /^HTTPBadRequest: Invalid input for /,
      );
    }
    for (const destination of ['127.0.0.0/8', '127.0.0.1/32', '::1/128'])
      assertRefused(place, [
        [[{ ...route, destination }], bad(attribute, `destination: '${destination}' is not a routable CIDR`)],
      ]);
    const text = `{'destination': '192.0.2.0/24', 'nexthop': '10.0.0.9'}`;
    assertRefused(place, [[[route, route], bad(attribute, `Duplicate hostroute '${text}'`)]]);
    assertTaken(place, [
      [
        [route, { ...route, nexthop: '10.0.0.8' }],
        [route, { ...route, nexthop: '10.0.0.8' }],
      ],
    ]);
  }
});

test('name servers: addresses, null for none, the addresses of no host among them', () => {
  assertTaken('subnet.dns_nameservers', [
    [null, []],
    [[], []],
    [
      ['0.0.0.0', '8.8.8.8'],
      ['0.0.0.0', '8.8.8.8'],
    ],
    [['::'], ['::']],
    [['2001:DB8::1'], ['2001:db8::1']],
  ]);
  for (const given of [['x'], [''], [null], ['8.8.8.8', '8.8.8.8'], '8.8.8.8', ['8.8.8.8/32']]) {
    assert.match(
      errorOf(() => parse('subnet.dns_nameservers', given)),
      /^HTTPBadRequest: Invalid input for dns_nameservers/,
      JSON.stringify(given),
    );
  }
});

test('lists for which null is none', () => {
  for (const place of [
    'port.allowed_address_pairs',
    'trunk.sub_ports',
    'subnet.dns_nameservers',
    'subnet.host_routes',
  ]) {
    assertTaken(place, [[null, []]]);
  }
});

test('fixed addresses and pools: lists of objects of a form', () => {
  assertTaken('port.fixed_ips', [
    [[], []],
    [[{ subnet_id: A, subnet: null, name: 'x' }], [{ subnet_id: A }]],
    [
      [{ subnet_id: A }, { ip_address: '2001:DB8::1' }],
      [{ subnet_id: A }, { ip_address: '2001:db8::1' }],
    ],
  ]);
  assertTaken('port.fixed_ips', [
    [
      [{ subnet_id: A }, { subnet_id: A }],
      [{ subnet_id: A }, { subnet_id: A }],
    ],
  ]);
  assertRefused('port.fixed_ips', [
    [
      [{ ip_address: '10.0.0.5' }, { subnet_id: A, ip_address: '10.0.0.5' }],
      bad('fixed_ips', "Duplicate IP address '10.0.0.5'"),
    ],
  ]);
  for (const given of [null, 'x', {}, ['x'], [{ ip_address: 'x' }], [{ subnet_id: 'x' }]]) {
    assert.match(
      errorOf(() => parse('port.fixed_ips', given)),
      /^HTTPBadRequest: Invalid input for fixed_ips/,
      JSON.stringify(given),
    );
  }
  for (const given of [null, 'x', ['x'], [{}], [{ start: '10.0.0.2' }], [{ start: 'x', end: '10.0.0.3' }]]) {
    assert.match(
      errorOf(() => parse('subnet.allocation_pools', given)),
      /^HTTPBadRequest: Invalid input for allocation_pools/,
      JSON.stringify(given),
    );
  }
});

test('the body: what is none, of another key, of another form', () => {
  const network = model('network');
  const rows: readonly Refusal[] = [
    [undefined, 'Resource body required'],
    [null, 'Resource body required'],
    [{}, 'Resource body required'],
    [[], 'Resource body required'],
    ['', 'Resource body required'],
    [[1], 'Body contains invalid data'],
    ['x', 'Body contains invalid data'],
    [5, 'Body contains invalid data'],
    [{ port: {} }, "Unable to find 'network' in request body"],
    [{ network: null }, "Unable to find 'network' in request body"],
    [{ network: 'x' }, "Object 'network' contains invalid data"],
    [{ network: [] }, "Object 'network' contains invalid data"],
    [{ network: 5 }, "Object 'network' contains invalid data"],
  ];
  for (const [body, message] of rows) {
    for (const run of [() => parseCreate(network, body), () => parseUpdate(network, body)]) {
      assert.equal(errorOf(run), `HTTPBadRequest: ${message}`, JSON.stringify(body));
    }
  }
});

test('the body of many: empty, mixed, each wrapped or not', () => {
  const network = model('network');
  const rows: readonly Refusal[] = [
    [{ networks: [] }, 'Resources required'],
    [{ networks: null }, 'Resources required'],
    [{ networks: {} }, 'Resources required'],
    [{ networks: 'x' }, 'Body contains invalid data'],
    [{ networks: [5] }, 'Body contains invalid data'],
    [{ networks: [null] }, 'Body contains invalid data'],
    [{ networks: [{}, { odd: 1 }] }, "Unrecognized attribute(s) 'odd'"],
  ];
  for (const [body, message] of rows) {
    assert.equal(
      errorOf(() => parseCreate(network, body)),
      `HTTPBadRequest: ${message}`,
      JSON.stringify(body),
    );
  }
  const many = parseCreate(network, { networks: [{ name: 'a' }, { network: { name: 'b' } }] });
  assert.deepEqual([many.bulk, many.objects.map((one) => one.attributes['name'])], [true, ['a', 'b']]);
  assert.equal(parseCreate(network, { networks: [{ name: 'a' }] }).bulk, true);
});

test('attributes: unknown, not to be given, missing', () => {
  const [network, port] = [model('network'), model('port')];
  const create = (attributes: object): string => errorOf(() => parseCreate(network, { network: attributes }));
  const update = (attributes: object): string => errorOf(() => parseUpdate(network, { network: attributes }));
  assert.equal(create({ a: 1, b: 2 }), "HTTPBadRequest: Unrecognized attribute(s) 'a, b'");
  assert.equal(update({ a: 1 }), "HTTPBadRequest: Unrecognized attribute(s) 'a'");
  for (const name of ['id', 'status', 'subnets', 'created_at', 'updated_at', 'revision_number', 'tags']) {
    assert.equal(create({ [name]: 'x' }), `HTTPBadRequest: Attribute '${name}' not allowed in POST`);
    assert.equal(update({ [name]: 'x' }), `HTTPBadRequest: Cannot update read-only attribute ${name}`);
  }
  for (const name of ['tenant_id', 'project_id']) {
    assert.equal(update({ [name]: 'x' }), `HTTPBadRequest: Cannot update read-only attribute ${name}`);
  }
  const missing = "HTTPBadRequest: Failed to parse request. Required attribute 'network_id' not specified";
  assert.equal(
    errorOf(() => parseCreate(port, { port: {} })),
    missing,
  );
  // What is missing is told before what is wrong.
  assert.equal(
    errorOf(() => parseCreate(port, { port: { name: 5 } })),
    missing,
  );
});

test('the project: by either name, by both if they say the same', () => {
  const network = model('network');
  const projectOf = (attributes: object): unknown =>
    parseCreate(network, { network: attributes }).objects[0]?.attributes['project_id'];
  assert.equal(projectOf({ tenant_id: 'p' }), 'p');
  assert.equal(projectOf({ project_id: 'p' }), 'p');
  assert.equal(projectOf({ project_id: 'p', tenant_id: 'p' }), 'p');
  assert.equal(
    errorOf(() => projectOf({ project_id: 'p', tenant_id: 'q' })),
    "HTTPBadRequest: 'project_id' and 'tenant_id' do not match",
  );
});
