/** What an area of the session left in a cloud goes before the next begins. */

/** One request as the administrator; what follows `/v2.0`. Resolves with the body, or undefined where the answer is no success. */
export type Ask = (method: string, path: string, body?: unknown) => Promise<Record<string, unknown> | undefined>;

/** In an order in which nothing is in use any more. */
const COLLECTIONS: readonly (readonly [path: string, key: string])[] = [
  ['trunks', 'trunks'],
  ['log/logs', 'logs'],
  ['floatingips', 'floatingips'],
  ['routers', 'routers'],
  ['ports', 'ports'],
  ['networks', 'networks'],
  ['subnetpools', 'subnetpools'],
  ['address-scopes', 'address_scopes'],
  ['security-groups', 'security_groups'],
  ['address-groups', 'address_groups'],
  ['qos/policies', 'policies'],
  ['rbac-policies', 'rbac_policies'],
  ['flavors', 'flavors'],
  ['service_profiles', 'service_profiles'],
  ['network_segment_ranges', 'network_segment_ranges'],
  ['quotas', 'quotas'],
];

/** Deletes whatever can be deleted. */
export async function sweep(ask: Ask): Promise<void> {
  for (const [path, key] of COLLECTIONS) {
    for (const item of await list(ask, path, key)) {
      if (key === 'routers') await detach(ask, String(item['id']));
      await ask('DELETE', `/${path}/${item['id'] ?? item['project_id']}`);
    }
  }
}

async function detach(ask: Ask, router: string): Promise<void> {
  await ask('PUT', `/routers/${router}`, { router: { routes: [], external_gateway_info: null } });
  for (const port of await list(ask, `ports?device_id=${router}`, 'ports'))
    await ask('PUT', `/routers/${router}/remove_router_interface`, { port_id: port['id'] });
}

async function list(ask: Ask, path: string, key: string): Promise<readonly Record<string, unknown>[]> {
  const body = await ask('GET', `/${path}`);
  return (body?.[key] ?? []) as readonly Record<string, unknown>[];
}
