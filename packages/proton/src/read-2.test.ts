import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelOf, objectOf, problemsOf, small2 } from './testing/models.ts';

test('format 2.0 says of an attribute what it is in its object, and of its values by a schema', () => {
  const segment = objectOf(modelOf(small2()), 'Segment');
  const own = Object.fromEntries(segment.attributes.slice(-5).map((attribute) => [attribute.name, attribute]));
  assert.deepEqual(own['vni'], {
    name: 'vni',
    description: '',
    schema: { type: 'integer', minimum: 1, maximum: 16777215 },
    required: true,
    nullable: false,
    immutable: true,
    readOnly: false,
    unique: 'global',
  });
  assert.deepEqual(own['peer_id']?.ref, { object: 'Segment', onDelete: 'setNull' });
  assert.deepEqual(own['peer_id']?.schema, { type: 'string', format: 'uuid' });
  assert.deepEqual([own['peer_id']?.nullable, own['low']?.nullable], [true, false]);
  assert.deepEqual(
    [segment.unique, segment.indexes, segment.printColumns],
    [[['project_id', 'name']], [['low', 'high']], ['id', 'vni']],
  );
  assert.deepEqual(segment.rules, [{ rule: 'low <= high', message: 'low is above high' }]);
  assert.equal(segment.attributes.find(({ name }) => name === 'project_id')?.alias, 'tenant_id');
});

test('info of format 2.0 says how the version is used', () => {
  const model = modelOf(
    small2([
      'net-l2seg, version: "2.0"',
      'net-l2seg, version: 2.10, served: false, storage: false, deprecated: true, backend: vrouter',
    ]),
  );
  assert.deepEqual(
    [model.version, model.served, model.storage, model.deprecated, model.backend],
    ['2.10', false, false, true, 'vrouter'],
  );
});

test('a reference to $defs is replaced by what it names, with what is said beside', () => {
  const text = small2(
    ['low: { type: integer', 'low: { $ref: "#/$defs/Vni", title: Low, maximum: 20'],
    ['default: 0', 'default: 1'],
  );
  assert.deepEqual(objectOf(modelOf(text), 'Segment').attributes.find(({ name }) => name === 'low')?.schema, {
    title: 'Low',
    maximum: 20,
    allOf: [{ type: 'integer', minimum: 1, maximum: 16777215 }],
  });
});

test('what an object value must have is said in schema, beside which required is the attribute’s', () => {
  const text = small2([
    'low: {',
    'both: { required: true, schema: { type: object, properties: { a: { type: string } }, required: [a] } }\n      low: {',
  ]);
  const both = objectOf(modelOf(text.replace('{ vni: 7,', '{ vni: 7, both: { a: b },')), 'Segment').attributes.find(
    ({ name }) => name === 'both',
  );
  assert.deepEqual(
    [both?.required, both?.schema],
    [true, { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] }],
  );
});

test('the base of ports keeps what is asked for and what is so apart', () => {
  const text = `${small2()}  Port: { api: { name: port }, extends: BasePort }\n`;
  const port = objectOf(modelOf(text), 'Port');
  const names = (wanted: (attribute: (typeof port.attributes)[number]) => boolean) =>
    port.attributes.filter(wanted).map(({ name }) => name);
  assert.deepEqual(
    names(({ readOnly }) => readOnly),
    ['status', 'vif_type', 'vif_details'],
  );
  assert.deepEqual(
    names(({ policies }) => policies?.write !== undefined),
    ['profile', 'host_id', 'device_id', 'device_owner'],
  );
});

const LOW = 'low: { type: integer, default: 0 }';

const CONVERSIONS = `conversions:
  - from: "1.0"
    objects:
      Segment:
        was: Net
        steps:
          - { rename: { from: id_of_vni, to: vni } }
          - { default: { attribute: high, value: 5 } }
          - { drop: { attribute: gone } }
          - { split: { attribute: tag_text, into: tags, separator: "," } }
`;

test('conversions are read', () => {
  assert.deepEqual(modelOf(small2() + CONVERSIONS).conversions, [
    {
      from: '1.0',
      objects: [
        {
          object: 'Segment',
          was: 'Net',
          steps: [
            { rename: { from: 'id_of_vni', to: 'vni' } },
            { default: { attribute: 'high', value: 5 } },
            { drop: { attribute: 'gone' } },
            { split: { attribute: 'tag_text', into: 'tags', separator: ',' } },
          ],
        },
      ],
    },
  ]);
});

const rule = (text: string): string => small2(['rule: low <= high', `rule: '${text}'`]);

const NEGATIVE: readonly (readonly [string, string, string])[] = [
  [
    'another key of an object',
    small2(['    extends: BaseService', '    extends: BaseService\n    x: 1']),
    '10:5: Segment has no x',
  ],
  ['a keyword that is none', small2([LOW, 'low: { type: integer, minn: 1 }']), '12:29: Segment.low has no minn'],
  [
    'a keyword that is none, deeper',
    small2([LOW, 'low: { type: array, items: { minn: 1 } }']),
    '12:36: the schema of Segment.low has no minn',
  ],
  [
    'a keyword that reaches out of the file',
    small2([LOW, 'low: { $ref: "http://a/b" }']),
    '12:20: $ref of Segment.low names http://a/b, which is not there',
  ],
  [
    'a reference to no definition',
    small2([LOW, 'low: { $ref: "#/$defs/X" }']),
    '12:20: $ref of Segment.low names #/$defs/X, which is not there',
  ],
  [
    'a definition within itself',
    small2(['  Vni: {', '  Vni: { anyOf: [{ $ref: "#/$defs/Vni" }],']),
    '5:26: #/$defs/Vni is within itself',
  ],
  [
    'definitions that multiply',
    small2(
      [
        '  Vni: {',
        `  A0: { type: string }\n${Array.from({ length: 12 }, (_, at) => `  A${at + 1}: { anyOf: [{ $ref: "#/$defs/A${at}" }, { $ref: "#/$defs/A${at}" }] }\n`).join('')}  Vni: {`,
      ],
      [LOW, 'low: { $ref: "#/$defs/A12" }'],
    ),
    'Segment.low has more than 1000 schemas in it',
  ],
  ['an unknown type', small2([LOW, 'low: { type: int }']), '12:20: type of Segment.low is not understood'],
  [
    'an unknown format',
    small2([LOW, 'low: { type: string, format: ipv5 }']),
    '12:36: format of Segment.low is not understood',
  ],
  [
    'a pattern with look-ahead',
    small2([LOW, 'low: { type: string, pattern: "(?=a)" }']),
    '12:37: pattern of Segment.low is not understood: invalid or unsupported Perl syntax: `(?=`',
  ],
  [
    'a pattern that repeats repetitions',
    small2([LOW, 'low: { type: string, pattern: "(a{1000}){1000}" }']),
    '12:37: pattern of Segment.low is not understood: invalid repeat count: `{1000}`',
  ],
  [
    'a pattern that is large',
    small2([LOW, 'low: { type: string, pattern: "(.{0,500}a){1,2}" }']),
    '12:37: pattern of Segment.low is not understood: it repeats too much',
  ],
  [
    'a list for required',
    small2([LOW, 'low: { type: object, required: [a] }']),
    '12:38: required of Segment.low is a list',
  ],
  [
    'schema with keywords beside',
    small2([LOW, 'low: { type: object, schema: { type: object } }']),
    '12:14: Segment.low has schema and type beside it',
  ],
  ['an attribute of nothing', small2([LOW, 'low: { description: a }']), '12:7: Segment.low says nothing of its values'],
  [
    'bounds the wrong way round',
    small2([LOW, 'low: { type: integer, minimum: 3, maximum: 1 }']),
    '12:41: maximum of Segment.low is less than its minimum',
  ],
  [
    'uniqueItems without a bound',
    small2([LOW, 'low: { type: array, uniqueItems: true }']),
    '12:27: uniqueItems of Segment.low has no bound',
  ],
  [
    'a default that is no value',
    small2([LOW, 'low: { type: integer, default: a }']),
    '12:38: default of Segment.low is none of its values: must be integer',
  ],
  [
    'examples that are no value',
    small2([LOW, 'low: { type: integer, examples: [a], default: 0 }']),
    '12:39: examples of Segment.low is none of its values: must be integer',
  ],
  ['an unknown unique', small2(['unique: global', 'unique: world']), '11:59: unique of Segment.vni is world'],
  [
    'a list that is unique',
    small2(['maxItems: 8,', 'maxItems: 8, unique: global,']),
    '14:95: Segment.tags is no text and no integer, and cannot be unique',
  ],
  ['an unknown onDelete', small2(['setNull', 'nothing']), '15:52: ref.onDelete of Segment.peer_id is nothing'],
  [
    'a reference to nothing',
    small2(['object: Segment,', 'object: Segments,']),
    '15:7: Segment.peer_id refers to Segments, which is not there',
  ],
  [
    'a reference with a schema',
    small2(['peer_id: {', 'peer_id: { type: string,']),
    '15:32: Segment.peer_id is a reference and has a schema',
  ],
  [
    'setNull of what is never null',
    small2(['onDelete: setNull }', 'onDelete: setNull }, required: true']),
    '15:18: Segment.peer_id is set to null when its target goes, and is never null',
  ],
  [
    'setNull of what never changes',
    small2(['onDelete: setNull }', 'onDelete: setNull }, immutable: true']),
    '15:18: Segment.peer_id is set to null when its target goes, and never changes',
  ],
  [
    'readOnly and required',
    small2([LOW, 'low: { type: integer, readOnly: true, required: true }']),
    '12:29: Segment.low is required and readOnly',
  ],
  ['two keys', small2(['vni: {', 'vni: { primary: true,']), '11:7: Segment has more than one primary: id and vni'],
  [
    'no key',
    small2(['    extends: BaseService\n', '    policies: { create: a, delete: a, get: a, list: a, update: a }\n']),
    '7:3: Segment has no key',
  ],
  ['an alias twice', small2([LOW, 'low: { type: integer, default: 0, alias: high }']), '12:48: Segment has high twice'],
  [
    'a parent_key that is no reference',
    `${small2()}  A: { api: { name: a, parent: Segment, parent_key: s }, extends: BaseObject, attributes: { s: { type: string } } }\n`,
    '22:53: A.s is the parent_key and no reference to Segment',
  ],
  [
    'print_columns that are no attributes',
    small2(['[id, vni]', '[id, vnis]']),
    '8:42: print_columns of Segment names vnis, which is no attribute',
  ],
  [
    'unique that names no attribute',
    small2(['[[project_id, name]]', '[[project, name]]']),
    '18:14: unique of Segment names project, which is no attribute',
  ],
  [
    'an index over a list',
    small2(['[[low, high]]', '[[low, tags]]']),
    '19:15: indexes of Segment names tags, which is no text and no integer',
  ],
  [
    'a rule without a message',
    small2([', message: low is above high', '']),
    '17:9: a member of rules of Segment has no message',
  ],
  ['a rule that is no CEL', rule('low <'), '17:9: a rule of Segment is not understood: Unexpected token: EOF'],
  [
    'a rule over another attribute',
    rule('lo <= high'),
    '17:9: a rule of Segment is not understood: there is no attribute lo',
  ],
  [
    'a rule of types that do not meet',
    rule('low <= name'),
    '17:9: a rule of Segment is not understood: no such overload: int <= string',
  ],
  [
    'a rule that is a number',
    rule('low + high'),
    '17:9: a rule of Segment is not understood: it is int, and neither true nor false',
  ],
  [
    'an example that breaks a rule',
    small2(['{ vni: 7,', '{ vni: 7, low: 11,']),
    '21:9: an example of Segment is none: it low is above high',
  ],
  [
    'an example that lacks something',
    small2(['{ vni: 7,', '{']),
    '21:9: an example of Segment is none: vni is required',
  ],
  [
    'a conversion from itself',
    small2() + CONVERSIONS.replace('1.0', '2.0'),
    '23:5: the conversion from 2.0 is of this version itself',
  ],
  [
    'a conversion of no object',
    small2() + CONVERSIONS.replace('Segment:', 'Segments:'),
    '25:7: a conversion is of Segments, which is no API object',
  ],
  [
    'a step that makes nothing of the object',
    small2() + CONVERSIONS.replace('to: vni', 'to: vnis'),
    '28:13: the conversion of Segment makes vnis, which is no attribute',
  ],
  [
    'a step that is none',
    small2() + CONVERSIONS.replace('drop:', 'throw:'),
    '30:15: a step of the conversion of Segment has no throw',
  ],
  [
    'two steps to one attribute',
    small2() + CONVERSIONS.replace('attribute: high, value: 5', 'attribute: vni, value: 5'),
    '25:7: the conversion of Segment leads twice to vni',
  ],
  [
    'a split into what is no list',
    small2() + CONVERSIONS.replace('into: tags', 'into: low'),
    '31:13: the conversion of Segment parts a text into low, which is no list',
  ],
  [
    'a split by nothing',
    small2() + CONVERSIONS.replace('","', '""'),
    '31:22: separator of split of the conversion of Segment has 0 characters',
  ],
  [
    'a step whose value is none',
    small2() + CONVERSIONS.replace('value: 5', 'value: a'),
    '7:3: the conversion from 1.0 gives Segment.high what is none of its values: must be integer',
  ],
];

for (const [what, text, expected] of NEGATIVE) {
  test(`format 2.0 refuses ${what}`, () => {
    const problems = problemsOf(text);
    assert.ok(
      problems.some((problem) => problem.endsWith(expected)),
      `${problems.join('\n')}\nwanted: ${expected}`,
    );
  });
}
