import type { Bed } from './bed.ts';
import type { Clients } from './clients.ts';
import { PROJECT, type Request } from './http-connection.ts';
import type { Job, JobResult } from './job.ts';

/** How much is measured. */
export type Extent = {
  /** How long a round lasts. */
  readonly seconds: number;
  readonly rounds: number;
  /** Requests before the first that counts, so that the server's code is compiled and its store in use. */
  readonly warmUpRequests: number;
  /** Clients at a time. */
  readonly levels: readonly number[];
  /** Ports in a bulk, each with the levels at which it is sent. */
  readonly bulks: readonly { readonly ports: number; readonly levels: readonly number[] }[];
  /** Ports that are there when lists are measured, rising; and in each of their networks. */
  readonly sizes: readonly number[];
  readonly portsPerNetwork: number;
  /** Ports that are updated and shown in turn. */
  readonly standingPorts: number;
  readonly overloadClients: number;
};

/** What a section is measured with: a bed of its own, already empty, and clients. */
export type Context = {
  readonly bed: Bed;
  readonly clients: Clients;
  /** Another process, for the client that waits while others work. */
  readonly other: Clients;
  readonly extent: Extent;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
};

/** Whose CPU time a job of the server counts, in the order of `rowOf`. */
export function processesOf({ etcd }: Bed): readonly ('server' | 'etcd')[] {
  return etcd === null ? ['server'] : ['server', 'etcd'];
}

/** How requests are sent. Defaults: the extent's seconds, again and again, as fast as the answers come, by `clients`. */
export type Sending = {
  readonly clients: number;
  readonly seconds?: number;
  readonly isOnce?: boolean;
  readonly everyMs?: number;
  readonly by?: Clients;
  /** HTTP statuses that may come besides 2xx; any other ends the benchmark. Default: none. */
  readonly mayRefuse?: readonly number[];
};

/** Sends requests to the server. Throws when one is answered with an error that was not expected. */
export async function sendAll(context: Context, requests: readonly Request[], how: Sending): Promise<JobResult> {
  const { bed, extent } = context;
  const { clients, seconds = extent.seconds, isOnce = false, everyMs = 0, by = context.clients, mayRefuse = [] } = how;
  const { host, port, serverPid, etcd } = bed;
  const job: Job = {
    target: { kind: 'server', host, port, requests, isOnce },
    ...{ clients, seconds, everyMs },
    pids: etcd === null ? [serverPid] : [serverPid, etcd.pid],
  };
  const result = await by.run(job);
  const other = Object.keys(result.statuses).find(
    (status) => !status.startsWith('2') && !mayRefuse.includes(Number(status)),
  );
  if (other !== undefined) throw new Error(`the server refused a request of the benchmark: ${result.refusal}`);
  return result;
}

/** No warm-up is longer: on a slow machine the first round is a part of it. */
const WARM_UP_MOST_S = 10;

/** Sends the request, by 32 clients, until the server is warm. `items`: objects in it. */
export async function warmUp(context: Context, request: Request, items = 1): Promise<void> {
  const { bed, extent, say } = context;
  say(`${bed.store}: warming up`);
  const requests = Array.from({ length: Math.ceil(extent.warmUpRequests / items) }, () => request);
  await sendAll(context, requests, { clients: items === 1 ? 32 : 4, seconds: WARM_UP_MOST_S, isOnce: true });
}

/** Makes an object; gives its id. */
export async function create(context: Context, path: string, body: object): Promise<string> {
  const answer = (await call(context, 'POST', path, body)) as Readonly<Record<string, { readonly id: string }>>;
  return Object.values(answer)[0]?.id ?? '';
}

/** Makes a network with a subnet; gives their ids. */
export async function createNetwork(
  context: Context,
  cidr: string,
): Promise<{ readonly networkId: string; readonly subnetId: string }> {
  const networkId = await create(context, '/v2.0/networks', { network: { name: 'bench' } });
  const subnet = { network_id: networkId, ip_version: 4, cidr };
  return { networkId, subnetId: await create(context, '/v2.0/subnets', { subnet }) };
}

/** Creates one port of which nothing but the network is said, again and again. */
export function portRequest(networkId: string): Request {
  return { method: 'POST', path: '/v2.0/ports', body: JSON.stringify({ port: { network_id: networkId } }) };
}

/** Ports as a request creates them: with a name and a device that no other has. */
export function portsOf(networkId: string, count: number, from: number): readonly object[] {
  return Array.from({ length: count }, (_, at) => ({
    network_id: networkId,
    name: `port-${from + at}`,
    device_id: `device-${from + at}`,
  }));
}

/** Ports in a request when many are made. */
const FILL = 500;

/** Makes so many ports in the network, numbered from `from`. */
export async function fill(context: Context, networkId: string, count: number, from: number): Promise<void> {
  const requests: Request[] = [];
  for (let at = 0; at < count; at += FILL) {
    const ports = portsOf(networkId, Math.min(FILL, count - at), from + at);
    requests.push({ method: 'POST', path: '/v2.0/ports', body: JSON.stringify({ ports }) });
  }
  await sendAll(context, requests, { clients: 2, seconds: FOREVER_S, isOnce: true });
}

/** For jobs that end by themselves. */
const FOREVER_S = 3600;

/** The ids of all ports. */
export async function portIds(context: Context): Promise<readonly string[]> {
  const { ports } = (await call(context, 'GET', '/v2.0/ports?fields=id')) as { ports: readonly { id: string }[] };
  return ports.map(({ id }) => id);
}

/** One request of the benchmark itself, not measured. Throws for an error. */
export async function call(context: Context, method: string, path: string, body?: object): Promise<unknown> {
  const { bed, signal } = context;
  const answer = await fetch(`http://${bed.host}:${bed.port}${path}`, {
    method,
    signal,
    headers: { 'content-type': 'application/json', 'x-project-id': PROJECT },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
  return text === '' ? undefined : JSON.parse(text);
}
