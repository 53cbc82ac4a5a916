import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import {
  type AnyObject,
  BUILT_IN_EXTENSIONS,
  CORE_RESOURCES,
  composeRegistry,
  type Registry,
  type Resource,
} from '@cable/model';
import type { FastifyInstance } from 'fastify';
import type { ActionHandler } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { MODULES } from '../resources/all.ts';
import { type Harness, type Json, refused, type Send, startHarness } from '../testing/harness.ts';
import { ADMISSION_LIMITS } from './admission.ts';
import { createApp } from './app.ts';
import { noauth } from './auth.ts';

const ANN = { 'x-project-id': 'ann', 'x-roles': 'member' };
const BOB = { 'x-project-id': 'bob', 'x-roles': 'member' };
const ALL = ['list', 'show', 'create', 'update', 'delete'] as const;

/** A second API with a port; its objects are identified by a code, and served in two versions. */
const wirePort: Resource = {
  ...{ type: 'wire_port', name: 'port', plural: 'ports', label: 'WirePort', prefix: '/wire/v1', path: 'ports' },
  ...{ description: 'A port of wires.', verbs: ALL, standard: false, stored: true, key: 'code' },
  attributes: {
    code: { type: 'string', write: 'create', required: true, maxLength: 20 },
    size: { type: 'integer', write: 'both', default: 1, maximum: 10 },
    colour: { type: 'string', write: 'create', required: true },
  },
  forms: [
    {
      ...{ form: 'v2', prefix: '/wire/v2', path: 'wire-ports', name: 'wire', plural: 'wires' },
      ...{
        renames: { capacity: 'size', serial: 'code' },
        omits: ['colour'],
        defaults: { colour: 'grey', capacity: 5 },
      },
    },
  ],
};

const policy: Resource = {
  ...{ type: 'wire_policy', name: 'policy', plural: 'policies', label: 'WirePolicy', prefix: '/v2.0' },
  ...{ path: 'wire/policies', description: 'A policy.', verbs: ALL, standard: true, stored: true, attributes: {} },
  actions: [
    {
      ...{ name: 'set_tag', description: 'Tags it.', path: 'tags/{tag}', status: 201, answerKey: 'tag' },
      answer: { name: { type: 'string' } },
    },
    {
      ...{ name: 'count', description: 'Counts them.', on: 'collection', method: 'POST', bodyKey: 'policy' },
      body: { least: { type: 'integer', required: true }, most: { type: 'integer', default: 9 } },
    },
    { name: 'forget', description: 'Forgets it.', method: 'DELETE', path: 'memory', status: 204 },
  ],
};

const limitRule: Resource = {
  ...{ type: 'wire_limit_rule', name: 'limit_rule', plural: 'limit_rules', label: 'WireRule', prefix: '/v2.0' },
  ...{ path: 'limit_rules', description: 'A limit.', verbs: ALL, standard: true, stored: true },
  parent: { type: 'wire_policy', attribute: 'wire_policy_id' },
  attributes: { max_kbps: { type: 'integer', write: 'both', required: true } },
  hidden: { wire_policy_id: { type: 'uuid', reference: { type: 'wire_policy', onDelete: 'cascade' } } },
};

function registryOf(...further: readonly Resource[]): Registry {
  return composeRegistry([...CORE_RESOURCES, ...further], BUILT_IN_EXTENSIONS);
}

test('two APIs may each have a port: the type is what the store has', async (t) => {
  const { send, create, store } = await startHarness(t, { resources: registryOf(wirePort).models });
  const network = await create('network', {});
  const port = await create('port', { network_id: network['id'] });
  const answer = await send('POST', '/wire/v1/ports', { port: { code: 'w1', colour: 'red' } });
  assert.deepEqual(answer, { status: 201, body: { port: { code: 'w1', size: 1, colour: 'red' } } });
  assert.equal((await send('GET', `/v2.0/ports/${port['id']}`)).body['port']?.['network_id'], network['id']);
  const [stored] = (await store.list('/cable/o/wire_port/')).kvs;
  assert.equal(stored?.key, '/cable/o/wire_port/w1');
  const path = '/wire/v1/ports/w1';
  assert.equal((await send('PUT', path, { port: { size: 4 } })).body['port']?.['size'], 4);
  assert.deepEqual(((await send('GET', '/wire/v1/ports?code=w1')).body['ports'] as Json).length, 1);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.equal((await send('GET', `/v2.0/ports/${port['id']}`)).status, 200);
});

test('a key is once, stays, and is a part of a path', async (t) => {
  const { send } = await startHarness(t, { resources: registryOf(wirePort).models });
  const create = (code: unknown): ReturnType<Send> =>
    send('POST', '/wire/v1/ports', { port: { ...(code === undefined ? {} : { code }), colour: 'red' } });
  assert.equal((await create('a b')).status, 201);
  assert.equal((await send('GET', '/wire/v1/ports/a%20b')).body['port']?.['code'], 'a b');
  await refused(create('a b'), 409, 'HTTPConflict');
  const both = { ports: ['c', 'c'].map((code) => ({ code, colour: 'red' })) };
  await refused(send('POST', '/wire/v1/ports', both), 409, 'HTTPConflict');
  for (const bad of ['', 'a/b', undefined]) await refused(create(bad), 400, 'HTTPBadRequest');
  await refused(send('PUT', '/wire/v1/ports/a%20b', { port: { code: 'd' } }), 400, 'HTTPBadRequest');
  const [, first] = await Promise.all([create('x'), create('x')]);
  assert.ok([201, 409].includes(first?.status ?? 0));
  assert.equal(((await send('GET', '/wire/v1/ports?code=x')).body['ports'] as Json).length, 1);
});

test('one stored type is served in several versions, with attributes renamed and others left out', async (t) => {
  const { send } = await startHarness(t, { resources: registryOf(wirePort).models });
  const made = await send('POST', '/wire/v2/wire-ports', { wire: { serial: 'w1' } });
  assert.deepEqual(made, { status: 201, body: { wire: { serial: 'w1', capacity: 5 } } });
  const old = await send('GET', '/wire/v1/ports/w1');
  assert.deepEqual(old.body, { port: { code: 'w1', size: 5, colour: 'grey' } });
  assert.equal((await send('PUT', '/wire/v2/wire-ports/w1', { wire: { capacity: 7 } })).body['wire']?.['capacity'], 7);
  assert.equal((await send('GET', '/wire/v1/ports/w1')).body['port']?.['size'], 7);
  await refused(send('PUT', '/wire/v2/wire-ports/w1', { wire: { size: 7 } }), 400, 'HTTPBadRequest');
  await refused(send('PUT', '/wire/v2/wire-ports/w1', { wire: { capacity: 11 } }), 400, 'HTTPBadRequest');
  await send('POST', '/wire/v1/ports', { ports: [{ code: 'w0', colour: 'red', size: 9 }] });
  const list = await send('GET', '/wire/v2/wire-ports?sort_key=capacity&sort_dir=desc&fields=serial&limit=1');
  assert.deepEqual(list.body['wires'], [{ serial: 'w0' }]);
  assert.match(String(list.body['wires_links']?.[0]?.['href']), /\/wire\/v2\/wire-ports\?.*marker=w0/);
  assert.equal(((await send('GET', '/wire/v2/wire-ports?capacity=7')).body['wires'] as Json).length, 1);
  await refused(send('GET', '/wire/v2/wire-ports?colour=red'), 400, 'HTTPBadRequest');
});

test('a nested resource is found below its own parent only', async (t) => {
  const { send, create } = await startHarness(t, {
    resources: registryOf({ ...policy, actions: [] }, limitRule).models,
  });
  const policies = async (name: object): Promise<string> => {
    const answer = await send('POST', '/v2.0/wire/policies', { policy: name }, ANN);
    return `/v2.0/wire/policies/${answer.body['policy']?.['id']}`;
  };
  const [one, other] = [await policies({}), await policies({})];
  const made = await send('POST', `${one}/limit_rules`, { limit_rule: { max_kbps: 10 } }, ANN);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const rule = made.body['limit_rule'] as Json;
  assert.equal(rule['wire_policy_id'], undefined);
  const bulk = { limit_rules: [{ max_kbps: 1 }, { max_kbps: 2 }] };
  assert.equal((await send('POST', `${other}/limit_rules`, bulk, ANN)).status, 201);
  const count = async (path: string): Promise<number | undefined> =>
    ((await send('GET', `${path}/limit_rules`, undefined, ANN)).body['limit_rules'] as Json).length;
  assert.deepEqual([await count(one), await count(other)], [1, 2]);
  const page = await send('GET', `${other}/limit_rules?limit=1`, undefined, ANN);
  assert.match(String(page.body['limit_rules_links']?.[0]?.['href']), new RegExp(`${other}/limit_rules\\?limit=1`));
  const path = `limit_rules/${rule['id']}`;
  assert.equal((await send('GET', `${one}/${path}`, undefined, ANN)).status, 200);
  for (const [method, body] of [['GET'], ['PUT', { limit_rule: { max_kbps: 3 } }], ['DELETE']] as const) {
    await refused(send(method, `${other}/${path}`, body, ANN), 404, 'WireRuleNotFound');
    await refused(send(method, `/v2.0/wire/policies/none/${path}`, body, ANN), 404, 'WirePolicyNotFound');
    await refused(send(method, `${one}/${path}`, body, BOB), 404, 'WirePolicyNotFound');
  }
  await refused(send('GET', `${one}/limit_rules`, undefined, BOB), 404, 'WirePolicyNotFound');
  await refused(send('GET', `${one}/limit_rules?wire_policy_id=x`, undefined, ANN), 400, 'HTTPBadRequest');
  const changed = await send('PUT', `${one}/${path}`, { limit_rule: { max_kbps: 3 } }, ANN);
  assert.equal(changed.body['limit_rule']?.['max_kbps'], 3);
  await refused(send('GET', '/v2.0/limit_rules'), 404, 'HTTPNotFound');
  assert.equal((await send('DELETE', other, undefined, ANN)).status, 204);
  await refused(send('GET', `${other}/limit_rules`, undefined, ANN), 404, 'WirePolicyNotFound');
  assert.ok(await create('network', {}));
});

test('actions have a method, a path, a wrapper, an answer and a status of their own', async (t) => {
  const harness = await startHarness(t, { resources: registryOf().models });
  const calls: unknown[] = [];
  const act =
    (answer: unknown) =>
    (_deps: unknown, id: string, body: object, _caller: unknown, parameters: object): Promise<unknown> => {
      calls.push([id, body, { ...parameters }]);
      return Promise.resolve(answer);
    };
  harness.server.deps.resources.replace(registryOf(policy));
  const app = appOf(t, harness, {
    'wire_policy.set_tag': act({ name: 'red' }),
    'wire_policy.count': act({ count: 2 }),
    'wire_policy.forget': act(undefined),
  });
  const send = senderTo(app);
  assert.deepEqual(await send('PUT', '/v2.0/wire/policies/p/tags/re%20d'), [201, { tag: { name: 'red' } }]);
  assert.deepEqual(calls.pop(), ['p', {}, { id: 'p', tag: 're d' }]);
  assert.deepEqual(await send('POST', '/v2.0/wire/policies/count', { policy: { least: 1 } }), [200, { count: 2 }]);
  assert.deepEqual(calls.pop(), ['', { least: 1, most: 9 }, {}]);
  assert.deepEqual(await send('DELETE', '/v2.0/wire/policies/p/memory'), [204, undefined]);
  const status = async (method: string, path: string, body?: object): Promise<unknown> =>
    (await send(method, `/v2.0/wire/policies/${path}`, body))[0];
  assert.equal(await status('POST', 'count', { policy: {} }), 400);
  assert.equal(await status('POST', 'count', { least: 1 }), 400);
  assert.equal(await status('POST', 'count', { policy: { least: 1, odd: 1 } }), 400);
  assert.equal(await status('PUT', 'p/tags/x', { odd: 1 }), 400);
  assert.equal(await status('PUT', 'count'), 400);
  assert.equal(await status('POST', 'p/memory'), 405);
});

test('an action that nothing does is refused when the server starts', async (t) => {
  const harness = await startHarness(t, {});
  harness.server.deps.resources.replace(registryOf(policy));
  assert.throws(() => appOf(t, harness, {}), /no handler for the action set_tag of wire_policy/);
});

/** By `<type>.<action>`. */
type Handlers = Readonly<Record<string, ActionHandler>>;

function appOf(t: TestContext, { server }: Harness, actions: Handlers): FastifyInstance {
  const added = Object.entries(actions).map(([name, act]) => {
    const [type = '', action = ''] = name.split('.');
    return [type, { actions: { [action]: act } }] as const;
  });
  const table: Record<string, readonly Contribution<AnyObject>[]> = { ...MODULES };
  for (const [type, one] of added) table[type] = [...(table[type] ?? []), one];
  server.deps.modules.replace(table);
  const { http: app } = createApp({
    ...{ deps: server.deps, authenticate: noauth() },
    ...{ log: silentLogger(), version: '1', limits: ADMISSION_LIMITS, readiness: [] },
  });
  t.after(() => app.close());
  return app;
}

function senderTo(app: FastifyInstance): (method: string, path: string, body?: object) => Promise<[number, unknown]> {
  return async (method, url, body) => {
    const answer = await app.inject({ method: method as 'GET', url, ...(body === undefined ? {} : { payload: body }) });
    return [answer.statusCode, answer.body === '' ? undefined : JSON.parse(answer.body)];
  };
}
