import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { buildCable, type CableBed, createGroup } from '../lib/cable.ts';
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

/** How often a port is made and deleted. */
export type HostExtent = { readonly changes: number };

type Say = (line: string) => void;

/** Between looks at a port's status: the figures are that much coarse. */
const POLL_MS = 1;
/** Between a device's removal, about which the kernel is busy a little longer, and the next request. */
const REST_MS = 30;
/** Two hosts with agents: from a request to "programmed on both". */
export async function measureHosts(store: StoreKind, extent: HostExtent, say: Say): Promise<readonly HostRow[]> {
  const bed = await buildCable({ store, say });
  try {
    const groupId = await createGroup(bed.client, 10);
    // The network must be carried by both hosts, so that both must acknowledge a change.
    for (const host of [bed.names.h1, bed.names.h2]) await bed.addPod(`keeper-${host.short}`, host, groupId);
    say(`${store}: ${extent.changes} times from request to programmed on both hosts`);
    return await measureProgrammed(bed, store, groupId, extent.changes);
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
