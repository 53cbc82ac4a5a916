import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { samplePort } from '../plan/testing/sample.ts';
import type { CniDeps } from './deps.ts';
import { createHandler } from './handler.ts';
import { markOf } from './link-owner.ts';
import type { PluggedDevice } from './pod-link.ts';
import {
  ANY_HOST_PORTS,
  DEFAULT_ID,
  type FakeLinks,
  type FakeServer,
  fakeLinks,
  fakeServer,
  GROUP_ID,
  NETWORK_ID,
  NO_FACTS,
  OTHER_DEFAULT_ID,
  SUBNET_ID,
  SUBNET6,
} from './testing/fakes.ts';

const CONTAINER = '0123456789abcdef';
const CONF = { cniVersion: '1.1.0', name: 'pods', type: 'cable-cni', network: 'blue' };
const ADD = { command: 'ADD', conf: CONF } as const;
const HOST_NAME = 'cvaaaaaaa0-bb';
const PORT_ID = 'aaaaaaa0-bbbb-4ccc-8ddd-000000000000';
const NEVER = new AbortController().signal;

type Call = {
  readonly command: string;
  readonly conf?: object | string;
  readonly headers?: Readonly<Record<string, string>>;
};

type Fixture = {
  readonly server: FakeServer;
  readonly links: FakeLinks;
  /** What the host loop was told. */
  readonly devices: PluggedDevice[];
  readonly call: (call: Call) => Promise<{ status: number; text: string; json: Record<string, unknown> }>;
};

function fixture(changes: Partial<CniDeps> = {}): Fixture {
  const server = fakeServer();
  const links = fakeLinks();
  const deps = { host: 'h1', cluster: undefined, api: server.api, links, log: silentLogger() };
  const devices: PluggedDevice[] = [];
  const devicePlugged = (device: PluggedDevice): void => {
    devices.push(device);
  };
  const loop = { localFacts: NO_FACTS, hostPorts: ANY_HOST_PORTS, devicePlugged, waitPlugged: async () => undefined };
  const handle = createHandler({ ...deps, ...loop, ...changes });
  const call = async ({ command, conf = CONF, headers = {} }: Call) => {
    const sent = {
      'cni-command': command,
      'cni-containerid': CONTAINER,
      'cni-netns': '/run/netns/pod',
      'cni-ifname': 'eth0',
      'cni-args': 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;OTHER=x',
      ...headers,
    };
    const { status, body } = await handle(sent, typeof conf === 'string' ? conf : JSON.stringify(conf), NEVER);
    return { status, text: body, json: body === '' ? {} : JSON.parse(body) };
  };
  return { server, links, devices, call };
}

test('ADD makes the port and the link, and tells what it made', async () => {
  const { server, links, devices, call } = fixture();
  const { status, json } = await call(ADD);
  assert.equal(status, 200);
  assert.deepEqual(devices, [{ portId: 'aaaaaaa0-bbbb-4ccc-8ddd-000000000000', ifindex: 7, name: HOST_NAME }]);
  assert.equal(links.opened.size, 0);
  assert.deepEqual(
    [...server.ports.values()],
    [
      {
        name: 'web-0',
        description: 'CNI network pods',
        project_id: 'tenant',
        network_id: NETWORK_ID,
        device_id: `${CONTAINER}:eth0`,
        device_owner: 'kubernetes:pod',
        'binding:host_id': 'h1',
        id: 'aaaaaaa0-bbbb-4ccc-8ddd-000000000000',
        mac_address: 'fa:16:3e:00:00:05',
        fixed_ips: [{ subnet_id: SUBNET_ID, ip_address: '10.0.0.5' }],
      },
    ],
  );
  const routes = [
    { destination: '10.9.0.0/16', gateway: '10.0.0.254' },
    { destination: '0.0.0.0/0', gateway: '10.0.0.1' },
  ];
  assert.deepEqual(links.plugged.get(HOST_NAME), {
    owner: {
      portId: PORT_ID,
      plugged: { containerId: CONTAINER, interfaceName: 'eth0', networkMark: markOf('pods'), limits: {} },
    },
    hostName: HOST_NAME,
    netns: '/run/netns/pod',
    ifindex: 7,
    name: 'eth0',
    macAddress: 'fa:16:3e:00:00:05',
    mtuBytes: 1450,
    addresses: ['10.0.0.5/24'],
    routes,
    needsDefault: false,
  });
  assert.deepEqual(json, {
    cniVersion: '1.1.0',
    interfaces: [
      { name: HOST_NAME, mtu: 1450 },
      { name: 'eth0', mac: 'fa:16:3e:00:00:05', mtu: 1450, sandbox: '/run/netns/pod' },
    ],
    ips: [{ interface: 1, address: '10.0.0.5/24', gateway: '10.0.0.1' }],
    routes: routes.map(({ destination, gateway }) => ({ dst: destination, gw: gateway })),
    dns: { nameservers: ['10.0.0.53'] },
  });
});

for (const cniVersion of ['0.3.0', '0.3.1', '0.4.0', '1.0.0'] as const) {
  test(`ADD answers in the form of ${cniVersion}`, async () => {
    const { json } = await fixture().call({ command: 'ADD', conf: { ...CONF, cniVersion } });
    const old = cniVersion.startsWith('0.');
    assert.equal(json['cniVersion'], cniVersion);
    assert.deepEqual(json['interfaces'], [
      { name: HOST_NAME },
      { name: 'eth0', mac: 'fa:16:3e:00:00:05', sandbox: '/run/netns/pod' },
    ]);
    const address = { interface: 1, address: '10.0.0.5/24', gateway: '10.0.0.1' };
    assert.deepEqual(json['ips'], [old ? { version: '4', ...address } : address]);
  });
}

test('a port of both versions of IP gives its interface both, with a default route of each', async () => {
  const { server, call } = fixture();
  server.subnets.push({ ...SUBNET6, network_id: NETWORK_ID });
  const { json } = await call({ command: 'ADD', conf: { ...CONF, cniVersion: '0.4.0' } });
  assert.deepEqual(json['ips'], [
    { version: '4', interface: 1, address: '10.0.0.5/24', gateway: '10.0.0.1' },
    { version: '6', interface: 1, address: '2001:db8::5/64', gateway: '2001:db8::1' },
  ]);
  assert.deepEqual(json['routes'], [
    { dst: '10.9.0.0/16', gw: '10.0.0.254' },
    { dst: '0.0.0.0/0', gw: '10.0.0.1' },
    { dst: '::/0', gw: '2001:db8::1' },
  ]);
});

test('defaultRoute: false leaves the default routes out, also one among the host routes', async () => {
  const { server, links, call } = fixture();
  const [subnet] = server.subnets;
  assert.ok(subnet);
  const everything = { destination: '0.0.0.0/0', nexthop: '10.0.0.7' };
  server.subnets[0] = { ...subnet, host_routes: [...subnet.host_routes, everything] };
  await call({ command: 'ADD', conf: { ...CONF, defaultRoute: false } });
  const { routes, needsDefault } = links.plugged.get(HOST_NAME) ?? {};
  assert.deepEqual([routes, needsDefault], [[{ destination: '10.9.0.0/16', gateway: '10.0.0.254' }], false]);
  const { json } = await call({ command: 'ADD', conf: { ...CONF, defaultRoute: 'no' } });
  assert.deepEqual([json['code'], json['msg']], [7, 'defaultRoute: is neither true nor false']);
});

test('the group called default is that of the pod’s project', async () => {
  for (const [project, id] of [
    [undefined, DEFAULT_ID],
    ['other', OTHER_DEFAULT_ID],
  ] as const) {
    const { server, call } = fixture();
    const conf = { ...CONF, securityGroups: ['default'], ...(project === undefined ? {} : { project }) };
    const { json } = await call({ command: 'ADD', conf });
    assert.deepEqual([...server.ports.values()][0]?.security_groups, [id], JSON.stringify(json));
  }
});

test('ADD asks for what the configuration and the runtime ask for', async () => {
  const { server, call } = fixture();
  const conf = {
    ...CONF,
    network: NETWORK_ID,
    subnet: 'blue-v4',
    securityGroups: ['web', GROUP_ID],
    project: 'tenant',
  };
  const args = 'IP=10.0.0.77;MAC=FA-16-3E-00-00-77';
  await call({ command: 'ADD', conf, headers: { 'cni-args': args } });
  const [port] = server.ports.values();
  assert.equal(port?.name, CONTAINER);
  assert.equal(port?.mac_address, 'fa:16:3e:00:00:77');
  assert.deepEqual(port?.security_groups, [GROUP_ID, GROUP_ID]);
  assert.deepEqual(port?.fixed_ips, [{ subnet_id: SUBNET_ID, ip_address: '10.0.0.77' }]);
});

test('ADD takes address and MAC from runtimeConfig before CNI_ARGS', async () => {
  const { server, call } = fixture();
  const runtimeConfig = { ips: ['10.0.0.88/24'], mac: 'fa:16:3e:00:00:88' };
  await call({ command: 'ADD', conf: { ...CONF, runtimeConfig }, headers: { 'cni-args': 'IP=10.0.0.77' } });
  const [port] = server.ports.values();
  assert.equal(port?.mac_address, 'fa:16:3e:00:00:88');
  assert.equal(port?.fixed_ips[0]?.ip_address, '10.0.0.88');
});

test('ADD keeps with the link what the runtime wants the pod to send and receive at the most', async () => {
  const { links, call } = fixture();
  const most = 2 ** 32 - 1;
  const bandwidth = { ingressRate: 10_000_000, ingressBurst: 8_000_000, egressRate: 999, egressBurst: most };
  await call({ command: 'ADD', conf: { ...CONF, runtimeConfig: { bandwidth } } });
  assert.deepEqual(links.plugged.get(HOST_NAME)?.owner.plugged?.limits, {
    ingress: { maxKbps: 10_000, burstKbits: 8_000 },
    egress: { maxKbps: 1, burstKbits: 0 },
  });
  await call({ command: 'ADD', conf: { ...CONF, runtimeConfig: { bandwidth: { ingressRate: 0 } } } });
  assert.deepEqual(links.plugged.get(HOST_NAME)?.owner.plugged?.limits, {});
});

test('ADD reads what containerd wants, whose words begin with capitals', async () => {
  const { links, call } = fixture();
  const bandwidth = { IngressRate: 10_000_000, IngressBurst: 2 ** 31 - 1, EgressRate: 0, EgressBurst: 0 };
  const { status, text } = await call({ command: 'ADD', conf: { ...CONF, runtimeConfig: { bandwidth } } });
  assert.equal(status, 200, text);
  const limits = { ingress: { maxKbps: 10_000, burstKbits: 0 } };
  assert.deepEqual(links.plugged.get(HOST_NAME)?.owner.plugged?.limits, limits);
});

test('ADD again finds the port of the first', async () => {
  const { server, call } = fixture();
  const first = await call(ADD);
  assert.deepEqual(await call(ADD), first);
  assert.equal(server.ports.size, 1);
});

test('two ADDs at once for one interface make one port; for two interfaces two', async () => {
  const { server, call } = fixture();
  await Promise.all([call(ADD), call(ADD), call({ ...ADD, headers: { 'cni-ifname': 'net1' } })]);
  assert.deepEqual([...server.ports.values()].map((port) => port.device_id).sort(), [
    `${CONTAINER}:eth0`,
    `${CONTAINER}:net1`,
  ]);
});

type Failure = { readonly name: string; readonly call: Call; readonly code: number; readonly says: RegExp };

const FAILURES: readonly Failure[] = [
  {
    name: 'no network',
    call: { command: 'ADD', conf: { ...CONF, network: undefined } },
    code: 7,
    says: /^network: is missing/,
  },
  {
    name: 'an unknown network',
    call: { command: 'ADD', conf: { ...CONF, network: 'red' } },
    code: 7,
    says: /^network: there is no "red"/,
  },
  { name: 'an unknown subnet', call: { command: 'ADD', conf: { ...CONF, subnet: 'red' } }, code: 7, says: /^subnet: / },
  {
    name: 'an unknown group',
    call: { command: 'ADD', conf: { ...CONF, securityGroups: ['web', 'red'] } },
    code: 7,
    says: /^securityGroups\[1\]: /,
  },
  {
    name: 'groups that are no list',
    call: { command: 'ADD', conf: { ...CONF, securityGroups: 'web' } },
    code: 7,
    says: /^securityGroups: /,
  },
  {
    name: 'a network that is no string',
    call: { command: 'ADD', conf: { ...CONF, network: 7 } },
    code: 7,
    says: /^network: /,
  },
  { name: 'a bad address', call: { command: 'ADD', headers: { 'cni-args': 'IP=10.0.0' } }, code: 7, says: /^IP: / },
  { name: 'a bad MAC', call: { command: 'ADD', headers: { 'cni-args': 'MAC=x' } }, code: 7, says: /^MAC: / },
  ...[{ ingressRate: -1 }, { egressRate: '10M' }, { ingressBurst: 5 }, { unshapedSubnets: ['10.0.0.0/8'] }].map(
    (bandwidth) => ({
      name: `a bandwidth of ${JSON.stringify(bandwidth)}`,
      call: { command: 'ADD', conf: { ...CONF, runtimeConfig: { bandwidth } } },
      code: 7,
      says: new RegExp(`^runtimeConfig\\.bandwidth\\.${Object.keys(bandwidth)[0]}: `),
    }),
  ),
  {
    name: 'an unknown argument',
    call: { command: 'ADD', headers: { 'cni-args': 'FOO=x' } },
    code: 4,
    says: /^CNI_ARGS: FOO/,
  },
  {
    name: 'an argument without a value',
    call: { command: 'ADD', headers: { 'cni-args': 'FOO' } },
    code: 4,
    says: /^CNI_ARGS: /,
  },
  {
    name: 'no container',
    call: { command: 'ADD', headers: { 'cni-containerid': '' } },
    code: 4,
    says: /^CNI_CONTAINERID: /,
  },
  {
    name: 'a path as container',
    call: { command: 'DEL', headers: { 'cni-containerid': '../x' } },
    code: 4,
    says: /^CNI_CONTAINERID: /,
  },
  {
    name: 'a long interface name',
    call: { command: 'ADD', headers: { 'cni-ifname': 'sixteen-letters-' } },
    code: 4,
    says: /^CNI_IFNAME: /,
  },
  ...['a%d', '%', 'a:1', 'a b', '.', '..', 'ü', '\xa0', 'all', 'default'].map((name) => ({
    name: `an interface named ${JSON.stringify(name)}`,
    call: { command: 'ADD', headers: { 'cni-ifname': name } },
    code: 4,
    says: /^CNI_IFNAME: /,
  })),
  {
    name: 'an interface name with a slash',
    call: { command: 'ADD', headers: { 'cni-ifname': 'a/b' } },
    code: 4,
    says: /^CNI_IFNAME: /,
  },
  { name: 'no namespace', call: { command: 'ADD', headers: { 'cni-netns': '' } }, code: 4, says: /^CNI_NETNS: / },
  {
    name: 'a namespace that is gone',
    call: { command: 'ADD', headers: { 'cni-netns': '/run/netns/gone' } },
    code: 3,
    says: /gone/,
  },
  { name: 'an unknown command', call: { command: 'FIX' }, code: 4, says: /^CNI_COMMAND: / },
  { name: 'what is not JSON', call: { command: 'ADD', conf: '{"a":' }, code: 6, says: /JSON/ },
  { name: 'a list', call: { command: 'ADD', conf: '[]' }, code: 6, says: /not an object/ },
  {
    name: 'a version of the past',
    call: { command: 'ADD', conf: { ...CONF, cniVersion: '0.2.0' } },
    code: 1,
    says: /^cniVersion: 0\.2\.0/,
  },
  {
    name: 'no version',
    call: { command: 'ADD', conf: { ...CONF, cniVersion: undefined } },
    code: 1,
    says: /^cniVersion: /,
  },
  {
    name: 'CHECK before its version',
    call: { command: 'CHECK', conf: { ...CONF, cniVersion: '0.3.1' } },
    code: 1,
    says: /no CHECK/,
  },
  {
    name: 'GC before its version',
    call: { command: 'GC', conf: { ...CONF, cniVersion: '1.0.0' } },
    code: 1,
    says: /no GC/,
  },
  { name: 'CHECK without a result', call: { command: 'CHECK' }, code: 7, says: /^prevResult: / },
];

for (const { name, call: made, code, says } of FAILURES) {
  test(`${made.command} with ${name} fails with code ${code} and leaves nothing`, async () => {
    const { server, links, call } = fixture();
    const { status, json } = await call(made);
    assert.equal(status, 400);
    assert.equal(json['code'], code);
    assert.match(String(json['msg']), says);
    assert.equal(typeof json['details'], 'string');
    assert.equal(server.ports.size + links.plugged.size + links.opened.size, 0);
  });
}

test('a refusal of the server is told with its words', async () => {
  const { server, call } = fixture();
  server.refusal = 'No more IP addresses available on network blue.';
  const { status, json } = await call(ADD);
  assert.deepEqual([status, json['code']], [400, 100]);
  assert.match(String(json['msg']), /No more IP addresses available/);
});

for (const command of ['ADD', 'DEL', 'CHECK', 'GC']) {
  test(`${command} without the server says: try again later`, async () => {
    const { server, call } = fixture();
    server.down = true;
    const conf = { ...CONF, prevResult: {}, 'cni.dev/valid-attachments': [] };
    const { status, json } = await call({ command, conf });
    assert.deepEqual([status, json['code']], [503, 11]);
  });
}

test('STATUS is well with the server and 50 without', async () => {
  const { server, call } = fixture();
  assert.deepEqual(await call({ command: 'STATUS' }), { status: 200, text: '', json: {} });
  server.down = true;
  assert.equal((await call({ command: 'STATUS' })).json['code'], 50);
});

test('two networks of one name are told apart by the project, else refused', async () => {
  const { server, call } = fixture();
  const other = { id: '11111111-0000-4000-8000-000000000002', name: 'blue', project_id: 'other', mtu: 1450 };
  server.networks.push(other);
  assert.match(String((await call(ADD)).json['msg']), /^network: several/);
  assert.equal((await call({ command: 'ADD', conf: { ...CONF, project: 'tenant' } })).status, 200);
});

test('ADD that is not programmed in time cleans up and says so', async () => {
  const waitPlugged = (_: object, signal: AbortSignal): Promise<void> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('no link'))));
  const { server, links, call } = fixture({ waitPlugged, plugTimeoutMs: 20 });
  const keepAlive = setTimeout(() => undefined, 5_000);
  const { json } = await call(ADD);
  clearTimeout(keepAlive);
  assert.equal(json['code'], 11);
  assert.match(String(json['msg']), /not programmed on this host within 20 ms: no link/);
  assert.equal(server.ports.size + links.plugged.size + links.opened.size, 0);
});

test('a surprise is not told in detail, and cleans up', async () => {
  const waitPlugged = (): Promise<void> => Promise.reject(new TypeError('secret'));
  const { server, links, call } = fixture({ waitPlugged });
  const { text, json } = await call(ADD);
  assert.equal(json['code'], 5);
  assert.doesNotMatch(text, /secret/);
  assert.equal(server.ports.size + links.plugged.size + links.opened.size, 0);
});

test('ADD in a network without a subnet is refused', async () => {
  const { server, call } = fixture();
  server.subnets.length = 0;
  const { json } = await call(ADD);
  assert.deepEqual([json['code'], server.ports.size], [7, 0]);
});

test('DEL removes port and link, and does so again without failing', async () => {
  const { server, links, call } = fixture();
  await call(ADD);
  assert.deepEqual(await call({ command: 'DEL' }), { status: 200, text: '', json: {} });
  assert.equal(server.ports.size + links.plugged.size + links.opened.size, 0);
  assert.equal((await call({ command: 'DEL' })).status, 200);
});

test('DEL without a namespace removes as well', async () => {
  const { server, call } = fixture();
  await call(ADD);
  assert.equal((await call({ command: 'DEL', headers: { 'cni-netns': '' } })).status, 200);
  assert.equal(server.ports.size, 0);
});

test('DEL without the server removes the link that the container plugged, and no other link', async () => {
  const { server, links, call } = fixture();
  await call(ADD);
  await call({ ...ADD, headers: { 'cni-ifname': 'net1' } });
  await call({ ...ADD, headers: { 'cni-containerid': 'other' } });
  server.down = true;
  assert.equal((await call({ command: 'DEL' })).json['code'], 11);
  assert.deepEqual(
    [...links.plugged.values()].map(({ owner: { plugged } }) => [plugged?.containerId, plugged?.interfaceName]),
    [
      [CONTAINER, 'net1'],
      ['other', 'eth0'],
    ],
  );
});

test('DEL without the server removes a link of an older agent, which tells the port alone, if the earlier result names it', async () => {
  const { server, links, call } = fixture();
  const { json } = await call(ADD);
  const [link] = links.plugged.values();
  assert.ok(link);
  links.plugged.set(HOST_NAME, { ...link, owner: { portId: PORT_ID } });
  links.plugged.set('cvbbbbbbb0-bb', { ...link, hostName: 'cvbbbbbbb0-bb', ifindex: 8, owner: { portId: 'other' } });
  server.down = true;
  assert.equal((await call({ command: 'DEL', conf: { ...CONF, prevResult: json } })).json['code'], 11);
  assert.deepEqual([...links.plugged.keys()], ['cvbbbbbbb0-bb']);
});

test('DEL removes the port of the container whatever its host was called then, and leaves those of other owners alone', async () => {
  const { server, call } = fixture();
  await call(ADD);
  const [port] = server.ports.values();
  assert.ok(port);
  server.ports.set('renamed', { ...port, id: 'renamed', 'binding:host_id': 'h2' });
  server.ports.set('other', { ...port, id: 'other', device_id: 'other:eth0' });
  server.ports.set('vm', { ...port, id: 'vm', device_owner: 'compute:nova' });
  await call({ command: 'DEL' });
  assert.deepEqual([...server.ports.keys()], ['other', 'vm']);
});

test('GC without a list, or with one that is none, removes nothing', async () => {
  const { server, call } = fixture();
  await call(ADD);
  for (const [list, says] of [
    [undefined, /valid-attachments.* is missing/],
    ['all', /valid-attachments.* is not a list/],
    [[null], /valid-attachments.* is not a list/],
  ] as const) {
    const { status, json } = await call({ command: 'GC', conf: { ...CONF, 'cni.dev/valid-attachments': list } });
    assert.equal(status, 400);
    assert.match(String(json['msg']), says);
  }
  assert.equal(server.ports.size, 1);
});

test('GC with Go’s empty list removes all', async () => {
  const { server, call } = fixture();
  await call(ADD);
  assert.equal((await call({ command: 'GC', conf: { ...CONF, 'cni.dev/valid-attachments': null } })).status, 200);
  assert.equal(server.ports.size, 0);
});

test('what ADD was refused for is no reason to refuse its DEL', async () => {
  const { server, call } = fixture();
  await call(ADD);
  const twice = [80, 90].map((containerPort) => ({ protocol: 'tcp', hostPort: 8080, containerPort }));
  const wrong = {
    ...CONF,
    network: 5,
    prevResult: [],
    runtimeConfig: { portMappings: twice, ips: 'none', bandwidth: 1 },
  };
  assert.equal((await call({ ...ADD, conf: wrong })).status, 400);
  const headers = { 'cni-args': 'UNKNOWN=1;nothing;MAC=none' };
  assert.equal((await call({ command: 'DEL', conf: wrong, headers })).status, 200);
  assert.equal(server.ports.size, 0);
});

test('GC removes what the runtime does not know, of its own CNI network only', async () => {
  const { server, links, call } = fixture();
  await call(ADD);
  await call({ ...ADD, headers: { 'cni-containerid': 'dead' } });
  await call({ command: 'ADD', conf: { ...CONF, name: 'others' }, headers: { 'cni-containerid': 'foreign' } });
  const valid = [{ containerID: CONTAINER, ifname: 'eth0' }];
  assert.equal((await call({ command: 'GC', conf: { ...CONF, 'cni.dev/valid-attachments': valid } })).status, 200);
  const left = [...server.ports.values()].map((port) => port.device_id);
  assert.deepEqual(left, [`${CONTAINER}:eth0`, 'foreign:eth0']);
  assert.equal(links.plugged.size, 2);
});

test('GC removes a port that is bound elsewhere when its link is here, and not when it is not', async () => {
  const { server, call } = fixture();
  await call(ADD);
  const [port] = server.ports.values();
  assert.ok(port);
  server.ports.set(port.id, { ...port, 'binding:host_id': 'before' });
  server.ports.set('far', { ...port, id: 'far', 'binding:host_id': 'h2' });
  assert.equal((await call({ command: 'GC', conf: { ...CONF, 'cni.dev/valid-attachments': [] } })).status, 200);
  assert.deepEqual([...server.ports.keys()], ['far']);
});

test('DEL without server and earlier result removes the link of an older agent whose port the host was sent', async () => {
  const port = samplePort(1, { id: PORT_ID });
  const portsByDeviceId = (deviceId: string) => (deviceId === `${CONTAINER}:eth0` ? [port] : []);
  const { server, links, call } = fixture({ localFacts: { ...NO_FACTS, portsByDeviceId } });
  await call(ADD);
  const [link] = links.plugged.values();
  assert.ok(link);
  links.plugged.set(HOST_NAME, { ...link, owner: { portId: PORT_ID } });
  server.down = true;
  assert.equal((await call({ command: 'DEL' })).json['code'], 11);
  assert.equal(links.plugged.size, 0);
});

test('CHECK is content with what ADD made', async () => {
  const { call } = fixture();
  const { json } = await call(ADD);
  const checked = await call({ command: 'CHECK', conf: { ...CONF, prevResult: json } });
  assert.deepEqual(checked, { status: 200, text: '', json: {} });
});

type Damage = (links: FakeLinks, server: FakeServer) => void;

function change(changes: object): Damage {
  return (links) => {
    const link = links.plugged.get(HOST_NAME);
    assert.ok(link);
    links.plugged.set(HOST_NAME, { ...link, ...changes });
  };
}

const DAMAGES: readonly (readonly [string, Damage, RegExp])[] = [
  ['a link removed', (links) => links.plugged.delete(HOST_NAME), /is not on the host/],
  ['another MAC', change({ macAddress: '02:00:00:00:00:01' }), /the MAC is/],
  ['another MTU', change({ mtuBytes: 1500 }), /the MTU is 1500, not 1450/],
  ['an address removed', change({ addresses: [] }), /address 10\.0\.0\.5\/24 is missing/],
  ['a route removed', change({ routes: [] }), /route 10\.9\.0\.0\/16 by 10\.0\.0\.254 is missing/],
  ['the port deleted', (_, server) => server.ports.clear(), /not on the server/],
];

for (const [name, damage, says] of DAMAGES) {
  test(`CHECK finds ${name}`, async () => {
    const { server, links, call } = fixture();
    const { json: prevResult } = await call(ADD);
    damage(links, server);
    const { json } = await call({ command: 'CHECK', conf: { ...CONF, prevResult } });
    assert.equal(json['code'], 102);
    assert.match(String(json['msg']), says);
  });
}

test('CHECK finds an earlier result that is not what the port is', async () => {
  const { call } = fixture();
  const { text } = await call(ADD);
  const prevResult = JSON.parse(text.replace('10.0.0.5/24', '10.0.0.6/24'));
  assert.match(
    String((await call({ command: 'CHECK', conf: { ...CONF, prevResult } })).json['msg']),
    /not in prevResult/,
  );
});
