import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import type { LocalPort, PolicyRule } from '@cable/model';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';

/** Real packets between machines on their hosts, through planner, maps and programs. */
let bed: AgentBed;
let h1: BedHost;
let h2: BedHost;
let h3: BedHost;

before(async () => {
  bed = await createAgentBed('trio', 3);
  const [first, second, third] = bed.hosts;
  assert.ok(first && second && third);
  [h1, h2, h3] = [first, second, third];
  await Promise.all(bed.hosts.map((host) => host.start()));
});

after(() => bed.remove());

const SUBNET_2 = sampleSubnet(2);
const P5 = samplePort(5, { vifKind: 'host', policy: 'policy:p' });
const P6 = samplePort(6, { vifKind: 'host', policy: 'policy:p' });
/** On h3, in the other network. */
const P7 = samplePort(7, {
  vifKind: 'host',
  policy: 'policy:p',
  networkId: sampleId('net', 2),
  fixedIps: [{ subnetId: SUBNET_2.id, ipAddress: '10.0.1.7' }],
});
const EGRESS = sampleRule(1, { direction: 'egress' });
const FROM_GROUP = sampleRule(2, { protocol: 1, remote: { kind: 'group', groupId: 'g' } });

/** Who has 10.0.0.6, and where. */
type Six = { readonly port: LocalPort; readonly host: BedHost };

/** `six`: default P6 on h2; null: nobody has the address. */
function cloud(
  rules: readonly PolicyRule[],
  members = [P5, P6, P7],
  six: Six | null = { port: P6, host: h2 },
): SampleSlice[] {
  const sixAt = (host: BedHost): LocalPort[] => (six?.host === host ? [six.port] : []);
  return [
    sampleHost(h1.name, [P5]),
    sampleHost(h2.name, sixAt(h2)),
    sampleHost(h3.name, [P7, ...sixAt(h3)]),
    ...sampleNetwork(1, {}, [
      sampleEndpoint(P5, h1.name, h1.underlay),
      ...(six === null ? [] : [sampleEndpoint(six.port, six.host.name, six.host.underlay)]),
    ]),
    ...sampleNetwork(2, {}, [sampleEndpoint(P7, h3.name, h3.underlay)]),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', rules),
    sampleGroup(
      'g',
      members.map((port) => ({
        portId: port.id,
        networkId: port.networkId,
        addresses: port.fixedIps.map((ip) => ip.ipAddress),
      })),
    ),
  ];
}

/** The bed has one status for all hosts, so what counts is what each agent says itself. */
async function programmed(slices: readonly SampleSlice[]): Promise<void> {
  const revision = bed.server.set(slices);
  for (const host of bed.hosts) {
    await eventually(`revision ${revision} on ${host.name}`, async () => {
      const status = await host.ask<{ revision: number; vifs: { down: number; error: number } }>('/status');
      return status?.revision === revision && status.vifs.down + status.vifs.error === 0;
    });
  }
}

function pings(target: string): boolean {
  try {
    h1.exec('ping', '-c', '1', '-W', '1', target);
    return true;
  } catch {
    return false;
  }
}

test('machines on their hosts reach each other in one network and through the router, as the rules allow', async () => {
  await programmed(cloud([EGRESS, FROM_GROUP]));
  assert.ok(pings('10.0.0.6'), 'in the network');
  assert.ok(pings('10.0.1.7'), 'through the router');
  assert.ok(pings('10.0.0.1'), 'the gateway');

  await programmed(cloud([EGRESS]));
  assert.ok(!pings('10.0.0.6'), 'without the rule');
  await programmed(cloud([EGRESS, FROM_GROUP], [P6, P7]));
  assert.ok(!pings('10.0.0.6'), 'not a member');
  await programmed(cloud([EGRESS, FROM_GROUP]));
  assert.ok(pings('10.0.0.6'), 'a member again');
});

test('kill -9 of the agents and their return lose no packet', async () => {
  await programmed(cloud([EGRESS, FROM_GROUP]));
  const flood = h1.spawn('ping', '-i', '0.002', '-c', '1500', '-q', '10.0.1.7');
  let report = '';
  flood.stdout?.on('data', (chunk: Buffer) => {
    report += chunk.toString();
  });
  const ended = once(flood, 'exit');
  await Promise.all([h1.end('SIGKILL'), h3.end('SIGKILL')]);
  await Promise.all([h1.start(), h3.start()]);
  await ended;
  assert.match(report, /1500 packets transmitted, 1500 received/);
});

test('an address that another machine has now is reached at once by one that knew the machine before', async () => {
  const rules = [EGRESS, FROM_GROUP];
  await programmed(cloud(rules));
  assert.ok(pings('10.0.0.6'));
  for (const [number, host, between] of [
    [8, h3, 'nothing'],
    [9, h2, 'a state without it'],
    [10, h3, 'a state without it'],
  ] as const) {
    const port = samplePort(number, { vifKind: 'host', policy: 'policy:p', fixedIps: P6.fixedIps });
    if (between !== 'nothing') await programmed(cloud(rules, [P5, P7], null));
    await programmed(cloud(rules, [P5, port, P7], { port, host }));
    assert.ok(pings('10.0.0.6'), `port ${number} on ${host.name} after ${between}`);
  }
});

test('devices of the vrouter that somebody deletes are made again, and traffic goes on', async () => {
  await programmed(cloud([EGRESS, FROM_GROUP]));
  h1.exec('ip', 'link', 'delete', 'cablevx');
  h1.exec('ip', 'link', 'delete', 'cables1');
  h1.exec('ip', 'link', 'delete', 'cableq0');
  await eventually('packets pass again', () => pings('10.0.0.6'));
  await eventually('the service link is as it was', () => {
    const shown = h1.exec('nsenter', `--net=${h1.services}`, 'ip', 'address', 'show');
    return (
      /cables0.*NOARP[\s\S]*198\.18\.0\.1\/15/.test(shown) &&
      ['cables1', 'cableq0', 'cableq1'].every((name) => h1.links().includes(name))
    );
  });
});
