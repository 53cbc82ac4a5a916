/** Files that are wrong in every way, beside a server that runs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { LOADED, makePlace, REFUSED } from './process.fixture.ts';

const ABOUT = "alias: 'odd', name: 'Odd', description: 'For a test.', updated: '2026-11-26T00:00:00-00:00'";
const GOOD = `export function extension() { return { declaration: { ${ABOUT} } }; }`;

test('a file that is broken, however, is named in the log; the server serves on, and the next reload works', async (t) => {
  const { extensions, start } = await makePlace(t);
  const { child, reload, send } = await start();
  const file = join(extensions, 'odd.mjs');
  const cases: readonly (readonly [text: string, said: RegExp])[] = [
    ['export function extension( {', /odd\.mjs: it cannot be run: Unexpected/],
    ['throw null;', /odd\.mjs: it cannot be run: null/],
    [
      `Promise.reject(new Error('rej')); ${GOOD}`,
      /odd\.mjs: a promise of it is rejected, and nobody waits for it: rej/,
    ],
    ["export async function extension() { throw new Error('no'); }", /odd\.mjs: its function extension failed: no/],
    ['export async function extension() { await new Promise(() => {}); }', /odd\.mjs: .*never settled/],
    [`await new Promise(() => {}); ${GOOD}`, /odd\.mjs: .*never settled/],
    [`process.nextTick(() => { throw new Error('late'); }); ${GOOD}`, /odd\.mjs: it throws where nobody catches: late/],
    [`process.exit(3); ${GOOD}`, /odd\.mjs: it ends the process \(exit 3\)/],
    ['export function extension() { for (;;); }', /odd\.mjs: it is not done after 10 s/],
    ["export function extension() { return { get declaration() { throw new Error('got'); } }; }", /odd\.mjs: got/],
    [
      `export function extension() { return { declaration: { ${ABOUT} }, contributions: { network: { async check() {} } } }; }`,
      /odd\.mjs: contributions\.network: check is async, and nothing waits for it/,
    ],
    [
      // A few large ones: many small ones take a slow machine longer than a file may take.
      'export function extension() { const all = []; for (;;) all.push(new Array(2e7).fill(all)); }',
      /odd\.mjs: it takes more memory/,
    ],
  ];
  for (const [text, said] of cases) {
    await writeFile(file, text);
    const line = await answered(reload(), send);
    assert.match(line, REFUSED);
    assert.match(line, said);
  }
  await rm(file);
  await mkdir(join(extensions, 'folder.json'));
  assert.match(await reload(), /folder\.json: it is no file/);
  await rm(join(extensions, 'folder.json'), { recursive: true });
  await writeFile(file, GOOD);
  assert.match(await reload(), LOADED);
  assert.equal((await send('GET', '/v2.0/extensions/odd')).status, 200);
  assert.equal(child.exitCode, null);
});

/** The line, after requests have been answered all the while. */
async function answered(
  line: Promise<string>,
  send: (method: string, path: string) => Promise<{ readonly status: number }>,
): Promise<string> {
  const done = new AbortController();
  const asking = (async () => {
    while (!done.signal.aborted) {
      assert.equal((await send('GET', '/v2.0/networks')).status, 200);
      await setTimeout(20);
    }
  })();
  try {
    return await Promise.race([line, asking.then(() => line)]);
  } finally {
    done.abort();
    await asking;
  }
}

/** A file that says by a file of its own that it has begun, and goes on when there is another; `wait`: what it does until then. */
function slowFile(
  directory: string,
  wait: string,
): { readonly text: string; begun(): Promise<void>; goOn(): Promise<void> } {
  const [begun, on] = [join(directory, 'begun'), join(directory, 'on')];
  const head = `import { existsSync, writeFileSync } from 'node:fs'; writeFileSync('${begun}', '');`;
  return {
    text: `${head} while (!existsSync('${on}')) ${wait} ${GOOD}`,
    begun: async () => {
      while (!existsSync(begun)) await setTimeout(5);
    },
    goOn: () => writeFile(on, ''),
  };
}

test('requests are answered while a file keeps the process in which it is tried', async (t) => {
  const { directory, extensions, start } = await makePlace(t);
  const { reload, send } = await start();
  const { text, begun, goOn } = slowFile(directory, ';');
  await writeFile(join(extensions, 'odd.mjs'), text);
  const line = reload();
  await begun();
  assert.equal((await send('GET', '/v2.0/networks')).status, 200);
  await goOn();
  assert.match(await line, LOADED);
});

test('what is asked for while files are loaded is done afterwards', async (t) => {
  const { directory, extensions, start } = await makePlace(t);
  const { child, log, send } = await start();
  const { text, begun, goOn } = slowFile(directory, 'await new Promise((done) => setTimeout(done, 10));');
  await writeFile(join(extensions, 'odd.mjs'), text);
  child.kill('SIGHUP');
  await begun();
  await writeFile(
    join(extensions, 'other.json'),
    '{"alias":"other","name":"Other","description":"For a test.","updated":"2026-11-26T00:00:00-00:00"}',
  );
  await rm(join(extensions, 'odd.mjs'));
  for (let at = 0; at < 5; at += 1) {
    child.kill('SIGHUP');
    // It has heard it when it answers what came after it.
    assert.equal((await send('GET', '/v2.0/networks')).status, 200);
  }
  await goOn();
  while ((await send('GET', '/v2.0/extensions/odd')).status === 200 || !log.some((line) => LOADED.test(line))) {
    await setTimeout(50);
  }
  while ((await send('GET', '/v2.0/extensions/other')).status !== 200) await setTimeout(50);
  await setTimeout(500);
  assert.equal((await send('GET', '/v2.0/extensions/odd')).status, 404);
  const ended = log.filter((line) => LOADED.test(line) || REFUSED.test(line)).length;
  assert.ok(ended === 2, `${ended} reloads`);
});

test('a promise that an action forgot does not end the server; one of no extension does', async (t) => {
  const { extensions, start } = await makePlace(t);
  const act = (name: string): string => `{ name: '${name}', description: 'For a test.' }`;
  await writeFile(
    join(extensions, 'odd.mjs'),
    `export function extension({ transact, CableError }) {
      const declaration = { ${ABOUT}, actions: { network: [${['own', 'refusal', 'other'].map(act).join(', ')}] } };
      const fails = async () => { await null; throw new Error('forgotten'); };
      const actions = {
        own: () => { void fails(); return {}; },
        refusal: (deps, id, body, asked) => {
          void transact(deps, asked, () => { throw new CableError('HTTPConflict', 'refused here'); });
          return {};
        },
        other: () => { void Promise.reject('no error'); return {}; },
      };
      const rules = ['own', 'refusal', 'other'].map((name) => ({ name: name + '_network', check: '', description: '' }));
      return { declaration, contributions: { network: { actions } }, rules };
    }`,
  );
  const { child, log, send } = await start();
  const network = (await send('POST', '/v2.0/networks', { network: {} })).body['network']?.['id'];
  for (const [name, said] of [
    ['own', /odd\.mjs.*nobody waits for it|nobody waits for it.*odd\.mjs/],
    ['refusal', /refused here.*nobody waits for it|nobody waits for it.*refused here/],
  ] as const) {
    assert.equal((await send('PUT', `/v2.0/networks/${network}/${name}`, {})).status, 200);
    while (!log.some((line) => said.test(line))) await setTimeout(5);
    assert.equal((await send('GET', '/v2.0/networks')).status, 200);
  }
  const ended = once(child, 'exit');
  await send('PUT', `/v2.0/networks/${network}/other`, {}).catch(() => {});
  assert.deepEqual(await ended, [1, null]);
});

test('a contribution that throws makes those requests 500, and no others', async (t) => {
  const { extensions, start } = await makePlace(t);
  const { send, reload } = await start();
  const write = (functions: string): Promise<void> =>
    writeFile(
      join(extensions, 'odd.mjs'),
      `export function extension() { return { declaration: { ${ABOUT} }, contributions: { network: { ${functions} } } }; }`,
    );
  const statuses = async (): Promise<readonly number[]> => {
    const asked = [send('POST', '/v2.0/networks', { network: {} }), send('GET', '/v2.0/networks')];
    return (await Promise.all([...asked, send('GET', '/v2.0/ports')])).map(({ status }) => status);
  };
  assert.deepEqual(await statuses(), [201, 200, 200]);
  await write("check() { throw new Error('broken'); }");
  assert.match(await reload(), LOADED);
  assert.deepEqual(await statuses(), [500, 200, 200]);
  await write("present() { throw new Error('broken'); }");
  assert.match(await reload(), LOADED);
  assert.deepEqual(await statuses(), [500, 500, 200]);
  await rm(join(extensions, 'odd.mjs'));
  assert.match(await reload(), LOADED);
  assert.deepEqual(await statuses(), [201, 200, 200]);
});
