import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, MirrorTarget, PortMirror } from '@cable/model';
import { CB_PEER_F_MIRROR, cbMirror, cbPeer } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { type Row, type ShownMap, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { formatAddress } from './address.ts';
import { type PlanBed, plannedBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
} from './testing/sample.ts';

const SOURCE = samplePort(5);
const WATCHER = samplePort(6);
const AWAY = samplePort(7);

const here: MirrorTarget = { kind: 'port', portId: WATCHER.id, vni: 900, host: 'h1', underlay: '192.0.2.1' };
const there: MirrorTarget = { ...here, portId: AWAY.id, host: 'h2', underlay: '192.0.2.2' };
const collector: MirrorTarget = { kind: 'erspan', remoteIp: '192.0.2.50' };

function mirror(n: number, target: MirrorTarget, more: Partial<PortMirror> = {}): PortMirror {
  return { id: sampleId('mirror', n), name: `m${n}`, maxKbps: 1000, filter: [], target, ...more };
}

const both = (place: number, tunnel = 0): Pick<PortMirror, 'in' | 'out'> => ({
  in: { place, tunnel },
  out: { place, tunnel: tunnel === 0 ? 0 : tunnel + 1 },
});

/** The host with these ports, both plugged. */
function slices(source: LocalPort, watcher: LocalPort = WATCHER): readonly SampleSlice[] {
  const endpoints = [
    sampleEndpoint(SOURCE, 'h1', '192.0.2.1'),
    sampleEndpoint(WATCHER, 'h1', '192.0.2.1'),
    sampleEndpoint(AWAY, 'h2', '192.0.2.2'),
  ];
  return [sampleHost('h1', [source, watcher]), ...sampleNetwork(1, {}, endpoints), samplePolicy('', [])].flat();
}

const bedOf = (mirrors: readonly PortMirror[], watcher: LocalPort = WATCHER): Promise<PlanBed> =>
  plannedBed(slices({ ...SOURCE, mirrors }, watcher), [SOURCE, WATCHER]);

function rowsOf({ planner, state }: PlanBed, map: AgentMap & ShownMap): Row[] {
  const reading = readNames({ host: 'h1', slices: state, planner });
  let names = reading.next();
  while (names.done !== true) names = reading.next();
  const found = names.value;
  return [...planner.entries.of(map).values()].flatMap(({ key, value }) => {
    const row = showEntry(map, { key: textBytes(key), value: textBytes(value) }, found);
    return row === undefined ? [] : [row];
  });
}

test('copies go to a port of this host, of another, to a collector; the VIF says in which directions', async () => {
  const bed = await bedOf([
    mirror(1, here, both(0)),
    mirror(2, there, { out: { place: 2, tunnel: 0 } }),
    mirror(3, collector, { out: { place: 1, tunnel: 77 }, maxKbps: 20_000 }),
  ]);
  assert.deepEqual(
    rowsOf(bed, 'cb_mirror_1').map((row) => [row['port'], row['direction'], row['mirror'], row['to'], row['max_kbps']]),
    [
      ['port-5', 'ingress', 'm1', 'port-6', 1000],
      ['port-5', 'egress', 'm1', 'port-6', 1000],
      ['port-5', 'egress', 'm3', '192.0.2.50, ERSPAN session 77', 20_000],
      ['port-5', 'egress', 'm2', 'h2, VNI 900', 1000],
    ],
  );
  assert.deepEqual(
    rowsOf(bed, 'cb_mirrored_1')
      .map(({ mirror: name }) => name)
      .sort(),
    ['m1', 'm2', 'm3'],
  );
  const flags = (): unknown[] =>
    rowsOf(bed, 'cb_vif_2').map(({ port, flags: text }) => [port, String(text).match(/mirror-\w+/g)]);
  assert.deepEqual(flags(), [
    ['port-5', ['mirror-in', 'mirror-out']],
    ['port-6', null],
  ]);
  await bed.plan(...slices(SOURCE));
  assert.deepEqual([rowsOf(bed, 'cb_mirror_1'), rowsOf(bed, 'cb_mirrored_1')], [[], []]);
  assert.deepEqual(
    flags().map((row) => (row as unknown[])[1]),
    [null, null],
  );
});

test('places have no hole, whatever is not there', async () => {
  const nowhere: MirrorTarget = { ...there, underlay: null };
  const bed = await bedOf([mirror(1, nowhere, both(0)), mirror(2, here, both(3))]);
  const keys = [...bed.planner.entries.of('cb_mirror_1').values()].map(({ key }) => textBytes(key)[3]);
  assert.deepEqual(keys, [0, 0]);
});

test('a filter is what the vrouter compares: addresses by masks, ports of either end, protocols', async () => {
  const filter = [
    { protocol: 6, remote: '198.51.100.0/24', portMin: 80, portMax: 90 },
    { remote: '2001:db8::/33' },
    { protocol: 17 },
    {},
  ];
  const bed = await bedOf([mirror(1, here, { in: { place: 0, tunnel: 0 }, filter })]);
  const [entry] = [...bed.planner.entries.of('cb_mirror_1').values()];
  assert.ok(entry !== undefined);
  const { terms, term } = cbMirror.decode(textBytes(entry.value));
  const text = term
    .slice(0, terms)
    .map(
      (one) =>
        `${formatAddress(one.addr)} ${Buffer.from(one.mask).toString('hex')} ${one.protocol} ${one.firstPort}-${one.lastPort} ${one.flags}`,
    );
  assert.deepEqual(text, [
    `198.51.100.0 ${'ff'.repeat(15)}00 6 80-90 3`,
    `2001:db8:: ffffffff80${'00'.repeat(11)} 0 0-0 0`,
    ` ${'00'.repeat(16)} 17 0-0 1`,
    ` ${'00'.repeat(16)} 0 0-0 0`,
  ]);
});

test('copies of other hosts are taken for the port that watches, and for no network', async () => {
  const sources = [
    { host: 'h1', underlay: '192.0.2.1' },
    { host: 'h2', underlay: '192.0.2.2' },
    { host: 'h3', underlay: null },
  ];
  const bed = await bedOf([], { ...WATCHER, taps: [{ id: sampleId('tap', 1), vni: 900, sources }] });
  const peers = [...bed.planner.entries.of('cb_peer_2').values()].map(({ value }) => cbPeer.decode(textBytes(value)));
  const copies = peers.filter(({ flags }) => flags === CB_PEER_F_MIRROR);
  assert.deepEqual(
    copies.map(({ net, vif }) => [net, vif]),
    [[0, bed.planner.ids('vif').get(WATCHER.id)]],
  );
  await bed.plan(...slices(SOURCE));
  const left = [...bed.planner.entries.of('cb_peer_2').values()].map(
    ({ value }) => cbPeer.decode(textBytes(value)).flags,
  );
  assert.ok(left.every((flags) => flags !== CB_PEER_F_MIRROR));
});

test('a mirror whose watcher has left the host follows it', async () => {
  const bed = await bedOf([mirror(1, here, both(0))]);
  const to = (): unknown[] => [...new Set(rowsOf(bed, 'cb_mirror_1').map((row) => row['to']))];
  assert.deepEqual(to(), ['port-6']);
  await bed.plan(...slices({ ...SOURCE, mirrors: [mirror(1, { ...there, portId: WATCHER.id }, both(0))] }));
  assert.deepEqual(to(), ['h2, VNI 900']);
});
