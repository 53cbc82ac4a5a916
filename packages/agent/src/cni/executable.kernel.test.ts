import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '@cable/kit';
import { LinkRemover } from '../devices/link-remover.ts';
import { LinkTable } from '../devices/link-table.ts';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import type { LinkRef } from '../net/link.ts';
import { type NetlinkRequest, NetlinkSocket } from '../net/socket.ts';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { type CniHandler, createHandler } from './handler.ts';
import { HostPortStore } from './host-port-store.ts';
import { HostPorts } from './host-ports.ts';
import { createKernelPodLinks } from './kernel-pod-links.ts';
import { parseOwner } from './link-owner.ts';
import type { PluggedDevice, PodLinks } from './pod-link.ts';
import { type FakeServer, fakeServer, NETWORK_ID, NO_FACTS, SUBNET6 } from './testing/fakes.ts';
import { CNI_VERSIONS } from './versions.ts';

/** The executable, the handler and the kernel together; only the server and the programs are not there. */

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), '../../../..');
const EXECUTABLE = join(REPOSITORY, 'build/cni/cable-cni');
const directory = mkdtempSync(join(tmpdir(), `cable-cni-exec-${process.pid}-`));
const socket = join(directory, 'agent.sock');
const CONF = { cniVersion: '1.1.0', name: 'pods', type: 'cable-cni', network: 'blue', socket };
const HOST_NAME = 'cvaaaaaaa0-bb';
const server: FakeServer = fakeServer();
const http = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const answer = await handle(request.headers, body, NEVER);
  response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(answer.body);
});
let stop = new AbortController();
const NEVER = new AbortController().signal;
const told: PluggedDevice[] = [];
/** The host as a node, whose kernel takes what it is told. */
const planned = new Map<string, Entrance>();
const keeper = { inForce: async () => undefined, lacking: () => [], failure: undefined };
const NODE = { isNode: () => true, ownPorts: () => [], planned: () => planned, keeper };
let handle: CniHandler;
let podLinks: PodLinks;
let close: () => Promise<void> = async () => undefined;
let pod: HeldNamespace;

/** The handler as the agent makes it, in this process's namespace. */
async function startHandler(): Promise<void> {
  const netlink = new NetlinkSocket();
  const remover = new LinkRemover();
  const table = new LinkTable({ onChange: () => undefined, log: silentLogger(), signal: stop.signal });
  const { ready, done } = table.start();
  await ready;
  podLinks = createKernelPodLinks({ socket: netlink, remover, links: table });
  handle = createHandler({
    host: 'h1',
    cluster: undefined,
    api: server.api,
    links: podLinks,
    localFacts: NO_FACTS,
    hostPorts: new HostPorts({ store: new HostPortStore(directory, silentLogger()), ...NODE }, podLinks),
    devicePlugged: (device) => {
      assert.equal(table.catchUp(), true);
      assert.equal(table.byName(device.name)?.ifindex, device.ifindex, 'the table has it already');
      assert.equal(parseOwner(table.byName(device.name)?.alias ?? '')?.portId, device.portId);
      told.push(device);
    },
    waitPlugged: async () => undefined,
    log: silentLogger(),
  });
  close = async () => {
    stop.abort();
    await Promise.all([done, remover.close()]);
    netlink.close();
  };
}

before(async () => {
  execFileSync('make', ['-s', '-C', join(REPOSITORY, 'packages/cni')]);
  enterOwnNamespace();
  pod = await holdNamespace();
  await startHandler();
  http.listen(socket);
  await once(http, 'listening');
});

after(async () => {
  http.close();
  http.closeAllConnections();
  await close();
  await pod?.end();
  rmSync(directory, { recursive: true, force: true });
});

type Ended = { readonly status: number | null; readonly json: Record<string, unknown> };

async function run(command: string, conf: object = CONF, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(EXECUTABLE, [], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: `/proc/${pod.pid}/ns/net`,
      CNI_IFNAME: 'eth0',
      ...env,
    },
  });
  const ended = once(child, 'exit');
  child.stdin.end(JSON.stringify(conf));
  let stdout = '';
  for await (const chunk of child.stdout) stdout += chunk;
  const [status] = await ended;
  return { status, json: stdout === '' ? {} : JSON.parse(stdout) };
}

function links(pid?: number): string[] {
  const shown: { ifname: string }[] = JSON.parse(ip('-j link show', pid));
  return shown.map((link) => link.ifname).filter((name) => name !== 'lo');
}

test('ADD makes the interface that it tells of, CHECK agrees, DEL leaves nothing', async () => {
  const added = await run('ADD');
  assert.equal(added.status, 0, JSON.stringify(added.json));
  const [link] = JSON.parse(ip('-j -d addr show eth0', pod.pid));
  assert.equal(link.address, 'fa:16:3e:00:00:05');
  assert.equal(link.mtu, 1450);
  assert.ok(link.flags.includes('UP') && link.flags.includes('LOWER_UP'));
  const [address] = link.addr_info;
  assert.deepEqual([address.local, address.prefixlen], ['10.0.0.5', 24]);
  const routes: { dst: string; gateway?: string }[] = JSON.parse(ip('-j route show', pod.pid));
  assert.deepEqual(routes.map(({ dst, gateway }) => `${dst} ${gateway ?? ''}`).sort(), [
    '10.0.0.0/24 ',
    '10.9.0.0/16 10.0.0.254',
    'default 10.0.0.1',
  ]);
  assert.deepEqual(links(), [HOST_NAME]);
  assert.equal(ip(`-6 addr show dev ${HOST_NAME}`), '', 'the host says nothing of its own on the link');
  const conf = { ...CONF, prevResult: added.json };
  assert.deepEqual(await run('CHECK', conf), { status: 0, json: {} });
  assert.deepEqual(await run('DEL', conf), { status: 0, json: {} });
  assert.deepEqual([links(), links(pod.pid), server.ports.size], [[], [], 0]);
  assert.deepEqual(await run('DEL', conf), { status: 0, json: {} });
});

test('CHECK finds what was changed in the container', async () => {
  const { json: prevResult } = await run('ADD');
  const conf = { ...CONF, prevResult };
  ip('link set eth0 mtu 1400', pod.pid);
  assert.match(String((await run('CHECK', conf)).json['msg']), /the MTU is 1400, not 1450/);
  ip('link set eth0 mtu 1450', pod.pid);
  ip('route del default', pod.pid);
  assert.match(String((await run('CHECK', conf)).json['msg']), /route 0\.0\.0\.0\/0 by 10\.0\.0\.1 is missing/);
  ip('link set eth0 down', pod.pid);
  assert.match(String((await run('CHECK', conf)).json['msg']), /eth0 is down/);
  ip('link set eth0 up', pod.pid);
  ip('addr flush dev eth0', pod.pid);
  assert.match(String((await run('CHECK', conf)).json['msg']), /address 10\.0\.0\.5\/24 is missing/);
  ip('link del eth0', pod.pid);
  assert.match(String((await run('CHECK', conf)).json['msg']), /is not on the host/);
  assert.equal((await run('DEL', conf)).status, 0);
});

test('a port of the host is one container’s, from ADD to DEL, whoever makes the agent anew', async () => {
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }];
  const conf = { ...CONF, runtimeConfig: { portMappings } };
  const second = { CNI_CONTAINERID: 'c2', CNI_IFNAME: 'net1' };
  const { status, json: prevResult } = await run('ADD', conf);
  assert.equal(status, 0, JSON.stringify(prevResult));
  assert.deepEqual(await run('CHECK', { ...conf, prevResult }), { status: 0, json: {} });
  await close();
  stop = new AbortController();
  await startHandler();
  const refused = await run('ADD', conf, second);
  assert.deepEqual([refused.status, refused.json['code']], [1, 11]);
  assert.match(
    String(refused.json['msg']),
    /^runtimeConfig\.portMappings\[0\]\.hostPort: port 8080\/TCP of any address of this host is that of container c1$/,
  );
  assert.deepEqual([links(), links(pod.pid), server.ports.size], [[HOST_NAME], ['eth0'], 1], 'nothing is left of it');
  assert.equal((await run('DEL', conf)).status, 0);
  const added = await run('ADD', conf, second);
  assert.equal(added.status, 0, JSON.stringify(added.json));
  const gone = { ...conf, 'cni.dev/valid-attachments': [] };
  assert.equal((await run('GC', gone)).status, 0);
  const first = await run('ADD', conf);
  assert.equal(first.status, 0, JSON.stringify(first.json));
  const lost = {
    ...conf,
    prevResult: first.json,
    runtimeConfig: { portMappings: [{ ...portMappings[0], hostPort: 81 }] },
  };
  assert.match(String((await run('CHECK', lost)).json['msg']), /port 81\/TCP of any address of the host was not kept/);
  await run('DEL', conf);
});

test('ADD refuses a host port that a Service has, or that no address of the pod could be reached by', async () => {
  const place = { protocol: 'TCP', ipVersion: 4, port: 30_080 } as const;
  planned.set(entranceKey(place), { ...place, to: { address: '10.96.0.10', port: 80 } });
  const add = (hostPort: number, hostIP: string) =>
    run('ADD', { ...CONF, runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, hostIP }] } });
  const taken = await add(30_080, '127.0.0.1');
  planned.clear();
  assert.deepEqual([taken.status, taken.json['code']], [1, 11]);
  assert.match(
    String(taken.json['msg']),
    /\[0\]\.hostPort: port 30080\/TCP of 127\.0\.0\.1 of this host is that of a Service/,
  );
  const other = await add(8080, '::1');
  assert.deepEqual([other.status, other.json['code']], [1, 7]);
  assert.match(String(other.json['msg']), /\[0\]\.hostIP: the pod has no address of the version of IP of ::1/);
  assert.deepEqual([links(), server.ports.size], [[], 0]);
});

test('ADD again after a crash makes the interface anew', async () => {
  await run('ADD');
  assert.equal((await run('ADD')).status, 0);
  assert.deepEqual([links(), links(pod.pid), server.ports.size], [[HOST_NAME], ['eth0'], 1]);
  await run('DEL');
});

test('ADD with a name that the container has already fails and leaves nothing of its own', async () => {
  ip('link add eth0 type veth peer name other', pod.pid);
  const { status, json } = await run('ADD');
  assert.deepEqual([status, json['code']], [1, 101]);
  assert.deepEqual([links(), links(pod.pid).sort(), server.ports.size], [[], ['eth0', 'other'], 0]);
  ip('link del eth0', pod.pid);
});

test('ADD into a namespace that is gone fails with 3, DEL of it succeeds', async () => {
  const gone = { CNI_NETNS: '/run/netns/cable-none' };
  assert.equal((await run('ADD', CONF, gone)).json['code'], 3);
  assert.equal((await run('DEL', CONF, gone)).status, 0);
  assert.equal((await run('CHECK', { ...CONF, prevResult: {} }, gone)).json['code'], 102);
});

test('a gateway outside the prefix is reached on the link', async () => {
  const [subnet] = server.subnets;
  assert.ok(subnet);
  server.subnets[0] = { ...subnet, gateway_ip: '192.168.7.1', host_routes: [] };
  assert.equal((await run('ADD')).status, 0);
  assert.match(ip('route show default', pod.pid), /via 192\.168\.7\.1 .*onlink/);
  await run('DEL');
  server.subnets[0] = subnet;
});

/** Default routes of the container, as `gateway device`. */
function defaultRoutes(version: 4 | 6): readonly string[] {
  const routes: { gateway: string; dev: string }[] = JSON.parse(ip(`-j -${version} route show default`, pod.pid));
  return routes.map(({ gateway, dev }) => `${gateway} ${dev}`);
}

test('the interface that has the default routes keeps them, whatever comes and goes beside it', async () => {
  server.subnets.push({ ...SUBNET6, network_id: NETWORK_ID });
  const second = { CNI_IFNAME: 'net1' };
  const has = (dev: string) => [[`10.0.0.1 ${dev}`], [`2001:db8::1 ${dev}`]];
  const added = await run('ADD');
  assert.equal(added.status, 0, JSON.stringify(added.json));
  const { status, json: prevResult } = await run('ADD', CONF, second);
  assert.deepEqual([status, prevResult['routes']], [0, []]);
  assert.deepEqual([defaultRoutes(4), defaultRoutes(6)], has('eth0'));
  assert.deepEqual(await run('CHECK', { ...CONF, prevResult }, second), { status: 0, json: {} });
  await run('DEL', CONF, second);
  assert.deepEqual([defaultRoutes(4), defaultRoutes(6)], has('eth0'));
  assert.deepEqual(await run('CHECK', { ...CONF, prevResult: added.json }), { status: 0, json: {} });
  const refused = await run('ADD', { ...CONF, defaultRoute: true }, second);
  assert.deepEqual([refused.status, refused.json['code']], [1, 101]);
  assert.match(
    String(refused.json['msg']),
    /^defaultRoute: the container has a default route already, by 10\.0\.0\.1$/,
  );
  assert.deepEqual([defaultRoutes(4), links(pod.pid), server.ports.size], [['10.0.0.1 eth0'], ['eth0'], 1]);
  await run('DEL');
  const without = { ...CONF, defaultRoute: false };
  assert.equal((await run('ADD', without)).status, 0);
  assert.deepEqual([defaultRoutes(4), defaultRoutes(6)], [[], []]);
  assert.equal((await run('ADD', { ...CONF, defaultRoute: true }, second)).status, 0);
  assert.deepEqual([defaultRoutes(4), defaultRoutes(6)], has('net1'));
  await run('DEL', without);
  await run('DEL', CONF, second);
  server.subnets.pop();
});

test('a container that was made without IPv6 has that of its port, and takes no other', async () => {
  server.subnets.push({ ...SUBNET6, network_id: NETWORK_ID });
  const sysctl = (name: string): string =>
    execFileSync('nsenter', [`--net=/proc/${pod.pid}/ns/net`, 'sysctl', '-n', name], { encoding: 'utf8' }).trim();
  execFileSync('nsenter', [`--net=/proc/${pod.pid}/ns/net`, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  assert.equal((await run('ADD')).status, 0);
  assert.match(ip('-6 addr show dev eth0', pod.pid), /inet6 2001:db8::5\/64 scope global nodad/);
  assert.deepEqual(
    [sysctl('net.ipv6.conf.eth0.accept_ra'), sysctl('net.ipv6.conf.lo.accept_ra')],
    ['0', '1'],
    'of its own interface alone',
  );
  execFileSync('nsenter', [`--net=/proc/${pod.pid}/ns/net`, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=0']);
  await run('DEL');
  server.subnets.pop();
});

test('two interfaces of one container stand side by side', async () => {
  server.subnets[0] = { ...(server.subnets[0] as (typeof server.subnets)[0]), gateway_ip: null, host_routes: [] };
  assert.equal((await run('ADD')).status, 0);
  assert.equal((await run('ADD', CONF, { CNI_IFNAME: 'net1' })).status, 0);
  assert.deepEqual(links(pod.pid).sort(), ['eth0', 'net1']);
  await run('DEL');
  assert.deepEqual(links(pod.pid), ['net1']);
  await run('DEL', CONF, { CNI_IFNAME: 'net1' });
  assert.deepEqual([links(), links(pod.pid), server.ports.size], [[], [], 0]);
});

test('the executable and the agent speak the same versions', async () => {
  assert.deepEqual((await run('VERSION')).json['supportedVersions'], [...CNI_VERSIONS]);
});

test('what a crashed agent left in the making is removed at the start, by ADD again, and nothing else is', async () => {
  const make = (name: string, peer: string): void => {
    ip(`link add ${name} type veth peer name ${peer}`, pod.pid);
    ip(`link set ${name} netns ${process.pid}`, pod.pid);
  };
  make(HOST_NAME, 'half');
  make('cn-aaaaaaa0bb', 'other');
  ip('link add cvaaaaaaa1-bb type veth peer name cbaaaaaaa1-bb');
  assert.equal((await run('ADD', CONF, { CNI_IFNAME: 'net1' })).status, 0);
  assert.deepEqual(links(pod.pid), ['net1']);
  make('cvaaaaaaa2-bb', 'half');
  make('cn-aaaaaaa0bb', 'other');
  await podLinks.sweep();
  assert.deepEqual([links().sort(), links(pod.pid)], [[HOST_NAME, 'cbaaaaaaa1-bb', 'cvaaaaaaa1-bb'].sort(), ['net1']]);
  ip('link del cvaaaaaaa1-bb');
  await run('DEL', CONF, { CNI_IFNAME: 'net1' });
  assert.deepEqual([links(), links(pod.pid)], [[], []]);
});

test('a link of an older agent, whose alias is the port alone, is removed by DEL and by GC', async () => {
  for (const command of ['DEL', 'GC']) {
    assert.equal((await run('ADD')).status, 0);
    execFileSync('ip', ['link', 'set', HOST_NAME, 'alias', 'aaaaaaa0-bbbb-4ccc-8ddd-000000000000']);
    assert.equal((await run(command, { ...CONF, 'cni.dev/valid-attachments': [] })).status, 0);
    assert.deepEqual([links(), links(pod.pid), server.ports.size], [[], [], 0]);
  }
});

const FIFO = join(directory, 'fifo');

const REFUSED: readonly (readonly [string, string, number, RegExp])[] = [
  ["the agent's own", '/proc/self/ns/net', 4, /is the network namespace of the host itself/],
  ['its own by a process id', `/proc/${process.pid}/ns/net`, 4, /is the network namespace of the host itself/],
  ['a FIFO', FIFO, 4, /is no namespace/],
  ['a file', '/etc/hostname', 4, /is no namespace/],
  ['a directory', '/proc', 4, /is no namespace/],
  ['a namespace of another kind', '/proc/self/ns/mnt', 4, /is no network namespace/],
  ['a process that has ended', '/proc/2147483647/ns/net', 3, /there is no network namespace/],
];

for (const [what, path, code, says] of REFUSED) {
  test(`${what} as CNI_NETNS is refused with code ${code}, and nothing is made`, async () => {
    execFileSync('sh', ['-c', `[ -p ${FIFO} ] || mkfifo ${FIFO}`]);
    const routes = ip('route show');
    const { status, json } = await run('ADD', CONF, { CNI_NETNS: path });
    assert.deepEqual([status, json['code']], [1, code]);
    assert.match(String(json['msg']), says);
    assert.deepEqual([links(), server.ports.size, ip('route show')], [[], 0, routes]);
  });
}

test('the namespace found at the beginning is the one that gets the interface', async () => {
  const other = await holdNamespace();
  const path = join(directory, 'netns');
  try {
    symlinkSync(`/proc/${pod.pid}/ns/net`, path);
    server.beforeCreate = () => {
      unlinkSync(path);
      symlinkSync(`/proc/${other.pid}/ns/net`, path);
    };
    assert.equal((await run('ADD', CONF, { CNI_NETNS: path })).status, 0);
    assert.deepEqual([links(pod.pid), links(other.pid)], [['eth0'], []]);
  } finally {
    server.beforeCreate = () => undefined;
    await other.end();
  }
  await run('DEL');
});

for (const parallel of [1, 8, 32]) {
  test(`DEL of ${parallel} at once asks the kernel once or twice, and the loop is free meanwhile`, async (t) => {
    const ids = Array.from({ length: parallel }, (_, i) => ({ CNI_IFNAME: `p${i}` }));
    for (const env of ids) assert.equal((await run('ADD', CONF, env)).json['msg'], undefined);
    assert.equal(links().length, parallel);
    let asked = 0;
    let askedAll = (): void => undefined;
    const all = new Promise<void>((resolve) => {
      askedAll = resolve;
    });
    const { remove } = LinkRemover.prototype;
    t.mock.method(LinkRemover.prototype, 'remove', function (this: LinkRemover, refs: Iterable<LinkRef>) {
      asked += 1;
      if (asked === parallel) askedAll();
      return remove.call(this, refs);
    });
    const freeTurns: number[] = [];
    const { changeAside } = NetlinkSocket.prototype;
    t.mock.method(NetlinkSocket.prototype, 'changeAside', async function (this: NetlinkSocket, ask: NetlinkRequest) {
      const place = freeTurns.push(0) - 1;
      // The first that is removed takes so long that all others have been asked for meanwhile.
      await all;
      let isOver = false;
      const others = (): void => {
        freeTurns[place] = (freeTurns[place] ?? 0) + 1;
        if (!isOver) setImmediate(others);
      };
      setImmediate(others);
      await changeAside.call(this, ask);
      isOver = true;
    });
    const headers = (env: { CNI_IFNAME: string }) => ({
      'cni-command': 'DEL',
      'cni-containerid': 'c1',
      'cni-ifname': env.CNI_IFNAME,
    });
    const answers = await Promise.all(ids.map((env) => handle(headers(env), JSON.stringify(CONF), NEVER)));
    assert.ok(answers.every((answer) => answer.status === 200));
    assert.deepEqual([links(), links(pod.pid), server.ports.size], [[], [], 0]);
    assert.ok(freeTurns.length <= 2, `${freeTurns.length} requests`);
    assert.ok(
      freeTurns.every((turns) => turns > 0),
      `${freeTurns.join()} turns`,
    );
  });
}
