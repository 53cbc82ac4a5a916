/** What both servers are asked. */
import type { Clients } from '../control/clients.ts';
import type { Request } from '../control/http-connection.ts';
import type { JobResult } from '../control/job.ts';
import { type Cloud, call, HOSTS, type Sending, sendAll } from './cloud.ts';
import type { Goal } from './report.ts';

/** How much is measured. */
export type Extent = {
  /** How long a round of a case lasts; requests that were begun are waited for. */
  readonly seconds: number;
  readonly rounds: number;
  /** How long each case is asked for before the first round that counts. */
  readonly warmUpSeconds: number;
  readonly levels: readonly number[];
  /** Ports that are there when lists are measured, rising. */
  readonly sizes: readonly [number, number];
};

/** One thing to ask, at several levels. */
export type Case = {
  readonly what: string;
  /** How many ask while it warms up: of what takes seconds a few are enough. */
  readonly warmUpClients: number;
  /** By how many times Cable is to do more of it a second. */
  readonly goal: number | null;
  readonly ask: (sending: Sending) => Promise<JobResult>;
};

/** Of the port create of Cable by 8 clients. */
export const CREATE_P99: Goal = { what: 'create', clients: 8, p99Ms: 20 };

type Ask = Omit<Request, 'token'>;

/** Lists where there are so many ports: all, and those of one device. */
export function listCases(by: Clients, cloud: Cloud, size: number, isLargest: boolean): readonly Case[] {
  const ports = size.toLocaleString('en-US');
  const list = (what: string, query: string, goal: number | null): Case => {
    const request: Ask = { method: 'GET', path: `/v2.0/ports${query}` };
    return {
      what: `${what} of ${ports} ports`,
      warmUpClients: 2,
      goal,
      ask: (sending) => sendAll(by, cloud, [request], sending),
    };
  };
  return [list('list', '', isLargest ? 60 : null), list('list by device', `?device_id=device-${size - 1}`, null)];
}

/** Deletes and binds of one client a second, of which there are more ports than enough; the neutron-server does some three. */
const PORTS_PER_SECOND = { cable: 6000, neutron: 60 } as const;

/** One port a request. `standing`: ports that are there and stay. */
export function portCases(by: Clients, cloud: Cloud, standing: readonly string[]): readonly Case[] {
  const send = (requests: readonly Ask[], sending: Sending): Promise<JobResult> =>
    sendAll(by, cloud, requests, sending);
  const create: Ask = {
    method: 'POST',
    path: '/v2.0/ports',
    body: JSON.stringify({ port: { network_id: cloud.networkId, name: 'port-{n}' } }),
  };
  const update = standing.map((id) => put(id, { name: 'changed-{n}' }));
  const show = standing.map((id): Ask => ({ method: 'GET', path: `/v2.0/ports/${id}` }));
  const cases: readonly Omit<Case, 'warmUpClients'>[] = [
    { what: 'create', goal: 500, ask: (sending) => send([create], sending) },
    { what: 'update', goal: null, ask: (sending) => send(update, sending) },
    { what: 'bind', goal: 500, ask: bindsOf(by, cloud, standing) },
    { what: 'show', goal: 50, ask: (sending) => send(show, sending) },
    { what: 'delete', goal: null, ask: deletesOf(by, cloud) },
  ];
  return cases.map((one) => ({ ...one, warmUpClients: 8 }));
}

function put(id: string, port: object): Ask {
  return { method: 'PUT', path: `/v2.0/ports/${id}`, body: JSON.stringify({ port }) };
}

/** Each port to the one host, then each to the other, going on where the round before has ended: none is bound to where it is. */
function bindsOf(by: Clients, cloud: Cloud, ids: readonly string[]): Case['ask'] {
  const all = HOSTS.flatMap((host) => ids.map((id) => put(id, { 'binding:host_id': host })));
  let begun = 0;
  return async (sending) => {
    const from = begun % all.length;
    const result = await sendAll(by, cloud, [...all.slice(from), ...all.slice(0, from)], sending);
    begun += result.latenciesMs.length;
    return result;
  };
}

/** Deletes ports that are made between the rounds. */
function deletesOf(by: Clients, cloud: Cloud): Case['ask'] {
  let made = 1_000_000;
  let victims: readonly string[] = [];
  return async (sending) => {
    const { clients, seconds } = sending;
    const wanted = Math.ceil(Math.max(1, seconds) * PORTS_PER_SECOND[cloud.name]) + clients;
    if (victims.length < wanted) {
      const more = 2 * wanted;
      victims = [...victims, ...(await cloud.fill(more, made))];
      made += more;
    }
    const requests = victims.slice(0, wanted).map((id): Ask => ({ method: 'DELETE', path: `/v2.0/ports/${id}` }));
    const result = await sendAll(by, cloud, requests, { ...sending, isOnce: true });
    victims = victims.slice(result.latenciesMs.length);
    return result;
  };
}

/** Throws unless a bound port is bound, and the lists have what they are to have: or something else would be measured. */
export async function checkCloud(cloud: Cloud, portId: string, ports: number): Promise<void> {
  const { port } = (await call(cloud, 'PUT', `/v2.0/ports/${portId}`, {
    port: { 'binding:host_id': HOSTS[1] },
  })) as { port: Readonly<Record<string, unknown>> };
  const type = port['binding:vif_type'];
  if (type === 'binding_failed' || type === 'unbound') throw new Error(`${cloud.name} does not bind: ${String(type)}`);
  await call(cloud, 'PUT', `/v2.0/ports/${portId}`, { port: { 'binding:host_id': '' } });
  const listed = (await call(cloud, 'GET', '/v2.0/ports')) as { ports: readonly object[] };
  if (listed.ports.length < ports || listed.ports.length > ports + 2)
    throw new Error(`${cloud.name} lists ${listed.ports.length} ports and not ${ports}`);
}
