/** Neutron's address scopes through the API of a server, and what they rule out on networks and routers. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };

type Headers = Record<string, string>;

/** Requests of a test, in few words. */
function tools({ create, send }: Harness) {
  let pools = 0;
  return {
    scope: (attributes: object = {}, headers?: Headers) =>
      create('address_scope', { ip_version: 4, ...attributes }, headers),
    /** A pool with a /16 of its own. */
    pool: (attributes: object = {}, headers?: Headers) => {
      pools += 1;
      const own = { name: `pool ${pools}`, prefixes: [`10.${pools}.0.0/16`], default_prefixlen: 24 };
      return create('subnetpool', { ...own, ...attributes }, headers);
    },
    subnet: async (pool: Json | null, attributes: object = {}) => {
      const network = await create('network', {});
      const from = pool === null ? {} : { subnetpool_id: pool['id'] };
      return create('subnet', { network_id: network['id'], ...from, ...attributes });
    },
    post: (type: string, path: string, attributes: object, headers: Headers = {}) =>
      send('POST', `/v2.0/${path}`, { [type]: attributes }, headers),
    put: (type: string, path: string, { id }: Json, attributes: object, headers: Headers = {}) =>
      send('PUT', `/v2.0/${path}/${id}`, { [type]: attributes }, headers),
    attach: (router: Json, subnet: Json): Promise<Answer> =>
      send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] }),
    detach: (router: Json, subnet: Json): Promise<Answer> =>
      send('PUT', `/v2.0/routers/${router['id']}/remove_router_interface`, { subnet_id: subnet['id'] }),
  };
}

test('a scope is made, renamed, shared for good, and goes when no pool is in it', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, put, post } = tools(harness);
  const one = await scope({ name: 'a' }, MEMBER);
  assert.deepEqual([one['name'], one['ip_version'], one['shared'], one['project_id']], ['a', 4, false, 'p']);
  assert.equal((await put('address_scope', 'address-scopes', one, { name: 'b' }, MEMBER)).status, 200);
  await refused(put('address_scope', 'address-scopes', one, { shared: true }, MEMBER), 403, 'PolicyNotAuthorized');
  await refused(put('address_scope', 'address-scopes', one, { ip_version: 6 }), 400, 'HTTPBadRequest');
  assert.equal((await put('address_scope', 'address-scopes', one, { shared: true })).status, 200);
  await refused(put('address_scope', 'address-scopes', one, { shared: false }), 400, 'AddressScopeUpdateError');
  for (const [attributes, status, type] of [
    [{}, 400, 'HTTPBadRequest'],
    [{ ip_version: 5 }, 400, 'HTTPBadRequest'],
    [{ ip_version: 4, name: 'x'.repeat(256) }, 400, 'HTTPBadRequest'],
    [{ ip_version: 4, id: randomUUID() }, 400, 'HTTPBadRequest'],
  ] as const) {
    await refused(post('address_scope', 'address-scopes', attributes), status, type);
  }
  await refused(
    post('address_scope', 'address-scopes', { ip_version: 4, shared: true }, MEMBER),
    403,
    'PolicyNotAuthorized',
  );
  const used = await pool({ address_scope_id: one['id'] });
  await refused(harness.send('DELETE', `/v2.0/address-scopes/${one['id']}`), 409, 'AddressScopeInUse');
  assert.equal((await harness.send('DELETE', `/v2.0/subnetpools/${used['id']}`)).status, 204);
  assert.equal((await harness.send('DELETE', `/v2.0/address-scopes/${one['id']}`)).status, 204);
});

test('pools of a scope have its version of IP, and no address twice', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, post, put } = tools(harness);
  const [one, two] = [await scope(), await scope()];
  const first = await pool({ address_scope_id: one['id'] });
  const six = { name: 'six', prefixes: ['fd00::/48'], address_scope_id: one['id'] };
  const version = 'IllegalSubnetPoolIpVersionAssociationToAddressScope';
  await refused(post('subnetpool', 'subnetpools', six), 400, version);
  const overlapping = { name: 'x', prefixes: ['10.1.2.0/24'] };
  const inScope = { ...overlapping, address_scope_id: one['id'] };
  await refused(post('subnetpool', 'subnetpools', inScope), 409, 'AddressScopePrefixConflict');
  await refused(
    post('subnetpool', 'subnetpools', { ...six, address_scope_id: randomUUID() }),
    404,
    'AddressScopeNotFound',
  );
  const other = await harness.create('subnetpool', { ...overlapping, address_scope_id: two['id'] });
  const move = { address_scope_id: one['id'] };
  await refused(put('subnetpool', 'subnetpools', other, move), 409, 'AddressScopePrefixConflict');
  const added = harness.send('PUT', `/v2.0/subnetpools/${first['id']}/add_prefixes`, { prefixes: ['10.99.0.0/16'] });
  assert.equal((await added).status, 200);
  const third = await pool({ prefixes: ['10.98.0.0/16'], address_scope_id: one['id'] });
  const path = `/v2.0/subnetpools/${third['id']}/add_prefixes`;
  await refused(harness.send('PUT', path, { prefixes: ['10.99.7.0/24'] }), 409, 'AddressScopePrefixConflict');
  assert.equal((await put('subnetpool', 'subnetpools', first, { address_scope_id: null })).status, 200);
  assert.equal((await put('subnetpool', 'subnetpools', other, move)).status, 200);
  await assertInvariants(harness.server);
});

test('another project has its pools in a shared scope alone, and then leaves them as they are', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, post, put } = tools(harness);
  const [hidden, shared] = [await scope(), await scope({ shared: true })];
  const wish = { name: 'x', prefixes: ['10.77.0.0/16'], address_scope_id: hidden['id'] };
  await refused(post('subnetpool', 'subnetpools', wish, MEMBER), 404, 'AddressScopeNotFound');
  const own = await pool({ address_scope_id: shared['id'] }, MEMBER);
  const rename = { name: 'mine' };
  await refused(put('subnetpool', 'subnetpools', own, rename, MEMBER), 400, 'IllegalSubnetPoolUpdate');
  assert.equal((await put('subnetpool', 'subnetpools', own, rename)).status, 200);
});

test('the subnets of a network are of one scope, which it shows', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, subnet, post, put } = tools(harness);
  const [one, two] = [await scope(), await scope()];
  const [a, b] = [await pool({ address_scope_id: one['id'] }), await pool({ address_scope_id: one['id'] })];
  const [c, free] = [await pool({ address_scope_id: two['id'] }), await pool()];
  const first = await subnet(a);
  const network = first['network_id'];
  const into = (from: object): Promise<Answer> =>
    post('subnet', 'subnets', { network_id: network, ip_version: 4, ...from });
  assert.equal((await into({ subnetpool_id: b['id'] })).status, 201);
  await refused(into({ subnetpool_id: c['id'] }), 400, 'NetworkAddressScopeAffinityError');
  await refused(into({ subnetpool_id: free['id'] }), 400, 'NetworkAddressScopeAffinityError');
  await refused(into({ cidr: '10.200.0.0/24' }), 400, 'NetworkSubnetPoolAffinityError');
  const shown = async (): Promise<Json> =>
    (await harness.send('GET', `/v2.0/networks/${network}`)).body['network'] as Json;
  assert.deepEqual([(await shown())['ipv4_address_scope'], (await shown())['ipv6_address_scope']], [one['id'], null]);
  const move = put('subnetpool', 'subnetpools', a, { address_scope_id: two['id'] });
  await refused(move, 400, 'NetworkAddressScopeAffinityError');
  const alone = await subnet(free);
  assert.equal((await put('subnetpool', 'subnetpools', free, { address_scope_id: two['id'] })).status, 200);
  const moved = await harness.send('GET', `/v2.0/networks/${alone['network_id']}`);
  assert.equal(moved.body['network']?.['ipv4_address_scope'], two['id']);
  await assertInvariants(harness.server);
});

test('a router routes within one scope, and a pool keeps its scope while a router is in its subnets', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, subnet, attach, detach, put } = tools(harness);
  const [one, two] = [await scope(), await scope()];
  const [a, b] = [await pool({ address_scope_id: one['id'] }), await pool({ address_scope_id: one['id'] })];
  const c = await pool({ address_scope_id: two['id'] });
  const [first, second, other] = [await subnet(a), await subnet(b), await subnet(c)];
  const plain = await subnet(null, { cidr: '192.168.0.0/24', ip_version: 4 });
  const router = await harness.create('router', {});
  assert.equal((await attach(router, first)).status, 200);
  assert.equal((await attach(router, second)).status, 200);
  for (const wrong of [other, plain]) {
    assert.match(await refused(attach(router, wrong), 400, 'BadRequest'), /a router routes within one address scope/);
  }
  const move = { address_scope_id: two['id'] };
  await refused(put('subnetpool', 'subnetpools', a, move), 400, 'IllegalSubnetPoolUpdate');
  await refused(put('subnetpool', 'subnetpools', a, { address_scope_id: null }), 400, 'IllegalSubnetPoolUpdate');
  assert.equal((await detach(router, first)).status, 200);
  assert.equal((await put('subnetpool', 'subnetpools', a, move)).status, 200);
  await refused(attach(router, first), 400, 'BadRequest');
  assert.equal((await detach(router, second)).status, 200);
  for (const next of [first, other]) assert.equal((await attach(router, next)).status, 200);
  await assertInvariants(harness.server);
});

test('subnets under a router become those of a pool of their scope alone', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, subnet, attach, put } = tools(harness);
  const one = await scope();
  const [inScope, free] = [await pool({ address_scope_id: one['id'] }), await pool()];
  const plain = await subnet(null, { cidr: '192.168.0.0/24', ip_version: 4 });
  const router = await harness.create('router', {});
  assert.equal((await attach(router, plain)).status, 200);
  const onboard = (to: Json): Promise<Answer> =>
    harness.send('PUT', `/v2.0/subnetpools/${to['id']}/onboard_network_subnets`, { network_id: plain['network_id'] });
  await refused(onboard(inScope), 400, 'IllegalSubnetPoolUpdate');
  assert.equal((await onboard(free)).status, 200);
  await assertInvariants(harness.server);
  await refused(
    put('subnetpool', 'subnetpools', free, { address_scope_id: one['id'] }),
    400,
    'IllegalSubnetPoolUpdate',
  );
});

test('a gateway without translation leads within its scope alone', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, subnet, attach, put } = tools(harness);
  const one = await scope();
  const inside = await subnet(await pool({ address_scope_id: one['id'] }));
  const outside = async (from: object): Promise<Json> => {
    const network = await harness.create('network', { 'router:external': true });
    await harness.create('subnet', { network_id: network['id'], ip_version: 4, ...from });
    return network;
  };
  const plain = await outside({ cidr: '203.0.113.0/24' });
  const scoped = await outside({ subnetpool_id: (await pool({ address_scope_id: one['id'] }))['id'] });
  const router = await harness.create('router', {});
  assert.equal((await attach(router, inside)).status, 200);
  const lead = (network: Json, enable_snat: boolean): Promise<Answer> =>
    put('router', 'routers', router, { external_gateway_info: { network_id: network['id'], enable_snat } });
  assert.match(await refused(lead(plain, false), 400, 'BadRequest'), /without enable_snat/);
  assert.equal((await lead(plain, true)).status, 200);
  await refused(lead(plain, false), 400, 'BadRequest');
  assert.equal((await lead(scoped, true)).status, 200);
  assert.equal((await lead(scoped, false)).status, 200);
  const other = await harness.create('router', {
    external_gateway_info: { network_id: plain['id'], enable_snat: false },
  });
  const next = await subnet(await pool({ address_scope_id: one['id'] }));
  await refused(attach(other, next), 400, 'BadRequest');
  await assertInvariants(harness.server);
});

test('scopes and pools are shared with one project by policies, which stay while it uses them', async (t) => {
  const harness = await startHarness(t);
  const { scope, pool, post } = tools(harness);
  const one = await scope();
  const own = await pool({ address_scope_id: one['id'] });
  const share = (object_type: string, object: Json): Promise<Answer> =>
    post('rbac_policy', 'rbac-policies', {
      ...{ object_type, object_id: object['id'], action: 'access_as_shared', target_tenant: 'p' },
    });
  const drop = ({ body }: Answer): Promise<Answer> =>
    harness.send('DELETE', `/v2.0/rbac-policies/${body['rbac_policy']?.['id']}`);
  await refused(share('subnetpool', own), 400, 'RbacPolicyInitError');
  const ofScope = await share('address_scope', one);
  const ofPool = await share('subnetpool', own);
  assert.deepEqual([ofScope.status, ofPool.status], [201, 201]);
  const network = await harness.create('network', {}, MEMBER);
  const taken = { network_id: network['id'], subnetpool_id: own['id'] };
  const subnet = await harness.create('subnet', taken, MEMBER);
  const theirs = await pool({ address_scope_id: one['id'] }, MEMBER);
  await refused(drop(ofPool), 409, 'RbacPolicyInUse');
  await refused(drop(ofScope), 409, 'RbacPolicyInUse');
  assert.equal((await harness.send('DELETE', `/v2.0/subnets/${subnet['id']}`)).status, 204);
  assert.equal((await harness.send('DELETE', `/v2.0/subnetpools/${theirs['id']}`)).status, 204);
  for (const policy of [ofPool, ofScope]) assert.equal((await drop(policy)).status, 204);
  await refused(post('subnet', 'subnets', taken, MEMBER), 404, 'SubnetPoolNotFound');
  await assertInvariants(harness.server);
});
