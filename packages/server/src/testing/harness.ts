/** What the server's tests share: a whole server on a store in a temporary directory, and requests to it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { silentLogger } from '@cable/kit';
import {
  BUILT_IN_EXTENSIONS,
  BUILT_IN_REGISTRY,
  BUILT_IN_RESOURCES,
  CORE_RESOURCES,
  composeRegistry,
  type ExtensionDeclaration,
  type Registry,
  type ResourceModel,
} from '@cable/model';
import { openStore, type Store } from '@cable/store';
import { checkStore } from '../engine/check.ts';
import type { Settings } from '../engine/context.ts';
import { noauth } from '../http/auth.ts';
import { type CableServer, type ServerOptions, startServer } from '../server.ts';

/** Parsed JSON that tests dig in without ceremony; scalars are read with String() and Number(). */
export type Json = { readonly [key: string]: Json } & readonly Json[];

/** An answer; `body` is undefined when there is none. */
export type Answer = { readonly status: number; readonly body: Json };

export type Send = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

export type Harness = {
  readonly store: Store;
  readonly server: CableServer;
  readonly send: Send;
  /** Sends, checks that it succeeded, and gives the object inside. */
  create(type: string, attributes: object, headers?: Record<string, string>): Promise<Json>;
};

/** A server on a new LMDB store; both go when the test ends, after the invariants were checked. */
export async function startHarness(
  t: TestContext,
  { resources, ...others }: { readonly resources?: readonly ResourceModel[] } & TestServerOptions = {},
): Promise<Harness> {
  const directory = await mkdtemp(join(tmpdir(), `cable-server-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  const server = await startTestServer(store, resources, others);
  t.after(async () => {
    await server.stop();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  return harnessOf(store, server);
}

/** What a test server is started with besides. `quotas`: the default limits; absent: none. */
export type TestServerOptions = Pick<Settings, 'quotas' | 'overlayIpVersion' | 'tenants' | 'segmentRanges' | 'bgpAs'> &
  Pick<ServerOptions, 'random' | 'monotonicMs' | 'now' | 'audit' | 'nova' | 'pluginTimes'>;

/** Another server on a store. The caller stops it. */
export function startTestServer(
  store: Store,
  resources: readonly ResourceModel[] = BUILT_IN_RESOURCES,
  { quotas = {}, tenants = false, overlayIpVersion = 4, segmentRanges, bgpAs, ...others }: TestServerOptions = {},
): Promise<CableServer> {
  const ranges = segmentRanges === undefined ? {} : { segmentRanges };
  const settings = {
    ...{ underlayMtuBytes: 1500, overlayIpVersion, quotas, tenants, ...ranges },
    ...(bgpAs === undefined ? {} : { bgpAs }),
  };
  const registry = { models: resources, extensions: BUILT_IN_REGISTRY.extensions };
  const compose = (added: readonly ExtensionDeclaration[]): Registry =>
    composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, ...added]);
  return startServer({
    ...(resources === BUILT_IN_RESOURCES ? { compose } : {}),
    ...{ store, registry, authenticate: noauth(), settings, log: silentLogger() },
    ...others,
  });
}

export function harnessOf(store: Store, server: CableServer): Harness {
  const send = senderOf(server);
  const create = async (type: string, attributes: object, headers?: Record<string, string>): Promise<Json> => {
    const resource = server.deps.resources.named(type);
    const answer = await send('POST', `${resource.prefix}/${resource.path}`, { [resource.name]: attributes }, headers);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body[resource.name] as Json;
  };
  return { store, server, send, create };
}

export function senderOf(server: CableServer): Send {
  return async (method, path, body, headers = {}) => {
    const answer = await server.app.inject({
      method: method as 'GET',
      url: path,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    });
    return { status: answer.statusCode, body: (answer.body === '' ? undefined : JSON.parse(answer.body)) as Json };
  };
}

/** Checks status and fault name; gives the message. */
export async function refused(answer: Promise<Answer>, status: number, type: string): Promise<string> {
  const { status: actual, body } = await answer;
  assert.equal(`${actual} ${body?.['NeutronError']?.['type']}`, `${status} ${type}`, JSON.stringify(body));
  return String(body['NeutronError']?.['message']);
}

/** Fails unless every invariant holds in the store. */
export async function assertInvariants(server: CableServer): Promise<void> {
  assert.deepEqual((await checkStore(server.deps)).violations, []);
}

/** Keys left in the store below the prefixes of objects and invariants, but for the rules and ranges that every cloud begins with. */
export async function keysLeft(store: Store): Promise<readonly string[]> {
  const objects = await store.list('/cable/o/');
  const invariants = await store.list('/cable/x/');
  const keys = [...objects.kvs, ...invariants.kvs].map((kv) => kv.key);
  return keys.filter((key) => !/\/(default_security_group_rule|default_rule|network_segment_range)\//.test(key));
}

/** Deletes everything through the API, in an order that works. */
export async function deleteEverything({ send }: Pick<Harness, 'send'>): Promise<void> {
  for (const router of (await send('GET', '/v2.0/routers')).body['routers'] ?? []) {
    const ports = await send('GET', `/v2.0/ports?device_id=${router['id']}&device_owner=network:router_interface`);
    await send('PUT', `/v2.0/routers/${router['id']}`, { router: { routes: [] } });
    for (const port of ports.body['ports'] ?? []) {
      await send('PUT', `/v2.0/routers/${router['id']}/remove_router_interface`, { port_id: port['id'] });
    }
  }
  for (const floating of (await send('GET', '/v2.0/floatingips')).body['floatingips'] ?? []) {
    const path = `/v2.0/floatingips/${floating['id']}/port_forwardings`;
    for (const one of (await send('GET', path)).body['port_forwardings'] ?? [])
      await send('DELETE', `${path}/${one['id']}`);
  }
  for (const [plural, path] of [
    ['network_policies', 'network-policies'],
    ['cluster_network_policies', 'cluster-network-policies'],
    ['host_policies', 'host-policies'],
    ['dispatch_rules', 'dispatch-rules'],
    ['kubernetes_namespaces', 'kubernetes-namespaces'],
  ] as const) {
    for (const { id } of (await send('GET', `/cable/v1/${path}`)).body[plural] ?? [])
      await send('DELETE', `/cable/v1/${path}/${id}`);
  }
  for (const cluster of (await send('GET', '/cable/v1/kubernetes-clusters')).body['kubernetes_clusters'] ?? [])
    await send('DELETE', `/cable/v1/kubernetes-clusters/${cluster['name']}`);
  for (const [plural, path] of [
    ['floatingips', 'floatingips'],
    ['routers', 'routers'],
    ['loadbalancers', 'lbaas/loadbalancers'],
    ['pools', 'lbaas/pools'],
    ['trunks', 'trunks'],
    ['ports', 'ports'],
    ['networks', 'networks'],
    ['subnetpools', 'subnetpools'],
    ['address_scopes', 'address-scopes'],
    ['security_groups', 'security-groups'],
    ['address_groups', 'address-groups'],
    ['policies', 'qos/policies'],
    ['flavors', 'flavors'],
    ['service_profiles', 'service_profiles'],
  ] as const) {
    for (const object of (await send('GET', `/v2.0/${path}`)).body[plural] ?? []) {
      const cascade = path.endsWith('loadbalancers') ? '?cascade=true' : '';
      const answer = await send('DELETE', `/v2.0/${path}/${object['id']}${cascade}`);
      assert.equal(answer.status, 204, `${path}: ${JSON.stringify(answer.body)}`);
    }
  }
}
