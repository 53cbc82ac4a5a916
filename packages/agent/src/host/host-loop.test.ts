import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { Slice } from '@cable/model';
import type { HostLinkResult } from '../devices/host-links.ts';
import type { LinkTable } from '../devices/link-table.ts';
import type { Link } from '../net/link.ts';
import { createPlanner } from '../plan/plan.ts';
import { sampleHost, sampleNetwork, samplePolicy, samplePort, slicesOf } from '../plan/sample.ts';
import { createFakeDataPlane } from '../reconcile/fake-data-plane.ts';
import { Reconciler } from '../reconcile/reconciler.ts';
import type { HostState } from '../stream/host-state.ts';
import { HostLoop } from './host-loop.ts';
import { SlotTable } from './slots.ts';

const POD = samplePort(5, { vifKind: 'veth', policy: 'policy:' });
const OWN = samplePort(6, { vifKind: 'host', policy: 'policy:' });
const CLOUD: Slice[] = [sampleHost('h1', [POD]), sampleNetwork(1), samplePolicy('', [])];

function state(revision: number, slices: readonly Slice[]): HostState {
  return { revision, slices: slicesOf(...slices), synced: true };
}

/** A loop over a fake kernel whose devices the test makes. */
function bed(
  applyHostLinks: (links: Map<string, Link>) => HostLinkResult = () => ({ changed: false, failures: new Map() }),
) {
  const stop = new AbortController();
  const plane = createFakeDataPlane();
  const links = new Map<string, Link>();
  let table: LinkTable = new Map();
  let reads = 0;
  let changes = 0;
  let prunes = 0;
  const loop = new HostLoop({
    host: 'h1',
    plan: createPlanner('h1'),
    reconciler: new Reconciler(plane, silentLogger()),
    slots: new SlotTable(new Map(), () => 0),
    links: {
      read: () => {
        if (reads === 0) table = new Map(links);
        reads = 1;
        return table;
      },
      invalidate: () => {
        reads = 0;
      },
    },
    repairDevices: () => false,
    applyHostLinks: () => applyHostLinks(links),
    pruneHostLinks: () => {
      prunes += 1;
    },
    onChange: () => {
      changes += 1;
    },
    log: silentLogger(),
    signal: stop.signal,
  });
  const addDevice = (name: string, ifindex: number): void => {
    plane.setDevice(ifindex, true);
    links.set(name, device(name, ifindex));
  };
  return { stop, plane, links, loop, addDevice, changes: () => changes, prunes: () => prunes };
}

function device(name: string, ifindex: number): Link {
  const state = { operState: 'up', flags: 1, up: true, carrier: true, peerIfindex: 0, peerNetnsid: undefined } as const;
  return { ifindex, name, kind: 'veth', mtuBytes: 1450, mac: '', ...state };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'in vain');
    await sleep(2);
  }
}

test('a port is down without its device, and waitPlugged resolves once it is in the kernel', async () => {
  const { loop, addDevice, plane, stop } = bed();
  const running = loop.start(state(3, CLOUD));
  await until(() => loop.snapshot.revision === 3);
  assert.deepEqual(loop.snapshot.vifs, [
    { portId: POD.id, state: 'down', reason: `there is no device cv${POD.id.slice(0, 11)}` },
  ]);
  const plugged = loop.waitPlugged(POD.id, AbortSignal.timeout(5_000));
  addDevice(`cv${POD.id.slice(0, 11)}`, 50);
  await sleep(20);
  const again = loop.waitPlugged(POD.id, AbortSignal.timeout(5_000));
  await Promise.all([plugged, again]);
  assert.equal(plane.readMap('cb_vif_1').size, 1);
  assert.equal(loop.snapshot.desired?.guests.size, 1);
  stop.abort();
  await running.done;
});

test('waitPlugged gives up with the reason', async () => {
  const { loop, stop } = bed();
  loop.start(state(3, CLOUD));
  await until(() => loop.snapshot.revision === 3);
  await assert.rejects(loop.waitPlugged(POD.id, AbortSignal.timeout(20)), /is not up: there is no device cv/);
  await assert.rejects(loop.waitPlugged('other', AbortSignal.timeout(20)), /has not sent it to this host/);
  stop.abort();
});

test('a link that the agent makes itself is programmed in the same round', async () => {
  const made = bed((links) => {
    const name = `cv${OWN.id.slice(0, 11)}`;
    const changed = !links.has(name);
    made.addDevice(name, 60);
    return { changed, failures: new Map() };
  });
  made.loop.start(state(4, [sampleHost('h1', [OWN]), sampleNetwork(1), samplePolicy('', [])]));
  await until(() => made.loop.snapshot.revision === 4);
  assert.equal(made.loop.snapshot.vifs[0]?.state, 'up');
  assert.equal(made.loop.snapshot.rounds, 1);
  made.stop.abort();
});

test('links of ports that are gone are removed after the round, and only when the state is known to be whole', async () => {
  const { loop, changes, prunes, stop } = bed();
  loop.start({ ...state(3, CLOUD), synced: false });
  await until(() => changes() === 1);
  await sleep(5);
  assert.equal(prunes(), 0);
  loop.setState(state(4, CLOUD));
  await until(() => prunes() === 1);
  assert.equal(changes(), 2);
  stop.abort();
});

test('a revision counts only when the kernel took it, and the refusal is told meanwhile', async () => {
  const { loop, plane, stop } = bed();
  plane.failWrites('cb_ep_1');
  loop.start(state(5, CLOUD));
  await until(() => loop.snapshot.error !== null);
  assert.match(loop.snapshot.error ?? '', /E2BIG/);
  assert.equal(loop.snapshot.revision, 0);
  plane.failWrites(undefined);
  await until(() => loop.snapshot.revision === 5);
  assert.equal(loop.snapshot.error, null);
  stop.abort();
});

test('a failure of one port is its own', async () => {
  const { loop, stop } = bed(() => ({ changed: false, failures: new Map([[OWN.id, 'no room']]) }));
  loop.start(state(6, [sampleHost('h1', [OWN, POD]), sampleNetwork(1), samplePolicy('', [])]));
  await until(() => loop.snapshot.revision === 6);
  assert.deepEqual(
    loop.snapshot.vifs.map((vif) => [vif.portId, vif.state]),
    [
      [POD.id, 'down'],
      [OWN.id, 'error'],
    ],
  );
  stop.abort();
});
