/** A chain of service functions between real agents' hosts: the one routes, the other is a bridge. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Pseudowire, PseudowireMatch } from '@cable/model';
import {
  CB_PW_ANSWERED,
  CB_PW_CLAIMED,
  CB_PW_FRAGMENT,
  CB_PW_MALFORMED,
  CB_PW_NO_SENDER,
  CB_PW_NO_WAY,
  CB_PW_NO_WIRE,
  CB_PW_OWN_TRAFFIC,
  CB_PW_TAKEN,
  CB_PW_UNKNOWN_FLOW,
} from '../bpf/abi.gen.ts';
import { answers } from '../labels/testing.ts';
import { FrameSocket } from '../net/frame-socket.ts';
import { requireLink } from '../net/link.ts';
import { inNetns } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';
import type { TestNetns } from '../net/testing.ts';
import { WIRE_UDP_PORT } from '../plan/pseudowire-rows.ts';
import type { SampleSlice } from '../plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { ipPacket, type Packet, udp, vxlan } from '../testing/raw-frames.ts';
import { type Ear, hearFrames } from '../testing/raw-guest.ts';
import { carries, Inside } from '../testing/traffic.ts';
import {
  addBridge,
  addNetGuest,
  addWireGuest,
  countOf,
  GUEST_MTU_BYTES,
  makeRouter,
  netSlices,
  plugGuest,
  replugNetGuest,
  traces,
  viewOf,
  type WireGuest,
  wire,
  wireWorld,
} from './testing.ts';

let bed: AgentBed;
let h1: BedHost;
let h2: BedHost;
let stranger: BedHost;
/** Whose packets the chain takes, on the first host, and who he speaks to, on the second. */
let client: WireGuest;
let server: WireGuest;
/** On the second host: a router with one port, and a bridge between two, which are of one guest. */
let router: WireGuest;
let bridge: readonly [WireGuest, WireGuest];
const services = new Inside();

const [CLIENT, SERVER] = ['10.0.0.21', '10.0.0.22'];
const [CLIENT6, SERVER6] = ['2001:db8:2::21', '2001:db8:2::22'];
const ALL: readonly PseudowireMatch[] = [{ ipVersion: 4 }, { ipVersion: 6 }];

before(async () => {
  bed = await createAgentBed('pwc', 3);
  const [first, second, third] = bed.hosts;
  assert.ok(first && second && third);
  [h1, h2, stranger] = [first, second, third];
  client = addNetGuest(21, h1);
  server = addNetGuest(22, h2);
  router = addWireGuest(31, h2);
  makeRouter(router.netns);
  bridge = addBridge(32, 33, h2);
  bed.server.set(world([]));
  await Promise.all([h1.start(), h2.start()]);
  for (const address of [SERVER, SERVER6]) await services.serve(server.netns.path, address);
  for (const address of [SERVER, SERVER6])
    await eventually(`${address} answers without a chain`, () => answers(client.netns, address));
});

after(async () => {
  await services.end();
  for (const { netns } of [client, server, router, bridge[0]]) netns.remove();
  await bed.remove();
});

function world(wires: readonly Pseudowire[]): readonly SampleSlice[] {
  return wireWorld([h1, h2], [client, server, router, ...bridge], wires, netSlices([client, server]));
}

/** What the client sends passes the router and the bridge. */
function there(matches = ALL): readonly Pseudowire[] {
  const path = 'there';
  const byRouter = { as: 'function', path, back: router.port.id } as const;
  const byBridge = { as: 'function', path, back: bridge[1].port.id, transparent: true } as const;
  return [
    wire(1, client, router, { from: { matches }, to: byRouter }),
    wire(2, router, bridge[0], { from: { path }, to: byBridge }),
    wire(3, bridge[1], client, { from: { path }, to: { as: 'resume', path, at: 'sent' } }),
  ];
}

/** What is delivered to it the other way round. */
function back(matches = ALL): readonly Pseudowire[] {
  const path = 'back';
  const byRouter = { as: 'function', path, back: router.port.id } as const;
  const byBridge = { as: 'function', path, back: bridge[0].port.id, transparent: true } as const;
  return [
    wire(4, client, bridge[1], { from: { at: 'delivered', matches }, to: byBridge }),
    wire(5, bridge[0], router, { from: { path }, to: byRouter }),
    wire(6, router, client, { from: { path }, to: { as: 'resume', path, at: 'delivered' } }),
  ];
}

async function put(...wires: readonly Pseudowire[]): Promise<void> {
  bed.server.set(world(wires));
  for (const host of [h1, h2]) {
    const own = wires.filter(({ from, to }) => [from.host, to.host].includes(host.name));
    await eventually('the wires are there', async () => {
      const view = await viewOf(host);
      return own.length === 0 ? view === null : view?.wires.length === own.length;
    });
  }
}

/** TTL of the answer to a ping; undefined: there is none. */
function ttlFrom(netns: TestNetns, to: string): number | undefined {
  try {
    const text = netns.run('ping', '-c', '1', '-W', '1', to);
    return Number(/(?:ttl|hlim)=(\d+)/.exec(text)?.[1]);
  } catch {
    return undefined;
  }
}

/** Frames that the guest's device has received. */
function received({ netns }: WireGuest, device = 'eth0'): number {
  const [link] = JSON.parse(netns.ip('-j', '-s', 'link', 'show', device)) as { stats64: { rx: { packets: number } } }[];
  return link?.stats64.rx.packets ?? 0;
}

function send({ netns }: WireGuest, frame: Uint8Array): void {
  inNetns(netns.path, () => {
    const [socket, frames] = [new NetlinkSocket(), new FrameSocket()];
    frames.send(requireLink(socket, 'eth0').ifindex, frame);
    frames.close();
    socket.close();
  });
}

async function counted(host: BedHost, kind: number, what: string, act: () => void, times = 1): Promise<void> {
  const was = await countOf(host, kind);
  act();
  await eventually(what, async () => (await countOf(host, kind)) >= was + times);
}

test('a chain both ways passes both functions, and everything comes through', async () => {
  await put(...there(), ...back());
  for (const [from, to] of [
    [CLIENT, SERVER],
    [CLIENT6, SERVER6],
  ] as const) {
    const was = [received(router), received(bridge[0]), received(bridge[1], 'eth1')];
    assert.equal(ttlFrom(client.netns, to), 63, `${from} to ${to}: the answer was routed once`);
    const now = [received(router), received(bridge[0]), received(bridge[1], 'eth1')];
    now.forEach((count, i) => {
      assert.ok(count > (was[i] ?? 0), `function ${i} had the packets to ${to}`);
    });
    assert.equal(ttlFrom(server.netns, from), 63, 'who is asked from there, too');
    await carries(client.netns, to, `the chain to ${to}`, GUEST_MTU_BYTES);
  }
  assert.ok((await countOf(h2, CB_PW_ANSWERED)) > 0, 'the router was told of a gateway that nobody is');
});

test('what a chain does not take goes past it, and of several the first takes it', async () => {
  await put(...there([{ ipVersion: 4, protocol: 17 }]));
  assert.equal(ttlFrom(client.netns, SERVER), 64);
  assert.equal(ttlFrom(client.netns, SERVER6), 64);
  await put(...there([{ ipVersion: 4, protocol: 1, destination: '10.0.0.22/32', source: '10.0.0.0/24' }]));
  const was = received(router);
  assert.equal(ttlFrom(client.netns, SERVER), 64, 'the answer comes straight');
  assert.ok(received(router) > was);
  const nowhere = { ...wire(9, client, router, { from: { matches: ALL, order: 0 } }), vni: 70_009 };
  await put({ ...nowhere, to: { ...nowhere.to, underlay: null } }, ...there());
  await counted(h1, CB_PW_NO_WAY, 'a wire with a lower order takes it', () => {
    assert.equal(ttlFrom(client.netns, SERVER), undefined);
  });
});

const MACS = { fromMac: 'fa:16:3e:00:00:15', toMac: 'fa:16:3e:00:00:16' } as const;
const PACKET: Packet = { ...MACS, from: CLIENT, to: SERVER };

/** The part of a datagram from `offset` bytes on; `more`: others follow. */
function fragment(id: number, offset: number, more: boolean, bytes: Uint8Array): Buffer {
  const frame = ipPacket({ ...PACKET }, 17, Buffer.concat([bytes, Buffer.alloc(2)]), bytes.length);
  const ip = frame.subarray(0, frame.length - 2);
  ip.writeUInt16BE(20 + bytes.length, 16);
  ip.writeUInt16BE(id, 18);
  ip.writeUInt16BE((more ? 0x2000 : 0) | (offset / 8), 20);
  ip.writeUInt16BE(0, 24);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += ip.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  ip.writeUInt16BE(~sum & 0xffff, 24);
  return ip;
}

test('fragments go the way of the first one, and by none where that was not seen', async () => {
  await put(...there([{ ipVersion: 4, protocol: 17, destinationPorts: [7000, 7000] }]));
  const head = (port: number): Buffer =>
    Buffer.concat([Buffer.of(160, 0, port >> 8, port & 255, 0, 80, 0, 0), Buffer.alloc(24)]);
  const wires = async (): Promise<number> =>
    (await viewOf(h1))?.wires.find(({ name }) => name === 'wire-1')?.frames ?? 0;
  const was = await wires();
  send(client, fragment(77, 0, true, head(7000)));
  send(client, fragment(77, 32, false, Buffer.alloc(40)));
  await eventually('both take the wire', async () => (await wires()) === was + 2);
  send(client, fragment(78, 0, true, head(7001)));
  send(client, fragment(78, 32, false, Buffer.alloc(40)));
  await counted(h1, CB_PW_FRAGMENT, 'nobody has seen its first', () =>
    send(client, fragment(79, 32, false, Buffer.alloc(40))),
  );
  assert.equal(await wires(), was + 2, 'those of another port do not');
  client.netns.run('ping', '-c', '2', '-i', '0.1', '-W', '1', '-s', '3000', SERVER);
});

test('headers that cannot be read do not get around a chain', async () => {
  await put(...there());
  const head = `${'fa163e000016'}${'fa163e000015'}`;
  const four = `${'00'.repeat(10)}0a0000150a000016`;
  const addresses6 = `${'20010db8000200000000000000000021'}${'20010db8000200000000000000000022'}`;
  const cases: Readonly<Record<string, string>> = {
    'cut IPv4': `${head}08004500`,
    'a header that is too short': `${head}08004400001c${four}${'00'.repeat(30)}`,
    'a header that is longer than the packet': `${head}08004f00001c${four}${'00'.repeat(30)}`,
    'a length beyond the frame': `${head}080045000100${four}${'00'.repeat(30)}`,
    'UDP without ports': `${head}0800450000160000000040110000${'0a0000150a000016'}0102${'00'.repeat(30)}`,
    'another version': `${head}08006500001c${four}${'00'.repeat(30)}`,
    'cut IPv6': `${head}86dd6000`,
    'extension headers without end': `${head}86dd60000000004000ff${addresses6}${'0000000000000000'.repeat(8)}`,
    'an extension header beyond the packet': `${head}86dd6000000000080040${addresses6}11ff000000000000`,
  };
  for (const [what, hex] of Object.entries(cases))
    await counted(h1, CB_PW_MALFORMED, what, () => send(client, Buffer.from(hex, 'hex')));
});

test('a function gives back what it was given, and nothing else', async () => {
  await put(...there(), ...back());
  assert.equal(ttlFrom(client.netns, SERVER), 63);
  const was = received(server);
  const cases: readonly (readonly [string, number, WireGuest, Uint8Array])[] = [
    ['a packet that nobody sent', CB_PW_UNKNOWN_FLOW, router, udp({ ...PACKET }, 4242)],
    ['one of another sender', CB_PW_UNKNOWN_FLOW, router, udp({ ...PACKET, from: '10.0.0.77' }, 7000)],
    [
      'an ARP that is no question',
      CB_PW_OWN_TRAFFIC,
      router,
      Buffer.from(
        `ffffffffffff${'fa163e00001f'}08060001080006040002${'fa163e00001f'}0a000001${'00'.repeat(6)}0a000002`,
        'hex',
      ),
    ],
    [
      'a question of a bridge',
      CB_PW_OWN_TRAFFIC,
      bridge[0],
      Buffer.from(
        `ffffffffffff${'fa163e000020'}08060001080006040001${'fa163e000020'}0a000001${'00'.repeat(6)}0a000002`,
        'hex',
      ),
    ],
    [
      'what is no IP',
      CB_PW_OWN_TRAFFIC,
      router,
      Buffer.from(`0180c2000000${'fa163e00001f'}002642420300000000${'00'.repeat(30)}`, 'hex'),
    ],
    [
      'a tag',
      CB_PW_OWN_TRAFFIC,
      router,
      Buffer.from(
        `${'fa163e000016'}${'fa163e00001f'}81000007${udp({ ...PACKET }, 7000)
          .subarray(12)
          .toString('hex')}`,
        'hex',
      ),
    ],
  ];
  for (const [what, kind, from, frame] of cases) await counted(h2, kind, what, () => send(from, frame));
  await counted(h2, CB_PW_UNKNOWN_FLOW, 'its own ping', () => assert.ok(!answers(router.netns, SERVER)));
  assert.equal(received(server), was);
});

test('a function that two paths give the same flow keeps it to the first', async () => {
  const path = 'other';
  const other = [
    wire(11, server, router, {
      from: { at: 'delivered', matches: ALL },
      to: { as: 'function', path, back: router.port.id },
    }),
    wire(12, router, server, { from: { path }, to: { as: 'resume', path, at: 'delivered' } }),
  ];
  await put(...there(), ...other);
  await counted(h2, CB_PW_CLAIMED, 'the second is dropped', () => assert.ok(!answers(client.netns, SERVER)));
});

test('without its function, or its host, a chain lets nothing pass', async () => {
  await put(...there());
  assert.equal(ttlFrom(client.netns, SERVER), 64);
  h2.exec('ip', 'link', 'delete', `cv${router.port.id.slice(0, 11)}`);
  await counted(h2, CB_PW_NO_WAY, 'its device is not there', () => assert.ok(!answers(client.netns, SERVER)));
  plugGuest(router);
  makeRouter(router.netns);
  await eventually('it is there again', () => answers(client.netns, SERVER));
  const [first, ...others] = there();
  assert.ok(first);
  await put({ ...first, to: { ...first.to, underlay: null } }, ...others);
  await counted(h1, CB_PW_NO_WAY, 'its host is not known', () => assert.ok(!answers(client.netns, SERVER)));
});

test('a VNI is taken only from the host where its wire begins', async () => {
  await put(...there());
  const [link] = JSON.parse(h2.exec('ip', '-j', 'link', 'show', 'eth0')) as { address: string }[];
  const around: Packet = {
    fromMac: '02:00:00:00:00:09',
    toMac: link?.address ?? '',
    from: stranger.underlay,
    to: h2.underlay,
  };
  const sendAs = (from: string, vni: number): void => {
    const frame = vxlan({ ...around, from }, vni, udp(PACKET, 7000), WIRE_UDP_PORT);
    inNetns(`/run/netns/${stranger.netns}`, () => {
      const [socket, frames] = [new NetlinkSocket(), new FrameSocket()];
      frames.send(requireLink(socket, 'eth0').ifindex, frame);
      frames.close();
      socket.close();
    });
  };
  const taken = await countOf(h2, CB_PW_TAKEN);
  await counted(h2, CB_PW_NO_SENDER, 'from another host', () => sendAs(stranger.underlay, 70_001));
  await counted(h2, CB_PW_NO_WIRE, 'a VNI of nobody', () => sendAs(h1.underlay, 99));
  await counted(h2, CB_PW_NO_WIRE, 'a VNI that begins there', () => sendAs(h1.underlay, 70_003));
  assert.equal(await countOf(h2, CB_PW_TAKEN), taken);
});

/** How often what the client sent has come to the server, by TTL. */
function ttls(ear: Ear): readonly number[] {
  const isFromClient = (frame: Buffer): boolean => frame.subarray(26, 30).equals(Buffer.of(10, 0, 0, 21));
  return ear.take().flatMap((frame) => (isFromClient(frame) ? (frame[22] ?? 0) : []));
}

test('at the plug of a port nothing gets around its chain', async () => {
  await put(...there());
  const { ip } = server.netns;
  const [link] = JSON.parse(ip('-j', 'link', 'show', 'eth0')) as { ifindex: number }[];
  const ear = hearFrames(server.netns.path, link?.ifindex ?? 0);
  for (let times = 0; times < 3; times += 1) {
    h1.exec('ip', 'link', 'delete', `cv${client.port.id.slice(0, 11)}`);
    await eventually('it is gone', async () => (await viewOf(h1))?.devices.length === 0);
    ttls(ear);
    replugNetGuest(client);
    client.netns.ip('neighbour', 'replace', SERVER, 'lladdr', server.port.macAddress, 'dev', 'eth0');
    const pings = spawn('nsenter', [`--net=${client.netns.path}`, 'ping', '-q', '-A', '-w', '30', SERVER], {
      stdio: 'ignore',
    });
    const came = await eventually('it comes', () => {
      const all = ttls(ear);
      return all.length > 0 && all;
    });
    pings.kill('SIGKILL');
    await once(pings, 'exit');
    assert.deepEqual([...new Set([...came, ...ttls(ear)])], [63], 'all has been routed');
  }
  ear.close();
});

test('where the programs cannot be loaded its ports are shut', async () => {
  const dir = mkdtempSync(join(bed.dir, 'object-'));
  const built = fileURLToPath(new URL('../../../../build/vrouter/', import.meta.url));
  for (const name of readdirSync(built))
    if (name !== 'pseudowires.bpf.o') copyFileSync(join(built, name), join(dir, name));
  await put();
  assert.equal(ttlFrom(client.netns, SERVER), 64);
  await h1.end('SIGTERM');
  await h1.start('--object', join(dir, 'vrouter.bpf.o'));
  await eventually('it works without a chain', () => ttlFrom(client.netns, SERVER) === 64);
  bed.server.set(world(there()));
  await eventually('nothing passes', () => ttlFrom(client.netns, SERVER) === undefined);
  const status = await h1.ask<{ vifs: { error: number } }>('/status');
  assert.equal(status?.vifs.error, 1, 'the port says so');
  copyFileSync(join(built, 'pseudowires.bpf.o'), join(dir, 'pseudowires.bpf.o'));
  await eventually('it passes by the chain', () => ttlFrom(client.netns, SERVER) === 64);
  assert.ok((await viewOf(h1))?.wires.some(({ frames }) => frames > 0));
});

test('a killed agent leaves a chain as it is, another takes it over without a loss, and with the last wire all of it goes', async () => {
  await put(...there(), ...back());
  const pings = client.netns;
  assert.equal(ttlFrom(pings, SERVER), 63);
  await Promise.all([h1.end('SIGKILL'), h2.end('SIGKILL')]);
  assert.equal(ttlFrom(pings, SERVER), 63, 'while no agent runs');
  const flood = client.netns.run.bind(client.netns);
  const loss = Promise.all([h1.start(), h2.start()]);
  let sent = 0;
  for (let isOver = false; !isOver; ) {
    const text = flood('ping', '-c', '50', '-i', '0.01', '-W', '2', '-q', SERVER);
    assert.match(text, /50 received/, text);
    sent += 50;
    isOver =
      (await Promise.race([loss.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 10))])) ===
      true;
  }
  assert.ok(sent > 0);
  assert.equal(ttlFrom(pings, SERVER), 63);
  assert.deepEqual(traces(h1), ['pw_sent', 'pw_delivered', 'cablew0', 'maps']);
  await put();
  for (const host of [h1, h2]) await eventually('nothing is left', () => traces(host).length === 0);
  assert.equal(ttlFrom(pings, SERVER), 64);
  await put(...there());
  await h2.end('SIGKILL');
  h2.run('--teardown');
  assert.deepEqual(traces(h2), []);
});
