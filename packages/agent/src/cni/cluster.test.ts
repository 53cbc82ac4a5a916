import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { LocalPort, NetworkHeader } from '@cable/model';
import { PortsByDevice } from '../host/ports-by-device.ts';
import { sampleId, samplePort, sampleSubnet } from '../plan/testing/sample.ts';
import type { CniDeps } from './deps.ts';
import { createHandler } from './handler.ts';
import type { LocalFacts } from './local-facts.ts';
import type { CniApi } from './server-api.ts';
import { ANY_HOST_PORTS, type FakeLinks, fakeLinks, NO_FACTS } from './testing/fakes.ts';

const CONF = { cniVersion: '1.1.0', name: 'pods', type: 'cable-cni', cluster: 'k1' };
const UID = 'e1b5a1d4-0000-4000-8000-00000000000a';
const [OLD, NEW] = ['c-old', 'c-new'];
const NEVER = new AbortController().signal;
const HOST_NAME = `cv${sampleId('port', 1).slice(0, 11)}`;
const PORT = samplePort(1, { deviceId: `${UID}:eth0`, deviceOwner: 'kubernetes:pod' });

const NETWORK: NetworkHeader = {
  id: sampleId('net', 1),
  name: 'pods',
  projectId: 'k1.default',
  adminStateUp: true,
  vni: 7,
  mtuBytes: 1450,
  subnets: [sampleSubnet(1)],
};

/** Whoever asks the server fails. */
const NO_SERVER = new Proxy({} as CniApi, {
  get: (_target, name) => () => assert.fail(`the server is asked: ${String(name)}`),
});

type Called = { status: number; text: string; json: Record<string, unknown> };

type Fixture = {
  readonly links: FakeLinks;
  /** The host is sent the port, as it is now. */
  readonly send: (port: LocalPort) => void;
  readonly take: (portId: string) => void;
  readonly call: (
    command: string,
    options?: { container?: string; conf?: object; headers?: Record<string, string>; gone?: AbortSignal },
  ) => Promise<Called>;
};

function fixture(changes: Partial<CniDeps> = {}, facts: Partial<LocalFacts> = {}): Fixture {
  const links = fakeLinks();
  links.namespaces.add('/run/netns/new');
  const items = new Map<string, LocalPort>();
  const ports = new PortsByDevice('h1', { item: (_key, item) => items.get(item) as never });
  const changed = (id: string): void => ports.take({ changes: [{ key: 'host:h1', item: id }] });
  const localFacts: LocalFacts = {
    ...NO_FACTS,
    synced: () => true,
    network: (id) => (id === NETWORK.id ? NETWORK : undefined),
    port: (id) => items.get(id),
    portsByDeviceId: (deviceId) => ports.get(deviceId),
    watch: (deviceId, onChange) => ports.watch(deviceId, onChange),
    ...facts,
  };
  const handle = createHandler({
    ...{ host: 'h1', cluster: 'k1', api: NO_SERVER, links, localFacts, log: silentLogger() },
    hostPorts: ANY_HOST_PORTS,
    devicePlugged: () => undefined,
    waitPlugged: async () => undefined,
    ...changes,
  });
  return {
    links,
    send: (port) => {
      items.set(port.id, port);
      changed(port.id);
    },
    take: (portId) => {
      items.delete(portId);
      changed(portId);
    },
    call: async (command, { container = OLD, conf = CONF, headers = {}, gone = NEVER } = {}) => {
      const sent = {
        'cni-command': command,
        'cni-containerid': container,
        'cni-netns': container === NEW ? '/run/netns/new' : '/run/netns/pod',
        'cni-ifname': 'eth0',
        'cni-args': `K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=${UID}`,
        ...headers,
      };
      const { status, body } = await handle(sent, JSON.stringify(conf), gone);
      return { status, text: body, json: body === '' ? {} : JSON.parse(body) };
    },
  };
}

const idle = (): Promise<unknown> => new Promise(setImmediate);

test('ADD plugs the port that the controller has made for the interface, and asks nobody', async () => {
  const { links, send, call } = fixture();
  send(PORT);
  send({ ...samplePort(2), deviceId: `${UID}:net1`, deviceOwner: 'kubernetes:pod' });
  const { status, json } = await call('ADD');
  assert.equal(status, 200, JSON.stringify(json));
  assert.deepEqual([...links.plugged.keys()], [HOST_NAME]);
  assert.deepEqual(json['interfaces'], [
    { name: HOST_NAME, mtu: 1450 },
    { name: 'eth0', mac: PORT.macAddress, mtu: 1450, sandbox: '/run/netns/pod' },
  ]);
  assert.deepEqual(json['ips'], [{ interface: 1, address: '10.0.0.1/24', gateway: '10.0.0.1' }]);
  const second = await call('ADD', { headers: { 'cni-ifname': 'net1' } });
  assert.equal(second.status, 200, JSON.stringify(second.json));
  assert.equal(links.plugged.size, 2);
  assert.equal(links.opened.size, 0);
});

test('the addresses are told in the order that the port has them', async () => {
  const subnets = [
    sampleSubnet(1),
    { ...sampleSubnet(2), cidr: '2001:db8::/64', ipVersion: 6 as const, gatewayIp: '2001:db8::1' },
  ];
  const { send, call } = fixture({}, { network: () => ({ ...NETWORK, subnets }) });
  const fixedIps = [
    { subnetId: sampleId('sub', 2), ipAddress: '2001:db8::5' },
    { subnetId: sampleId('sub', 1), ipAddress: '10.0.0.5' },
  ];
  send({ ...PORT, fixedIps });
  const ips = (await call('ADD')).json['ips'] as { address: string }[];
  assert.deepEqual(
    ips.map(({ address }) => address),
    ['2001:db8::5/64', '10.0.0.5/24'],
  );
});

test('ADD waits for the port, and takes it when it comes; another port of another owner is not it', async () => {
  const { links, send, call } = fixture();
  send({ ...samplePort(7), deviceId: `${UID}:eth0`, deviceOwner: 'compute:nova' });
  const added = call('ADD');
  await idle();
  assert.equal(links.plugged.size, 0);
  send(PORT);
  assert.equal((await added).status, 200);
  assert.deepEqual([...links.plugged.keys()], [HOST_NAME]);
});

test('ADD of a pod that gets no port says whose, and where to look', async () => {
  const { links, call } = fixture({ plugTimeoutMs: 10 });
  const alive = setTimeout(() => undefined, 5_000);
  const { status, json } = await call('ADD');
  clearTimeout(alive);
  assert.deepEqual([status, json['code']], [503, 11]);
  assert.match(String(json['msg']), /pod default\/web-0 \(uid e1b5a1d4-.*, interface eth0\).* within 10 ms/);
  assert.match(String(json['details']), /kubectl describe pod --namespace default web-0.*controller of cluster "k1"/);
  assert.equal(links.opened.size, 0);
});

test('ADD ends at once when the port is taken away while it is plugged, and leaves no link', async () => {
  const waitPlugged = (_: object, signal: AbortSignal): Promise<void> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('not up'))));
  const { links, send, take, call } = fixture({ waitPlugged });
  send(PORT);
  const added = call('ADD');
  await idle();
  assert.equal(links.plugged.size, 1);
  send({ ...PORT, name: 'renamed' });
  take(PORT.id);
  const { json } = await added;
  assert.equal(json['code'], 11);
  assert.match(String(json['msg']), /web-0.*taken away/);
  assert.equal(links.plugged.size + links.opened.size, 0);
});

test('an ADD whose plug-in is gone gives up at once, and its DEL does not wait', async () => {
  const { links, send, call } = fixture();
  const gone = new AbortController();
  const added = call('ADD', { gone: gone.signal });
  const deleted = call('DEL');
  await idle();
  gone.abort();
  assert.equal((await added).status, 400);
  assert.equal((await deleted).status, 200);
  send(PORT);
  assert.equal(links.plugged.size + links.opened.size, 0);
});

test('the link is that of the container that came last: DEL, CHECK and GC of the one before do not touch it', async () => {
  const { links, send, call } = fixture();
  send(PORT);
  const { json: prevResult } = await call('ADD', { container: OLD });
  assert.equal((await call('ADD', { container: NEW })).status, 200);
  const conf = { ...CONF, prevResult };
  assert.deepEqual(await call('DEL', { container: OLD, conf }), { status: 200, text: '', json: {} });
  assert.equal(links.plugged.get(HOST_NAME)?.owner.plugged?.containerId, NEW);
  const checked = await call('CHECK', { container: OLD, conf });
  assert.equal(checked.json['code'], 102);
  assert.match(String(checked.json['msg']), /another has its place/);
  const valid = [{ containerID: NEW, ifname: 'eth0' }];
  await call('GC', { conf: { ...CONF, 'cni.dev/valid-attachments': valid } });
  assert.equal(links.plugged.size, 1);
  await call('DEL', { container: NEW });
  assert.equal(links.plugged.size, 0);
});

test('a new container waits for its turn behind the old one of its pod', async () => {
  const order: string[] = [];
  const open: (() => void)[] = [];
  const waitPlugged = (): Promise<void> => new Promise((resolve) => open.push(resolve));
  const { links, send, call } = fixture({ waitPlugged });
  send(PORT);
  const first = call('ADD', { container: OLD }).then(() => order.push(OLD));
  const second = call('ADD', { container: NEW }).then(() => order.push(NEW));
  await idle();
  assert.deepEqual([open.length, links.plugged.get(HOST_NAME)?.owner.plugged?.containerId], [1, OLD]);
  open[0]?.();
  await first;
  await idle();
  open[1]?.();
  await second;
  assert.deepEqual([order, links.plugged.get(HOST_NAME)?.owner.plugged?.containerId], [[OLD, NEW], NEW]);
});

test('DEL needs no port, no uid, no namespace and no earlier result', async () => {
  const { links, send, take, call } = fixture();
  send(PORT);
  await call('ADD');
  take(PORT.id);
  assert.equal((await call('DEL', { headers: { 'cni-args': '', 'cni-netns': '' } })).status, 200);
  assert.equal(links.plugged.size, 0);
  assert.equal((await call('DEL')).status, 200);
});

test('what ADD was refused for is no reason to refuse its DEL', async () => {
  const { links, send, call } = fixture();
  send(PORT);
  assert.equal((await call('ADD')).status, 200);
  const conf = {
    ...CONF,
    securityGroups: ['web'],
    runtimeConfig: { portMappings: [{ hostPort: 0 }], ips: ['10.0.0.9'] },
  };
  assert.equal((await call('ADD', { conf })).status, 400);
  assert.equal((await call('DEL', { conf })).status, 200);
  assert.equal(links.plugged.size, 0);
});

test('CHECK is content with what ADD made, and finds what is otherwise', async () => {
  const { links, send, take, call } = fixture();
  send(PORT);
  const { json: prevResult } = await call('ADD');
  const conf = { ...CONF, prevResult };
  assert.deepEqual(await call('CHECK', { conf }), { status: 200, text: '', json: {} });
  const link = links.plugged.get(HOST_NAME);
  assert.ok(link);
  links.plugged.set(HOST_NAME, { ...link, addresses: [] });
  assert.match(String((await call('CHECK', { conf })).json['msg']), /address 10\.0\.0\.1\/24 is missing/);
  take(PORT.id);
  assert.match(String((await call('CHECK', { conf })).json['msg']), /is not on this host any more/);
});

test('GC removes links of its CNI network alone, none that is being made, and no port', async () => {
  const open: (() => void)[] = [];
  let waits = false;
  const waitPlugged = (): Promise<void> => (waits ? new Promise((resolve) => open.push(resolve)) : Promise.resolve());
  const { links, send, call } = fixture({ waitPlugged });
  for (const n of [1, 2, 3]) {
    const deviceId = `${UID.slice(0, -1)}${n}:eth0`;
    send({ ...samplePort(n), deviceId, deviceOwner: 'kubernetes:pod' });
  }
  const headers = (n: number) => ({ 'cni-args': `K8S_POD_UID=${UID.slice(0, -1)}${n}` });
  await call('ADD', { container: 'dead', headers: headers(1) });
  await call('ADD', { container: 'foreign', headers: headers(2), conf: { ...CONF, name: 'others' } });
  waits = true;
  const making = call('ADD', { container: 'making', headers: headers(3) });
  await idle();
  const { status } = await call('GC', { conf: { ...CONF, 'cni.dev/valid-attachments': [] } });
  assert.equal(status, 200);
  const left = [...links.plugged.values()].map(({ owner }) => owner.plugged?.containerId);
  assert.deepEqual(left, ['foreign', 'making']);
  open[0]?.();
  assert.equal((await making).status, 200);
});

test('STATUS is well as long as the agent itself can plug', async () => {
  assert.equal((await fixture({}, { synced: () => false }).call('STATUS')).status, 200);
  const { status, json } = await fixture({}, { unready: () => 'it was sent nothing' }).call('STATUS');
  assert.deepEqual([status, json['code']], [503, 50]);
  assert.match(String(json['msg']), /it was sent nothing/);
});

test('ADD and STATUS of another cluster than the agent’s are refused; what is there can be removed', async () => {
  for (const cluster of ['k2', undefined]) {
    const { send, call } = fixture({ cluster });
    send(PORT);
    for (const command of ['ADD', 'STATUS']) {
      const { json } = await call(command);
      assert.equal(json['code'], 7);
      assert.match(String(json['msg']), /^cluster: this is to be a node of "k1", but the agent is of (none|"k2")$/);
    }
    assert.equal((await call('DEL')).status, 200);
  }
});

test('what the controller decides is refused by name', async () => {
  const wishes: readonly (readonly [object, string, string])[] = [
    [{ network: 'blue' }, '', 'network'],
    [{ subnet: 'blue-v4' }, '', 'subnet'],
    [{ securityGroups: [] }, '', 'securityGroups'],
    [{ project: 'tenant' }, '', 'project'],
    [{ runtimeConfig: { ips: ['10.0.0.5'] } }, '', 'runtimeConfig\\.ips'],
    [{ runtimeConfig: { mac: 'fa:16:3e:00:00:05' } }, '', 'runtimeConfig\\.mac'],
    [{ runtimeConfig: { bandwidth: { ingressRate: 1 } } }, '', 'runtimeConfig\\.bandwidth'],
    [{ args: { cni: { ips: ['10.0.0.5'] } } }, '', 'args\\.cni\\.ips'],
    [{}, ';IP=10.0.0.5', 'IP'],
    [{}, ';MAC=fa:16:3e:00:00:05', 'MAC'],
  ];
  for (const [fields, args, name] of wishes) {
    const { call } = fixture();
    const headers = { 'cni-args': `K8S_POD_UID=${UID}${args}` };
    const { json } = await call('ADD', { conf: { ...CONF, ...fields }, headers });
    assert.equal(json['code'], 7);
    assert.match(String(json['msg']), new RegExp(`^${name}: is not for a cluster: the controller of "k1"`));
    assert.match(String(json['details']), /annotate/);
  }
});

test('a further interface’s configuration may say a network, which the controller reads', async () => {
  const { links, send, call } = fixture();
  send({ ...PORT, deviceId: `${UID}:net1` });
  const headers = { 'cni-ifname': 'net1' };
  const { status, json } = await call('ADD', { conf: { ...CONF, network: 'blue', subnet: 'front' }, headers });
  assert.equal(status, 200, JSON.stringify(json));
  assert.deepEqual(
    [...links.plugged.values()].map(({ name }) => name),
    ['net1'],
  );
});

test('what the port says of the default route counts before the configuration', async () => {
  const cases: readonly (readonly [boolean | undefined, boolean | undefined, boolean, boolean])[] = [
    // Of the port, of the configuration; is there one, and must there be one?
    [undefined, undefined, true, false],
    [undefined, false, false, false],
    [undefined, true, true, true],
    [false, true, false, false],
    [true, false, true, true],
  ];
  for (const [ofPort, ofConf, has, needs] of cases) {
    const { links, send, call } = fixture();
    send({ ...PORT, ...(ofPort === undefined ? {} : { defaultRoute: ofPort }) });
    const conf = { ...CONF, ...(ofConf === undefined ? {} : { defaultRoute: ofConf }) };
    assert.equal((await call('ADD', { conf })).status, 200);
    const [link] = [...links.plugged.values()];
    const said = `port ${ofPort}, configuration ${ofConf}`;
    assert.equal(
      link?.routes.some(({ destination }) => destination === '0.0.0.0/0'),
      has,
      said,
    );
    assert.equal(link?.needsDefault, needs, said);
  }
});

test('ADD without the pod’s uid is refused', async () => {
  const { call } = fixture();
  const { json } = await call('ADD', { headers: { 'cni-args': 'K8S_POD_NAME=web-0' } });
  assert.equal(json['code'], 4);
  assert.match(String(json['msg']), /^CNI_ARGS: K8S_POD_UID is missing/);
});

test('the result keeps what plug-ins before made, and the addresses name their own interface', async () => {
  const { send, call } = fixture();
  send(PORT);
  const before = {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'net0', mac: 'fa:16:3e:00:00:99', sandbox: '/run/netns/pod' }],
    ips: [{ interface: 0, address: '192.0.2.5/24' }],
    routes: [{ dst: '192.0.2.128/25' }],
    dns: { domain: 'example.org', nameservers: ['192.0.2.53'] },
  };
  const { json } = await call('ADD', { conf: { ...CONF, prevResult: before } });
  assert.deepEqual(json, {
    cniVersion: '1.1.0',
    interfaces: [
      ...before.interfaces,
      { name: HOST_NAME, mtu: 1450 },
      { name: 'eth0', mac: PORT.macAddress, mtu: 1450, sandbox: '/run/netns/pod' },
    ],
    ips: [...before.ips, { interface: 2, address: '10.0.0.1/24', gateway: '10.0.0.1' }],
    routes: [...before.routes, { dst: '0.0.0.0/0', gw: '10.0.0.1' }],
    dns: before.dns,
  });
});

const LEG = samplePort(5, { deviceId: `${UID}:eth0`, deviceOwner: 'kubernetes:leg' });
const IN_VPC = samplePort(6, { deviceId: `${UID}:vpc0`, deviceOwner: 'kubernetes:pod' });

test('a pod of another VPC gets both of its ports, and waits for the one that has not come', async () => {
  const { links, send, take, call } = fixture({ plugTimeoutMs: 50 });
  send(IN_VPC);
  const early = await call('ADD');
  assert.match(String(early.json['msg']), /its leg has not come/);
  take(IN_VPC.id);
  send(LEG);
  assert.match(String((await call('ADD')).json['msg']), /its port in its VPC has not come/);
  // One that the pod could not tell from its leg: the controller makes another.
  send({ ...IN_VPC, fixedIps: LEG.fixedIps });
  assert.equal((await call('ADD')).status, 503);
  assert.equal(links.plugged.size, 0);
  const adding = call('ADD');
  await idle();
  send(IN_VPC);
  const { status, json } = await adding;
  assert.equal(status, 200, JSON.stringify(json));
  const ips = json['ips'] as { interface: number; address: string }[];
  assert.deepEqual(
    ips.map((one) => [one.interface, one.address]),
    [
      [1, '10.0.0.5/32'],
      [3, '10.0.0.6/24'],
    ],
    'of the runtime’s interface the leg’s alone',
  );
  assert.deepEqual(
    [...links.plugged.values()].map(({ name, owner }) => [name, owner.plugged?.interfaceName]),
    [
      ['eth0', 'eth0'],
      ['vpc0', 'eth0'],
    ],
  );
  const conf = { ...CONF, prevResult: json };
  assert.equal((await call('CHECK', { conf })).status, 200);
  const [hostName = ''] = [...links.plugged.keys()].slice(1);
  const held = links.plugged.get(hostName);
  links.plugged.delete(hostName);
  assert.match((await call('CHECK', { conf })).text, /has not the links that its ports want/);
  if (held !== undefined) links.plugged.set(hostName, held);
  assert.equal((await call('DEL')).status, 200);
  assert.equal(links.plugged.size, 0);
});

test('of a pod of another VPC no link stays when one of its ports goes meanwhile, and both go with the container', async () => {
  const never = { waitPlugged: (_wanted: unknown, signal: AbortSignal) => once(signal) };
  const { links, send, take, call } = fixture(never);
  send(LEG);
  send(IN_VPC);
  const adding = call('ADD');
  await idle();
  take(IN_VPC.id);
  assert.match(String((await adding).json['msg']), /was taken away/);
  assert.equal(links.plugged.size, 0);
});

function once(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
