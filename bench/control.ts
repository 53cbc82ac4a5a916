/**
 * npm run bench:control [-- --ports N --changes N --adds N --pods N --store lmdb|etcd --json]
 *
 * How fast the control plane is, with each store: port creates a second (one client, then many at once); the time from the request for a
 * port to "programmed on both hosts" (the port is ACTIVE: both agents have acknowledged it); and the wall time of CNI ADD and DEL beside those of
 * the reference bridge plug-in, 1, 8 and 32 at a time, with no pods and with many on the host (--pods; on the peer's at most what a Linux bridge takes).
 */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { buildCable, type CableBed, createGroup } from './lib/cable.ts';
import {
  bridgePlugin,
  type CniTimes,
  cablePlugin,
  callAll,
  makeSandboxes,
  type Plugin,
  removeSandboxes,
  type Sandbox,
} from './lib/cni.ts';
import { interruption, runInterruptibly } from './lib/interruption.ts';
import { median, quantile } from './lib/statistics.ts';

type Options = {
  readonly ports: number;
  readonly changes: number;
  readonly adds: number;
  readonly pods: number;
  readonly stores: readonly ('lmdb' | 'etcd')[];
  readonly json: boolean;
};

type Row = {
  readonly store: string;
  readonly what: string;
  readonly median: number;
  readonly p99: number | null;
  readonly unit: string;
};

const PARALLEL = 32;
/** Between looks at a port's status: the figures are that much coarse. */
const POLL_MS = 1;
/** Between a device's removal, about which the kernel is busy a little longer, and the next request. */
const REST_MS = 30;
const ADDS_WARM_UP = 8;
/** CNI calls at a time. */
const AT_ONCE = [1, 8, 32] as const;
/** A Linux bridge has 1,024 ports (BR_MAX_PORTS); some stay free for the calls that are timed. */
const MOST_ON_BRIDGE = 900;

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

async function main(): Promise<void> {
  const options = readOptions();
  const rows: Row[] = [];
  for (const store of options.stores) rows.push(...(await measureStore(store, options)));
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ rows }, null, 2)}\n`);
    return;
  }
  const table = new Table({ head: ['store', 'what', 'median', 'p99', 'unit'], style: { head: [], border: [] } });
  for (const row of rows) {
    table.push([row.store, row.what, row.median.toFixed(1), row.p99 === null ? '' : row.p99.toFixed(1), row.unit]);
  }
  process.stdout.write(`${table.toString()}\n`);
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      ports: { type: 'string', default: '1000' },
      changes: { type: 'string', default: '200' },
      adds: { type: 'string', default: '64' },
      pods: { type: 'string', default: '2000' },
      store: { type: 'string', multiple: true, default: ['lmdb', 'etcd'] },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'ports' | 'changes' | 'adds' | 'pods'): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new Error(`--${name} must be a whole number, at least 1`);
  };
  const stores = values.store.map((store) => {
    if (store === 'lmdb' || store === 'etcd') return store;
    throw new Error(`--store must be lmdb or etcd, not ${store}`);
  });
  return {
    ports: number('ports'),
    changes: number('changes'),
    adds: number('adds'),
    pods: number('pods'),
    stores,
    json: values.json,
  };
}

async function measureStore(store: 'lmdb' | 'etcd', options: Options): Promise<readonly Row[]> {
  const bed = await buildCable(store, say);
  try {
    const groupId = await createGroup(bed.client, 10);
    // The network must be carried by both hosts, so that both must acknowledge a change.
    for (const host of [bed.names.h1, bed.names.h2]) await bed.addPod(`keeper-${host.short}`, host, groupId);
    return [
      ...(await measureCreates(bed, store, options.ports)),
      ...(await measureProgrammed(bed, store, groupId, options.changes)),
      ...(await measureCni(bed, store, groupId, options)),
    ];
  } finally {
    await bed.close();
  }
}

/** Unbound ports: the cost of the API, IPAM and the transaction alone. */
async function measureCreates(bed: CableBed, store: string, count: number): Promise<readonly Row[]> {
  const create = (): Promise<{ id: string }> => bed.client.create('port', { network_id: bed.networkId });
  say(`${store}: creating ${count} ports, one after the other`);
  const ids: string[] = [];
  const single = await timed(async () => {
    for (let i = 0; i < count; i += 1) {
      interruption.throwIfAborted();
      ids.push((await create()).id);
    }
  });
  say(`${store}: creating ${count} ports, ${PARALLEL} at once`);
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      interruption.throwIfAborted();
      left -= 1;
      ids.push((await create()).id);
    }
  };
  const parallel = await timed(async () => {
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  });
  for (const id of ids) await bed.client.delete('port', id);
  const row = (what: string, ms: number): Row => ({
    store,
    what,
    median: (count * 1000) / ms,
    p99: null,
    unit: 'ports/s',
  });
  return [row('port creates, 1 client', single), row(`port creates, ${PARALLEL} clients`, parallel)];
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
): Promise<readonly Row[]> {
  say(`${store}: ${count} times from request to programmed on both hosts`);
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
  const row = (what: string, values: readonly number[]): Row => ({
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
async function measureCni(bed: CableBed, store: string, groupId: string, options: Options): Promise<readonly Row[]> {
  const own = cablePlugin(bed, groupId);
  const peer = bridgePlugin(`${bed.names.dir}/host-local`);
  const host = bed.names.h1.name;
  const rows: Row[] = [];
  const standing: { readonly plugin: Plugin; readonly sandboxes: readonly Sandbox[] }[] = [];
  try {
    await cniRound(host, own, peer, ADDS_WARM_UP, 1);
    for (const pods of [0, options.pods]) {
      if (pods > 0) {
        say(`${store}: putting ${pods} pods on the host`);
        for (const [plugin, count] of [[own, pods] as const, [peer, Math.min(pods, MOST_ON_BRIDGE)] as const]) {
          const sandboxes = makeSandboxes(count);
          standing.push({ plugin, sandboxes });
          await callAll(host, plugin, 'ADD', sandboxes, 8);
        }
      }
      for (const parallel of AT_ONCE) {
        say(`${store}: ${options.adds} CNI ADDs and DELs, ${parallel} at a time, ${pods} pods on the host`);
        const times = await cniRound(host, own, peer, options.adds, parallel);
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

function cniRows(store: string, how: string, round: CniRound): readonly Row[] {
  return (['ADD', 'DEL'] as const).flatMap((command): Row[] => {
    const { own, peer } = round[command];
    const line = (who: string, { samples }: CniTimes): Row => ({
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

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

await runInterruptibly(main);
