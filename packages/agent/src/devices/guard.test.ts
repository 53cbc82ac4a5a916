import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import { changeElements, deleteTable, type NftTable, readTable, replaceTable } from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { guardDrops, guardFaults, makeGuard, removeGuard } from './guard.ts';
import { type GuardKeeper, startGuardKeeper } from './guard-keeper.ts';

const INET = { family: 'inet', name: 'cable' } as const;
const FOREIGN: NftTable = { family: 'inet', name: 'foreign', comment: 'another product', chains: [] };

let socket: NetlinkSocket;
let outside: HeldNamespace;

before(async () => {
  enterOwnNamespace();
  socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
  outside = await holdNamespace();
  ip('link set lo up', outside.pid);
});

after(async () => {
  socket.close();
  await outside.end();
});

/** A veth of that name, with the other end outside: 10.9.0.1 here, 10.9.0.2 there. Gives the pair's removal. */
function wire(name: string): () => void {
  ip(`link add ${name} type veth peer name far netns ${outside.pid}`);
  ip(`address add 10.9.0.1/24 dev ${name}`);
  ip(`link set ${name} up`);
  ip('address add 10.9.0.2/24 dev far', outside.pid);
  ip('link set far up', outside.pid);
  return () => ip(`link delete ${name}`);
}

/** Whether the host answers pings that come in by a device of that name, ARP included, within so many seconds. */
function answersBy(name: string, seconds = 5): boolean {
  const unwire = wire(name);
  try {
    const words = ['ping', '-c1', '-i0.2', `-w${seconds}`, '10.9.0.1'];
    execFileSync('nsenter', ['-t', String(outside.pid), '-n', ...words], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    unwire();
  }
}

const GUESTS = ['tap01234567-89', 'tapfedcba98-fe', 'cv01234567-89', 'cbr01234567-89', 'cables1', 'cablef1', 'cablevx'];
const OTHERS = [
  ...['tap0', 'tap01234567-8', 'tap0123456789a', 'tapABCDEF01-23', 'cv0123456789a', 'cv01234567-8', 'cvx'],
  ...['cb01234567-89', 'cbr0', 'cbr01234567-8', 'cable0', 'cablevx1', 'qvo01234567-89', 'eth0'],
];

for (const name of GUESTS) {
  test(`what comes in by ${name} does not meet the host`, () => {
    assert.equal(answersBy(name), true, 'without the guard it does');
    makeGuard(socket, { tunnelDevices: undefined });
    assert.equal(answersBy(name, 1), false);
    assert.ok((guardDrops(socket)[0]?.packets ?? 0) > 0, 'it was the guard');
    assert.equal(removeGuard(socket), true);
    assert.equal(answersBy(name), true, 'nothing of it is left');
  });
}

test("others' devices are not met, whatever their names have in common with those of guests", () => {
  makeGuard(socket, { tunnelDevices: undefined });
  assert.deepEqual(
    OTHERS.filter((name) => !answersBy(name)),
    [],
  );
  assert.deepEqual(guardDrops(socket), []);
});

test("a VM's tap in another product's bridge is that product's", () => {
  makeGuard(socket, { tunnelDevices: undefined });
  ip(`link add tap01234567-89 type veth peer name far netns ${outside.pid}`);
  ip('link add br0 up type bridge');
  ip('link set tap01234567-89 master br0 up');
  ip('address add 10.9.0.1/24 dev br0');
  ip('address add 10.9.0.2/24 dev far', outside.pid);
  ip('link set far up', outside.pid);
  execFileSync('nsenter', ['-t', String(outside.pid), '-n', 'ping', '-c1', '-w5', '10.9.0.1'], { stdio: 'ignore' });
  ip('link delete br0');
  ip('link delete tap01234567-89');
});

/** Packets to a UDP port that arrive by a device of that name, of the one that is sent; where none is to arrive, it is waited for a while. */
async function arriveBy(name: string, port: number, waitMs = 60_000): Promise<number> {
  const unwire = wire(name);
  const heard = createSocket('udp4');
  let packets = 0;
  heard.on('message', () => {
    packets += 1;
  });
  await listening(heard, port);
  execFileSync('nsenter', ['-t', String(outside.pid), '-n', 'bash', '-c', `echo x >/dev/udp/10.9.0.1/${port}`]);
  for (let waited = 0; waited < waitMs && packets === 0; waited += 10) await delay(10);
  await new Promise<void>((resolve) => heard.close(() => resolve()));
  unwire();
  return packets;
}

function listening(one: Socket, port: number): Promise<void> {
  return new Promise((resolve) => one.bind(port, '0.0.0.0', resolve));
}

test('tunnel packets come by the underlay’s device alone, other packets by any', async () => {
  makeGuard(socket, { tunnelDevices: ['up0', 'up1'] });
  assert.equal(await arriveBy('up0', 4789), 1);
  assert.equal(await arriveBy('up1', 4789), 1);
  assert.equal(await arriveBy('wan0', 4789, 1_000), 0);
  assert.equal(await arriveBy('wan0', 4790), 1);
  assert.deepEqual(guardDrops(socket), [{ what: 'VXLAN by another device than that of the underlay', packets: 1 }]);
  const unwire = wire('wan0');
  ip('route add 10.8.0.0/24 via 10.9.0.1', outside.pid);
  execFileSync('nsenter', ['-t', String(outside.pid), '-n', 'bash', '-c', 'echo x >/dev/udp/10.8.0.2/4789']);
  unwire();
  assert.equal(guardDrops(socket)[0]?.packets, 1, "another product's tunnels, through this host, are not met");
  makeGuard(socket, { tunnelDevices: undefined });
  assert.equal(await arriveBy('wan0', 4789), 1, 'where the device is not known, by any');
});

test('what comes by a link of a node leaves with the address of this host, what comes by others as it came', async (t) => {
  const far = await holdNamespace();
  const inside = wire('cb01234567-89');
  t.after(inside);
  ip(`link add up0 type veth peer name far netns ${far.pid}`);
  t.after(() => {
    ip('link delete up0');
    return far.end();
  });
  ip('address add 192.0.2.1/24 dev up0');
  ip('link set up0 up');
  ip('address add 192.0.2.2/24 dev far', far.pid);
  ip('link set far up', far.pid);
  ip('route add 192.0.2.0/24 via 10.9.0.1', outside.pid);
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  const sees = (): string => {
    const listener = spawnSync('nsenter', [
      '-t',
      String(far.pid),
      '-n',
      'timeout',
      '40',
      'python3',
      '-c',
      oneDatagram(String(outside.pid)),
    ]);
    return String(listener.stdout).trim();
  };
  makeGuard(socket, { tunnelDevices: undefined, nodeLinks: ['cb01234567-89'] });
  assert.equal(sees(), '192.0.2.1');
  makeGuard(socket, { tunnelDevices: undefined, nodeLinks: ['cb76543210-89'] });
  assert.equal(sees(), '10.9.0.2');
  makeGuard(socket, { tunnelDevices: undefined });
  assert.equal(sees(), '10.9.0.2');
  // Who keeps his address does so to everybody but other nodes; whoever is beside him does not.
  const nodeLinks = ['cb01234567-89'];
  const keep = (prefix: string, ...nodes: readonly string[]) => ({ prefixes: ['fd00::/64', prefix], nodes });
  const cases: readonly (readonly [prefix: string, node: string, seen: string])[] = [
    ['10.9.0.0/30', '192.0.2.9', '10.9.0.2'],
    ['10.9.0.2/32', 'fd00:2::2', '10.9.0.2'],
    ['10.0.0.0/8', '192.0.2.2', '192.0.2.1'],
    ['10.9.0.4/30', '192.0.2.9', '192.0.2.1'],
    ['10.9.0.3/32', '192.0.2.9', '192.0.2.1'],
  ];
  for (const [prefix, node, seen] of cases) {
    const made = makeGuard(socket, { tunnelDevices: undefined, nodeLinks, keeping: keep(prefix, node) });
    assert.equal(sees(), seen, `${prefix}, but not to ${node}`);
    assert.deepEqual(guardFaults(socket, made), []);
  }
  const made = makeGuard(socket, { tunnelDevices: undefined, nodeLinks, keeping: keep('10.9.0.0/24', '192.0.2.2') });
  changeElements(socket, INET, [{ map: 'nodes-4', gone: [{ key: Uint8Array.of(192, 0, 2, 2) }], come: [] }]);
  assert.deepEqual(guardFaults(socket, made), ['the nftables table inet cable was changed']);
  makeGuard(socket, { tunnelDevices: undefined });
});

test('what pods send through this host is never what hosts send each other', async (t) => {
  const far = await holdNamespace();
  const link = 'cb01234567-89';
  const inside = wire(link);
  t.after(inside);
  ip(`link add up0 type veth peer name far netns ${far.pid}`);
  t.after(() => {
    ip('link delete up0');
    return far.end();
  });
  for (const [address, device, pid] of [
    ['192.0.2.1/24', 'up0'],
    ['2001:db8::1/64', 'up0'],
    ['192.0.2.2/24', 'far', far.pid],
    ['2001:db8::2/64', 'far', far.pid],
    ['fd00:9::1/64', link],
    ['fd00:9::2/64', 'far', outside.pid],
  ] as const)
    ip(`address add ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`, pid);
  ip('link set up0 up');
  ip('link set far up', far.pid);
  ip('route add 192.0.2.0/24 via 10.9.0.1', outside.pid);
  ip('route add 2001:db8::/64 via fd00:9::1', outside.pid);
  ip('route add 10.9.0.0/24 via 192.0.2.1', far.pid);
  ip('route add fd00:9::/64 via 2001:db8::1', far.pid);
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
  const passes = (): readonly string[] => {
    const listener = ['timeout', '60', 'python3', '-c', whatArrives(String(outside.pid))];
    const { stdout } = spawnSync('nsenter', ['-t', String(far.pid), '-n', ...listener]);
    return String(stdout).trim().split(' ');
  };
  const others = ['tcp4/4790', 'tcp6/4790', 'udp4/4790', 'udp6/4790'];
  const between = ['tcp4/4789', 'tcp6/4789', 'udp4/14789', 'udp4/4789', 'udp6/14789', 'udp6/4789'];
  makeGuard(socket, { tunnelDevices: ['up0'], nodeLinks: [link] });
  assert.deepEqual(passes(), others);
  assert.ok(guardDrops(socket).every(({ what }) => what.startsWith(`${link}: pods send no `)));
  assert.equal(guardDrops(socket).length, 3);
  // The vrouter's own word on the path's MTU has as many hops as there are, a pod's is routed before.
  const ofPaths = (hops: number): number => {
    const { status, stderr } = spawnSync('nsenter', ['-t', String(outside.pid), '-n', 'python3', '-c', tooBig(hops)]);
    assert.equal(status, 0, String(stderr));
    return guardDrops(socket).filter(({ what }) => what.startsWith(`${link}: pods tell nobody the MTU of`)).length;
  };
  assert.deepEqual([ofPaths(255), ofPaths(254)], [0, 2]);
  const answered = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 4789))
s.sendto(b"x", ("192.0.2.2", 4790))
time.sleep(0.3)
`;
  spawnSync('nsenter', ['-t', String(outside.pid), '-n', 'python3', '-c', answered]);
  assert.ok(guardDrops(socket).some(({ what }) => what === `${link}: pods are answered no VXLAN as this host`));
  makeGuard(socket, { tunnelDevices: ['up0'], nodeLinks: ['cb76543210-89'] });
  assert.deepEqual(passes(), [...between, ...others].sort(), 'what comes by another link');
  makeGuard(socket, { tunnelDevices: undefined });
});

/** What a process of another namespace sends that arrives here, of both protocols and versions of IP, at the ports between hosts and at another. */
function whatArrives(pid: string): string {
  return `
import select, socket, subprocess
places, script = {}, ""
for port in (4789, 14789, 4790):
    for kind in ("udp",) if port == 14789 else ("udp", "tcp"):
        for version, at, family in ((4, "192.0.2.2", socket.AF_INET), (6, "2001:db8::2", socket.AF_INET6)):
            s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
            s.bind((at, port))
            if kind == "tcp": s.listen()
            places[s] = f"{kind}{version}/{port}"
            script += f"timeout 4 bash -c 'echo x >/dev/{kind}/{at}/{port}' & "
# A link that has just been made loses some.
for _ in range(5):
    subprocess.run(["nsenter", "-t", "${pid}", "-n", "bash", "-c", script + "wait"], stderr=subprocess.DEVNULL)
    arrived = [places[s] for s in select.select(list(places), [], [], 1)[0]]
    if sum("4790" in one for one in arrived) == 4: break
print(" ".join(sorted(arrived)))
`;
}

/** Says by both versions of IP that something was too big. */
function tooBig(hops: number): string {
  return `
import socket, time
four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
four.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ${hops})
four.sendto(bytes([3, 4]) + bytes(34), ("192.0.2.2", 0))
six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ${hops})
six.sendto(bytes([2, 0]) + bytes(54), ("2001:db8::2", 0))
time.sleep(0.3)
`;
}

/** Whom a datagram comes from that a process of another namespace sends to 192.0.2.2; from a port of its own each time, for connections are remembered. */
function oneDatagram(pid: string): string {
  return `
import socket, subprocess
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("192.0.2.2", 0))
s.settimeout(2)
port = s.getsockname()[1]
# A link that has just been made loses some.
for _ in range(10):
    subprocess.run(["nsenter", "-t", "${pid}", "-n", "bash", "-c", f"echo x >/dev/udp/192.0.2.2/{port}"], check=True)
    try:
        print(s.recvfrom(10)[1][0])
        break
    except socket.timeout:
        pass
`;
}

test('nor does anybody else reach where flows are handed over', async () => {
  makeGuard(socket, { tunnelDevices: ['up0'] });
  const unwire = wire('wan0');
  const command = ['-t', String(outside.pid), '-n', 'bash', '-c', 'echo x >/dev/tcp/10.9.0.1/4789'];
  const asking = spawn('nsenter', command, { stdio: 'ignore' });
  const what = 'flows of ports that move by another device than that of the underlay';
  for (let waited = 0; waited < 60_000 && guardDrops(socket).length === 0; waited += 10) await delay(10);
  asking.kill('SIGKILL');
  unwire();
  assert.deepEqual(
    guardDrops(socket).map((drop) => drop.what),
    [what],
  );
});

test('fragments of a tunnel packet do not get by either', async () => {
  makeGuard(socket, { tunnelDevices: ['up0'] });
  const unwire = wire('wan0');
  const heard = createSocket('udp4');
  let packets = 0;
  heard.on('message', () => {
    packets += 1;
  });
  await listening(heard, 4789);
  const send = 'head -c 4000 /dev/zero >/dev/udp/10.9.0.1/4789';
  execFileSync('nsenter', ['-t', String(outside.pid), '-n', 'bash', '-c', send]);
  for (let i = 0; i < 6000 && guardDrops(socket).length === 0; i++) await delay(10);
  assert.equal(packets, 0);
  assert.equal(guardDrops(socket)[0]?.packets, 1);
  heard.close();
  unwire();
});

const CHANGES: readonly (readonly [string, () => void, RegExp])[] = [
  ['removed', () => deleteTable(socket, INET), /table inet cable is gone/],
  ['removed for ARP', () => deleteTable(socket, { family: 'arp', name: 'cable' }), /table arp cable is gone/],
  ['emptied', () => replaceTable(socket, { ...FOREIGN, ...INET }), /table inet cable was changed/],
  ['removed in both families', () => removeGuard(socket), /inet cable is gone.*arp cable is gone/],
];

async function withKeeper(act: (keeper: GuardKeeper) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const keeper = startGuardKeeper({
    spec: () => ({ tunnelDevices: ['up0'] }),
    log: silentLogger(),
    signal: stop.signal,
  });
  try {
    await act(keeper);
  } finally {
    stop.abort();
    await keeper.done;
  }
}

for (const [what, change, says] of CHANGES) {
  test(`the guard is put back when it is ${what}, without a look at it from time to time`, async () => {
    const made = makeGuard(socket, { tunnelDevices: ['up0'] });
    await withKeeper(async (keeper) => {
      assert.equal(keeper.status().error, null);
      // The first look, which is at the start, is over.
      await new Promise(setImmediate);
      change();
      assert.match(guardFaults(socket, made).join(', '), says);
      // It would look without being told, after a minute.
      const deadline = performance.now() + 45_000;
      while (guardFaults(socket, made).length > 0) {
        assert.ok(performance.now() < deadline, 'in vain');
        await delay(5);
      }
      assert.equal(keeper.status().restored, 1);
    });
  });
}

test("others' tables stay as they are, and the guard stays when its keeper ends", async () => {
  replaceTable(socket, FOREIGN);
  const before = readTable(socket, FOREIGN)?.shape;
  await withKeeper(async () => undefined);
  const made = readTable(socket, INET)?.shape;
  assert.ok(made);
  await withKeeper(async () => {
    assert.equal(readTable(socket, INET)?.shape, made);
  });
  removeGuard(socket);
  assert.equal(readTable(socket, FOREIGN)?.shape, before);
  assert.equal(removeGuard(socket), false, 'it is gone already');
});

test('a table is replaced as a whole or not at all', () => {
  makeGuard(socket, { tunnelDevices: ['up0'] });
  const before = readTable(socket, INET)?.shape;
  const bad = { name: 'c', at: { hook: 99, priority: 0 }, rules: [] };
  assert.throws(
    () => replaceTable(socket, { ...INET, comment: '', chains: [bad] }),
    /make the nftables chain inet cable c: E/,
  );
  assert.equal(readTable(socket, INET)?.shape, before);
});
