/** A project's name comes in by bodies, headers and paths, and becomes a part of the store's keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_EXTENSIONS, CORE_RESOURCES, composeRegistry, type ExtensionDeclaration } from '@cable/model';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';

const CONTROLS = ['a\nb', 'a\tb', 'a\u007fb', 'a\u0085b', 'a\u0000b'];

test('a project’s name with a control character is refused where it comes in, and the answer names the field', async (t) => {
  const { send, create, server } = await startHarness(t);
  const network = String((await create('network', {}))['id']);
  for (const name of CONTROLS) {
    for (const field of ['project_id', 'tenant_id']) {
      for (const [path, body] of [
        ['networks', { network: { [field]: name } }],
        ['ports', { ports: [{ network_id: network, [field]: name }] }],
        ['security-groups', { security_group: { name: 'g', [field]: name } }],
      ] as const) {
        const message = await refused(send('POST', `/v2.0/${path}`, body), 400, 'HTTPBadRequest');
        assert.match(message, new RegExp(`${field}.*(control character|NUL)`));
      }
    }
    for (const field of ['x-project-id', 'x-tenant-id']) {
      const headers = { [field]: Buffer.from(name).toString('latin1') };
      for (const path of ['networks', 'security-groups']) {
        const message = await refused(send('GET', `/v2.0/${path}`, undefined, headers), 400, 'HTTPBadRequest');
        assert.match(message, new RegExp(`${field}.*control character`));
      }
    }
    const path = `/v2.0/quotas/${encodeURIComponent(name)}`;
    for (const [method, end, body] of [
      ['PUT', '', { quota: { port: 1 } }],
      ['GET', '', undefined],
      ['GET', '/details', undefined],
      ['GET', '/default', undefined],
      ['DELETE', '', undefined],
    ] as const) {
      const message = await refused(send(method, `${path}${end}`, body), 400, 'HTTPBadRequest');
      assert.match(message, /project_id.*(control character|NUL)/);
    }
  }
  await assertInvariants(server);
});

test('a project whose name is odd but can be one owns objects, has a quota, and is held to it', async (t) => {
  const { send, create, server } = await startHarness(t);
  for (const name of ['a/../b', 'a b', '%2e', 'é'.repeat(127), '#?&=', 'x'.repeat(255)]) {
    const path = `/v2.0/quotas/${encodeURIComponent(name)}`;
    await create('network', { project_id: name });
    const headers = { 'x-project-id': Buffer.from(name).toString('latin1'), 'x-roles': 'member' };
    await create('network', {}, headers);
    const set = await send('PUT', path, { quota: { network: 3 } });
    assert.equal(set.status, 200, JSON.stringify(set.body));
    await create('network', {}, headers);
    await refused(send('POST', '/v2.0/networks', { network: {} }, headers), 409, 'OverQuota');
    const details = await send('GET', `${path}/details`, undefined, headers);
    assert.deepEqual(details.body['quota']?.['network'], { limit: 3, used: 3, reserved: 0 });
    const [listed] = (await send('GET', '/v2.0/quotas')).body['quotas'] ?? [];
    assert.equal(listed?.['project_id'], name);
    await assertInvariants(server);
    assert.equal((await send('DELETE', path)).status, 204);
  }
});

test('the reason of a refusal is the one that it has', async (t) => {
  const { send } = await startHarness(t);
  const set = (name: string) => send('PUT', `/v2.0/quotas/${name}`, { quota: { port: 1 } });
  assert.match(await refused(set('x'.repeat(256)), 400, 'HTTPBadRequest'), /exceeds maximum length of 255/);
  const message = await refused(set('%00'), 400, 'HTTPBadRequest');
  assert.doesNotMatch(message, /too long|slash/);
});

test('a key that a client gives an object of an extension is refused when the store cannot have it', async (t) => {
  const code = { type: 'string', write: 'create', required: true, maxLength: 2000, description: 'The code.' } as const;
  const words = { name: 'coupon', plural: 'coupons', label: 'Coupon', prefix: '/v2.0', path: 'coupons' };
  const extension: ExtensionDeclaration = {
    ...{ alias: 'coupons', name: 'Coupons', description: 'Coupons.', updated: '2026-01-01T00:00:00-00:00' },
    resources: [
      {
        ...{ ...words, key: 'code', standard: false, stored: true, description: 'A coupon.' },
        ...{ verbs: ['list', 'show', 'create', 'delete'], attributes: { code } },
      },
    ],
  };
  const { models } = composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, extension]);
  const { send } = await startHarness(t, { resources: models });
  const make = (text: string) => send('POST', '/v2.0/coupons', { coupon: { code: text } });
  for (const text of ['a\nb', 'a\u0085b', 'x'.repeat(1025), 'é'.repeat(513)]) {
    assert.match(await refused(make(text), 400, 'HTTPBadRequest'), /code/);
  }
  for (const text of ['x'.repeat(1024), 'é'.repeat(512), '%'.repeat(1024)]) {
    assert.equal((await make(text)).status, 201);
    const path = `/v2.0/coupons/${encodeURIComponent(text)}`;
    assert.equal((await send('GET', path)).body['coupon']?.['code'], text);
    assert.equal((await send('DELETE', path)).status, 204);
  }
  for (const path of ['a%0Ab', 'a%C2%85b']) await refused(send('GET', `/v2.0/coupons/${path}`), 404, 'CouponNotFound');
  await refused(send('DELETE', '/v2.0/coupons/a%0Ab'), 404, 'CouponNotFound');
});
