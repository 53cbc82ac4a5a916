import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isListenedOn, silentLogger } from '@cable/kit';
import { startAgentSocket } from './agent-socket.ts';
import type { AgentView } from './agent-view.ts';

const dir = mkdtempSync(join(tmpdir(), `cable-socket-${process.pid}-`));
const path = join(dir, 'run', 'agent.sock');
const stop = new AbortController();
const calls: { command: unknown; body: string }[] = [];

/** More than what a socket takes at once. */
const PIECES = 1_000_000;

/** Each more than a response takes at once. */
const LARGE_PIECES = 40;

const VIEW: AgentView = {
  status: () => ({ host: 'h1' }),
  vifs: () => [],
  maps: async function* () {
    yield '{"cb_vif_2":';
    yield `[${'0,'.repeat(PIECES)}0]`;
    for (let n = 0; n < LARGE_PIECES; n += 1) yield ' '.repeat(PIECES);
    yield '}';
  },
  counters: () => {
    throw new Error('a bug');
  },
};

const STREAM = {
  adoptStore: async () => ({ changed: true, message: 'taken over' }),
  confirmRemoval: async () => ({ changed: false, message: 'nothing waits' }),
};

before(async () => {
  const cni = async (headers: Readonly<Record<string, unknown>>, body: string) => {
    calls.push({ command: headers['cni-command'], body });
    return { status: 400, body: '{"code":7}' } as const;
  };
  await startAgentSocket(path, { view: VIEW, cni, operator: STREAM, log: silentLogger(), signal: stop.signal });
});

after(() => {
  stop.abort();
  rmSync(dir, { recursive: true });
});

function ask(
  method: string,
  at: string,
  body = '',
  headers = {},
): Promise<{ status: number | undefined; body: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: path, method, path: at, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
    });
    call.on('error', reject);
    call.end(body);
  });
}

test('the socket is for root alone and answers what there is', async () => {
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(await ask('GET', '/status?x=1'), { status: 200, body: { host: 'h1' } });
  assert.deepEqual(await ask('GET', '/maps'), { status: 200, body: { cb_vif_2: Array(PIECES + 1).fill(0) } });
  assert.equal((await ask('GET', '/nothing')).status, 404);
  assert.equal((await ask('DELETE', '/status')).status, 405);
});

test('a slow reader of the maps leaves no listeners behind', async () => {
  const warnings: string[] = [];
  const warned = (warning: Error): void => {
    warnings.push(warning.name);
  };
  process.on('warning', warned);
  await ask('GET', '/maps');
  await new Promise(setImmediate);
  process.off('warning', warned);
  assert.deepEqual(warnings, []);
});

test('a reader of the maps that goes away holds nothing up', async () => {
  const call = request({ socketPath: path, path: '/maps' }).end();
  await new Promise((resolve) => {
    call.on('response', (response) => response.once('data', resolve));
  });
  call.destroy();
  assert.equal((await ask('GET', '/status')).status, 200);
});

test('a surprise is a 500, and the agent goes on', async () => {
  assert.equal((await ask('GET', '/counters')).status, 500);
  assert.equal((await ask('GET', '/vifs')).status, 200);
});

test('a CNI call reaches the plug-in with its headers and body, and its answer comes back', async () => {
  const answer = await ask('POST', '/cni', '{"cniVersion":"1.0.0"}', { 'Cni-Command': 'ADD' });
  assert.deepEqual(answer, { status: 400, body: { code: 7 } });
  assert.deepEqual(calls, [{ command: 'ADD', body: '{"cniVersion":"1.0.0"}' }]);
});

test('an operator’s commands are posted, and answered with what they came to', async () => {
  assert.deepEqual(await ask('POST', '/history/adopt'), {
    status: 200,
    body: { changed: true, message: 'taken over' },
  });
  assert.deepEqual(await ask('POST', '/removal/confirm'), {
    status: 200,
    body: { changed: false, message: 'nothing waits' },
  });
  assert.equal((await ask('POST', '/history')).status, 405);
  assert.equal((await ask('GET', '/history/adopt')).status, 404);
});

test('a file that is no socket of an agent is replaced', async () => {
  const stale = join(dir, 'stale.sock');
  writeFileSync(stale, '');
  const end = new AbortController();
  const cni = async () => ({ status: 200, body: '' }) as const;
  await startAgentSocket(stale, { view: VIEW, cni, operator: STREAM, log: silentLogger(), signal: end.signal });
  assert.equal(await isListenedOn(stale), true);
  end.abort();
});
