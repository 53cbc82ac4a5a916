import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { type GuestServices, startGuestServices } from './index.ts';
import { networkData } from './metadata-network.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';
import { enterOwnNamespace, ip } from './testing/own-namespace.ts';

const AGENT = '198.18.0.1';
const stop = new AbortController();
const USER_DATA = '#cloud-config\n{}\n';
const guests = new Map<number, GuestRecord>([
  [
    2,
    guestRecord({
      deviceId: 'server-1',
      userData: Buffer.from(USER_DATA).toString('base64'),
      publicKeys: [
        { name: 'ann', publicKey: 'ssh-ed25519 AAAA ann' },
        { name: 'bob', publicKey: 'ssh-ed25519 BBBB' },
      ],
      vendorData: { 'cloud-init': '#cloud-config' },
    }),
  ],
  [3, guestRecord({ vif: 3, portId: 'aaaaaaaa-1111-4222-8333-444455556666', hostname: 'other', addresses: [] })],
]);
let services: GuestServices;

before(async () => {
  enterOwnNamespace();
  for (const last of [1, 32, 48, 64]) ip(`addr add 198.18.0.${last}/32 dev lo`);
  ip('addr add 10.0.0.5/32 dev lo');
  services = await startGuestServices({
    guests: () => guests,
    address: AGENT,
    log: silentLogger(),
    signal: stop.signal,
  });
});

after(() => stop.abort());

type Reply = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string };

async function fetchFrom(localAddress: string, path: string, options: RequestOptions = {}): Promise<Reply> {
  const sent = request({ host: AGENT, port: 80, path, localAddress, agent: false, timeout: 60_000, ...options });
  sent.end();
  const [response] = await once(sent, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}

const get = (path: string): Promise<Reply> => fetchFrom('198.18.0.32', path);

const EC2: readonly (readonly [string, string])[] = [
  ['/', '1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n2008-09-01\n2009-04-04\nlatest'],
  ['/latest', 'meta-data/\nuser-data'],
  ['/latest/', 'meta-data/\nuser-data'],
  [
    '/latest/meta-data/',
    'instance-id\nhostname\nlocal-hostname\npublic-hostname\nlocal-ipv4\nami-launch-index\npublic-keys/\ninstance-action\nmac\nnetwork/',
  ],
  ['/1.0/meta-data/', 'instance-id\nhostname\nlocal-ipv4\nami-launch-index\npublic-keys/\nmac\nnetwork/'],
  ['/2009-04-04/meta-data/public-keys/', '0=ann\n1=bob'],
  ['/2009-04-04/meta-data/public-keys/1/', 'openssh-key'],
  ['/2009-04-04/meta-data/public-keys/1/openssh-key', 'ssh-ed25519 BBBB'],
  ['/latest/meta-data/instance-id', 'server-1'],
  ['/2009-04-04/meta-data/local-hostname', 'web-1'],
  ['/latest/meta-data/local-ipv4', '10.0.0.5'],
  ['/latest/meta-data/mac?recursive=true', 'fa:16:3e:00:00:05'],
  ['/latest/meta-data/network/interfaces/macs/', 'fa:16:3e:00:00:05/'],
  ['/latest/meta-data/network/interfaces/macs/fa:16:3e:00:00:05/subnet-ipv4-cidr-block', '10.0.0.0/24'],
  ['/latest/user-data', USER_DATA],
  ['/openstack/latest/user_data', USER_DATA],
  ['/openstack/latest/', 'meta_data.json\nuser_data\nvendor_data.json\nnetwork_data.json\nvendor_data2.json'],
  ['/openstack/2012-08-10', 'meta_data.json\nuser_data'],
  ['/openstack/2013-10-17', 'meta_data.json\nuser_data\nvendor_data.json'],
  ['/openstack/2015-10-15', 'meta_data.json\nuser_data\nvendor_data.json\nnetwork_data.json'],
  ['/openstack/latest/vendor_data.json', '{"cloud-init":"#cloud-config"}'],
  ['/openstack/2016-10-06/vendor_data2.json', '{"static":{"cloud-init":"#cloud-config"}}'],
];

for (const [path, body] of EC2) {
  test(`GET ${path}`, async () => {
    const reply = await get(path);
    assert.equal(reply.status, 200);
    assert.equal(reply.body, body);
  });
}

test('GET /openstack lists the versions that cloud-init compares', async () => {
  const versions = (await get('/openstack')).body.split('\n');
  assert.ok(versions.includes('2018-08-27') && versions.includes('latest'));
  assert.ok(versions.every((version) => !version.includes('/')));
});

test('meta_data.json names the instance', async () => {
  const reply = await get('/openstack/2018-08-27/meta_data.json');
  assert.equal(reply.headers['content-type'], 'application/json');
  const { random_seed, ...rest } = JSON.parse(reply.body);
  assert.equal(Buffer.from(random_seed, 'base64').length, 512);
  assert.deepEqual(rest, {
    uuid: 'server-1',
    name: 'web-1',
    hostname: 'web-1',
    project_id: 'tenant',
    launch_index: 0,
    meta: {},
    public_keys: { ann: 'ssh-ed25519 AAAA ann', bob: 'ssh-ed25519 BBBB' },
    keys: [
      { name: 'ann', type: 'ssh', data: 'ssh-ed25519 AAAA ann' },
      { name: 'bob', type: 'ssh', data: 'ssh-ed25519 BBBB' },
    ],
  });
  const old = JSON.parse((await get('/openstack/2012-08-10/meta_data.json')).body);
  assert.deepEqual([old.random_seed, old.project_id], [undefined, undefined]);
});

test('network_data.json describes the link, DHCP and static addresses and name servers', async () => {
  const second = guestAddress({ ipAddress: '10.1.0.5', cidr: '10.1.0.0/16', gatewayIp: '10.1.0.1', enableDhcp: false });
  guests.set(4, guestRecord({ vif: 4, addresses: [guestAddress(), second] }));
  const data = JSON.parse((await fetchFrom('198.18.0.64', '/openstack/latest/network_data.json')).body);
  guests.delete(4);
  const common = { link: 'tap0d1e2f30-11', network_id: '9a9a9a9a-0000-4000-8000-000000000001' };
  assert.deepEqual(data, {
    links: [
      {
        id: 'tap0d1e2f30-11',
        vif_id: '0d1e2f30-1111-4222-8333-444455556666',
        type: 'tap',
        ethernet_mac_address: 'fa:16:3e:00:00:05',
        mtu: 1450,
      },
    ],
    networks: [
      { ...common, id: 'network0', type: 'ipv4_dhcp' },
      {
        ...common,
        id: 'network1',
        type: 'ipv4',
        ip_address: '10.1.0.5',
        netmask: '255.255.0.0',
        routes: [
          { network: '169.254.169.254', netmask: '255.255.255.255', gateway: '10.1.0.1' },
          { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.1.0.1' },
        ],
        services: [{ type: 'dns', address: '10.0.0.53' }],
      },
    ],
    services: [{ type: 'dns', address: '10.0.0.53' }],
  });
});

test('network_data.json: a sub-port is a VLAN of its parent’s link; alone it is a link of its own', () => {
  const parent = guestRecord();
  const trunk = { parentPortId: parent.portId, vlan: 101 };
  const sub = guestRecord({ portId: '1d1e2f30-1111-4222-8333-444455556666', macAddress: 'FA:16:3E:00:00:06', trunk });
  const linksOf = (...ports: GuestRecord[]): object[] =>
    (networkData(ports, null) as { readonly links: object[] }).links;
  assert.deepEqual(linksOf(parent, sub)[1], {
    id: 'tap1d1e2f30-11',
    vif_id: sub.portId,
    mtu: 1450,
    type: 'vlan',
    vlan_id: 101,
    vlan_link: 'tap0d1e2f30-11',
    vlan_mac_address: 'fa:16:3e:00:00:06',
  });
  assert.deepEqual(Object.entries(linksOf(sub)[0] ?? {}).slice(3), [
    ['type', 'tap'],
    ['ethernet_mac_address', 'fa:16:3e:00:00:06'],
  ]);
});

test('network_data.json: without DHCP an address is static, also the first one; DHCP gives the first that has it', async () => {
  const route = { destination: '10.9.0.0/16', nexthop: '10.1.0.9' };
  const still = guestAddress({
    ipAddress: '10.1.0.5',
    cidr: '10.1.0.0/16',
    gatewayIp: '10.1.0.1',
    enableDhcp: false,
    hostRoutes: [route],
  });
  guests.set(4, guestRecord({ vif: 4, addresses: [still, guestAddress(), guestAddress({ ipAddress: '10.0.0.6' })] }));
  const data = JSON.parse((await fetchFrom('198.18.0.64', '/openstack/latest/network_data.json')).body);
  guests.delete(4);
  const types = data.networks.map(
    (one: { type: string; ip_address?: string }) => `${one.type} ${one.ip_address ?? ''}`,
  );
  assert.deepEqual(types, ['ipv4 10.1.0.5', 'ipv4_dhcp ', 'ipv4 10.0.0.6']);
  assert.deepEqual(data.networks[0].routes[0], { network: '10.9.0.0', netmask: '255.255.0.0', gateway: '10.1.0.9' });
});

test('a guest without vendor data gets empty ones, as of Nova', async () => {
  assert.equal((await fetchFrom('198.18.0.48', '/openstack/latest/vendor_data.json')).body, '{}');
  assert.equal((await fetchFrom('198.18.0.48', '/openstack/latest/vendor_data2.json')).body, '{"static":{}}');
});

test('each guest sees itself alone; one without a device is its port, one without user data has none', async () => {
  const other = (path: string): Promise<Reply> => fetchFrom('198.18.0.48', path);
  assert.equal((await other('/latest/meta-data/instance-id')).body, 'aaaaaaaa-1111-4222-8333-444455556666');
  assert.equal((await other('/latest/user-data')).status, 404);
  assert.equal((await other('/openstack/latest/user_data')).status, 404);
  assert.equal((await other('/latest/meta-data/local-ipv4')).status, 404);
});

const SAME: readonly string[] = [
  'http://169.254.169.254/latest/meta-data/mac',
  'HTTP://metadata:80/latest/meta-data/mac?x=http://y/z',
  '//latest///meta-data//mac',
  '/latest/meta%2Ddata/%6dac',
  'http://169.254.169.254//latest/meta-data/mac#top',
];

for (const target of SAME) {
  test(`GET ${target} is the same as of its path`, async () => {
    const reply = await get(target);
    assert.deepEqual([reply.status, reply.body], [200, 'fa:16:3e:00:00:05']);
  });
}

test('the whole URI without a path is the root', async () => {
  assert.equal((await get('http://169.254.169.254')).body, (await get('/')).body);
});

for (const path of [
  '/nothing',
  '/latest/meta-data/mac/%2e%2e/mac',
  '/latest%2Fmeta-data/mac',
  '/latest/meta-data/%',
  '/latest/meta-data/%ff',
  '/%00',
  'ftp://169.254.169.254/latest/meta-data/mac',
  '/latest/meta-data/mac/',
  '/latest/meta-data/mac/x',
  '/latest/__proto__',
  '/latest/meta-data/constructor',
  '/latest/meta-data/network/kind',
  '/../etc/passwd',
  `/${'a'.repeat(3000)}`,
]) {
  test(`GET ${path.slice(0, 40)} is 404`, async () => {
    assert.equal((await get(path)).status, 404);
  });
}

test('a service address without a port is 404, a stranger is cut off', async () => {
  assert.equal((await fetchFrom('198.18.0.64', '/')).status, 404);
  await assert.rejects(fetchFrom('10.0.0.5', '/'));
});

for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
  test(`${method} is 405`, async () => {
    const reply = await fetchFrom('198.18.0.32', '/latest/api/token', { method });
    assert.equal(reply.status, 405);
    assert.equal(reply.headers.allow, 'GET, HEAD');
  });
}

test('HEAD has the length and no body', async () => {
  const reply = await fetchFrom('198.18.0.32', '/latest/user-data', { method: 'HEAD' });
  assert.equal(reply.headers['content-length'], String(USER_DATA.length));
  assert.equal(reply.body, '');
});

async function rawConnection(localAddress: string): Promise<Socket> {
  const socket = connect({ host: AGENT, port: 80, localAddress });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

test('a request with a body is answered and its connection closed', async () => {
  const socket = await rawConnection('198.18.0.32');
  socket.write('GET /latest/meta-data/mac HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc');
  let seen = '';
  socket.on('data', (chunk) => {
    seen += chunk.toString();
  });
  await once(socket, 'close');
  assert.match(seen, /^HTTP\/1\.1 200 .*Connection: close.*fa:16:3e:00:00:05$/s);
});

test('headers over 8 KiB are refused', async () => {
  const reply = await fetchFrom('198.18.0.32', '/', { headers: { 'X-Large': 'x'.repeat(9_000) } });
  assert.equal(reply.status, 431);
});

test('a guest holds at most 16 connections, others are not concerned', async () => {
  const sockets = await Promise.all(Array.from({ length: 16 }, () => rawConnection('198.18.0.48')));
  const before = services.counters()['metadata_connections_refused'] ?? 0;
  await assert.rejects(fetchFrom('198.18.0.48', '/'));
  assert.equal(services.counters()['metadata_connections_refused'], before + 1);
  assert.equal((await get('/')).status, 200);
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map((socket) => (socket.closed ? undefined : once(socket, 'close'))));
});

test('a 64 KiB user data arrives whole', async () => {
  const large = Buffer.alloc(49_152, 'abcdefgh');
  guests.set(4, guestRecord({ vif: 4, userData: large.toString('base64') }));
  const reply = await fetchFrom('198.18.0.64', '/latest/user-data');
  guests.delete(4);
  assert.equal(reply.body, large.toString());
});
