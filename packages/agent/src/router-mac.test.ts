import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { LocalPort, SliceKey } from '@cable/model';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleLeg,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { type BedGuest, createBedGuest } from './testing/bed-guest.ts';

/**
 * Guests whose router loses an interface and gets it back, with the MAC address that it had or with another: they keep what they know of it for many seconds; and what private subnets let
 * through between its networks.
 */
const run = promisify(execFile);
const A = samplePort(5, { policy: 'policy:p' });
const B = samplePort(6, {
  policy: 'policy:p',
  networkId: sampleId('net', 2),
  fixedIps: [{ subnetId: sampleId('sub', 2), ipAddress: '10.0.1.6' }],
});
let bed: AgentBed;
let host: BedHost;
let guests: readonly BedGuest[] = [];

before(async () => {
  bed = await createAgentBed('rmac', 1);
  const [first] = bed.hosts;
  assert.ok(first);
  host = first;
  await host.start();
  bed.server.set(cloud(router(sampleLeg(1, 1).macAddress)));
  guests = [A, B].map((port) => createBedGuest(host, port));
  for (const [i, guest] of guests.entries()) guest.netns.ip('route', 'add', 'default', 'via', `10.0.${i}.1`);
  await eventually('both guests are up', () =>
    [A, B].every((port) => bed.server.status.vifs.get(port.id)?.state === 'up'),
  );
});

after(async () => {
  for (const guest of guests) guest.remove();
  await bed.remove();
});

/** Ports as they are in private subnets, and the slices of these. */
type Kept = { readonly ports: readonly LocalPort[]; readonly slices: readonly SampleSlice[] };

const OPEN: Kept = { ports: [A, B], slices: [] };

/** The subnet of the first network, or the second, exchanges packets with these prefixes alone. */
function kept(n: 1 | 2, peers: readonly string[]): Kept {
  const subnetId = sampleId('sub', n);
  const id = `${sampleId('net', n)}/${subnetId}`;
  const [key, privateIn]: readonly [SliceKey, SliceKey] = [`network_policies:-/-/-/||${id}`, `private_subnets:${id}`];
  return {
    ports: [A, B].map((port, at) => (at === n - 1 ? { ...port, networkPolicies: key } : port)),
    slices: [
      { key, header: { id: key, ingress: false, egress: false, privateIn }, items: new Map() },
      { key: privateIn, header: { id }, items: new Map([[subnetId, { subnetId, ipVersion: 4, peers }]]) },
    ],
  };
}

/** A router in both networks, in the first with this MAC address. */
function router(macAddress: string): SampleSlice {
  return sampleRouter(1, [2], {}, [{ ...sampleLeg(1, 1), macAddress }]);
}

function cloud(...routers: readonly SampleSlice[]): SampleSlice[] {
  return cloudOf(OPEN, ...routers);
}

function cloudOf({ ports, slices }: Kept, ...routers: readonly SampleSlice[]): SampleSlice[] {
  const at = (port: typeof A) => sampleEndpoint(port, host.name, host.underlay);
  return [
    ...slices,
    sampleHost(host.name, ports),
    ...sampleNetwork(1, { subnets: [sampleSubnet(1)] }, [at(A)]),
    ...sampleNetwork(2, {}, [at(B)]),
    ...routers,
    samplePolicy('p', [sampleRule(1, { direction: 'egress' }), sampleRule(2)]),
  ];
}

async function pinged(from = 0, to = '10.0.1.6'): Promise<number> {
  const path = guests[from]?.netns.path ?? '';
  const command = [`--net=${path}`, 'ping', '-n', '-c', '3', '-i', '0.1', '-W', '1', to];
  const { stdout } = await run('nsenter', command).catch((err: unknown) => err as { stdout: string });
  return Number(/ (\d) received/.exec(stdout)?.[1]);
}

/** The gateway's entry in the host's maps. */
async function gateway(kind: string, mac?: string): Promise<void> {
  await eventually(`the gateway is ${kind}`, async () => {
    const rows = (await host.ask<Readonly<Record<string, readonly Record<string, string>[]>>>('/maps'))?.['cb_ep_2'];
    return rows?.some(
      (row) => row['address'] === '10.0.0.1' && row['kind'] === kind && row['mac'] === (mac ?? row['mac']),
    );
  });
}

for (const [what, mac] of [
  ['the MAC address that it had', sampleLeg(1, 1).macAddress],
  ['another one', sampleMac(0xeeeeee)],
] as const) {
  test(`traffic goes on as soon as the interface is back, with ${what}`, async () => {
    assert.equal(await pinged(), 3);
    bed.server.set(cloud());
    await gateway('service');
    assert.equal(await pinged(), 0, 'no router');
    bed.server.set(cloud(router(mac)));
    await gateway('gateway', mac);
    assert.equal(await pinged(), 3);
  });
}

/** Packets that were dropped for the port since a private subnet keeps them out. */
async function keptOut(port: LocalPort): Promise<number> {
  return (await host.ask<Record<string, Record<string, number>>>('/counters'))?.[port.id]?.['private_subnet'] ?? 0;
}

test('a private subnet drops what comes from others and goes to them, at either end, also of a connection that is there', async () => {
  bed.server.set(cloud(router(sampleLeg(1, 1).macAddress)));
  await eventually('there is a way', async () => (await pinged()) === 3);
  const path = guests[0]?.netns.path ?? '';
  const long = spawn('nsenter', [`--net=${path}`, 'ping', '-n', '-i', '0.1', '10.0.1.6']);
  let answers = 0;
  long.stdout.on('data', (chunk: Buffer) => {
    answers += chunk.toString().split('bytes from').length - 1;
  });
  try {
    await eventually('its answers come', () => answers > 2);
    for (const [n, own, keeper] of [
      [1, '10.0.0.0/24', A],
      [2, '10.0.1.0/24', B],
    ] as const) {
      const other = n === 1 ? '10.0.1.0/24' : '10.0.0.0/24';
      bed.server.set(cloudOf(kept(n, [own]), router(sampleLeg(1, 1).macAddress)));
      await eventually('the connection is cut', async () => (await keptOut(keeper)) > 0);
      answers = 0;
      assert.equal(await pinged(0), 0, 'from the first network');
      assert.equal(await pinged(1, '10.0.0.5'), 0, 'from the second');
      assert.equal(answers, 0);
      assert.equal(await pinged(n - 1, `10.0.${n - 1}.1`), 3, 'the router answers');
      bed.server.set(cloudOf(kept(n, [own, other]), router(sampleLeg(1, 1).macAddress)));
      await eventually('it goes on where the other prefix is named', () => answers > 2);
      assert.equal(await pinged(1, '10.0.0.5'), 3);
    }
    bed.server.set(cloud(router(sampleLeg(1, 1).macAddress)));
    answers = 0;
    await eventually('it goes on where none is private', () => answers > 2);
  } finally {
    long.kill();
  }
});
