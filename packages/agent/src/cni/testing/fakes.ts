import assert from 'node:assert/strict';
import { ApiError } from '@cable/api';
import type { Netns } from '../../net/netns.ts';
import type { CniDeps } from '../deps.ts';
import { CNI_CODE, CniError } from '../errors.ts';
import type { LocalFacts } from '../local-facts.ts';
import { isDefault, type PodLink, type PodLinks, type PodRoute } from '../pod-link.ts';
import type { ApiQuery, CniApi, NetworkFacts, PortFacts, PortRequest, SubnetFacts } from '../server-api.ts';

export const NETWORK_ID = '11111111-0000-4000-8000-000000000001';
export const SUBNET_ID = '22222222-0000-4000-8000-000000000001';
export const GROUP_ID = '33333333-0000-4000-8000-000000000001';
export const DEFAULT_ID = '33333333-0000-4000-8000-000000000002';
export const OTHER_DEFAULT_ID = '33333333-0000-4000-8000-000000000003';

/** To be added to the subnets of `blue`. */
export const SUBNET6: SubnetFacts = {
  id: '22222222-0000-4000-8000-000000000006',
  cidr: '2001:db8::/64',
  gateway_ip: '2001:db8::1',
  dns_nameservers: [],
  host_routes: [],
};

type Stored = PortFacts & PortRequest;

/** A server with one network `blue` (10.0.0.0/24), its subnet and a security group `web`. Its ports have an address also in each IPv6 subnet that is added. */
export type FakeServer = {
  readonly api: CniApi;
  readonly ports: Map<string, Stored>;
  readonly networks: NetworkFacts[];
  readonly subnets: (SubnetFacts & { readonly network_id: string })[];
  /** Set: every call fails as if there were no server. */
  down: boolean;
  /** Set: creating a port is refused so. */
  refusal: string;
  /** What happens when a port is asked for. */
  beforeCreate: () => void;
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
  const groups = [
    { id: GROUP_ID, name: 'web', project_id: 'tenant' },
    { id: OTHER_DEFAULT_ID, name: 'default', project_id: 'other' },
    { id: DEFAULT_ID, name: 'default', project_id: 'tenant' },
  ];
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
    beforeCreate: () => undefined,
    api: {
      networks: (query) => ask(networks, query),
      subnets: (query) => ask(subnets, query),
      securityGroups: (query) => ask(groups, query),
      ports: (query) => ask(ports.values(), query),
      createPort: async (body) => {
        server.beforeCreate();
        await ask([], {});
        if (server.refusal !== '') throw new ApiError(409, 'IpAddressGenerationFailure', server.refusal, '');
        const port = storedPort(body, ports.size, subnets);
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

function storedPort(body: PortRequest, index: number, subnets: readonly SubnetFacts[]): Stored {
  const last = 5 + index;
  return {
    ...body,
    id: `aaaaa${(0xaa0 + index).toString(16)}-bbbb-4ccc-8ddd-000000000000`,
    mac_address: body.mac_address ?? `fa:16:3e:00:00:${last.toString(16).padStart(2, '0')}`,
    fixed_ips: [
      { subnet_id: SUBNET_ID, ip_address: body.fixed_ips?.[0]?.ip_address ?? `10.0.0.${last}` },
      ...subnets
        .filter(({ cidr }) => cidr.includes(':'))
        .map(({ id, cidr }) => ({ subnet_id: id, ip_address: `${cidr.split('/')[0]}${last}` })),
    ],
  };
}

const FIRST_IFINDEX = 7;

/** Links as a map from host name; namespaces are those in `namespaces`. */
export type FakeLinks = PodLinks & {
  readonly plugged: Map<string, PodLink & { readonly netns: string; readonly ifindex: number }>;
  readonly namespaces: Set<string>;
  /** Namespaces that are held open now. */
  readonly opened: Set<Netns>;
};

export function fakeLinks(): FakeLinks {
  let made = 0;
  const plugged: FakeLinks['plugged'] = new Map();
  const namespaces = new Set(['/run/netns/pod']);
  const opened = new Set<Netns>();
  return {
    plugged,
    namespaces,
    opened,
    open: (path) => {
      if (!namespaces.has(path)) throw new CniError(CNI_CODE.unknownContainer, `no namespace ${path}`, '');
      const netns: Netns = { fd: -1, path, id: `net:[${path}]`, close: () => assert.ok(opened.delete(netns)) };
      opened.add(netns);
      return netns;
    },
    plug: async (netns, link) => {
      assert.ok(opened.has(netns), 'the namespace is held from the beginning');
      const ifindex = FIRST_IFINDEX + made++;
      plugged.set(link.hostName, { ...link, netns: netns.path, ifindex });
      return { device: { portId: link.owner.portId, ifindex, name: link.hostName }, routes: link.routes };
    },
    unplug: async (links) => {
      const going = new Set([...links].map(({ ifindex }) => ifindex));
      for (const [hostName, { ifindex }] of plugged) if (going.has(ifindex)) plugged.delete(hostName);
    },
    inspect: (netns, hostName) => {
      assert.ok(opened.has(netns));
      const link = plugged.get(hostName);
      return link === undefined ? `${hostName} is not on the host` : { ...link, hostUp: true, up: true };
    },
    follow: (netns, hostName, name, ways) => {
      assert.ok(opened.has(netns));
      const link = plugged.get(hostName);
      if (link === undefined || link.name !== name) return `${hostName} is not on the host`;
      const { own, other, beside } = ways.defaults;
      const second = plugged.get(beside.hostName);
      const [mine, theirs] = [link, second].map(
        (one) => one?.routes.filter((route) => isDefault(route.destination)) ?? [],
      );
      const has = (routes: readonly PodRoute[] | undefined) => (route: PodRoute) =>
        routes?.some(({ destination }) => destination === route.destination) === true;
      const [come, gone] = [own.filter(has(theirs)), other.filter(has(mine))];
      const stay = mine?.filter((one) => !has(gone)(one)) ?? [];
      plugged.set(hostName, { ...link, routes: [...ways.routes, ...stay, ...come] });
      if (second !== undefined)
        plugged.set(beside.hostName, {
          ...second,
          routes: [...second.routes.filter((one) => !has(come)(one)), ...gone],
        });
      return undefined;
    },
    held: () => [...plugged.values()],
    sweep: async () => undefined,
  };
}

/** A host that has been sent nothing yet. */
export const NO_FACTS: LocalFacts = {
  synced: () => false,
  network: () => undefined,
  port: () => undefined,
  portsByDeviceId: () => [],
  ways: () => ({ prefixes: [], services: [], leadsOut: [] }),
  watch: () => () => undefined,
  unready: () => null,
};

/** Whoever wants host ports has them. */
export const ANY_HOST_PORTS: CniDeps['hostPorts'] = {
  reserve: () => undefined,
  inForce: async () => undefined,
  release: () => undefined,
  prune: () => undefined,
  check: () => undefined,
};
