import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkHeader, RouterGateway, SliceKey } from '@cable/model';
import {
  type SampleSlice,
  sampleId,
  sampleNetwork,
  samplePeering,
  samplePeerings,
  sampleRouter,
} from '../plan/testing/sample.ts';
import { BesideServices } from './beside-services.ts';
import { networkWays } from './network-ways.ts';

type Reader = Parameters<typeof networkWays>[0];

/** What a host that has been sent all of it says. */
function waysIn(slices: Reader, networkId: string) {
  const beside = new BesideServices(slices);
  const changes = [...slices.keys()].flatMap((key) => [...slices.items(key)].map(([item]) => ({ key, item })));
  beside.take({ changes });
  return networkWays(slices, beside, networkId);
}

function reader(...slices: readonly (SampleSlice | readonly SampleSlice[])[]): Reader {
  const byKey = new Map(slices.flat().map((one) => [one.key, one]));
  return {
    keys: () => byKey.keys() as Iterable<SliceKey>,
    header: ((key: SliceKey) => byKey.get(key)?.header) as Reader['header'],
    items: ((key: SliceKey) => byKey.get(key)?.items ?? []) as Reader['items'],
    item: ((key: SliceKey, item: string) => new Map(byKey.get(key)?.items ?? []).get(item)) as Reader['item'],
  };
}

const NET = sampleId('net', 1);
const SUBNET = sampleId('sub', 1);
const GATEWAY = { fixedIps: [{ subnetId: sampleId('sub', 9), ipAddress: '203.0.113.7' }] } as unknown as RouterGateway;

function wayTo(destination: string) {
  return { subnetId: SUBNET, destination, gateway: '10.0.0.1' };
}

test('a network leads to what its routers join, have routes to, and are let through by peers; to nothing of routers that are down', () => {
  const routes = [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }];
  const joined = sampleRouter(1, [1, 2], { routes });
  const peerings = samplePeerings(1, [samplePeering(1, [1], [4]), samplePeering(2, [2], [5])]);
  const other = sampleRouter(2, [2, 3]);
  const found = waysIn(reader(sampleNetwork(1), joined, peerings, other), NET);
  assert.deepEqual(found, {
    prefixes: ['10.0.1.0/24', '192.0.2.0/24', '10.0.3.0/24'].map(wayTo),
    services: [],
    leadsOut: [],
  });
  const down = sampleRouter(1, [1, 2], { adminStateUp: false, gateway: GATEWAY });
  assert.deepEqual(waysIn(reader(sampleNetwork(1), down), NET), { prefixes: [], services: [], leadsOut: [] });
});

test('a router’s gateway leads outside, and so does a default route, each in its version of IP', () => {
  assert.deepEqual(waysIn(reader(sampleNetwork(1), sampleRouter(1, [1], { gateway: GATEWAY })), NET).leadsOut, [4]);
  const routes = [{ destination: '0.0.0.0/0', nexthop: '10.0.0.9' }];
  assert.deepEqual(waysIn(reader(sampleNetwork(1), sampleRouter(1, [1], { routes })), NET), {
    prefixes: [],
    services: [],
    leadsOut: [4],
  });
});

test('of a network on a physical one the gateway leads outside, unless it is a router’s', () => {
  const wire = { physicalNetwork: 'datacenter', segmentationId: 7 };
  const physical = sampleNetwork(1).map((one) =>
    one.key === `network:${NET}` ? { ...one, header: { ...(one.header as NetworkHeader), wire } } : one,
  );
  assert.deepEqual(waysIn(reader(physical), NET).leadsOut, [4]);
  assert.deepEqual(waysIn(reader(physical, sampleRouter(1, [1])), NET).leadsOut, []);
});

test('a router that is nobody’s gateway there says nothing of where others’ pods send', () => {
  const routes = [{ destination: '10.96.0.10/32', nexthop: '10.0.0.9' }];
  const foreign = sampleRouter(1, [1, 2], { gateway: GATEWAY, routes });
  const others = sampleNetwork(1).map((one) => {
    const header = one.header as unknown as NetworkHeader;
    if (one.key !== `network:${NET}`) return one;
    const subnets = header.subnets.map((subnet) => ({ ...subnet, gatewayIp: '10.0.0.254' }));
    return { ...one, header: { ...header, subnets } } as unknown as SampleSlice;
  });
  assert.deepEqual(waysIn(reader(others, foreign), NET), { prefixes: [], services: [], leadsOut: [] });
});

test('Services with an endpoint on no node are reached by the router, each in its version of IP; those of pods alone are not', () => {
  const backend = (serviceId: string, host?: string) => ({
    serviceId,
    ipAddress: '10.0.0.9',
    ports: [],
    ...(host && { host }),
  });
  const service = (clusterIps: readonly string[]) => ({ clusterIps });
  const scope = (n: number, routerIds: readonly string[]) =>
    [
      {
        key: `services:s${n}`,
        header: { routerIds },
        items: [
          ['a', service(['10.96.0.1', 'fd96::1'])],
          ['b', service(['10.96.0.2'])],
        ],
      },
      {
        key: `backends:s${n}`,
        header: {},
        items: [
          ['1', backend('a')],
          ['2', backend('a', 'h1')],
          ['3', backend('b', 'h1')],
        ],
      },
    ] as unknown as readonly SampleSlice[];
  const joined = sampleRouter(1, [1]);
  const own = scope(1, [sampleId('rtr', 1)]);
  const found = waysIn(reader(sampleNetwork(1), joined, own, scope(2, [sampleId('rtr', 2)])), NET);
  assert.deepEqual(found, { prefixes: [], services: [wayTo('10.96.0.1/32')], leadsOut: [] });
});
