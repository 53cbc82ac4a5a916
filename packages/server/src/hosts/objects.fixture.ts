/** What tests of the hosts share: a store in a temporary directory, objects, and how they are written. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@cable/kit';
import { type AnyObject, BUILT_IN_RESOURCES, type Network, type Port, type Router, type Subnet } from '@cable/model';
import { openStore, type Store } from '@cable/store';
import { objectKey } from '../keys.ts';
import { parseObject } from '../rows.ts';

/** A store in a directory of its own; `reopen` is what a restarted server does. */
export async function openTemporaryStore(): Promise<{
  store: Store;
  reopen(): Promise<Store>;
  remove(): Promise<void>;
}> {
  const directory = await mkdtemp(join(tmpdir(), `cable-plane-${process.pid}-`));
  const open = (): Promise<Store> => openStore(`lmdb:${directory}`, { log: silentLogger() });
  const opened = { store: await open() };
  return {
    get store() {
      return opened.store;
    },
    reopen: async () => {
      await opened.store.close();
      opened.store = await open();
      return opened.store;
    },
    remove: async () => {
      await opened.store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Fails when the promise takes longer than a test may. */
export async function within<T>(promise: Promise<T>, what: string, ms = 5000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: waited ${ms} ms in vain`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function uuid(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
}

const STANDARD = {
  project_id: 'p',
  description: '',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  revision_number: 0,
};

/** The object as the store has it: attributes not given have their declared defaults, so that a new one changes nothing here. */
function stored<T extends AnyObject>(type: string, given: Partial<T>): T {
  const resource = BUILT_IN_RESOURCES.find(({ name }) => name === type);
  const object = resource === undefined ? undefined : parseObject(resource, JSON.stringify(given));
  if (object === undefined) throw new Error(`not a ${type}`);
  return object as T;
}

export function testNetwork(n: number, more: Partial<Network> = {}): Network {
  return stored<Network>('network', {
    id: uuid(n),
    name: `net${n}`,
    admin_state_up: true,
    status: 'ACTIVE',
    shared: false,
    mtu: 1450,
    port_security_enabled: true,
    'provider:network_type': 'vxlan',
    'provider:physical_network': null,
    'provider:segmentation_id': n,
    ...STANDARD,
    ...more,
  });
}

export function testPort(n: number, network: Network, host: string, more: Partial<Port> = {}): Port {
  return stored<Port>('port', {
    id: uuid(n),
    name: `port${n}`,
    network_id: network.id,
    admin_state_up: true,
    mac_address: `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
    fixed_ips: [{ subnet_id: uuid(99), ip_address: `10.0.${n >> 8}.${n & 255}` }],
    device_id: '',
    device_owner: 'compute:nova',
    status: 'DOWN',
    security_groups: [],
    allowed_address_pairs: [],
    port_security_enabled: true,
    'binding:host_id': host,
    'binding:vnic_type': 'normal',
    'binding:profile': {},
    'cable:hostname': null,
    'cable:user_data': null,
    ...STANDARD,
    ...more,
  });
}

export function testSubnet(network: Network): Subnet {
  return stored<Subnet>('subnet', {
    id: `${network.id.slice(0, 4)}5${network.id.slice(5)}`,
    name: '',
    network_id: network.id,
    ip_version: 4,
    cidr: '10.0.0.0/16',
    gateway_ip: '10.0.0.1',
    allocation_pools: [],
    enable_dhcp: true,
    dns_nameservers: [],
    host_routes: [],
    ...STANDARD,
  });
}

export function testRouter(n: number): Router {
  return stored<Router>('router', {
    id: uuid(n),
    name: '',
    admin_state_up: true,
    status: 'ACTIVE',
    routes: [],
    ...STANDARD,
  });
}

/** Writes an object as the API would; gives the revision. */
export async function putObject(
  store: Store,
  type: string,
  object: { readonly id: string; readonly [attribute: string]: unknown },
): Promise<number> {
  const result = await store.txn([], [{ kind: 'put', key: objectKey(type, object.id), value: JSON.stringify(object) }]);
  return result.revision;
}

export async function deleteObject(store: Store, type: string, id: string): Promise<number> {
  return (await store.txn([], [{ kind: 'delete', key: objectKey(type, id) }])).revision;
}

/** Changes some attributes of a stored object, as the API would. */
export async function patchObject(store: Store, type: string, id: string, more: object): Promise<void> {
  for (;;) {
    const kv = await store.get(objectKey(type, id));
    if (kv === undefined) throw new Error(`no ${type} ${id}`);
    const value = JSON.stringify({ ...JSON.parse(kv.value), ...more });
    const compare = { kind: 'modRevision', key: kv.key, revision: kv.modRevision } as const;
    if ((await store.txn([compare], [{ kind: 'put', key: kv.key, value }])).ok) return;
  }
}
