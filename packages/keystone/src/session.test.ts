import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { KeystoneSession, type ServiceAnswer } from './session.ts';
import { type FakeKeystone, startFakeKeystone } from './testing/fake-keystone.ts';
import { keystoneSuite, serviceAccess } from './testing/keystone-suite.ts';

let keystone: FakeKeystone;

before(async () => {
  keystone = await startFakeKeystone();
});
after(() => keystone.close());

keystoneSuite('fake Keystone', () => keystone);

type Time = { nowMs: number };

function open(t: { after(end: () => void): void }, time: Time = { nowMs: 0 }, urls = [keystone.url]): KeystoneSession {
  const access = { ...serviceAccess(keystone), urls };
  const session = new KeystoneSession({ access, monotonicMs: () => time.nowMs, timeoutMs: 300 });
  t.after(() => session.close());
  return session;
}

test('those who need a token at once share a login, and it is replaced before it is over', async (t) => {
  const time = { nowMs: 0 };
  const session = open(t, time);
  const before = keystone.asked.logins;
  const tokens = await Promise.all(Array.from({ length: 20 }, () => session.token()));
  assert.equal(new Set(tokens).size, 1);
  assert.equal(keystone.asked.logins - before, 1);
  time.nowMs = 3600_000 * 0.7;
  assert.equal(await session.token(), tokens[0]);
  time.nowMs = 3600_000 * 0.9;
  assert.notEqual(await session.token(), tokens[0]);
});

for (const fault of ['hang', 'garbage', 'half', 'redirect', 'error'] as const) {
  test(`a Keystone that answers with ${fault} is away, and what it says is taken for nothing`, async (t) => {
    const time = { nowMs: 0 };
    const session = open(t, time);
    const token = await keystone.token(keystone.admin, { project: 'admin' });
    assert.ok(await session.validate(token, { allowExpired: false }));
    keystone.fault = fault;
    t.after(() => {
      keystone.fault = null;
    });
    await assert.rejects(session.validate(token, { allowExpired: false }), { kind: 'away' });
    await assert.rejects(open(t).token(), { kind: 'away' });
    keystone.fault = null;
    assert.ok(await session.validate(token, { allowExpired: false }));
  });
}

test('a Keystone that refuses is not asked again at once, and no message has the password', async (t) => {
  const time = { nowMs: 0 };
  const session = open(t, time);
  keystone.fault = 'unauthorized';
  t.after(() => {
    keystone.fault = null;
  });
  const told = await session.token().catch((err: unknown) => String(err));
  assert.doesNotMatch(told, /secret/);
  keystone.fault = null;
  await assert.rejects(session.token(), { kind: 'refused' });
  time.nowMs = 6000;
  assert.ok(await session.token());
});

test('a clock that is wrong by hours changes nothing', async (t) => {
  keystone.skewMs = -5 * 3600_000;
  t.after(() => {
    keystone.skewMs = 0;
  });
  const time = { nowMs: 0 };
  const session = open(t, time);
  const token = await session.token();
  assert.ok(Math.abs((session.keystoneMs ?? 0) - (Date.now() - 5 * 3600_000)) < 120_000);
  time.nowMs = 1800_000;
  assert.equal(await session.token(), token);
});

test('a service of the catalog is asked with the session’s token, and once more with a new one', async (t) => {
  const asked: string[] = [];
  const service = createServer((request, reply) => {
    asked.push(`${request.url} ${String(request.headers['x-auth-token']).length > 10}`);
    reply.writeHead(asked.length === 1 ? 401 : 200).end('{}');
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  t.after(() => service.close());
  await keystone.addEndpoint('compute', 'nova', `http://127.0.0.1:${(service.address() as AddressInfo).port}/v2.1/`);
  const session = open(t);
  const first = await session.token();
  const answer = await session.request('compute', { method: 'POST', path: '/os-server-external-events', body: '{}' });
  assert.deepEqual([answer.status, answer.body], [200, '{}']);
  assert.deepEqual(asked, ['/v2.1/os-server-external-events true', '/v2.1/os-server-external-events true']);
  assert.notEqual(await session.token(), first);
  await assert.rejects(session.request('volume', { method: 'GET', path: '/' }), { kind: 'forbidden' });
});

test('a service that comes into the catalog later, or moves, is found at its place', async (t) => {
  const service = createServer((_request, reply) => reply.end('{}'));
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  t.after(() => service.close());
  const time = { nowMs: 0 };
  const session = open(t, time);
  const ask = (): Promise<ServiceAnswer> => session.request('image', { method: 'GET', path: '/' });
  const before = keystone.asked.logins;
  await assert.rejects(ask(), { kind: 'forbidden' });
  await keystone.addEndpoint('image', 'glance', 'http://127.0.0.1:1');
  await assert.rejects(ask(), { kind: 'forbidden' }, 'Keystone is not asked for the catalog again at once');
  assert.equal(keystone.asked.logins - before, 1);
  time.nowMs = 5000;
  await assert.rejects(ask(), /ECONNREFUSED/);
  assert.equal(await session.endpoint('image'), 'http://127.0.0.1:1');
  await keystone.addEndpoint('image', 'glance', `http://127.0.0.1:${(service.address() as AddressInfo).port}`);
  time.nowMs = 10_000;
  await assert.rejects(ask(), /ECONNREFUSED/);
  assert.equal((await ask()).status, 200);
  assert.equal(keystone.asked.logins - before, 3);
});
