import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIXED_COMMANDS, FIXED_OPTIONS, QUERY_PARAMETERS } from './command-words.ts';
import type { Resource } from './declaration.ts';
import { DeclarationError } from './declaration-checks.ts';
import type { ExtensionDeclaration } from './extensions/extension.ts';
import { composeRegistry, servedModels, servedName } from './registry.ts';
import { BUILT_IN_EXTENSIONS, BUILT_IN_REGISTRY, CORE_RESOURCES } from './resources.ts';

const thing: Resource = {
  name: 'thing',
  plural: 'things',
  label: 'Thing',
  prefix: '/x/v1',
  path: 'things',
  description: 'A thing.',
  verbs: ['list', 'create'],
  standard: true,
  stored: true,
  attributes: { size: { type: 'integer', write: 'both', default: 1 } },
};

const colours: ExtensionDeclaration = {
  alias: 'colours',
  name: 'Colours',
  description: 'Things have colours.',
  updated: '2026-11-26T00:00:00-00:00',
  attributes: { thing: { colour: { type: 'string', write: 'both', default: '' } } },
  actions: { thing: [{ name: 'paint', description: 'Paints it.' }] },
};

test('an extension brings attributes, actions and resources, and leaves no trace when it is not loaded', () => {
  const box: ExtensionDeclaration = {
    ...{ alias: 'box', name: 'Box', description: 'Boxes.', updated: colours.updated, requires: ['colours'] },
    resources: [{ ...thing, name: 'box', plural: 'boxes', label: 'Box', path: 'boxes' }],
    changes: { thing: { colour: { default: 'red' } } },
    attributes: { '*': { weight: { type: 'integer', write: 'both', default: 0 } } },
  };
  const { models, extensions } = composeRegistry([thing], [box, colours]);
  assert.deepEqual(
    extensions.map(({ alias }) => alias),
    ['box', 'colours'],
  );
  const [first, second] = models;
  assert.deepEqual([first?.type, second?.type, second?.extension], ['thing', 'box', 'box']);
  assert.deepEqual(first?.attributes['colour'], {
    ...{ type: 'string', write: 'both', default: 'red', extension: 'colours' },
  });
  assert.equal(second?.attributes['weight']?.extension, 'box');
  assert.equal(first?.actions?.[0]?.extension, 'colours');
  const bare = JSON.stringify(composeRegistry([thing]));
  for (const trace of ['colour', 'paint', 'box', 'weight']) assert.ok(!bare.includes(trace), trace);
});

test('what does not fit together is refused, by name', () => {
  const refuse = (core: readonly Resource[], extension: Partial<ExtensionDeclaration>, why: RegExp): void => {
    assert.throws(() => composeRegistry(core, [{ ...colours, ...extension }]), why);
  };
  const nothing = { attributes: {}, actions: {} };
  refuse([thing], { requires: ['paint'] }, /^DeclarationError: extension colours: it requires paint\. Load paint too/);
  refuse(
    [thing],
    { attributes: { thing: { size: { type: 'integer' } } } },
    /thing has the attribute size already, from core/,
  );
  refuse([], { actions: {} }, /attributes name the type thing, which is not there/);
  refuse([thing], { ...nothing, changes: { thing: { weight: {} } } }, /thing has no attribute weight to change/);
  refuse([thing], { ...nothing, resources: [thing] }, /resource thing: the type is there twice/);
  refuse([thing], { attributes: { thing: { a: { type: 'list' } } } }, /resource thing: attribute a: list and items/);
  refuse([thing], { alias: 'Colours' }, /alias is not a word/);
  refuse([thing], { attributes: { thing: { a: JSON.parse('{"typ": 1}') } } }, /attributes\.thing\.a\.typ/);
  refuse([thing], { attributes: JSON.parse('{"thing": null}') }, /colours: attributes\.thing is not an object/);
  refuse(
    [thing],
    { attributes: { thing: { a: JSON.parse('{"type": "string", "values": 5}') } } },
    /attributes\.thing\.a\.values is not a list of texts and numbers/,
  );
  for (const [changes, why] of [
    ['[]', /changes is not an object/],
    ['{"thing": null}', /changes\.thing is not an object/],
    ['{"thing": {"name": null}}', /changes\.thing\.name is not an object/],
    ['{"thing": {"name": {"writeBy": "x"}}}', /changes\.thing\.name\.writeBy is not one of admin/],
  ] as const) {
    refuse([thing], { ...nothing, changes: JSON.parse(changes) }, why);
  }
  assert.throws(() => composeRegistry([thing], [colours, { ...colours }]), /colours: it is loaded twice/);
  const again = { ...colours, alias: 'again', actions: {} };
  assert.throws(() => composeRegistry([thing], [colours, again]), /attribute colour already, from extension colours/);
  const part: Resource = {
    ...{ ...thing, name: 'part', plural: 'parts', path: 'parts' },
    attributes: { box_id: { type: 'uuid', reference: { type: 'box', onDelete: 'restrict' } } },
  };
  assert.throws(() => composeRegistry([part]), /resource part: attribute box_id: it refers to box, which is not there/);
  const shown: Resource = { ...part, stored: false };
  assert.throws(
    () => composeRegistry([shown]),
    /resource part: attribute box_id: it refers to box, but part is not sto/,
  );
});

test('each built-in extension may be left out when none requires it', () => {
  const needed = new Set(BUILT_IN_EXTENSIONS.flatMap(({ requires = [] }) => requires));
  for (const { alias } of BUILT_IN_EXTENSIONS) {
    const rest = BUILT_IN_EXTENSIONS.filter((one) => one.alias !== alias);
    if (needed.has(alias)) {
      assert.throws(() => composeRegistry(CORE_RESOURCES, rest), new RegExp(`it requires ${alias}`));
    } else if (alias === 'security-group' || alias === 'router') {
      assert.ok(!composeRegistry(CORE_RESOURCES, rest).models.some((one) => one.extension === alias));
    } else {
      const { models } = composeRegistry(CORE_RESOURCES, rest);
      assert.ok(!JSON.stringify(models.map((one) => one.attributes)).includes(`"extension":"${alias}"`), alias);
    }
  }
});

test('without the extension that shows it a standard attribute is stored, not served', () => {
  const rest = BUILT_IN_EXTENSIONS.filter(
    ({ alias }) => !['standard-attr-revisions', 'revision-if-match', 'project-id'].includes(alias),
  );
  const network = composeRegistry(CORE_RESOURCES, rest).models.find(({ type }) => type === 'network');
  for (const name of ['revision_number', 'project_id']) {
    assert.ok(network?.attributes[name] === undefined && network?.storedAttributes[name] !== undefined, name);
  }
  assert.ok(network?.attributes['tenant_id']);
});

test('a form is the same type in other words; below its parent’s form where there is one', () => {
  const v2 = { form: 'v2', prefix: '/x/v2' };
  const part: Resource = {
    ...{ ...thing, name: 'part', plural: 'parts', path: 'parts', parent: { type: 'thing', attribute: 'thing_id' } },
    hidden: { thing_id: { type: 'uuid', reference: { type: 'thing', onDelete: 'cascade' } } },
    forms: [v2, { form: 'flat', prefix: '/x', verbs: ['list'] }],
  };
  const renamed = {
    ...thing,
    forms: [{ ...v2, name: 'item', plural: 'items', path: 'items', renames: { n: 'size' } }],
  };
  const served = servedModels(composeRegistry([part, renamed]).models);
  assert.deepEqual(
    served.map((one) => [servedName(one), one.collection]),
    [
      ['part', '/x/v1/things/{thing_id}/parts'],
      ['part.v2', '/x/v2/items/{item_id}/parts'],
      ['part.flat', '/x/parts'],
      ['thing', '/x/v1/things'],
      ['thing.v2', '/x/v2/items'],
    ],
  );
  assert.deepEqual(served[4]?.attributes['n'], { type: 'integer', write: 'both', default: 1, aliasOf: 'size' });
  assert.deepEqual(served[2]?.verbs, ['list']);
});

test('what a declaration says survives JSON', () => {
  const copy = JSON.parse(JSON.stringify([CORE_RESOURCES, BUILT_IN_EXTENSIONS]));
  assert.deepEqual(composeRegistry(copy[0], copy[1]), BUILT_IN_REGISTRY);
});

test('words that the command line and lists have already are no declaration’s, and the refusal names field and remedy', () => {
  const named = (name: string, more: Partial<Resource> = {}): Resource => ({
    ...{ ...thing, name, plural: `${name}s`, path: `${name}s` },
    ...more,
  });
  const withAttribute = (name: string): Resource => ({ ...thing, attributes: { [name]: { type: 'string' } } });
  const refused: readonly (readonly [readonly Resource[], RegExp])[] = [
    ...FIXED_COMMANDS.map((words) => {
      const why = new RegExp(`resource x: command: ${words}.* of the command line already\\. .*by command`);
      return [[named('x', { command: words })], why] as const;
    }),
    [[named('check')], /resource check: command: check is a command of the command line already/],
    [[named('x', { command: 'show things' })], /show things is a command of the command line/],
    [[named('x', { command: 'Two  words' })], /command is not words\. Write it as/],
    [[thing, named('x', { command: 'thing' })], /resource x: command: thing is a command of thing already/],
    [[thing, named('x', { command: 'thing list' })], /command: thing list is a command of x|thing already/],
    [[named('a_b'), named('x', { command: 'a-b' })], /command: a-b is a command of a_b already/],
    [[named('a_b'), named('x', { command: 'a-b c' })], /command: a-b c is a command of a_b already/],
    [[thing, named('x', { command: 'thing help' })], /thing help is a command of the command line/],
    ...['list', 'show', 'create', 'set', 'update', 'delete', 'help'].map((name) => {
      const action = { name, description: 'Does.' };
      return [[named('x', { verbs: [], actions: [action] })], new RegExp(`action ${name}: the name is taken`)] as const;
    }),
    [[named('host'), named('x', { command: 'host adopt-store' })], /host adopt-store is a command of the command line/],
    [
      [named('host', { actions: [{ name: 'adopt_store', description: 'Does.' }] })],
      /Give the action adopt_store another/,
    ],
    [
      [
        named('x', {
          actions: ['add_one', 'add_two'].map((name) => ({
            ...{ name, description: 'Adds.', body: { port_id: { type: 'uuid' } } },
          })),
        }),
      ],
      /command: x add port is a command of x already\. Give the action add_two another name/,
    ],
    ...FIXED_OPTIONS.map(
      (name) => [[withAttribute(name)], new RegExp(`attribute ${name}: the name is taken`)] as const,
    ),
    ...QUERY_PARAMETERS.map(
      (name) => [[withAttribute(name)], new RegExp(`attribute ${name}: the name is taken: ${name} is a par`)] as const,
    ),
    [[withAttribute('no_thing')], /attribute no_thing: the name is taken: --no-thing cannot be an option/],
    [[withAttribute('_thing')], /attribute _thing: the name is taken: ---thing cannot/],
    [[{ ...thing, attributes: { a_b: { type: 'string' }, 'a:b': { type: 'string' } } }], /a_b: .*a:b has its option/],
    [
      [{ ...thing, actions: [{ name: 'paint', description: 'Paints.', body: { json: { type: 'string' } } }] }],
      /action paint: body: json: the name is taken: --json is an option of every command/,
    ],
    [
      [{ ...thing, forms: [{ form: 'v2', prefix: '/x/v2', renames: { limit: 'size' } }] }],
      /form v2: renames: limit: the name is taken/,
    ],
  ];
  for (const [resources, why] of refused) {
    assert.throws(
      () => composeRegistry(resources),
      (err) => err instanceof DeclarationError && err.remedy !== '' && why.test(err.message),
      String(why),
    );
  }
  const fine = [thing, named('thing_part'), named('limit_x', { command: 'thing part limit' }), named('list')];
  assert.equal(composeRegistry(fine).models.length, 4);
});
