/** A server that is measured, with what is in it: a network, hosts, and ports that stand. */
import type { Clients } from '../control/clients.ts';
import type { Request } from '../control/http-connection.ts';
import type { JobResult } from '../control/job.ts';

/** Hosts that ports are bound to in turn. */
export const HOSTS: readonly [string, string] = ['host-a', 'host-b'];

/** Both are asked in the same way; only many ports at once come by another way each. */
export type Cloud = {
  readonly name: 'cable' | 'neutron';
  readonly host: string;
  readonly port: number;
  /** Of an administrator in a project. */
  readonly token: string;
  readonly networkId: string;
  /** Makes so many ports that are bound nowhere, numbered from `from`; gives their ids. */
  fill(count: number, from: number): Promise<readonly string[]>;
};

/** Where a server is, and whom it is asked as. */
export type Place = Pick<Cloud, 'host' | 'port' | 'token'>;

/** The place of a server's URL. */
export function placeOf(url: string, token: string): Place {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port), token };
}

/** One request of the benchmark itself, not measured. Throws for an error. */
export async function call(place: Place, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`http://${place.host}:${place.port}${path}`, {
    method,
    headers: { 'content-type': 'application/json', 'x-auth-token': place.token },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** Makes an object; gives its id. */
export async function create(place: Place, path: string, body: object): Promise<string> {
  const answer = (await call(place, 'POST', path, body)) as Readonly<Record<string, { readonly id: string }>>;
  return Object.values(answer)[0]?.id ?? '';
}

/** Makes the network that all ports are in, with as many as are wanted; gives its id. */
export async function createNetwork(place: Place): Promise<string> {
  const { networks } = (await call(place, 'GET', '/v2.0/networks?fields=project_id')) as {
    networks: readonly { project_id: string }[];
  };
  if (networks.length > 0) throw new Error('there is a network already');
  const networkId = await create(place, '/v2.0/networks', { network: { name: 'bench' } });
  await create(place, '/v2.0/subnets', { subnet: { network_id: networkId, ip_version: 4, cidr: '10.0.0.0/8' } });
  const { network } = (await call(place, 'GET', `/v2.0/networks/${networkId}`)) as {
    network: { project_id: string };
  };
  await call(place, 'PUT', `/v2.0/quotas/${network.project_id}`, { quota: { port: -1 } });
  return networkId;
}

/** How requests are sent. `isOnce`: each once; else again from the first until the time is over. */
export type Sending = { readonly clients: number; readonly seconds: number; readonly isOnce?: boolean };

/** Sends requests to the server. Throws when one is refused. */
export async function sendAll(
  by: Clients,
  cloud: Cloud,
  requests: readonly Omit<Request, 'token'>[],
  { clients, seconds, isOnce = false }: Sending,
): Promise<JobResult> {
  const { host, port, token } = cloud;
  const all = requests.map((request) => ({ ...request, token }));
  const target = { kind: 'server', host, port, requests: all, isOnce } as const;
  const result = await by.run({ target, clients, seconds, everyMs: 0, pids: [] });
  if (result.refusal !== '') throw new Error(`${cloud.name} refused a request of the benchmark: ${result.refusal}`);
  return result;
}
