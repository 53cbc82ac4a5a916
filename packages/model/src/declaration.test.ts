import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Attribute, Resource } from './declaration.ts';
import { DeclarationError } from './declaration-checks.ts';
import { defineResource } from './define-resource.ts';
import { CableError, ERRORS, type ErrorCode } from './errors.ts';
import { BUILT_IN_RESOURCES } from './resources.ts';

test('the built-in declarations agree with each other', () => {
  const names = BUILT_IN_RESOURCES.map((one) => one.name);
  assert.equal(new Set(names).size, names.length);
  const types = BUILT_IN_RESOURCES.map((one) => one.type);
  assert.equal(new Set(types).size, types.length);
  const urls = BUILT_IN_RESOURCES.map((one) => `${one.prefix}/${one.path}`);
  assert.equal(new Set(urls).size, urls.length);
  for (const resource of BUILT_IN_RESOURCES) {
    forEachAttribute(resource.attributes, (name, attribute) => {
      const where = `${resource.name}.${name}`;
      const target = attribute.reference?.type;
      assert.ok(target === undefined || types.includes(target), `${where} refers to ${target}`);
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

const good: Resource = {
  name: 'thing',
  plural: 'things',
  label: 'Thing',
  prefix: '/x/v1',
  path: 'things',
  description: 'A thing.',
  verbs: ['list', 'create'],
  standard: true,
  stored: true,
  attributes: {},
};

/** A change of a good declaration that must be refused, and why. */
type Refusal = readonly [Partial<Resource> | Readonly<Record<string, unknown>>, RegExp];

function assertRefused(refusals: readonly Refusal[]): void {
  for (const [change, why] of refusals) {
    const declare = (): unknown => defineResource({ ...good, ...change } as Resource);
    assert.throws(declare, (err) => {
      assert.ok(err instanceof DeclarationError, String(err));
      assert.match(err.message, why);
      assert.match(err.message, /^resource \w+: /);
      assert.ok(err.remedy.endsWith('.'), err.message);
      return true;
    });
  }
}

test('a declaration that contradicts itself is refused, with what to do', () => {
  assert.ok(defineResource(good).attributes['revision_number']);
  const attribute = (a: Attribute): Partial<Resource> => ({ attributes: { a } });
  assertRefused([
    [{ type: 'Net' }, /type is not snake case/],
    [{ notFound: 'No such thing.' }, /notFound does not tell what is not there/],
    [{ plural: 'thing' }, /plural and name are the same/],
    [{ path: 'a//b' }, /parts of a URL/],
    [{ path: 'a/{b}' }, /parts of a URL/],
    [{ standard: false }, /no attribute id/],
    [{ sharedBy: 'shared' }, /no attribute shared/],
    [{ columns: ['name'] }, /no attribute name/],
    [attribute({ type: 'list' }), /attribute a: list and items go together\. Give items/],
    [attribute({ type: 'object' }), /object and properties/],
    [attribute({ type: 'list', items: { type: 'list' } }), /list and items/],
    [attribute({ type: 'string', required: true, default: '' }), /required has no default/],
    [attribute({ type: 'string', required: true }), /nobody may write/],
    [attribute({ type: 'string', default: null }), /not nullable/],
    [attribute({ type: 'integer', default: '1' }), /default is no value of type integer/],
    [attribute({ type: 'string', values: ['a'], example: 'b' }), /example is no value/],
    [attribute({ type: 'integer', minimum: 2, maximum: 1 }), /minimum is above maximum/],
    [attribute({ type: 'string', aliasOf: 'b' }), /aliasOf/],
    [attribute({ type: 'boolean', filterOnly: true, grantedThrough: 'b' }), /grantedThrough/],
    [attribute({ type: 'list', items: { type: 'object', properties: {} }, distinct: ['x'] }), /distinct names no/],
    [
      attribute({ type: 'object', properties: { x: { type: 'uuid', requiredUnless: { attribute: 'y', is: 'z' } } } }),
      /x: requiredUnless names nothing beside it: y/,
    ],
    [attribute({ type: 'cidr', needsLength: true }), /needsLength/],
    [attribute({ type: 'ip', emptyAsNull: true }), /empty text is null/],
    [attribute({ type: 'ip', nullAsEmpty: true }), /only a list is emptied/],
    [{ attributes: { project_id: { type: 'string' } } }, /attribute project_id: it is there twice/],
    [{ attributes: { constructor: { type: 'string' } } }, /attribute constructor: the name cannot be used/],
  ]);
  assert.throws(() => defineResource({ ...good, name: 'Thing' }), /^DeclarationError: resource Thing: .*snake case/);
});

test('a declaration from a file may have anything in it: each field is looked at', () => {
  assertRefused([
    [{ colour: 'red' }, /there is no field colour\. There are: type, name, /],
    [{ verbs: ['list', 'fly'] }, /verbs is not some of list, show/],
    [{ stored: 'yes' }, /stored is not true or false/],
    [{ attributes: { a: { type: 'text' } } }, /attributes\.a\.type is not one of string, /],
    [{ attributes: { a: { type: 'string', requird: true } } }, /no field attributes\.a\.requird/],
    [{ attributes: { a: { type: 'string', default: () => 1 } } }, /attributes\.a\.default is not JSON/],
    [{ attributes: { a: {} } }, /attributes\.a\.type is missing/],
    [
      { attributes: { a: { type: 'list', items: { type: 'uuid', reference: 'x' } } } },
      /items\.reference is not an obj/,
    ],
    [{ actions: [{ name: 'go' }] }, /actions\[0\]\.description is missing/],
    [{ actions: 'go' }, /actions is not a list/],
  ]);
});

test('a key other than id identifies the object for good', () => {
  const keyed = (key: Attribute, more: Partial<Resource> = {}): Partial<Resource> => ({
    ...{ standard: false, key: 'code', attributes: { code: key, size: { type: 'integer', write: 'both' } } },
    ...more,
  });
  const model = defineResource({ ...good, ...keyed({ type: 'string', write: 'create', required: true }) });
  assert.equal(model.key, 'code');
  assert.deepEqual(Object.keys(model.attributes), ['code', 'size']);
  assertRefused([
    [{ key: 'code' }, /there is no attribute code/],
    [keyed({ type: 'integer', write: 'create', required: true }), /attribute code: it cannot identify/],
    [keyed({ type: 'string', write: 'both', required: true }), /identifies the object, so it stays/],
    [keyed({ type: 'string', write: 'create' }), /nothing makes it/],
  ]);
});

test('a nested resource has its path below its parent’s', () => {
  const parent = defineResource({ ...good, name: 'policy', plural: 'policies', path: 'qos/policies' });
  const rule: Partial<Resource> = {
    ...{ type: 'policy_rule', parent: { type: 'policy', attribute: 'policy_id' }, path: 'rules' },
    hidden: { policy_id: { type: 'uuid', reference: { type: 'policy', onDelete: 'cascade' } } },
  };
  const model = defineResource({ ...good, ...rule }, { parent });
  assert.equal(model.collection, '/x/v1/qos/policies/{policy_id}/rules');
  assert.ok(model.storedAttributes['policy_id'] && !model.attributes['policy_id']);
  assert.throws(() => defineResource({ ...good, ...rule }), /its parent policy is not there/);
  const bad = { type: 'policy', attribute: 'policy_id' };
  const shown: Attribute = { type: 'uuid', reference: { type: 'policy', onDelete: 'cascade' } };
  assertRefused([
    [{ parent: bad }, /there is no attribute policy_id/],
    [{ parent: bad, hidden: { policy_id: { type: 'uuid' } } }, /attribute policy_id: it does not refer to policy/],
    [{ parent: bad, attributes: { policy_id: { ...shown, write: 'both' } } }, /an object stays with its parent/],
    [{ parent: bad, attributes: { policy_id: shown } }, /a create sets it from the path/],
  ]);
});

test('what is implied is known by a key that its clients have', () => {
  const attributes: Resource['attributes'] = {
    project_id: { type: 'string' },
    size: { type: 'integer', write: 'update' },
  };
  const implied: Partial<Resource> = {
    implied: true,
    key: 'project_id',
    standard: false,
    verbs: ['show', 'update'],
    attributes,
  };
  assert.equal(defineResource({ ...good, ...implied }).implied, true);
  assertRefused([
    [{ implied: true, verbs: ['show'] }, /implied, but its ids are made/],
    [
      {
        ...implied,
        verbs: ['create'],
        attributes: { ...attributes, project_id: { type: 'string', write: 'create', required: true } },
      },
      /implied, but created/,
    ],
    [{ ...implied, stored: false }, /implied, but not stored by its key alone/],
  ]);
});

test('actions and forms are checked too', () => {
  const action = (more: object): Partial<Resource> => ({ actions: [{ name: 'go', description: 'Goes.', ...more }] });
  const form = (more: object): Partial<Resource> => ({
    attributes: { size: { type: 'integer', write: 'both', required: true } },
    forms: [{ form: 'v2', prefix: '/x/v2', ...more }],
  });
  defineResource({ ...good, ...form({ renames: { capacity: 'size' } }), ...action({ path: 'tags/{tag}' }) });
  assertRefused([
    [action({ path: '/go' }), /action go: path is not parts of a URL/],
    [action({ path: 'x/{id}' }), /a parameter has the name of an identifier/],
    [action({ bodyKey: 'thing' }), /bodyKey without a body/],
    [action({ method: 'GET', body: {} }), /GET has no body/],
    [action({ answer: {}, status: 204 }), /204 has no answer/],
    [action({ body: { a: { type: 'list' } } }), /action go: a: list and items/],
    [{ actions: ['a', 'a'].map((name) => ({ name, description: 'Does.' })) }, /action a is there twice/],
    [form({ renames: { capacity: 'sise' } }), /form v2: there is no attribute sise/],
    [form({ renames: { description: 'size' } }), /two attributes are called description/],
    [form({ omits: ['size'] }), /size is required but omitted/],
    [form({ omits: ['id'] }), /id identifies the object/],
    [form({ defaults: { colour: 'red' } }), /defaults has no attribute for colour/],
    [form({ defaults: { size: 'big' } }), /defaults has no value for size/],
    [form({ prefix: 'v2' }), /form v2: prefix is not a path/],
  ]);
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
