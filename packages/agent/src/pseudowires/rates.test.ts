/** Limits and guarantees of pseudowires, by what comes through. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Pseudowire } from '@cable/model';
import { answers } from '../labels/testing.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { addWireGuest, line, traces, viewOf, type WireGuest, wireWorld } from './testing.ts';

const exec = promisify(execFile);

let bed: AgentBed;
let hosts: readonly [BedHost, BedHost];
/** Guests 1, 2 and 4 are on the first host, 3 and 5 on the second. */
let guests: readonly [WireGuest, WireGuest, WireGuest, WireGuest, WireGuest];
const CAPACITY_KBPS = 100_000;

before(async () => {
  bed = await createAgentBed('pwr', 2);
  const [h1, h2] = bed.hosts;
  assert.ok(h1 && h2);
  hosts = [h1, h2];
  guests = [addWireGuest(1, h1), addWireGuest(2, h1), addWireGuest(3, h2), addWireGuest(4, h1), addWireGuest(5, h2)];
  bed.server.set(wireWorld(hosts, guests, []));
  await Promise.all(hosts.map((host) => host.start('--bandwidth', `rp_tunnelled:${CAPACITY_KBPS}:`)));
});

after(async () => {
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

async function put(...wires: readonly Pseudowire[]): Promise<void> {
  bed.server.set(wireWorld(hosts, guests, wires));
  for (const host of hosts) {
    const own = wires.filter(({ from, to }) => [from.host, to.host].includes(host.name));
    await eventually('the wires are there', async () => ((await viewOf(host))?.wires.length ?? 0) === own.length);
  }
}

/** Bytes of payload in a datagram, and of its frame. */
const DATAGRAM = { payload: 1200, frame: 1242 } as const;

type Heard = { readonly intervals: readonly { readonly sum: { readonly bits_per_second: number } }[] };

/** Mbit/s that one guest has of the other in the middle of five seconds: of a stream, or, of datagrams, of their frames. */
async function carried(from: WireGuest, to: WireGuest, address: string, ...more: readonly string[]): Promise<number> {
  const port = String(5200 + Number(address.split('.').at(-1)));
  const server = exec('nsenter', [`--net=${to.netns.path}`, 'iperf3', '-s', '-1', '-J', '-p', port], {
    maxBuffer: 1 << 24,
  });
  await eventually('it listens', () => to.netns.run('ss', '-Hltn', `sport = :${port}`) !== '');
  await exec('nsenter', [`--net=${from.netns.path}`, 'iperf3', '-c', address, '-p', port, '-t', '5', ...more]);
  const { intervals } = JSON.parse((await server).stdout) as Heard;
  const middle = intervals.slice(1, 4).map(({ sum }) => sum.bits_per_second);
  const factor = more.includes('-u') ? DATAGRAM.frame / DATAGRAM.payload : 1;
  return (middle.reduce((sum, one) => sum + one, 0) / middle.length / 1e6) * factor;
}

function isAbout(actual: number, wanted: number, what: string): void {
  assert.ok(actual >= wanted * 0.9 && actual <= wanted * 1.03, `${what}: ${actual.toFixed(2)} of ${wanted} Mbit/s`);
}

test('a limit is kept to, by TCP and by UDP, on one host and between hosts', async (t) => {
  const [one, two, three] = guests;
  for (const [where, to, last] of [
    ['on one host', two, 2],
    ['between hosts', three, 3],
  ] as const) {
    for (const mbps of [5, 50]) {
      await put(...line(1, one, to, { admittedKbps: mbps * 1000 }));
      await eventually('it answers', () => answers(one.netns, `10.9.0.${last}`));
      const tcp = await carried(one, to, `10.9.0.${last}`);
      const udp = await carried(one, to, `10.9.0.${last}`, '-u', '-b', `${mbps * 2}M`, '-l', '1200');
      t.diagnostic(`${where}, ${mbps} Mbit/s: TCP ${tcp.toFixed(2)}, UDP ${udp.toFixed(2)}`);
      isAbout(tcp, mbps, `TCP ${where}`);
      isAbout(udp, mbps, `UDP ${where}`);
    }
    const [view] = (await viewOf(hosts[0]))?.wires ?? [];
    assert.ok((view?.limited ?? 0) > 0, 'what was too much is counted');
  }
  await put(...line(1, one, two));
  assert.deepEqual(
    hosts[0].links().filter((name) => name.startsWith('cablew')),
    [],
    'the queue goes with the last limit',
  );
});

test('a guarantee is kept against a flood of other traffic', async (t) => {
  const [one, , three, four, five] = guests;
  const flood = line(11, four, five);
  for (const guaranteedKbps of [undefined, 30_000]) {
    await put(...line(1, one, three, guaranteedKbps === undefined ? {} : { guaranteedKbps }), ...flood);
    await eventually('both answer', () => answers(one.netns, '10.9.0.3') && answers(four.netns, '10.9.0.5'));
    if (guaranteedKbps === undefined) continue;
    const [wired, other] = await Promise.all([
      carried(one, three, '10.9.0.3'),
      carried(four, five, '10.9.0.5', '-u', '-b', '300M', '-l', '1200'),
    ]);
    t.diagnostic(
      `guaranteed 30 Mbit/s of ${CAPACITY_KBPS / 1000}: TCP ${wired.toFixed(2)}, the flood ${other.toFixed(2)}`,
    );
    assert.ok(wired >= 30 * 0.95, `${wired} Mbit/s`);
    assert.ok(other >= 40, `the flood has the rest: ${other} Mbit/s`);
    const alone = await carried(one, three, '10.9.0.3');
    t.diagnostic(`alone: ${alone.toFixed(2)}`);
    assert.ok(alone > 60, `what nobody else wants it may have: ${alone} Mbit/s`);
  }
  assert.deepEqual((await viewOf(hosts[0]))?.guarantees, [{ device: 'eth0', kbps: 30_000, fault: null }]);
  await put(...flood);
  await eventually('the tree is gone', () => !traces(hosts[0]).includes('htb'));
});

test('a discipline of somebody else’s stays, and it is told that nothing is guaranteed', async () => {
  const [one, , three] = guests;
  const [h1] = hosts;
  h1.exec('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'handle', '7:', 'pfifo', 'limit', '1000');
  await put(...line(1, one, three, { guaranteedKbps: 10_000 }));
  const [told] = (await viewOf(h1))?.guarantees ?? [];
  assert.match(told?.fault ?? '', /pfifo 7:/);
  assert.match(h1.exec('tc', 'qdisc', 'show', 'dev', 'eth0'), /pfifo 7:/);
  assert.ok(answers(one.netns, '10.9.0.3'), 'the line is there');
  await put();
  await eventually('nothing is left', () => traces(h1).length === 0);
  assert.match(h1.exec('tc', 'qdisc', 'show', 'dev', 'eth0'), /pfifo 7:/);
});
