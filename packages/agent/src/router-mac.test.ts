import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
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

/** Guests whose router loses an interface and gets it back, with the MAC address that it had or with another: they keep what they know of it for many seconds. */
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

/** A router in both networks, in the first with this MAC address. */
function router(macAddress: string): SampleSlice {
  return sampleRouter(1, [2], {}, [{ ...sampleLeg(1, 1), macAddress }]);
}

function cloud(...routers: readonly SampleSlice[]): SampleSlice[] {
  const at = (port: typeof A) => sampleEndpoint(port, host.name, host.underlay);
  return [
    sampleHost(host.name, [A, B]),
    ...sampleNetwork(1, { subnets: [sampleSubnet(1)] }, [at(A)]),
    ...sampleNetwork(2, {}, [at(B)]),
    ...routers,
    samplePolicy('p', [sampleRule(1, { direction: 'egress' }), sampleRule(2)]),
  ];
}

async function pinged(): Promise<number> {
  const path = guests[0]?.netns.path ?? '';
  const command = [`--net=${path}`, 'ping', '-n', '-c', '3', '-i', '0.1', '-W', '1', '10.0.1.6'];
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
