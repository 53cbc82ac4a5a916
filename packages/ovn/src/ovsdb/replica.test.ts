import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapOf, setOf } from './datum.ts';
import { OvsdbError } from './ovsdb-error.ts';
import { Replica } from './replica.ts';
import { parseSchema } from './schema.ts';

const SCHEMA = parseSchema(
  {
    tables: {
      T: {
        columns: {
          name: { type: 'string' },
          tag: { type: { key: { type: 'integer', minInteger: 1 }, min: 0, max: 1 } },
          many: { type: { key: { type: 'uuid', refTable: 'T' }, min: 0, max: 'unlimited' } },
          words: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        },
      },
    },
  },
  { T: ['name', 'tag', 'many', 'words', 'of a newer version'] },
);

test('a row that is told whole has its defaults', () => {
  const replica = new Replica(SCHEMA);
  replica.apply('update2', { T: { u1: { initial: { name: 'a' } } } });
  assert.deepEqual(replica.rows('T').get('u1')?.columns, {
    name: setOf(['a']),
    tag: setOf([]),
    many: setOf([]),
    words: mapOf({}),
  });
});

test('a difference is applied to what was there', () => {
  const replica = new Replica(SCHEMA);
  const words = [
    'map',
    [
      ['k', 'v'],
      ['l', 'w'],
    ],
  ];
  replica.apply('update2', {
    T: {
      u1: {
        insert: {
          name: 'a',
          tag: 7,
          many: [
            'set',
            [
              ['uuid', 'x'],
              ['uuid', 'y'],
            ],
          ],
          words,
        },
      },
    },
  });
  const difference = {
    tag: ['set', []],
    many: [
      'set',
      [
        ['uuid', 'y'],
        ['uuid', 'z'],
      ],
    ],
    words: [
      'map',
      [
        ['k', 'v'],
        ['l', 'n'],
        ['m', 'o'],
      ],
    ],
  };
  const [change] = replica.apply('update2', { T: { u1: { modify: difference } } });
  assert.deepEqual(change?.after?.columns, {
    name: setOf(['a']),
    tag: setOf([]),
    many: setOf(['x', 'z']),
    words: mapOf({ l: 'n', m: 'o' }),
  });
  replica.apply('update2', { T: { u1: { delete: null } } });
  assert.equal(replica.rows('T').size, 0);
});

test('updates of RFC 7047 are told whole', () => {
  const replica = new Replica(SCHEMA);
  const row = { name: 'a', tag: ['set', []], many: ['uuid', 'x'], words: ['map', []] };
  replica.apply('update', { T: { u1: { new: row } } });
  replica.apply('update', { T: { u1: { old: { name: 'a' }, new: { ...row, name: 'b' } } } });
  assert.deepEqual(replica.rows('T').get('u1')?.columns['name'], setOf(['b']));
  replica.apply('update', { T: { u1: { old: row } } });
  assert.equal(replica.rows('T').size, 0);
});

test('an update that does not fit is refused', () => {
  const cases = [
    { X: {} },
    { T: { u1: { modify: { name: 'a' } } } },
    { T: { u1: { insert: { name: 7 } } } },
    { T: { u1: { insert: { words: ['set', []] } } } },
    { T: { u1: null } },
    { T: [] },
    null,
  ];
  for (const update of cases)
    assert.throws(() => new Replica(SCHEMA).apply('update2', update), OvsdbError, JSON.stringify(update));
});
