import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSchema } from '@cable/api';
import {
  BUILT_IN_EXTENSIONS,
  BUILT_IN_REGISTRY,
  BUILT_IN_RESOURCES,
  CORE_RESOURCES,
  composeRegistry,
  DeclarationError,
  defineResource,
  type ExtensionDeclaration,
  type ResourceModel,
  servedModels,
} from '@cable/model';
import type { FastifyInstance } from 'fastify';
import { type Json, refused, type Send, startHarness } from '../testing/harness.ts';

type Operation = { readonly method: string; readonly path: string; readonly told: Json };

const gadget: ResourceModel = defineResource({
  ...{ name: 'gadget', plural: 'gadgets', label: 'Gadget', prefix: '/example/test/v1', path: 'gadgets' },
  ...{ description: 'Comes and goes.', verbs: ['list', 'create'], standard: true, stored: true },
  attributes: { size: { type: 'integer', write: 'both', default: 1 } },
});

async function operationsOf(send: Send): Promise<readonly Operation[]> {
  const { body } = await send('GET', '/openapi.json');
  return Object.entries((body['paths'] ?? {}) as Readonly<Record<string, Json>>).flatMap(([path, item]) =>
    Object.entries(item as Readonly<Record<string, Json>>).map(([method, told]) => {
      return { method: method.toUpperCase(), path, told };
    }),
  );
}

/** The routes of Fastify's own tree: `GET /v2.0/extensions/{}`. */
function fastifyRoutes(app: FastifyInstance): readonly string[] {
  const above: string[] = [];
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] = /^(.*?)── (\S+)(?: \((.*)\))?$/.exec(line) ?? [];
      const depth = Math.floor(indent.length / 4);
      above.splice(depth, above.length, part);
      const path = above.join('').replaceAll(/:\w+/g, '{}');
      return methods.split(', ').flatMap((method) => (method === '' || method === 'HEAD' ? [] : [`${method} ${path}`]));
    });
}

test('the OpenAPI document has every route that there is, and no other', async (t) => {
  const { send, server } = await startHarness(t);
  const operations = await operationsOf(send);
  const told = new Set(operations.map(({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`));
  const own = fastifyRoutes(server.app).filter((route) => !route.endsWith('*'));
  const declared = server.deps.resources.current.routes.map(
    ({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`,
  );
  assert.ok(own.includes('GET /cable/v1/hosts/{}/watch') && declared.includes('POST /v2.0/ports'), own.join());
  assert.deepEqual([...new Set([...own, ...declared])].sort(), [...told].sort());
  const ids = operations.map((operation) => operation.told['operationId']);
  assert.equal(new Set(ids).size, ids.length);
  for (const { method, path } of operations) {
    if (path === '/metrics') continue;
    const answer = await send(method, path.replaceAll(/\{\w+\}/g, 'x'));
    const type = String(answer.body?.['NeutronError']?.['type']);
    assert.ok(!['HTTPNotFound', 'HTTPMethodNotAllowed'].includes(type), `${method} ${path}: ${type}`);
  }
});

test('the server’s own answers are as the OpenAPI document has them', async (t) => {
  const { send } = await startHarness(t);
  const operations = await operationsOf(send);
  for (const path of ['/', '/v2.0', '/v2.0/extensions', '/healthz', '/readyz', '/cable/v1/status', '/cable/v1/check']) {
    const operation = operations.find((one) => one.method === 'GET' && one.path === path);
    const schema = operation?.told['responses']?.['200' as never]?.['content']?.['application/json']?.['schema'];
    let answer = await send('GET', path);
    // A server that something has just kept busy is not ready for some seconds.
    for (let tries = 0; path === '/readyz' && answer.status === 503 && tries < 600; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      answer = await send('GET', path);
    }
    assert.equal(answer.status, 200, path);
    assertTold(answer.body, schema as Json, path);
  }
});

/** Every property of a value is in its schema. */
function assertTold(value: Json, schema: Json, where: string): void {
  if (Array.isArray(value)) {
    for (const one of value) assertTold(one, schema['items'] as Json, `${where}[]`);
    return;
  }
  const properties = schema?.['properties'];
  if (typeof value !== 'object' || value === null || (properties === undefined && schema?.['type'] !== undefined))
    return;
  for (const [name, inner] of Object.entries(value)) {
    assert.ok(properties?.[name] !== undefined, `${where}.${name} is not in the document`);
    assertTold(inner as Json, properties?.[name] as Json, `${where}.${name}`);
  }
}

test('a type that is loaded or unloaded at run time has its routes, or no trace', async (t) => {
  const { send, server } = await startHarness(t, { resources: [...BUILT_IN_RESOURCES, gadget] });
  const traces = async (): Promise<boolean> =>
    JSON.stringify([(await send('GET', '/openapi.json')).body, (await send('GET', '/v2.0')).body]).includes('gadget');
  const path = '/example/test/v1/gadgets';
  assert.equal((await send('POST', path, { gadget: { size: 2 } })).status, 201);
  await refused(send('DELETE', path), 405, 'HTTPMethodNotAllowed');
  assert.ok(await traces());

  server.deps.resources.replace(BUILT_IN_REGISTRY);
  await refused(send('GET', path), 404, 'HTTPNotFound');
  await refused(send('POST', path, { gadget: {} }), 404, 'HTTPNotFound');
  await refused(send('DELETE', path), 404, 'HTTPNotFound');
  assert.ok(!(await traces()));

  server.deps.resources.replace({ models: [...BUILT_IN_RESOURCES, gadget], extensions: BUILT_IN_EXTENSIONS });
  assert.equal(((await send('GET', path)).body['gadgets'] as Json).length, 1);
});

test('an extension that is unloaded takes its alias, attributes and routes along', async (t) => {
  const { send, server } = await startHarness(t);
  const gone = new Set(['router', 'external-net', 'quotas', 'cable-guest']);
  const isGone = ({ alias, requires = [] }: ExtensionDeclaration): boolean =>
    gone.has(alias) || requires.some((one) => gone.has(one));
  for (const _ of BUILT_IN_EXTENSIONS) for (const one of BUILT_IN_EXTENSIONS) if (isGone(one)) gone.add(one.alias);
  const rest = BUILT_IN_EXTENSIONS.filter(({ alias }) => !gone.has(alias));
  server.deps.resources.replace(composeRegistry(CORE_RESOURCES, rest));
  await refused(send('GET', '/v2.0/extensions/router'), 404, 'ExtensionNotFound');
  await refused(send('GET', '/v2.0/routers'), 404, 'HTTPNotFound');
  await refused(send('GET', '/v2.0/ports?cable:hostname=x'), 400, 'HTTPBadRequest');
  const { status } = await send('POST', '/v2.0/networks', { network: {} });
  assert.equal(status, 201, 'what is left works');
  const document = JSON.stringify((await send('GET', '/openapi.json')).body);
  for (const trace of ['/routers', 'cable:hostname']) assert.ok(!document.includes(trace), trace);
});

test('a registry that cannot be is refused, and everything stays as it was', async (t) => {
  const { send, server } = await startHarness(t);
  const { resources } = server.deps;
  const told: unknown[] = [];
  resources.onChange((now, before) => told.push([now.all.length, before.all.length]));
  const twice = { ...gadget, type: 'other', collection: '/v2.0/ports' };
  const own = { ...gadget, type: 'other', collection: '/cable/v1/status' };
  for (const model of [twice, own]) {
    const registry = { models: [...BUILT_IN_RESOURCES, model], extensions: [] };
    assert.throws(
      () => resources.replace(registry),
      (err) => err instanceof DeclarationError && /already/.test(err.message),
    );
  }
  assert.deepEqual(told, []);
  assert.ok(((await send('GET', '/v2.0/extensions')).body['extensions'] as Json).length > 10);
  resources.replace({ models: BUILT_IN_RESOURCES.slice(1), extensions: [] });
  assert.deepEqual(told, [[BUILT_IN_RESOURCES.length - 1, BUILT_IN_RESOURCES.length]]);
});

test('the schema is what is loaded, and is sent again only when that has changed', async (t) => {
  const { server } = await startHarness(t);
  const ask = async (etag: string): Promise<readonly [number, string, string]> => {
    const headers = { 'if-none-match': etag };
    const answer = await server.app.inject({ method: 'GET', url: '/cable/v1/schema', headers });
    return [answer.statusCode, String(answer.headers['etag']), answer.body];
  };
  const [status, etag, text] = await ask('');
  assert.equal(status, 200);
  const types = (body: string): readonly string[] | undefined => parseSchema(body)?.map((model) => model.type);
  assert.deepEqual(
    types(text),
    servedModels(BUILT_IN_RESOURCES).map((model) => model.type),
  );
  assert.ok(!text.includes('storedAttributes'));
  assert.deepEqual(await ask(`"x", W/${etag}`), [304, etag, '']);
  server.deps.resources.replace({ models: [...BUILT_IN_RESOURCES, gadget], extensions: BUILT_IN_EXTENSIONS });
  const [again, other, changed] = await ask(etag);
  assert.ok(again === 200 && other !== etag && types(changed)?.includes('gadget'));
  server.deps.resources.replace(BUILT_IN_REGISTRY);
  assert.deepEqual(await ask(etag), [304, etag, '']);
});

test('metrics have the route of a request, not its path; and HEAD is GET without a body', async (t) => {
  const { server, send } = await startHarness(t);
  await send('GET', '/v2.0/ports/none');
  await send('GET', '/nothing/here');
  const head = await server.app.inject({ method: 'HEAD', url: '/v2.0/networks' });
  assert.deepEqual([head.statusCode, head.body], [200, '']);
  const metrics = (await server.app.inject({ method: 'GET', url: '/metrics' })).body;
  for (const labels of ['method="GET",route="/v2.0/ports/:id",status="404"', 'route="unknown",status="404"']) {
    assert.ok(
      metrics.includes(`cable_http_request_duration_seconds_count{${labels}}`) || metrics.includes(labels),
      labels,
    );
  }
  assert.ok(!metrics.includes('route="/*"'));
});

test('a wrong method on one of the server’s own paths is called that', async (t) => {
  const { send } = await startHarness(t);
  await refused(send('POST', '/cable/v1/status'), 405, 'HTTPMethodNotAllowed');
  await refused(send('PATCH', '/v2.0/ports'), 405, 'HTTPMethodNotAllowed');
  await refused(send('GET', '/v2x0'), 404, 'HTTPNotFound');
});
