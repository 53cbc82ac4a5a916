/** The guide to models says what the code knows, and its examples are models. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { INTEGER_FORMATS_1, PROPERTIES_1, STRING_FORMATS_1, TYPES_1 } from './attributes-1.ts';
import { KEYWORDS_2 } from './attributes-2.ts';
import { STEPS } from './conversions.ts';
import { FORMAT_NAMES } from './formats.ts';
import { GENERATORS } from './gen/gen.ts';
import { DIALECTS } from './read.ts';
import { RULE_FUNCTIONS, RULE_LOOPS, RULE_METHODS } from './rules.ts';
import { SCHEMA_KEYWORDS, VALUE_TYPES } from './schema.ts';
import { modelOf } from './testing/models.ts';

const page = readFileSync(new URL('../../../docs/guide/proton-models.md', import.meta.url), 'utf8');
const [, first = '', second = ''] = page.split(/^## Format [12]\.0$/m);

const sorted = (words: Iterable<string>): readonly string[] => [...new Set(words)].toSorted();

/** Words in code in the first cell of the rows of the table below a head. */
function firstCells(text: string, head: string): readonly string[] {
  const [, rest = ''] = text.split(`\n${head}\n`);
  const rows = rest.split('\n\n')[0]?.split('\n').slice(1) ?? [];
  return sorted(
    rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)),
  );
}

test('the tables of format 1.0 have its properties, types and keys', () => {
  assert.deepEqual(firstCells(first, '| property | types | what it is |'), sorted(PROPERTIES_1));
  assert.deepEqual(firstCells(first, '| type | values |'), sorted(TYPES_1));
  const { topKeys, objectKeys } = DIALECTS['1.0'];
  assert.deepEqual(firstCells(first, '| key | of | what it is |'), sorted([...topKeys, ...objectKeys]));
  for (const format of [...STRING_FORMATS_1, ...INTEGER_FORMATS_1]) assert.ok(first.includes(`\`${format}\``), format);
});

test('the tables of format 2.0 have its keys, keywords, formats and steps', () => {
  const { topKeys, infoKeys, objectKeys, apiKeys } = DIALECTS['2.0'];
  const before = DIALECTS['1.0'];
  const known = [...before.topKeys, ...before.infoKeys, ...before.objectKeys, ...before.apiKeys];
  const added = [...topKeys, ...infoKeys, ...objectKeys, ...apiKeys].filter(
    (key) => !known.includes(key) || key === 'description',
  );
  assert.deepEqual(firstCells(second, '| key | of | what it is |'), sorted(added));
  assert.deepEqual(firstCells(second, '| keyword | what it is |'), sorted(KEYWORDS_2));
  assert.deepEqual(firstCells(second, '| keyword of a schema | |'), sorted(Object.keys(SCHEMA_KEYWORDS)));
  assert.deepEqual(firstCells(second, '| step | what it is | forwards | backwards |'), sorted(STEPS));
  // The server has that one.
  const kinds = [...Object.keys(GENERATORS), 'openapi'];
  assert.deepEqual(firstCells(second, '| `cable proton gen` | |'), sorted(kinds));
  for (const word of [...FORMAT_NAMES, ...VALUE_TYPES, ...RULE_FUNCTIONS])
    assert.ok(second.includes(`\`${word}\``), word);
  for (const word of RULE_METHODS) assert.ok(second.includes(`\`.${word}()\``), word);
  for (const word of RULE_LOOPS) assert.ok(second.includes(`\`.${word}(x, ...)\``), word);
});

test('the examples are models', () => {
  const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => modelOf(text));
  assert.deepEqual(
    examples.map(({ fileVersion, objects }) => [fileVersion, objects.length]),
    [
      ['1.0', 4],
      ['2.0', 4],
    ],
  );
});
