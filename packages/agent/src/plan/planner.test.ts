import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { LocalPort, PolicyRule, SliceKey } from '@cable/model';
import { AGENT_MAPS } from '../desired.ts';
import { SlotTable } from '../host/slots.ts';
import { vifDeviceName } from './device-names.ts';
import type { NumberOf } from './numbers.ts';
import { firstBits } from './numbers.ts';
import { Planner } from './planner.ts';
import { dumpPlan, hexText } from './testing/dump.ts';
import { createRandom, type Random } from './testing/random.ts';
import {
  legKey,
  sampleEndpoint,
  sampleGroup,
  sampleId,
  sampleLeg,
  sampleMac,
  sampleNetwork,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './testing/sample.ts';
import { SampleState } from './testing/sample-state.ts';

const HOST = 'h1';
const POLICY_BUDGET = { rules: 40, classes: 30 };
const CIDRS = [
  '10.0.0.0/8',
  '10.0.0.0/24',
  '10.0.0.0/30',
  '10.0.0.5/32',
  '10.0.1.0/25',
  '0.0.0.0/0',
  '2001:db8::/32',
  'x',
];

/** So few numbers that many names meet. */
const CROWDED: NumberOf = (name) => firstBits(name) % 3;

type World = { readonly state: SampleState; readonly random: Random; readonly ports: Map<number, LocalPort> };

/** One random change of any kind. */
function change(world: World): void {
  const { random } = world;
  const kinds = [
    changePort,
    changePort,
    changePort,
    changeEndpoint,
    changeEndpoint,
    changeNetwork,
    changeDevice,
    changeDevice,
    changeLeg,
    changeRouter,
    changeRule,
    changeRule,
    changeMember,
    changeMember,
    changePolicy,
  ];
  kinds[random(kinds.length)]?.(world);
}

const oneOf = <T>(random: Random, list: readonly T[]): T => {
  const one = list[random(list.length)];
  assert.ok(one !== undefined);
  return one;
};

const address = (random: Random, net: number): string => `10.0.${net - 1}.${random(9)}`;

function randomPort({ random }: World, n: number): LocalPort {
  const net = 1 + random(3);
  const secure = random(5) > 0;
  const ips = Array.from({ length: random(3) }, () => ({
    subnetId: sampleId('sub', net),
    ipAddress: address(random, net),
  }));
  return samplePort(n, {
    // Two of the ids have the same first eleven characters, so they mean one device.
    id: n === 9 ? sampleId('port', 8).replace(/.$/, 'f') : sampleId('port', n),
    networkId: sampleId('net', net),
    projectId: oneOf(random, ['a', 'b']),
    macAddress: random(20) === 0 ? 'no mac' : sampleMac(random(10) === 0 ? 1 : n),
    fixedIps: ips,
    adminStateUp: random(4) > 0,
    vifKind: oneOf(random, ['tap', 'tap', 'veth', 'host'] as const),
    portSecurityEnabled: secure,
    policy: secure ? oneOf<SliceKey>(random, ['policy:', 'policy:g0', 'policy:g0+g1']) : null,
    allowedAddressPairs: random(3) === 0 ? [{ ipAddress: oneOf(random, CIDRS), macAddress: sampleMac(n) }] : [],
  });
}

function changePort(world: World): void {
  const n = 1 + world.random(9);
  const port = world.random(4) === 0 ? undefined : randomPort(world, n);
  const id = port?.id ?? world.ports.get(n)?.id;
  if (id === undefined) return;
  if (port === undefined) world.ports.delete(n);
  else world.ports.set(n, port);
  world.state.setItem(`host:${HOST}`, id, port);
}

function changeEndpoint({ state, random }: World): void {
  const n = random(14);
  const net = 1 + random(4);
  const host = random(5);
  const fixedIps = [{ subnetId: '', ipAddress: address(random, net) }];
  const port = samplePort(n, { fixedIps });
  const underlay = random(8) === 0 ? null : `192.0.2.${host}`;
  state.setItem(
    `endpoints:${sampleId('net', net)}`,
    port.id,
    random(4) === 0 ? undefined : sampleEndpoint(port, `h${host}`, underlay),
  );
}

function changeNetwork({ state, random }: World): void {
  const n = 1 + random(4);
  const subnets = Array.from({ length: random(3) }, (_, i) =>
    sampleSubnet(i === 0 ? n : n + 10, {
      enableDhcp: random(2) === 0,
      gatewayIp: random(4) === 0 ? null : `10.0.${n - 1}.${1 + random(2)}`,
      hostRoutes: random(3) === 0 ? [{ destination: '172.16.0.0/12', nexthop: `10.0.${n - 1}.9` }] : [],
    }),
  );
  const [slice] = sampleNetwork(n, { subnets, mtuBytes: 1400 + random(2), adminStateUp: random(4) > 0 });
  if (slice !== undefined) state.setHeader(slice.key, random(5) === 0 ? undefined : slice.header);
}

function changeDevice({ state, random, ports }: World): void {
  const port = ports.get(1 + random(9));
  if (port === undefined) return;
  const name = vifDeviceName(port);
  const known = state.byName(name);
  const other = [...state.devices.values()][random(Math.max(1, state.devices.size))];
  const what = random(4);
  if (what === 0) state.setDevice(name, undefined);
  else if (what === 1 && known !== undefined && other !== undefined) {
    // Two devices exchange their names.
    state.setDevice(name, other.ifindex);
    state.setDevice(other.name, known.ifindex);
  } else state.setDevice(name, 50 + random(12));
}

function changeLeg({ state, random }: World): void {
  const router = 1 + random(3);
  const leg = sampleLeg(router, 1 + random(4));
  const macAddress = random(8) === 0 ? sampleMac(1) : leg.macAddress;
  state.setItem(`router:${sampleId('rtr', router)}`, legKey(leg), random(3) === 0 ? undefined : { ...leg, macAddress });
}

function changeRouter({ state, random }: World): void {
  const n = 1 + random(3);
  const routes = Array.from({ length: random(3) }, () => ({
    destination: oneOf(random, CIDRS),
    nexthop: address(random, 1 + random(4)),
  }));
  const slice = sampleRouter(n, [], { adminStateUp: random(4) > 0, routes });
  state.setHeader(slice.key, random(5) === 0 ? undefined : slice.header);
}

function randomRule(random: Random, n: number): PolicyRule {
  const remote = oneOf(random, [
    { kind: 'any' },
    { kind: 'prefix', cidr: oneOf(random, CIDRS) },
    { kind: 'group', groupId: `g${random(3)}` },
    { kind: 'group', groupId: `g${random(3)}` },
  ] as const);
  const first = random(20);
  const ports = random(3) === 0 ? { portMin: first, portMax: first + random(9) } : {};
  return sampleRule(n, {
    direction: oneOf(random, ['ingress', 'egress'] as const),
    protocol: oneOf(random, [null, 6, 17]),
    remote,
    ...ports,
  });
}

function changeRule({ state, random }: World): void {
  const key = oneOf<SliceKey>(random, ['policy:', 'policy:g0', 'policy:g0+g1']);
  const rule = randomRule(random, 1 + random(6));
  state.setItem(key, rule.id, random(3) === 0 ? undefined : rule);
}

function changePolicy({ state, random }: World): void {
  const key = oneOf<SliceKey>(random, ['policy:', 'policy:g0', 'policy:g0+g1']);
  state.setHeader(key, random(5) === 0 ? undefined : { id: key.slice('policy:'.length) });
}

function changeMember({ state, random }: World): void {
  const group = random(3);
  const portId = sampleId('port', random(12));
  const addresses = Array.from({ length: random(4) }, () =>
    random(3) === 0 ? oneOf(random, CIDRS) : address(random, 1 + random(3)),
  );
  const member = { portId, networkId: sampleId('net', 1 + random(3)), addresses };
  state.setItem(sampleGroup(`g${group}`, []).key, portId, random(4) === 0 ? undefined : member);
}

function plannerOf(state: SampleState, slots: SlotTable, numberOf: NumberOf): Planner {
  return new Planner({
    host: HOST,
    slices: state,
    devices: state,
    slots,
    numberOf,
    policyBudget: POLICY_BUDGET,
    log: silentLogger(),
  });
}

/** What the maps shall hold, by map and key. */
function entriesOf(planner: Planner): (readonly [string, string])[] {
  return AGENT_MAPS.flatMap((map) =>
    Array.from(
      planner.entries.of(map).values(),
      ({ key, value }) => [`${map} ${key}`, hexText(map, key, value)] as const,
    ),
  );
}

/** What a planner makes of the state that has never seen another one; ports have the slots that the used one gave them. */
async function fresh(state: SampleState, used: Planner, numberOf: NumberOf): Promise<readonly string[]> {
  const slots = new SlotTable(new Map([...used.vifs.values()].map((vif) => [vif.portId, vif.slot] as const)), () => 0);
  const planner = plannerOf(state, slots, numberOf);
  await planner.update(state.all(), []);
  return dumpPlan(planner);
}

for (const [label, numberOf] of [
  ['as they are', firstBits],
  ['that collide', CROWDED],
] as const) {
  test(`after any changes in any order and portions the plan is that of a fresh planner, with numbers ${label}`, async () => {
    let entries = 0;
    for (let seed = 1; seed <= 12; seed += 1) {
      const random = createRandom(seed);
      const world: World = { state: new SampleState(), random, ports: new Map() };
      const used = plannerOf(world.state, new SlotTable(new Map(), () => 0), numberOf);
      const kernel = new Map<string, string>();
      for (let step = 0; step < 60; step += 1) {
        const portion = step === 0 ? 80 : 1 + random(4);
        for (let i = 0; i < portion; i += 1) change(world);
        const { changes, devices } = world.state.take();
        const { entries: written } = await used.update(changes, devices);
        if (step === 0) for (const one of entriesOf(used)) kernel.set(...one);
        for (const { map, key, after } of written) {
          if (after === undefined) kernel.delete(`${map} ${key}`);
          else kernel.set(`${map} ${key}`, hexText(map, key, after.value));
        }
        const plan = dumpPlan(used);
        assert.deepEqual(plan, await fresh(world.state, used, numberOf), `seed ${seed} step ${step}`);
        const claimed = plan.filter((line) => line.startsWith('cb_')).map((line) => line.split(' by ')[0]);
        assert.deepEqual([...kernel.values()].sort(), claimed, `seed ${seed} step ${step}: changes`);
        entries += plan.length;
      }
    }
    assert.ok(entries > 5_000, `${entries} lines were compared`);
  });
}
