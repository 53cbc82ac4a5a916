import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileObject, createSchemaCompiler } from './check.ts';
import { conversionOf, convertBackward, convertForward } from './convert.ts';
import { diffModels } from './diff.ts';
import { comparePolicies } from './diff-policy.ts';
import { goodValue } from './gen/samples.ts';
import type { JsonSchema } from './model.ts';
import { modelOf, objectOf, sampleFiles, sampleNames, small1, small2 } from './testing/models.ts';

type Replace = readonly (readonly [string, string])[];

const older = modelOf(small2());

/** `breaking who: attribute change: text` of each change. */
function changes(...replace: Replace): readonly string[] {
  return told(older, modelOf(small2(...replace)));
}

function told(before: typeof older, after: typeof older): readonly string[] {
  return diffModels(before, after).map(
    ({ breaking, who, object, attribute, change, text }) =>
      `${breaking ? 'breaks' : 'keeps'} ${who}: ${[object, attribute, change].filter((word) => word !== null).join(' ')}: ${text}`,
  );
}

test('a model is no change of itself', () => {
  for (const name of sampleNames()) assert.deepEqual(told(modelOf(sampleFiles(name)), modelOf(sampleFiles(name))), []);
});

const LOW = 'low: { type: integer, default: 0 }';
const PEER = 'peer_id: { ref: { object: Segment, onDelete: setNull } }';

const CASES: readonly (readonly [string, Replace, readonly string[]])[] = [
  [
    'notes',
    [
      ['description: Plain segment', 'description: Other'],
      [LOW, 'low: { type: integer, default: 0, description: x, ui: { a: 1 } }'],
    ],
    [],
  ],
  [
    'another name',
    [['name: net-l2seg', 'name: other']],
    [
      'breaks readers: model.name: its path was net-l2seg, is other',
      'breaks writers: model.name: its path was net-l2seg, is other',
    ],
  ],
  [
    'no longer served',
    [['version: "2.0",', 'version: "2.0", served: false, deprecated: true,']],
    [
      'breaks readers: model.served: is no longer served',
      'breaks writers: model.served: is no longer served',
      'keeps readers: model.deprecated: is deprecated',
    ],
  ],
  [
    'another back end',
    [['version: "2.0",', 'version: "2.0", backend: vrouter,']],
    ['keeps stored: model.backend: was none, is vrouter: a proton that is there keeps what it has'],
  ],
  [
    'an optional attribute',
    [[LOW, `${LOW}\n      more: { type: string }`]],
    ['keeps readers: Segment more attribute.added: is new'],
  ],
  [
    'a required attribute',
    [
      [LOW, `${LOW}\n      more: { type: string, required: true }`],
      ['{ vni: 7,', '{ vni: 7, more: a,'],
    ],
    [
      'keeps readers: Segment more attribute.added: is new',
      'breaks writers: Segment more attribute.added: is new and required',
      'breaks stored: Segment more attribute.added: is new, and stored objects have no value for it',
    ],
  ],
  [
    'an attribute that is gone',
    [[`      ${PEER}\n`, '']],
    [
      'breaks readers: Segment peer_id attribute.removed: is gone',
      'breaks writers: Segment peer_id attribute.removed: is gone',
      'breaks stored: Segment peer_id attribute.removed: is gone',
    ],
  ],
  [
    'a narrower type',
    [[LOW, 'low: { type: integer, default: 0, maximum: 5 }']],
    [
      'breaks writers: Segment low schema.narrowed: maximum was 9007199254740991, is 5',
      'breaks stored: Segment low schema.narrowed: maximum was 9007199254740991, is 5',
    ],
  ],
  [
    'a wider bound',
    [['maximum: 16777215', 'maximum: 33554432']],
    ['keeps readers: Segment vni schema.widened: maximum was 16777215, is 33554432'],
  ],
  [
    'a wider type',
    [
      [
        'type: array, items: { type: string, pattern: "^[a-z]+$" }',
        'type: array, items: { type: [string, integer], pattern: "^[a-z]+$" }',
      ],
    ],
    ['breaks readers: Segment tags schema.widened: []: type was string, is string or integer'],
  ],
  [
    'another pattern',
    [['"^[a-z]+$"', '"^[a-z0-9]+$"']],
    [
      'breaks writers: Segment tags schema.unknown: []: pattern was ^[a-z]+$, is ^[a-z0-9]+$',
      'breaks stored: Segment tags schema.unknown: []: pattern was ^[a-z]+$, is ^[a-z0-9]+$',
      'breaks readers: Segment tags schema.unknown: []: pattern was ^[a-z]+$, is ^[a-z0-9]+$',
    ],
  ],
  [
    'another default',
    [['default: 10', 'default: 20']],
    ['breaks writers: Segment high attribute.default: default was 10, is 20'],
  ],
  [
    'a value that may be null',
    [
      [LOW, 'low: { type: integer, nullable: true }'],
      ['{ vni: 7,', '{ vni: 7, low: 1,'],
    ],
    [
      'breaks readers: Segment low attribute.nullable: can be null',
      'breaks writers: Segment low attribute.default: default was 0, is none',
    ],
  ],
  [
    'immutable',
    [[LOW, 'low: { type: integer, default: 0, immutable: true }']],
    ['breaks writers: Segment low attribute.immutable: is immutable'],
  ],
  [
    'no longer immutable',
    [[', immutable: true', '']],
    ['keeps writers: Segment vni attribute.immutable: is no longer immutable'],
  ],
  [
    'readOnly',
    [[LOW, 'low: { type: integer, default: 0, readOnly: true }']],
    ['breaks writers: Segment low attribute.readOnly: is readOnly'],
  ],
  [
    'unique',
    [[LOW, 'low: { type: integer, default: 0, unique: project }']],
    [
      'breaks writers: Segment low attribute.unique: must be unique: project',
      'breaks stored: Segment low attribute.unique: must be unique: project',
    ],
  ],
  [
    'less unique',
    [['unique: global', 'unique: project']],
    ['keeps writers: Segment vni attribute.unique: must be unique: project'],
  ],
  [
    'another onDelete',
    [['setNull', 'restrict']],
    ['breaks writers: Segment peer_id attribute.onDelete: when its Segment is deleted: was setNull, is restrict'],
  ],
  [
    'no reference any more',
    [[PEER, 'peer_id: { type: string, format: uuid }']],
    ['keeps writers: Segment peer_id attribute.ref: need not be a Segment'],
  ],
  [
    'a rule',
    [['    rules:', '    rules:\n      - { rule: low < 5, message: a }']],
    [
      'breaks writers: Segment rule.added: a rule is new: low < 5',
      'breaks stored: Segment rule.added: a rule is new: low < 5',
    ],
  ],
  ['a rule with other words', [['low is above high', 'other words']], []],
  [
    'a set that is unique',
    [['[[project_id, name]]', '[[low]]']],
    [
      'breaks writers: Segment unique.added: low must be unique',
      'breaks stored: Segment unique.added: low must be unique',
      'keeps writers: Segment unique.removed: name, project_id need not be unique',
    ],
  ],
  [
    'indexes and columns',
    [
      ['[[low, high]]', '[[low]]'],
      ['[id, vni]', '[id]'],
    ],
    [],
  ],
  [
    'another path',
    [['api: { name: segment,', 'api: { name: segment, plural_name: segs,']],
    [
      'breaks readers: Segment object.path: its path was segments, is segs',
      'breaks writers: Segment object.path: its path was segments, is segs',
    ],
  ],
  [
    'another noun',
    [['api: { name: segment,', 'api: { name: seg, plural_name: segments,']],
    ['breaks readers: Segment object.noun: its name in commands and policies was segment, is seg'],
  ],
  [
    'another base',
    [['extends: BaseService', 'extends: BaseObject']],
    [
      'breaks readers: Segment object.kind: was a service, is a other',
      'breaks writers: Segment object.kind: was a service, is a other',
      'breaks stored: Segment object.kind: was a service, is a other',
    ],
  ],
  [
    'a tighter policy',
    [['    rules:', '    policies: { list: "rule:context_is_admin" }\n    rules:']],
    ['breaks readers: Segment policy.tightened: policy list was "rule:admin_or_owner", is "rule:context_is_admin"'],
  ],
  [
    'a looser policy',
    [['    rules:', '    policies: { update: "" }\n    rules:']],
    ['keeps writers: Segment policy.loosened: policy update was "rule:admin_or_owner", is ""'],
  ],
  [
    'a policy that cannot be compared',
    [['    rules:', '    policies: { update: "role:x" }\n    rules:']],
    [
      'breaks writers: Segment policy.unknown: policy update was "rule:admin_or_owner", is "role:x": which lets more through cannot be told',
    ],
  ],
  [
    'a policy of an attribute',
    [[LOW, 'low: { type: integer, default: 0, policies: { write: "rule:context_is_admin" } }']],
    ['breaks writers: Segment low policy.tightened: policy write was "", is "rule:context_is_admin"'],
  ],
  [
    'another key',
    [['vni: {', 'id: { primary: false }\n      code: { type: string, primary: true }\n      vni: {']],
    [
      'breaks readers: Segment code attribute.key: is the key, which id was',
      'breaks writers: Segment code attribute.key: is the key, which id was',
      'breaks stored: Segment code attribute.key: is the key, which id was',
    ],
  ],
];

for (const [what, replace, expected] of CASES) {
  test(`diff tells of ${what}`, () => {
    const found = changes(...replace);
    for (const line of expected) assert.ok(found.includes(line), `wanted: ${line}\nfound:\n${found.join('\n')}`);
    if (what !== 'another key') assert.equal(found.length, expected.length, found.join('\n'));
  });
}

test('an object that is new, and one that is gone', () => {
  const more = modelOf(`${small2()}  More: { api: { name: more }, extends: BaseObject }\n`);
  assert.deepEqual(told(older, more), ['keeps readers: More object.added: is new']);
  assert.deepEqual(
    told(more, older),
    ['readers', 'writers', 'stored'].map((who) => `breaks ${who}: More object.removed: is gone`),
  );
});

test('a parent that comes and goes is a path that comes and goes', () => {
  const text = small1(['parent: Port, parent_key: port_id', 'plural_name: interfaces']);
  assert.deepEqual(told(modelOf(text), modelOf(small1())), [
    'keeps readers: Interface object.parent: it has a path below Port',
  ]);
  assert.deepEqual(
    told(modelOf(small1()), modelOf(text)),
    ['readers', 'writers'].map((who) => `breaks ${who}: Interface object.parent: its path below Port is gone`),
  );
});

test('what a conversion does is no break for what is stored', () => {
  const newer = small2(
    ['net-l2seg, version: "2.0"', 'net-l2seg, version: "2.1"'],
    [LOW, 'least: { type: integer, default: 0 }\n      band: { enum: [a, b], required: true }'],
    ['rule: low <= high', 'rule: least <= high'],
    ['[[low, high]]', '[[least, high]]'],
    ['{ vni: 7,', '{ vni: 7, band: a,'],
    [`      ${PEER}\n`, ''],
  );
  const stored = (text: string) =>
    diffModels(older, modelOf(text))
      .filter(({ who, breaking }) => who === 'stored' && breaking)
      .map(({ attribute, change }) => `${attribute} ${change}`);
  const rule = ['null rule.added'];
  assert.deepEqual(stored(newer), [
    ...rule,
    'low attribute.removed',
    'peer_id attribute.removed',
    'band attribute.added',
  ]);
  const steps =
    '[{ rename: { from: low, to: least } }, { default: { attribute: band, value: a } }, { drop: { attribute: peer_id } }]';
  assert.deepEqual(stored(`${newer}conversions: [{ from: "2.0", objects: { Segment: ${steps} } }]`), []);
});

test('of version 1.1 of net-l3vpn only bounds and rules can break what is stored', () => {
  const found = diffModels(modelOf(sampleFiles('net-l3vpn')), modelOf(sampleFiles('net-l3vpn-v1.1')));
  const stored = found.filter(({ who, breaking }) => who === 'stored' && breaking);
  assert.deepEqual(
    stored.map(({ object, attribute, change }) =>
      [object, attribute, change].filter((word) => word !== null).join(' '),
    ),
    [
      'Port mtu schema.narrowed',
      'Port mtu schema.narrowed',
      'Interface rule.added',
      'Interface segmentation_id schema.narrowed',
      'Interface segmentation_id schema.narrowed',
      'VpnBinding rule.added',
      'VpnAfConfig vrf_rt_value schema.narrowed',
      'VpnAfConfig vrf_rt_value schema.narrowed',
      'BGPPeering rule.added',
    ],
  );
});

test('alternatives admit more than one of them', () => {
  const address = (schema: string) =>
    modelOf(small2([LOW, `low: { type: integer, default: 0 }\n      address: { ${schema} }`]));
  const one = address('type: string, format: ipv4');
  const both = address('anyOf: [{ type: string, format: ipv4 }, { type: string, format: ipv6 }]');
  assert.deepEqual(told(one, both), ['breaks readers: Segment address schema.widened: there are alternatives']);
  assert.deepEqual(
    told(both, one),
    ['writers', 'stored'].map((who) => `breaks ${who}: Segment address schema.narrowed: alternatives are gone`),
  );
});

test('policies are compared as far as their texts tell', () => {
  const cases = [
    ['rule:admin', 'rule:admin_or_owner', 'same'],
    ['role:a', 'role:a or role:b', 'loosened'],
    ['role:a or role:b', 'role:b', 'tightened'],
    ['role:a', 'role:a and role:b', 'tightened'],
    ['role:a and role:b', 'role:a', 'loosened'],
    ['role:a or role:b', 'role:b or role:a', 'same'],
    ['role:a', 'role:b', 'unknown'],
    ['not role:a', 'not role:b', 'unknown'],
    ['role:a', '', 'loosened'],
    ['', 'role:a', 'tightened'],
    ['role:a', '!', 'tightened'],
  ] as const;
  for (const [a, b, expected] of cases) assert.equal(comparePolicies(a, b), expected, `${a} -> ${b}`);
});

test('objects of net-l3vpn 1.0, once converted, are good objects of 1.1', () => {
  const [before, after] = [modelOf(sampleFiles('net-l3vpn')), modelOf(sampleFiles('net-l3vpn-v1.1'))];
  for (const object of before.objects) {
    const newer = objectOf(after, object.name);
    const conversion = conversionOf(after, before.version, object.name);
    for (const at of [0, 1, 2]) {
      const compile = createSchemaCompiler();
      const row = Object.fromEntries(
        object.attributes.map(({ name, schema }) => [name, goodOf(name, schema, compile, at)]),
      );
      assert.deepEqual(compileObject(object).check(row, undefined), [], object.name);
      const forward = convertForward(conversion, row, newer);
      assert.deepEqual(compileObject(newer).check(forward, undefined), [], JSON.stringify(forward));
      const back = convertBackward(conversion, forward, object);
      assert.deepEqual(compileObject(object).check(back, undefined), [], JSON.stringify(back));
    }
  }
});

/** Values that 1.1 takes too: its route targets are more than texts, its bounds narrower. */
function goodOf(
  name: string,
  schema: JsonSchema,
  compile: ReturnType<typeof createSchemaCompiler>,
  at: number,
): unknown {
  if (/family|distinguishers|vrf_rt_value/.test(name))
    return name === 'vrf_rt_value' ? `65000:${at}` : ['65000:1', '65000:1, 10.0.0.1:2', null][at];
  if (name === 'mtu') return 1500;
  if (name === 'segmentation_id') return 0;
  if (name === 'gateway') return '192.0.2.254';
  return goodValue(schema, compile(schema), name === 'peer_ip_address' ? at + 10 : at);
}
