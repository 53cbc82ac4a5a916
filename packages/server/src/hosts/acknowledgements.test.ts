import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Table } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import { parseRuntime } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { Acknowledgements, acknowledgedRevision, refusedEntries } from './acknowledgements.ts';

/** Two servers, a and b, over the same rows. */
function setUp() {
  const rows = { alive: new Table<AnyObject>('alive', {}), server: new Table<AnyObject>('server', {}) };
  const tables = { of: (type: 'alive' | 'server') => rows[type] } as unknown as Pick<Tables, 'of'>;
  const owed = new Set<string>();
  const [a, b] = ['a', 'b'].map(
    (server) => new Acknowledgements({ tables, server, owes: (host) => owed.has(host) }),
  ) as [Acknowledgements, Acknowledgements];
  const put = (type: 'alive' | 'server', id: string, value: object): void => {
    const parsed = parseRuntime(`${type}/${id}`, JSON.stringify(value));
    if (parsed !== undefined) rows[type].put(id, parsed.row);
  };
  const enter = (server: 'a' | 'b', host: string, entry: number): void => {
    (server === 'a' ? a : b).enter(host, entry, true);
    (server === 'a' ? a : b).sent(host, 1000);
    put('alive', host, { server, entry });
  };
  return { a, b, owed, put, enter, tables };
}

test('a host that has acknowledged all that was sent to it is up to date at any revision', () => {
  const { a, enter, owed } = setUp();
  enter('a', 'h', 1);
  a.opened('h', 0);
  assert.equal(a.covers('h', 1), false, 'it has said nothing yet');
  a.sent('h', 7);
  a.hear('h', 6);
  assert.deepEqual([a.covers('h', 6), a.covers('h', 7)], [true, false]);
  a.hear('h', 7);
  assert.equal(a.covers('h', 1_000_000), true);
  owed.add('h');
  assert.deepEqual([a.covers('h', 7), a.covers('h', 8)], [true, false], 'something is on its way');
});

test('what a client held when it resumed must be acknowledged too', () => {
  const { a, enter } = setUp();
  enter('a', 'h', 1);
  a.opened('h', 9);
  a.hear('h', 5);
  assert.equal(a.covers('h', 6), false);
  a.hear('h', 9);
  assert.equal(a.covers('h', 12), true);
});

test('a new run of the agent has to speak anew', () => {
  const { a, enter } = setUp();
  enter('a', 'h', 1);
  a.hear('h', 9);
  a.enter('h', 2, false);
  assert.equal(a.programmed('h'), 9);
  a.enter('h', 3, true);
  assert.equal(a.programmed('h'), 0);
});

test('another server knows all hosts by a floor and the few that lag', () => {
  const { a, b, enter, put, tables } = setUp();
  for (let n = 0; n < 300; n += 1) enter('a', `h${n}`, n + 1);
  for (let n = 0; n < 300; n += 1) a.hear(`h${n}`, n < 10 ? 3 : 20);
  put('server', 'a', { ...a.floor(20), entered: 300 });
  assert.equal(b.covers('h200', 20), true);
  assert.equal(b.covers('h200', 21), false, 'it may not know that yet');
  assert.deepEqual([b.covers('h3', 3), b.covers('h3', 4)], [true, false]);
  assert.equal(acknowledgedRevision(tables, 'h3'), 3);
  assert.equal(acknowledgedRevision(tables, 'h200'), 20);
  assert.equal(acknowledgedRevision(tables, 'nobody'), null);
});

test('however many lag, a server names few, and the floor is what the others of them have', () => {
  const { a, b, enter, put } = setUp();
  for (let n = 0; n < 300; n += 1) {
    enter('a', `h${n}`, n + 1);
    a.hear(`h${n}`, n + 1);
  }
  const row = { ...a.floor(1000), entered: 300 };
  assert.equal(Object.keys(row.behind).length, 64);
  assert.equal(row.floor, 65);
  put('server', 'a', row);
  for (let n = 0; n < 300; n += 1) assert.equal(b.covers(`h${n}`, n + 2), false, 'never more than it has');
});

test('a floor says nothing of a host that came after it was written', () => {
  const { a, b, enter, put } = setUp();
  put('server', 'a', { ...a.floor(20), entered: 0 });
  enter('a', 'h', 1);
  assert.equal(b.covers('h', 1), false);
  a.hear('h', 5);
  put('server', 'a', { ...a.floor(20), entered: 1 });
  assert.deepEqual([b.covers('h', 5), b.covers('h', 6)], [true, false]);
});

test('a host that has gone to another server, and a server that is gone, are not believed', () => {
  const { a, b, enter, put } = setUp();
  enter('a', 'h', 1);
  a.hear('h', 20);
  put('server', 'a', { ...a.floor(20), entered: 1 });
  assert.equal(b.covers('h', 20), true);
  put('alive', 'h', { server: 'gone', entry: 1 });
  assert.equal(b.covers('h', 1), false);
  enter('b', 'h', 1);
  a.leave('h', 1);
  assert.equal(a.covers('h', 1), false);
});

test('a host is not forgotten for an entry that a later one has replaced', () => {
  const { a, enter } = setUp();
  enter('a', 'h', 1);
  a.enter('h', 2, false);
  a.hear('h', 4);
  a.leave('h', 1);
  assert.equal(a.programmed('h'), 4);
  assert.deepEqual(a.floor(9).behind, { h: 4 });
  a.leave('h', 2);
  assert.deepEqual(a.floor(9), { floor: 9, behind: {} });
});

test('what a host has programmed is not known until it has said so, and not of a host that is not alive', () => {
  const { a, enter, put, tables } = setUp();
  const shown = (): number | null => {
    put('server', 'a', { ...a.floor(40), entered: 9 });
    return acknowledgedRevision(tables, 'h');
  };
  assert.equal(shown(), null);
  enter('a', 'h', 1);
  assert.equal(shown(), null, 'it has said nothing');
  a.hear('h', 0);
  assert.equal(shown(), null, 'it has not looked yet');
  a.hear('h', 30);
  assert.equal(shown(), 30);
  a.hear('h', 1000);
  assert.equal(shown(), 40);
  enter('a', 'h', 10);
  assert.equal(shown(), null, 'the server said that before it came back');
});

test('what a host refuses is told by its server, until it refuses nothing, has another run or is gone', () => {
  const { a, enter, put, tables } = setUp();
  const full = { entries: 3, reason: 'full' };
  const shown = (): unknown => {
    put('server', 'a', { ...a.floor(20), entered: 9, refused: a.refused() });
    return refusedEntries(tables, 'h');
  };
  enter('a', 'h', 1);
  assert.equal(shown(), undefined);
  assert.deepEqual([a.hearRefused('h', full), a.hearRefused('h', { ...full, entries: 4 })], [true, false]);
  assert.deepEqual(shown(), { ...full, entries: 4 });
  a.enter('h', 2, false);
  assert.notEqual(shown(), undefined, 'the same run');
  a.enter('h', 3, true);
  assert.equal(shown(), undefined, 'another run');
  a.hearRefused('h', full);
  assert.equal(a.hearRefused('h', undefined), true);
  assert.equal(shown(), undefined);
  a.hearRefused('h', full);
  assert.notEqual(shown(), undefined);
  a.leave('h', 3);
  assert.equal(shown(), undefined, 'not alive');
});

test('a host may be named like a member that every object has', () => {
  const { a, enter, put, tables } = setUp();
  for (const host of ['constructor', 'toString', 'hasOwnProperty', '__proto__']) {
    enter('a', host, 1);
    put('server', 'a', { floor: 20, behind: {}, entered: 9, refused: {} });
    assert.deepEqual([acknowledgedRevision(tables, host), refusedEntries(tables, host)], [20, undefined], host);
    a.hear(host, 7);
    a.hearRefused(host, { entries: 3, reason: 'full' });
    put('server', 'a', { ...a.floor(20), entered: 9, refused: a.refused() });
    assert.equal(acknowledgedRevision(tables, host), 7, host);
    assert.deepEqual(refusedEntries(tables, host), { entries: 3, reason: 'full' }, host);
    a.leave(host, 1);
  }
});
