/** The walk-throughs in docs/guide do what they say: their code is taken out of the page and run on a server, and so are their requests. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { silentLogger } from '@cable/kit';
import {
  type AnyObject,
  BUILT_IN_EXTENSIONS,
  CORE_RESOURCES,
  composeRegistry,
  type ExtensionDeclaration,
  type Registry,
} from '@cable/model';
import type { FastifyInstance } from 'fastify';
import type { Contribution } from '../engine/module.ts';
import { MODULES } from '../resources/all.ts';
import { startHarness } from '../testing/harness.ts';
import { ADMISSION_LIMITS } from './admission.ts';
import { createApp } from './app.ts';
import { noauth } from './auth.ts';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

type Exports = Readonly<Record<string, unknown>>;

for (const page of ['adding-an-attribute', 'adding-a-resource', 'adding-an-extension'] as const) {
  test(`docs/guide/${page}.md does what it says`, async (t) => {
    const text = await pageOf(page);
    const app = await serve(t, registryWith(await codeOf(t, text)));
    await assertRequests(app, text);
  });
}

test('docs/guide/adding-an-action.md does what it says', async (t) => {
  const text = await pageOf('adding-an-action');
  const code = await codeOf(t, text);
  await assertRequests(
    await serve(t, registryWith(code), { network: code['countPortsModule'] as Contribution<AnyObject> }),
    text,
  );
  await assert.rejects(serve(t, registryWith(code)), /no handler for the action count_ports of network/);
});

test('docs/guide/adding-a-rule.md does what it says', async (t) => {
  const text = await pageOf('adding-a-rule');
  const code = await codeOf(t, text);
  const network = code['networkNamesModule'] as Contribution<AnyObject>;
  const router = code['fixedRoutersModule'] as Contribution<AnyObject>;
  const app = await serve(t, registryWith({}), { network, router });
  await assertRequests(app, text);
});

test('without what a walk-through adds there is no trace of it', async (t) => {
  const app = await serve(t, registryWith({}));
  const document = (await app.inject({ method: 'GET', url: '/openapi.json' })).body;
  for (const trace of ['cable:contact', '"rack":', 'cable:tier', 'count_ports'])
    assert.ok(!document.includes(trace), trace);
});

function pageOf(name: string): Promise<string> {
  return readFile(join(ROOT, 'docs/guide', `${name}.md`), 'utf8');
}

function blocksOf(text: string, language: string): readonly string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map((match) => match[1] ?? '');
}

/** What the blocks that name a file of their own export; each imports what it would from where that file would be. */
async function codeOf(t: TestContext, text: string): Promise<Exports> {
  const directory = await mkdtemp(join(tmpdir(), `cable-guide-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true }));
  let found: Exports = {};
  for (const block of blocksOf(text, 'ts')) {
    const [, name, place] = /^\/\/ (\S+\.ts) in (packages\/\S+)$/m.exec(block) ?? [];
    if (name === undefined || place === undefined) continue;
    const path = join(place, name);
    const file = join(directory, path.replace(/\.ts$/, '.mts'));
    const home = pathToFileURL(join(ROOT, path));
    const moved = block.replaceAll(/ from '([^']+)'/g, (_all, target: string) => ` from '${whereIs(target, home)}'`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, moved);
    found = { ...found, ...((await import(pathToFileURL(file).href)) as Exports) };
  }
  return found;
}

function whereIs(target: string, home: URL): string {
  return target.startsWith('.') ? new URL(target, home).href : import.meta.resolve(target);
}

function registryWith(code: Exports): Registry {
  const isExtension = (one: unknown): one is ExtensionDeclaration =>
    typeof one === 'object' && one !== null && 'alias' in one;
  const added = Object.values(code).filter(isExtension);
  return composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, ...added]);
}

/** `added`: what the server does for types besides what it does. */
async function serve(
  t: TestContext,
  registry: Registry,
  added: Readonly<Record<string, Contribution<AnyObject>>> = {},
): Promise<FastifyInstance> {
  const { server } = await startHarness(t, { resources: registry.models.map((model) => ({ ...model, actions: [] })) });
  server.deps.resources.replace(registry);
  const table: Record<string, readonly Contribution<AnyObject>[]> = { ...MODULES };
  for (const [type, one] of Object.entries(added)) table[type] = [...(table[type] ?? []), one];
  server.deps.modules.replace(table);
  const { http: app } = createApp({
    ...{
      deps: server.deps,
      authenticate: noauth(),
      log: silentLogger(),
      version: '1',
      limits: ADMISSION_LIMITS,
      readiness: [],
    },
  });
  t.after(() => app.close());
  return app;
}

/** `> METHOD path [body] [as member]`, each followed by `< status [part of the answer]`. `$name`: the id of the last object made under that key. */
async function assertRequests(app: FastifyInstance, text: string): Promise<void> {
  const lines = blocksOf(text, 'requests').flatMap((block) => block.trim().split('\n'));
  assert.ok(lines.length > 0 && lines.length % 2 === 0);
  const ids = new Map<string, string>();
  const fill = (line: string): string => line.replaceAll(/\$(\w+)/g, (all, name: string) => ids.get(name) ?? all);
  for (let at = 0; at < lines.length; at += 2) {
    const line = fill(lines[at] ?? '');
    const [, method, url = '', body, member] = /^> (\S+) (\S+)(?: (\{.*\}))?( as member)?$/.exec(line) ?? [];
    const [, status, part = '{}'] = /^< (\d+)(?: (.*))?$/.exec(fill(lines[at + 1] ?? '')) ?? [];
    const headers = member === undefined ? {} : { 'x-project-id': 'other', 'x-roles': 'member' };
    const answer = await app.inject({
      ...{ method: method as 'GET', url, headers },
      ...(body === undefined ? {} : { payload: JSON.parse(body) as object }),
    });
    assert.equal(answer.statusCode, Number(status), `${line}: ${answer.body}`);
    const told: unknown = answer.body === '' ? {} : JSON.parse(answer.body);
    assertHas(told, JSON.parse(part), line);
    for (const [name, made] of Object.entries(told as Exports)) {
      const { id } = (made ?? {}) as { readonly id?: unknown };
      if (answer.statusCode === 201 && typeof id === 'string') ids.set(name, id);
    }
  }
}

/** The value has what the part has; lists have as many elements. */
function assertHas(value: unknown, part: unknown, where: string): void {
  if (typeof part !== 'object' || part === null) {
    assert.deepEqual(value, part, where);
    return;
  }
  assert.ok(typeof value === 'object' && value !== null, where);
  if (Array.isArray(part)) assert.equal((value as readonly unknown[]).length, part.length, where);
  for (const [name, inner] of Object.entries(part)) assertHas((value as Exports)[name], inner, `${where} ${name}`);
}
