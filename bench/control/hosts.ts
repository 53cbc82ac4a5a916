import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { buildCable, type CableBed, createGroup } from '../lib/cable.ts';
import {
  bridgePlugin,
  type CniTimes,
  cablePlugin,
  callAll,
  makeSandboxes,
  type Plugin,
  removeSandboxes,
  type Sandbox,
} from '../lib/cni.ts';
import { interruption } from '../lib/interruption.ts';
import { median, quantile } from '../lib/statistics.ts';
import type { StoreKind } from './bed.ts';

/** One figure of what happens on hosts. */
export type HostRow = {
  readonly store: string;
  readonly what: string;
  readonly median: number;
  readonly p99: number | null;
  readonly unit: string;
};

/** How often each thing is done; `pods`: that stand on the host in the second half. */
export type HostExtent = { readonly changes: number; readonly adds: number; readonly pods: number };

type Say = (line: string) => void;

/** Between looks at a port's status: the figures are that much coarse. */
const POLL_MS = 1;
/** Between a device's removal, about which the kernel is busy a little longer, and the next request. */
const REST_MS = 30;
const ADDS_WARM_UP = 8;
/** CNI calls at a time. */
const AT_ONCE = [1, 8, 32] as const;
/** A Linux bridge has 1,024 ports (BR_MAX_PORTS); some stay free for the calls that are timed. */
const MOST_ON_BRIDGE = 900;

/** Two hosts with agents: from a request to "programmed on both", and CNI beside the reference plug-in. */
export async function measureHosts(store: StoreKind, extent: HostExtent, say: Say): Promise<readonly HostRow[]> {
  const bed = await buildCable({ store, say });
  try {
    const groupId = await createGroup(bed.client, 10);
    // The network must be carried by both hosts, so that both must acknowledge a change.
    for (const host of [bed.names.h1, bed.names.h2]) await bed.addPod(`keeper-${host.short}`, host, groupId);
    say(`${store}: ${extent.changes} times from request to programmed on both hosts`);
    return [
      ...(await measureProgrammed(bed, store, groupId, extent.changes)),
      ...(await measureCni(bed, store, groupId, extent, say)),
    ];
  } finally {
    await bed.close();
  }
}

/** The rows, for people. */
export function formatHosts(rows: readonly HostRow[]): string {
  const table = new Table({ head: ['store', 'what', 'median', 'p99', 'unit'], style: { head: [], border: [] } });
  for (const row of rows) {
    table.push([row.store, row.what, row.median.toFixed(1), row.p99 === null ? '' : row.p99.toFixed(1), row.unit]);
  }
  return table.toString();
}

/**
 * From the request to ACTIVE: the host's own agent has made the device, and both hosts have acknowledged the port. And from the request
 * to delete it until its device is gone; only then does the next begin.
 */
async function measureProgrammed(
  bed: CableBed,
  store: string,
  groupId: string,
  count: number,
): Promise<readonly HostRow[]> {
  const samples: number[] = [];
  const removals: number[] = [];
  for (let i = 0; i < count; i += 1) {
    interruption.throwIfAborted();
    const startedAt = performance.now();
    const port = await bed.client.create('port', {
      network_id: bed.networkId,
      security_groups: [groupId],
      'binding:host_id': bed.names.h1.name,
      'binding:vnic_type': 'baremetal',
      device_owner: 'baremetal:none',
    });
    await untilActive(bed, port.id);
    samples.push(performance.now() - startedAt);
    const deletedAt = performance.now();
    await bed.client.delete('port', port.id);
    await untilGone(bed, `cb${port.id.slice(0, 11)}`);
    removals.push(performance.now() - deletedAt);
    await setTimeout(REST_MS);
  }
  const row = (what: string, values: readonly number[]): HostRow => ({
    store,
    what,
    median: median(values),
    p99: quantile(values, 0.99),
    unit: 'ms',
  });
  return [row('request to programmed on both hosts', samples), row('request to device removed', removals)];
}

async function untilGone(bed: CableBed, device: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (bed.devices(bed.names.h1).includes(device)) {
    if (performance.now() > deadline) throw new Error(`device ${device} is not gone after 10 s`);
    await setTimeout(POLL_MS);
  }
}

async function untilActive(bed: CableBed, portId: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const port = await bed.client.get('port', portId);
    if (port.status === 'ACTIVE') return;
    if (performance.now() > deadline) throw new Error(`port ${portId} is not ACTIVE after 10 s`);
    await setTimeout(POLL_MS);
  }
}

/** Both plug-ins in turn, with the host empty and then with many pods on it. The peer does no policy and asks no server. */
async function measureCni(
  bed: CableBed,
  store: string,
  groupId: string,
  extent: HostExtent,
  say: Say,
): Promise<readonly HostRow[]> {
  const own = cablePlugin(bed, groupId);
  const peer = bridgePlugin(`${bed.names.dir}/host-local`);
  const host = bed.names.h1.name;
  const rows: HostRow[] = [];
  const standing: { readonly plugin: Plugin; readonly sandboxes: readonly Sandbox[] }[] = [];
  try {
    await cniRound(host, own, peer, ADDS_WARM_UP, 1);
    for (const pods of [0, extent.pods]) {
      if (pods > 0) {
        say(`${store}: putting ${pods} pods on the host`);
        for (const [plugin, count] of [[own, pods] as const, [peer, Math.min(pods, MOST_ON_BRIDGE)] as const]) {
          const sandboxes = makeSandboxes(count);
          standing.push({ plugin, sandboxes });
          await callAll(host, plugin, 'ADD', sandboxes, 8);
        }
      }
      for (const parallel of AT_ONCE) {
        say(`${store}: ${extent.adds} CNI ADDs and DELs, ${parallel} at a time, ${pods} pods on the host`);
        const times = await cniRound(host, own, peer, extent.adds, parallel);
        rows.push(...cniRows(store, `${parallel} at a time, ${pods} pods`, times));
      }
    }
    return rows;
  } finally {
    for (const { plugin, sandboxes } of standing) {
      await callAll(host, plugin, 'DEL', sandboxes, 8);
      removeSandboxes(sandboxes);
    }
  }
}

type CniRound = {
  readonly ADD: { readonly own: CniTimes; readonly peer: CniTimes };
  readonly DEL: { readonly own: CniTimes; readonly peer: CniTimes };
};

async function cniRound(host: string, own: Plugin, peer: Plugin, count: number, parallel: number): Promise<CniRound> {
  const sandboxes = { own: makeSandboxes(count), peer: makeSandboxes(count) };
  try {
    const both = async (command: 'ADD' | 'DEL'): Promise<CniRound['ADD']> => ({
      own: await callAll(host, own, command, sandboxes.own, parallel),
      peer: await callAll(host, peer, command, sandboxes.peer, parallel),
    });
    const ADD = await both('ADD');
    const DEL = await both('DEL');
    return { ADD, DEL };
  } finally {
    removeSandboxes([...sandboxes.own, ...sandboxes.peer]);
  }
}

function cniRows(store: string, how: string, round: CniRound): readonly HostRow[] {
  return (['ADD', 'DEL'] as const).flatMap((command): HostRow[] => {
    const { own, peer } = round[command];
    const line = (who: string, { samples }: CniTimes): HostRow => ({
      store,
      what: `CNI ${command}, ${who}, ${how}`,
      median: median(samples),
      p99: quantile(samples, 0.99),
      unit: 'ms',
    });
    const ratio = { store, what: `CNI ${command}, bridge / cable-cni, ${how}`, p99: null, unit: '×' };
    return [
      line('cable-cni', own),
      line('reference bridge', peer),
      { ...ratio, median: median(peer.samples) / median(own.samples) },
    ];
  });
}
