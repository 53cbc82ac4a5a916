import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ForwardedPorts, RouterGateway } from '@cable/model';
import { textBytes } from '../bpf/codec.ts';
import { type Row, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { AWAY, EXTERNAL, GATEWAY, HERE, OUTSIDE } from './testing/outside.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  sampleRouter,
} from './testing/sample.ts';

const INSIDE = [
  sampleHost('h1', [HERE]),
  ...sampleNetwork(1, {}, [sampleEndpoint(HERE, 'h1', '192.0.2.1'), sampleEndpoint(AWAY, 'h2', '192.0.2.2')]),
  ...EXTERNAL,
  samplePolicy('', []),
];

function forward(port: typeof HERE, more: Partial<ForwardedPorts> = {}): ForwardedPorts {
  return {
    networkId: sampleId('net', OUTSIDE),
    floatingIp: '203.0.113.20',
    protocol: 6,
    externalPorts: [2222, 2222],
    portId: port.id,
    innerNetworkId: port.networkId,
    fixedIp: port.fixedIps[0]?.ipAddress ?? '',
    internalPorts: [22, 22],
    ...more,
  };
}

function forwards(...list: readonly ForwardedPorts[]): SampleSlice {
  const id = sampleId('rtr', 1);
  const items = new Map(list.map((value, at) => [sampleId('pfw', at), value]));
  return { key: `forwards:${id}`, header: { routerId: id }, items };
}

async function plan(bed: PlanBed, gateway: RouterGateway, ...list: readonly ForwardedPorts[]): Promise<void> {
  await bed.plan(...INSIDE, sampleRouter(1, [1], { gateway }), forwards(...list));
}

function newBed(): PlanBed {
  const bed = createPlanBed({ bridgeMappings: new Map([['physnet1', 'eth9']]) });
  bed.state.setDevice('eth9', 9);
  bed.plug(HERE, 50);
  return bed;
}

function rowsOf({ planner, state }: PlanBed, map: 'cb_forward_1' | 'cb_ep_2' | 'cb_net_1'): Row[] {
  const reading = readNames({ host: 'h1', slices: state, planner });
  for (;;) {
    const step = reading.next();
    if (step.done !== true) continue;
    return [...planner.entries.of(map).values()].flatMap(({ key, value }) => {
      const row = showEntry(map, { key: textBytes(key), value: textBytes(value) }, step.value);
      return row === undefined ? [] : [row];
    });
  }
}

const shown = (bed: PlanBed): string[] =>
  rowsOf(bed, 'cb_forward_1')
    .map((row) =>
      ['protocol', 'address', 'port', 'bits', 'leads_to', 'ports', 'in'].map((field) => row[field]).join(' '),
    )
    .sort();

const outside = (bed: PlanBed): unknown[][] =>
  rowsOf(bed, 'cb_ep_2')
    .filter((row) => row['network'] === 'net-9' && row['address'] === '203.0.113.20')
    .map((row) => [row['kind'], row['at'], row['mac']]);

test('the host of the gateway forwards, by prefixes of ports, and answers for the address', async () => {
  const bed = newBed();
  await plan(
    bed,
    GATEWAY,
    forward(HERE),
    forward(AWAY, { protocol: 17, externalPorts: [8001, 8004], internalPorts: [9001, 9004] }),
    forward(HERE, { externalPorts: [10, 11], internalPorts: [80, 80] }),
  );
  const transit = rowsOf(bed, 'cb_net_1').find((row) => row['vni'] === 777)?.['network'];
  assert.deepEqual(
    shown(bed),
    [
      '6 203.0.113.20 2222 16 10.0.0.5 22 at 2222 net-1',
      '6 203.0.113.20 10 15 10.0.0.5 80 net-1',
      `17 203.0.113.20 8001 16 10.0.0.7 9001 at 8001 ${transit}`,
      `17 203.0.113.20 8002 15 10.0.0.7 9001 at 8001 ${transit}`,
      `17 203.0.113.20 8004 16 10.0.0.7 9001 at 8001 ${transit}`,
    ].sort(),
  );
  assert.deepEqual(outside(bed), [['router', 'router-1', sampleMac(0x99)]]);
});

test('the address is answered for as long as one of its ports leads somewhere, on one host', async () => {
  const bed = newBed();
  await plan(bed, GATEWAY, forward(HERE), forward(HERE, { externalPorts: [80, 80], internalPorts: [80, 80] }));
  await plan(bed, GATEWAY, forward(HERE));
  assert.equal(outside(bed).length, 1);
  await plan(bed, { ...GATEWAY, host: 'h2', underlay: '192.0.2.2' }, forward(HERE));
  assert.deepEqual([outside(bed), shown(bed)], [[], []], 'the gateway is elsewhere');
  await plan(bed, GATEWAY, forward(HERE, { networkId: sampleId('net', 4) }));
  assert.deepEqual([outside(bed), shown(bed)], [[], []], 'the gateway leads into another network');
  await plan(bed, GATEWAY, forward(HERE));
  assert.equal(shown(bed).length, 1);
  await plan(bed, GATEWAY);
  assert.deepEqual([outside(bed), shown(bed)], [[], []]);
});
