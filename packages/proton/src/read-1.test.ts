import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProtonAttribute } from './model.ts';
import { readModel } from './read.ts';
import { modelOf, objectOf, problemLine, problemsOf, sampleFiles, small1 } from './testing/models.ts';

test('the samples of format 1.0 are read', () => {
  for (const [name, objects] of [
    ['net-l3vpn', 7],
    ['ietf-sfc', 12],
    ['test', 5],
  ] as const) {
    const model = modelOf(sampleFiles(name));
    assert.deepEqual(
      [model.fileVersion, model.name, model.version, model.objects.length],
      ['1.0', name, '1.0', objects],
    );
  }
});

test('an object has its base’s attributes first, and its own laid over them property by property', () => {
  const binding = objectOf(modelOf(small1()), 'SegmentBinding');
  assert.deepEqual(
    binding.attributes.map(({ name }) => name),
    ['tenant_id', 'interface_id', 'service_id', 'ipaddress'],
  );
  const service = binding.attributes.find(({ name }) => name === 'service_id');
  assert.deepEqual(service, {
    name: 'service_id',
    description: 'Service to which it is bound',
    schema: { type: 'string', format: 'uuid' },
    type10: 'Segment',
    required: true,
    nullable: false,
    immutable: false,
    readOnly: false,
    ref: { object: 'Segment', onDelete: 'restrict' },
  } satisfies ProtonAttribute);
  assert.deepEqual([binding.primary, binding.kind], ['interface_id', 'binding']);
});

test('two objects of one base do not share what one of them overrides', () => {
  const text = small1([
    '  SegmentBinding:',
    `  Other:
    api: { name: other }
    extends: BaseService
    attributes: { name: { length: 3 } }
  SegmentBinding:`,
  ]);
  const model = modelOf(text);
  const length = (name: string) => objectOf(model, name).attributes.find((one) => one.name === 'name')?.schema;
  assert.deepEqual(length('Other'), { type: 'string', maxLength: 3 });
  assert.deepEqual(length('Segment'), { type: 'string', maxLength: 64 });
});

test('names that a model leaves out are made: plural, policies of the base', () => {
  const interfaces = objectOf(modelOf(small1()), 'Interface');
  assert.deepEqual([interfaces.noun, interfaces.plural], ['interface', 'interfaces']);
  assert.deepEqual(interfaces.parent, { object: 'Port', key: 'port_id' });
  assert.equal(interfaces.policies.list, 'rule:admin');
});

test('parents come before their children, else the order is that of the file', () => {
  const text = small1(['  Port:\n    api: { name: port, plural_name: ports }\n    extends: BasePort\n', '']);
  const late = `${text}  Port:\n    api: { name: port, plural_name: ports }\n    extends: BasePort\n`;
  assert.deepEqual(
    modelOf(late).objects.map(({ name }) => name),
    ['Port', 'Interface', 'Segment', 'SegmentBinding'],
  );
});

test('types and formats become schemas', () => {
  const everything = objectOf(modelOf(sampleFiles('test')), 'Everything');
  const schemas = Object.fromEntries(everything.attributes.slice(4).map(({ name, schema }) => [name, schema]));
  assert.deepEqual(schemas, {
    an_integer: { type: 'integer', minimum: -10, maximum: 10 },
    an_int32: { type: 'integer', minimum: -2147483648, maximum: 2147483647 },
    an_int64: { type: 'integer', minimum: -9007199254740991, maximum: 9007199254740991 },
    a_number: { type: 'number' },
    a_string: { type: 'string', maxLength: 255 },
    a_short_string: { type: 'string', maxLength: 8 },
    a_boolean: { type: 'boolean' },
    a_uuid: { type: 'string', format: 'uuid' },
    an_enum: { type: 'string', enum: ['small', 'large'] },
    a_date_time: { type: 'string', maxLength: 255, format: 'iso-date-time' },
    a_json: { type: 'string', maxLength: 255, format: 'json' },
    an_ipv4: { type: 'string', maxLength: 255, format: 'ipv4' },
    an_ipv6: { type: 'string', maxLength: 255, format: 'ipv6' },
    a_mac: { type: 'string', maxLength: 255, format: 'mac' },
    a_uri: { type: 'string', maxLength: 255, format: 'uri' },
    an_email: { type: 'string', maxLength: 255, format: 'email' },
    a_reference: { type: 'string', format: 'uuid' },
  });
});

test('an object without a key gets the uuid of Gluon', () => {
  const keyless = objectOf(modelOf(sampleFiles('test')), 'Keyless');
  assert.equal(keyless.primary, 'uuid');
  assert.equal(keyless.attributes[0]?.required, false);
});

test('of two keys the last is the key, with a warning', () => {
  const answer = readModel(sampleFiles('ietf-sfc'));
  assert.ok('model' in answer);
  assert.equal(objectOf(answer.model, 'SffSfBinding').primary, 'sf_id');
  assert.deepEqual(answer.warnings.map(problemLine), [
    '62:7: SffSfBinding has more than one primary: sff_id and sf_id',
  ]);
});

test('all files of a directory are one model', () => {
  const [head = '', segment = ''] = small1().split(/(?= {2}Segment:\n)/);
  const files = [
    { name: 'b.yaml', text: `file_version: "1.0"\nobjects:\n${segment}` },
    { name: 'a.yaml', text: head },
  ];
  assert.deepEqual(modelOf(files), modelOf(small1()));
});

test('a version is what is written, also where YAML reads a number', () => {
  assert.equal(modelOf(small1(['version: 1.0', 'version: 1.10'])).version, '1.10');
});

test('policies may be texts, as Gluon’s documents had them', () => {
  const text = small1([
    '    attributes:\n      vni',
    '    policies: { list: "rule:owner" }\n    attributes:\n      vni',
  ]);
  assert.equal(objectOf(modelOf(text), 'Segment').policies.list, 'rule:owner');
});

test('YAML is that of Gluon: yes is true, anchors and merge keys are followed', () => {
  const text = small1([
    'vni: { type: integer, min: 1, max: 16777215 }',
    'a: &a { type: integer, required: yes }\n      b: { <<: *a, min: 3 }',
  ]);
  const { attributes } = objectOf(modelOf(text), 'Segment');
  const [a, b] = attributes.slice(-2);
  assert.deepEqual([a?.required, b?.required, b?.nullable], [true, true, false]);
  assert.deepEqual(b?.schema, { type: 'integer', minimum: 3, maximum: Number.MAX_SAFE_INTEGER });
});

test('another base than the built-in one may be imported', () => {
  const text = small1(['base/base.yaml', 'base/mine.yaml'], ['BaseService\n', 'Mine\n']);
  const mine = `file_version: "1.0"\nobjects:\n  Mine:\n    extends: BaseService\n`;
  const answer = readModel([{ name: 'm.yaml', text }], { imports: { 'base/mine.yaml': mine } });
  assert.ok('problems' in answer);
  assert.match(answer.problems.map(({ text: one }) => one).join(), /Mine extends BaseService, which is not there/);
});

const VNI = 'vni: { type: integer, min: 1, max: 16777215 }';

const NEGATIVE: readonly (readonly [string, string, readonly string[]])[] = [
  ['another key at the top', `${small1()}more: 1\n`, ['24:1: a model has no more']],
  ['no file_version', small1(['file_version: "1.0"\n', '']), ['1:1: there is no file_version']],
  ['a number for file_version', small1(['"1.0"', '1.0']), ['1:15: file_version is no text']],
  ['an unknown file_version', small1(['"1.0"', '"1.1"']), ['1:15: file_version 1.1 is not known']],
  [
    'a list of imports',
    small1(['base/base.yaml', '[base/base.yaml]']),
    ['2:10: imports is no text', '7:14: Port extends BasePort, which is not there'],
  ],
  [
    'an import that is not there',
    small1(['base/base.yaml', '../../etc/passwd']),
    ['2:10: there is no ../../etc/passwd to import'],
  ],
  [
    'an import of the other format',
    small1(['base/base.yaml', 'base/v2.yaml']),
    ['2:10: base/v2.yaml has file_version 2.0, this 1.0'],
  ],
  [
    'no info',
    small1(['info: { name: net-l2seg, version: 1.0, description: Plain segment }\n', '']),
    ['1:1: there is no info'],
  ],
  ['no name', small1(['name: net-l2seg, ', '']), ['3:7: info has no name']],
  ['no version', small1(['version: 1.0, ', '']), ['3:7: info has no version']],
  [
    'a name that is no part of a path',
    small1(['name: net-l2seg', 'name: net/l2seg']),
    ['3:15: info.name is part of a path and cannot be so'],
  ],
  ['another key of info', small1(['version: 1.0', 'version: 1.0, served: true']), ['3:40: info has no served']],
  ['no objects', 'file_version: "1.0"\ninfo: { name: a, version: 1 }\n', ['1:1: there are no objects']],
  ['objects in a list', small1(['objects:\n', 'objects: [ ]\nx:\n']), ['4:10: objects is no map']],
  [
    'a name of an object that is none',
    small1(['  Segment:', '  2Segment:']),
    ['13:3: "2Segment" is no name for an object'],
  ],
  [
    'another key of an object',
    small1(['    extends: BasePort', '    extends: BasePort\n    rules: []']),
    ['8:5: Port has no rules'],
  ],
  [
    'another key of api',
    small1(['api: { name: port,', 'api: { name: port, columns: 1,']),
    ['6:24: api of Port has no columns'],
  ],
  [
    'no noun',
    small1(['api: { name: segment }', 'api: { plural_name: segments }']),
    ['14:10: api of Segment has no name'],
  ],
  [
    'a plural that is no part of a path',
    small1(['plural_name: ports', 'plural_name: por/ts']),
    ['6:37: api.plural_name of Port is no word'],
  ],
  [
    'a plural that is taken by the schema',
    small1(['plural_name: ports', 'plural_name: schema']),
    ['5:3: schema is no name for a collection'],
  ],
  [
    'an unknown base',
    small1(['extends: BasePort', 'extends: BasePorts']),
    ['7:14: Port extends BasePorts, which is not there'],
  ],
  [
    'an extended API object',
    small1(['extends: BaseServiceBinding', 'extends: Segment']),
    ['20:14: SegmentBinding extends Segment, which has an API of its own'],
  ],
  [
    'bases that extend each other',
    `${small1()}  A: { extends: B }\n  B: { extends: A }\n`,
    ['24:17: A extends itself by way of B', '25:17: B extends itself by way of A'],
  ],
  [
    'an object of the import again',
    `${small1()}  BasePort: {}\n`,
    ['24:3: BasePort is there twice, first in base/base.yaml:15'],
  ],
  [
    'a key that is a number',
    small1([VNI, 'vni: { type: integer, required: true, primary: true }']),
    ['17:20: Segment.vni is the key and no text'],
  ],
  [
    'an object with a name that every object has',
    `${small1()}  constructor: { api: { name: thing }, extends: BaseObject }\n`,
    ['24:3: constructor is no name for an object'],
  ],
  [
    'a noun that every object has',
    `${small1()}  Thing: { api: { name: toString }, extends: BaseObject }\n`,
    ['24:25: toString is no name for api.name of Thing'],
  ],
  ['a model with such a name', small1(['name: net-l2seg', 'name: valueOf']), ['3:15: valueOf is no info.name']],
  ['no type', small1([VNI, 'vni: { min: 1 }']), ['17:7: Segment.vni has no type']],
  ['an unknown type', small1([VNI, 'vni: { type: int }']), ['17:20: int is no type for Segment.vni']],
  [
    'the name of a base object as a type',
    small1([VNI, 'vni: { type: BasePort }']),
    ['17:20: BasePort is no type for Segment.vni'],
  ],
  [
    'another property',
    small1([VNI, 'vni: { type: integer, default: 1 }']),
    ['17:29: Segment.vni has no property default'],
  ],
  [
    'required that is neither',
    small1([VNI, 'vni: { type: integer, required: maybe }']),
    ['17:39: required of Segment.vni is neither true nor false'],
  ],
  [
    'primary that is neither',
    small1([VNI, 'vni: { type: integer, primary: 1 }']),
    ['17:38: primary of Segment.vni is neither true nor false'],
  ],
  [
    'length of a text',
    small1([VNI, 'vni: { type: string, length: long }']),
    ['17:36: length of Segment.vni is no integer'],
  ],
  ['length 0', small1([VNI, 'vni: { type: string, length: 0 }']), ['17:36: length of Segment.vni is 0']],
  [
    'values of no enum',
    small1([VNI, 'vni: { type: string, values: [a] }']),
    ['17:28: Segment.vni is string and has values'],
  ],
  ['an enum without values', small1([VNI, 'vni: { type: enum }']), ['17:7: Segment.vni is an enum without values']],
  ['an enum with no value', small1([VNI, 'vni: { type: enum, values: [] }']), ['17:34: Segment.vni has 0 values']],
  [
    'a value that is no text',
    small1([VNI, 'vni: { type: enum, values: [yes, a] }']),
    ['17:35: a value of Segment.vni is no text'],
  ],
  [
    'a value twice',
    small1([VNI, 'vni: { type: enum, values: [a, a] }']),
    ['17:34: a value of Segment.vni is there twice'],
  ],
  ['min of a string', small1([VNI, 'vni: { type: string, min: 1 }']), ['17:28: Segment.vni is string and has min']],
  ['max of a number', small1([VNI, 'vni: { type: number, max: 1 }']), ['17:28: Segment.vni is number and has max']],
  [
    'min that is no integer',
    small1([VNI, 'vni: { type: integer, min: 1.5 }']),
    ['17:34: min of Segment.vni is no integer'],
  ],
  [
    'max below min',
    small1([VNI, 'vni: { type: integer, min: 2, max: 1 }']),
    ['17:37: max of Segment.vni is less than its min'],
  ],
  [
    'an unknown format of a string',
    small1([VNI, 'vni: { type: string, format: cidr }']),
    ['17:36: cidr is no format for Segment.vni'],
  ],
  [
    'an unknown format of an integer',
    small1([VNI, 'vni: { type: integer, format: ipv4 }']),
    ['17:37: ipv4 is no format for Segment.vni'],
  ],
  [
    'a format of a boolean',
    small1([VNI, 'vni: { type: boolean, format: ipv4 }']),
    ['17:29: Segment.vni is boolean and has format'],
  ],
  [
    'a name of an attribute that is none',
    small1([VNI, 'v-ni: { type: integer }']),
    ['17:7: "v-ni" is no name for an attribute'],
  ],
  [
    'an attribute that every object has',
    small1([VNI, 'created_at: { type: string }']),
    ['17:7: every object has created_at already'],
  ],
  [
    'an attribute with a dangerous name',
    small1([VNI, 'constructor: { type: string }']),
    ['17:7: constructor is no name for an attribute'],
  ],
  [
    'an unknown action',
    small1(['    attributes:\n      vni', '    policies: { patch: a }\n    attributes:\n      vni']),
    ['16:17: policies of Segment has no patch'],
  ],
  [
    'a policy without a role',
    small1(['    attributes:\n      vni', '    policies: { list: { rule: a } }\n    attributes:\n      vni']),
    ['16:17: policy list of Segment has no role', '16:25: policy list of Segment has no rule'],
  ],
  [
    'a policy that is no text',
    small1(['    attributes:\n      vni', '    policies: { list: [a] }\n    attributes:\n      vni']),
    ['16:23: policy list of Segment is no text'],
  ],
  [
    'missing policies',
    `${small1()}  A:\n    api: { name: a }\n    policies: { get: "", list: "" }\n`,
    ['24:3: A has no policy for create, delete and update'],
  ],
  ['no API object', small1().replaceAll(/ {4}api: .*\n/g, ''), ['1:1: no object has an API']],
  [
    'no port',
    small1(['BasePort', 'BaseObject']),
    ['1:1: no API object extends BasePort', '8:3: Interface is an interface, and there is no port'],
  ],
  [
    'two ports',
    `${small1()}  P:\n    api: { name: p }\n    extends: BasePort\n`,
    ['24:3: P extends BasePort, and Port does'],
  ],
  [
    'no interface',
    small1(['BaseInterface', 'BaseObject'], ['{ type: Port }', '{ type: Port, required: true }']),
    ['1:1: no API object extends BaseInterface'],
  ],
  [
    'two interfaces',
    `${small1()}  P:\n    api: { name: p }\n    extends: BaseInterface\n`,
    ['24:3: P extends BaseInterface, and Interface does'],
  ],
  ['no service', small1(['BaseService\n', 'BaseObject\n']), ['1:1: no API object extends BaseService']],
  [
    'a parent that is no API object',
    small1(['parent: Port', 'parent: BasePort']),
    ['9:37: Interface has the parent BasePort, which is no API object'],
  ],
  [
    'a parent without its key',
    small1([', parent_key: port_id', '']),
    ['9:29: Interface has a parent and no parent_key'],
  ],
  [
    'a parent_key that is no attribute',
    small1(['parent_key: port_id', 'parent_key: port']),
    ['9:55: Interface has no attribute port, its parent_key'],
  ],
  [
    'objects that are each other’s parents',
    small1(['{ name: port, plural_name: ports }', '{ name: port, parent: Interface, parent_key: device_id }']),
    ['6:32: Port is its own parent by way of Interface', '9:37: Interface is its own parent by way of Port'],
  ],
  [
    'keys that refer to each other',
    `${small1()}  A: { api: { name: a }, extends: BaseObject, attributes: { b: { type: B, primary: true } } }\n  B: { api: { name: b }, extends: BaseObject, attributes: { a: { type: A, primary: true } } }\n`,
    [
      '24:61: A.b refers to B, whose key is a reference to itself',
      '25:61: B.a refers to A, whose key is a reference to itself',
    ],
  ],
  [
    'a key that is true or false',
    `${small1()}  A: { api: { name: a }, extends: BaseObject, attributes: { b: { type: boolean, primary: true } } }\n`,
    ['24:72: A.b is the key and no text'],
  ],
  [
    'an attribute with the name of the key that is made',
    `${small1()}  A: { api: { name: a }, attributes: { uuid: { type: string } }, policies: { create: a, delete: a, get: a, list: a, update: a } }\n`,
    ['24:40: A has no key, and its attribute uuid has the name of the one that is made'],
  ],
  [
    'names that collide once they are of tables',
    `${small1()}  Segment_Binding:\n    api: { name: other }\n    extends: BaseObject\n`,
    ['24:3: Segment_Binding shares the name of its table with SegmentBinding: segment_binding'],
  ],
  [
    'a plural twice',
    small1(['name: segment }', 'name: segment, plural_name: ports }']),
    ['13:3: Segment shares the plural_name with Port: ports'],
  ],
  [
    'a noun twice',
    small1(['name: segment }', 'name: port, plural_name: segments }']),
    ['13:3: Segment shares the api.name with Port: port'],
  ],
];

for (const [what, text, expected] of NEGATIVE) {
  test(`format 1.0 refuses ${what}`, () => {
    const problems = problemsOf(text);
    assert.deepEqual(problems.slice(0, expected.length), expected, problems.join('\n'));
  });
}

test('all that is wrong is told, in the order of the lines', () => {
  const text = small1([VNI, 'vni: { type: int }'], ['version: 1.0, ', ''], ['extends: BasePort', 'extends: X']);
  assert.deepEqual(problemsOf(text), [
    '3:7: info has no version',
    '7:14: Port extends X, which is not there',
    '17:20: int is no type for Segment.vni',
  ]);
});

test('a problem names the file, and what to do', () => {
  const answer = readModel([{ name: 'a/b.yaml', text: small1([VNI, 'vni: { type: int }']) }]);
  assert.deepEqual('problems' in answer && answer.problems, [
    {
      file: 'a/b.yaml',
      line: 17,
      column: 20,
      text: 'int is no type for Segment.vni',
      remedy: 'Write one of integer, number, string, boolean, uuid and enum, or the name of an API object',
    },
  ]);
});
