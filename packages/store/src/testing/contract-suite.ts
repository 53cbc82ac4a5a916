import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Compare, ListPage, Op, Store, WatchBatch } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { MAX_KEY_BYTES, MAX_TXN_BYTES, MAX_TXN_OPS } from '../limits.ts';
import { hasSerialOrder } from './serial-order.ts';
import { eventsOf, formatEvent, watchUntil } from './watching.ts';

/** A connected store; the suite closes it. */
type Open = (t: TestContext) => Promise<Store>;

/**
 * What every store does, run on each. Tests use prefixes of their own. `openSmall`: a store of its own with room for a megabyte at least, and for not
 * more than some dozens.
 */
export function contractSuite(name: string, open: Open, openSmall: Open): void {
  const checkOn =
    (opened: Open): Check =>
    (title, body) => {
      test(`${name}: ${title}`, { timeout: 60_000 }, async (t) => {
        const store = await opened(t);
        t.after(() => store.close());
        await body(store, `/suite/${title.replaceAll(' ', '-')}/`, t);
      });
    };
  for (const suite of [reads, transactions, wide, watches, compaction, leases, limits, lifecycle]) suite(checkOn(open));
  room(checkOn(openSmall));
}

type Check = (title: string, body: (store: Store, prefix: string, t: TestContext) => Promise<void>) => void;

const put = (key: string, value: string, lease?: string): Op => ({
  kind: 'put',
  key,
  value,
  ...(lease === undefined ? {} : { lease }),
});

async function write(store: Store, ...ops: readonly Op[]): Promise<number> {
  const result = await store.txn([], ops);
  assert(result.ok);
  return result.revision;
}

async function refusal(code: string, promise: Promise<unknown>): Promise<StoreError> {
  const err = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert(err instanceof StoreError, `expected a StoreError ${code}, got ${String(err)}`);
  assert.equal(err.code, code);
  return err;
}

function reads(check: Check): void {
  check('a key has its value, its revisions and no lease', async (store, prefix) => {
    const first = await write(store, put(`${prefix}a`, 'one'));
    const second = await write(store, put(`${prefix}a`, 'two\nlines, ünïcode'));
    assert(second > first);
    assert.deepEqual(await store.get(`${prefix}a`), {
      key: `${prefix}a`,
      value: 'two\nlines, ünïcode',
      createRevision: first,
      modRevision: second,
      lease: null,
    });
    await write(store, { kind: 'delete', key: `${prefix}a` });
    assert.equal(await store.get(`${prefix}a`), undefined);
    const again = await write(store, put(`${prefix}a`, ''));
    assert.equal((await store.get(`${prefix}a`))?.createRevision, again);
  });

  check('list gives the keys of a prefix in byte order', async (store, prefix) => {
    const names = ['b', 'a', 'ab', 'a/b', 'a-b', 'Z', 'ä', '😀', '\uffee'];
    await write(store, ...names.map((name) => put(`${prefix}k/${name}`, name)), put(`${prefix}l`, 'other'));
    const { kvs, revision } = await store.list(`${prefix}k/`);
    const sorted = names.map((name) => Buffer.from(name)).sort(Buffer.compare);
    assert.deepEqual(
      kvs.map((kv) => kv.value),
      sorted.map(String),
    );
    assert(kvs.every((kv) => kv.modRevision === revision));
  });

  check('list gives thousands of keys and megabytes', async (store, prefix) => {
    const value = 'x'.repeat(3000);
    for (let page = 0; page < 25; page += 1) {
      await write(store, ...Array.from({ length: 100 }, (_, i) => put(`${prefix}${page}/${i}`, value)));
    }
    const { kvs } = await store.list(prefix);
    assert.equal(new Set(kvs.map((kv) => kv.key)).size, 2500);
    assert(kvs.every((kv) => kv.value === value));
  });

  check('a list in portions is of one revision, whatever is written between them', async (store, prefix) => {
    const key = (i: number): string => `${prefix}k/${String(i).padStart(4, '0')}`;
    for (let at = 0; at < 5000; at += 100) {
      await write(store, ...Array.from({ length: 100 }, (_, i) => put(key(at + i), 'before')));
    }
    const whole = await store.list(`${prefix}k/`);
    const portions: ListPage[] = [];
    for await (const portion of store.listPages(`${prefix}k/`)) {
      portions.push(portion);
      const last = 4999 - portions.length;
      await write(store, put(key(last), 'after'), put(`${prefix}k/9999`, 'new'), { kind: 'delete', key: key(4999) });
    }
    assert(portions.length > 1);
    assert(portions.every((portion) => portion.revision === whole.revision && portion.kvs.length < 1000));
    assert.deepEqual(
      portions.flatMap((portion) => portion.kvs),
      whole.kvs,
    );
    const now = await store.list(`${prefix}k/`);
    assert.notEqual(now.revision, whole.revision);
    assert.equal(now.kvs.at(-1)?.value, 'new');
  });

  check(
    'a list in portions of nothing has one, with the revision; it can be left before its end',
    async (store, prefix) => {
      const revision = await write(store, ...Array.from({ length: 128 }, (_, i) => put(`${prefix}k/${i}`, '')));
      const portions: ListPage[] = [];
      for await (const portion of store.listPages(`${prefix}none/`)) portions.push(portion);
      assert.deepEqual(portions, [{ revision, kvs: [] }]);
      for (let at = 0; at < 8; at += 1) {
        await write(store, ...Array.from({ length: 128 }, (_, i) => put(`${prefix}l/${at}/${i}`, '')));
      }
      for await (const portion of store.listPages(prefix)) {
        assert(portion.kvs.length > 0);
        break;
      }
      await write(store, { kind: 'deletePrefix', prefix: `${prefix}k/` });
      assert.equal((await store.list(prefix)).kvs.length, 1024);
    },
  );
}

function transactions(check: Check): void {
  check('each kind of compare holds exactly when it is true', async (store, prefix) => {
    const key = `${prefix}dir/there`;
    const revision = await write(store, put(key, 'value'));
    const absent = `${prefix}absent`;
    const cases: readonly (readonly [boolean, Compare])[] = [
      [true, { kind: 'exists', key }],
      [false, { kind: 'exists', key: absent }],
      [true, { kind: 'absent', key: absent }],
      [false, { kind: 'absent', key }],
      [true, { kind: 'modRevision', key, revision }],
      [false, { kind: 'modRevision', key, revision: revision - 1 }],
      [false, { kind: 'modRevision', key: absent, revision }],
      [true, { kind: 'modRevision', key: absent, revision: 0 }],
      [true, { kind: 'value', key, value: 'value' }],
      [false, { kind: 'value', key, value: 'other' }],
      [false, { kind: 'value', key: absent, value: '' }],
      [true, { kind: 'prefixEmpty', prefix: `${prefix}empty/` }],
      [false, { kind: 'prefixEmpty', prefix: `${prefix}dir/` }],
      [false, { kind: 'prefixEmpty', prefix: key }],
      [true, { kind: 'prefixEmpty', prefix: key, except: [key] }],
      [true, { kind: 'prefixEmpty', prefix: `${prefix}dir/`, except: [key] }],
      [false, { kind: 'prefixEmpty', prefix: `${prefix}dir/`, except: [`${key}/`, `${prefix}dir/ther`, absent] }],
    ];
    for (const [expected, compare] of cases) {
      const result = await store.txn([compare], []);
      assert.equal(result.ok, expected, JSON.stringify(compare));
    }
  });

  check('a prefix is empty but for exceptions exactly when every other key is absent', async (store, prefix) => {
    const names = ['', '!', 'a', 'a!', 'aa', 'b', 'b/1', 'ü', '\uffee', '😀'];
    for (let round = 0; round < 200; round += 1) {
      const there = names.filter((_, i) => ((round * 7919) >> i) & 1).map((name) => `${prefix}k/${name}`);
      const except = names.filter((_, i) => ((round * 104_729) >> i) & 1).map((name) => `${prefix}k/${name}`);
      await write(store, { kind: 'deletePrefix', prefix: `${prefix}k/` });
      await write(
        store,
        put(`${prefix}k`, 'before'),
        put(`${prefix}k0`, 'behind'),
        ...there.map((key) => put(key, '')),
      );
      const compare = {
        kind: 'prefixEmpty',
        prefix: `${prefix}k/`,
        except: [...except, ...except.slice(0, 2), '/other'],
      } as const;
      const { ok } = await store.txn([compare], [put(`${prefix}k0`, 'seen')]);
      assert.equal(
        ok,
        there.every((key) => except.includes(key)),
        JSON.stringify({ there, except }),
      );
    }
  });

  check('a range is empty exactly when no key is at or behind its start and before its end', async (store, prefix) => {
    await write(store, put(`${prefix}r/b`, ''), put(`${prefix}r/d/1`, ''), put(`${prefix}r/d0`, ''));
    const cases: readonly (readonly [boolean, string, string])[] = [
      [true, 'r/', 'r/b'],
      [false, 'r/', 'r/b!'],
      [false, 'r/b', 'r/b!'],
      [true, 'r/b!', 'r/d/'],
      [false, 'r/b!', 'r/d/2'],
      [true, 'r/d/2', 'r/d0'],
      [true, 'r/d0!', 'r0'],
      [true, 'r/z', 'r/a'],
    ];
    for (const [expected, from, to] of cases) {
      const compare = { kind: 'rangeEmpty', from: `${prefix}${from}`, to: `${prefix}${to}` } as const;
      const { ok } = await store.txn([compare], [put(`${prefix}seen`, '')]);
      assert.equal(ok, expected, JSON.stringify(compare));
    }
  });

  check('thousands of parts are deleted in one transaction that no other part may join', async (store, prefix) => {
    const parts = Array.from({ length: 4000 }, (_, i) => `${prefix}of/${i}`);
    await write(store, ...parts.map((key) => put(key, '')));
    const remove = (except: readonly string[]) =>
      store.txn(
        [{ kind: 'prefixEmpty', prefix: `${prefix}of/`, except }],
        except.map((key): Op => ({ kind: 'delete', key })),
      );
    await write(store, put(`${prefix}of/late`, ''));
    assert.equal((await remove(parts)).ok, false);
    assert.equal((await store.list(prefix)).kvs.length, 4001);
    assert.equal((await remove([...parts, `${prefix}of/late`])).ok, true);
    assert.deepEqual((await store.list(prefix)).kvs, []);
  });

  check('one failed compare refuses everything', async (store, prefix) => {
    await write(store, put(`${prefix}a`, '1'));
    const before = (await store.list(prefix)).revision;
    const result = await store.txn(
      [
        { kind: 'exists', key: `${prefix}a` },
        { kind: 'absent', key: `${prefix}a` },
        { kind: 'prefixEmpty', prefix: `${prefix}new/` },
        { kind: 'value', key: `${prefix}a`, value: '2' },
      ],
      [put(`${prefix}new/x`, '1'), { kind: 'delete', key: `${prefix}a` }],
    );
    assert.equal(result.ok, false);
    assert(result.revision >= before);
    assert.deepEqual(
      (await store.list(prefix)).kvs.map((kv) => kv.key),
      [`${prefix}a`],
    );
  });

  check(
    'a transaction of several ops has one revision; one that changes nothing changes no key',
    async (store, prefix) => {
      await write(store, put(`${prefix}old/1`, ''), put(`${prefix}old/2`, ''), put(`${prefix}b`, ''));
      const revision = await write(
        store,
        put(`${prefix}a`, '1'),
        { kind: 'delete', key: `${prefix}b` },
        { kind: 'deletePrefix', prefix: `${prefix}old/` },
      );
      const { kvs } = await store.list(prefix);
      assert.deepEqual(
        kvs.map((kv) => [kv.key, kv.modRevision]),
        [[`${prefix}a`, revision]],
      );
      const nothing = await store.txn([], [{ kind: 'delete', key: `${prefix}gone` }]);
      assert.equal(nothing.ok, true);
      assert((await write(store, { kind: 'deletePrefix', prefix: `${prefix}none/` })) >= revision);
      assert.equal((await store.get(`${prefix}a`))?.modRevision, revision);
    },
  );

  check('of many that create one key, exactly one wins', async (store, prefix) => {
    for (const compare of [
      { kind: 'absent', key: `${prefix}absent/k` },
      { kind: 'prefixEmpty', prefix: `${prefix}prefix/` },
    ] as const) {
      const key = compare.kind === 'absent' ? compare.key : `${prefix}prefix/k`;
      const results = await Promise.all(
        Array.from({ length: 50 }, (_, i) => store.txn([compare], [put(key, String(i)), put(`${prefix}by/${i}`, '')])),
      );
      const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
      assert.equal(winners.length, 1);
      assert.equal((await store.get(key))?.value, String(winners[0]));
      assert.deepEqual(
        (await store.list(`${prefix}by/`)).kvs.map((kv) => kv.key),
        [`${prefix}by/${winners[0]}`],
      );
      await write(store, { kind: 'deletePrefix', prefix: `${prefix}by/` });
    }
  });

  check('concurrent increments by compare lose none', async (store, prefix) => {
    const key = `${prefix}n`;
    await write(store, put(key, '0'));
    const increment = async (): Promise<void> => {
      for (;;) {
        const kv = await store.get(key);
        assert(kv);
        const next = put(key, String(Number(kv.value) + 1));
        if ((await store.txn([{ kind: 'modRevision', key, revision: kv.modRevision }], [next])).ok) return;
      }
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 10; i += 1) await increment();
      }),
    );
    assert.equal((await store.get(key))?.value, '80');
  });

  check('one that is given up while it waits is not done, and says so at once', async (store, prefix) => {
    const abort = new AbortController();
    const first = write(store, put(`${prefix}first`, '1'));
    const given = store.txn([], [put(`${prefix}given-up`, '1')], { signal: abort.signal });
    const late = store.txn([], [put(`${prefix}late`, '1')], { deadlineMs: performance.now() - 1 });
    const never = store.txn([], [put(`${prefix}never`, '1')], { signal: AbortSignal.abort() });
    const inTime = store.txn([], [put(`${prefix}in-time`, '1')], { deadlineMs: performance.now() + 20_000 });
    abort.abort();
    for (const promise of [given, late, never]) assert.equal((await refusal('not-sent', promise)).retryable, true);
    await first;
    assert.equal((await inTime).ok, true);
    await write(store, put(`${prefix}last`, '1'));
    const left = (await store.list(prefix)).kvs.map((kv) => kv.key.slice(prefix.length));
    assert.deepEqual(left, ['first', 'in-time', 'last']);
  });

  check('many at once are as if one came after the other', async (store, prefix) => {
    const keys = ['a/1', 'a/2', 'b/1', 'b/2'].map((name) => `${prefix}${name}`);
    const prefixes = ['a/', 'b/'].map((name) => `${prefix}${name}`);
    let seed = 1;
    const pick = <T>(of: readonly T[]): T => {
      seed = (seed * 48_271) % 2_147_483_647;
      return of[seed % of.length] as T;
    };
    const compare = (): Compare => {
      const kind = pick(['exists', 'absent', 'absent', 'value', 'prefixEmpty'] as const);
      if (kind === 'prefixEmpty')
        return { kind, prefix: pick(prefixes), except: pick([[], keys.slice(0, 1), keys.slice(0, 3)]) };
      return kind === 'value' ? { kind, key: pick(keys), value: pick(['0', '1', '2']) } : { kind, key: pick(keys) };
    };
    const op = (index: number): Op => {
      const kind = pick(['put', 'put', 'put', 'delete', 'deletePrefix'] as const);
      if (kind === 'deletePrefix') return { kind, prefix: pick(prefixes) };
      return kind === 'put' ? put(pick(keys), String(index)) : { kind, key: pick(keys) };
    };
    const stateOf = async () => new Map((await store.list(prefix)).kvs.map(({ key, value }) => [key, value]));
    let refused = 0;
    for (let round = 0; round < 150; round += 1) {
      const before = await stateOf();
      const wanted = Array.from({ length: 5 }, (_, index) => ({ compares: [compare()], ops: [op(index)] }));
      const tried = await Promise.all(
        wanted.map(async (txn) => ({ ...txn, ok: (await store.txn(txn.compares, txn.ops)).ok })),
      );
      refused += tried.filter(({ ok }) => !ok).length;
      assert(hasSerialOrder(before, tried, await stateOf()), JSON.stringify({ before: [...before], tried }));
    }
    assert(refused > 100 && refused < 650, `${refused} of 750 were refused`);
  });

  check('one that is at fault harms none of those that come with it', async (store, prefix) => {
    const lease = await store.grantLease(60);
    await store.revokeLease(lease);
    const good = Array.from({ length: 20 }, (_, i) => store.txn([], [put(`${prefix}good/${i}`, '1')]));
    const bad = refusal('lease-gone', store.txn([], [put(`${prefix}bad`, '1', lease)]));
    const refused = store.txn(
      [
        { kind: 'absent', key: `${prefix}none` },
        { kind: 'exists', key: `${prefix}none` },
      ],
      [],
    );
    const more = Array.from({ length: 20 }, (_, i) => store.txn([], [put(`${prefix}more/${i}`, '1')]));
    await bad;
    assert.equal((await refused).ok, false);
    assert((await Promise.all([...good, ...more])).every((result) => result.ok));
    assert.equal((await store.list(prefix)).kvs.length, 40);
  });
}

function wide(check: Check): void {
  const keys = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}k/${i}`);
  const absent = (key: string): Compare => ({ kind: 'absent', key });

  for (const count of [87, 88, 126, 127, 128, 186, 1984, 1985, 2049, 5000]) {
    check(`a transaction of ${count} compares and ops is all or nothing`, async (store, prefix) => {
      const all = keys(prefix, count);
      const before = (await store.list(`${prefix}none/`)).revision;
      const made = await store.txn(
        all.map(absent),
        all.map((key) => put(key, 'first')),
      );
      assert.equal(made.ok, true);
      const { kvs } = await store.list(`${prefix}k/`);
      assert.equal(kvs.length, count);
      assert(kvs.every((kv) => kv.modRevision === made.revision && made.revision > before));
      const more = keys(`${prefix}more/`, count);
      const position = Math.floor(count * 0.7);
      // One compare among them does not hold.
      const refused = await store.txn(
        more.map((key, index) => (index === position ? absent(all[3] ?? '') : absent(key))),
        [...more.slice(1).map((key) => put(key, 'second')), { kind: 'delete', key: all[5] ?? '' }],
      );
      assert.equal(refused.ok, false);
      assert.deepEqual((await store.list(`${prefix}more/`)).kvs, []);
      assert.equal((await store.list(`${prefix}k/`)).kvs.length, count);
      assert(refused.revision >= made.revision);
      const gone = await store.txn(
        all.map((key): Compare => ({ kind: 'modRevision', key, revision: made.revision })),
        all.map((key): Op => ({ kind: 'delete', key })),
      );
      assert.equal(gone.ok, true);
      assert.deepEqual((await store.list(`${prefix}k/`)).kvs, []);
    });
  }

  check('a wide transaction comes in one batch of a watch', async (store, prefix) => {
    const all = keys(prefix, 3000);
    const from = (await store.list(prefix)).revision + 1;
    await write(store, ...all.map((key) => put(key, 'x'.repeat(300))));
    const batches = await watchUntil(store, prefix, from, (seen) => eventsOf(seen).length >= 3000);
    assert.equal(batches.filter(({ events }) => events.length > 0).length, 1);
  });

  check('wide and narrow transactions at once leave what some serial order of them leaves', async (store, prefix) => {
    const all = keys(prefix, 400);
    const counts: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const takes = Array.from({ length: 12 }, (_, n) => {
        const some = n % 3 === 0 ? all : all.slice(n * 30, n * 30 + 20);
        return store.txn(
          some.map(absent),
          some.map((key) => put(key, String(n))),
        );
      });
      const done = (await Promise.all(takes)).flatMap(({ ok }, n) => (ok ? [n] : []));
      const { kvs } = await store.list(`${prefix}k/`);
      const holders = new Set(kvs.map((kv) => Number(kv.value)));
      assert.deepEqual([...holders].sort(), [...done].sort(), 'whoever was told so, and nobody else, has keys');
      for (const n of done) assert.equal(kvs.filter((kv) => kv.value === String(n)).length, n % 3 === 0 ? 400 : 20);
      counts.push(done.length);
      await write(store, { kind: 'deletePrefix', prefix: `${prefix}k/` });
    }
    assert(counts.some((count) => count > 0));
  });

  check('a wide transaction with a key of a lease that has ended does nothing', async (store, prefix) => {
    const lease = await store.grantLease(60);
    await store.revokeLease(lease);
    const all = keys(prefix, 500);
    await refusal(
      'lease-gone',
      store.txn(
        [],
        all.map((key, index) => put(key, '', index === 333 ? lease : undefined)),
      ),
    );
    assert.deepEqual((await store.list(prefix)).kvs, []);
  });
}

function watches(check: Check): void {
  check('a watch gives the events of its prefix in order, a transaction in one batch', async (store, prefix) => {
    const from = (await store.list(prefix)).revision + 1;
    const all = watchUntil(store, prefix, from, (batches) => eventsOf(batches).length === 6);
    await write(store, put(`${prefix}a`, '1'), put(`${prefix}b`, '1'), put('/suite/elsewhere', '1'));
    await write(store, put('/suite/elsewhere', '2'));
    await write(store, put(`${prefix}a`, '2'));
    const last = await write(
      store,
      { kind: 'delete', key: `${prefix}a` },
      { kind: 'delete', key: `${prefix}b` },
      put(`${prefix}c`, '1'),
    );
    const batches = await all;
    assert.deepEqual(eventsOf(batches).map(formatEvent), [
      `+${prefix}a=1`,
      `+${prefix}b=1`,
      `+${prefix}a=2`,
      `-${prefix}a`,
      `-${prefix}b`,
      `+${prefix}c=1`,
    ]);
    assert.equal(batches.at(-1)?.revision, last);
    assertWhole(batches, from);
  });

  check('a watch resumed at any revision gives what came since', async (store, prefix) => {
    const revisions: number[] = [];
    for (let i = 0; i < 5; i += 1) revisions.push(await write(store, put(`${prefix}k`, String(i))));
    for (const [i, fromRevision] of revisions.entries()) {
      const batches = await watchUntil(store, prefix, fromRevision, (got) => eventsOf(got).length === 5 - i);
      const values = eventsOf(batches).map((event) => (event.kind === 'put' ? Number(event.kv.value) : -1));
      assert.deepEqual(values, [0, 1, 2, 3, 4].slice(i), `from revision ${fromRevision}`);
    }
  });

  check('a watch below a bound gives only the keys before it', async (store, prefix) => {
    const from = (await store.list(prefix)).revision + 1;
    const names = ['a', 'm', 'm!', 'x', 'x/1', '\uffee', '😀'];
    await write(store, ...names.map((name) => put(`${prefix}${name}`, '1')));
    const last = await write(store, ...names.map((name): Op => ({ kind: 'delete', key: `${prefix}${name}` })));
    for (const below of [...names.slice(1).map((name) => `${prefix}${name}`), `${prefix}m/`, '/zzz']) {
      const expected = names.filter((name) => Buffer.compare(Buffer.from(`${prefix}${name}`), Buffer.from(below)) < 0);
      const end = new AbortController();
      const seen: string[] = [];
      for await (const batch of store.watch(prefix, { fromRevision: from, below, signal: end.signal })) {
        seen.push(...batch.events.filter((event) => event.kind === 'delete').map(({ key }) => key));
        if (batch.revision >= last) end.abort();
      }
      assert.deepEqual(seen.sort(), expected.map((name) => `${prefix}${name}`).sort(), below);
    }
    const signal = new AbortController().signal;
    for (const below of [prefix, '/a', '']) {
      const watching = async (): Promise<void> => {
        for await (const _ of store.watch(prefix, { fromRevision: from, below, signal })) assert.fail();
      };
      await refusal('invalid', watching());
    }
  });

  check('events carry what a reader would have read', async (store, prefix) => {
    const lease = await store.grantLease(60);
    const from = await write(store, put(`${prefix}k`, '1', lease));
    const kv = await store.get(`${prefix}k`);
    const deleted = await write(store, { kind: 'delete', key: `${prefix}k` });
    const batches = await watchUntil(store, prefix, from, (got) => eventsOf(got).length === 2);
    assert.deepEqual(eventsOf(batches), [
      { kind: 'put', kv },
      { kind: 'delete', key: `${prefix}k`, modRevision: deleted },
    ]);
    assert.equal(kv?.lease, lease);
  });

  check('a follower that comes and goes ends with the same keys', async (store, prefix) => {
    const start = (await store.list(prefix)).revision + 1;
    const writers = Array.from({ length: 6 }, async (_, w) => {
      for (let i = 0; i < 40; i += 1) {
        const key = `${prefix}${(w * 7 + i) % 13}`;
        await write(
          store,
          i % 3 === 2 ? { kind: 'delete', key } : put(key, `${w}.${i}`),
          put(`${prefix}n${w}`, `${i}`),
        );
      }
    });
    const done = Promise.all(writers).then(() => write(store, put(`${prefix}end`, '1')));
    const state = new Map<string, string>();
    let next = start;
    while (!state.has(`${prefix}end`)) {
      // Leaves after a few batches, to resume after the last one.
      const batches = await watchUntil(store, prefix, next, (got) => got.length >= 5 || hasEnd(got, prefix));
      assertWhole(batches, next);
      for (const event of eventsOf(batches)) {
        if (event.kind === 'put') state.set(event.kv.key, event.kv.value);
        else state.delete(event.key);
      }
      next = (batches.at(-1)?.revision ?? next - 1) + 1;
    }
    await done;
    const { kvs } = await store.list(prefix);
    assert.deepEqual(
      Object.fromEntries([...state].sort()),
      Object.fromEntries(kvs.map((kv) => [kv.key, kv.value]).sort()),
    );
  });

  check('large transactions stay whole', async (store, prefix) => {
    const revisions: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const ops = Array.from({ length: 100 }, (_, k) => put(`${prefix}${k}`, `${i}`.repeat(9000)));
      revisions.push(await write(store, ...ops));
    }
    const batches = await watchUntil(store, prefix, revisions[0] ?? 0, (got) => eventsOf(got).length >= 600);
    assertWhole(batches, revisions[0] ?? 0);
    for (const revision of revisions) {
      const holders = batches.filter((batch) => batch.events.some((event) => revisionOfEvent(event) === revision));
      assert.equal(holders.length, 1);
      assert.equal(holders[0]?.events.filter((event) => revisionOfEvent(event) === revision).length, 100);
    }
  });
}

function hasEnd(batches: readonly WatchBatch[], prefix: string): boolean {
  return eventsOf(batches).some((event) => event.kind === 'put' && event.kv.key === `${prefix}end`);
}

function revisionOfEvent(event: WatchBatch['events'][number]): number {
  return event.kind === 'put' ? event.kv.modRevision : event.modRevision;
}

/** Batches rise, and every event lies after the batch before and not after its own. */
function assertWhole(batches: readonly WatchBatch[], from: number): void {
  let next = from;
  for (const batch of batches) {
    let last = next;
    for (const event of batch.events) {
      const revision = revisionOfEvent(event);
      assert(
        revision >= last && revision <= batch.revision,
        `event of ${revision} in batch ${next}..${batch.revision}`,
      );
      last = revision;
    }
    assert(batch.revision >= next);
    next = batch.revision + 1;
  }
}

function compaction(check: Check): void {
  check('compaction refuses older watches and keeps everything from its revision on', async (store, prefix) => {
    const first = await write(store, put(`${prefix}a`, '1'), put(`${prefix}b`, '1'));
    const second = await write(store, { kind: 'delete', key: `${prefix}a` });
    const third = await write(store, put(`${prefix}b`, '2'));
    await store.compact(second);
    await store.compact(second);
    await store.compact(first);
    const early = await refusal(
      'compacted',
      watchUntil(store, prefix, first, () => true),
    );
    assert.equal(early.retryable, false);
    const batches = await watchUntil(store, prefix, second, (got) => eventsOf(got).length === 2);
    assert.deepEqual(eventsOf(batches).map(formatEvent), [`-${prefix}a`, `+${prefix}b=2`]);
    assert.deepEqual(
      (await store.list(prefix)).kvs.map((kv) => [kv.key, kv.value]),
      [[`${prefix}b`, '2']],
    );
    await refusal('invalid', store.compact(third + 1000));
  });
}

function leases(check: Check): void {
  check('a lease that is not kept alive ends: keys go, watchers are told', async (store, prefix) => {
    const lease = await store.grantLease(1);
    const other = await store.grantLease(60);
    const from = await write(
      store,
      put(`${prefix}a`, '1', lease),
      put(`${prefix}b`, '1', lease),
      put(`${prefix}moved`, '1', lease),
      put(`${prefix}freed`, '1', lease),
    );
    await write(store, put(`${prefix}moved`, '2', other), put(`${prefix}freed`, '2'), put(`${prefix}stays`, '1'));
    const batches = await watchUntil(
      store,
      prefix,
      from,
      (got) => eventsOf(got).filter((event) => event.kind === 'delete').length === 2,
    );
    const deletes = eventsOf(batches).filter((event) => event.kind === 'delete');
    assert.deepEqual(deletes.map(formatEvent).sort(), [`-${prefix}a`, `-${prefix}b`]);
    assert.deepEqual(
      (await store.list(prefix)).kvs.map((kv) => kv.key),
      [`${prefix}freed`, `${prefix}moved`, `${prefix}stays`],
    );
    assert.equal(await store.keepAlive(lease), false);
    await refusal('lease-gone', store.txn([], [put(`${prefix}late`, '1', lease)]));
    assert.equal(await store.get(`${prefix}late`), undefined);
    await store.revokeLease(lease);
  });

  check('a lease that is kept alive lasts', async (store, prefix) => {
    const [kept, left] = [await store.grantLease(2), await store.grantLease(2)];
    const from = await write(store, put(`${prefix}kept`, '1', kept), put(`${prefix}left`, '1', left));
    let asked = 0;
    const timer = setInterval(() => {
      void store.keepAlive(kept).then((alive) => {
        asked += alive ? 1 : Number.NaN;
      });
    }, 400);
    try {
      await watchUntil(store, prefix, from + 1, (got) => eventsOf(got).length > 0);
    } finally {
      clearInterval(timer);
    }
    assert(asked > 0);
    assert.deepEqual(
      (await store.list(prefix)).kvs.map((kv) => kv.key),
      [`${prefix}kept`],
    );
  });

  check('revoking a lease deletes its keys in one batch', async (store, prefix) => {
    const lease = await store.grantLease(60);
    await write(store, put(`${prefix}a`, '1', lease));
    const from = (await write(store, put(`${prefix}b`, '1', lease))) + 1;
    assert.equal(await store.keepAlive(lease), true);
    await store.revokeLease(lease);
    const batches = await watchUntil(store, prefix, from, (got) => eventsOf(got).length > 0);
    assert.deepEqual(eventsOf(batches).map(formatEvent).sort(), [`-${prefix}a`, `-${prefix}b`]);
    assert.deepEqual((await store.list(prefix)).kvs, []);
  });
}

function limits(check: Check): void {
  check('what no store could hold is refused, with nothing done', async (store, prefix) => {
    const longest = prefix.padEnd(MAX_KEY_BYTES, 'k');
    const lease = await store.grantLease(60);
    await write(store, put(longest, 'v', lease));
    assert.equal((await store.get(longest))?.value, 'v');
    await refusal('too-large', store.txn([], [put(`${longest}k`, 'v')]));
    await refusal('too-large', store.txn([], [put(`${prefix}v`, 'x'.repeat(MAX_TXN_BYTES))]));
    await write(store, put(`${prefix}v`, 'x'.repeat(MAX_TXN_BYTES - 1000)));
    const many = Array.from({ length: MAX_TXN_OPS + 1 }, (_, i) => put(`/m/${i}`, ''));
    await refusal('too-large', store.txn([], many));
    const compares = many.map(({ kind: _, ...op }): Compare => ({ kind: 'absent', key: 'key' in op ? op.key : '' }));
    await refusal('too-large', store.txn(compares, []));
    const except = many.map((op) => ('key' in op ? op.key : ''));
    await refusal('too-large', store.txn([{ kind: 'prefixEmpty', prefix: '/m/', except: except.slice(1) }], []));
    assert.equal((await store.txn([{ kind: 'prefixEmpty', prefix: '/m/', except: except.slice(2) }], [])).ok, true);
    await refusal('invalid', store.txn([{ kind: 'prefixEmpty', prefix, except: [''] }], []));
    assert.equal((await store.txn(compares.slice(1), many.slice(1, 10))).ok, true);
    await write(store, { kind: 'deletePrefix', prefix: '/m/' });
    await write(store, ...many.slice(1));
    assert.equal((await store.list('/m/')).kvs.length, MAX_TXN_OPS);
    await write(store, { kind: 'deletePrefix', prefix: '/m/' });
    for (const bad of ['', 'a\u0000b', 'a\nb', '\ud800']) await refusal('invalid', store.txn([], [put(bad, 'v')]));
    await refusal('invalid', store.txn([], [put(`${prefix}a`, '1'), { kind: 'delete', key: `${prefix}a` }]));
    await refusal('invalid', store.txn([], [put(`${prefix}a`, '1'), { kind: 'deletePrefix', prefix }]));
    assert.equal(await store.get(`${prefix}a`), undefined);
    for (const ttl of [0, -1, 1.5, Number.NaN]) await refusal('invalid', store.grantLease(ttl));
  });
}

function room(check: Check): void {
  check(
    'what there is no room for is refused with nothing done, and what is there can be read and deleted',
    async (store, prefix) => {
      const value = 'v'.repeat(100_000);
      const keys: string[] = [];
      let refused: unknown;
      while (refused === undefined) {
        const key = `${prefix}${keys.length}`;
        await write(store, put(key, value)).then(
          () => keys.push(key),
          (err: unknown) => {
            refused = err;
          },
        );
        assert(keys.length < 1000);
      }
      const err = await refusal('full', Promise.reject(refused));
      assert.equal(err.retryable, true);
      assert.deepEqual((await store.list(prefix)).kvs.map((kv) => kv.key).sort(), [...keys].sort());
      // At the same time, so that they may be committed together.
      const [first = '', second = ''] = keys;
      const together = await Promise.allSettled([
        store.txn([{ kind: 'exists', key: first }], [{ kind: 'delete', key: first }]),
        store.txn([], [put(`${prefix}more`, value)]),
        store.txn([], [{ kind: 'delete', key: second }]),
      ]);
      assert.deepEqual(
        together.map((one) => one.status === 'fulfilled' && one.value.ok),
        [true, together[1]?.status === 'fulfilled', true],
      );
      assert.equal(
        (await store.list(prefix)).kvs.length,
        keys.length - 2 + (together[1]?.status === 'fulfilled' ? 1 : 0),
      );
    },
  );
}

function lifecycle(check: Check): void {
  check('it says that it has answered', async (store, prefix) => {
    await write(store, put(`${prefix}a`, '1'));
    assert(store.health().answeredAgoMs < 2000);
  });

  check('an aborted watch ends; a closed store refuses and ends its watches', async (store, prefix) => {
    const next = (await store.list(prefix)).revision + 1;
    const abort = new AbortController();
    const aborted = (async () => {
      for await (const _batch of store.watch(prefix, { fromRevision: next, signal: abort.signal })) assert.fail();
    })();
    setImmediate(() => abort.abort());
    await aborted;

    const live = watchUntil(store, prefix, next, () => false);
    setImmediate(() => void store.close());
    await refusal('closed', live);
    await store.close();
    await refusal('closed', store.get(`${prefix}a`));
    await refusal('closed', store.txn([], []));
    await refusal('closed', store.grantLease(1));
  });
}
