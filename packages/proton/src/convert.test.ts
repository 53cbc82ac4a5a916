import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversionOf, convertBackward, convertForward, correspondences } from './convert.ts';
import { modelOf, objectOf, small2 } from './testing/models.ts';

const newerModel = modelOf(
  `${small2([
    'low: {',
    `address: { type: string, nullable: true }
      length: { type: integer, nullable: true }
      profile: { type: object, default: {} }
      low: {`,
  ])}conversions:
  - from: "1.9"
    objects:
      Segment:
        - { rename: { from: number, to: vni } }
        - { default: { attribute: high, value: 99 } }
        - { drop: { attribute: gone, value: was } }
        - { split: { attribute: words, into: tags, separator: "," } }
        - { split: { attribute: prefix, into: [address, length], separator: / } }
        - { parse: { from: json, to: profile } }
`,
);
const older = objectOf(
  modelOf(`file_version: "2.0"
imports: base/v2.yaml
info: { name: a, version: "1.9" }
objects:
  Segment:
    api: { name: segment }
    extends: BaseService
    attributes:
      number: { type: integer, required: true }
      gone: { type: string, default: "" }
      words: { type: string }
      prefix: { type: string, maxLength: 12 }
      json: { type: string, format: json }
      low: { type: integer, default: 0 }
      only_old: { type: string }
`),
  'Segment',
);
const newer = objectOf(newerModel, 'Segment');
const conversion = conversionOf(newerModel, '1.9', 'Segment');

const old = {
  id: 'i',
  project_id: 'p',
  name: 'n',
  description: '',
  number: 7,
  gone: 'x',
  words: 'a, b,,c',
  prefix: '10.0.0.0/8',
  json: '{"a":1}',
  low: 3,
  only_old: 'o',
};
const converted = {
  id: 'i',
  project_id: 'p',
  name: 'n',
  description: '',
  vni: 7,
  address: '10.0.0.0',
  length: 8,
  profile: { a: 1 },
  low: 3,
  high: 99,
  tags: ['a', 'b', 'c'],
  peer_id: null,
};

test('an older row becomes one of the newer version: exactly its attributes', () => {
  assert.deepEqual(convertForward(conversion, old, newer), converted);
});

test('and back', () => {
  assert.deepEqual(convertBackward(conversion, converted, older), {
    ...old,
    gone: 'was',
    words: 'a,b,c',
    only_old: null,
  });
});

test('what is not set stays so in both directions', () => {
  const forward = convertForward(conversion, { number: 1, words: null, prefix: null }, newer);
  assert.deepEqual([forward['tags'], forward['address'], forward['length']], [[], null, null]);
  const back = convertBackward(conversion, { vni: 1, tags: [], address: null, length: null }, older);
  assert.deepEqual([back['words'], back['prefix']], [null, null]);
});

test('a text with fewer or more parts than there are attributes loses nothing it need not', () => {
  const prefix = (text: string) => {
    const { address, length } = convertForward(conversion, { prefix: text }, newer);
    return [address, length];
  };
  assert.deepEqual(prefix('10.0.0.0'), ['10.0.0.0', null]);
  assert.deepEqual(prefix('a/b/c'), ['a', 'b/c']);
});

test('attributes that say the same are paired', () => {
  assert.deepEqual(correspondences(conversion, older, newer), [
    { old: ['number'], new: ['vni'] },
    { old: ['words'], new: ['tags'] },
    { old: ['prefix'], new: ['address', 'length'] },
    { old: ['json'], new: ['profile'] },
    ...['id', 'project_id', 'name', 'description', 'low'].map((name) => ({ old: [name], new: [name] })),
  ]);
});

test('an object without steps keeps what both versions have', () => {
  assert.deepEqual(conversionOf(newerModel, '1.0', 'Segment'), { object: 'Segment', steps: [] });
  assert.deepEqual(convertForward({ object: 'Segment', steps: [] }, { id: 'i', vni: 4, low: 2 }, newer)['vni'], 4);
});

test('what the older version cannot hold is shown as the part that it can', () => {
  const back = (length: number) => convertBackward(conversion, { address: '192.168.100.0', length }, older)['prefix'];
  assert.equal(back(24), '24');
  assert.equal(convertBackward(conversion, { address: '10.0.0.0', length: 24 }, older)['prefix'], '10.0.0.0/24');
});

test('JSON that is none becomes the default', () => {
  assert.deepEqual(convertForward(conversion, { json: '{' }, newer)['profile'], {});
});
