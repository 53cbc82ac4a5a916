import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileObject, type Values } from './check.ts';
import { withDefaults } from './checks.ts';
import type { ProtonObject } from './model.ts';
import { modelOf, objectOf, sampleFiles, small2 } from './testing/models.ts';
import { processorMs } from './testing/processor-time.ts';

const segment = objectOf(modelOf(small2()), 'Segment');

const KEY = { id: '6c1a3c2e-92f5-4a0e-a3e5-2d6a0d6a0a01', project_id: 'a' };

function problems(object: ProtonObject, given: Values, before?: Values): readonly string[] {
  const { check } = compileObject(object);
  return check(withDefaults(object, { ...KEY, ...given }), before).map(
    ({ attribute, text }) => `${attribute ?? ''}: ${text}`,
  );
}

test('an object is checked attribute by attribute', () => {
  assert.deepEqual(problems(segment, { vni: 5 }), []);
  assert.deepEqual(problems(segment, {}), ['vni: is required']);
  assert.deepEqual(problems(segment, { vni: 0, low: null, tags: ['a', 'B'], peer_id: 'x', other: 1 }), [
    'other: is not known',
    'vni: must be >= 1',
    'low: must not be null',
    'tags: tags[1] must match pattern "^[a-z]+$"',
    'peer_id: must match format "uuid"',
  ]);
});

test('what never changes may be written again as it is', () => {
  const before = withDefaults(segment, { ...KEY, vni: 5 });
  assert.deepEqual(problems(segment, { vni: 5, low: 3 }, before), []);
  assert.deepEqual(problems(segment, { vni: 6 }, before), [
    'vni: is immutable: leave it out, or create the object anew',
  ]);
});

test('a rule is asked once its attributes are values', () => {
  assert.deepEqual(problems(segment, { vni: 5, low: 11 }), [': low is above high']);
  assert.deepEqual(problems(segment, { vni: 5, low: 'a', high: 1 }), ['low: must be integer']);
});

test('names of a value that all objects have by birth are no attributes', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    const value = JSON.parse(`{"vni": 5, "${name}": 1}`) as Values;
    assert.match(compileObject(segment).check(value, undefined)[0]?.text ?? '', /is not known/);
  }
});

const everything = objectOf(modelOf(sampleFiles('test')), 'Everything');

test('every type and format of 1.0 takes what is of it, and nothing else', () => {
  const cases: Readonly<Record<string, readonly [readonly unknown[], readonly unknown[]]>> = {
    an_integer: [
      [-10, 0, 10, null],
      [-11, 11, 1.5, '1', true, []],
    ],
    an_int32: [
      [2 ** 31 - 1, -(2 ** 31)],
      [2 ** 31, -(2 ** 31) - 1],
    ],
    an_int64: [[2 ** 53 - 1], [2 ** 53, 1e300]],
    a_number: [
      [1.5, 0, -1e300],
      ['1', true],
    ],
    a_string: [
      ['', 'x'.repeat(255)],
      ['x'.repeat(256), 1],
    ],
    a_boolean: [
      [true, false],
      ['true', 1],
    ],
    a_uuid: [
      ['6c1a3c2e-92f5-4a0e-a3e5-2d6a0d6a0a01', '6c1a3c2e92f54a0ea3e52d6a0d6a0a01'],
      ['6c1a3c2e', 'g'.repeat(32)],
    ],
    an_enum: [['small'], ['medium', '']],
    a_date_time: [
      ['2026-11-30T10:00:00Z', '2026-11-30T10:00:00.123', '2026-11-30T10:00:00+01:00'],
      ['2026-11-30', '2026-13-30T10:00:00Z', 'now'],
    ],
    a_json: [
      ['{}', '[1]', 'null'],
      ['{', "{'a': 1}"],
    ],
    an_ipv4: [['10.0.0.1'], ['10.0.0.256', '10.0.0.01', '::1', '10.0.0.1/24']],
    an_ipv6: [
      ['::1', 'fe80::1'],
      ['10.0.0.1', 'fe80::1%eth0', ':::'],
    ],
    a_mac: [
      ['fa:16:3e:00:00:01', 'FA:16:3E:00:00:01'],
      ['fa:16:3e:00:00', 'fa-16-3e-00-00-01'],
    ],
    a_uri: [['http://example.org/a?b#c'], ['example', 'http://exa mple']],
    an_email: [['a@example.org'], ['a', 'a@', `${'a'.repeat(300)}@example.org`]],
    a_reference: [['6c1a3c2e-92f5-4a0e-a3e5-2d6a0d6a0a01'], ['x']],
  };
  const { check } = compileObject(everything);
  const base = {
    ...withDefaults(everything, {}),
    id: KEY.id,
    tenant_id: '6c1a3c2e92f54a0ea3e52d6a0d6a0a01',
    a_short_string: 'a',
  };
  for (const [name, [good, bad]] of Object.entries(cases)) {
    for (const value of good) assert.deepEqual(check({ ...base, [name]: value }, undefined), [], `${name} ${value}`);
    for (const value of bad)
      assert.deepEqual(
        check({ ...base, [name]: value }, undefined).map(({ attribute }) => attribute),
        [name],
        `${name} ${value}`,
      );
  }
});

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

test('values that are large or deep are refused before they are looked at', () => {
  const hostile = objectOf(
    modelOf(
      small2(['low: { type: integer, default: 0 }', 'low: { type: integer, default: 0 }\n      any: { schema: true }']),
    ),
    'Segment',
  );
  const large: readonly unknown[] = [
    'x'.repeat(70_000),
    Array.from({ length: 70_000 }, () => 1),
    Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`key${at}`, at])),
    nested(10_000 - 9000),
    { a: { b: 'x'.repeat(66_000) } },
  ];
  for (const any of large) {
    const tookMs = processorMs(() => assert.match(problems(hostile, { vni: 5, any }).join(), /larger than/));
    assert.ok(tookMs < 2000, `${tookMs} ms`);
  }
});

test('patterns that would take a backtracking engine for ever are matched soon', () => {
  for (const pattern of ['^(a+)+$', '^(([a-z])+.)+[A-Z]([a-z])+$', '(x+x+)+y', '^(a|aa)+$', '^(a|a?)+$']) {
    const object = objectOf(
      modelOf(small2(['pattern: "^[a-z]+$"', `pattern: "${pattern}"`], ['tags: [a]', 'tags: []'])),
      'Segment',
    );
    const value = { vni: 5, tags: ['a'.repeat(30_000), `${'a'.repeat(30_000)}!`] };
    assert.ok(processorMs(() => problems(object, value)) < 3000, pattern);
  }
});

test('many schemas over many values are bounded', () => {
  const branches = Array.from(
    { length: 60 },
    (_, at) => `{ type: object, properties: { a: { type: array, items: { const: ${at} } } }, required: [b${at}] }`,
  ).join(', ');
  const object = objectOf(
    modelOf(
      small2([
        'low: { type: integer, default: 0 }',
        `low: { type: integer, default: 0 }\n      any: { schema: { type: array, items: { oneOf: [${branches}] } } }`,
      ]),
    ),
    'Segment',
  );
  const value = { vni: 5, any: Array.from({ length: 8000 }, () => ({ a: [1], b: 2 })) };
  assert.ok(processorMs(() => problems(object, value)) < 3000);
});

test('what fits none of the alternatives is told so, with why not', () => {
  const choice = '{ oneOf: [{ type: string, format: ipv4 }, { type: integer, minimum: 5 }] }';
  const model = modelOf(
    small2([
      'low: { type: integer, default: 0 }',
      `low: { type: integer, default: 0 }\n      any: { schema: { type: array, items: ${choice} } }\n      one: { schema: ${choice} }`,
    ]),
  );
  const segment = objectOf(model, 'Segment');
  const told = (more: object) =>
    problems(segment, { vni: 5, low: 0, high: 1, any: [], one: 7, ...more }).filter((text) => /^(any|one)/.test(text));
  assert.deepEqual(told({ one: 'x' }), [
    'one: matches none of the alternatives (must match format "ipv4"; must be integer)',
  ]);
  assert.deepEqual(told({ any: ['10.0.0.1', 3] }), [
    'any: any[1] matches none of the alternatives ([1] must be string; [1] must be >= 5)',
  ]);
});
