import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { schemaOf } from '@cable/api';
import { httpTransport } from '@cable/kit';
import { BUILT_IN_REGISTRY, BUILT_IN_RESOURCES, type Registry } from '@cable/model';
import { createModelLoader } from './model-loader.ts';

const [NETWORK] = BUILT_IN_RESOURCES;
const ONE: Registry = { models: BUILT_IN_RESOURCES.slice(0, 1), extensions: [] };

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cable-models-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function serve(t: TestContext, listener: RequestListener): Promise<{ url: string; stop: () => Promise<void> }> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    if (server.listening) await once(server, 'close');
  };
  t.after(stop);
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`, stop };
}

/** Serves the schema of a registry, and tells what was answered. */
function schemaServer(
  t: TestContext,
  registry: Registry,
): Promise<{ url: string; stop: () => Promise<void> }> & {
  readonly answers: number[];
} {
  const answers: number[] = [];
  const serving = serve(t, (request, response) => {
    const status = request.headers['if-none-match'] === '"1"' ? 304 : 200;
    answers.push(status);
    response.writeHead(status, { etag: '"1"' }).end(status === 200 ? JSON.stringify(schemaOf(registry)) : undefined);
  });
  return Object.assign(serving, { answers });
}

function loader(directory: string): ReturnType<typeof createModelLoader> {
  return createModelLoader({
    ...{ env: { XDG_CACHE_HOME: directory }, connect: httpTransport, fallback: BUILT_IN_RESOURCES, timeoutMs: 300 },
  });
}

test('the models are those of the server; they are kept, and asked for only whether they are still that', async (t) => {
  const directory = temporary(t);
  const serving = schemaServer(t, ONE);
  const { url, stop } = await serving;
  const types = async (): Promise<readonly string[]> => (await loader(directory)(url)).map(({ type }) => type);
  assert.deepEqual(await types(), [NETWORK?.type]);
  assert.deepEqual(await types(), [NETWORK?.type]);
  assert.deepEqual(serving.answers, [200, 304]);
  const files = readdirSync(join(directory, 'cable'));
  assert.equal(files.length, 1);
  await stop();
  assert.deepEqual(await types(), [NETWORK?.type]);
  writeFileSync(join(directory, 'cable', files[0] ?? ''), '"1"\n{"resources":');
  assert.equal((await types()).length, BUILT_IN_RESOURCES.length);
});

test('the models of the schema are those of the registry', async (t) => {
  const { url } = await schemaServer(t, BUILT_IN_REGISTRY);
  const models = await loader(temporary(t))(url);
  const told = (all: readonly object[]): unknown =>
    JSON.parse(
      JSON.stringify(
        all.map((model) => ({ ...model, storedAttributes: null, hidden: null, actions: null, forms: null })),
      ),
    );
  const declared = models.filter(({ form }) => form === undefined);
  assert.deepEqual(told(declared), told(BUILT_IN_RESOURCES));
});

test('without an answer there is the fallback: nobody listens, it hangs, it is too old, the address is wrong', async (t) => {
  const directory = temporary(t);
  const hanging = await serve(t, () => {});
  const old = await serve(t, (_request, response) => void response.writeHead(404).end('{}'));
  for (const url of ['http://127.0.0.1:1', hanging.url, old.url, 'nonsense']) {
    assert.equal(await loader(directory)(url), BUILT_IN_RESOURCES, url);
  }
});

test('where the cache cannot be written the server is asked each time, and nothing is left', async (t) => {
  const directory = temporary(t);
  const serving = schemaServer(t, ONE);
  const { url } = await serving;
  // A file where a directory should be: not even root can write below it.
  mkdirSync(join(directory, 'x'));
  writeFileSync(join(directory, 'x', 'cable'), '');
  for (const place of [join(directory, 'x'), 'relative']) {
    assert.equal((await loader(place)(url)).length, 1);
    assert.equal((await loader(place)(url)).length, 1);
  }
  assert.deepEqual(serving.answers, [200, 200, 200, 200]);
  assert.equal(readFileSync(join(directory, 'x', 'cable'), 'utf8'), '');
});
