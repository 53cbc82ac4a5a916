/** A server process whose extensions come and go: files, SIGHUP, requests. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sourceProgram } from '@cable/kit/testing';
import { LOADED, makePlace, REFUSED, type Running } from './process.fixture.ts';

const COMMAND = fileURLToPath(new URL('../../../cli/src/main.ts', import.meta.url));
const GUIDE = fileURLToPath(new URL('../../../../docs/guide/adding-an-extension.md', import.meta.url));

test('a declaration in a file is a resource with everything, from SIGHUP to SIGHUP', async (t) => {
  const { extensions, start, directory } = await makePlace(t);
  const { url, reload, send } = await start();
  assert.equal((await send('GET', '/v2.0/gadgets')).status, 404);
  await writeFile(
    join(extensions, 'gadget.json'),
    JSON.stringify(gadgets({ size: { type: 'integer', write: 'both', default: 1 } })),
  );
  assert.match(await reload(), LOADED);

  const network = (await send('POST', '/v2.0/networks', { network: {} })).body['network']?.['id'];
  const made = await send('POST', '/v2.0/gadgets', { gadget: { name: 'one', network_id: network } });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const path = `/v2.0/gadgets/${made.body['gadget']?.['id']}`;
  assert.equal((await send('PUT', path, { gadget: { size: 3 } })).body['gadget']?.['size'], 3);
  assert.equal((await send('GET', '/v2.0/gadgets?name=one')).body['gadgets']?.length, 1);
  assert.equal((await send('DELETE', `/v2.0/networks/${network}`)).status, 409);
  for (const place of ['/openapi.json', '/v2.0/extensions', '/cable/v1/schema', '/v2.0']) {
    assert.match(JSON.stringify((await send('GET', place)).body), /gadget/, place);
  }
  const env = { ...process.env, CABLE_SERVER: url, XDG_CACHE_HOME: directory };
  const listed = await promisify(execFile)(process.execPath, [...sourceProgram(COMMAND), 'gadget', 'list'], { env });
  assert.match(listed.stdout, /one/);

  await rm(join(extensions, 'gadget.json'));
  const refusal = await reload();
  assert.match(refusal, REFUSED);
  assert.match(refusal, /types that have objects cannot be unloaded \(gadget of gadgets: 1\)/);
  assert.equal((await send('GET', path)).status, 200);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.match(await reload(), LOADED);
  assert.equal((await send('GET', path)).status, 404);
  for (const place of ['/openapi.json', '/v2.0/extensions', '/cable/v1/schema', '/v2.0']) {
    assert.doesNotMatch(JSON.stringify((await send('GET', place)).body), /gadget/, place);
  }
  await assert.rejects(promisify(execFile)(process.execPath, [...sourceProgram(COMMAND), 'gadget', 'list'], { env }));
  assert.deepEqual((await send('GET', '/cable/v1/check')).body['violations'], []);
});

test('code in a file keeps a rule between objects, and is read anew when it has changed', async (t) => {
  const { extensions, start } = await makePlace(t);
  const text = await exampleOfGuide();
  await writeFile(join(extensions, 'label.mjs'), text);
  const { reload, send } = await start();
  const network = (await send('POST', '/v2.0/networks', { network: {} })).body['network']?.['id'];
  const make = (name: string): ReturnType<Running['send']> =>
    send('POST', '/v2.0/labels', { label: { name, network_id: network } });
  const both = await Promise.all([make('red'), make('red')]);
  assert.deepEqual(both.map(({ status }) => status).sort(), [201, 409], JSON.stringify(both));
  assert.equal((await make('bad name')).status, 400);
  const id = both.find(({ status }) => status === 201)?.body['label']?.['id'];
  const member = { 'x-roles': 'member' };
  assert.equal((await send('PUT', `/v2.0/labels/${id}/rename`, { name: 'blue' }, member)).status, 403);
  assert.deepEqual((await send('PUT', `/v2.0/labels/${id}/rename`, { name: 'blue' })).body, { name: 'blue' });
  assert.equal((await make('blue')).status, 409);
  assert.equal((await make('red')).status, 201);

  await writeFile(join(extensions, 'label.mjs'), text.replaceAll('letters', 'plain letters'));
  assert.match(await reload(), LOADED);
  assert.match(JSON.stringify((await make('bad name')).body), /plain letters/);
  assert.equal((await make('blue')).status, 409);

  await writeFile(join(extensions, 'label.mjs'), text.replace(/claims: .*\n/, ''));
  assert.match(
    await reload(),
    /objects of label have other claims, marks or references by it than by what is loaded: 2/,
  );
  assert.deepEqual((await send('GET', '/cable/v1/check')).body['violations'], []);
});

test('a bad file changes nothing at a reload, and ends a start; both name file and remedy', async (t) => {
  const { extensions, start } = await makePlace(t);
  const { child, reload, send } = await start();
  await writeFile(join(extensions, 'good.json'), JSON.stringify(gadgets({})));
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['bad.json', '{', /bad\.json: it is not JSON/],
    ['bad.mjs', 'export const x = 1;', /bad\.mjs: it has no function\. Write: export function extension/],
    [
      'bad.mjs',
      'export function extension() { throw new Error("no"); }',
      /bad\.mjs: its function extension failed: no/,
    ],
    [
      'bad.json',
      JSON.stringify({ ...about('bad'), attributes: { network: { x: { type: 'text' } } } }),
      /bad\.json: extension bad: attributes\.network\.x.*type/,
    ],
    [
      'bad.json',
      JSON.stringify({
        ...about('bad'),
        attributes: { network: { x: { type: 'uuid', reference: { type: 'port', onDelete: 'restrict' } } } },
      }),
      /bad\.json: attribute x of network: it refers to port.*Refer to a type that the extension brings/,
    ],
    [
      'bad.json',
      JSON.stringify({ ...about('bad'), actions: { network: [{ name: 'go', description: 'Goes.' }] } }),
      /bad\.json: resource network: nothing does its action go\. Give contributions\.network\.actions/,
    ],
    [
      'bad.mjs',
      code({ ...about('bad') }, 'contributions: { network: { claims: () => [] } }'),
      /bad\.mjs: contributions\.network\.claims/,
    ],
    [
      'bad.mjs',
      code(about('bad'), "rules: [{ name: 'x', check: 'role:' , description: '' }, { name: 'y', check: '(' }]"),
      /bad\.mjs: policy rule [xy]/,
    ],
    [
      'bad.json',
      JSON.stringify(gadgets({}, 'other', 'alive', 'alives')),
      /bad\.json: resource alive: the server has something of its own/,
    ],
  ];
  for (const [name, text, pattern] of cases) {
    await writeFile(join(extensions, name), text);
    const line = await reload();
    assert.match(line, REFUSED);
    assert.match(line.replaceAll('\\"', '"'), pattern);
    assert.equal((await send('GET', '/v2.0/gadgets')).status, 404);
    await rm(join(extensions, name));
  }
  assert.match(await reload(), LOADED);
  assert.equal((await send('GET', '/v2.0/gadgets')).status, 200);
  child.kill('SIGTERM');
  await once(child, 'exit');
  await writeFile(join(extensions, 'bad.json'), '{');
  await assert.rejects(start(), /cable server: --extensions: .*bad\.json: it is not JSON/);
  await rm(join(extensions, 'bad.json'));
  await rm(join(extensions, 'good.json'));
  await assert.rejects(
    start(),
    /--extensions: the store has the type gadget of the extension gadgets, which is not loaded/,
  );
});

function about(alias: string): object {
  return { alias, name: alias, description: 'For a test.', updated: '2026-11-26T00:00:00-00:00' };
}

function gadgets(attributes: object, alias = 'gadgets', name = 'gadget', plural = 'gadgets'): object {
  const network = {
    type: 'uuid',
    write: 'create',
    nullable: true,
    reference: { type: 'network', onDelete: 'restrict' },
  };
  const resource = {
    ...{ name, plural, label: 'Gadget', prefix: '/v2.0', path: plural, description: 'A gadget.' },
    ...{ verbs: ['list', 'show', 'create', 'update', 'delete'], standard: true, stored: true },
    attributes: { name: { type: 'string', write: 'both', default: '' }, network_id: network, ...attributes },
  };
  return { ...about(alias), resources: [resource] };
}

function code(declaration: object, more: string): string {
  return `export function extension() { return { declaration: ${JSON.stringify(declaration)}, ${more} }; }`;
}

async function exampleOfGuide(): Promise<string> {
  const text = await readFile(GUIDE, 'utf8');
  const [, block] = /^```js\n([\s\S]*?)^```/m.exec(text) ?? [];
  assert.ok(block !== undefined);
  return block;
}
