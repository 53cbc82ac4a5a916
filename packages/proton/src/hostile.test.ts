/** Files that nobody should write: each is answered soon, and says where and what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readModel } from './read.ts';
import { problemsOf, small1, small2 } from './testing/models.ts';
import { processorMs } from './testing/processor-time.ts';

/** Of a processor. */
const SOON_MS = 10_000;

const head = 'file_version: "1.0"\n';

const many = (count: number, make: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => make(at)).join('');

const LOW = 'low: { type: integer, default: 0 }';

/** A definition of some hundred schemas, referred to many times. */
const wide = `  Wide: { anyOf: [${many(500, (at) => `{ const: ${at} }, `)}] }\n  Vni: {`;

const HOSTILE: readonly (readonly [string, string, RegExp])[] = [
  ['10 MB', 'a: b\n'.repeat(2_000_000), /^1:1: the model has 10000000 characters$/],
  ['ten thousand objects', `${head}objects:\n${many(10_000, (at) => ` A${at}: {}\n`)}`, /there are 10000 objects/],
  [
    'a thousand attributes',
    small1(['      vni: {', `${many(1000, (at) => `      a${at}: { type: uuid }\n`)}      vni: {`]),
    /Segment has 1001 attributes/,
  ],
  [
    'aliases that double nine times over and again',
    `${head}x: &a0 [1,2,3,4,5,6,7,8,9]\n${many(12, (at) => `y${at}: &a${at + 1} [${`*a${at},`.repeat(9)}]\n`)}`,
    /it has more than 50000 values/,
  ],
  ['an alias within itself', `${head}objects: &a { A: *a }\n`, /\*a is within itself/],
  ['an alias without an anchor', `${head}objects: *a\n`, /a\b/],
  [
    'twenty thousand lists in lists that end',
    `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
    /^1:401: it is nested too deeply$/,
  ],
  ['as many on lines of their own', '[\n'.repeat(20_000), /^401:1: it is nested too deeply$/],
  ['marks in marks', `objects:\n${'- ? '.repeat(20_000)}`, /^2:\d+: it is nested too deeply$/],
  ['eighty thousand values of an enum', `a: { enum: [${'x, '.repeat(80_000)}] }`, /has more than 50000 values/],
  ['lists in lists', `${head}info: ${'['.repeat(100_000)}`, /nested too deeply/],
  ['lists in lists that end', `${head}info: ${'['.repeat(60)}${']'.repeat(60)}`, /^2:\d+: it is nested too deeply$/],
  ['maps in maps', `${head}${'{a: '.repeat(50_000)}`, /nested too deeply|map/],
  ['a key twice', `${head}info: {name: a, name: b}`, /^2:17: the key name is there twice$/],
  ['an object twice', small1(['  Segment:', '  Port:']), /^13:3: the key Port is there twice$/],
  ['__proto__', `${head}objects: { __proto__: { api: { name: a } } }`, /^2:12: __proto__ is no name$/],
  ['__proto__ as an attribute', small1(['vni: {', '__proto__: {']), /__proto__ is no name/],
  [
    '__proto__ by a merge key',
    small1(['vni: {', 'a: &a { __proto__: 1 }\n      vni: { <<: *a,']),
    /__proto__ is no name/,
  ],
  ['a list as a key', `${head}objects: { [a]: 1 }`, /a key is no text/],
  ['tabs', `${head}info:\n\tname: a\n`, /^3:1: tabs are not allowed as indentation$/],
  ['NUL', `${head}info: \0`, /^2:7: there is a control character$/],
  ['two documents', `${head}---\n${head}`, /multiple documents/],
  ['a tag of a language', `${head}info: !!python/object:os.system x`, /unresolved tag/],
  ['nothing', '', /^1:1: the file is empty$/],
  ['a text', 'hello', /the file is no map/],
  ['a list', '- a', /the file is no map/],
  ['long lines of colons', ':'.repeat(200_000), /./],
  [
    'schemas that are written out many times',
    small2(['  Vni: {', wide], [LOW, `${LOW}\n${many(200, (at) => `      w${at}: { $ref: "#/$defs/Wide" }\n`)}`]),
    /the model has more than 20000 schemas/,
  ],
  [
    'a base of many attributes and many heirs',
    `${small1(['  Port:', `  Wide:\n    extends: BaseObject\n    attributes:\n${many(200, (at) => `      w${at}: { type: uuid }\n`)}  Port:`])}${many(200, (at) => `  H${at}: { api: { name: h${at} }, extends: Wide }\n`)}`,
    /all objects have \d+ attributes together/,
  ],
  [
    'a base of many rules and many heirs',
    `${small2(['  Segment:', `  Ruled:\n    extends: BaseObject\n    rules:\n${many(60, (at) => `      - { rule: size(name) != ${at}, message: m }\n`)}  Segment:`])}${many(60, (at) => `  H${at}: { api: { name: h${at} }, extends: Ruled }\n`)}`,
    /all objects have 3601 rules together/,
  ],
  [
    'many rules',
    small2(['    rules:', `    rules:\n${many(1000, () => '      - { rule: "true", message: m }\n')}`]),
    /rules of Segment has 1001 members/,
  ],
  [
    'many examples',
    small2(['    examples:', `    examples:\n${many(1000, () => '      - { vni: 1 }\n')}`]),
    /examples of Segment has 1001 members/,
  ],
  [
    'an index of many attributes',
    small2(['[[low, high]]', `[[${many(200, () => 'low, ')}high]]`]),
    /a member of indexes of Segment has 201 members/,
  ],
  [
    'many conversions',
    `${small2()}conversions:\n${many(200, (at) => `  - { from: v${at} }\n`)}`,
    /there are 200 conversions/,
  ],
  [
    'many steps',
    `${small2()}conversions:\n  - from: "1"\n    objects:\n      Segment:\n${many(2000, (at) => `        - { drop: { attribute: a${at} } }\n`)}`,
    /has 2000 steps/,
  ],
  [
    'numbers of any length',
    `${head}info: { name: a, version: ${'9'.repeat(200_000)} }`,
    /info.version is part of a path/,
  ],
];

for (const [what, text, expected] of HOSTILE) {
  test(`a file with ${what} is refused soon`, () => {
    let problems: readonly string[] = [];
    const tookMs = processorMs(() => {
      problems = problemsOf(text);
    });
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      problems.slice(0, 5).join('\n'),
    );
    assert.ok(problems.length <= 101);
    assert.ok(tookMs < SOON_MS, `it took ${tookMs} ms`);
  });
}

test('the largest models that are taken are read soon', () => {
  const rules = many(
    60,
    (at) => `      - { rule: "tags.all(x, size(x) > ${at} || x.matches(\\"a{1,20}${at}\\"))", message: m${at} }\n`,
  );
  const patterns = (at: number) => many(20, (one) => `{ type: string, pattern: "^p${at}x${one}$" }, `);
  const attributes = many(200, (at) => `      w${at}: { type: array, items: { anyOf: [${patterns(at)}] } }\n`);
  const text = small2([LOW, `${LOW}\n${attributes}`], ['    rules:\n', `    rules:\n${rules}`], [', tags: [a]', '']);
  const tookMs = processorMs(() => assert.deepEqual(problemsOf(text), []));
  assert.ok(tookMs < SOON_MS, `${tookMs} ms`);
});

test('a byte-order mark is no matter', () => {
  assert.deepEqual(problemsOf(`\ufeff${small1()}`), []);
});

test('problems beyond a hundred are counted', () => {
  const text = `${small1()}${many(200, (at) => `k${at}: 1\n`)}`;
  const answer = readModel([{ name: 'm', text }]);
  assert.equal('problems' in answer && answer.problems.at(-1)?.text, '100 more errors are not shown');
});

test('nothing of what a file says reaches the prototype of all objects', () => {
  problemsOf(small1(['vni: {', '__proto__: { polluted: true }\n      vni: {']));
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

test('random bytes and cut files end with problems, not with a throw', () => {
  const whole = small1();
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 300; round += 1) {
    const at = random(whole.length);
    const noise = String.fromCharCode(...Array.from({ length: random(6) }, () => 9 + random(118)));
    readModel([{ name: 'm', text: whole.slice(0, at) + noise + whole.slice(at + random(40)) }]);
  }
});
