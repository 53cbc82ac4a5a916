/** Endpoints that are the host itself, with real packets: a node with a link to pods, in namespaces of their own. Its servers listen at an address of the node alone, at that of the link, or at all. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { EntranceKeeper, removeEntrances } from './entrance-keeper.ts';

const LINK = 'cb01234567-89';
/** Addresses of the host itself, of its port as a node, and of a pod. */
const OWN = { 4: '203.0.113.1', 6: 'fd00:113::1' };
const PORT = { 4: '10.244.0.1', 6: 'fd00:244::1' };
const POD = { 4: '10.244.0.2', 6: 'fd00:244::2' };
const VERSIONS = [4, 6] as const;
type Version = (typeof VERSIONS)[number];
type Protocol = 'TCP' | 'UDP';

const undo: (() => unknown)[] = [];
let pods: HeldNamespace;
let keeper: EntranceKeeper;

before(async () => {
  enterOwnNamespace();
  const socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
  pods = await holdNamespace();
  undo.push(
    () => socket.close(),
    () => pods.end(),
    () => removeEntrances(socket),
  );
  ip(`link add ${LINK} up type veth peer name eth0 netns ${pods.pid}`);
  ip('link set eth0 up', pods.pid);
  for (const version of VERSIONS) {
    const more = version === 6 ? ' nodad' : '';
    const length = version === 6 ? 64 : 16;
    ip(`address add ${PORT[version]}/${length} dev ${LINK}${more}`);
    ip(`address add ${OWN[version]}/${version === 6 ? 128 : 32} dev lo${more}`);
    ip(`address add ${POD[version]}/${length} dev eth0${more}`, pods.pid);
    ip(`-${version} route add default via ${PORT[version]}`, pods.pid);
  }
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
  const stop = new AbortController();
  undo.push(() => stop.abort());
  keeper = new EntranceKeeper({ nodeLinks: () => [LINK], log: silentLogger(), signal: stop.signal });
});

after(async () => {
  for (const one of undo.reverse()) await one();
});

let known: readonly Entrance[] = [];

/** These ports are endpoints, of both versions of IP; resolves when that is in force. */
async function serveAt(protocol: Protocol, ...ports: readonly number[]): Promise<void> {
  const all = ports.flatMap((port) =>
    VERSIONS.map((ipVersion): Entrance => {
      const to = { address: OWN[ipVersion], port };
      return { isEndpoint: true, address: PORT[ipVersion], protocol, ipVersion, port, to };
    }),
  );
  const changed = new Set([...known, ...all].map(entranceKey));
  known = all;
  keeper.take({ all: new Map(all.map((one) => [entranceKey(one), one])), changed, isWhole: true });
  await keeper.inForce(all, AbortSignal.timeout(10_000));
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** Says with whose address it was asked, or that. `at` undefined: it listens at all addresses. */
function serve(protocol: Protocol, version: Version, port: number, at?: string, says = '$SOCAT_PEERADDR'): void {
  const listens = `${protocol}${version}-${protocol === 'TCP' ? 'LISTEN' : 'RECVFROM'}:${port},fork,reuseaddr`;
  const bind = at === undefined ? '' : `,bind=${bracketed(at)}`;
  const only = version === 6 ? ',ipv6only=1' : '';
  const child = spawn('socat', [`${listens}${bind}${only}`, `SYSTEM:echo ${says}`], { stdio: 'ignore' });
  undo.push(() => child.kill('SIGTERM'));
}

/** What a pod is told, in the form of addresses here; empty: nothing within a second, or a refusal. An answer with another address than that asked is none. */
function ask(protocol: Protocol, address: string, port: number, more = ''): string {
  const place = `${protocol}${address.includes(':') ? 6 : 4}:${bracketed(address)}:${port}${more}`;
  const words = ['-t', String(pods.pid), '-n', 'timeout', '3', 'socat', '-T1', '-', place];
  try {
    const said = execFileSync('nsenter', words, { encoding: 'utf8', input: 'x\n', stdio: ['pipe', 'pipe', 'ignore'] });
    return said.trim().replace(/^\[(.*)\]$/, (_, long: string) => new URL(`http://[${long}]`).hostname.slice(1, -1));
  } catch {
    return '';
  }
}

async function asked(...question: Parameters<typeof ask>): Promise<string> {
  for (let tries = 0; ; tries++) {
    const said = ask(...question);
    if (said !== '' || tries > 20) return said;
    await sleep(50);
  }
}

const PROTOCOLS = ['TCP', 'UDP'] as const;

test('who listens at an address of the host alone is reached at its port as a node while it is an endpoint, and sees the client', async () => {
  for (const protocol of PROTOCOLS) {
    for (const version of VERSIONS) serve(protocol, version, 9000, OWN[version]);
    await serveAt(protocol, 9000);
    for (const version of VERSIONS) {
      assert.equal(await asked(protocol, PORT[version], 9000), POD[version], protocol);
      assert.equal(await asked(protocol, OWN[version], 9000), POD[version], `at its own address, ${protocol}`);
    }
    await serveAt(protocol);
    assert.equal(ask(protocol, PORT[4], 9000), '', `${protocol}: it is no endpoint any more`);
  }
});

test('who listens at all addresses, or at that of the port, is asked there, and answers with it', async () => {
  for (const protocol of PROTOCOLS) {
    await serveAt(protocol, 9001, 9002);
    for (const version of VERSIONS) {
      serve(protocol, version, 9001);
      serve(protocol, version, 9002, OWN[version], 'another');
      serve(protocol, version, 9002, PORT[version]);
    }
    for (const version of VERSIONS)
      for (const port of [9001, 9002]) {
        const isThere = async (): Promise<boolean> => (await asked(protocol, PORT[version], port)) === POD[version];
        // They begin to listen one after the other.
        for (let tries = 0; tries < 20 && !(await isThere()); tries++) await sleep(50);
        assert.ok(await isThere(), `${protocol} ${version} ${port}`);
      }
  }
});

test('a conversation goes on where it was answered, and with the endpoint where it was not', async () => {
  const same = ',sourceport=40000';
  for (const version of VERSIONS) serve('UDP', version, 9003);
  await serveAt('UDP');
  for (const version of VERSIONS) assert.equal(await asked('UDP', PORT[version], 9003, same), POD[version]);
  assert.equal(ask('UDP', PORT[4], 9000, same), '', 'whom nobody answers yet');
  await serveAt('UDP', 9000, 9003);
  for (const version of VERSIONS) assert.equal(await asked('UDP', PORT[version], 9003, same), POD[version]);
  assert.equal(await asked('UDP', PORT[4], 9000, same), POD[4]);
});
