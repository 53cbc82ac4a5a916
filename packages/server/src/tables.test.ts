import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { BUILT_IN_RESOURCES, defineResource } from '@cable/model';
import { type KeyValue, type ListPage, openStore, type Store, StoreError, type WatchBatch } from '@cable/store';
import { aliveKey, claimKey, historyMarkKey, objectKey, referenceKey, serverKey, vifKey } from './keys.ts';
import { type TableChange, Tables } from './tables.ts';

/** A store whose lists and watches the test scripts. */
class ScriptedStore implements Pick<Store, 'listPages' | 'watch'> {
  content: KeyValue[] = [];
  revision: number = 1;
  readonly watchedFrom: number[] = [];
  betweenPages: () => Promise<void> = () => Promise.resolve();
  #batches: (WatchBatch | Error)[] = [];
  #wake: () => void = () => undefined;

  /** One key a portion. */
  async *listPages(prefix: string): AsyncIterable<ListPage> {
    const { revision, content } = this;
    yield { revision, kvs: [] };
    for (const kv of content.filter((one) => one.key.startsWith(prefix))) {
      await this.betweenPages();
      yield { revision, kvs: [kv] };
    }
  }

  async *watch(_prefix: string, { fromRevision, signal }: Parameters<Store['watch']>[1]): AsyncIterable<WatchBatch> {
    this.watchedFrom.push(fromRevision);
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const next = this.#batches.shift();
      if (next instanceof Error) throw next;
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  send(batch: WatchBatch | Error): void {
    this.#batches.push(batch);
    this.#wake();
  }
}

function kv(key: string, value: object, revision: number): KeyValue {
  return { key, value: JSON.stringify(value), createRevision: revision, modRevision: revision, lease: null };
}

type Change = { readonly revision: number; readonly changes: readonly TableChange[] };

async function started(store: ScriptedStore): Promise<{ tables: Tables; seen: Change[]; stop(): Promise<void> }> {
  const abort = new AbortController();
  const tables = new Tables({ store, resources: BUILT_IN_RESOURCES, log: silentLogger(), signal: abort.signal });
  const seen: Change[] = [];
  tables.onChange((revision, changes) => seen.push({ revision, changes }));
  await tables.start();
  const stop = async (): Promise<void> => {
    abort.abort();
    await tables.stopped();
  };
  return { tables, seen, stop };
}

const port = (id: string, more: object = {}): object => ({
  id,
  project_id: 'p',
  network_id: 'n1',
  fixed_ips: [{ subnet_id: 's1', ip_address: '10.0.0.2' }],
  security_groups: ['g1', 'g2'],
  ...more,
});

test('rows are indexed by every reference, in lists too', async () => {
  const store = new ScriptedStore();
  store.content = [kv(objectKey('port', 'a'), port('a'), 1)];
  const { tables, stop } = await started(store);
  const ids = (index: string, key: string): readonly string[] =>
    tables
      .of('port')
      .by(index, key)
      .map((row) => row.id);
  assert.deepEqual(ids('network_id', 'n1'), ['a']);
  assert.deepEqual(ids('security_groups', 'g2'), ['a']);
  assert.deepEqual(ids('fixed_ips.subnet_id', 's1'), ['a']);
  assert.deepEqual(ids('fixed_ips.ip_address', '10.0.0.2'), ['a']);
  assert.deepEqual(ids('project_id', 'p'), ['a']);
  await stop();
});

test('an attribute that was declared after the object was written has its default', async () => {
  const store = new ScriptedStore();
  store.content = [kv(objectKey('port', 'a'), port('a'), 1)];
  const { tables, stop } = await started(store);
  assert.equal(tables.of('port').get('a')?.['binding:vnic_type'], 'normal');
  await stop();
});

test('a batch changes the tables before listeners and waiters hear of it', async () => {
  const store = new ScriptedStore();
  const { tables, seen, stop } = await started(store);
  const waiting = tables.waitFor(5);
  store.send({ revision: 5, events: [{ kind: 'put', kv: kv(objectKey('port', 'a'), port('a'), 5) }] });
  assert.equal(await waiting, true);
  assert.equal(tables.modRevision('port', 'a'), 5);
  store.send({
    revision: 7,
    events: [
      { kind: 'put', kv: kv(objectKey('port', 'a'), port('a', { name: 'x' }), 6) },
      { kind: 'put', kv: kv('/cable/x/ip/s/1', {}, 6) },
      { kind: 'delete', key: objectKey('port', 'a'), modRevision: 7 },
    ],
  });
  assert.equal(await tables.waitFor(7), true);
  const last = seen.at(-1);
  assert.equal(last?.revision, 7);
  assert.deepEqual(
    last?.changes.map(({ type, id, before, after }) => [type, id, before?.id, after]),
    [['port', 'a', 'a', undefined]],
  );
  assert.equal(await tables.waitFor(9, 20), false);
  await stop();
  assert.equal(await tables.waitFor(99, 1000), false);
});

test('what hosts report is in tables of its own', async () => {
  const store = new ScriptedStore();
  store.content = [
    kv(aliveKey('h1'), {}, 1),
    kv(serverKey('s1'), { floor: 9, behind: { h2: 3 }, entered: 1 }, 1),
    kv(vifKey('h1', 'p1'), { state: 'up', reason: null }, 1),
  ];
  const { tables, stop } = await started(store);
  assert.equal(tables.of('alive').get('h1')?.id, 'h1');
  assert.deepEqual(tables.of('server').get('s1'), {
    id: 's1',
    floor: 9,
    behind: { h2: 3 },
    entered: 1,
    wants: 0,
    refused: {},
    gateways: false,
    place: '',
    protons: {},
    options: {},
  });
  assert.equal(tables.of('vif').by('port_id', 'p1')[0]?.state, 'up');
  store.send({ revision: 2, events: [{ kind: 'delete', key: aliveKey('h1'), modRevision: 2 }] });
  await tables.waitFor(2);
  assert.equal(tables.of('alive').get('h1'), undefined);
  await stop();
});

test('after a break the watch resumes; after compaction only differences are told', async () => {
  const store = new ScriptedStore();
  store.content = [kv(objectKey('port', 'a'), port('a'), 1), kv(objectKey('port', 'b'), port('b'), 1)];
  const { tables, seen, stop } = await started(store);
  store.send(new StoreError('unavailable', 'gone'));
  store.send({ revision: 3, events: [] });
  await tables.waitFor(3);
  assert.deepEqual(store.watchedFrom, [2, 2]);
  seen.length = 0;
  store.revision = 10;
  store.content = [kv(objectKey('port', 'a'), port('a'), 1), kv(objectKey('port', 'c'), port('c'), 8)];
  store.send(new StoreError('compacted', 'too old'));
  assert.equal(await tables.waitFor(10), true);
  const told = seen.flatMap((one) => one.changes).map(({ id, before, after }) => [id, before?.id, after?.id]);
  assert.deepEqual(told.sort(), [
    ['b', 'b', undefined],
    ['c', undefined, 'c'],
  ]);
  store.send({ revision: 11, events: [] });
  await tables.waitFor(11);
  assert.equal(store.watchedFrom.at(-1), 11);
  await stop();
});

test('an unreadable object is left out, the others stay', async () => {
  const store = new ScriptedStore();
  store.content = [
    { ...kv(objectKey('port', 'a'), {}, 1), value: 'not json' },
    kv(objectKey('port', 'b'), port('b'), 1),
    kv(objectKey('unknown_type', 'c'), { id: 'c' }, 1),
  ];
  const { tables, stop } = await started(store);
  assert.deepEqual(
    [...tables.of('port').values()].map((row) => row.id),
    ['b'],
  );
  await stop();
});

test('whoever waits for a revision is woken even if a listener fails, and finds what listeners keep up to date', async () => {
  const store = new ScriptedStore();
  const { tables, stop } = await started(store);
  let heard = 0;
  const forget = tables.onChange((revision) => {
    heard = revision;
  });
  const first = tables.waitFor(2).then(() => heard);
  store.send({ revision: 2, events: [] });
  assert.equal(await first, 2);
  forget();
  tables.onChange(() => {
    throw new Error('a defect');
  });
  const second = tables.waitFor(3, 60_000);
  store.send({ revision: 3, events: [] });
  assert.equal(await second, true);
  await stop();
});

test('the first list is told in portions, before the tables have a revision; start ends when all is in', async () => {
  const store = new ScriptedStore();
  store.revision = 9;
  store.content = ['a', 'b', 'c'].map((id, at) => kv(objectKey('port', id), port(id), at + 1));
  const { tables, seen, stop } = await started(store);
  const told = seen.map(({ revision, changes }) => `${revision}:${changes.map((one) => one.id)}`);
  assert.deepEqual(
    told.filter((one) => !one.endsWith(':')),
    ['0:a', '0:b', '0:c'],
  );
  assert.equal(seen.at(-1)?.revision, 9);
  assert.equal(tables.of('port').size, 3);
  await stop();
});

test('while the store is listed anew, readers see the tables as they were, then all at once as they are', async () => {
  const store = new ScriptedStore();
  store.content = ['a', 'b', 'c'].map((id) => kv(objectKey('port', id), port(id), 1));
  const { tables, seen, stop } = await started(store);
  const state = (): string =>
    [...tables.of('port').values()]
      .map((row) => `${row.id}${row.name ?? ''}`)
      .sort()
      .join();
  const states = new Set<string>();
  store.betweenPages = async () => {
    states.add(`${tables.revision} ${state()}`);
    await new Promise(setImmediate);
  };
  seen.length = 0;
  store.revision = 20;
  store.content = [
    kv(objectKey('port', 'a'), port('a', { name: 'A' }), 12),
    kv(objectKey('port', 'c'), port('c'), 1),
    kv(objectKey('port', 'd'), port('d'), 13),
  ];
  store.send(new StoreError('compacted', 'too old'));
  assert.equal(await tables.waitFor(20), true);
  assert.deepEqual([...states], ['1 a,b,c']);
  assert.equal(state(), 'aA,c,d');
  assert.equal(seen.length, 1);
  assert.deepEqual(seen[0]?.changes.map((one) => one.id).sort(), ['a', 'b', 'd']);
  await stop();
});

test('a list whose revision the store forgets meanwhile begins anew', async () => {
  const store = new ScriptedStore();
  store.content = ['a', 'b', 'c'].map((id) => kv(objectKey('port', id), port(id), 1));
  let portions = 0;
  store.betweenPages = async () => {
    portions += 1;
    if (portions !== 3) return;
    store.revision = 5;
    store.content = [kv(objectKey('port', 'b'), port('b', { name: 'B' }), 4), ...store.content.slice(2)];
    throw new StoreError('compacted', 'too old');
  };
  const { tables, stop } = await started(store);
  assert.equal(tables.revision, 5);
  assert.deepEqual(
    (tables.any('port').sorted('id') ?? [])
      .flat()
      .map((row) => `${row.id}${row['name'] ?? ''}`)
      .sort(),
    ['bB', 'c'],
  );
  await stop();
});

test('after a restore everything is listed anew, though revisions fall, and followed from there', async () => {
  const store = new ScriptedStore();
  store.revision = 9;
  store.content = [
    kv(objectKey('network', 'kept'), { id: 'kept', name: 'before' }, 5),
    kv(objectKey('network', 'lost'), { id: 'lost' }, 9),
  ];
  const { tables, seen, stop } = await started(store);
  store.revision = 6;
  store.content = [kv(objectKey('network', 'kept'), { id: 'kept', name: 'after' }, 5)];
  await tables.relist();
  assert.equal(tables.revision, 6);
  assert.equal(tables.of('network').get('kept')?.name, 'after');
  assert.equal(tables.of('network').get('lost'), undefined);
  assert.deepEqual(
    seen
      .at(-1)
      ?.changes.map(({ id }) => id)
      .sort(),
    ['kept', 'lost'],
  );
  store.send({ revision: 7, events: [{ kind: 'put', kv: kv(objectKey('network', 'new'), { id: 'new' }, 7) }] });
  assert.equal(await tables.waitFor(7), true);
  assert.deepEqual(store.watchedFrom, [10, 7]);
  await stop();
});

test('claims and references do not come with the watch', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-tables-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  t.after(() => store.close());
  const came: string[] = [];
  async function* watch(...args: Parameters<Store['watch']>): AsyncGenerator<WatchBatch> {
    for await (const batch of store.watch(...args)) {
      for (const event of batch.events) came.push(event.kind === 'put' ? event.kv.key : event.key);
      yield batch;
    }
  }
  const abort = new AbortController();
  t.after(() => abort.abort());
  const tables = new Tables({
    store: { listPages: (prefix) => store.listPages(prefix), watch },
    resources: BUILT_IN_RESOURCES,
    log: silentLogger(),
    signal: abort.signal,
  });
  await tables.start();
  const [object, mark] = [objectKey('network', 'n'), historyMarkKey(1)];
  const keys = [object, claimKey('vni', '1'), referenceKey('network', 'n', 'port', 'p'), aliveKey('h'), mark];
  const { revision } = await store.txn(
    [],
    keys.map((key) => ({ kind: 'put', key, value: JSON.stringify({ id: 'n' }) })),
  );
  assert.equal(await tables.waitFor(revision), true);
  assert.deepEqual(came.sort(), [aliveKey('h'), mark, object].sort());
});

const gadget = defineResource({
  ...{ name: 'gadget', plural: 'gadgets', label: 'Gadget', prefix: '/v2.0', path: 'gadgets', description: 'A gadget.' },
  ...{ verbs: ['list'], standard: true, stored: true, attributes: { size: { type: 'integer', indexed: true } } },
});

test('a type that is loaded later has its rows as they are, whatever came while they were listed', async () => {
  const store = new ScriptedStore();
  store.revision = 5;
  const key = (id: string): string => objectKey('gadget', id);
  store.content = ['a', 'b', 'c'].map((id) => kv(key(id), { id, size: 1 }, 3));
  const { tables, stop } = await started(store);
  store.betweenPages = async () => {
    store.betweenPages = () => Promise.resolve();
    store.send({
      revision: 7,
      events: [
        { kind: 'delete', key: key('b'), modRevision: 6 },
        { kind: 'put', kv: kv(key('c'), { id: 'c', size: 2 }, 7) },
        { kind: 'put', kv: kv(key('d'), { id: 'd', size: 2 }, 7) },
      ],
    });
    await tables.waitFor(7);
  };
  const staged = await tables.stage([...BUILT_IN_RESOURCES, gadget]);
  assert.throws(() => tables.any('gadget'), /the type gadget is not loaded/);
  store.send({ revision: 8, events: [{ kind: 'delete', key: key('d'), modRevision: 8 }] });
  await tables.waitFor(8);
  assert.equal(staged.commit(), true);
  const ids = (size: string): readonly string[] =>
    tables
      .any('gadget')
      .by('size', size)
      .map(({ id }) => id);
  assert.deepEqual([ids('1'), ids('2')], [['a'], ['c']]);
  assert.equal(tables.modRevision('gadget', 'c'), 7);
  store.send({ revision: 9, events: [{ kind: 'delete', key: key('a'), modRevision: 9 }] });
  await tables.waitFor(9);
  assert.deepEqual(ids('1'), []);
  assert.equal((await tables.stage(BUILT_IN_RESOURCES)).commit(), true);
  assert.throws(() => tables.any('gadget'), /the type gadget is not loaded/);
  await stop();
});

test('a type with another attribute has its index and default, for whoever holds the table already', async () => {
  const store = new ScriptedStore();
  store.content = [
    kv(objectKey('port', 'a'), port('a'), 1),
    kv(objectKey('port', 'b'), port('b', { tier: 'gold' }), 1),
  ];
  const { tables, stop } = await started(store);
  const held = tables.any('port');
  const tier = { type: 'string', default: 'silver', indexed: true } as const;
  const resources = BUILT_IN_RESOURCES.map((one) =>
    one.type === 'port' ? { ...one, storedAttributes: { ...one.storedAttributes, tier } } : one,
  );
  const staged = await tables.stage(resources);
  assert.equal(tables.hasIndex('port', 'tier'), false);
  assert.equal(staged.commit(), true);
  assert.equal(tables.any('port'), held);
  assert.deepEqual(
    ['silver', 'gold'].map((value) => held.by('tier', value).map(({ id }) => id)),
    [['a'], ['b']],
  );
  store.send({ revision: 2, events: [{ kind: 'put', kv: kv(objectKey('port', 'c'), port('c'), 2) }] });
  await tables.waitFor(2);
  assert.equal(held.by('tier', 'silver').length, 2);
  await stop();
});

test('tables that were filled before the store was listed anew are not taken', async () => {
  const store = new ScriptedStore();
  store.content = [kv(objectKey('gadget', 'a'), { id: 'a', size: 1 }, 1)];
  const { tables, stop } = await started(store);
  const staged = await tables.stage([...BUILT_IN_RESOURCES, gadget]);
  await tables.relist();
  assert.equal(staged.commit(), false);
  assert.throws(() => tables.any('gadget'), /not loaded/);
  // What is taken while a list is under way makes that list begin anew, with the new type.
  const again = await tables.stage([...BUILT_IN_RESOURCES, gadget]);
  store.betweenPages = () => {
    store.betweenPages = () => Promise.resolve();
    assert.equal(again.commit(), true);
    return Promise.resolve();
  };
  store.content = [
    kv(objectKey('network', 'n'), { id: 'n' }, 1),
    kv(objectKey('gadget', 'b'), { id: 'b', size: 1 }, 1),
  ];
  await tables.relist();
  assert.deepEqual(
    [...tables.any('gadget').values()].map(({ id }) => id),
    ['b'],
  );
  await stop();
});
