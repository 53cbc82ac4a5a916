import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '@cable/kit';
import { CB_REASON_MAX, CB_REASON_NO_ROUTE, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, textBytes } from '../bpf/codec.ts';
import { possibleCpus } from '../bpf/cpus.ts';
import { type BpfMap, fdById, openPinnedMap } from '../bpf/map.ts';
import { loadObject } from '../bpf/object.ts';
import { removePins } from '../bpf/pin.ts';
import { BpfProgram } from '../bpf/program.ts';
import { BPF_CMD } from '../bpf/syscall.ts';
import { AGENT_MAPS, type AgentMap, type MapEntry } from '../desired.ts';
import { ensureIngressFilter } from '../net/filter.ts';
import { inNetns } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { encodeEntry } from '../plan/entries.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
} from '../plan/testing/sample.ts';
import { type RawCounters, sumCounters } from '../show/counters.ts';
import type { DataPlane } from './data-plane.ts';
import { type KernelDataPlane, openKernelDataPlane } from './kernel-data-plane.ts';
import { ENTRY, ENTRY_NAMES, type EntryName, OVERLAY_NAMES } from './program-slots.ts';
import { isRowMap } from './rows.ts';
import { createFakeDataPlane } from './testing/fake-data-plane.ts';
import { createReconcileBed } from './testing/reconcile-bed.ts';
import { loadVrouterPrograms } from './vrouter-programs.ts';

/** One suite on every data plane: what the reconciler may rely on. */
type Bench = {
  readonly name: string;
  start(): void;
  plane(): DataPlane;
  /** A new device; its ifindex. */
  addDevice(): number;
  removeDevice(ifindex: number): void;
  /** Takes off what other tools can take off. */
  stripDevice(ifindex: number): void;
  nameOf(ifindex: number): string;
  /** The vrouter hears from the neighbour with this key of cb_neigh_1. */
  learn(key: ByteText): void;
  /** Whether what it heard is still known, where anything is. */
  hasLearned(key: ByteText): boolean;
  /** As after a restart of the agent. */
  reopen(): Promise<void>;
  stop(): Promise<void>;
};

type KernelBench = Bench & {
  indexOf(name: string): number;
  hasProgram(ifindex: number): boolean;
  counters(vif: number): RawCounters;
  /** Of the program on what the device receives; undefined: none. */
  programId(ifindex: number): number | undefined;
  /** Of the programs that the dispatchers go on in: service, overlay, VIFs. */
  entered(names?: readonly EntryName[]): readonly (number | undefined)[];
  /**
   * Puts programs on devices themselves, as builds did before there were dispatchers; `ids`: those of an earlier call. Returns the programs' ids, in the
   * order of OVERLAY_NAMES.
   */
  putDirectly(devices: Readonly<Record<string, readonly number[]>>, ids?: readonly number[]): readonly number[];
  reopen(options?: { readonly killedBeforeEntering: boolean }): Promise<void>;
  /** As after a restart of the agent under another name. */
  rename(): Promise<void>;
};

const LEARNED = { learnedNs: 7n, askedNs: 6n, mac: Uint8Array.of(2, 0, 0, 0, 0, 1) };

const BENCHES: readonly Bench[] = [fakeBench(), kernelBench()];

for (const bench of BENCHES) {
  describe(`data plane: ${bench.name}`, () => {
    before(() => bench.start());
    after(() => bench.stop());

    test('entries are put, replaced, read back and deleted; deleting what is absent succeeds', () => {
      const plane = bench.plane();
      const key = MAPS.cb_source_2.key.text({
        prefixlen: 64,
        vif: 9,
        mac: new Uint8Array(6),
        addr: new Uint8Array(16),
      });
      const one = { key, value: MAPS.cb_source_2.value.text({ flags: 1 }) };
      const other = { key, value: MAPS.cb_source_2.value.text({ flags: 2 }) };
      plane.deleteEntry('cb_source_2', one);
      plane.putEntry('cb_source_2', one);
      plane.putEntry('cb_source_2', other);
      assert.deepEqual(read(plane, 'cb_source_2'), [other]);
      plane.deleteEntry('cb_source_2', other);
      assert.deepEqual(read(plane, 'cb_source_2'), []);
    });

    test('of an array the rows are read that are not zero, and a deleted row is zero', () => {
      const plane = bench.plane();
      const { map: _, ...tunnel } = encodeEntry('cb_tunnel_1', 3, { remote: new Uint8Array(16).fill(7) });
      assert.deepEqual(read(plane, 'cb_tunnel_1'), []);
      plane.putEntry('cb_tunnel_1', tunnel);
      assert.deepEqual(read(plane, 'cb_tunnel_1'), [tunnel]);
      plane.deleteEntry('cb_tunnel_1', tunnel);
      plane.deleteEntry('cb_tunnel_1', tunnel);
      assert.deepEqual(read(plane, 'cb_tunnel_1'), []);
    });

    test('a neighbour that the agent names is there, with nothing of what was learned of it', () => {
      const plane = bench.plane();
      const nothing = { learnedNs: 0n, askedNs: 0n, mac: new Uint8Array(6) };
      const { map: _, ...entry } = encodeEntry('cb_neigh_1', { net: 3, addr: new Uint8Array(16).fill(7) }, nothing);
      bench.learn(entry.key);
      plane.putEntry('cb_neigh_1', entry);
      assert.deepEqual(read(plane, 'cb_neigh_1'), [entry]);
      assert.ok(bench.hasLearned(entry.key), 'what is learned is not the agent’s to forget');
      plane.deleteEntry('cb_neigh_1', entry);
      assert.deepEqual(read(plane, 'cb_neigh_1'), []);
    });

    test('the programmed state is there after a restart', async () => {
      assert.deepEqual(bench.plane().readProgrammed(), { revision: 0, state: 0n, commit: 0 });
      const programmed = { revision: 2 ** 40 + 7, state: 0xfedc_ba98_7654_3210n, commit: 2 ** 33 + 1 };
      bench.plane().writeProgrammed(programmed);
      await bench.reopen();
      assert.deepEqual(bench.plane().readProgrammed(), programmed);
    });

    test("flows of a number that is nobody's are ended, and its counters begin anew, however often", () => {
      const plane = bench.plane();
      for (const id of [1, 1, 8191]) plane.purge('vif', id);
      plane.purge('network', 16_383);
      for (const vif of [0, 5, 8191]) plane.resetCounters(vif);
    });

    test('an attachment is kept, found after a restart, and goes with its device', async () => {
      const ifindex = bench.addDevice();
      bench.plane().attach(ifindex, bench.nameOf(ifindex));
      bench.plane().attach(ifindex, bench.nameOf(ifindex));
      await bench.reopen();
      assert.deepEqual(bench.plane().listAttached(), new Set([ifindex]));
      bench.removeDevice(ifindex);
      assert.throws(() => bench.plane().attach(ifindex, 'gone'), /ENODEV|EINVAL/);
      bench.plane().forget(ifindex);
      bench.plane().forget(ifindex);
      assert.deepEqual(bench.plane().listAttached(), new Set());
    });

    test('a program that another tool took off comes back with the next attach', () => {
      const plane = bench.plane();
      const ifindex = bench.addDevice();
      plane.attach(ifindex, bench.nameOf(ifindex));
      bench.stripDevice(ifindex);
      plane.restore(ifindex);
      assert.equal(plane.listAttached().has(ifindex), false);
      plane.attach(ifindex, bench.nameOf(ifindex));
      assert.equal(plane.listAttached().has(ifindex), true);
      bench.removeDevice(ifindex);
      plane.restore(ifindex);
      plane.forget(ifindex);
    });

    test('a reconciler makes everything, finds it right after a restart, and removes everything', async () => {
      const ifindex = bench.addDevice();
      const bed = createReconcileBed(bench.plane());
      bed.plug(OWN, ifindex);
      const made = await bed.apply(CLOUD);
      assert.ok(made.puts > 15);
      for (const map of AGENT_MAPS) {
        // Flood lists have another number there than they are desired under.
        const wanted = map === 'cb_flood_2' ? [] : [...bed.planner.entries.of(map).keys()];
        if (wanted.length > 0) assert.deepEqual(held(bench.plane(), map), wanted.sort(), map);
        else assert.equal(held(bench.plane(), map).length, bed.planner.entries.of(map).size, map);
      }
      await bench.reopen();
      const again = createReconcileBed(bench.plane());
      again.plug(OWN, ifindex);
      const found = await again.apply(CLOUD);
      assert.deepEqual([found.puts, found.deletes, found.raised], [0, 0, 0]);
      bench.removeDevice(ifindex);
      again.plug(OWN, null);
      const gone = await again.apply([]);
      assert.equal(gone.deletes, made.puts);
      for (const map of AGENT_MAPS) assert.deepEqual(held(bench.plane(), map), [], map);
      assert.equal(bench.plane().listAttached().size, 0);
    });
  });
}

const OWN = samplePort(5, { policy: 'policy:p' });
const AWAY = samplePort(6);
const CLOUD: readonly SampleSlice[] = [
  sampleHost('h1', [OWN]),
  ...sampleNetwork(1, {}, [sampleEndpoint(OWN, 'h1', '192.0.2.1'), sampleEndpoint(AWAY, 'h2', '192.0.2.2')]),
  ...sampleNetwork(2),
  sampleRouter(1, [1, 2]),
  samplePolicy('p', [
    sampleRule(1, { protocol: 6, portMin: 1, portMax: 1000, remote: { kind: 'group', groupId: 'g' } }),
    sampleRule(2, { direction: 'egress' }),
  ]),
  sampleGroup('g', [{ portId: AWAY.id, networkId: sampleId('net', 1), addresses: ['10.0.0.6'] }]),
];

/** All entries of a map, sorted. */
function read(plane: DataPlane, map: AgentMap): MapEntry[] {
  return [...plane.readMap(map)].flat().sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Keys of the entries of a map that somebody has. */
function held(plane: DataPlane, map: AgentMap): string[] {
  const nobody = '\0'.repeat(16);
  const entries = read(plane, map).filter(({ value }) => !isRowMap(map) || !value.startsWith(nobody));
  return entries.map(({ key }) => key);
}

function fakeBench(): Bench {
  const plane = createFakeDataPlane();
  let last = 100;
  return {
    name: 'fake',
    start: () => {},
    plane: () => plane,
    addDevice: () => {
      last += 1;
      plane.setDevice(last, true);
      return last;
    },
    removeDevice: (ifindex) => plane.setDevice(ifindex, false),
    stripDevice: () => {},
    nameOf: (ifindex) => `d${ifindex}`,
    learn: () => {},
    hasLearned: () => true,
    reopen: async () => {},
    stop: async () => {},
  };
}

test('the programs of the fixed devices are put back, unless the device itself is gone', async () => {
  const bench = kernelBench();
  bench.start();
  try {
    const [overlay, service] = [1, 2].map((n) => bench.indexOf(`d${n}`));
    assert.ok(overlay !== undefined && service !== undefined);
    assert.ok(bench.hasProgram(overlay));
    bench.stripDevice(overlay);
    assert.equal(bench.hasProgram(overlay), false);
    bench.plane().restore(overlay);
    assert.ok(bench.hasProgram(overlay));
    bench.removeDevice(service);
    bench.plane().restore(service);
  } finally {
    await bench.stop();
  }
});

test('under another name the programs that run stay until the maps hold the state', async () => {
  const bench = kernelBench();
  bench.start();
  try {
    const tap = bench.addDevice();
    const overlay = bench.indexOf('d1');
    bench.plane().attach(tap, bench.nameOf(tap));
    bench.plane().writeProgrammed({ revision: 3, state: 1n, commit: 1 });
    const before = [tap, overlay].map(bench.programId);
    await bench.rename();
    assert.deepEqual([tap, overlay].map(bench.programId), before);
    assert.deepEqual(bench.plane().listAttached(), new Set([tap]));
    const unplugged = bench.addDevice();
    const bed = createReconcileBed(bench.plane());
    bed.plug(OWN, tap);
    await bed.apply([], { prune: false, state: { revision: 0, state: 7n, commit: 0 } });
    assert.deepEqual([tap, overlay].map(bench.programId), before, 'nothing is known yet');
    assert.deepEqual(bench.entered(['uplink']), [undefined], 'so nothing is taken on uplinks');
    await bed.apply(CLOUD);
    assert.ok(bench.entered().every((id) => id !== undefined));
    const after = [tap, overlay].map(bench.programId);
    assert.ok(after.every((id, at) => id !== undefined && id !== before[at]));
    assert.equal(bench.programId(unplugged), undefined);
  } finally {
    await bench.stop();
  }
});

test('a restart changes no device: its dispatcher goes on in the programs of the new load', async () => {
  const bench = kernelBench();
  bench.start();
  try {
    const devices = [bench.addDevice(), bench.indexOf('d1'), bench.indexOf('d2')];
    bench.plane().attach(devices[0] ?? 0, 'd3');
    bench.plane().writeProgrammed({ revision: 3, state: 1n, commit: 1 });
    const [onDevices, entered] = [devices.map(bench.programId), bench.entered()];
    assert.equal(new Set(onDevices).size, 3, 'one for each kind');
    await bench.reopen();
    assert.deepEqual(devices.map(bench.programId), onDevices);
    assert.ok(bench.entered().every((id, at) => id !== undefined && id !== entered[at]));
  } finally {
    await bench.stop();
  }
});

test("devices with another build's own programs get dispatchers that go on in these, then all change at one time", async () => {
  const bench = kernelBench();
  bench.start();
  try {
    const [overlay, service] = [bench.indexOf('d1'), bench.indexOf('d2')];
    const taps = [bench.addDevice(), bench.addDevice()];
    for (const tap of taps) bench.plane().attach(tap, bench.nameOf(tap));
    bench.plane().writeProgrammed({ revision: 3, state: 1n, commit: 1 });
    const dispatchers = [service, overlay, ...taps].map(bench.programId);
    const ids = bench.putDirectly({ from_service: [service], from_overlay: [overlay], from_vif: taps });
    assert.deepEqual([service, overlay, ...taps].map(bench.programId), [...ids, ids[2]]);

    await bench.reopen({ killedBeforeEntering: true });
    assert.deepEqual([service, overlay, ...taps].map(bench.programId), [...ids, ids[2]], 'over other maps: they stay');
    assert.throws(() => bench.plane().takeOver(), /killed/);
    assert.deepEqual([service, overlay, ...taps].map(bench.programId), dispatchers);
    assert.deepEqual(bench.entered(OVERLAY_NAMES), ids, 'nothing has changed for packets');

    bench.putDirectly({ from_vif: [taps[0] ?? 0] }, ids);
    const left = `/sys/fs/bpf/cable-test-${process.pid}-plane1/maps/cb_vif_1`;
    const former = openPinnedMap(left.replace('cb_vif_1', 'cb_prog_1'));
    former?.pin(left);
    former?.update(arrayIndex.encode(0), new Uint8Array(former.info.valueSize).fill(1));
    await bench.reopen();
    assert.deepEqual(bench.entered(OVERLAY_NAMES), ids, 'over other maps: they stay');
    assert.ok(existsSync(left));
    bench.plane().takeOver();
    assert.deepEqual(former?.lookup(arrayIndex.encode(0)), new Uint8Array(former?.info.valueSize ?? 0));
    former?.close();
    assert.ok(!existsSync(left), 'an older build that comes back begins with maps that it has filled itself');
    assert.deepEqual([service, overlay, ...taps].map(bench.programId), dispatchers);
    assert.ok(bench.entered(OVERLAY_NAMES).every((id, at) => id !== undefined && id !== ids[at]));
    assert.ok(bench.entered(['uplink'])[0] !== undefined, 'which such a build has not');
    assert.deepEqual(bench.plane().listAttached(), new Set(taps));
  } finally {
    await bench.stop();
  }
});

test('what is counted of a VIF is read by reason, and begins anew when its number is given out', async () => {
  const bench = kernelBench();
  bench.start();
  try {
    const pins = `/sys/fs/bpf/cable-test-${process.pid}-plane1/maps`;
    const drops = openPinnedMap(`${pins}/cb_drop_1`);
    const counts = openPinnedMap(`${pins}/cb_count_1`);
    assert.ok(drops !== undefined && counts !== undefined);
    const one = { rxPackets: 1n, rxBytes: 60n, txPackets: 2n, txBytes: 120n };
    for (const vif of [0, 1, 8191]) {
      counts.update(arrayIndex.encode(vif), MAPS.cb_count_1.value.encode(one));
      const row = MAPS.cb_drop_1.value.encode({ packets: BigInt(vif + 7), lastNs: 1n });
      drops.update(arrayIndex.encode(vif * CB_REASON_MAX + CB_REASON_NO_ROUTE), row);
    }
    const cpus = possibleCpus();
    for (const vif of [0, 1, 8191]) {
      const row = { rx_packets: cpus, rx_bytes: 60 * cpus, tx_packets: 2 * cpus, tx_bytes: 120 * cpus };
      assert.deepEqual(sumCounters(bench.counters(vif)), { ...row, no_route: vif + 7 });
    }
    bench.plane().resetCounters(1);
    const row = { rx_packets: 0, rx_bytes: 0, tx_packets: 0, tx_bytes: 0 };
    assert.deepEqual(sumCounters(bench.counters(1)), row);
    assert.equal(sumCounters(bench.counters(0))['no_route'], 7);
    drops.close();
    counts.close();
  } finally {
    await bench.stop();
  }
});

/** The kernel, in a namespace of its own: calls that look for a device are made inside it. */
function kernelBench(): KernelBench {
  const netns = `cbplane${process.pid}`;
  const path = `/run/netns/${netns}`;
  const allPins = [1, 2].map((n) => `/sys/fs/bpf/cable-test-${process.pid}-plane${n}`);
  let pins = allPins[0];
  const object = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
  let plane: KernelDataPlane | undefined;
  let count = 0;
  const ip = (...args: string[]): string => execFileSync('ip', ['-n', netns, ...args], { encoding: 'utf8' });
  const indexOf = (name: string): number => Number(/^(\d+):/.exec(ip('-o', 'link', 'show', name))?.[1]);
  const addTap = (): number => {
    count += 1;
    ip('tuntap', 'add', `d${count}`, 'mode', 'tap');
    return indexOf(`d${count}`);
  };
  const nameOf = (ifindex: number): string =>
    /: (d\d+)/.exec(
      ip('-o', 'link', 'show')
        .split('\n')
        .find((line) => line.startsWith(`${ifindex}:`)) ?? '',
    )?.[1] ?? '';
  const programId = (ifindex: number): number | undefined => {
    const args = ['-n', netns, 'filter', 'show', 'dev', nameOf(ifindex), 'ingress'];
    const id = / id (\d+)/.exec(execFileSync('tc', args, { encoding: 'utf8' }))?.[1];
    return id === undefined ? undefined : Number(id);
  };
  let fixed = { overlayIfindex: 0, serviceIfindex: 0, fragIfindex: 0 };
  const withNeighbours = <T>(call: (map: BpfMap) => T): T => {
    const map = openPinnedMap(`${pins}/maps/cb_neigh_1`);
    assert.ok(map);
    try {
      return call(map);
    } finally {
      map.close();
    }
  };
  const open = (killedBeforeEntering = false): void => {
    const loaded = loadVrouterPrograms({ object, pinDir: pins ?? '' });
    const die = (): never => {
      loaded.close();
      throw new Error('killed');
    };
    const programs = killedBeforeEntering ? { ...loaded, enter: die } : loaded;
    plane = inNetns(path, () => openKernelDataPlane({ programs, ...fixed }, { log: silentLogger() }));
  };
  const entered: KernelBench['entered'] = (wanted = ENTRY_NAMES) => {
    const slots = openPinnedMap(`${pins}/maps/cb_enter_1`);
    const values = wanted.map((name) => slots?.lookup(arrayIndex.encode(ENTRY[name].slot)));
    slots?.close();
    return values.map((value) => (value === undefined ? undefined : arrayIndex.decode(value)));
  };
  const putDirectly: KernelBench['putDirectly'] = (devices, ids) => {
    const socket = new NetlinkSocket({ netns: path });
    const names = OVERLAY_NAMES.map((name) => ENTRY[name].program);
    const loaded = ids === undefined ? loadObject({ path: object }) : undefined;
    const programs = names.map(
      (name, at) =>
        loaded?.programs.get(name) ??
        new BpfProgram(fdById(BPF_CMD.progFdById, ids?.[at] ?? 0, `open program ${name}`)),
    );
    for (const [at, name] of names.entries()) {
      const program = programs[at];
      assert.ok(program !== undefined);
      for (const ifindex of devices[name] ?? []) assert.ok(ensureIngressFilter(socket, ifindex, program));
    }
    socket.close();
    const found = programs.map(({ info }) => info.id);
    if (loaded === undefined) for (const program of programs) program.close();
    else loaded.close();
    return found;
  };
  const current = (): KernelDataPlane => {
    assert.ok(plane !== undefined);
    return plane;
  };
  const inside = (): DataPlane => {
    const real = current();
    return new Proxy(real, {
      get: (target, name: keyof DataPlane) => {
        const method = target[name].bind(target) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => inNetns(path, () => method(...args));
      },
    });
  };
  return {
    name: 'kernel',
    start: () => {
      execFileSync('ip', ['netns', 'add', netns]);
      fixed = { overlayIfindex: addTap(), serviceIfindex: addTap(), fragIfindex: addTap() };
      open();
    },
    plane: inside,
    addDevice: addTap,
    removeDevice: (ifindex) => ip('link', 'delete', nameOf(ifindex)),
    stripDevice: (ifindex) => execFileSync('tc', ['-n', netns, 'qdisc', 'delete', 'dev', nameOf(ifindex), 'clsact']),
    nameOf,
    learn: (key) => withNeighbours((map) => map.update(key, MAPS.cb_neigh_1.value.text(LEARNED))),
    hasLearned: (key) =>
      withNeighbours((map) => {
        const value = map.lookup(textBytes(key));
        return value !== undefined && MAPS.cb_neigh_1.value.decode(value).learnedNs === LEARNED.learnedNs;
      }),
    indexOf,
    counters: (vif) => current().readCounters(vif),
    hasProgram: (ifindex) => programId(ifindex) !== undefined,
    programId,
    entered,
    putDirectly,
    rename: async () => {
      current().close();
      pins = allPins[1];
      open();
    },
    reopen: async (options?: { readonly killedBeforeEntering: boolean }) => {
      plane?.close();
      plane = undefined;
      open(options?.killedBeforeEntering);
    },
    stop: async () => {
      plane?.close();
      for (const one of allPins) removePins(one);
      execFileSync('ip', ['netns', 'delete', netns]);
    },
  };
}
