import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import {
  type AnyObject,
  type Attribute,
  BUILT_IN_EXTENSIONS,
  BUILT_IN_REGISTRY,
  CORE_RESOURCES,
  composeRegistry,
  type ExtensionDeclaration,
  type Resource,
} from '@cable/model';
import type { Store } from '@cable/store';
import type { Contribution } from '../engine/module.ts';
import { startTestEtcd, type TestEtcd } from '../hosts/etcd.fixture.ts';
import { noauth } from '../http/auth.ts';
import { objectKey, tombstoneKey } from '../keys.ts';
import { type CableServer, startServer } from '../server.ts';
import { assertInvariants, refused, type Send, senderOf } from '../testing/harness.ts';
import type { LoadedExtension } from './extension.ts';

const gadget: Resource = {
  ...{ name: 'gadget', plural: 'gadgets', label: 'Gadget', prefix: '/v2.0', path: 'gadgets', description: 'A gadget.' },
  ...{ verbs: ['list', 'show', 'create', 'update', 'delete'], standard: true, stored: true },
  attributes: { name: { type: 'string', write: 'both', default: '' } },
};

const about = { name: 'For a test', description: 'For a test.', updated: '2026-11-26T00:00:00-00:00' };

function extension(
  declaration: Partial<ExtensionDeclaration> & { readonly alias: string },
  contributions: Readonly<Record<string, Contribution<AnyObject>>> = {},
): LoadedExtension {
  return { file: `${declaration.alias}.mjs`, declaration: { ...about, ...declaration }, contributions };
}

const GADGETS = extension({ alias: 'gadgets', resources: [gadget] });

/** A server whose extensions the test sets. */
type Loading = {
  readonly server: CableServer;
  readonly send: Send;
  load(...extensions: readonly LoadedExtension[]): Promise<void>;
};

async function startLoading(t: TestContext, store: Store, ...first: readonly LoadedExtension[]): Promise<Loading> {
  let extensions = first;
  const server = await startServer({
    ...{ store, registry: BUILT_IN_REGISTRY, authenticate: noauth(), settings: { underlayMtuBytes: 1500 } },
    extensions: { read: () => Promise.resolve(extensions) },
    compose: (added) => composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, ...added]),
    log: silentLogger(),
  });
  t.after(() => server.stop());
  const load = (...next: readonly LoadedExtension[]): Promise<void> => {
    extensions = next;
    return server.reload();
  };
  return { server, send: senderOf(server), load };
}

async function etcdOf(t: TestContext): Promise<TestEtcd & { openStore(): Promise<Store> }> {
  const etcd = await startTestEtcd();
  t.after(() => etcd.remove());
  const openStore = async (): Promise<Store> => {
    const store = await etcd.open();
    t.after(() => store.close());
    return store;
  };
  return { ...etcd, openStore };
}

test('two servers on one etcd: who lacks a type writes nothing, and what one unloads the other cannot create', async (t) => {
  const etcd = await etcdOf(t);
  const one = await startLoading(t, await etcd.openStore());
  const two = await startLoading(t, await etcd.openStore());
  await one.load(GADGETS);
  await assert.rejects(
    startLoading(t, await etcd.openStore()),
    /--extensions: .*the type gadget of the extension gadgets/,
  );
  const made = await one.send('POST', '/v2.0/gadgets', { gadget: { name: 'a' } });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  await two.server.deps.catchUp.run();
  await refused(two.send('POST', '/v2.0/networks', { network: {} }), 503, 'ServiceUnavailable');
  assert.match(JSON.stringify((await two.send('GET', '/readyz')).body), /gadget of the extension gadgets/);
  await assert.rejects(two.load(), /is not loaded/);
  await two.load(GADGETS);
  const path = `/v2.0/gadgets/${made.body['gadget']?.['id']}`;
  assert.equal((await two.send('GET', path)).status, 200);
  assert.equal((await two.send('POST', '/v2.0/networks', { network: {} })).status, 201);
  await assert.rejects(one.load(), /cannot be unloaded \(gadget of gadgets: 1\)/);
  assert.equal((await two.send('DELETE', path)).status, 204);
  await one.load();
  await refused(two.send('POST', '/v2.0/gadgets', { gadget: {} }), 404, 'HTTPNotFound');
  await two.load();
  await refused(two.send('GET', '/v2.0/gadgets'), 404, 'HTTPNotFound');
  await assertInvariants(one.server);
});

test('creates beside an unload: either the type stays or none of them is made, through whichever server', async (t) => {
  const etcd = await etcdOf(t);
  const one = await startLoading(t, await etcd.openStore());
  const two = await startLoading(t, await etcd.openStore());
  for (let round = 0; round < 8; round += 1) {
    await one.load(GADGETS);
    await two.load(GADGETS);
    const create = (via: Loading): Promise<{ readonly status: number; readonly body: unknown }> =>
      via.send('POST', '/v2.0/gadgets', { gadget: {} });
    const [unloaded, ...answers] = await Promise.all([
      one.load().then(
        () => true,
        () => false,
      ),
      ...[one, two, two, one].map(create),
    ]);
    const statuses = answers.map(({ status }) => status);
    assert.ok(
      statuses.every((status) => (unloaded ? status === 404 : status === 201 || status === 404)),
      `${unloaded} ${JSON.stringify(answers)}`,
    );
    if (unloaded) await one.load(GADGETS);
    await one.server.deps.catchUp.run();
    for (const { id } of one.server.tables.any('gadget').values()) {
      assert.equal((await one.send('DELETE', `/v2.0/gadgets/${id}`)).status, 204);
    }
  }
  await assertInvariants(one.server);
});

test('requests under way while what is loaded changes are answered by the one or the other', async (t) => {
  const etcd = await etcdOf(t);
  const { server, send, load } = await startLoading(t, await etcd.openStore(), GADGETS);
  const odd: string[] = [];
  const done = new AbortController();
  const ask = async (method: string, path: string, body?: object): Promise<void> => {
    while (!done.signal.aborted) {
      const answer = await send(method, path, body);
      // An injected request that is refused at once would leave the sockets no turn.
      await setImmediate();
      if (![200, 201, 204, 400, 404].includes(answer.status)) odd.push(`${method} ${path} ${JSON.stringify(answer)}`);
    }
  };
  const asking = Promise.all([
    ask('GET', '/v2.0/gadgets'),
    ask('GET', '/v2.0/gadgets/none'),
    ask('PUT', '/v2.0/gadgets/none', { gadget: { name: 'x' } }),
    ask('DELETE', '/v2.0/gadgets/none'),
    ask('POST', '/v2.0/networks', { network: { 'x:tier': 'gold' } }),
  ]);
  const tier = { type: 'string', write: 'both', default: '', indexed: true } as const;
  const tiers = extension({ alias: 'tiers', attributes: { network: { 'x:tier': tier } } });
  for (let round = 0; round < 10; round += 1) {
    await load(tiers);
    await load(GADGETS);
  }
  done.abort();
  await asking;
  assert.deepEqual(odd, []);
  await assertInvariants(server);
});

test('attributes of types that are there: rows show the default and are found by it, and a reference is kept until it is cleared', async (t) => {
  const etcd = await etcdOf(t);
  const { server, send, load } = await startLoading(t, await etcd.openStore(), GADGETS);
  const network = (await send('POST', '/v2.0/networks', { network: { name: 'old' } })).body['network']?.['id'];
  const one = (await send('POST', '/v2.0/gadgets', { gadget: {} })).body['gadget']?.['id'];
  const attributes = {
    'x:tier': { type: 'string', write: 'both', default: 'silver', indexed: true },
    'x:gadget': {
      type: 'uuid',
      write: 'both',
      nullable: true,
      default: null,
      reference: { type: 'gadget', onDelete: 'restrict' },
    },
  } as const;
  const tiers = extension({ alias: 'tiers', requires: ['gadgets'], attributes: { network: attributes } });
  await load(GADGETS, tiers);
  const silver = await send('GET', '/v2.0/networks?x:tier=silver');
  assert.deepEqual(
    (silver.body['networks'] as unknown as readonly AnyObject[]).map(({ id }) => id),
    [network],
  );
  const path = `/v2.0/networks/${network}`;
  assert.equal((await send('PUT', path, { network: { 'x:gadget': one } })).status, 200);
  await refused(send('DELETE', `/v2.0/gadgets/${one}`), 409, 'GadgetInUse');
  await assert.rejects(load(GADGETS), /objects of network have other claims, marks or references.*: 1\./);
  assert.equal((await send('PUT', path, { network: { 'x:gadget': null, 'x:tier': 'gold' } })).status, 200);
  await load(GADGETS);
  assert.doesNotMatch(JSON.stringify((await send('GET', path)).body), /x:/);
  await refused(send('GET', '/v2.0/networks?x:tier=gold'), 400, 'HTTPBadRequest');
  await load(GADGETS, tiers);
  assert.equal((await send('GET', path)).body['network']?.['x:tier'], 'gold');
  await assertInvariants(server);
});

test('a request that waits while what it was parsed by is unloaded is parsed anew', async (t) => {
  const etcd = await etcdOf(t);
  const tier = { type: 'string', write: 'both', default: '' } as const;
  const tiers = extension({ alias: 'tiers', attributes: { network: { 'x:tier': tier } } });
  const { server, send, load } = await startLoading(t, await etcd.openStore(), GADGETS, tiers);
  const network = (await send('POST', '/v2.0/networks', { network: {} })).body['network']?.['id'];
  const one = (await send('POST', '/v2.0/gadgets', { gadget: {} })).body['gadget']?.['id'];
  const { lock, monotonicMs } = server.deps;
  const until = { signal: new AbortController().signal, deadlineMs: monotonicMs() + 60_000 };
  let release = (): void => {};
  const keys = [objectKey('network', String(network)), objectKey('gadget', String(one))];
  await new Promise<void>((resolve) => {
    void lock.run(keys, until, () => {
      resolve();
      return new Promise<void>((done) => {
        release = done;
      });
    });
  });
  const waiting = [
    send('PUT', `/v2.0/networks/${network}`, { network: { 'x:tier': 'gold' } }),
    send('PUT', `/v2.0/gadgets/${one}`, { gadget: { name: 'x' } }),
  ];
  // They wait for the lock by the time that an injected request which needs no lock has been answered.
  assert.equal((await send('GET', `/v2.0/gadgets/${one}`)).status, 200);
  await server.deps.store.txn([], [{ kind: 'delete', key: objectKey('gadget', String(one)) }]);
  await load();
  release();
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ status }) => status),
    [400, 404],
  );
  assert.equal(server.tables.of('network').get(String(network))?.revision_number, 1);
});

test('a declaration that does not take the values which are there is refused, and nothing has changed', async (t) => {
  const etcd = await etcdOf(t);
  const one = await startLoading(t, await etcd.openStore());
  const { server, send, load } = one;
  const withSize = (size: Attribute, more: Readonly<Record<string, Attribute>> = {}): LoadedExtension =>
    extension({
      alias: 'gadgets',
      resources: [{ ...gadget, attributes: { ...gadget.attributes, size, ...more } }],
    });
  const text: Attribute = { type: 'string', write: 'both', nullable: true, default: null };
  const tags: Attribute = { type: 'list', items: { type: 'string' }, write: 'both', default: [] };
  await load(withSize(text, { tags }));
  const made: string[] = [];
  for (const attributes of [{ size: 'large', tags: ['5'] }, { size: '7' }, {}, { size: 'x'.repeat(50) }]) {
    made.push(String((await send('POST', '/v2.0/gadgets', { gadget: attributes })).body['gadget']?.['id']));
  }
  const before = (await send('GET', '/v2.0/gadgets')).body;
  const integer: Attribute = { type: 'integer', write: 'both', nullable: true, default: null };
  const { nullable: _nullable, ...plain } = text;
  const cases: readonly (readonly [LoadedExtension, RegExp])[] = [
    [
      withSize(integer, { tags }),
      /objects of gadget have no value of size that its declaration takes: 3, such as .*(not an integer|"7" is stored, which would be 7)\..* first\./,
    ],
    [withSize({ ...plain, default: '' }, { tags }), /gadget .* of size .*: 1, such as .* it is null/],
    [withSize({ ...text, maxLength: 20 }, { tags }), /of size .*: 1, such as .*maximum length of 20/],
    [withSize({ ...text, values: ['large', '7'] }, { tags }), /of size .*: 1, such as .*is not in/],
    [withSize(text, { tags: { ...tags, items: { type: 'integer' } } }), /of tags .*: 1, such as/],
    [withSize(text, { tags: { type: 'dict', write: 'both', default: {} } }), /of tags .*: 4, such as/],
    [
      withSize(text, { tags, owner: { type: 'string', write: 'create', required: true } }),
      /of owner .*: 4, .*it is required.*default/,
    ],
  ];
  for (const [next, why] of cases) {
    await assert.rejects(load(next), why);
    assert.deepEqual((await send('GET', '/v2.0/gadgets')).body, before);
  }
  // Another server, to which the type is new, refuses what does not fit what the first has made.
  const two = await startLoading(t, await etcd.openStore(), withSize(integer, { tags }));
  assert.match(
    JSON.stringify((await two.send('GET', '/cable/v1/check')).body),
    /a value is one of its attribute.*gadget.*size: 'large' is not an integer/,
  );
  await two.load(withSize(text, { tags }));
  assert.equal((await send('PUT', `/v2.0/gadgets/${made[0]}`, { gadget: { tags: [] } })).status, 200);
  await load(withSize({ ...text, maxLength: 60 }, { tags: { ...tags, items: { type: 'integer' } } }));
  await assertInvariants(server);
});

test('values of an attribute that comes back to a type of Cable’s own are looked at too', async (t) => {
  const etcd = await etcdOf(t);
  const { send, load } = await startLoading(t, await etcd.openStore());
  const tiers = (tier: Attribute): LoadedExtension =>
    extension({ alias: 'tiers', attributes: { network: { 'x:tier': tier } } });
  await load(tiers({ type: 'string', write: 'both', default: '' }));
  assert.equal((await send('POST', '/v2.0/networks', { network: { 'x:tier': 'gold' } })).status, 201);
  await load();
  const number = tiers({ type: 'integer', write: 'both', default: 0 });
  await assert.rejects(load(number), /objects of network have no value of x:tier that its declaration takes: 1,/);
  await load(tiers({ type: 'string', write: 'both', default: 'x' }));
});

test('a type whose objects are being swept is said to be so, and is unloaded when they are gone', async (t) => {
  const etcd = await etcdOf(t);
  const box: Resource = { ...gadget, name: 'box', plural: 'boxes', label: 'Box', path: 'boxes' };
  const part: Resource = {
    ...{ ...gadget, name: 'box_part', plural: 'box_parts', label: 'BoxPart', path: 'box-parts' },
    attributes: {
      box_id: { type: 'uuid', write: 'create', required: true, reference: { type: 'box', onDelete: 'cascade' } },
    },
  };
  const boxes = extension({ alias: 'boxes', resources: [box, part] });
  const { server, send, load } = await startLoading(t, await etcd.openStore(), boxes);
  const id = String((await send('POST', '/v2.0/boxes', { box: {} })).body['box']?.['id']);
  const partId = String((await send('POST', '/v2.0/box-parts', { box_part: { box_id: id } })).body['box_part']?.['id']);
  // As another server deletes it: for some time the sweep is left to that one.
  const parts = [{ type: 'box_part', attribute: 'box_id' }];
  const { revision } = await server.deps.store.txn(
    [],
    [
      { kind: 'delete', key: objectKey('box', id) },
      { kind: 'put', key: tombstoneKey('box', id), value: JSON.stringify({ parts }) },
    ],
  );
  await server.tables.waitFor(revision);
  assert.deepEqual((await send('GET', '/v2.0/box-parts')).body, { box_parts: [] });
  await assert.rejects(load(), /objects have been deleted and are being swept.*\(box_part of boxes\).*SIGHUP again/);
  await server.deps.store.txn(
    [],
    [objectKey('box_part', partId), tombstoneKey('box', id)].map((key) => ({ kind: 'delete', key })),
  );
  await load();
  await refused(send('GET', '/v2.0/boxes'), 404, 'HTTPNotFound');
  await assertInvariants(server);
});
