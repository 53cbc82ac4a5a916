import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { assertInvariants, deleteEverything, type Json, keysLeft, startHarness } from '../testing/harness.ts';

const STRANGE: readonly unknown[] = [
  ...[
    null,
    true,
    -1,
    0,
    1,
    4,
    6,
    65536,
    1e300,
    0.5,
    '',
    'x',
    '\u0000',
    '10.0.0.5',
    '10.0.0.0/24',
    '::/0',
    '::1',
    'é'.repeat(200),
  ],
  ...[
    '00:00:00:00:00:00',
    'fa:16:3e:00:00:01',
    'ff:ff:ff:ff:ff:ff',
    'default',
    'network:router_interface',
    '../../x',
    'a/b',
  ],
  ...[
    [],
    [null],
    [[]],
    [{}],
    [{ subnet_id: null }],
    [{ ip_address: '10.0.0.9' }],
    [{ start: '10.0.0.9', end: '10.0.0.8' }],
  ],
  ...[{}, { a: { b: [1] } }, JSON.parse('{"__proto__": {"isAdmin": true}}'), 'tcp', 'ingress', 'IPv6', '255', '\ud800'],
];

test('hostile requests are refused, never answered with a defect', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server, store } = harness;
  const random = seededRandom(360);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const group = await create('security_group', { name: 'g' });
  const ids = [network, subnet, group].map((one) => String(one['id']));
  const values = [...STRANGE, ...ids, ids];
  const statuses = new Map<number, number>();
  const resources = server.deps.resources.all.filter(
    ({ verbs, stored, parent }) => stored && verbs.includes('create') && parent === undefined,
  );
  for (let round = 0; round < 600; round += 1) {
    const resource = pick(resources);
    const rows: readonly Json[] = [...server.tables.any(resource.type).values()] as unknown as Json[];
    const isUpdate = random() < 0.4 && rows.length > 0 && resource.verbs.includes('update');
    const body: Record<string, unknown> = {};
    const base = { network_id: ids[0], ip_version: 4, cidr: `10.${round % 250}.0.0/24`, security_group_id: ids[2] };
    for (const [name, value] of Object.entries({ ...base, direction: 'ingress' })) {
      if (!isUpdate && resource.attributes[name] !== undefined) body[name] = value;
    }
    const fits = (write: string | undefined): boolean => write === 'both' || write === (isUpdate ? 'update' : 'create');
    const writable = Object.keys(resource.attributes).filter((name) => fits(resource.attributes[name]?.write));
    for (let n = random() < 0.5 ? 1 : 2; n > 0; n -= 1) body[pick(writable)] = pick(values);
    const path = `${resource.prefix}/${resource.path}`;
    const answer = isUpdate
      ? await send('PUT', `${path}/${pick(rows)['id']}`, { [resource.name]: body })
      : await send('POST', path, { [resource.name]: body });
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    // 501: an option of load balancers that others have.
    assert.ok(answer.status < 500 || answer.status === 501, `${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`);
  }
  assert.ok((statuses.get(201) ?? 0) > 5, JSON.stringify([...statuses]));
  await assertInvariants(server);
  await deleteEverything(harness);
  assert.deepEqual(await keysLeft(store), []);
});

test('hostile queries and paths are refused, never answered with a defect', async (t) => {
  const { send } = await startHarness(t);
  const texts = [
    '%00',
    '%ff',
    '..%2f..',
    'a'.repeat(400),
    '%F0%9F',
    "'--",
    '[]',
    '{}',
    '=',
    'ip_address=',
    '9'.repeat(30),
  ];
  for (const text of texts) {
    for (const path of ['networks', 'ports', 'security-groups']) {
      for (const name of ['id', 'limit', 'marker', 'sort_key', 'fixed_ips', 'changed_since', 'fields', text]) {
        const { status } = await send('GET', `/v2.0/${path}?${name}=${text}`);
        assert.ok(status < 500, `${path}?${name}=${text}`);
      }
      const { status } = await send('GET', `/v2.0/${path}/${text}`);
      assert.ok(status < 500, `${path}/${text}`);
    }
  }
});
