import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CNI_CODE, CniError } from './errors.ts';
import { firstAtOnePlace, portMappingsOf } from './port-mappings.ts';

const parse = (...portMappings: readonly unknown[]) => portMappingsOf({ portMappings });

test('mappings are read as the conventions write them, and as containerd does', () => {
  const http = { protocol: 'TCP', hostPort: 8080, containerPort: 80 };
  assert.deepEqual(parse({ hostPort: 8080, containerPort: 80, protocol: 'tcp' }), [http]);
  assert.deepEqual(parse({ HostPort: 8080, ContainerPort: 80, Protocol: 'TCP', HostIP: '' }), [http]);
  assert.deepEqual(parse({ hostPort: 8080, containerPort: 80 }), [http]);
  const dns = { protocol: 'UDP', hostIp: 'fd00::1', hostPort: 53, containerPort: 53 };
  assert.deepEqual(parse({ hostPort: 53, containerPort: 53, protocol: 'udp', hostIP: 'FD00:0:0::1' }), [dns]);
  assert.deepEqual(parse({ hostPort: 9, containerPort: 9, protocol: 'sctp' })[0]?.protocol, 'SCTP');
  assert.deepEqual([portMappingsOf({}), portMappingsOf({ portMappings: null })], [[], []]);
});

const MAPPING = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };
const REFUSED: readonly (readonly [what: string, mappings: readonly unknown[], says: RegExp])[] = [
  ['a mapping that is none', [7], /^runtimeConfig\.portMappings\[0\]: is not an object/],
  ['no port of the host', [{ ...MAPPING, hostPort: 0 }], /\[0\]\.hostPort: is not a port/],
  ['too large a port', [MAPPING, { ...MAPPING, hostPort: 65_536 }], /\[1\]\.hostPort: is not a port/],
  ['a port as text', [{ ...MAPPING, containerPort: '80' }], /\[0\]\.containerPort: is not a port/],
  ['a protocol without ports', [{ ...MAPPING, protocol: 'icmp' }], /\[0\]\.protocol: "icmp" is not a protocol/],
  ['a member of objects', [{ ...MAPPING, protocol: 'constructor' }], /\[0\]\.protocol: /],
  ['a name for an address', [{ ...MAPPING, hostIP: 'localhost' }], /\[0\]\.hostIP: "localhost" is not an IP address/],
  [
    'one place to two ports',
    [MAPPING, { ...MAPPING, containerPort: 81 }],
    /\[1\]\.hostPort: port|\[1\]\.hostPort: 8080/,
  ],
];

for (const [what, mappings, says] of REFUSED) {
  test(`${what} is refused, and named`, () => {
    assert.throws(
      () => parse(...mappings),
      (err) => err instanceof CniError && err.code === CNI_CODE.invalidConfig && says.test(err.message),
    );
  });
}

test('a list that is none is refused', () => {
  assert.throws(() => portMappingsOf({ portMappings: {} }), /^CniError: runtimeConfig\.portMappings: is not a list/);
});

test('what is said twice is said; one address beside all leads where that says', () => {
  assert.equal(parse(MAPPING, MAPPING).length, 2);
  assert.equal(parse(MAPPING, { ...MAPPING, hostIP: '127.0.0.1', containerPort: 81 }).length, 2);
});

test('two are at one place where one address has both: as sockets have it', () => {
  const meet = (one: object, other: object): boolean =>
    firstAtOnePlace(parse({ ...MAPPING, ...one }), parse({ ...MAPPING, ...other })) !== undefined;
  assert.equal(meet({}, {}), true);
  assert.equal(meet({}, { hostIP: '127.0.0.1' }), true);
  assert.equal(meet({ hostIP: '127.0.0.1' }, { hostIP: '192.0.2.1' }), false, 'other addresses');
  assert.equal(meet({ hostIP: '192.0.2.1' }, { hostIP: '192.0.2.1', protocol: 'udp' }), false, 'another protocol');
  assert.equal(meet({}, { hostPort: 8081 }), false);
  assert.equal(meet({ hostIP: '0.0.0.0' }, { hostIP: '192.0.2.1' }), true, 'any of IPv4');
  assert.equal(meet({ hostIP: '0.0.0.0' }, { hostIP: '::' }), false, 'another version of IP');
  assert.equal(meet({ hostIP: '::' }, {}), true);
});
