import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUuid } from '@cable/model';
import { ID_SECRET } from '../keys.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { assertInvariants, startHarness } from '../testing/harness.ts';
import { ensureIdSecret } from './id-secret.ts';
import { repeatableId, requestOf } from './idempotency.ts';
import { createObjects } from './write.ts';

test('an id made from a key is a UUID of version 8, another one for another secret, project, type, key or place', () => {
  const p = { projectId: 'p', userId: 'u' };
  const secret = Buffer.alloc(32);
  const ids = [
    repeatableId(Buffer.alloc(32, 1), p, 'port', 'k', 0),
    repeatableId(secret, p, 'port', 'k', 0),
    repeatableId(secret, { ...p, projectId: 'q' }, 'port', 'k', 0),
    repeatableId(secret, { ...p, projectId: null }, 'port', 'k', 0),
    repeatableId(secret, { projectId: null, userId: 'v' }, 'port', 'k', 0),
    repeatableId(secret, p, 'network', 'k', 0),
    repeatableId(secret, p, 'port', 'k1', 0),
    repeatableId(secret, p, 'port', 'k', 1),
  ];
  assert.ok(ids.every((id) => isUuid(id) && /^.{14}8.{4}[89ab]/.test(id)));
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(repeatableId(secret, { ...p, userId: 'v' }, 'port', 'k', 0), ids[1]);
});

test('the servers of a store make these ids of one secret, which the store keeps', async (t) => {
  const { store, server } = await startHarness(t);
  const { idSecret } = server.deps;
  assert.equal(idSecret.length, 32);
  assert.deepEqual(await Promise.all([ensureIdSecret(store), ensureIdSecret(store)]), [idSecret, idSecret]);
  await store.txn([], [{ kind: 'put', key: ID_SECRET, value: 'short' }]);
  await assert.rejects(ensureIdSecret(store), /is not 32 bytes/);
});

test('the order of attributes is no difference, a value is', () => {
  assert.equal(requestOf({ a: 1, b: 2 }, 1), requestOf({ b: 2, a: 1 }, 1));
  assert.notEqual(requestOf({ a: 1 }, 1), requestOf({ a: 2 }, 1));
  assert.notEqual(requestOf({ a: 1 }, 1), requestOf({ a: 1 }, 2));
});

test('a request that is repeated at once and later makes its objects once', async (t) => {
  const { server } = await startHarness(t);
  const network = server.deps.resources.named('network');
  const asked = {
    credentials: credentialsOf({ projectId: 'p', isAdmin: true }),
    signal: new AbortController().signal,
    isGone: false,
    isSet: () => false,
    deadlineMs: Number.POSITIVE_INFINITY,
    idempotencyKey: 'once',
    loaded: server.deps.resources.current,
  };
  const named = (name: string) => ({ attributes: { name }, given: ['name'] });
  const bodies = [named('a'), named('b')];
  const create = () => createObjects(server.deps, network, bodies, asked);
  const answers = await Promise.all(Array.from({ length: 8 }, create));
  const ids = answers.map((objects) => objects.map(({ id }) => id).join());
  assert.equal(new Set(ids).size, 1);
  assert.equal((await create()).map(({ id }) => id).join(), ids[0]);
  assert.equal(server.tables.of('network').size, 2);
  for (const other of [['a', 'c'], ['a'], ['a', 'b', 'c']]) {
    const reused = createObjects(server.deps, network, other.map(named), asked);
    await assert.rejects(reused, { code: 'IdempotencyKeyReused', status: 422 }, other.join());
  }
  await assertInvariants(server);
});

test('a type whose body has another name than its objects in the store is repeated as any other', async (t) => {
  const { send, server } = await startHarness(t);
  const twice = async (path: string, name: string, attributes: object): Promise<string> => {
    const headers = { 'idempotency-key': path };
    const answers = [];
    for (let n = 0; n < 2; n += 1) answers.push(await send('POST', path, { [name]: attributes }, headers));
    const [first, second] = answers.map(({ status, body }) => `${status} ${body[name]?.['id']}`);
    assert.match(first ?? '', /^201 /);
    assert.equal(second, first);
    return String(answers[0]?.body[name]?.['id']);
  };
  const policy = await twice('/v2.0/qos/policies', 'policy', { name: 'gold' });
  await twice(`/v2.0/qos/policies/${policy}/dscp_marking_rules`, 'dscp_marking_rule', { dscp_mark: 46 });
  await assertInvariants(server);
});
