/** Neutron's network IP availability through the API of a server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type Json, refused, startHarness } from '../testing/harness.ts';

const PATH = '/v2.0/network-ip-availabilities';
const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };

test('a network shows how many addresses there are and how many are taken, whatever their number', async (t) => {
  const { create, server } = await startHarness(t);
  const network = await create('network', { name: 'blue', project_id: 'p' });
  const id = String(network['id']);
  const ipv4 = await create('subnet', { network_id: id, name: 'four', cidr: '10.0.0.0/24', ip_version: 4 });
  const ipv6 = await create('subnet', { network_id: id, cidr: 'fd00::/64', ip_version: 6 });
  await create('port', { network_id: id });
  await create('port', { network_id: id, fixed_ips: [{ subnet_id: ipv4['id'] }] });
  const raw = (await server.app.inject({ method: 'GET', url: `${PATH}/${id}` })).body;
  assert.ok(raw.includes('"total_ips":18446744073709551867,'), raw);
  assert.ok(raw.includes('"total_ips":18446744073709551614,"ip_availability_details"'), raw);
  assert.ok(raw.includes('{"total_ips_in_subnet":18446744073709551616,'), raw);
  assert.ok(raw.includes('{"total_ips_in_subnet":18446744073709551870,'), raw);
  const shown = (JSON.parse(raw) as Json)['network_ip_availability'];
  assert.deepEqual(
    [shown?.['network_id'], shown?.['network_name'], shown?.['tenant_id'], shown?.['project_id'], shown?.['used_ips']],
    [id, 'blue', 'p', 'p', 3],
  );
  assert.equal(shown?.['ip_version'], undefined);
  const subnets: readonly Json[] = shown?.['subnet_ip_availability'] ?? [];
  const [four, six] = subnets.toSorted((one, other) => Number(one['ip_version']) - Number(other['ip_version']));
  assert.deepEqual(four, {
    ...{ subnet_id: ipv4['id'], subnet_name: 'four', cidr: '10.0.0.0/24', ip_version: 4, total_ips: 253, used_ips: 2 },
    ip_availability_details: {
      ...{ total_ips_in_subnet: 254, total_ips_in_allocation_pool: 253 },
      ...{ used_ips_in_subnet: 2, used_ips_in_allocation_pool: 2 },
    },
  });
  assert.deepEqual([six?.['subnet_id'], six?.['used_ips']], [ipv6['id'], 1]);
});

test('lists are filtered by network, name, project and version of IP, which is what is counted then', async (t) => {
  const { create, send } = await startHarness(t);
  const [a, b, none] = [
    await create('network', { name: 'a', project_id: 'p' }),
    await create('network', { name: 'b' }),
    await create('network', { name: 'none' }),
  ];
  await create('subnet', { network_id: a['id'], cidr: '10.0.0.0/30', ip_version: 4 });
  await create('subnet', { network_id: a['id'], cidr: 'fd00::/126', ip_version: 6 });
  await create('subnet', { network_id: b['id'], cidr: 'fd00::/126', ip_version: 6, gateway_ip: null });
  const list = async (query: string): Promise<unknown> =>
    ((await send('GET', `${PATH}?${query}`)).body['network_ip_availabilities'] ?? [])
      .map((one) => `${one['network_name']}:${one['total_ips']}`)
      .sort();
  assert.deepEqual(await list(''), ['a:3', 'b:3', 'none:0']);
  assert.deepEqual(await list('ip_version=4'), ['a:1']);
  assert.deepEqual(await list('ip_version=6'), ['a:2', 'b:3']);
  assert.deepEqual(await list('ip_version=4&ip_version=6'), ['a:3', 'b:3']);
  assert.deepEqual(await list('network_name=b'), ['b:3']);
  assert.deepEqual(await list('tenant_id=p'), ['a:3']);
  assert.deepEqual(await list(`network_id=${none['id']}`), ['none:0']);
  await refused(send('GET', `${PATH}?total_ips=3`), 400, 'HTTPBadRequest');
  await refused(send('GET', `${PATH}/${randomUUID()}`), 404, 'NetworkNotFound');
  await refused(send('POST', PATH, { network_ip_availability: {} }), 405, 'HTTPMethodNotAllowed');
  await refused(send('GET', `${PATH}/${a['id']}`, undefined, MEMBER), 404, 'NetworkNotFound');
  assert.deepEqual((await send('GET', PATH, undefined, MEMBER)).body, { network_ip_availabilities: [] });
});

test('addresses of pools are told from others, whatever random pools a subnet has', async (t) => {
  const { create, send } = await startHarness(t);
  // A reserved address here and there: an LCG, so that a failure can be seen again.
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (const version of [4, 6] as const) {
    const address = (at: number): string => (version === 4 ? `203.0.113.${at}` : `fd00::${at.toString(16)}`);
    const network = await create('network', {});
    const [first, gap] = [10 + random(20), 40 + random(20)];
    const pools = [
      { start: address(first), end: address(gap) },
      { start: address(gap + 10), end: address(100) },
    ];
    const isPooled = (at: number): boolean => at >= first && at <= 100 && !(at > gap && at < gap + 10);
    const prefix = version === 4 ? '203.0.113.0/24' : 'fd00::/120';
    const subnet = await create('subnet', {
      ...{ network_id: network['id'], cidr: prefix, ip_version: version, allocation_pools: pools },
    });
    const taken = [...new Set(Array.from({ length: 40 }, () => 2 + random(110)))];
    for (const at of taken)
      await create('port', {
        network_id: network['id'],
        fixed_ips: [{ subnet_id: subnet['id'], ip_address: address(at) }],
      });
    const { body } = await send('GET', `${PATH}/${network['id']}`);
    assert.deepEqual(body['network_ip_availability']?.['ip_availability_details'], {
      total_ips_in_subnet: version === 4 ? 254 : 256,
      total_ips_in_allocation_pool: gap - first + 1 + (100 - gap - 10 + 1),
      used_ips_in_subnet: taken.length,
      used_ips_in_allocation_pool: taken.filter(isPooled).length,
    });
  }
});

test('a controller sees how many addresses networks of the project have that it asks as, and of no other', async (t) => {
  const { create, send } = await startHarness(t);
  await create('kubernetes_cluster', { name: 'prod' });
  const [own, other] = [
    await create('network', { project_id: 'prod.shop' }),
    await create('network', { project_id: 'p' }),
  ];
  const controller = { 'cable-cluster': 'prod', 'x-project-id': 'prod.shop' };
  const { body } = await send('GET', PATH, undefined, controller);
  assert.deepEqual(
    body['network_ip_availabilities']?.map((one) => one['network_id']),
    [own['id']],
  );
  await refused(send('GET', `${PATH}/${other['id']}`, undefined, controller), 404, 'NetworkNotFound');
});

test('a page of many networks counts no others', async (t) => {
  const { create, send, server } = await startHarness(t);
  for (let round = 0; round < 3; round += 1) {
    const networks = Array.from({ length: 400 }, (_, at) => ({ name: `n${round}-${at}` }));
    assert.equal((await send('POST', '/v2.0/networks', { networks })).status, 201);
  }
  await create('network', { name: 'last' });
  const table = server.tables.any('subnet');
  const { by } = table;
  let looks = 0;
  const counted: typeof by = (index, key) => {
    looks += 1;
    return by.call(table, index, key);
  };
  Object.assign(table, { by: counted });
  const { body } = await send('GET', `${PATH}?limit=20`);
  assert.equal(body['network_ip_availabilities']?.length, 20);
  assert.equal(looks, 20);
});
