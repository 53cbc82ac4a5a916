/**
 * `node --import tsx --conditions=cable-source bench/pseudowires.ts [ROUNDS] [SECONDS]` (as root; 3 and 1 by default): frames between two hosts by a line, beside Cable's VXLAN network and a Linux bridge with the
 * kernel's VXLAN device, in one round each after the other; and that network with a chain of one function, which is a router on the second host. Guests, underlay and loads are the same.
 */
import { execFileSync } from 'node:child_process';
import { createNetns, type TestNetns } from '../packages/agent/src/net/testing.ts';
import {
  addNetGuest,
  addWireGuest,
  line,
  makeRouter,
  netSlices,
  viewOf,
  type WireGuest,
  wire,
  wireWorld,
} from '../packages/agent/src/pseudowires/testing.ts';
import { type BedHost, createAgentBed, eventually } from '../packages/agent/src/testing/agent-bed.ts';
import { buildProgram } from './lib/programs.ts';
import { median } from './lib/statistics.ts';
import { METRICS, type Metric, measure, type Sample } from './lib/traffic.ts';

const [rounds = 3, seconds = 1] = process.argv.slice(2).map(Number);

type Way = {
  readonly name: string;
  /** Which of the ways it is measured by: that one's name. */
  readonly to?: string;
  readonly client: TestNetns;
  readonly server: TestNetns;
  readonly address: string;
  readonly wires: Parameters<typeof wireWorld>[2];
  readonly samples: Sample[];
};

/** A bridge with a VXLAN device beside a guest, as administrators make them. */
function addPeer(host: BedHost, remote: BedHost, address: string): TestNetns {
  const netns = createNetns();
  const ip = (...words: string[]): void => void host.exec('ip', ...words);
  ip('link', 'add', 'peerbr', 'up', 'type', 'bridge');
  const tunnel = ['id', '4242', 'dstport', '8472', 'local', host.underlay, 'remote', remote.underlay];
  ip('link', 'add', 'peervx', 'mtu', '1400', 'up', 'type', 'vxlan', ...tunnel);
  ip('link', 'set', 'peervx', 'master', 'peerbr');
  ip('link', 'add', 'peerp', 'mtu', '1400', 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  ip('link', 'set', 'peerp', 'master', 'peerbr');
  netns.ip('link', 'set', 'eth0', 'mtu', '1400', 'up');
  netns.ip('address', 'add', `${address}/24`, 'dev', 'eth0');
  return netns;
}

function answers(netns: TestNetns, address: string): boolean {
  try {
    netns.run('ping', '-c', '1', '-W', '1', '-q', address);
    return true;
  } catch {
    return false;
  }
}

const netbench = buildProgram('netbench');
const bed = await createAgentBed('pwb', 2);
const [h1, h2] = bed.hosts as [BedHost, BedHost];
const [one, other] = [addWireGuest(1, h1), addWireGuest(3, h2)] as const;
const [client, server, router] = [addNetGuest(21, h1), addNetGuest(22, h2), addWireGuest(31, h2)] as const;
makeRouter(router.netns);
const peers = [addPeer(h1, h2, '10.7.0.1'), addPeer(h2, h1, '10.7.0.2')] as const;

function chain(path: string, from: WireGuest): Way['wires'] {
  const matches = [{ ipVersion: 4 }] as const;
  return [
    wire(11, from, router, { from: { matches }, to: { as: 'function', path, back: router.port.id } }),
    wire(12, router, from, { from: { path }, to: { as: 'resume', path, at: 'sent' } }),
  ];
}

const network = { client: client.netns, server: server.netns, address: '10.0.0.22' };
const WAYS: readonly Way[] = [
  {
    name: 'line',
    client: one.netns,
    server: other.netns,
    address: '10.9.0.3',
    wires: line(1, one, other),
    samples: [],
  },
  { name: 'Cable’s network', to: 'line', ...network, wires: [], samples: [] },
  {
    name: 'bridge and VXLAN',
    to: 'line',
    client: peers[0],
    server: peers[1],
    address: '10.7.0.2',
    wires: [],
    samples: [],
  },
  { name: 'network with a chain', to: 'Cable’s network', ...network, wires: chain('there', client), samples: [] },
];

try {
  const guests = [one, other, client, server, router];
  const put = async (wires: Way['wires']): Promise<void> => {
    bed.server.set(wireWorld([h1, h2], guests, wires, netSlices([client, server])));
    await eventually('the wires are there', async () => ((await viewOf(h1))?.wires.length ?? 0) === wires.length);
  };
  bed.server.set(wireWorld([h1, h2], guests, [], netSlices([client, server])));
  await Promise.all([h1.start(), h2.start()]);
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, client: from, server: to, address, wires, samples } of WAYS) {
      process.stderr.write(`round ${round} of ${rounds}: ${name}\n`);
      await put(wires);
      await eventually('it answers', () => answers(from, address));
      const path = { name, client: from.name, server: to.name, serverAddress: address };
      samples.push(await measure(path, { netbench, seconds }));
    }
  }
  report();
} finally {
  for (const { netns } of [one, other, client, server, router]) netns.remove();
  for (const netns of peers) netns.remove();
  await bed.remove();
}

/** Medians, and those of the ratios within a round; more than 1: the one named first is better. */
function report(): void {
  const pairs = WAYS.flatMap((way) => {
    const [better] = WAYS.filter(({ name }) => name === way.to);
    return better === undefined ? [] : [better.name === 'line' ? ([better, way] as const) : ([way, better] as const)];
  });
  const titles = pairs.map(([first, second]) => `${first.name} to ${second.name}`);
  console.log(`| | ${[...WAYS.map(({ name }) => name), ...titles].join(' | ')} |`);
  console.log(`|---|${[...WAYS, ...pairs].map(() => '---|').join('')}`);
  for (const metric of Object.keys(METRICS) as Metric[]) {
    const { label, isLessBetter } = METRICS[metric];
    const values = WAYS.map(({ samples }) => median(samples.map((sample) => sample[metric])).toPrecision(3));
    const ratios = pairs.map(([first, second]) => {
      const each = second.samples.map((sample, i) => (first.samples[i]?.[metric] ?? Number.NaN) / sample[metric]);
      return `${median(each.map((ratio) => (isLessBetter ? 1 / ratio : ratio))).toFixed(2)}×`;
    });
    console.log(`| ${label} | ${[...values, ...ratios].join(' | ')} |`);
  }
  console.log(
    `\nmedians of ${rounds} rounds of ${seconds} s; load ${execFileSync('cut', ['-d', ' ', '-f', '1', '/proc/loadavg'], { encoding: 'utf8' })}`,
  );
}
