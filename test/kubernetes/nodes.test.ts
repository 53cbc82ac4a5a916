/** Nodes and pods as packets see them: real agents and the real kernel, the CNI plug-in as a runtime calls it, a controller at the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { KubeApi, KubeObject } from '@cable/kube';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { addressOf, answers, ask, askDatagram, cni, ip, serve, serveDatagrams } from './sandboxes.ts';
import {
  NETWORK_POLICIES,
  NODES,
  ownersOf,
  PODS,
  SERVICES,
  SLICES,
  startCluster,
  undoing,
  VIRTUAL_MACHINE_INSTANCES,
  VIRTUAL_MACHINES,
} from './world.ts';

const OUTSIDE = '203.0.113.1';

const SERVICE_ADDRESS = '10.96.0.10';
const SERVICE_PORT = 80;
const NODE_PORT = 30_080;

const HOST_PORT = 8081;
/** As containerd writes it. */
const MAPPINGS = [{ HostPort: HOST_PORT, ContainerPort: 8080, Protocol: 'tcp', HostIP: '' }];

/** Of its `spec`; `ip`: of its load balancer. */
type ServiceMore = {
  readonly nodePort?: number;
  readonly externalTrafficPolicy?: string;
  readonly externalIPs?: readonly string[];
  readonly loadBalancerSourceRanges?: readonly string[];
  readonly healthCheckNodePort?: number;
  readonly ip?: string;
  /** Default: TCP. */
  readonly protocol?: string;
};

/** Makes it, in a second try where the double has ended an idle connection while pings held up this process. */
async function create(kube: KubeApi, kind: typeof SERVICES, object: object): Promise<void> {
  try {
    await kube.create(kind, object as KubeObject);
  } catch {
    await kube.create(kind, object as KubeObject);
  }
}

/** A Service at port 80, whose endpoints serve at 8080. */
async function createService(
  kube: KubeApi,
  name: string,
  address: string,
  endpoints: readonly object[],
  { nodePort, ip, protocol = 'TCP', ...more }: ServiceMore = {},
): Promise<void> {
  const metadata = { name, namespace: 'shop' };
  const ports = [{ name: '', protocol, port: SERVICE_PORT, ...(nodePort === undefined ? {} : { nodePort }) }];
  const spec = { clusterIP: address, clusterIPs: [address], ports, ...more };
  await create(kube, SERVICES, { metadata, spec });
  if (ip !== undefined)
    await kube.patch(SERVICES, metadata, { status: { loadBalancer: { ingress: [{ ip }] } } }, 'status');
  const labels = { 'kubernetes.io/service-name': name };
  const slice = { addressType: 'IPv4', ports: [{ name: '', protocol, port: 8080 }], endpoints };
  await create(kube, SLICES, { metadata: { ...metadata, name: `${name}-1`, labels }, ...slice });
}

/** Answers `b`, and with whose address it was asked, to who connects to port 8080 there. Gives how to end it. */
function serveB(netns: string): () => void {
  return serve(netns, 8080, 'b $SOCAT_PEERADDR', 4);
}

/** As a server of both versions of IP sees an address of IPv4, in the form of that. */
function unmapped(text: string): string {
  return text.replace(/\[?(?:0000:){5}ffff:(..)(..):(..)(..)\]?/, (_, ...bytes) => {
    return bytes
      .slice(0, 4)
      .map((byte) => Number.parseInt(byte, 16))
      .join('.');
  });
}

/** Who answers a TCP connection; `refused`: it was, at once; `silence`. */
async function askWho(netns: string, address: string, port = SERVICE_PORT, seconds?: number): Promise<string> {
  return (await ask(netns, address, port, seconds)).replace(/ .*/, '');
}

/** What dig says in short of a question to the resolver of the host: a line each, in their order. */
function dig(netns: string, ...question: readonly string[]): string {
  const words = ['dig', '@169.254.20.10', '+short', '+tries=1', '+time=3', ...question];
  try {
    const text = execFileSync('nsenter', [`--net=/run/netns/${netns}`, ...words], { encoding: 'utf8' });
    return text.trim().split('\n').sort().join(' ');
  } catch {
    return 'no answer';
  }
}

/** The address of a name to a program with a `resolv.conf` as kubelet writes it for a pod of the namespace `shop`. */
function resolve(netns: string, name: string): string {
  const file = '/tmp/cable-resolv-$$';
  const lines =
    'search shop.svc.cluster.local svc.cluster.local cluster.local\\nnameserver 169.254.20.10\\noptions ndots:5\\n';
  const script = `printf '${lines}' > ${file} && mount --bind ${file} /etc/resolv.conf && rm ${file}; getent ahostsv4 "$1"`;
  try {
    const words = [`--net=/run/netns/${netns}`, 'unshare', '--mount', 'sh', '-c', script, 'sh', name];
    return execFileSync('nsenter', words, { encoding: 'utf8' }).split(' ')[0] ?? '';
  } catch {
    return 'not found';
  }
}

test('pods reach each other, their nodes, and what is outside by the node’s address; nodes reach pods', {
  timeout: 300_000,
}, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('kube');
  const [outside, sandboxes] = [
    `cbkube-out-${process.pid}`,
    ['a', 'b', 'c'].map((one) => `cbkube-${one}-${process.pid}`),
  ];
  undo.push(async () => {
    for (const one of [outside, ...sandboxes]) execFileSync('sh', ['-c', `ip netns del ${one} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  for (const netns of [outside, ...sandboxes]) ip('netns', 'add', netns);
  ip('-n', bed.h1.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', 'ext0', 'netns', outside);
  ip('-n', bed.h1.name, 'address', 'add', '203.0.113.11/24', 'dev', 'ext0');
  ip('-n', outside, 'link', 'set', 'ext0', 'up');
  ip('-n', outside, 'address', 'add', `${OUTSIDE}/24`, 'dev', 'ext0');
  for (const host of bed.hosts) await host.start(CURRENT, '--cluster', 'prod');
  const cluster = await startCluster(undo, bed.address, { hasKubeVirt: true });
  cluster.control('a', { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'] });
  for (const { name, underlay } of bed.hosts) {
    await cluster.kube.create(NODES, { metadata: { name } });
    const addresses = [{ type: 'InternalIP', address: underlay }];
    await cluster.kube.patch(NODES, { name }, { status: { addresses } }, 'status');
  }

  const [a = '', b = '', c = ''] = sandboxes;
  const labels = { app: 'a' };
  const [podA, podB] = [
    await cluster.pod('a', { node: bed.h1.name, labels }),
    await cluster.pod('b', { node: bed.h2.name }),
  ];
  // The runtime may be faster than the controller.
  const added = await Promise.all([cni(bed.h1, 'ADD', podA, 'ca', a, MAPPINGS), cni(bed.h2, 'ADD', podB, 'cb', b)]);
  assert.deepEqual(
    added.map(({ code }) => code),
    [0, 0],
    JSON.stringify(added),
  );
  const ports = await cluster.ports((found) => [...found.values()].every(({ status }) => status === 'ACTIVE'));
  assert.deepEqual(
    added[0]?.json.ips?.map(({ address }) => address),
    [`${addressOf(ports.get('a'))}/16`, `${addressOf(ports.get('a'), 6)}/64`],
  );
  const nodes = await bed.api.list('port', { device_owner: 'kubernetes:node' });
  const nodeOf = (host: BedHost) => addressOf(nodes.find((one) => one['binding:host_id'] === host.name));
  for (const host of bed.hosts) {
    await eventually(
      `${host.name} reaches its pods`,
      () => answers(host.name, addressOf(ports.get(host === bed.h1 ? 'a' : 'b'))) === 3,
    );
  }
  const ways: readonly (readonly [from: string, to: string, what: string])[] = [
    [a, addressOf(ports.get('b')), 'a pod of another node'],
    [a, addressOf(ports.get('b'), 6), 'the same by IPv6'],
    [bed.h1.name, addressOf(ports.get('b')), 'from a node a pod of another'],
    [bed.h2.name, addressOf(ports.get('b'), 6), 'from a node its own pod by IPv6'],
    [a, nodeOf(bed.h1), 'its node, by the node’s port'],
    [a, nodeOf(bed.h2), 'another node, by its port'],
    [a, bed.h1.underlay, 'its node, by the node’s own address'],
    [a, bed.h2.underlay, 'another node, by its own address'],
    [a, OUTSIDE, 'what is outside, which knows no way to pods'],
  ];
  for (const [from, to, what] of ways) assert.equal(answers(from, to), 3, what);

  // A Service of the pod on the other node, as pods and nodes reach it; one without endpoints refuses.
  const served = { addresses: [addressOf(ports.get('b'))], nodeName: bed.h2.name, conditions: { ready: true } };
  await createService(cluster.kube, 'web', SERVICE_ADDRESS, [served]);
  await createService(cluster.kube, 'nobody', '10.96.0.11', []);
  const stop = serveB(b);
  undo.push(stop);
  await eventually('a pod reaches the Service', async () => (await askWho(a, SERVICE_ADDRESS)) === 'b');
  for (const host of bed.hosts)
    assert.equal(await askWho(host.name, SERVICE_ADDRESS), 'b', `a process of ${host.name}`);
  assert.equal(await askWho(b, SERVICE_ADDRESS), 'b', 'itself by its Service');
  assert.equal(await askWho(a, '10.96.0.11'), 'refused');

  // Names, as pods and processes of nodes ask for them.
  const db = { metadata: { name: 'db', namespace: 'shop' }, spec: { clusterIP: 'None', clusterIPs: ['None'] } };
  const named = { ...served, hostname: 'db-0', targetRef: { kind: 'Pod', namespace: 'shop', name: 'b' } };
  const ofDb = { 'kubernetes.io/service-name': 'db' };
  const dbPorts = [{ name: 'sql', protocol: 'TCP', port: 5432 }];
  await create(cluster.kube, SERVICES, { ...db, spec: { ...db.spec, ports: dbPorts } });
  await create(cluster.kube, SLICES, {
    metadata: { name: 'db-1', namespace: 'shop', labels: ofDb },
    ...{ addressType: 'IPv4', ports: dbPorts, endpoints: [named] },
  });
  await create(cluster.kube, SERVICES, {
    metadata: { name: 'alias', namespace: 'shop' },
    spec: { type: 'ExternalName', externalName: 'web.shop.svc.cluster.local' },
  });
  const addressB = addressOf(ports.get('b'));
  const domain = 'shop.svc.cluster.local';
  await eventually('the alias is known', () => dig(a, `alias.${domain}`).endsWith(`web.${domain}.`));
  await eventually('who serves is known', () => dig(a, `db-0.db.${domain}`) === addressB);
  for (const from of [a, b, bed.h1.name]) {
    assert.equal(dig(from, `web.${domain}`), SERVICE_ADDRESS, from);
    assert.equal(dig(from, '+tcp', `db.${domain}`), addressB);
    assert.equal(dig(from, '-t', 'SRV', `_sql._tcp.db.${domain}`), `0 100 5432 db-0.db.${domain}.`);
    assert.equal(dig(from, '-x', addressB), `db-0.db.${domain}.`);
    assert.equal(dig(from, '-x', SERVICE_ADDRESS), `web.${domain}.`);
    assert.equal(dig(from, '-t', 'TXT', 'dns-version.cluster.local'), '"1.1.0"');
    assert.equal(resolve(from, 'web'), SERVICE_ADDRESS);
    assert.equal(resolve(from, 'db-0.db.shop'), addressB);
    assert.equal(resolve(from, 'alias.shop.svc'), SERVICE_ADDRESS);
    assert.equal(resolve(from, `nothing.${domain}.`), 'not found');
  }
  // Node ports: any address of any node, from anywhere; the endpoint is on the other node, so it sees the first one.
  await createService(cluster.kube, 'open', '10.96.0.12', [served], { nodePort: NODE_PORT });
  const local = { nodePort: NODE_PORT + 1, externalTrafficPolicy: 'Local' };
  await createService(cluster.kube, 'here', '10.96.0.13', [served], local);
  for (const { underlay } of bed.hosts) ip('-n', outside, 'route', 'add', `${underlay}/32`, 'via', '203.0.113.11');
  ip('-n', bed.h2.name, 'route', 'add', '203.0.113.0/24', 'via', bed.h1.underlay);
  // Whoever routes pods and ClusterIPs to a node is not let into the cluster by it.
  for (const to of ['10.244.0.0/16', '10.96.0.0/12']) ip('-n', outside, 'route', 'add', to, 'via', '203.0.113.11');
  assert.equal(answers(outside, addressB, '-c', '1'), 0, 'a pod by a route of the outside');
  assert.equal(await askWho(outside, SERVICE_ADDRESS, SERVICE_PORT, 1), 'silence', 'a ClusterIP by such a route');
  await eventually(
    'the outside reaches a node port',
    async () => (await askWho(outside, '203.0.113.11', NODE_PORT)) === 'b',
  );
  assert.equal(await ask(outside, '203.0.113.11', NODE_PORT), `b ${nodeOf(bed.h1)}`);
  const entering: readonly (readonly [from: string, address: string, what: string])[] = [
    [outside, bed.h1.underlay, 'another address of the node'],
    [outside, bed.h2.underlay, 'the other node'],
    [a, '203.0.113.11', 'a pod its own node'],
    [a, bed.h2.underlay, 'a pod another node'],
    [b, bed.h2.underlay, 'the endpoint itself'],
    [bed.h1.name, '203.0.113.11', 'a process its own node'],
    [bed.h1.name, bed.h2.underlay, 'a process another node'],
    [bed.h2.name, nodeOf(bed.h2), 'a process the address in the cluster'],
  ];
  for (const [from, address, what] of entering) assert.equal(await askWho(from, address, NODE_PORT), 'b', what);
  assert.equal(await askWho(bed.h1.name, '127.0.0.1', NODE_PORT), 'refused', 'loopback is the machine’s own');
  assert.equal(await askWho(outside, '203.0.113.11', NODE_PORT + 2), 'refused', 'other ports are the host’s');
  // Of one whose endpoints are to be of the node itself: the one that has none drops, the other shows the client.
  await eventually('its node answers as it was asked', async () => {
    return (await ask(outside, bed.h2.underlay, NODE_PORT + 1, 1)) === `b ${OUTSIDE}`;
  });
  assert.equal(await askWho(outside, '203.0.113.11', NODE_PORT + 1, 1), 'silence');
  assert.equal(await askWho(bed.h1.name, '203.0.113.11', NODE_PORT + 1), 'b', 'processes of a node are of the cluster');

  // A host port: any address of its node, loopback too, from anywhere; the pod sees the client where answers find back.
  undo.push(serve(a, 8080, 'a $SOCAT_PEERADDR'));
  const inbound: readonly (readonly [from: string, address: string, sees: string, what: string])[] = [
    [outside, '203.0.113.11', OUTSIDE, 'the outside'],
    [outside, bed.h1.underlay, OUTSIDE, 'another address of the node'],
    [bed.h2.name, bed.h1.underlay, bed.h2.underlay, 'a process of another node'],
    [b, bed.h1.underlay, bed.h2.underlay, 'a pod of another node'],
    [a, bed.h1.underlay, nodeOf(bed.h1), 'the pod itself'],
    [bed.h1.name, bed.h1.underlay, nodeOf(bed.h1), 'a process'],
    [bed.h1.name, '127.0.0.1', nodeOf(bed.h1), 'a process by loopback'],
  ];
  for (const [from, address, sees, what] of inbound)
    assert.equal(unmapped(await ask(from, address, HOST_PORT)), `a ${sees}`, what);
  assert.match(await ask(bed.h1.name, '::1', HOST_PORT), /^a \[?fd00:0?100:0?064:/, 'by loopback of IPv6');
  assert.equal(await askWho(outside, bed.h2.underlay, HOST_PORT), 'refused', 'no other node has it');

  // Endpoints that are a node itself, as API servers are, and listen at its own address alone: from pods, from itself and others, and from outside by either.
  const itself = { addresses: [bed.h2.underlay], conditions: { ready: true } };
  await createService(cluster.kube, 'host', '10.96.0.16', [itself], { nodePort: NODE_PORT + 3 });
  const beside = { nodePort: NODE_PORT + 4, externalTrafficPolicy: 'Local' };
  await createService(cluster.kube, 'beside', '10.96.0.17', [itself], beside);
  const udp = { protocol: 'UDP', nodePort: NODE_PORT + 5 };
  await createService(cluster.kube, 'datagrams', '10.96.0.18', [itself], udp);
  undo.push(serve(bed.h2.name, 8080, 'b $SOCAT_PEERADDR', 4, bed.h2.underlay));
  let endServer = serveDatagrams(bed.h2.name, 8080, 'b $SOCAT_PEERADDR', bed.h2.underlay);
  undo.push(() => endServer());
  await eventually('a pod reaches a node as endpoint', async () => (await askWho(a, '10.96.0.16')) === 'b');
  for (const from of [b, bed.h1.name, bed.h2.name]) assert.equal(await askWho(from, '10.96.0.16'), 'b', from);
  for (const one of bed.hosts) assert.equal(await askWho(outside, one.underlay, NODE_PORT + 3), 'b', one.name);
  await eventually('a node that is the only endpoint sees the client', async () => {
    return (await ask(outside, bed.h2.underlay, NODE_PORT + 4, 1)) === `b ${OUTSIDE}`;
  });
  const datagrams: readonly (readonly [from: string, address: string, port: number, sees: string])[] = [
    [a, '10.96.0.18', SERVICE_PORT, addressOf(ports.get('a'))],
    [b, '10.96.0.18', SERVICE_PORT, addressB],
    [bed.h1.name, '10.96.0.18', SERVICE_PORT, nodeOf(bed.h1)],
    [bed.h2.name, '10.96.0.18', SERVICE_PORT, '10.96.0.18'],
    [outside, '203.0.113.11', NODE_PORT + 5, nodeOf(bed.h1)],
    [outside, bed.h2.underlay, NODE_PORT + 5, '10.96.0.18'],
  ];
  for (const where of ['its own address', 'all addresses']) {
    for (const [from, address, port, sees] of datagrams) {
      const what = `${from} asks ${address} ${port}, where one listens at ${where}`;
      await eventually(what, async () => (await askDatagram(from, address, port)) === `b ${sees}`);
    }
    endServer();
    endServer = serveDatagrams(bed.h2.name, 8080, 'b $SOCAT_PEERADDR');
  }

  // Addresses that lead to a node: of a load balancer, from where one may, and external ones.
  const [balanced, closed, external] = ['192.0.2.200', '192.0.2.201', '198.51.100.7'];
  for (const one of [balanced, closed, external]) ip('-n', outside, 'route', 'add', `${one}/32`, 'via', '203.0.113.11');
  const only = (prefix: string): ServiceMore => ({ loadBalancerSourceRanges: [prefix], healthCheckNodePort: 32_000 });
  await createService(cluster.kube, 'far', '10.96.0.14', [served], { ip: balanced, ...only('203.0.113.0/24') });
  const elsewhere = { ip: closed, externalIPs: [external], loadBalancerSourceRanges: ['10.244.0.0/16'] };
  await createService(cluster.kube, 'closed', '10.96.0.15', [served], elsewhere);
  await eventually('the outside reaches a load balancer', async () => (await askWho(outside, balanced)) === 'b');
  await eventually('and an external address', async () => (await askWho(outside, external)) === 'b');
  assert.equal(await askWho(outside, closed, SERVICE_PORT, 1), 'silence', 'from where one may not');
  assert.equal(await askWho(a, closed), 'b', 'a pod, which may');
  ip('-n', bed.h1.name, 'route', 'add', `${external}/32`, 'via', OUTSIDE);
  assert.equal(await askWho(bed.h1.name, external), 'b', 'a process');
  const health = (host: BedHost): string => {
    const curl = ['curl', '-s', '-w', ' %{http_code}', `http://${host.underlay}:32000/`];
    return execFileSync('nsenter', [`--net=/run/netns/${outside}`, ...curl], { encoding: 'utf8' });
  };
  const said = (endpoints: number): string =>
    `{"service":{"namespace":"shop","name":"far"},"localEndpoints":${endpoints},"serviceProxyHealthy":true}`;
  assert.deepEqual([health(bed.h1), health(bed.h2)], [`${said(0)} 503`, `${said(1)} 200`]);

  // Pods keep their addresses outside where it is said so; other nodes, which take nobody on the wire for a pod, see the node.
  undo.push(serve(outside, 8080, 'seen $SOCAT_PEERADDR', 4), serve(bed.h2.name, 8082, 'seen $SOCAT_PEERADDR', 4));
  // A Service of what is outside, and of no node: from pods, from processes of nodes, from outside by a node port.
  const beyond = { addresses: [OUTSIDE], conditions: { ready: true } };
  await createService(cluster.kube, 'beyond', '10.96.0.19', [beyond], { nodePort: NODE_PORT + 6 });
  await eventually('a pod reaches what is outside', async () => (await askWho(a, '10.96.0.19')) === 'seen');
  for (const from of [b, bed.h1.name, bed.h2.name]) assert.equal(await askWho(from, '10.96.0.19'), 'seen', from);
  for (const one of bed.hosts) assert.equal(await askWho(outside, one.underlay, NODE_PORT + 6), 'seen', one.name);
  const seen = (): Promise<string> => ask(a, OUTSIDE, 8080);
  await eventually('a pod is seen as its node', async () => (await seen()) === 'seen 203.0.113.11');
  const [ofPods] = await bed.api.list('subnet', { 'cable:origin': 'Subnet/pods-ipv4' });
  await bed.api.update('subnet', ofPods?.id ?? '', { 'cable:nat_outgoing': false });
  const itsOwn = `seen ${addressOf(ports.get('a'))}`;
  await eventually('a pod is seen as itself', async () => (await seen()) === itsOwn);
  assert.equal(await ask(a, bed.h2.underlay, 8082), `seen ${bed.h1.underlay}`, 'another node');

  // The agent that begins anew forwards as before.
  await bed.h1.end('SIGKILL');
  assert.equal(answers(a, OUTSIDE), 3, 'without the agent');
  assert.equal(await askWho(outside, '203.0.113.11', NODE_PORT), 'b', 'a node port without the agent');
  assert.equal(await askWho(outside, '203.0.113.11', HOST_PORT), 'a', 'a host port without the agent');
  await bed.h1.start(CURRENT, '--cluster', 'prod');
  await bed.h1.inStep();
  assert.equal(answers(a, OUTSIDE), 3, 'with another agent');
  assert.equal(await seen(), itsOwn);
  await bed.api.update('subnet', ofPods?.id ?? '', { 'cable:nat_outgoing': true });
  await eventually('and as its node again', async () => (await seen()) === 'seen 203.0.113.11');
  assert.equal(await askWho(outside, '203.0.113.11', NODE_PORT), 'b', 'a node port with another agent');
  assert.equal(await askWho(outside, '203.0.113.11', HOST_PORT), 'a', 'a host port with another agent');

  // Who may come to a host port is as policies say of the client.
  const policy = {
    podSelector: { matchLabels: labels },
    ingress: [{ from: [{ ipBlock: { cidr: `${OUTSIDE}/32` } }] }],
  };
  const about = { metadata: { name: 'a', namespace: 'shop' } };
  await cluster.kube.create(NETWORK_POLICIES, { ...about, spec: policy } as unknown as KubeObject);
  await eventually('the policy keeps another node out', async () => {
    return (await askWho(bed.h2.name, bed.h1.underlay, HOST_PORT, 1)) === 'silence';
  });
  assert.equal(await askWho(outside, '203.0.113.11', HOST_PORT), 'a', 'whom the policy lets in');

  // Another sandbox of the same pod has the same address; the end of the old one does not touch it.
  assert.equal((await cni(bed.h1, 'ADD', podA, 'cc', c, MAPPINGS)).code, 0);
  assert.equal((await cni(bed.h1, 'DEL', podA, 'ca', a)).code, 0);
  assert.equal(answers(c, OUTSIDE), 3, 'from the new sandbox');
  undo.push(serve(c, 8080, 'c'));
  await eventually('its host port leads there', async () => (await askWho(outside, '203.0.113.11', HOST_PORT)) === 'c');

  await cluster.kube.delete(PODS, { namespace: 'shop', name: 'a' });
  await eventually('the port stays while it is plugged', async () => (await cluster.ports(() => true)).has('a'));
  assert.equal((await cni(bed.h1, 'DEL', podA, 'cc', c)).code, 0);
  await cluster.ports((found) => !found.has('a') && found.has('b'));
  await eventually('its host port is the host’s again', async () => {
    return (await askWho(outside, '203.0.113.11', HOST_PORT)) === 'refused';
  });

  // A virtual machine of KubeVirt moves: its second pod has its addresses at once, and its traffic when the guest is there.
  const machine = { metadata: { name: 'vm', namespace: 'shop' } };
  const owners = ownersOf('kubevirt.io/v1', 'VirtualMachine', await cluster.kube.create(VIRTUAL_MACHINES, machine));
  const running = { metadata: { ...machine.metadata, ownerReferences: owners }, status: { nodeName: bed.h1.name } };
  const instance = await cluster.kube.create(VIRTUAL_MACHINE_INSTANCES, running as unknown as KubeObject);
  const launch = (name: string, host: BedHost) => cluster.pod(name, { node: host.name, instance });
  const source = await launch('virt-launcher-vm-1', bed.h1);
  const before = await cni(bed.h1, 'ADD', source, 'cs', a);
  assert.equal(before.code, 0, JSON.stringify(before));
  undo.push(serve(a, 9000, 'source'));
  const [machineAddress = ''] = before.json.ips?.map(({ address }) => address.split('/')[0] ?? '') ?? [];
  const whoIs = async (): Promise<string> =>
    (await Promise.all([b, bed.h1.name, bed.h2.name].map((from) => askWho(from, machineAddress, 9000, 1)))).join(' ');
  await eventually('the machine is reached', async () => (await whoIs()) === 'source source source');
  const target = await launch('virt-launcher-vm-2', bed.h2);
  const after = await cni(bed.h2, 'ADD', target, 'ct', c);
  assert.deepEqual(after.json.ips, before.json.ips, JSON.stringify(after));
  undo.push(serve(c, 9000, 'target'));
  assert.equal(await whoIs(), 'source source source', 'the guest is at the source still');
  const migrationState = { targetPod: 'virt-launcher-vm-2', targetNodeDomainReadyTimestamp: '2026-01-01T00:00:00Z' };
  await cluster.kube.patch(VIRTUAL_MACHINE_INSTANCES, machine.metadata, { status: { migrationState } });
  await eventually('the machine has moved', async () => (await whoIs()) === 'target target target');
  assert.equal(await askWho(c, addressB, 8080), 'b', 'from where it is now');
  await cluster.kube.delete(PODS, { namespace: 'shop', name: 'virt-launcher-vm-1' });
  assert.equal((await cni(bed.h1, 'DEL', source, 'cs', a)).code, 0);
  await eventually('nothing of it is left at the source', async () => {
    const [port] = await bed.api.list('port', { name: 'vm' });
    const { bindings } = (await bed.api.action('port', port?.id ?? '', 'get_port_bindings')) as { bindings: object[] };
    return bindings.length === 1 && port?.['binding:host_id'] === bed.h2.name;
  });
  assert.equal(await whoIs(), 'target target target');

  // A node works while server and API server are away.
  cluster.fake.refuse(503);
  await bed.stopServer();
  assert.equal(dig(bed.h2.name, `db-0.db.${domain}`), addressB, 'names too');
  await bed.h2.end('SIGKILL');
  await bed.h2.start(CURRENT, '--cluster', 'prod');
  await eventually('the next agent knows names', () => dig(bed.h2.name, `web.${domain}`) === SERVICE_ADDRESS);
  assert.equal((await cni(bed.h2, 'DEL', podB, 'cb', b)).code, 0);
  assert.equal((await cni(bed.h2, 'ADD', podB, 'cd', b, MAPPINGS)).code, 0);
  assert.equal(answers(bed.h2.name, addressOf(ports.get('b'))), 3, 'a pod that was made meanwhile');
  assert.equal(await askWho(bed.h2.name, '127.0.0.1', HOST_PORT), 'b', 'and its host port');
});
