import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouterGateway } from '@cable/model';
import { CB_ROUTE_F_GATEWAY, CB_ROUTE_SEVERAL, MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { formatAddress, formatPrefix } from './address.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
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
  portId: sampleId('gw', 1),
  networkId: sampleId('net', 9),
  macAddress: sampleMac(0x99),
  fixedIps: [{ subnetId: sampleId('sub', 9), ipAddress: '203.0.113.9' }],
  enableSnat: true,
  transitVni: 777,
  host: 'h1',
  underlay: '192.0.2.1',
};

type Routes = readonly { readonly destination: string; readonly nexthop: string }[];

/** Routes as `destination: next hops`. */
async function planned(bed: PlanBed, gateway: RouterGateway, routes: Routes): Promise<Record<string, string>> {
  const inside = [sampleHost('h1', [HERE]), sampleNetwork(1, {}, []), EXTERNAL];
  await bed.plan(...inside, sampleRouter(1, [1], { gateway, routes }));
  const { entries } = bed.planner;
  const found: Record<string, string> = {};
  for (const { key, value } of entries.of('cb_route_2').values()) {
    const { prefixlen, addr } = MAPS.cb_route_2.key.decode(textBytes(key));
    const route = MAPS.cb_route_2.value.decode(textBytes(value));
    const to = formatPrefix(addr, prefixlen - 32);
    if (route.kind !== CB_ROUTE_SEVERAL) {
      found[to] = formatAddress(route.nexthop);
      continue;
    }
    assert.equal(formatPrefix(route.nexthop, route.mtuBytes), to, 'it says which its next hops are');
    const several = entries.get('cb_next_1', key);
    assert.ok(several);
    const { count, hop } = MAPS.cb_next_1.value.decode(textBytes(several.value));
    const used = hop.slice(0, count);
    const outside = (route.flags & CB_ROUTE_F_GATEWAY) !== 0;
    assert.ok(used.every(({ flags }) => ((flags & CB_ROUTE_F_GATEWAY) !== 0) === outside));
    if (outside) assert.equal(formatAddress(route.own), '203.0.113.9');
    found[to] = used.map(({ nexthop }) => formatAddress(nexthop)).join(' ');
  }
  return found;
}

const route = (destination: string, nexthop: string) => ({ destination, nexthop });

test('routes to one destination are one with several next hops, in one order', async () => {
  const bed = createPlanBed({ bridgeMappings: new Map([['physnet1', 'eth9']]) });
  bed.state.setDevice('eth9', 9);
  bed.plug(HERE, 50);
  const inside = [route('172.16.0.0/16', '10.0.0.20'), route('172.16.0.0/16', '10.0.0.10')];
  const outside = [route('172.17.0.0/16', '203.0.113.200'), route('172.17.0.0/16', '203.0.113.201')];
  const both = await planned(bed, GATEWAY, [...inside, ...outside, route('172.18.0.0/16', '10.0.0.10')]);
  assert.equal(both['172.16.0.0/16'], '10.0.0.10 10.0.0.20');
  assert.equal(both['172.17.0.0/16'], '203.0.113.200 203.0.113.201');
  assert.equal(both['172.18.0.0/16'], '10.0.0.10');
  assert.equal(both['0.0.0.0/0'], '203.0.113.1');
  const before = [...bed.planner.entries.of('cb_next_1').values()];
  await planned(bed, GATEWAY, [route('172.18.0.0/16', '10.0.0.10'), ...outside.toReversed(), ...inside.toReversed()]);
  assert.deepEqual([...bed.planner.entries.of('cb_next_1').values()], before);

  const less = await planned(bed, GATEWAY, [...inside.slice(1), ...outside.slice(1)]);
  assert.deepEqual([less['172.16.0.0/16'], less['172.17.0.0/16']], ['10.0.0.10', '203.0.113.201']);
  assert.equal(bed.planner.entries.of('cb_next_1').size, 0);
  const mixed = await planned(bed, GATEWAY, [...inside, route('172.16.0.0/16', '203.0.113.200')]);
  assert.equal(mixed['172.16.0.0/16'], '10.0.0.10 10.0.0.20', 'next hops inside go before those outside');
  const own = await planned(bed, GATEWAY, [route('0.0.0.0/0', '203.0.113.200'), route('0.0.0.0/0', '203.0.113.201')]);
  assert.equal(own['0.0.0.0/0'], '203.0.113.200 203.0.113.201', 'in the place of the subnet’s gateway');
});

test('other hosts send to the gateway’s host, which chooses', async () => {
  const bed = createPlanBed();
  bed.plug(HERE, 50);
  const there = { ...GATEWAY, host: 'h3', underlay: '192.0.2.3' };
  const routes = [route('172.17.0.0/16', '203.0.113.200'), route('172.17.0.0/16', '203.0.113.201')];
  assert.equal((await planned(bed, there, routes))['172.17.0.0/16'], '169.254.0.1');
  assert.equal(bed.planner.entries.of('cb_next_1').size, 0);
});
