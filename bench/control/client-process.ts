/** The clients, in a process of their own: what they cost is not the server's, and is measured. Jobs and results go by the channel to the parent; it ends when that is closed. */
import { setTimeout as wait } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import type { Answer } from './answer-reader.ts';
import { EtcdConnection } from './etcd-connection.ts';
import { createRequestBytes, HttpConnection } from './http-connection.ts';
import type { Job, JobResult, Report, Target } from './job.ts';
import { createParents, parentsTransaction, portTransaction, type Transaction } from './port-transaction.ts';
import { startUsage } from './usage.ts';

/** One client: sends its next request and waits for the answer; undefined: there is nothing left to send. */
type Client = () => Promise<Answer> | undefined;

type Clients = { readonly all: readonly Client[]; readonly close: () => Promise<void> };

/** What has been counted of a job. */
type Counts = {
  readonly latenciesMs: number[];
  readonly statuses: Record<number, number>;
  slowestRefusalMs: number;
  refusal: string;
};

process.on('message', (job: Job) => {
  run(job).then(
    (result) => report({ result }),
    (err: unknown) => report({ failure: err instanceof Error ? (err.stack ?? err.message) : String(err) }),
  );
});

process.on('disconnect', () => process.exit());

// The parent decides when it is over, also when a signal went to the whole group.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);

function report(message: Report): void {
  process.send?.(message);
}

async function run(job: Job): Promise<JobResult> {
  const clients = await openClients(job.target, job.clients);
  try {
    return await load(job, clients.all);
  } finally {
    await clients.close();
  }
}

async function load(job: Job, clients: readonly Client[]): Promise<JobResult> {
  const counts: Counts = { latenciesMs: [], statuses: {}, slowestRefusalMs: 0, refusal: '' };
  const usage = startUsage(job.pids);
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const endAt = startedAt + job.seconds * 1000;
  const send = job.everyMs > 0 ? sendEvery(job.everyMs, endAt) : sendOn(endAt);
  await Promise.all(clients.map((client) => send(client, counts)));
  const elapsedMs = performance.now() - startedAt;
  const used = process.cpuUsage(cpu);
  const { latenciesMs, ...others } = counts;
  const result = { ...others, latenciesMs: Float64Array.from(latenciesMs), elapsedMs };
  return { ...result, clientCpuMs: (used.user + used.system) / 1000, usage: usage() };
}

type Send = (client: Client, counts: Counts) => Promise<void>;

function sendOn(endAt: number): Send {
  return async (client, counts) => {
    for (let now = performance.now(); now < endAt; now = performance.now()) {
      const answer = client();
      if (answer === undefined) return;
      count(counts, await answer, now);
    }
  };
}

/** What a request had to wait for the one before it counts as well: the client wanted it when it was due. */
function sendEvery(everyMs: number, endAt: number): Send {
  return async (client, counts) => {
    for (let due = performance.now(); due < endAt; due += everyMs) {
      const early = due - performance.now();
      if (early > 0) await wait(early);
      const startedAt = early > 0 ? performance.now() : due;
      const answer = client();
      if (answer === undefined) return;
      count(counts, await answer, startedAt);
    }
  };
}

function count(counts: Counts, { status, refusal }: Answer, startedAt: number): void {
  const tookMs = performance.now() - startedAt;
  counts.statuses[status] = (counts.statuses[status] ?? 0) + 1;
  if (status < 300) {
    counts.latenciesMs.push(tookMs);
    return;
  }
  counts.slowestRefusalMs = Math.max(counts.slowestRefusalMs, tookMs);
  if (counts.refusal === '') counts.refusal = `${status}: ${refusal}`;
}

function openClients(target: Target, count: number): Promise<Clients> {
  if (target.kind === 'server') return openHttpClients(target, count);
  return openPeerClients(target, count);
}

async function openHttpClients(target: Target & { readonly kind: 'server' }, count: number): Promise<Clients> {
  const { host, port, isOnce } = target;
  const requests = target.requests.map(createRequestBytes);
  const connections = await Promise.all(Array.from({ length: count }, () => HttpConnection.open(host, port)));
  let next = 0;
  const take = (): Buffer | undefined => {
    if (isOnce && next >= requests.length) return undefined;
    const bytes = requests[next % requests.length];
    next += 1;
    return bytes?.();
  };
  const all = connections.map((connection): Client => {
    return () => {
      const bytes = take();
      return bytes === undefined ? undefined : connection.send(bytes);
    };
  });
  const close = async (): Promise<void> => {
    for (const connection of connections) connection.close();
  };
  return { all, close };
}

const DONE: Answer = { status: 200, bodyBytes: 0, refusal: '' };

async function openPeerClients(target: Target & { readonly kind: 'etcd' | 'store' }, count: number): Promise<Clients> {
  const { transact, close } = await openPeer(target.kind, target.address);
  const parents = createParents();
  await transact(parentsTransaction(parents));
  const client: Client = () => transact(portTransaction(parents, target.value)).then(() => DONE);
  return { all: Array.from({ length: count }, () => client), close };
}

type Peer = { readonly transact: (transaction: Transaction) => Promise<void>; readonly close: () => Promise<void> };

async function openPeer(kind: 'etcd' | 'store', address: string): Promise<Peer> {
  if (kind === 'etcd') {
    const connection = await EtcdConnection.open(address);
    return { transact: (transaction) => connection.transact(transaction), close: () => connection.close() };
  }
  const store = await openStore(address, { log: silentLogger() });
  const transact = async ({ compares, ops }: Transaction): Promise<void> => {
    if (!(await store.txn(compares, ops)).ok) throw new Error('the store refused a transaction');
  };
  return { transact, close: () => store.close() };
}
