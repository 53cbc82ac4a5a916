import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouterGateway, SnatBlocks, SnatLeaseState } from '@cable/model';
import { textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { type Row, type ShownMap, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { AWAY, EXTERNAL, GATEWAY, HERE, OUTSIDE } from './testing/outside.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  sampleRouter,
} from './testing/sample.ts';

const ROUTER = sampleId('rtr', 1);
const BLOCK = { networkId: sampleId('net', OUTSIDE), address: '203.0.113.9' };
const INSIDE = [
  ...sampleNetwork(1, {}, [sampleEndpoint(HERE, 'h1', '192.0.2.1'), sampleEndpoint(AWAY, 'h2', '192.0.2.2')]),
  samplePolicy('', []),
];
/** The server has the gateway on h3, and this host, h1, stands by. */
const ELSEWHERE: RouterGateway = {
  ...{ ...GATEWAY, leased: true, host: 'h3', underlay: '192.0.2.3' },
  standbys: [{ host: 'h1', underlay: '192.0.2.1' }],
};

/** Hosts of gateways as this one sees them. */
class Bed {
  readonly plan: PlanBed;
  #seen: string | undefined;
  /** This host has no way outside. */
  isCutOff = false;

  constructor() {
    const gateways = { hostOf: () => this.#seen, isCutOff: () => this.isCutOff };
    this.plan = createPlanBed({ bridgeMappings: new Map([['physnet1', 'eth9']]), gateways });
    this.plan.state.setDevice('eth9', 9);
    this.plan.plug(HERE, 50);
  }

  async see(host: string | undefined, ...slices: readonly SampleSlice[]): Promise<void> {
    this.#seen = host;
    const { state, planner } = this.plan;
    state.replace([sampleHost('h1', [HERE]), ...INSIDE, ...EXTERNAL, ...slices]);
    const { changes, devices } = state.take();
    await planner.update(changes, devices, [], [ROUTER]);
  }

  rows(map: AgentMap & ShownMap, ...fields: string[]): unknown[][] {
    const reading = readNames({ host: 'h1', slices: this.plan.state, planner: this.plan.planner });
    for (;;) {
      const step = reading.next();
      if (step.done !== true) continue;
      const rows = [...this.plan.planner.entries.of(map).values()].flatMap(({ key, value }): Row[] => {
        const row = showEntry(map, { key: textBytes(key), value: textBytes(value) }, step.value);
        return row === undefined ? [] : [row];
      });
      return rows.map((row) => fields.map((field) => row[field])).sort((a, b) => (String(a) < String(b) ? -1 : 1));
    }
  }

  get leases(): unknown[][] {
    return this.rows('cb_lease_1', 'sender', 'ports', 'leaves');
  }

  get blocks(): unknown[][] {
    return this.rows('cb_block_1', 'ports', 'at');
  }
}

const router = (gateway: RouterGateway): SampleSlice => sampleRouter(1, [1], { gateway });

function blocks(...list: readonly Omit<SnatBlocks, 'networkId' | 'address'>[]): SampleSlice {
  const items = list.map((one, at) => [sampleId('lease', at), { ...BLOCK, ...one }] as const);
  return { key: `blocks:${ROUTER}`, header: { routerId: ROUTER }, items: new Map(items) };
}

function leases(
  ...list: readonly Omit<SnatLeaseState, 'networkId' | 'address' | 'routerId' | 'fixedIps'>[]
): SampleSlice {
  const items = list.map((one, at) => {
    const fixedIps = ['10.0.0.5'];
    return [sampleId('lease', at), { ...BLOCK, routerId: ROUTER, fixedIps, ...one }] as const;
  });
  return { key: 'leases:h1', header: { host: 'h1' }, items: new Map(items) };
}

const [MINE, OTHER] = [
  { portId: HERE.id, fixedIps: ['10.0.0.5'] },
  { portId: AWAY.id, fixedIps: ['10.0.0.7'] },
];
const GATEWAYS = { host: 'h3', underlay: '192.0.2.3' };

test('who takes the gateway’s place has the blocks of all that leave by it, and again the same when the server knows', async () => {
  const bed = new Bed();
  const told = blocks(
    { ...GATEWAYS, firstPorts: [1024, 1088], ...MINE, leavesBy: 'gateway' },
    { ...GATEWAYS, firstPorts: [1152], ...OTHER, leavesBy: 'gateway' },
    { host: 'h2', underlay: '192.0.2.2', firstPorts: [1216] },
  );
  await bed.see(undefined, router(ELSEWHERE), told);
  assert.deepEqual([bed.leases, bed.blocks], [[], []], 'it stands by');
  await bed.see('h1', router(ELSEWHERE), told);
  const transit = bed.rows('cb_net_1', 'network', 'vni').find(([, vni]) => vni === 777)?.[0];
  const all = [
    [`10.0.0.7 in ${transit}`, '1152-1215', 'gateway'],
    ['port-5', '1024-1087, 1088-1151', 'gateway'],
  ];
  assert.deepEqual([bed.leases, bed.blocks], [all, [['1216-1279', 'h2']]]);
  assert.equal(bed.rows('cb_held_1', 'ports').length, 3);
  // The server binds the gateway to it, and then each lease.
  const here = { ...ELSEWHERE, host: 'h1', underlay: '192.0.2.1', standbys: [GATEWAYS] };
  await bed.see(undefined, router(here), told);
  assert.deepEqual([bed.leases, bed.blocks], [all, [['1216-1279', 'h2']]]);
  const moved = blocks(
    { host: 'h1', underlay: '192.0.2.1', firstPorts: [1024, 1088], ...MINE, leavesBy: 'gateway' },
    { ...GATEWAYS, firstPorts: [1152], ...OTHER, leavesBy: 'gateway' },
    { host: 'h2', underlay: '192.0.2.2', firstPorts: [1216] },
  );
  const own = leases({ portId: HERE.id, firstPorts: [1024, 1088], leavesBy: 'gateway' });
  await bed.see(undefined, router(here), moved, own);
  assert.deepEqual([bed.leases, bed.blocks], [all, [['1216-1279', 'h2']]]);
});

test('a host in whose place another stands leaves by that with what left by the gateway, and itself with what leaves by its own host', async () => {
  const bed = new Bed();
  const here = { ...ELSEWHERE, host: 'h1', underlay: '192.0.2.1', standbys: [GATEWAYS] };
  const byGateway = leases({ portId: HERE.id, firstPorts: [1024], leavesBy: 'gateway' });
  await bed.see(undefined, router(here), byGateway);
  assert.deepEqual(bed.leases, [['port-5', '1024-1087', 'gateway']]);
  await bed.see('h3', router(here), byGateway);
  assert.deepEqual(bed.leases, []);
  await bed.see('h3', router(here), leases({ portId: HERE.id, firstPorts: [1024], leavesBy: 'host' }));
  assert.deepEqual(bed.leases, [['port-5', '1024-1087', 'here']]);
});

test('what the gateway’s host gives on is taken from the one that has taken its place', async () => {
  const bed = new Bed();
  const other = { ...ELSEWHERE, standbys: [{ host: 'h2', underlay: '192.0.2.2' }] };
  const own = leases({ portId: HERE.id, firstPorts: [1024], leavesBy: 'host' });
  const relays = (): unknown[][] =>
    bed.rows('cb_peer_2', 'underlay', 'network', 'vni').filter(([, , vni]) => vni === 777);
  await bed.see(undefined, router(other), own);
  assert.deepEqual(relays(), [['192.0.2.3', 'net-9', 777]]);
  await bed.see('h2', router(other), own);
  assert.deepEqual(relays(), [['192.0.2.2', 'net-9', 777]]);
  assert.deepEqual(bed.leases, [['port-5', '1024-1087', 'here']]);
});

test('what comes to the gateway of a port that leaves by its own host has the first of its blocks, and what answers the others is given on', async () => {
  const bed = new Bed();
  const told = blocks({ host: 'h2', underlay: '192.0.2.2', firstPorts: [1152, 1216], ...OTHER, leavesBy: 'host' });
  await bed.see('h1', router(ELSEWHERE), told);
  const transit = bed.rows('cb_net_1', 'network', 'vni').find(([, vni]) => vni === 777)?.[0];
  assert.deepEqual(bed.leases, [[`10.0.0.7 in ${transit}`, '1152-1215', 'gateway']]);
  assert.deepEqual(bed.blocks, [
    ['1152-1215', 'h2'],
    ['1216-1279', 'h2'],
  ]);
});

test('a host without a way outside leaves by the gateway with what left by its own host', async () => {
  const bed = new Bed();
  const own = leases({ portId: HERE.id, firstPorts: [1024], leavesBy: 'host' });
  const out = (): unknown[][] => bed.rows('cb_snat_1', 'router');
  await bed.see(undefined, router(ELSEWHERE), own);
  assert.deepEqual([bed.leases.length, out().length], [1, 1]);
  bed.isCutOff = true;
  await bed.see(undefined, router(ELSEWHERE), own);
  assert.deepEqual([bed.leases, out()], [[], []]);
  bed.isCutOff = false;
  await bed.see(undefined, router(ELSEWHERE), own);
  assert.deepEqual([bed.leases.length, out().length], [1, 1]);
});
