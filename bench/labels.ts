/**
 * `node --import tsx --conditions=cable-source bench/labels.ts [ROUNDS] [SECONDS]` (as root; 3 and 1 by default): packets between two hosts by MPLS in UDP, beside VXLAN that the vrouter makes itself and VXLAN by the
 * kernel's device, in one round each after the other. Ports, rules and loads are the same.
 */
import { execFileSync } from 'node:child_process';
import { addVpnGuest, type VpnGuest, vpnPlaces, vpnWorld } from '../packages/agent/src/labels/testing.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleId,
  sampleNetwork,
  sampleSubnet,
} from '../packages/agent/src/plan/testing/sample.ts';
import { sampleVpn } from '../packages/agent/src/plan/testing/sample-vpn.ts';
import { type BedHost, createAgentBed, eventually } from '../packages/agent/src/testing/agent-bed.ts';
import { buildProgram } from './lib/programs.ts';
import { median } from './lib/statistics.ts';
import { METRICS, type Metric, measure, type Sample } from './lib/traffic.ts';

const [rounds = 3, seconds = 1] = process.argv.slice(2).map(Number);
const TO = '10.0.0.2';

type Way = {
  readonly name: string;
  readonly agent: readonly string[];
  readonly vpn: number;
  readonly samples: Sample[];
};

/** Network 1 is a VPN's, network 2 a tunnelled one with the same addresses. */
const WAYS: readonly Way[] = [
  { name: 'MPLS in UDP', agent: [], vpn: 1, samples: [] },
  { name: 'VXLAN by the vrouter', agent: ['--encapsulation', 'own'], vpn: 2, samples: [] },
  { name: 'VXLAN by the kernel', agent: ['--encapsulation', 'kernel'], vpn: 2, samples: [] },
];

function tunnelled(guests: readonly VpnGuest[]): readonly SampleSlice[] {
  const six = sampleSubnet(1002, { ipVersion: 6, cidr: '2001:db8:1::/64', gatewayIp: null });
  const four = { ...sampleSubnet(2), cidr: '10.0.0.0/24', gatewayIp: '10.0.0.254' };
  const endpoints = vpnPlaces(guests, 2).map(({ port, host, underlay }) => sampleEndpoint(port, host, underlay));
  return sampleNetwork(2, { mtuBytes: 1400, subnets: [four, six] }, endpoints);
}

async function restart(hosts: readonly BedHost[], options: readonly string[]): Promise<void> {
  await Promise.all(hosts.map((host) => host.end('SIGKILL')));
  await Promise.all(hosts.map((host) => host.start(...options)));
}

function answers({ netns }: VpnGuest): boolean {
  try {
    netns.run('ping', '-c', '1', '-W', '1', '-q', TO);
    return true;
  } catch {
    return false;
  }
}

const netbench = buildProgram('netbench');
const bed = await createAgentBed('mpls', 2);
const [h1, h2] = bed.hosts as [BedHost, BedHost];
const guests = [addVpnGuest(1, 1, 1, h1), addVpnGuest(2, 1, 2, h2), addVpnGuest(3, 2, 1, h1), addVpnGuest(4, 2, 2, h2)];
try {
  bed.server.set(vpnWorld([h1, h2], guests, [sampleVpn(1, vpnPlaces(guests, 1)), tunnelled(guests)]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, agent, vpn, samples } of WAYS) {
      process.stderr.write(`round ${round} of ${rounds}: ${name}\n`);
      await restart([h1, h2], agent);
      const [from, to] = guests.filter((one) => one.port.networkId === sampleId('net', vpn)) as [VpnGuest, VpnGuest];
      await eventually('it answers', () => answers(from));
      const path = { name, client: from.netns.name, server: to.netns.name, serverAddress: TO };
      samples.push(await measure(path, { netbench, seconds }));
    }
  }
  report();
} finally {
  for (const { netns } of guests) netns.remove();
  await bed.remove();
}

/** Medians, and those of the ratios within a round to the first; more than 1: the first is better. */
function report(): void {
  const [first, ...others] = WAYS as [Way, ...Way[]];
  console.log(
    `| | ${WAYS.map(({ name }) => name).join(' | ')} | ${others.map(({ name }) => `to ${name}`).join(' | ')} |`,
  );
  console.log(`|---|${WAYS.map(() => '---|').join('')}${others.map(() => '---|').join('')}`);
  for (const metric of Object.keys(METRICS) as Metric[]) {
    const { label, isLessBetter } = METRICS[metric];
    const values = WAYS.map(({ samples }) => median(samples.map((one) => one[metric])).toPrecision(3));
    const ratios = others.map(({ samples }) => {
      const each = samples.map((one, i) => (first.samples[i]?.[metric] ?? Number.NaN) / one[metric]);
      return `${median(each.map((one) => (isLessBetter ? 1 / one : one))).toFixed(2)}×`;
    });
    console.log(`| ${label} | ${values.join(' | ')} | ${ratios.join(' | ')} |`);
  }
  console.log(
    `\nmedians of ${rounds} rounds of ${seconds} s; load ${execFileSync('cut', ['-d', ' ', '-f', '1', '/proc/loadavg'], { encoding: 'utf8' })}`,
  );
}
