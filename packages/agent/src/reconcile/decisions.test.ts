import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import {
  CB_ENDPOINT_GATEWAY,
  CB_ROUTE_CONNECTED,
  CB_ROUTE_F_PEER,
  type CbRoute,
  cbNet,
  cbVif,
  MAPS,
} from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { createHostIds, NO_IDS } from '../host/ids.ts';
import { formatAddress, NO_ADDRESS, parseAddress } from '../plan/address.ts';
import { endpointOf } from '../plan/endpoint-entries.ts';
import { Planner } from '../plan/planner.ts';
import { change, changeRouter, createWorld, DENYING, type World } from '../plan/testing/world.ts';
import { Decisions } from './decisions.ts';
import type { Due } from './due.ts';
import { Reconciler } from './reconciler.ts';
import { createFakeDataPlane, type FakeDataPlane } from './testing/fake-data-plane.ts';
import { type Packet, type Verdict, verdictOf } from './testing/verdicts.ts';

const REMOTE = ['10.0.0.3', '10.0.1.4', '10.0.2.5', '10.0.3.6', '10.0.1.200', '192.168.0.1'];

type Bed = {
  readonly world: World;
  readonly plane: FakeDataPlane;
  restart(): void;
  step(changes: readonly ((world: World) => void)[]): Promise<void>;
};

function createBed(seed: number): Bed {
  const world = createWorld(seed);
  const plane = createFakeDataPlane((policy) => DENYING.has(policy));
  for (let ifindex = 50; ifindex < 62; ifindex += 1) plane.setDevice(ifindex, true);
  const ids = createHostIds(NO_IDS, () => 0);
  const { state } = world;
  const begin = () => {
    const planner = new Planner({ host: 'h1', slices: state, devices: state, ids, log: silentLogger() });
    return { planner, reconciler: new Reconciler(plane, planner, { log: silentLogger() }), isNew: true };
  };
  let agent = begin();
  let commit = 0;
  const step: Bed['step'] = async (all) => {
    for (const one of all) one(world);
    const { changes, devices } = state.take();
    const { planner, reconciler, isNew } = agent;
    const { entries } = await planner.update(isNew ? state.all() : changes, devices);
    agent.isNew = false;
    commit += 1;
    const round = { entries, ports: new Set(planner.vifs.keys()), write: true, prune: true, retry: false };
    await reconciler.apply({ ...round, state: { revision: commit, state: 7n, commit } });
    for (const table of Object.values(ids)) table.settle();
  };
  const restart = (): void => {
    agent = begin();
  };
  return { world, plane, restart, step };
}

/** A packet of each VIF to each MAC of its network, with some of the addresses that there are. */
function packetsOf({ plane, world: { random } }: Bed): readonly Packet[] {
  const addresses = [...plane.entries('cb_ep_2').keys()].map((key) => MAPS.cb_ep_2.key.decode(textBytes(key)).addr);
  const all = [...addresses, ...REMOTE.map((text) => parseAddress(text) ?? NO_ADDRESS)];
  const macs = [...plane.entries('cb_mac_2').keys()].map((key) => MAPS.cb_mac_2.key.decode(textBytes(key)));
  const sources = [...plane.entries('cb_source_2').keys()].map((key) => MAPS.cb_source_2.key.decode(textBytes(key)));
  const packets: Packet[] = [];
  for (const { key, value } of plane.entries('cb_in_1').values()) {
    const { ifindex } = MAPS.cb_in_1.key.decode(textBytes(key));
    const { vif } = MAPS.cb_in_1.value.decode(textBytes(value));
    const row = cbVif.decode(textBytes(plane.entries('cb_vif_2').get(arrayIndex.text(vif))?.value ?? ''));
    const own = sources.filter((source) => source.vif === vif);
    for (const { net, mac } of macs) {
      for (let n = 0; net === row.net && n < 6; n += 1) {
        const source = own[random(own.length + 1)] ?? row;
        const dst = all[random(all.length)] ?? NO_ADDRESS;
        const [protocol, port] = [random(2) === 0 ? 6 : 17, random(24)];
        packets.push({ ifindex, srcMac: source.mac, src: source.addr, dstMac: mac, dst, protocol, port });
      }
    }
  }
  return packets;
}

/** Epochs of all rows, by map and number. */
function epochsOf(plane: FakeDataPlane): ReadonlyMap<string, number> {
  const epochs = new Map<string, number>();
  for (const map of ['cb_net_1', 'cb_vif_2'] as const) {
    for (const { key, value } of plane.entries(map).values()) {
      const { epoch } = (map === 'cb_vif_2' ? cbVif : cbNet).decode(textBytes(value));
      epochs.set(`${map} ${arrayIndex.decode(textBytes(key))}`, epoch);
    }
  }
  return epochs;
}

const stampOf = ({ rows }: Verdict, epochs: ReadonlyMap<string, number>): number =>
  rows.reduce((sum, row) => sum + (epochs.get(row) ?? 0), 0);

test('what is decided otherwise than before has another stamp, at every write of a pass and after it', async () => {
  let changed = 0;
  let kept = 0;
  let within = 0;
  for (let seed = 1; seed <= 104; seed += 1) {
    const bed = createBed(seed);
    const { plane, world } = bed;
    await bed.step(Array.from({ length: 120 }, () => change));
    for (let step = 0; step < 25; step += 1) {
      const packets = packetsOf(bed);
      const epochs = epochsOf(plane);
      const before = packets.flatMap((packet) => {
        const verdict = verdictOf(plane, packet);
        return verdict === undefined ? [] : [{ packet, verdict, stamp: stampOf(verdict, epochs) }];
      });
      const compare = (when: string): void => {
        const now = epochsOf(plane);
        for (const { packet, verdict, stamp } of before) {
          const after = verdictOf(plane, packet);
          if (after?.to === verdict.to) continue;
          const text = `seed ${seed} step ${step} ${when}: ${formatAddress(packet.dst)} ${verdict.to} -> ${after?.to}`;
          assert.notEqual(stampOf(verdict, now), stamp, text);
          if (when === 'after') changed += 1;
          else within += 1;
        }
        kept += before.filter(({ verdict, stamp }) => stampOf(verdict, now) === stamp).length;
      };
      const { putEntry, deleteEntry } = plane;
      const looks = step % 4 === 0;
      plane.putEntry = (map, entry) => {
        putEntry(map, entry);
        if (looks && world.random(4) === 0) compare('within');
      };
      plane.deleteEntry = (map, entry) => {
        deleteEntry(map, entry);
        if (looks && world.random(4) === 0) compare('within');
      };
      if (world.random(8) === 0) bed.restart();
      const one = world.random(4) === 0 ? changeRouter : change;
      await bed.step(Array.from({ length: 1 + world.random(3) }, () => one));
      Object.assign(plane, { putEntry, deleteEntry });
      compare('after');
      for (const [row, epoch] of epochsOf(plane)) {
        assert.equal(epoch % 2, 0, `seed ${seed} step ${step}: ${row} stays odd`);
        assert.ok(epoch >= (epochs.get(row) ?? 0), `seed ${seed} step ${step}: the epoch of ${row} fell`);
      }
    }
  }
  assert.ok(changed > 150 && within > 80 && kept > 3_500, `${changed} changed, ${within} within a pass, ${kept} kept`);
});

test('what a translation that changes or goes was of is decided again, in its network and in the external one', () => {
  const decisions = new Decisions();
  const raised = (map: AgentMap, key: ByteText, isNew = false): string[] => {
    const rows: string[] = [];
    const entry = { map, key, have: isNew ? undefined : '\0', wanted: undefined } as unknown as Due;
    decisions.concern(entry, (of, row) => rows.push(`${of} ${arrayIndex.decode(textBytes(row))}`));
    return rows;
  };
  const addr = NO_ADDRESS;
  assert.deepEqual(raised('cb_nat_1', MAPS.cb_nat_1.key.text({ net: 3, outside: 9, addr })), [
    'cb_net_1 3',
    'cb_net_1 9',
  ]);
  assert.deepEqual(raised('cb_nat_1', MAPS.cb_nat_1.key.text({ net: 9, outside: 0, addr })), ['cb_net_1 9']);
  const forward = { prefixlen: 176, net: 9, protocol: 6, addr, portBe: 80 };
  assert.deepEqual(raised('cb_forward_1', MAPS.cb_forward_1.key.text(forward)), ['cb_net_1 9']);
  const snat = MAPS.cb_snat_1.key.text({ vrf: 7 });
  assert.deepEqual(raised('cb_snat_1', snat), []);
  const leg = endpointOf({ kind: CB_ENDPOINT_GATEWAY, vrf: 7, mac: new Uint8Array(6) });
  decisions.count('cb_ep_2', MAPS.cb_ep_2.key.text({ net: 3, addr }), MAPS.cb_ep_2.value.text(leg), 1);
  assert.deepEqual(raised('cb_snat_1', snat), ['cb_net_1 3']);
  const several = MAPS.cb_next_1.key.text({ prefixlen: 144, vrf: 7, addr });
  assert.deepEqual(raised('cb_next_1', several), ['cb_net_1 3']);
  const exit = MAPS.cb_exit_1.key.text({ prefixlen: 144, vrf: 7, addr });
  assert.deepEqual(raised('cb_exit_1', exit, true), ['cb_net_1 3']);
  const steers = MAPS.cb_steer_1.key.text({ vrf: 7 });
  assert.deepEqual(raised('cb_steer_1', steers), ['cb_net_1 3']);
  assert.deepEqual(raised('cb_steer_1', steers, true), ['cb_net_1 3'], 'the first come before all routes');
});

test('what a side of a peering no longer lets through is decided again, in the network that it comes from', () => {
  const decisions = new Decisions();
  const back = {
    ...{ kind: CB_ROUTE_CONNECTED, flags: CB_ROUTE_F_PEER, net: 3, mtuBytes: 1450, mac: new Uint8Array(6) },
    ...{ nexthop: NO_ADDRESS, own: NO_ADDRESS, outside: 0 },
  };
  const raised = (have: CbRoute | undefined, wanted: CbRoute | undefined): string[] => {
    const rows: string[] = [];
    const key = MAPS.cb_route_2.key.text({ prefixlen: 152, vrf: 99, addr: NO_ADDRESS });
    const entry = (route: CbRoute | undefined) => route && { key, value: MAPS.cb_route_2.value.text(route) };
    const due = { map: 'cb_route_2', key, have: entry(have), wanted: entry(wanted) } as unknown as Due;
    decisions.concern(due, (of, row) => rows.push(`${of} ${arrayIndex.decode(textBytes(row))}`));
    return rows;
  };
  assert.deepEqual(raised(back, undefined), ['cb_net_1 3']);
  assert.deepEqual(raised(back, { ...back, net: 4 }), ['cb_net_1 3']);
  assert.deepEqual(raised({ ...back, flags: 0 }, undefined), []);
  assert.deepEqual(raised(undefined, back), [], 'what was refused is not remembered');
});
