import assert from 'node:assert/strict';
import { ApiError } from '@cable/api';
import { CNI_CODE, CniError } from '../errors.ts';
import type { PodLink, PodLinks } from '../pod-link.ts';
import type { ApiQuery, CniApi, NetworkFacts, PortFacts, PortRequest, SubnetFacts } from '../server-api.ts';

export const NETWORK_ID = '11111111-0000-4000-8000-000000000001';
export const SUBNET_ID = '22222222-0000-4000-8000-000000000001';
export const GROUP_ID = '33333333-0000-4000-8000-000000000001';

type Stored = PortFacts & PortRequest;

/** A server with one network `blue` (10.0.0.0/24), its subnet and a security group `web`. */
export type FakeServer = {
  readonly api: CniApi;
  readonly ports: Map<string, Stored>;
  readonly networks: NetworkFacts[];
  readonly subnets: (SubnetFacts & { readonly network_id: string })[];
  /** Set: every call fails as if there were no server. */
  down: boolean;
  /** Set: creating a port is refused so. */
  refusal: string;
};

export function fakeServer(): FakeServer {
  const ports = new Map<string, Stored>();
  const networks: (NetworkFacts & { readonly name: string })[] = [
    { id: NETWORK_ID, name: 'blue', project_id: 'tenant', mtu: 1450 },
  ];
  const subnets = [
    {
      id: SUBNET_ID,
      name: 'blue-v4',
      network_id: NETWORK_ID,
      cidr: '10.0.0.0/24',
      gateway_ip: '10.0.0.1',
      dns_nameservers: ['10.0.0.53'],
      host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }],
    },
  ];
  const groups = [{ id: GROUP_ID, name: 'web', project_id: 'tenant' }];
  const ask = <T>(all: Iterable<T>, query: ApiQuery): Promise<readonly T[]> => {
    if (server.down) return Promise.reject(new Error('connect ECONNREFUSED'));
    return Promise.resolve([...all].filter((one) => matches(one as object, query)));
  };
  const server: FakeServer = {
    ports,
    networks,
    subnets,
    down: false,
    refusal: '',
    api: {
      networks: (query) => ask(networks, query),
      subnets: (query) => ask(subnets, query),
      securityGroups: (query) => ask(groups, query),
      ports: (query) => ask(ports.values(), query),
      createPort: async (body) => {
        await ask([], {});
        if (server.refusal !== '') throw new ApiError(409, 'IpAddressGenerationFailure', server.refusal, '');
        const port = storedPort(body, ports.size);
        ports.set(port.id, port);
        return port;
      },
      deletePort: async (id) => {
        await ask([], {});
        ports.delete(id);
      },
    },
  };
  return server;
}

function matches(one: object, query: ApiQuery): boolean {
  const { limit: _limit, fields: _fields, ...filters } = query;
  return Object.entries(filters).every(([name, value]) => (one as Record<string, unknown>)[name] === value);
}

function storedPort(body: PortRequest, index: number): Stored {
  const last = 5 + index;
  return {
    ...body,
    id: `aaaaaaa${index}-bbbb-4ccc-8ddd-000000000000`,
    mac_address: body.mac_address ?? `fa:16:3e:00:00:0${last}`,
    fixed_ips: [{ subnet_id: SUBNET_ID, ip_address: body.fixed_ips?.[0]?.ip_address ?? `10.0.0.${last}` }],
  };
}

/** Links as a map from host name; namespaces are those in `namespaces`. */
export type FakeLinks = PodLinks & {
  readonly plugged: Map<string, PodLink>;
  readonly prepared: Set<string>;
  readonly namespaces: Set<string>;
};

export function fakeLinks(): FakeLinks {
  const plugged = new Map<string, PodLink>();
  const prepared = new Set<string>();
  const namespaces = new Set(['/run/netns/pod']);
  const enter = (netns: string): void => {
    if (!namespaces.has(netns)) throw new CniError(CNI_CODE.unknownContainer, `no namespace ${netns}`, '');
  };
  return {
    plugged,
    prepared,
    namespaces,
    prepare: (netns, name) => {
      enter(netns);
      if ([...plugged.values()].some((link) => link.netns === netns && link.name === name)) return undefined;
      const hostName = `cn-${prepared.size}`;
      prepared.add(hostName);
      return { hostName, ifindex: 7 };
    },
    plug: (link, ready) => {
      enter(link.netns);
      if (ready !== undefined) assert.ok(prepared.delete(ready.hostName));
      plugged.set(link.hostName, link);
    },
    unplug: (hostName) => {
      prepared.delete(hostName);
      plugged.delete(hostName);
    },
    inspect: (hostName, netns) => {
      enter(netns);
      const link = plugged.get(hostName);
      return link === undefined ? `${hostName} is not on the host` : { ...link, hostUp: true, up: true };
    },
  };
}
