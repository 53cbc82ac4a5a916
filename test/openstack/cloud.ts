/** Keystone and one of the two servers, which is in the catalog; an external network, as an operator makes it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startCable } from './cable.ts';
import { type Keystone, startKeystone } from './keystone.ts';
import { startStock } from './stock.ts';

export type Kind = 'cable' | 'stock';

export type Cloud = {
  readonly kind: Kind;
  readonly keystone: Keystone;
  /** Of the network service: `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** External, with an IPv4 and an IPv6 subnet. */
  readonly publicNetwork: { readonly id: string; readonly name: string };
  /** One request as the administrator; the path is what follows `/v2.0`. Throws with the answer unless it is 2xx. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  close(): Promise<void>;
};

/** The physical network that both know. */
export const PHYSICAL_NETWORK = 'physnet1';

/** Starts one, with its files below `directory`, which the caller removes. */
export async function startCloud(kind: Kind, directory: string): Promise<Cloud> {
  const home = join(directory, kind);
  mkdirSync(home, { recursive: true });
  const keystone = await startKeystone(home);
  const server = await startServer(kind, home, keystone).catch(async (err: unknown) => {
    await keystone.close();
    throw err;
  });
  const close = async (): Promise<void> => {
    await server.close();
    await keystone.close();
  };
  try {
    await keystone.addEndpoint('network', 'neutron', server.url);
    const token = await keystone.token(keystone.admin, { project: 'admin' });
    const request: Cloud['request'] = (method, path, body) => send(`${server.url}/v2.0${path}`, method, token, body);
    const publicNetwork = await makePublicNetwork(request);
    return { kind, keystone, url: server.url, publicNetwork, request, close };
  } catch (err) {
    await close();
    throw err;
  }
}

function startServer(kind: Kind, home: string, keystone: Keystone): Promise<Pick<Cloud, 'url' | 'close'>> {
  if (kind === 'cable') {
    // Tests of ranges of segments expect the VNIs that Neutron's own test beds have; the VLANs are the stock server's.
    const ranges = ['--vni-range', '1:2000', '--vlan-range', `${PHYSICAL_NETWORK}:1:4000`];
    return startCable(home, keystone, { policyDefaults: 'zed', args: ranges });
  }
  return startStock(home, keystone, { isDurable: false });
}

async function makePublicNetwork(request: Cloud['request']): Promise<Cloud['publicNetwork']> {
  const name = 'public';
  const provider = { 'provider:network_type': 'flat', 'provider:physical_network': 'public' };
  const network = { name, 'router:external': true, is_default: true, ...provider };
  const made = (await request('POST', '/networks', { network })) as { network: { id: string } };
  const { id } = made.network;
  const pools = [{ start: '172.24.4.10', end: '172.24.5.250' }];
  const v4 = { ip_version: 4, cidr: '172.24.4.0/23', gateway_ip: '172.24.4.1', allocation_pools: pools };
  const v6 = { ip_version: 6, cidr: '2001:db8::/64', gateway_ip: '2001:db8::2' };
  for (const subnet of [v4, v6]) {
    await request('POST', '/subnets', { subnet: { network_id: id, enable_dhcp: false, ...subnet } });
  }
  return { id, name };
}

async function send(url: string, method: string, token: string, body?: unknown): Promise<unknown> {
  const headers = { 'x-auth-token': token, 'content-type': 'application/json' };
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(url, { method, headers, signal: AbortSignal.timeout(60_000), ...json });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
