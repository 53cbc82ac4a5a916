import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compileObject, type Values } from './check.ts';
import { withDefaults } from './checks.ts';
import { formsOf } from './gen/form.ts';
import { GENERATORS } from './gen/gen.ts';
import { markdownText, schemaText } from './gen/markdown.ts';
import { clientText, typeOf } from './gen/typescript.ts';
import { type Vector, vectorsOf } from './gen/vectors.ts';
import type { ProtonModel, ProtonObject } from './model.ts';
import { modelOf, sampleFiles, sampleNames, small2 } from './testing/models.ts';

const PROJECT = '0123456789abcdef0123456789abcdef';

/** A server of one model, of which nothing is there but the checks of objects and references that must exist. */
class Double {
  readonly #model: ProtonModel;
  readonly #rows = new Map<string, Values>();
  readonly saved = new Map<string, string>();
  #made = 0;

  constructor(model: ProtonModel) {
    this.#model = model;
  }

  answer({ method, path, body, saves, key }: Vector): number {
    const [, , , , plural, one] = this.#filled(path).split('/');
    const object = this.#model.objects.find((other) => other.plural === plural);
    if (object === undefined) return 404;
    const at = `${plural}/${one}`;
    if (method === 'POST') return this.#create(object, this.#filledBody(body), saves, key);
    const before = this.#rows.get(at);
    if (before === undefined) return 404;
    if (method === 'DELETE') this.#rows.delete(at);
    if (method === 'PUT')
      return compileObject(object).check({ ...before, ...this.#filledBody(body) }, before).length > 0 ? 400 : 200;
    return method === 'DELETE' ? 204 : 200;
  }

  #create(object: ProtonObject, body: Values, saves: string | undefined, key: string | undefined): number {
    this.#made += 1;
    const id = `10000000-0000-4000-8000-${String(this.#made).padStart(12, '0')}`;
    const isMade = object.attributes.some(
      ({ name, schema, ref }) =>
        name === object.primary && ref === undefined && typeof schema === 'object' && schema['format'] === 'uuid',
    );
    const filled = { ...(isMade ? { [object.primary]: id } : {}), project_id: PROJECT };
    const known = Object.fromEntries(
      Object.entries(filled).filter(([name]) => object.attributes.some((one) => one.name === name)),
    );
    const row = withDefaults(object, { ...known, ...body });
    if (compileObject(object).check(row, undefined).length > 0) return 400;
    for (const { name, ref } of object.attributes) {
      const target = this.#model.objects.find((one) => one.name === ref?.object);
      if (target !== undefined && typeof row[name] === 'string' && !this.#rows.has(`${target.plural}/${row[name]}`))
        return 400;
    }
    const at = `${object.plural}/${row[object.primary]}`;
    if (this.#rows.has(at)) return 409;
    this.#rows.set(at, row);
    if (saves !== undefined && key !== undefined) this.saved.set(saves, String(row[key]));
    return 201;
  }

  #filled(text: string): string {
    return text.replaceAll(/\{\{([\w.]+)\}\}/g, (_, name: string) =>
      name === 'project' ? PROJECT : (this.saved.get(name) ?? ''),
    );
  }

  #filledBody(body: unknown): Values {
    return JSON.parse(this.#filled(JSON.stringify(body))) as Values;
  }
}

for (const name of sampleNames()) {
  test(`vectors of ${name} are what a server of it answers`, () => {
    const model = modelOf(sampleFiles(name));
    const vectors = vectorsOf(model);
    const server = new Double(model);
    for (const vector of vectors) {
      const status = server.answer(vector);
      assert.ok(vector.status.includes(status), `${vector.name}: ${status} ${JSON.stringify(vector)}`);
    }
    const created = new Set(
      vectors.filter(({ saves }) => saves !== undefined).map(({ path }) => path.split('/').at(-1)),
    );
    assert.deepEqual(
      model.objects.map(({ plural }) => plural).filter((plural) => !created.has(plural)),
      [],
    );
  });
}

test('vectors try each rule, each bound and each key of circuit', () => {
  const names = vectorsOf(modelOf(sampleFiles('circuit'))).map((vector) => vector.name);
  for (const wanted of [
    'Line lacks a_port_id',
    'Line has admitted_kbps, below its minimum',
    'Line has frames, none of its values',
    'Line breaks a rule: a_port_id != z_port_id',
    'Line breaks a rule: admitted_kbps == null || guaranteed_kbps == null || guaranteed_kbps <= admitted_kbps',
    'Line.a_port_id is changed',
    'CircuitBinding has side, none of its values',
  ]) {
    assert.ok(names.includes(wanted), `${wanted}\n${names.join('\n')}`);
  }
});

test('schemas are types of TypeScript', () => {
  const cases = [
    [true, 'unknown'],
    [{ type: 'integer' }, 'number'],
    [{ type: ['string', 'null'] }, 'string | null'],
    [{ enum: ['a', 1, null] }, '"a" | 1 | null'],
    [{ type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'number' }] } }, 'readonly (string | number)[]'],
    [{ type: 'array', items: { type: 'array', items: { type: 'boolean' } } }, 'readonly (readonly boolean[])[]'],
    [{ type: 'object' }, 'Readonly<Record<string, unknown>>'],
    [{ type: 'object', additionalProperties: { type: 'integer' } }, 'Readonly<Record<string, number>>'],
    [
      { type: 'object', properties: { a: { type: 'string' }, b: true }, required: ['a'] },
      '{ readonly "a": string; readonly "b"?: unknown }',
    ],
    [{ allOf: [{ type: 'string' }, { maxLength: 3 }] }, 'string'],
  ] as const;
  for (const [schema, expected] of cases) assert.equal(typeOf(schema), expected);
});

test('schemas are a line of reference', () => {
  assert.equal(schemaText({ type: 'string', maxLength: 64, format: 'uri' }), 'string; maxLength 64; format uri');
  assert.equal(schemaText({ type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), 'integer; minimum 1');
  assert.equal(schemaText({ type: 'array', items: { enum: ['a', 'b'] } }), 'array; of (a, b)');
});

test('texts of a model end no comment, no table and no block', () => {
  const evil = 'a */ process.exit() /* | <b> ` # x';
  const model = modelOf(
    small2(
      ['description: Plain segment', `description: ${JSON.stringify(evil)}`],
      ['low: {', `low: { description: ${JSON.stringify(evil)},`],
      ['message: low is above high', `message: ${JSON.stringify(evil)}`],
    ),
  );
  assert.doesNotMatch(clientText(model).replaceAll(/\/\*\*.*?\*\//gs, ''), /process/);
  const page = markdownText(model);
  assert.doesNotMatch(page, /(?<!\\)<b>/);
  for (const line of page.split('\n').filter((one) => one.startsWith('| `low`')))
    assert.equal(line.match(/(?<!\\)\|/g)?.length, 5, line);
});

test('a form has what is sent, and where choices come from', () => {
  const { Line } = formsOf(modelOf(sampleFiles('circuit')));
  assert.ok(Line);
  assert.deepEqual(Line.create['required'], ['a_port_id', 'z_port_id']);
  assert.deepEqual(Line.choices, { a_port_id: '/proton/circuit/v1.0/ports', z_port_id: '/proton/circuit/v1.0/ports' });
  assert.deepEqual(Object.keys(Line.update['properties'] as object), [
    'name',
    'description',
    'frames',
    'admitted_kbps',
    'guaranteed_kbps',
  ]);
  assert.deepEqual(Line.ui['admitted_kbps'], { label: 'Admitted bandwidth', unit: 'kbit/s' });
});

test('every generator answers for every sample', () => {
  for (const name of sampleNames()) {
    const model = modelOf(sampleFiles(name));
    for (const generate of Object.values(GENERATORS)) assert.ok(generate(model).length > 100);
  }
});

test('generated clients are TypeScript that the strictest compiler takes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-proton-'));
  try {
    for (const name of sampleNames())
      writeFileSync(join(directory, `${name}.ts`), clientText(modelOf(sampleFiles(name))));
    const files = sampleNames().map((name) => join(directory, `${name}.ts`));
    const compiler = fileURLToPath(new URL('../../../node_modules/.bin/tsc', import.meta.url));
    const options = [
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--target',
      'es2023',
      '--module',
      'nodenext',
      '--types',
      '',
    ];
    const { status, stdout } = spawnSync(compiler, [...options, ...files], { encoding: 'utf8', cwd: directory });
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
