/** Host ports with real packets: a node with a link to pods and a wire, in namespaces of their own. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import { readElements, readTable } from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { EntranceKeeper, removeEntrances } from './entrance-keeper.ts';

const TABLE = { family: 'inet', name: 'cable-services' } as const;
const LINK = 'cb01234567-89';
const NODE = { 4: '203.0.113.1', 6: 'fd00:113::1' };
const PODS = ['10.244.0.2', '10.244.0.3'] as const;
const PODS6 = ['fd00:244::2', 'fd00:244::3'] as const;

const undo: (() => unknown)[] = [];
let [pods, wire]: HeldNamespace[] = [];
let socket: NetlinkSocket;
let keeper: EntranceKeeper;

before(async () => {
  enterOwnNamespace();
  socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
  undo.push(() => socket.close());
  [pods, wire] = [await holdNamespace(), await holdNamespace()];
  undo.push(() => Promise.all([pods?.end(), wire?.end()]));
  for (const [link, peer, own, others] of [
    [
      LINK,
      pods,
      ['10.244.0.1/16', 'fd00:244::1/64'],
      [...PODS.map((one) => `${one}/16`), ...PODS6.map((one) => `${one}/64`)],
    ],
    ['wire0', wire, [`${NODE[4]}/24`, `${NODE[6]}/64`], ['203.0.113.2/24', 'fd00:113::2/64']],
  ] as const) {
    ip(`link add ${link} up type veth peer name eth0 netns ${peer?.pid}`);
    ip('link set eth0 up', peer?.pid);
    for (const one of own) ip(`address add ${one} dev ${link}${one.includes(':') ? ' nodad' : ''}`);
    for (const one of others) ip(`address add ${one} dev eth0${one.includes(':') ? ' nodad' : ''}`, peer?.pid);
    for (const one of own)
      ip(`-${one.includes(':') ? 6 : 4} route add default via ${one.replace(/\/.*/, '')}`, peer?.pid);
  }
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
  serve(pods, 'UDP', PODS[0], 80, 'a');
  serve(pods, 'UDP', PODS[1], 80, 'b');
  const stop = new AbortController();
  undo.push(() => stop.abort());
  keeper = new EntranceKeeper({ nodeLinks: () => [LINK], log: silentLogger(), signal: stop.signal });
});

after(async () => {
  removeEntrances(socket);
  for (const one of undo.reverse()) await one();
});

let known: readonly Entrance[] = [];

/** These are all; resolves when they are in force. */
async function letIn(...all: readonly Entrance[]): Promise<void> {
  const changed = new Set([...known, ...all].map(entranceKey));
  known = all;
  keeper.take({ all: new Map(all.map((one) => [entranceKey(one), one])), changed, isWhole: true });
  await keeper.inForce(all, AbortSignal.timeout(10_000));
}

function hostPort(port: number, to: string, more: Partial<Entrance> = {}): Entrance {
  const ipVersion = to.includes(':') ? 6 : 4;
  return { protocol: 'TCP', ipVersion, port, isHostPort: true, to: { address: to, port: 80 }, ...more };
}

/** Says its name, and with whose address it was asked, to who comes to that address. */
function serve(
  where: HeldNamespace | undefined,
  protocol: 'TCP' | 'UDP',
  address: string,
  port: number,
  name: string,
): void {
  const version = address.includes(':') ? 6 : 4;
  const bind = version === 6 ? `[${address}]` : address;
  const listen = `${protocol}${version}-${protocol === 'TCP' ? 'LISTEN' : 'RECVFROM'}:${port},bind=${bind},fork,reuseaddr`;
  const enter = where === undefined ? [] : ['nsenter', '-t', String(where.pid), '-n'];
  const [command = '', ...words] = [...enter, 'socat', listen, `SYSTEM:echo ${name} $SOCAT_PEERADDR`];
  const child = spawn(command, words, { stdio: 'ignore' });
  undo.push(() => child.kill('SIGTERM'));
}

/** What is said there; empty: nothing within a second, or a refusal. */
function ask(from: HeldNamespace | undefined, to: string, protocol: 'TCP' | 'UDP' = 'TCP', options = ''): string {
  const enter = from === undefined ? [] : ['nsenter', '-t', String(from.pid), '-n'];
  const place = `${protocol}${to.startsWith('[') ? 6 : 4}:${to}${options}${protocol === 'TCP' ? ',connect-timeout=1' : ''}`;
  const [command = '', ...words] = [...enter, 'timeout', '3', 'socat', '-T1', '-', place];
  try {
    return execFileSync(command, words, { encoding: 'utf8', input: 'x\n', stdio: ['pipe', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

async function asked(from: HeldNamespace | undefined, to: string, protocol?: 'TCP' | 'UDP'): Promise<string> {
  for (let tries = 0; ; tries++) {
    const said = ask(from, to, protocol);
    if (said !== '' || tries > 20) return said;
    await sleep(50);
  }
}

test('a host port leads to its pod, from wherever one comes, and shows who came where answers find back', async () => {
  serve(pods, 'TCP', PODS[0], 80, 'a');
  serve(pods, 'TCP', PODS6[0], 80, 'a');
  await letIn(hostPort(8080, PODS[0]), hostPort(8080, PODS6[0]));
  assert.equal(await asked(wire, `${NODE[4]}:8080`), 'a 203.0.113.2');
  assert.equal(await asked(wire, `[${NODE[6]}]:8080`), 'a [fd00:0113:0000:0000:0000:0000:0000:0002]');
  const node6 = 'a [fd00:0244:0000:0000:0000:0000:0000:0001]';
  for (const [from, to, says, what] of [
    [undefined, `${NODE[4]}:8080`, 'a 10.244.0.1', 'a process'],
    [undefined, `[${NODE[6]}]:8080`, node6, 'a process by IPv6'],
    [undefined, '127.0.0.1:8080', 'a 10.244.0.1', 'a process by loopback'],
    [undefined, '[::1]:8080', node6, 'a process by loopback of IPv6'],
    [pods, `${NODE[4]}:8080`, 'a 10.244.0.1', 'a pod, itself too'],
  ] as const)
    assert.equal(await asked(from, to), says, what);
  assert.equal(ask(wire, `${NODE[4]}:8081`), '', 'other ports are the host’s');
});

test('nobody on a link reaches the host’s loopback by the way back from it', async () => {
  await letIn(hostPort(8080, PODS[0]));
  assert.equal(readFileSync(`/proc/sys/net/ipv4/conf/${LINK}/route_localnet`, 'utf8').trim(), '1');
  serve(undefined, 'TCP', '127.0.0.1', 7070, 'loopback');
  assert.equal(await asked(undefined, '127.0.0.1:7070'), 'loopback 127.0.0.1');
  // As a program does that makes its packets itself.
  const reach = (from: HeldNamespace | undefined, source: string, port: number): string => {
    const pid = from?.pid;
    execFileSync('nsenter', ['-t', String(pid), '-n', 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1']);
    ip('link set lo down', pid);
    return ask(from, `127.0.0.1:${port}`, 'TCP', `,bind=${source}`);
  };
  assert.equal(reach(pods, PODS[0], 7070), '');
  const dropped = [...(readTable(socket, TABLE)?.packets ?? [])].filter(([one]) => /loopback is the machine/.test(one));
  assert.ok((dropped[0]?.[1] ?? 0) >= 1, 'the packets came, and were dropped');
  assert.equal(reach(wire, '203.0.113.2', 8080), '', 'nor a host port by it');
  await letIn();
  for (let waited = 0; waited < 5000; waited += 10) {
    if (readFileSync(`/proc/sys/net/ipv4/conf/${LINK}/route_localnet`, 'utf8').trim() === '0') return;
    await sleep(10);
  }
  assert.fail('the way stays open though no host port needs it');
});

test('one address, one protocol: others at the port are others’, and a Service goes before', async () => {
  serve(pods, 'TCP', PODS[1], 80, 'b');
  serve(undefined, 'TCP', NODE[4], 9090, 'host');
  const local = hostPort(9090, PODS[0], { address: '127.0.0.1' });
  await letIn(local);
  assert.equal(await asked(undefined, '127.0.0.1:9090'), 'a 10.244.0.1');
  assert.equal(await asked(wire, `${NODE[4]}:9090`), 'host 203.0.113.2', 'who listens on the host at another address');
  const node = hostPort(9090, PODS[1], { address: NODE[4] });
  const elsewhere = hostPort(9090, PODS[1], { address: '203.0.113.2' });
  await letIn(local, node, elsewhere);
  assert.equal(await asked(wire, `${NODE[4]}:9090`), 'b 203.0.113.2');
  assert.equal(await asked(undefined, '127.0.0.1:9090'), 'a 10.244.0.1');
  serve(wire, 'TCP', '203.0.113.2', 9090, 'other machine');
  assert.match(await asked(undefined, '203.0.113.2:9090'), /^other machine/, 'an address that the host has not');
  const { isHostPort: _, ...service } = hostPort(9090, PODS[0]);
  await letIn(local, node, service);
  assert.equal(await asked(wire, `${NODE[4]}:9090`), 'a 203.0.113.2', 'the node port of a Service');
  assert.deepEqual(keeper.lacking(known), []);
  const gone = hostPort(9091, PODS[0]);
  assert.deepEqual(keeper.lacking([local, gone]), [gone]);
});

test('a conversation of UDP goes to the pod that has the port now, also when none had it', async () => {
  serve(undefined, 'UDP', NODE[4], 5353, 'host');
  const ends = { protocol: 'UDP' } as const;
  const say = (): string => ask(wire, `${NODE[4]}:5353`, 'UDP', ',sourceport=40000');
  const until = async (says: string): Promise<void> => {
    let said = '';
    for (let tries = 0; tries < 20 && said !== says; tries++) {
      said = say();
      // The keeper is in this process.
      await sleep(10);
    }
    assert.equal(said, says);
  };
  await until('host 203.0.113.2');
  await letIn(hostPort(5353, PODS[0], ends));
  await until('a 203.0.113.2');
  await letIn(hostPort(5353, PODS[1], ends));
  await until('b 203.0.113.2');
  await letIn();
  await until('host 203.0.113.2');
});

test('a conversation of UDP with an address of a Service goes where that leads now, from where one may, also when it led nowhere', async () => {
  const address = '198.51.100.9';
  ip(`route add ${address}/32 via ${NODE[4]}`, wire?.pid);
  // What is for nobody goes on to the router of the node, as by a default route.
  ip('route add 198.51.100.0/24 via 203.0.113.2');
  const service = (to: string, sources?: readonly string[]): Entrance => ({
    ...{ address, protocol: 'UDP', ipVersion: 4, port: 53, to: { address: to, port: 80 } },
    ...(sources === undefined ? {} : { sources }),
  });
  const becomes = async (says: string): Promise<void> => {
    let said: string | undefined;
    for (let tries = 0; tries < 10 && said !== says; tries++) {
      said = ask(wire, `${address}:53`, 'UDP', ',sourceport=40001');
      // The keeper is in this process.
      await sleep(10);
    }
    assert.equal(said, says);
  };
  await letIn();
  await becomes('');
  const steps: readonly (readonly [service: Entrance, says: string])[] = [
    [service(PODS[0]), 'a 203.0.113.2'],
    [service(PODS[1]), 'b 203.0.113.2'],
    [service(PODS[1], ['203.0.113.0/24']), 'b 203.0.113.2'],
    [service(PODS[0], ['203.0.113.0/24']), 'a 203.0.113.2'],
    [service(PODS[0], ['192.0.2.0/24']), ''],
    [service(PODS[0], ['192.0.2.0/24', '203.0.113.0/24']), 'a 203.0.113.2'],
  ];
  for (const [one, says] of steps) {
    await letIn(one);
    await becomes(says);
  }
});

test('a connection to a pod that went ends at once, and one to another place goes on', async () => {
  const other = hostPort(6061, PODS[0]);
  await letIn(hostPort(6060, PODS[0]), other);
  for (const port of [6060, 6061]) assert.equal(await asked(wire, `${NODE[4]}:${port}`), 'a 203.0.113.2');
  assert.deepEqual([isTracked(6060), isTracked(6061)], [true, true]);
  await letIn(hostPort(6060, PODS[1]), other);
  assert.deepEqual([isTracked(6060), isTracked(6061)], [false, true]);
});

function isTracked(port: number): boolean {
  const words = ['-L', '-p', 'tcp', '--orig-port-dst', String(port)];
  return execFileSync('conntrack', words, { stdio: ['ignore', 'pipe', 'ignore'] })
    .toString()
    .includes(`dport=${port}`);
}

test('many that move at once end theirs, and no others', async () => {
  const other = hostPort(6199, PODS[0]);
  for (const count of [2, 40]) {
    const ports = Array.from({ length: count }, (_, n) => 6100 + n);
    const [first = 0, last = 0] = [ports[0], ports.at(-1)];
    await letIn(...ports.map((port) => hostPort(port, PODS[0])), other);
    for (const port of [first, last, 6199]) assert.equal(await asked(wire, `${NODE[4]}:${port}`), 'a 203.0.113.2');
    assert.deepEqual([isTracked(first), isTracked(last), isTracked(6199)], [true, true, true]);
    await letIn(...ports.map((port) => hostPort(port, PODS[1])), other);
    assert.deepEqual([isTracked(first), isTracked(last), isTracked(6199)], [false, false, true]);
  }
});

test('what the table has of host ports is put back, and is SCTP’s too', async () => {
  const sctp = hostPort(7000, PODS[0], { protocol: 'SCTP' });
  await letIn(sctp);
  const keys = (readElements(socket, TABLE, 'host-ports-4') ?? []).map(({ key }) => Buffer.from(key).toString('hex'));
  assert.deepEqual(keys, ['840000001b580000']);
  removeEntrances(socket);
  for (let waited = 0; waited < 5000 && keeper.lacking([sctp]).length > 0; waited += 10) await sleep(10);
  assert.deepEqual(keeper.lacking([sctp]), []);
});

test('what is sent to a port of the agent’s own comes to it, whatever is kept of host ports', async () => {
  for (const protocol of ['TCP', 'UDP'] as const) {
    serve(undefined, protocol, NODE[4], 4789, 'host');
    serve(pods, protocol, PODS[0], 81, 'pod');
    await letIn(hostPort(4789, PODS[0], { protocol, to: { address: PODS[0], port: 81 } }));
    assert.equal(await asked(wire, `${NODE[4]}:4789`, protocol), 'host 203.0.113.2');
  }
});
