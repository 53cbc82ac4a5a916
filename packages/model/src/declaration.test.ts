import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attribute, defineResource, type Resource } from './declaration.ts';
import { CableError, ERRORS, type ErrorCode } from './errors.ts';
import { BUILT_IN_RESOURCES } from './resources.ts';

test('the built-in declarations agree with each other', () => {
  const names = BUILT_IN_RESOURCES.map((one) => one.name);
  assert.equal(new Set(names).size, names.length);
  const urls = BUILT_IN_RESOURCES.map((one) => `${one.prefix}/${one.path}`);
  assert.equal(new Set(urls).size, urls.length);
  for (const resource of BUILT_IN_RESOURCES) {
    forEachAttribute(resource.attributes, (name, attribute) => {
      const where = `${resource.name}.${name}`;
      const target = attribute.reference?.type;
      assert.ok(target === undefined || names.includes(target), `${where} refers to ${target}`);
      const { default: value, values } = attribute;
      if (values !== undefined && value !== undefined && value !== null) {
        assert.ok(values.includes(value as string), `${where}: the default is not one of the values`);
      }
      assert.ok(!attribute.computed || attribute.write === undefined, `${where} is computed, so nobody writes it`);
    });
  }
});

test('every attribute and resource says what it is', () => {
  for (const resource of BUILT_IN_RESOURCES) {
    assert.ok(resource.description.endsWith('.'), resource.name);
    for (const [name, attribute] of Object.entries(resource.attributes)) {
      assert.ok(attribute.description, `${resource.name}.${name}`);
    }
  }
});

test('a declaration that contradicts itself is refused', () => {
  const good: Resource = {
    name: 'thing',
    plural: 'things',
    label: 'Thing',
    prefix: '/x/v1',
    path: 'things',
    description: 'A thing.',
    verbs: ['list'],
    standard: true,
    stored: true,
    attributes: {},
  };
  assert.ok(defineResource(good).attributes['revision_number']);
  const refuse = (change: Partial<Resource>, why: RegExp): void => {
    assert.throws(() => defineResource({ ...good, ...change }), why);
  };
  const refuseAttribute = (attribute: Attribute, why: RegExp): void => refuse({ attributes: { a: attribute } }, why);
  refuse({ name: 'Thing' }, /snake case/);
  refuse({ path: 'a/b' }, /one part/);
  refuse({ standard: false }, /no attribute id/);
  refuse({ sharedBy: 'shared' }, /no attribute shared/);
  refuseAttribute({ type: 'list' }, /list and items/);
  refuseAttribute({ type: 'object' }, /object and properties/);
  refuseAttribute({ type: 'string', required: true, default: '' }, /required has no default/);
  refuseAttribute({ type: 'string', required: true }, /nobody may write/);
  refuseAttribute({ type: 'string', default: null }, /not nullable/);
  refuseAttribute({ type: 'string', aliasOf: 'b' }, /aliasOf/);
});

test('every error has a status of an error and a remedy', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const error = new CableError(code, 'text', { label: 'Port' });
    assert.ok(error.status >= 400 && error.status < 600, code);
    assert.ok(error.remedy.endsWith('.'), code);
    assert.equal(error.type, `Port${code}`);
  }
  assert.ok(new CableError('ServiceUnavailable', '').retryable);
  assert.ok(!new CableError('NotFound', '').retryable);
});

function forEachAttribute(
  attributes: Readonly<Record<string, Attribute>>,
  call: (name: string, attribute: Attribute) => void,
): void {
  for (const [name, attribute] of Object.entries(attributes)) {
    call(name, attribute);
    if (attribute.items !== undefined) forEachAttribute({ [`${name}[]`]: attribute.items }, call);
    if (attribute.properties !== undefined) forEachAttribute(attribute.properties, call);
  }
}
