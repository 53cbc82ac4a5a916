/** What tests of the outside world begin with: an external network, and a project's router between it and networks of its own. */
import assert from 'node:assert/strict';
import type { Harness, Json } from './harness.ts';

/** Headers of the project's requests. */
export const MEMBER = { 'x-project-id': 'p1', 'x-roles': 'member' };

export type Outside = {
  readonly external: Json;
  readonly router: Json;
  /** A network of the project, with a subnet behind the router. */
  inside(cidr: string): Promise<{ readonly network: Json; readonly subnet: Json }>;
  /** A port of the project there. */
  portIn(network: Json, more?: object): Promise<Json>;
};

/** An external network 203.0.113.0/24 on physnet1, and a router with its gateway there. */
export async function outsideWorld({ create, send }: Pick<Harness, 'create' | 'send'>): Promise<Outside> {
  const external = await create('network', {
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'physnet1',
  });
  await create('subnet', {
    network_id: external['id'],
    cidr: '203.0.113.0/24',
    ip_version: 4,
    allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.19' }],
  });
  const router = await create('router', { external_gateway_info: { network_id: external['id'] } }, MEMBER);
  const inside = async (cidr: string): Promise<{ network: Json; subnet: Json }> => {
    const network = await create('network', {}, MEMBER);
    const subnet = await create('subnet', { network_id: network['id'], cidr, ip_version: 4 }, MEMBER);
    const path = `/v2.0/routers/${router['id']}/add_router_interface`;
    const added = await send('PUT', path, { subnet_id: subnet['id'] }, MEMBER);
    assert.equal(added.status, 200, JSON.stringify(added.body));
    return { network, subnet };
  };
  const portIn = (network: Json, more: object = {}): Promise<Json> =>
    create('port', { network_id: network['id'], ...more }, MEMBER);
  return { external, router, inside, portIn };
}
