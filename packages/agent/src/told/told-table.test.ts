import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToldTable } from './told-table.ts';

const order = (n: number): string => `${n.toString(16).padStart(32, '0')}/128`;
const tell = (
  table: ToldTable,
  portId: string,
  n: number,
  untilMs = 1000,
  name = 'a.example.',
): ReturnType<ToldTable['take']> => table.take({ portId, name, orders: [order(n)], untilMs });

test('a pair that is told again counts longer, never less long, and changes nothing', () => {
  const table = new ToldTable();
  assert.equal(tell(table, 'p', 1, 1000).changes.length, 1);
  assert.deepEqual(tell(table, 'p', 1, 500), { pairs: [], gone: [], changes: [] });
  const longer = tell(table, 'p', 1, 2000);
  assert.deepEqual([longer.changes, longer.pairs.map(({ untilMs }) => untilMs)], [[], [2000]]);
  assert.equal(table.over(1999).size, 0);
  assert.deepEqual(table.over(2000), new Map([['p', [order(1)]]]));
});

test('what is over is forgotten, name by name', () => {
  const table = new ToldTable();
  tell(table, 'p', 1, 1000);
  tell(table, 'p', 1, 3000, 'b.example.');
  const { gone } = table.forget('p', [order(1)], 1500);
  assert.deepEqual(
    gone.map(({ name }) => name),
    ['a.example.'],
  );
  assert.deepEqual([...(table.of('p').get(order(1))?.keys() ?? [])], ['b.example.']);
  table.forgetPort('p');
  assert.deepEqual(table.size, { ports: 0, pairs: 0, refused: 0 });
});

test('a port has no more than its room, whatever it asks for', () => {
  const table = new ToldTable({ maxOfPort: 3 });
  for (let n = 1; n <= 10; n += 1) tell(table, 'greedy', n);
  assert.deepEqual(table.size, { ports: 1, pairs: 3, refused: 7 });
  assert.equal(tell(table, 'other', 1).changes.length, 1);
});

test('where the host is full who has least takes the place of what is over first of who has most', () => {
  const table = new ToldTable({ maxOfHost: 6 });
  for (let n = 1; n <= 6; n += 1) tell(table, 'greedy', n, n === 4 ? 10 : 1000);
  const { gone, changes } = tell(table, 'other', 1);
  assert.deepEqual(
    gone.map((one) => [one.portId, one.order]),
    [['greedy', order(4)]],
  );
  assert.deepEqual(
    changes.map(({ portId }) => portId),
    ['greedy', 'other'],
  );
  assert.equal(tell(table, 'greedy', 7).changes.length, 0, 'it has more than its share');
  for (let n = 2; n <= 3; n += 1) assert.equal(tell(table, 'other', n).pairs.length, 1);
  assert.equal(tell(table, 'other', 4).pairs.length, 0, 'and now each has half');
  assert.equal(table.size.pairs, 6);
});
