import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Logger, silentLogger, sleep } from '@cable/kit';
import type { HostLink } from '../desired.ts';
import { vifDeviceName } from '../plan/device-names.ts';
import { createPlanBed } from '../plan/testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleNetwork,
  samplePolicy,
  samplePort,
} from '../plan/testing/sample.ts';
import type { Programmed } from '../reconcile/data-plane.ts';
import { Reconciler } from '../reconcile/reconciler.ts';
import { createFakeDataPlane } from '../reconcile/testing/fake-data-plane.ts';
import type { AppliedLinks } from './applied-links.ts';
import { type HostChange, HostLoop, type HostView } from './host-loop.ts';
import type { PlugWait } from './plug-waiters.ts';

const POD = samplePort(5, { vifKind: 'veth', policy: 'policy:' });
const OWN = samplePort(6, { vifKind: 'host', policy: 'policy:' });
const CLOUD: readonly SampleSlice[] = [sampleHost('h1', [POD]), ...sampleNetwork(1), samplePolicy('', [])];
const HISTORY = { cluster: '01234567-89ab-4def-8000-000000000000', mark: '1-a' };
const STATE = 7n;
const NOTHING: Programmed = { revision: 0, state: 0n, commit: 0 };

type Options = {
  readonly programmed?: Programmed;
  readonly apply?: (links: ReadonlyMap<string, HostLink>) => AppliedLinks;
  /** The kernel that it finds. */
  readonly plane?: ReturnType<typeof createFakeDataPlane>;
};

/** A loop over a fake kernel whose devices the test makes. */
function createBed({ programmed = NOTHING, apply, plane = createFakeDataPlane() }: Options = {}) {
  const { state, planner, ids } = createPlanBed();
  const stop = new AbortController();
  const changes: HostChange[] = [];
  const pruned: (readonly string[])[] = [];
  const said: string[] = [];
  const log: Logger = {
    ...silentLogger(),
    info: (_fields, message) => said.push(`info ${message}`),
    warn: (_fields, message) => said.push(`warn ${message}`),
  };
  let released = 0;
  let written = 0;
  const loop = new HostLoop({
    host: 'h1',
    slices: state,
    planner,
    reconciler: new Reconciler(plane, planner, { log: silentLogger() }),
    ids: {
      ...ids,
      vif: {
        settle: () => ids.vif.settle(),
        releaseUnclaimed: () => {
          released += 1;
        },
      },
    },
    stateNumber: STATE,
    programmed,
    links: {
      apply: apply ?? (() => ({ changed: false, failures: new Map() })),
      prune: (wanted) => pruned.push([...wanted.keys()]),
    },
    announce: () => undefined,
    onWritten: () => {
      written += 1;
    },
    onChange: (change) => changes.push(change),
    log,
    signal: stop.signal,
    retryMs: { minMs: 20, maxMs: 40 },
  });
  const update = (revision: number, slices: readonly SampleSlice[], synced = true) => {
    state.replace(slices);
    return { revision, commit: revision, synced, history: HISTORY, changes: state.take().changes };
  };
  const addDevice = (name: string, ifindex: number): void => {
    plane.setDevice(ifindex, true);
    state.setDevice(name, ifindex);
  };
  return {
    stop,
    plane,
    loop,
    planner,
    update,
    addDevice,
    changes,
    pruned,
    said,
    released: () => released,
    written: () => written,
  };
}

const portsOf = (loop: HostLoop): HostView['ports'] => loop.view.ports;

/** Waits as long as a test may. */
async function plugged(loop: HostLoop, wanted: PlugWait): Promise<void> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 60_000);
  try {
    await loop.waitPlugged(wanted, stop.signal);
  } finally {
    clearTimeout(timer);
  }
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'in vain');
    await sleep(2);
  }
}

/** As AbortSignal.timeout, whose timer does not keep a process that only waits. */
function abortAfter(ms: number): AbortSignal {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), ms);
  return stop.signal;
}

test('a port is down without its device, and waitPlugged resolves once it is in the kernel', async () => {
  const { loop, update, addDevice, plane, planner, changes, stop } = createBed();
  const running = loop.start(update(3, CLOUD));
  await until(() => loop.view.revision === 3);
  const name = vifDeviceName(POD);
  assert.deepEqual(loop.view.ports?.get(POD.id), {
    portId: POD.id,
    state: 'down',
    reason: `there is no device ${name}`,
  });
  const waiting = plugged(loop, { portId: POD.id });
  addDevice(name, 50);
  loop.takeDevices({ names: [name], moved: [name] });
  await waiting;
  assert.equal(plane.entries('cb_vif_2').size, 1);
  assert.equal(planner.guests.size, 1);
  await plugged(loop, { portId: POD.id, ifindex: 50 });
  assert.deepEqual(
    changes.map(({ ports }) => [...ports]),
    [[POD.id], [POD.id]],
  );
  stop.abort();
  await running.done;
});

test('who is told the device waits for that one, not for an earlier one of the name', async () => {
  const { loop, update, addDevice, stop } = createBed();
  const name = vifDeviceName(POD);
  addDevice(name, 50);
  loop.start(update(3, CLOUD));
  await plugged(loop, { portId: POD.id, ifindex: 50 });
  let isPlugged = false;
  const waiting = plugged(loop, { portId: POD.id, ifindex: 51 }).then(() => {
    isPlugged = true;
  });
  await sleep(20);
  assert.equal(isPlugged, false);
  addDevice(name, 51);
  loop.takeDevices({ names: [name], moved: [name] });
  await waiting;
  stop.abort();
});

test('waitPlugged gives up with the reason', async () => {
  const { loop, update, stop } = createBed();
  loop.start(update(3, CLOUD));
  await until(() => loop.view.revision === 3);
  const wait = (portId: string) => loop.waitPlugged({ portId }, abortAfter(20));
  await assert.rejects(wait(POD.id), /is not up: there is no device cv/);
  await assert.rejects(wait('other'), /has not sent it to this host/);
  stop.abort();
});

test("events that are nobody's cost no round, and a bookmark without changes moves the revision", async () => {
  const { loop, update, changes, plane, stop } = createBed();
  loop.start(update(3, CLOUD));
  await until(() => loop.view.revision === 3);
  loop.takeDevices({ names: ['eth0', 'lo', 'docker0'], moved: ['docker0'] });
  await sleep(30);
  assert.equal(loop.view.rounds, 1);
  loop.takeState(update(4, CLOUD));
  await until(() => loop.view.revision === 4);
  assert.equal(loop.view.rounds, 2);
  assert.deepEqual([...(changes.at(-1)?.ports ?? ['none'])], []);
  assert.deepEqual(plane.readProgrammed(), { revision: 4, state: STATE, commit: 4 });
  stop.abort();
});

test('of entries is told when they change, and once by an agent that finds them as they are to be', async () => {
  const first = createBed();
  first.loop.start(first.update(3, CLOUD));
  await until(() => first.loop.view.revision === 3);
  assert.equal(first.written(), 1);
  first.loop.takeState(first.update(4, CLOUD));
  await until(() => first.loop.view.revision === 4);
  assert.equal(first.written(), 1);
  first.stop.abort();
  const next = createBed({ plane: first.plane });
  next.loop.start(next.update(4, CLOUD));
  await until(() => next.loop.view.revision === 4);
  assert.equal(next.loop.view.writes, 0);
  assert.equal(next.written(), 1);
  next.stop.abort();
});

test('a link that the agent makes itself is programmed in the same round, and made again when it is touched', async () => {
  let applied = 0;
  const bed = createBed({
    apply: (wanted) => {
      applied += 1;
      const changed = applied === 1;
      if (changed) bed.addDevice([...wanted.values()][0]?.vifName ?? '', 60);
      return { changed, failures: new Map() };
    },
  });
  bed.loop.start(bed.update(4, [sampleHost('h1', [OWN]), ...sampleNetwork(1), samplePolicy('', [])]));
  await until(() => bed.loop.view.revision === 4);
  assert.equal(bed.loop.view.ports?.get(OWN.id)?.state, 'up');
  assert.equal(bed.loop.view.rounds, 1);
  bed.loop.takeDevices({ names: [`cb${OWN.id.slice(0, 11)}`], moved: [] });
  await until(() => applied === 2);
  bed.stop.abort();
});

test('links and numbers of ports that are gone go only when the state is known to be whole', async () => {
  const { loop, update, pruned, released, stop } = createBed();
  loop.start(update(3, CLOUD, false));
  await until(() => loop.view.revision === 3);
  assert.deepEqual([pruned.length, released()], [0, 0]);
  loop.takeState(update(4, CLOUD));
  await until(() => pruned.length === 1);
  loop.takeState(update(5, CLOUD));
  await until(() => loop.view.revision === 5);
  assert.deepEqual([pruned.length, released()], [1, 1]);
  stop.abort();
});

test('what failed is tried again after a while, and nothing else is', async () => {
  let applied = 0;
  const { loop, update, addDevice, plane, stop } = createBed({
    apply: () => {
      applied += 1;
      return { changed: false, failures: applied < 3 ? new Map([[OWN.id, 'no room']]) : new Map() };
    },
  });
  plane.failPuts('cb_source_2', 'ENOSPC', 1);
  addDevice(vifDeviceName(POD), 50);
  loop.start(update(6, [sampleHost('h1', [OWN, POD]), ...sampleNetwork(1), samplePolicy('', [])]));
  await until(() => loop.view.revision === 6);
  assert.deepEqual(loop.view.ports?.get(OWN.id), { portId: OWN.id, state: 'error', reason: 'no room' });
  assert.match(loop.view.ports?.get(POD.id)?.reason ?? '', /map cb_source_2 is full/);
  await until(() => loop.view.ports?.get(POD.id)?.state === 'up');
  await until(() => loop.view.ports?.get(OWN.id)?.state === 'down');
  const { rounds } = loop.view;
  await sleep(100);
  assert.equal(loop.view.rounds, rounds, 'no round without a reason');
  stop.abort();
});

test('regression: a state older than what is programmed, or of another directory, is not put over it', async () => {
  for (const programmed of [
    { revision: 2, state: STATE, commit: 4 },
    { revision: 1, state: STATE + 1n, commit: 1 },
  ]) {
    const { loop, update, addDevice, plane, stop } = createBed({ programmed });
    addDevice(vifDeviceName(POD), 50);
    loop.start(update(3, CLOUD, false));
    await until(() => loop.view.rounds === 1);
    assert.equal(plane.entries('cb_vif_2').size, 0);
    assert.equal(plane.listAttached().has(50), true, 'a new device drops');
    assert.equal(portsOf(loop), undefined);
    assert.match(loop.view.held ?? '', /waiting for the server/);
    await assert.rejects(loop.waitPlugged({ portId: POD.id }, abortAfter(5)), /waiting for the server/);
    loop.takeState(update(5, CLOUD));
    await until(() => loop.view.revision === 5);
    assert.equal(loop.view.ports?.get(POD.id)?.state, 'up');
    assert.equal(loop.view.held, null);
    stop.abort();
  }
  const { loop, update, stop } = createBed({ programmed: { revision: 9, state: STATE, commit: 3 } });
  loop.start(update(3, CLOUD, false));
  await until(() => loop.view.revision === 3);
  stop.abort();
});

test('a round that fails is made again, with all that it was to do', async () => {
  const { loop, update, addDevice, plane, stop } = createBed();
  addDevice(vifDeviceName(POD), 50);
  const { writeProgrammed } = plane;
  plane.writeProgrammed = () => {
    plane.writeProgrammed = writeProgrammed;
    throw new Error('not now');
  };
  loop.start(update(3, CLOUD));
  await until(() => loop.view.error !== null);
  assert.match(loop.view.error ?? '', /not now/);
  await until(() => loop.view.revision === 3);
  assert.equal(loop.view.error, null);
  assert.equal(loop.view.ports?.get(POD.id)?.state, 'up');
  stop.abort();
});

test('what the kernel refuses of others’ entries is a warning when it begins, and told when it is over', async () => {
  const { loop, update, plane, said, stop } = createBed();
  const away = sampleNetwork(1, {}, [sampleEndpoint(samplePort(7), 'h2', '192.0.2.2')]);
  const cloud = [...CLOUD.filter(({ key }) => !away.some((one) => one.key === key)), ...away];
  plane.limit('cb_ep_2', 0);
  loop.start(update(3, cloud));
  await until(() => loop.view.revision === 3);
  await until(() => loop.view.rounds > 2);
  assert.equal(loop.view.refused.find(({ map }) => map === 'cb_ep_2')?.entries, 3, 'and the service addresses');
  plane.limit('cb_ep_2', 10);
  await until(() => loop.view.refused.length === 0);
  assert.deepEqual(said, [
    'warn the kernel has refused entries: what needs them does not pass',
    'info the kernel has taken the entries that it had refused',
  ]);
  stop.abort();
});

test('a program that was taken off is put back at once', async () => {
  const { loop, update, addDevice, plane, stop } = createBed();
  addDevice(vifDeviceName(POD), 50);
  loop.start(update(3, CLOUD));
  await until(() => loop.view.revision === 3);
  loop.takeLostPrograms([50, 99]);
  assert.equal(plane.listAttached().has(50), false);
  await until(() => plane.listAttached().has(50));
  stop.abort();
});
