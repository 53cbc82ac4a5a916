import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Table } from './table.ts';

type Row = { readonly id: string; readonly network: string; readonly groups: readonly string[] };

function rows(): Table<Row, 'network' | 'groups'> {
  return new Table<Row, 'network' | 'groups'>('port', {
    network: (row) => [row.network],
    groups: (row) => row.groups,
  });
}

const ONE: Row = { id: '1', network: 'a', groups: ['x', 'y'] };

test('a row is found by its id and under each of its index keys', () => {
  const table = rows();
  assert.equal(table.put('1', ONE), undefined);
  assert.equal(table.get('1'), ONE);
  assert.deepEqual(table.by('network', 'a'), [ONE]);
  assert.deepEqual(table.by('groups', 'x'), [ONE]);
  assert.deepEqual(table.by('groups', 'y'), [ONE]);
  assert.deepEqual(table.by('groups', 'z'), []);
  assert.equal(table.size, 1);
  assert.deepEqual([...table.values()], [ONE]);
});

test('a replaced row leaves the keys it no longer has', () => {
  const table = rows();
  table.put('1', ONE);
  const moved = { ...ONE, network: 'b', groups: ['y'] };
  assert.equal(table.put('1', moved), ONE);
  assert.deepEqual(table.by('network', 'a'), []);
  assert.deepEqual(table.by('network', 'b'), [moved]);
  assert.deepEqual(table.by('groups', 'x'), []);
  assert.deepEqual(table.by('groups', 'y'), [moved]);
  assert.equal(table.size, 1);
});

test('deleting one of two rows under a key leaves the other; deleting an absent one does nothing', () => {
  const table = rows();
  const two = { ...ONE, id: '2' };
  table.put('1', ONE);
  table.put('2', two);
  assert.equal(table.delete('1'), ONE);
  assert.equal(table.delete('1'), undefined);
  assert.deepEqual(table.by('groups', 'x'), [two]);
  assert.equal(table.size, 1);
});

test('a row is put with its revision; the number under a key is told', () => {
  const table = rows();
  table.put('1', ONE, 7);
  table.put('2', { ...ONE, id: '2' }, 8);
  table.put('1', { ...ONE, groups: ['x', 'x'] }, 9);
  assert.equal(table.revisionOf('1'), 9);
  assert.equal(table.count('groups', 'x'), 2);
  assert.equal(table.count('groups', 'y'), 1);
  assert.equal(table.first('groups', 'y')?.id, '2');
  table.delete('1');
  table.put('3', { ...ONE, id: '3' });
  table.delete('2');
  assert.equal(table.revisionOf('1'), undefined);
  assert.deepEqual([...table.ids()], ['3']);
  assert.equal(table.first('network', 'none'), undefined);
});

test('every row is told in each order that is kept, as of the moment it was asked for', () => {
  const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const table = new Table<Row>(
    'port',
    {},
    {
      id: (a, b) => byText(a.id, b.id),
      network: (a, b) => byText(a.network, b.network) || byText(a.id, b.id),
    },
  );
  const ids = (order: string): string =>
    (table.sorted(order) ?? [])
      .flat()
      .map((row) => row.id)
      .join('');
  for (const [id, network] of ['1c', '3a', '2b', '4a'].map((text) => [...text])) {
    table.put(String(id), { ...ONE, id: String(id), network: String(network) });
  }
  const before = table.sorted('network');
  assert.equal(ids('id'), '1234');
  assert.equal(ids('network'), '3421');
  table.put('3', { ...ONE, id: '3', network: 'd' });
  table.put('2', { ...ONE, id: '2', network: 'b', groups: [] });
  table.delete('4');
  assert.equal(ids('id'), '123');
  assert.equal(ids('network'), '213');
  assert.deepEqual(table.sorted('network')?.flat()[0]?.groups, []);
  assert.deepEqual(
    before?.flat().map((row) => `${row.id}${row.network}`),
    ['3a', '4a', '2b', '1c'],
  );
  assert.equal(table.sorted('name'), undefined);
});
