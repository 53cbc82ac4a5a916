import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort } from '@cable/model';
import { type Entrance, entranceKey } from './entrances.ts';
import type { HostPort } from './host-ports.ts';
import type { LocalDevice } from './inputs.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import { sampleHost, sampleNetwork, samplePort, sampleRouter } from './testing/sample.ts';

const HTTP: HostPort = { protocol: 'TCP', hostPort: 8080, containerPort: 80 };
const POD = samplePort(5, {
  vifKind: 'veth',
  deviceOwner: 'kubernetes:pod',
  fixedIps: [
    { subnetId: 's4', ipAddress: '10.0.0.5' },
    { subnetId: 's6', ipAddress: 'fd00::5' },
  ],
});
const NODE = samplePort(6, {
  ...{ vifKind: 'host', deviceOwner: 'kubernetes:node', portSecurityEnabled: false, policy: null },
});

/** Devices whose runtime wants host ports of the pod. */
function bedOf(hostPorts: () => readonly HostPort[], portId = POD.id): PlanBed {
  const devices = {
    byName: (name: string): LocalDevice | undefined => {
      const device = bed.state.byName(name);
      return device === undefined || hostPorts().length === 0
        ? device
        : { ...device, hostPorts: { portId, hostPorts: hostPorts() } };
    },
  };
  const bed: PlanBed = createPlanBed({ devices });
  bed.plug(POD, 50);
  return bed;
}

function slices(...ports: readonly LocalPort[]) {
  return [sampleHost('h1', ports), sampleNetwork(1), sampleRouter(1, [1])].flat();
}

const shown = ({ planner }: PlanBed): readonly Entrance[] => [...planner.entrances.values()];

test('a host port leads to the pod’s address of its version of IP, as long as the device says so', async () => {
  let hostPorts: readonly HostPort[] = [HTTP, { ...HTTP, protocol: 'UDP', hostPort: 53, hostIp: '127.0.0.1' }];
  const bed = bedOf(() => hostPorts);
  await bed.plan(slices(POD, NODE));
  const pod = { isHostPort: true, to: { address: '10.0.0.5', port: 80 } } as const;
  assert.deepEqual(shown(bed), [
    { protocol: 'TCP', ipVersion: 4, port: 8080, ...pod },
    { protocol: 'TCP', ipVersion: 6, port: 8080, ...pod, to: { address: 'fd00::5', port: 80 } },
    { protocol: 'UDP', ipVersion: 4, port: 53, address: '127.0.0.1', ...pod },
  ]);
  hostPorts = [HTTP];
  bed.plug(POD, 51);
  const { entrances } = await bed.plan(slices(POD, NODE));
  assert.ok(entrances.has('4 UDP 53 127.0.0.1 pod'));
  assert.equal(shown(bed).length, 2);
  bed.plug(POD, null);
  await bed.plan(slices(POD, NODE));
  assert.deepEqual(shown(bed), []);
});

test('any address of one version of IP is that, and a pod without an address of it has none', async () => {
  const bed = bedOf(() => [
    { ...HTTP, hostIp: '::' },
    { ...HTTP, hostPort: 9, hostIp: '0.0.0.0' },
  ]);
  const only4 = { ...POD, fixedIps: POD.fixedIps.slice(0, 1) };
  await bed.plan(slices(only4, NODE));
  assert.deepEqual(shown(bed).map(entranceKey), ['4 TCP 9  pod']);
});

test('a host that is no node behind the port’s router has no way to it; nor is another’s port meant', async () => {
  const bed = bedOf(() => [HTTP]);
  await bed.plan(slices(POD));
  assert.deepEqual(shown(bed), []);
  await bed.plan(slices(POD, NODE));
  assert.equal(shown(bed).length, 2);
  await bed.plan(slices(POD, { ...NODE, networkId: samplePort(7).networkId.replace(/.$/, 'f') }));
  assert.deepEqual(shown(bed), []);
  const others = bedOf(() => [HTTP], NODE.id);
  await others.plan(slices(POD, NODE));
  assert.deepEqual(shown(others), []);
});
