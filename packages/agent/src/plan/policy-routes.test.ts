import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyRoute, RouterGateway } from '@cable/model';
import { CB_NET_F_STEER, CB_STEER_DROP, cbNet, MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePort,
  sampleRouter,
  sampleSubnet,
} from './testing/sample.ts';

const HERE = samplePort(5);
const EXTERNAL = sampleNetwork(9, {
  external: true,
  wire: { physicalNetwork: 'physnet1', segmentationId: 100 },
  subnets: [sampleSubnet(9, { cidr: '203.0.113.0/24', gatewayIp: '203.0.113.1' })],
});
const GATEWAY: RouterGateway = {
  ...{ portId: sampleId('gw', 1), networkId: sampleId('net', 9), macAddress: sampleMac(0x99) },
  fixedIps: [{ subnetId: sampleId('sub', 9), ipAddress: '203.0.113.9' }],
  ...{ enableSnat: true, transitVni: 777, host: 'h1', underlay: '192.0.2.1' },
};

function policy(n: number, action: PolicyRoute['action'], more: Partial<PolicyRoute> = {}): PolicyRoute {
  return { id: sampleId('plcy', n), name: `p${n}`, action, ...more };
}

async function planned(
  bed: PlanBed,
  policies: readonly PolicyRoute[] | undefined,
  gateway?: RouterGateway,
): Promise<{ readonly shown: readonly string[]; readonly steered: readonly number[] }> {
  const slices: (SampleSlice | readonly SampleSlice[])[] = [
    ...[sampleHost('h1', [HERE]), sampleNetwork(1), sampleNetwork(2), EXTERNAL],
    sampleRouter(1, [1, 2], {
      ...(policies === undefined ? {} : { policies }),
      ...(gateway === undefined ? {} : { gateway }),
    }),
  ];
  await bed.plan(...slices);
  const { planner, state } = bed;
  const reading = readNames({ host: 'h1', slices: state, planner });
  let names = reading.next();
  while (names.done !== true) names = reading.next();
  const found = names.value;
  const shown = [...planner.entries.of('cb_steer_1').values()].map(({ key, value }) =>
    String(showEntry('cb_steer_1', { key: textBytes(key), value: textBytes(value) }, found)?.['policies']),
  );
  const steered = [...planner.entries.of('cb_net_1').values()].flatMap(({ value }) => {
    const { flags, networkId } = cbNet.decode(textBytes(value));
    return (flags & CB_NET_F_STEER) === 0 ? [] : [Buffer.from(networkId).readUInt32BE()];
  });
  return { shown, steered: steered.sort((a, b) => a - b) };
}

test('policy routes of a router are one entry, in their order, and its networks say that they are there', async () => {
  const bed = createPlanBed({ bridgeMappings: new Map([['physnet1', 'eth9']]) });
  bed.state.setDevice('eth9', 9);
  bed.plug(HERE, 50);
  const policies = [
    policy(3, 'reroute', { nextHop: '10.0.1.7', ipVersion: 4, networkId: sampleId('net', 1), source: '10.0.0.0/24' }),
    policy(1, 'drop', { destination: '2001:db8::/33', ipVersion: 6, protocol: 6, ports: [80, 90] }),
    policy(2, 'allow'),
  ];
  const { shown, steered } = await planned(bed, policies, GATEWAY);
  assert.deepEqual(shown, [
    'reroute in net-1 from 10.0.0.0/24 by 10.0.1.7 in net-2; drop to 2001:db8::/33 protocol 6 to ports 80-90; allow',
  ]);
  assert.deepEqual(steered, [1, 2, 9], 'not the transit network');
  assert.deepEqual(await planned(bed, undefined, GATEWAY), { shown: [], steered: [] });
  assert.deepEqual((await planned(bed, policies.slice(2))).steered, [1, 2]);
});

test('a next hop that is nowhere drops, and what comes by a network that is not here is left out', async () => {
  const bed = createPlanBed();
  bed.plug(HERE, 50);
  const policies = [
    policy(1, 'reroute', { nextHop: '10.9.0.7', ipVersion: 4 }),
    policy(2, 'drop', { networkId: sampleId('net', 77) }),
  ];
  const { shown } = await planned(bed, policies);
  assert.deepEqual(shown, ['drop']);
  const [entry] = [...bed.planner.entries.of('cb_steer_1').values()];
  const { count, steer } = MAPS.cb_steer_1.value.decode(textBytes(entry?.value ?? ''));
  assert.deepEqual([count, steer[0]?.action, steer[0]?.policy], [1, CB_STEER_DROP, 1]);
});
