import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ADMIN, model } from './protons.fixture.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** Notes each module that is loaded in a file. */
const HOOKS = `
import { appendFileSync } from 'node:fs';
export async function load(url, context, next) {
  appendFileSync(process.env.CABLE_TEST_LOADED, url + '\\n');
  return next(url, context);
}
`;

/** What reads models, or does anything for one that is there. */
const OF_PROTONS =
  /packages\/proton\/|\/protons\/(?:arbiter|binding-keeper|change|change-rings|compose|contributions|fitness|install|migrate|owners|parts|remove|renamed|rules|versions|watch|vrouter\/(?!overlay|networks|vpn-peerings)[a-z0-9-]+)\.ts|node_modules\/(?:re2js|@marcbachmann\/cel-js|ajv\/dist\/2020)/;

/** What asks plug-ins, or tells them anything. */
const OF_PLUGINS =
  /packages\/plugin\/src\/(?:index|plugin-client|plugin-server|probe)\.ts|\/plugins\/(?:ask-owners|plugin-keeper|plugin-runner|registering|told-objects|wanted)\.ts/;

test('a server without protons and plug-ins has loaded nothing that serves one, and with the first it has', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'cable-none-'));
  const [hooks, start, loaded] = ['hooks.mjs', 'start.mjs', 'loaded'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(hooks, HOOKS);
  await writeFile(
    start,
    `import { register } from 'node:module'; register(${JSON.stringify(pathToFileURL(hooks).href)});`,
  );
  const socket = join(directory, 's.sock');
  const args = ['--import', start, '--import', 'tsx', '--conditions=cable-source', MAIN];
  const child = spawn(process.execPath, [...args, '--store', `lmdb:${directory}/store`, '--listen', `unix:${socket}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, CABLE_TEST_LOADED: loaded },
  });
  // It may be loading still, and would write into what is being removed.
  t.after(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true, force: true });
  });
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('listening on')) break;
  const modules = async (kind = OF_PROTONS): Promise<readonly string[]> =>
    (await readFile(loaded, 'utf8')).split('\n').filter((url) => kind.test(url));
  assert.equal((await ask(socket, 'GET', '/v2.0/ports')).status, 200);
  assert.equal((await ask(socket, 'GET', '/cable/v1/protons')).status, 200);
  assert.equal((await ask(socket, 'GET', '/proton')).status, 404);
  assert.deepEqual(await modules(), []);
  assert.deepEqual(await modules(OF_PLUGINS), []);
  const paths = Object.keys(
    (JSON.parse((await ask(socket, 'GET', '/openapi.json')).text) as { readonly paths: object }).paths,
  );
  assert.deepEqual(
    paths.filter((path) => path.startsWith('/proton')),
    [],
  );
  const done = await ask(socket, 'POST', '/cable/v1/protons/install', { files: model('test') });
  assert.equal(done.status, 200, done.text);
  assert.notDeepEqual(await modules(), []);
  const plugin = { plugin: { name: 'x', endpoint: 'unix:/nowhere' } };
  assert.equal((await ask(socket, 'POST', '/cable/v1/plugins', plugin)).status, 201);
  while ((await modules(OF_PLUGINS)).length < 4) await new Promise((resolve) => setTimeout(resolve, 50));
});

function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { ...ADMIN, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const call = request({ socketPath, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
