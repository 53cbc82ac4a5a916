import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '@cable/kit';
import { MAPS } from '../bpf/abi.gen.ts';
import { loadObject } from '../bpf/object.ts';
import { removePins } from '../bpf/pin.ts';
import { AGENT_MAPS, type DesiredState } from '../desired.ts';
import { inNetns } from '../net/netns.ts';
import { encodeEntry } from '../plan/entries.ts';
import { createPlanner } from '../plan/plan.ts';
import {
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  slicesOf,
} from '../plan/sample.ts';
import type { DataPlane } from './data-plane.ts';
import { createFakeDataPlane } from './fake-data-plane.ts';
import { type KernelDataPlane, openKernelDataPlane } from './kernel-data-plane.ts';
import { Reconciler } from './reconciler.ts';

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
  /** As after a restart of the agent. */
  reopen(): Promise<void>;
  stop(): Promise<void>;
};

const BENCHES: readonly Bench[] = [fakeBench(), kernelBench()];

for (const bench of BENCHES) {
  describe(`data plane: ${bench.name}`, () => {
    before(() => bench.start());
    after(() => bench.stop());

    test('entries are put, replaced, read back and deleted; deleting what is absent succeeds', () => {
      const plane = bench.plane();
      const peer = encodeEntry(MAPS.cb_slot_1, { slot: 9 }, { ifindex: 1 });
      const other = encodeEntry(MAPS.cb_slot_1, { slot: 9 }, { ifindex: 2 });
      plane.deleteEntry('cb_slot_1', peer);
      plane.putEntry('cb_slot_1', peer);
      plane.putEntry('cb_slot_1', other);
      assert.deepEqual(plane.readMap('cb_slot_1'), new Map([[other.id, other]]));
      plane.deleteEntry('cb_slot_1', other);
      assert.equal(plane.readMap('cb_slot_1').size, 0);
    });

    test('the epoch and the counters are there after a restart', async () => {
      assert.equal(bench.plane().readEpoch(), 0);
      bench.plane().writeEpoch(4_000_000_000);
      bench.plane().createStat(0);
      bench.plane().createStat(77);
      await bench.reopen();
      assert.equal(bench.plane().readEpoch(), 4_000_000_000);
      assert.deepEqual(bench.plane().listStats(), new Set([0, 77]));
      bench.plane().deleteStat(77);
      bench.plane().deleteStat(77);
      assert.deepEqual(bench.plane().listStats(), new Set([0]));
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

    test('a program that another tool took off is missed, and comes back with the next attach', () => {
      const plane = bench.plane();
      const ifindex = bench.addDevice();
      plane.attach(ifindex, bench.nameOf(ifindex));
      assert.equal(plane.recheck(), 0);
      bench.stripDevice(ifindex);
      assert.equal(plane.recheck(), 1);
      assert.equal(plane.listAttached().has(ifindex), false);
      plane.attach(ifindex, bench.nameOf(ifindex));
      assert.equal(plane.recheck(), 0);
      assert.equal(plane.listAttached().has(ifindex), true);
      bench.removeDevice(ifindex);
      plane.forget(ifindex);
    });

    test('a reconciler makes everything, finds it right after a restart, and removes everything', async () => {
      const ifindex = bench.addDevice();
      const whole = planned(ifindex);
      const reconcile = (desired: DesiredState) =>
        new Reconciler(bench.plane(), silentLogger()).apply(desired, { prune: true });
      const made = await reconcile(whole);
      assert.ok(made.puts > 15);
      for (const map of AGENT_MAPS) {
        assert.deepEqual([...bench.plane().readMap(map).keys()].sort(), [...whole.maps[map].keys()].sort(), map);
      }
      await bench.reopen();
      const again = await reconcile(whole);
      assert.deepEqual([again.puts, again.deletes, again.epochRaised], [0, 0, false]);
      bench.removeDevice(ifindex);
      const gone = await reconcile(planned(undefined, true));
      assert.equal(gone.deletes, made.puts);
      for (const map of AGENT_MAPS) assert.equal(bench.plane().readMap(map).size, 0, map);
      assert.deepEqual(bench.plane().listStats(), new Set([0]));
      assert.equal(bench.plane().listAttached().size, 0);
    });
  });
}

function planned(ifindex: number | undefined, empty = false): DesiredState {
  const own = samplePort(5, { policy: 'policy:p' });
  const away = samplePort(6);
  const group = { portId: away.id, networkId: sampleId('net', 1), addresses: ['10.0.0.6'] };
  const slices = slicesOf(
    sampleHost('h1', [own]),
    sampleNetwork(1, { endpoints: [sampleEndpoint(own, 'h1', '192.0.2.1'), sampleEndpoint(away, 'h2', '192.0.2.2')] }),
    sampleNetwork(2),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', [
      sampleRule(1, { protocol: 6, portMin: 1, portMax: 1000, remote: { kind: 'group', groupId: 'g' } }),
      sampleRule(2, { direction: 'egress' }),
    ]),
    sampleGroup('g', [group]),
  );
  const devices = new Map(ifindex === undefined ? [] : [[own.id, { name: 'tap5', ifindex }] as const]);
  return createPlanner('h1')(empty ? new Map() : slices, { host: 'h1', slots: new Map([[own.id, 2]]), devices });
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
    stripDevice: (ifindex) => plane.strip(ifindex),
    nameOf: (ifindex) => `d${ifindex}`,
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
    bench.stripDevice(overlay);
    assert.equal(bench.plane().recheck(), 1);
    assert.equal(bench.plane().recheck(), 0);
    bench.removeDevice(service);
    assert.equal(bench.plane().recheck(), 1);
  } finally {
    await bench.stop();
  }
});

/** The kernel, in a namespace of its own: calls that look for a device are made inside it. */
function kernelBench(): Bench & { indexOf(name: string): number } {
  const netns = `cbplane${process.pid}`;
  const path = `/run/netns/${netns}`;
  const pins = `/sys/fs/bpf/cable-test-${process.pid}-plane`;
  const object = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
  const stop = new AbortController();
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
  let fixed = { overlayIfindex: 0, serviceIfindex: 0 };
  const open = (): void => {
    const loaded = loadObject({ path: object, pinnedMaps: `${pins}/maps` });
    plane = inNetns(path, () =>
      openKernelDataPlane({ object: loaded, ...fixed }, { log: silentLogger(), signal: stop.signal }),
    );
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
      fixed = { overlayIfindex: addTap(), serviceIfindex: addTap() };
      open();
    },
    plane: inside,
    addDevice: addTap,
    removeDevice: (ifindex) => ip('link', 'delete', nameOf(ifindex)),
    stripDevice: (ifindex) => execFileSync('tc', ['-n', netns, 'qdisc', 'delete', 'dev', nameOf(ifindex), 'clsact']),
    nameOf,
    indexOf,
    reopen: async () => {
      await current().close();
      open();
    },
    stop: async () => {
      stop.abort();
      await plane?.close();
      removePins(pins);
      execFileSync('ip', ['netns', 'delete', netns]);
    },
  };
}
