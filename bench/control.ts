/**
 * npm run bench:control [-- --ports N --changes N --adds N --store lmdb|etcd --json]
 *
 * How fast the control plane is, with each store: port creates a second (one client, then many at once); the time from the request for a
 * port to "programmed on both hosts" (the port is ACTIVE: both agents have acknowledged it); and the wall time of a CNI ADD beside
 * that of the reference bridge plug-in.
 */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { buildCable, type CableBed, createGroup } from './lib/cable.ts';
import { bridgePlugin, cablePlugin, timeAdd } from './lib/cni.ts';
import { median, quantile } from './lib/statistics.ts';

type Options = {
  readonly ports: number;
  readonly changes: number;
  readonly adds: number;
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
const ADDS_WARM_UP = 2;

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
      adds: { type: 'string', default: '30' },
      store: { type: 'string', multiple: true, default: ['lmdb', 'etcd'] },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'ports' | 'changes' | 'adds'): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new Error(`--${name} must be a whole number, at least 1`);
  };
  const stores = values.store.map((store) => {
    if (store === 'lmdb' || store === 'etcd') return store;
    throw new Error(`--store must be lmdb or etcd, not ${store}`);
  });
  return { ports: number('ports'), changes: number('changes'), adds: number('adds'), stores, json: values.json };
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
      ...measureAdds(bed, store, groupId, options.adds),
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
    for (let i = 0; i < count; i += 1) ids.push((await create()).id);
  });
  say(`${store}: creating ${count} ports, ${PARALLEL} at once`);
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
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

/** A pod's ADD as a container runtime sees it: the whole executable. The peer plug-in does no policy and asks no server. */
function measureAdds(bed: CableBed, store: string, groupId: string, count: number): readonly Row[] {
  say(`${store}: ${count} CNI ADDs, each beside one of the reference bridge plug-in`);
  const own = cablePlugin(bed, groupId);
  const peer = bridgePlugin(`${bed.names.dir}/host-local`);
  const samples: { own: number; peer: number }[] = [];
  for (let i = 0; i < count + ADDS_WARM_UP; i += 1) {
    samples.push({ own: timeAdd(bed.names.h1.name, own), peer: timeAdd(bed.names.h1.name, peer) });
  }
  const counted = samples.slice(ADDS_WARM_UP);
  const row = (what: string, values: readonly number[], unit: string): Row => ({
    store,
    what,
    median: median(values),
    p99: quantile(values, 0.99),
    unit,
  });
  return [
    row(
      'CNI ADD, cable-cni',
      counted.map((sample) => sample.own),
      'ms',
    ),
    row(
      'CNI ADD, reference bridge',
      counted.map((sample) => sample.peer),
      'ms',
    ),
    {
      ...row(
        'CNI ADD, bridge / cable-cni',
        counted.map((sample) => sample.peer / sample.own),
        '×',
      ),
      p99: null,
    },
  ];
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

await main();
