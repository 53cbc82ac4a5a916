import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProtonAttribute } from './model.ts';
import { compileRule, type RuleAnswer, RuleError } from './rules.ts';
import { processorMs } from './testing/processor-time.ts';
import { weigh } from './weight.ts';

const attribute = (name: string, schema: ProtonAttribute['schema'], nullable = false): ProtonAttribute => ({
  name,
  schema,
  nullable,
  description: '',
  required: false,
  immutable: false,
  readOnly: false,
});

const ATTRIBUTES = [
  attribute('low', { type: 'integer' }),
  attribute('high', { type: 'integer' }, true),
  attribute('ratio', { type: 'number' }),
  attribute('type', { enum: ['a', 'b'] }),
  attribute('text', { type: 'string' }),
  attribute('on', { type: 'boolean' }),
  attribute('list', { type: 'array', items: { type: 'integer' } }),
  attribute('other', { type: 'array', items: { type: 'string' } }),
  attribute('map', { type: 'object', additionalProperties: { type: 'integer' } }),
];

const VALUES = {
  low: 1,
  high: 5,
  ratio: 0.5,
  type: 'a',
  text: 'a,b',
  on: true,
  list: [1, 2, 3],
  other: ['a', 'b'],
  map: { a: 1, constructor: 2 },
};

function ask(rule: string, values: Readonly<Record<string, unknown>> = {}): RuleAnswer {
  const all = { ...VALUES, ...values };
  const weight = weigh(all, 1_000_000);
  assert.ok(weight);
  return compileRule(rule, ATTRIBUTES)(all, weight);
}

test('rules compare attributes of all types', () => {
  const hold = [
    'low <= high',
    'high == null || high > 4',
    'ratio < 1.0 && ratio < 1',
    'type == "a" ? on : !on',
    'text.startsWith("a") && text.endsWith("b") && text.contains(",") && size(text) == 3',
    'text.matches("^[a-z](,[a-z])*$")',
    'text.split(",").all(part, part in other)',
    'list.all(x, list.exists(y, x == y))',
    'list.filter(x, x > 1).size() == 2',
    'list.exists_one(x, x == 2) && 2 in list',
    'has(map.a) && map.a == 1 && !has(map.b)',
    'map["constructor"] == 2',
    'int(ratio * 2.0) == 1 && double(low) == 1.0 && string(low) == "1"',
    '-low + 2 * 3 - 4 / 2 % 3 == 3',
    'timestamp("2026-11-30T00:00:00Z") < timestamp("2026-12-01T00:00:00Z")',
    'low in [1, 2] && {"k": low}["k"] == 1',
  ];
  for (const rule of hold) assert.equal(ask(rule), 'holds', rule);
  assert.equal(ask('low > 1'), 'broken');
  assert.equal(ask('high == null', { high: null }), 'holds');
});

test('a rule that cannot be answered says why', () => {
  assert.match(JSON.stringify(ask('high > 4', { high: null })), /error.*no such overload/);
  assert.match(JSON.stringify(ask('low / 0 == 1')), /error.*zero/);
  assert.match(JSON.stringify(ask('list[7] == 1')), /error/);
});

test('what could cost more than its object is no rule', () => {
  const refused = [
    ['list.map(x, x + 1) == list', /\.map\(\) is not for rules/],
    ['other.join(",") == text', /\.join\(\) is not for rules/],
    ['cel.bind(x, text, x == text)', /\.bind\(\) is not for rules/],
    ['text.indexOf("a") == 1', /is not for rules/],
    ['bytes(text) == b"a"', /bytes\(\) is not for rules/],
    ['b"a" == b"a"', /bytes and unsigned numbers/],
    ['dyn(low) == 1', /dyn\(\) is not for rules/],
    ['list.all(a, list.all(b, list.all(c, a == b)))', /nested deeper than 2/],
    ['list.all(a, list.filter(b, other.exists(c, true)).size() == 1)', /nested deeper than 2/],
    ['text.matches(text)', /takes one text in quotes/],
    ['text.contains(text)', /takes one text in quotes/],
    ['text.split(text).size() == 1', /takes one text in quotes/],
    [`text.contains("${'a'.repeat(300)}")`, /longer than 256/],
    ['text.matches("(?=a)")', /the pattern is not understood/],
    ['text.matches("(a{1000}){1000}")', /the pattern is not understood/],
    [`low == ${'('.repeat(100)}1${')'.repeat(100)}`, /maxDepth/],
    [`low == ${'1 + '.repeat(300)}1`, /maxAstNodes/],
    [`${' '.repeat(3000)}true`, /more than 2000 characters/],
    ['a_low == 1', /there is no attribute a_low/],
    ['list.all(x, v_x == 1)', /there is no attribute v_x/],
    ['google == 1', /there is no attribute google/],
  ] as const;
  for (const [rule, expected] of refused) {
    assert.throws(
      () => compileRule(rule, ATTRIBUTES),
      (err) => err instanceof RuleError && expected.test(err.message),
      rule,
    );
  }
});

test('a variable of a loop takes no attribute’s place but its own', () => {
  assert.equal(ask('list.all(low, low > 0) && low == 1'), 'holds');
});

test('the longest rule over the largest object ends soon, or is refused before it is asked', () => {
  const list = Array.from({ length: 30_000 }, (_, at) => at);
  const text = 'a'.repeat(60_000);
  const other = Array.from({ length: 20_000 }, () => '');
  const rules = [
    'list.all(x, list.all(y, x != -1))',
    'list.exists(x, list.exists(y, x.k == y))',
    'other.all(x, (x + text + text + text) != "")',
    'list.all(x, !(x in list.filter(y, y < 0)))',
    'text.split("a").all(x, text.split("a").all(y, x == y))',
    `[${Array.from({ length: 30 }, () => 'text').join(' + ')}].all(v, [${Array.from({ length: 30 }, () => 'v').join(' + ')}].all(w, w == w))`,
    'other.all(x, text.matches("(a|b|ab)*c") || true)',
    'text.matches("(.*)(.*)(.*)(.*)(.*)[^a]$") || true',
    'other.all(x, text.contains("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab") || true)',
    'list == list && other == other && text + text == text + text',
  ];
  for (const rule of rules) {
    const answers: RuleAnswer[] = [];
    const tookMs = processorMs(() => {
      answers.push(ask(rule, { list, other, text }));
    });
    assert.ok(tookMs < 3000, `${rule} took ${tookMs} ms`);
    const why = answers.map((answer) => (typeof answer === 'string' ? '' : answer.error)).join();
    assert.match(why, /^$|too large|No such key|overload/);
  }
});

test('two lists of a hundred may be compared each with each', () => {
  const list = Array.from({ length: 100 }, (_, at) => at);
  assert.equal(ask('list.all(x, list.exists(y, x == y))', { list }), 'holds');
});
