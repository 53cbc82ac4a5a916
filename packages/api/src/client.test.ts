import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeRegistry, type Resource } from '@cable/model';
import { ApiError, createClient } from './client.ts';
import { parseSchema, schemaOf } from './schema.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

/** Answers from a script, and remembers what was asked. */
function scripted(
  answers: readonly (readonly [number, unknown])[],
): Transport & { readonly asked: TransportRequest[] } {
  const asked: TransportRequest[] = [];
  const next = (request: TransportRequest): TransportResponse => {
    const [status, body] = answers[asked.length] ?? [500, undefined];
    asked.push(request);
    return {
      status,
      headers: {},
      body: body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body),
    };
  };
  return {
    asked,
    request: (request) => Promise.resolve(next(request)),
    stream: (request) => {
      const { status, body } = next(request);
      return Promise.resolve({ status, headers: {}, lines: linesOf(body) });
    },
  };
}

async function* linesOf(text: string): AsyncIterable<string> {
  yield* text.split('\n');
}

test('verbs become requests, with the project and the roles', async () => {
  const transport = scripted([
    [201, { port: { id: '1' } }],
    [200, { port: { id: '1' } }],
    [204, undefined],
    [200, { port_id: 'x' }],
  ]);
  const client = createClient({ transport, projectId: 'p', roles: ['member', 'reader'] });
  assert.deepEqual(await client.create('port', { network_id: 'n' }), { id: '1' });
  await client.update('port', '1', { name: 'a/b' });
  await client.delete('security_group', 'a/b');
  await client.action('router', 'r', 'add_router_interface', { subnet_id: 's' });
  assert.deepEqual(
    transport.asked.map(({ method, path, body }) => [method, path, body]),
    [
      ['POST', '/v2.0/ports', '{"port":{"network_id":"n"}}'],
      ['PUT', '/v2.0/ports/1', '{"port":{"name":"a/b"}}'],
      ['DELETE', '/v2.0/security-groups/a%2Fb', undefined],
      ['PUT', '/v2.0/routers/r/add_router_interface', '{"subnet_id":"s"}'],
    ],
  );
  assert.equal(transport.asked[0]?.headers?.['x-project-id'], 'p');
  assert.equal(transport.asked[0]?.headers?.['x-roles'], 'member,reader');
});

const policy: Resource = {
  ...{
    type: 'paint_policy',
    name: 'policy',
    plural: 'policies',
    label: 'Policy',
    prefix: '/v2.0',
    path: 'paint/policies',
  },
  ...{ description: 'A policy.', verbs: ['list', 'show'], standard: true, stored: true, attributes: {} },
  actions: [
    { name: 'count', description: 'Counts.', on: 'collection', method: 'GET', answer: {}, answerKey: 'count' },
    { name: 'tag', description: 'Tags.', path: 'tags/{tag}', bodyKey: 'policy', body: {} },
  ],
};

const rule: Resource = {
  ...{ type: 'paint_rule', name: 'rule', plural: 'rules', label: 'Rule', prefix: '/v2.0', path: 'rules' },
  ...{ description: 'A rule.', verbs: ['list', 'create', 'delete'], standard: true, stored: true, attributes: {} },
  parent: { type: 'paint_policy', attribute: 'policy_id' },
  hidden: { policy_id: { type: 'uuid', reference: { type: 'paint_policy', onDelete: 'cascade' } } },
};

test('of a type that it does not know the client asks the server, once', async () => {
  const schema = schemaOf(composeRegistry([policy, rule]));
  const transport = scripted([
    [200, schema],
    [200, { policies: [] }],
    [304, undefined],
    [201, { rule: { id: '1' } }],
    [304, undefined],
    [200, { count: { all: 2 } }],
    [304, undefined],
    [200, {}],
    [304, undefined],
  ]);
  const client = createClient({ transport });
  assert.deepEqual(await client.list('paint_policy'), []);
  assert.deepEqual(await client.within('a/b').create('paint_rule', {}), { id: '1' });
  assert.deepEqual(await client.action('paint_policy', '', 'count'), { all: 2 });
  await client.action('paint_policy', 'p', 'tag', {}, { tag: 'r d' });
  await assert.rejects(client.list('paint_colour'), /no resource type paint_colour/);
  assert.deepEqual(
    transport.asked.map(({ method, path, body }) => `${method} ${path} ${body ?? ''}`.trim()),
    [
      'GET /cable/v1/schema',
      'GET /v2.0/paint/policies',
      'GET /cable/v1/schema',
      'POST /v2.0/paint/policies/a%2Fb/rules {"rule":{}}',
      'GET /cable/v1/schema',
      'GET /v2.0/paint/policies/count',
      'GET /cable/v1/schema',
      'PUT /v2.0/paint/policies/p/tags/r%20d {"policy":{}}',
      'GET /cable/v1/schema',
    ],
  );
});

test('the schema tells what is served and nothing that is only stored; a newer one is taken as far as it is understood', () => {
  const text = JSON.stringify(schemaOf(composeRegistry([policy, rule])));
  assert.ok(!text.includes('policy_id":'));
  const newer = JSON.parse(text) as { resources: Record<string, unknown>[] };
  const [first] = newer.resources;
  Object.assign(first ?? {}, { novel: 1, verbs: ['list', 'fly'], columns: ['id', 'odd'], command: 'a; rm' });
  Object.assign(first?.['attributes'] ?? {}, {
    odd: { type: 'tensor' },
    'x y': { type: 'string' },
    fine: { type: 'string', description: 'a\u001b[2J' },
    half: { type: 'list' },
  });
  newer.resources.push({ type: 'broken' });
  const models = parseSchema(JSON.stringify(newer));
  assert.deepEqual(
    models?.map((model) => model.type),
    ['paint_policy', 'paint_rule'],
  );
  const model = models?.[0];
  assert.deepEqual([model?.verbs, model?.columns, model?.command], [['list'], ['id'], undefined]);
  assert.equal(model?.attributes['fine']?.description, 'a [2J');
  for (const name of ['odd', 'x y', 'half']) assert.equal(model?.attributes[name], undefined, name);
  for (const bad of ['', '[]', '{}', '{"resources":1}']) assert.equal(parseSchema(bad), undefined);
});

test('a list follows its pages', async () => {
  const next = { rel: 'next', href: 'http://elsewhere:1/v2.0/ports?limit=1&marker=1' };
  const transport = scripted([
    [200, { ports: [{ id: '1' }], ports_links: [next] }],
    [200, { ports: [], ports_links: [{ rel: 'previous', href: 'x' }] }],
  ]);
  const found = await createClient({ transport }).list('port', {
    limit: 1,
    fixed_ips: ['ip_address=a', 'subnet_id=b'],
  });
  assert.deepEqual(found, [{ id: '1' }]);
  assert.deepEqual(
    transport.asked.map(({ path }) => path),
    ['/v2.0/ports?limit=1&fixed_ips=ip_address%3Da&fixed_ips=subnet_id%3Db', '/v2.0/ports?limit=1&marker=1'],
  );
});

test('an error answer is thrown with Neutron’s type', async () => {
  const fault = { NeutronError: { type: 'NetworkInUse', message: 'in use', detail: 'd' } };
  const client = createClient({
    transport: scripted([
      [409, fault],
      [502, '<html>'],
      [404, fault],
    ]),
  });
  await assert.rejects(
    client.delete('network', '1'),
    (err) => err instanceof ApiError && err.type === 'NetworkInUse' && err.status === 409,
  );
  await assert.rejects(
    client.delete('network', '1'),
    (err) => err instanceof ApiError && err.type === '' && err.status === 502,
  );
  await assert.rejects(client.stream('/x'), (err) => err instanceof ApiError && err.status === 404);
});
