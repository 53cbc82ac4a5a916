import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import type { LocalPort } from '@cable/model';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';

let bed: AgentBed;
let host: BedHost;

before(async () => {
  bed = await createAgentBed('agent', 1);
  const [only] = bed.hosts;
  assert.ok(only);
  host = only;
});

after(() => bed.remove());

afterEach(async () => {
  await host.end('SIGKILL');
  bed.server.set([]);
});

type Status = { revision: number; writes: number; raises: number; server: { synced: boolean } };
type Maps = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;

const TAP = samplePort(5, { policy: 'policy:p' });
const OWN = samplePort(6, { vifKind: 'host', policy: 'policy:p' });
const AWAY = samplePort(7);
const TAP_DEVICE = `tap${TAP.id.slice(0, 11)}`;
const OWN_DEVICE = `cb${OWN.id.slice(0, 11)}`;

function cloud(ports: readonly LocalPort[]): SampleSlice[] {
  const own = ports.map((port) => sampleEndpoint(port, host.name, host.underlay));
  return [
    sampleHost(host.name, ports),
    ...sampleNetwork(1, { subnets: [sampleSubnet(1)] }, [...own, sampleEndpoint(AWAY, 'h2', '192.0.2.2')]),
    ...sampleNetwork(2),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', [
      sampleRule(1, { direction: 'egress' }),
      sampleRule(2, { protocol: 6, portMin: 80, portMax: 90 }),
    ]),
  ];
}

const inSync = (revision: number): Promise<Status> =>
  eventually(`revision ${revision} is in the kernel`, async () => {
    const status = await host.ask<Status>('/status');
    return status?.revision === revision && status.server.synced ? status : undefined;
  });

/** A name in snake_case, or an id. */
const IN_API = /^[a-z0-9_]+$|^[0-9a-f-]{36}$/;

function namesIn(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  const names = Array.isArray(value) ? [] : Object.keys(value);
  return [...new Set([...names, ...Object.values(value).flatMap(namesIn)])];
}

const isUp = (port: LocalPort): boolean => bed.server.status.vifs.get(port.id)?.state === 'up';

test('ports come up as their devices come, are programmed in the kernel, and leave nothing behind', async () => {
  await host.start();
  const revision = bed.server.set(cloud([TAP, OWN]));
  await inSync(revision);
  await eventually('the host-owned port is up', () => isUp(OWN));
  assert.equal(bed.server.status.vifs.get(TAP.id)?.reason, `there is no device ${TAP_DEVICE}`);
  assert.match(host.exec('ip', 'address', 'show', OWN_DEVICE), /10\.0\.0\.6\/24/);
  assert.match(host.exec('ip', 'route'), /10\.0\.1\.0\/24 via 10\.0\.0\.1 dev cb/);

  host.exec('ip', 'tuntap', 'add', TAP_DEVICE, 'mode', 'tap');
  await eventually('the tap is up', () => isUp(TAP));
  assert.equal(bed.server.status.revision, revision);
  const ipv6Off = host.exec('cat', `/proc/sys/net/ipv6/conf/${TAP_DEVICE}/disable_ipv6`);
  assert.equal(ipv6Off.trim(), '1', 'the host does not speak to the guest');
  host.exec('tc', 'qdisc', 'delete', 'dev', TAP_DEVICE, 'clsact');
  await eventually('a program that was taken off is back', () =>
    host.exec('tc', 'filter', 'show', 'dev', TAP_DEVICE, 'ingress').includes('enter_vif'),
  );
  const maps = (await host.ask<Maps>('/maps')) ?? {};
  assert.deepEqual(maps['cb_vif_2']?.map((row) => row['port']).sort(), ['port-5', 'port-6']);
  assert.ok(maps['cb_ep_2']?.some((row) => row['address'] === '10.0.0.7' && row['at'] === 'h2'));
  assert.ok(maps['cb_rule_1']?.some((row) => row['ports'] === '80-87' && row['protocol'] === 6));

  for (const path of ['/status', '/vifs', '/maps', '/counters']) {
    const others = namesIn(await host.ask<unknown>(path)).filter((name) => !IN_API.test(name));
    assert.deepEqual(others, [], `names in ${path} are written as in the API`);
  }

  bed.server.set([]);
  await eventually('everything is empty', async () => {
    const left = (await host.ask<Maps>('/maps')) ?? { none: [{}] };
    return Object.values(left).every((rows) => rows.length === 0);
  });
  await eventually('its own links are gone', () => !host.links().some((name) => /^c[bv]/.test(name)));
  assert.match(
    host.exec('tc', 'filter', 'show', 'dev', TAP_DEVICE, 'ingress'),
    /enter_vif/,
    'a tap without a port drops',
  );
  host.exec('ip', 'link', 'delete', TAP_DEVICE);
  assert.equal(await host.end('SIGTERM'), 0);
  assert.ok(!existsSync(host.socket));
  assert.ok(host.links().includes('cablevx'), 'the data plane stays');
});

test('after kill -9 the next agent takes over without one write, and continues where the last was', async () => {
  await host.start();
  const revision = bed.server.set(cloud([TAP, OWN]));
  host.exec('ip', 'tuntap', 'add', TAP_DEVICE, 'mode', 'tap');
  await eventually('both are up', () => isUp(TAP) && isUp(OWN));
  await inSync(revision);
  await host.end('SIGKILL');
  assert.ok(host.links().includes(OWN_DEVICE));

  await host.start();
  const status = await inSync(revision);
  assert.equal(status.writes, 0);
  assert.equal(status.raises, 0, 'no decision was revoked');
  assert.equal(bed.server.resumes.at(-1)?.since, revision);
  host.exec('ip', 'link', 'delete', TAP_DEVICE);
});

test('the MTU of the uplink is what own links are made for, and what server and status are told', async () => {
  type Underlay = { underlay_devices: string[]; underlay_mtu_bytes: number; networks_too_large: object[] };
  const linkMtu = (name: string): number =>
    (JSON.parse(host.exec('ip', '-j', 'link', 'show', name)) as [{ mtu: number }])[0].mtu;
  const told = (): number | undefined => bed.server.registrations.at(-1)?.underlayMtuBytes;
  host.exec('ip', 'link', 'set', 'eth0', 'mtu', '1400');
  await host.start();
  await inSync(bed.server.set(cloud([OWN])));
  assert.deepEqual([linkMtu('cables1'), linkMtu('cablevx'), told()], [1350, 1350, 1400]);
  const small = await host.ask<Underlay>('/status');
  assert.deepEqual([small?.underlay_devices, small?.underlay_mtu_bytes], [['eth0'], 1400]);
  assert.equal(small?.networks_too_large.length, 2, 'both networks have 1450');

  host.exec('ip', 'link', 'set', 'eth0', 'mtu', '1500');
  await eventually('own links are raised', () => linkMtu('cables1') === 1450 && linkMtu('cablevx') === 1450);
  await eventually('the server is told', () => told() === 1500);
  assert.deepEqual((await host.ask<Underlay>('/status'))?.networks_too_large, []);
});

test('a second agent for the host is refused', async () => {
  await host.start();
  assert.throws(() => host.run(), /is running already/);
});

test('without a server the agent works from the last state, and teardown then removes everything', async () => {
  await host.start();
  const revision = bed.server.set(cloud([OWN]));
  await inSync(revision);
  await host.end('SIGTERM');
  await bed.stopServer();
  host.exec('ip', 'link', 'delete', OWN_DEVICE);
  await host.start();
  await eventually('the port is made again', () => host.links().includes(OWN_DEVICE));
  await host.end('SIGTERM');
  await bed.restartServer();
  host.run('--teardown');
  assert.deepEqual(host.links(), ['lo', 'eth0']);
  assert.ok(!existsSync(host.pins));
  assert.ok(!existsSync(host.state));
});
