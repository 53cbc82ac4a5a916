/**
 * Translation of what a real stack sends: checksums that are left to the device, segments that are left to it, ARP of both sides. Two guests and a machine
 * outside are in namespaces of their own. What the outside sends is larger than the guests' network takes: it must hear of that.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { createNetns, type TestNetns } from '../../packages/agent/src/net/testing.ts';
import { addExternal, addFloating, addForward, addGateway } from './outside.ts';
import { PROTO } from './packet.ts';
import { type Guest, World } from './world.ts';

const [INSIDE, EXTERNAL, VRF] = [100, 900, 5];
const [A, B, R, G] = ['02:00:00:00:01:0a', '02:00:00:00:01:0b', '02:00:00:00:01:fe', '02:00:00:00:09:fe'] as const;
const [FLOATING, S, P] = ['203.0.113.10', '203.0.113.2', '203.0.113.20'] as const;
const OUTER = '198.51.100.7';

/** Echoes what it gets by TCP, and by UDP at an address. */
const SERVER = `
  const [net, dgram] = [require('net'), require('dgram')];
  const udp = dgram.createSocket('udp4');
  udp.on('message', (data, from) => udp.send(data, from.port, from.address));
  net.createServer((socket) => { socket.on('error', () => {}); socket.pipe(socket); }).listen(7777, '0.0.0.0', () =>
    udp.bind(7777, process.argv[1], () => console.log('ready')));
`;
/** Sends so many bytes to ADDRESS PORT and says how many came back, by TCP; then a datagram. */
const CLIENT = `
  const [net, dgram] = [require('net'), require('dgram')];
  const [address, port, bytes] = process.argv.slice(1);
  setTimeout(() => { console.log('time is over'); process.exit(1); }, 20000).unref();
  const socket = net.connect({ host: address, port: Number(port) });
  let came = 0;
  socket.on('data', (data) => { came += data.length; if (came === Number(bytes)) socket.end(); });
  socket.on('close', () => {
    const udp = dgram.createSocket('udp4');
    udp.on('message', (data) => { console.log(came + ' ' + data.length); udp.close(); });
    udp.send(Buffer.alloc(1000), Number(port), address);
  });
  socket.write(Buffer.alloc(Number(bytes), 7));
`;

let world: World;
let outside: TestNetns;
let inside: TestNetns[] = [];
const servers: ChildProcess[] = [];

function addNamespace(
  of: Guest | 'uplink',
  addresses: readonly string[],
  mac: string | undefined,
  gateway?: string,
): TestNetns {
  const netns = createNetns();
  const device = world.givePeer(of, netns);
  netns.ip('link', 'set', 'lo', 'up');
  if (mac !== undefined) netns.ip('link', 'set', device, 'address', mac);
  for (const address of addresses) netns.ip('address', 'add', address, 'dev', device);
  netns.ip('link', 'set', device, 'up');
  if (gateway !== undefined) netns.ip('route', 'add', 'default', 'via', gateway);
  return netns;
}

async function serve(netns: TestNetns, address: string): Promise<void> {
  const child = spawn('nsenter', [`--net=${netns.path}`, process.execPath, '-e', SERVER, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  servers.push(child);
  assert.ok(child.stdout !== null);
  await once(child.stdout, 'data');
}

/** Bytes that came back by TCP, and of a datagram. */
function talk(netns: TestNetns, address: string, port: number, bytes: number): string {
  const words = [`--net=${netns.path}`, process.execPath, '-e', CLIENT, address, String(port), String(bytes)];
  return execFileSync('nsenter', words, { encoding: 'utf8', timeout: 30_000 }).trim();
}

before(async () => {
  world = new World();
  addExternal(world, EXTERNAL);
  const [a, b] = [
    world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE }),
    world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE }),
  ];
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R });
  addGateway(world, { vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: '203.0.113.1' });
  addFloating(world, { external: EXTERNAL, ip: FLOATING, guest: a, vrf: VRF, mac: G });
  for (const protocol of [PROTO.tcp, PROTO.udp])
    addForward(world, { external: EXTERNAL, ip: P, mac: G, vrf: VRF, guest: b, protocol, port: 8080, toPort: 7777 });
  world.receiveAnew();
  outside = addNamespace('uplink', ['203.0.113.1/24', `${OUTER}/32`], undefined);
  inside = [addNamespace(a, ['10.0.0.5/24'], A, '10.0.0.254'), addNamespace(b, ['10.0.0.6/24'], B, '10.0.0.254')];
  await serve(outside, OUTER);
  for (const netns of inside) await serve(netns, '0.0.0.0');
});

after(() => {
  for (const server of servers) server.kill();
  for (const netns of [outside, ...inside]) netns?.remove();
  world.close();
});

const BYTES = 2_000_000;

for (const [what, from, to, port] of [
  ['a guest with a floating IP reaches the outside', 0, OUTER, 7777],
  ['a guest without one does, by the router’s address', 1, OUTER, 7777],
  ['a guest reaches another’s floating IP', 1, FLOATING, 7777],
  ['a guest reaches its own floating IP', 0, FLOATING, 7777],
  ['a guest reaches a forwarded port', 0, P, 8080],
] as const) {
  test(`${what}, by TCP and UDP`, () => {
    assert.equal(talk(inside[from] as TestNetns, to, port, BYTES), `${BYTES} 1000`);
  });
}

test('the outside reaches a floating IP and a forwarded port', () => {
  assert.equal(talk(outside, FLOATING, 7777, BYTES), `${BYTES} 1000`);
  assert.equal(talk(outside, P, 8080, BYTES), `${BYTES} 1000`);
});

test('ping', () => {
  for (const [netns, to] of [
    [inside[0], OUTER],
    [inside[1], OUTER],
    [inside[1], S],
    [outside, FLOATING],
    [outside, S],
  ] as const)
    assert.match(netns?.run('ping', '-c', '3', '-i', '0.2', '-W', '5', to) ?? '', / 0% packet loss/, to);
});
