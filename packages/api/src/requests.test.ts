import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AnyObject,
  BUILT_IN_EXTENSIONS,
  BUILT_IN_REGISTRY,
  BUILT_IN_RESOURCES,
  CableError,
  defineResource,
  type Resource,
  type ResourceModel,
} from '@cable/model';
import { parseAction, parseCreate, parseUpdate } from './body.ts';
import { exampleOf } from './example.ts';
import { extensionsOf } from './extensions.ts';
import { openApiDocument } from './openapi.ts';
import { orderOf } from './page.ts';
import { matchesFilters, parseListQuery } from './query.ts';
import { renderReference } from './reference.ts';
import { routesOf } from './routes.ts';
import { createShowText, showObject } from './show.ts';
import { parseValue } from './value.ts';

const declared: Resource = {
  name: 'thing',
  plural: 'things',
  label: 'Thing',
  prefix: '/x/v1',
  path: 'things',
  description: 'A thing.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  attributes: {
    size: { type: 'integer', write: 'both', default: 1 },
    colour: { type: 'string', write: 'create', required: true },
    secret: { type: 'string', write: 'both', writeBy: 'admin', seeBy: 'admin', default: '' },
    state: { type: 'string', default: 'NEW' },
    place: { type: 'string', write: 'both', updateBy: 'admin', nullable: true, default: null },
  },
};
const thing: ResourceModel = defineResource(declared);

test('a create has defaults, an update only what was given', () => {
  const { bulk, objects } = parseCreate(thing, { thing: { colour: 'red', tenant_id: 'q' } });
  assert.equal(bulk, false);
  const defaults = { size: 1, secret: '', state: 'NEW', place: null, description: '' };
  assert.deepEqual(objects, [
    { attributes: { ...defaults, colour: 'red', project_id: 'q' }, given: ['project_id', 'colour'] },
  ]);
  assert.deepEqual(parseUpdate(thing, { thing: { size: 2 } }), { attributes: { size: 2 }, given: ['size'] });
  const many = parseCreate(thing, { things: [{ colour: 'a' }, { thing: { colour: 'b' } }] });
  assert.deepEqual([many.bulk, many.objects.map((one) => one.attributes['colour'])], [true, ['a', 'b']]);
});

test('null that counts as absent leaves the default, in a create as in the body of an action', () => {
  const size = { type: 'integer', write: 'both', default: 1, nullAsAbsent: true } as const;
  const thing = defineResource({ ...declared, attributes: { ...declared.attributes, size } });
  const [made] = parseCreate(thing, { thing: { colour: 'red', size: null } }).objects;
  assert.equal(made?.attributes['size'], 1);
  const action = { name: 'grow', description: 'Grows.', body: { size } };
  for (const body of [{ size: null }, {}]) assert.deepEqual(parseAction(action, body).attributes, { size: 1 });
});

test('what may not be written is refused', () => {
  const create = (attributes: object): unknown => parseCreate(thing, { thing: { colour: 'x', ...attributes } });
  const update = (attributes: object): unknown => parseUpdate(thing, { thing: attributes });
  const is = (code: string, text: RegExp) => (err: unknown) =>
    err instanceof CableError && err.code === code && text.test(err.message);
  assert.throws(() => create({ state: 'OLD' }), is('HTTPBadRequest', /Attribute 'state' not allowed in POST/));
  assert.throws(() => update({ colour: 'y' }), is('HTTPBadRequest', /Cannot update read-only attribute colour/));
  assert.throws(
    () => create({ tenant_id: 'a', project_id: 'b' }),
    is('HTTPBadRequest', /'project_id' and 'tenant_id' do not match/),
  );
  const tooMany = { things: Array.from({ length: 1001 }, () => ({ colour: 'x' })) };
  assert.throws(() => parseCreate(thing, tooMany), is('HTTPBadRequest', /At most 1000/));
});

test('what is hidden is not shown', () => {
  const object = { id: '1', project_id: 'p', size: 1, secret: 's' };
  assert.deepEqual(showObject(thing, object, new Set(['secret'])), {
    id: '1',
    tenant_id: 'p',
    project_id: 'p',
    size: 1,
  });
  assert.deepEqual(showObject(thing, object, new Set(), ['secret', 'tenant_id']), { tenant_id: 'p', secret: 's' });
  const { filters } = parseListQuery(thing, new URLSearchParams('secret=s&size=1'));
  assert.ok(matchesFilters(filters, object));
  assert.ok(!matchesFilters(filters, { ...object, size: 2 }));
});

test('the text of an object is the JSON of what is shown of it, kept or not', () => {
  const counted = defineResource({
    ...declared,
    attributes: {
      count: { type: 'integer', computed: true },
      ...declared.attributes,
      mood: { type: 'string', computed: true, seeBy: 'admin' },
    },
  });
  const objects: readonly AnyObject[] = [
    { id: '1', project_id: 'p', size: 1, secret: 's' },
    { id: '2', colour: null, secret: 'quote " backslash \\ tab \t nul \u0000 é 😀 \ud800 \u2028 \u007f' },
    { id: '3', colour: 'x'.repeat(300), project_id: '' },
    { id: '4', colour: { 'odd "key"': [1, -0.5, 1e21, true, null, [], {}, 'x'] }, project_id: ['a', ['b']] },
    { id: '5', size: false, colour: { gone: undefined, here: 0 } },
    { id: '6', count: 9 },
  ];
  const [ALL, SOME] = [new Set<string>(), new Set(['secret', 'mood'])];
  const texts = new Map<string, Map<AnyObject, string>>();
  const kept = (shown: string): Map<AnyObject, string> => {
    const known = texts.get(shown) ?? new Map<AnyObject, string>();
    texts.set(shown, known);
    return known;
  };
  const none = {};
  const some = { count: 7, mood: 'é' };
  for (const caller of [ALL, SOME, ALL, SOME]) {
    for (const fields of [[], ['id'], ['secret', 'colour'], ['count'], ['none']]) {
      for (const write of [
        createShowText(counted, caller, fields, 'show'),
        createShowText(counted, caller, fields, 'show', kept),
      ]) {
        for (const object of objects) {
          for (const computed of [none, some, none]) {
            const shown = JSON.stringify(showObject(counted, { ...object, ...computed }, caller, fields));
            assert.equal(
              write(object, () => computed),
              shown,
            );
          }
        }
      }
    }
  }
  // What shows the same of what is stored shares its texts: all, `id`, `secret` and `colour`, and nothing; for an admin and a member.
  assert.deepEqual(
    Array.from(texts.values(), (map) => map.size).filter((size) => size > 0),
    Array.from({ length: 6 }, () => objects.length),
  );
});

test('the whole text of an object is kept as long as it is made of the same', () => {
  const counted = defineResource({
    ...declared,
    attributes: { ...declared.attributes, count: { type: 'integer', computed: true } },
  });
  const kept = new Map<string, { readonly from: unknown; readonly text: string }>();
  const write = createShowText(counted, new Set(), [], 'list', (shown) => ({
    get: ({ id }, from) => {
      const known = kept.get(`${shown} ${id}`);
      return known !== undefined && known.from === from?.[0] ? known.text : undefined;
    },
    set: ({ id }, text, from) => kept.set(`${shown} ${id}`, { from: from?.[0], text }),
  }));
  const object: AnyObject = { id: '1', size: 3 };
  let asked = 0;
  const count = (from: readonly unknown[] | undefined): unknown => {
    asked += 1;
    const text = write(
      object,
      () => {
        asked += 10;
        return { count: asked };
      },
      from,
    );
    assert.ok(typeof text === 'string');
    return JSON.parse(text).count;
  };
  const [one, other] = [{}, {}];
  assert.equal(count([one]), 11);
  assert.equal(count([one]), 11);
  assert.equal(count([other]), 23);
  assert.equal(count([one]), 34);
  // Made of what nobody knows it is made anew.
  assert.equal(count(undefined), 45);
  assert.equal(count(undefined), 56);
});

test('the order of a list is total, and none when nothing asks for one', () => {
  const objects = ['d', 'b', 'a', 'c'].map((id) => ({ id, size: id < 'c' ? 1 : 2 }));
  const ids = (query: string): string | undefined => {
    const order = orderOf(parseListQuery(thing, new URLSearchParams(query)));
    return (
      order &&
      [...objects]
        .sort(order)
        .map((one) => one.id)
        .join('')
    );
  };
  assert.equal(ids(''), undefined);
  assert.equal(ids('page_reverse=True'), undefined);
  assert.equal(ids('limit=2'), 'abcd');
  assert.equal(ids('marker=x&page_reverse=True'), 'dcba');
  assert.equal(ids('sort_key=size&sort_dir=desc'), 'cdab');
  assert.equal(ids('sort_key=size&sort_dir=desc&page_reverse=True&limit=1'), 'badc');
});

test('routes and the OpenAPI document follow from the declarations alone', () => {
  const routes = routesOf([thing]).map((route) => `${route.method} ${route.path} ${route.status}`);
  assert.deepEqual(routes, [
    'GET /x/v1/things 200',
    'GET /x/v1/things/{id} 200',
    'POST /x/v1/things 201',
    'PUT /x/v1/things/{id} 200',
    'DELETE /x/v1/things/{id} 204',
  ]);
  const document = JSON.stringify(openApiDocument([thing], '1'));
  for (const text of ['"/x/v1/things/{id}"', '"thing_create"', '"required":["colour"]'])
    assert.ok(document.includes(text));
});

test('every reference in the OpenAPI document leads to a schema', () => {
  const document = openApiDocument(BUILT_IN_RESOURCES, '1');
  const schemas = (document['components'] as { schemas: Record<string, unknown> }).schemas;
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
    (match) => match[1],
  );
  assert.ok(references.length > 20);
  for (const name of references) assert.ok(schemas[name ?? ''], name);
  const operations = [...JSON.stringify(document).matchAll(/"operationId":"([^"]+)"/g)].map((match) => match[1]);
  assert.equal(new Set(operations).size, operations.length);
});

test('the list of extensions is that of the loaded ones', () => {
  const aliases = extensionsOf(BUILT_IN_EXTENSIONS).map((one) => one.alias);
  assert.ok(aliases.includes('router'));
  for (const absent of ['vpnaas', 'bgp']) assert.ok(!aliases.includes(absent), absent);
  assert.deepEqual(extensionsOf([]), []);
});

test('every attribute has an example that the API would take', () => {
  for (const { type, attributes, actions = [] } of BUILT_IN_RESOURCES) {
    for (const fields of [attributes, ...actions.map((action) => action.body ?? {})]) {
      for (const [name, attribute] of Object.entries(fields)) {
        const parsed = parseValue(attribute, exampleOf(attribute));
        assert.ok(parsed.ok, `${type}.${name}: ${JSON.stringify(parsed)}`);
      }
    }
  }
});

test('the reference has every route and attribute', () => {
  const page = renderReference(BUILT_IN_REGISTRY, '<!-- head -->');
  for (const { method, path, resource } of routesOf(BUILT_IN_RESOURCES)) {
    assert.ok(page.includes(`| \`${method} ${path}\` |`), path);
    for (const name of Object.keys(resource.attributes)) assert.ok(page.includes(`| \`${name}\` |`), name);
  }
  assert.match(page, /\| `security-group` \|/);
});
