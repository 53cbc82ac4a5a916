import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '@cable/api';
import { httpTransport, silentLogger, sleep } from '@cable/kit';
import { sampleGroup, sampleNetwork } from '../plan/sample.ts';
import { startFakeServer } from '../testing/fake-server.ts';
import { type HostState, NO_STATE } from './host-state.ts';
import { createReconnectWaits, runHostStream } from './host-stream.ts';

const dir = mkdtempSync(join(tmpdir(), `cable-stream-${process.pid}-`));
const path = join(dir, 'server.sock');
after(() => rmSync(dir, { recursive: true }));

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'in vain');
    await sleep(5);
  }
}

function follow(signal: AbortSignal, initial: HostState = NO_STATE) {
  const states: HostState[] = [];
  const reasons: (string | null)[] = [];
  const client = createClient({ transport: httpTransport(`unix:${path}`) });
  const done = runHostStream(
    {
      host: 'h1',
      registration: { underlay: '192.0.2.1', agentVersion: '0' },
      initial,
      onState: (state) => states.push(state),
      onConnection: ({ reason }) => reasons.push(reason),
    },
    { client, log: silentLogger(), signal },
  );
  return { states, reasons, done };
}

test('states come whole, in order; a lost connection is resumed from the last of them', async () => {
  const stop = new AbortController();
  const first = await startFakeServer(path);
  first.set([sampleNetwork(1)]);
  const agent = follow(stop.signal);
  await until(() => agent.states.length === 1);
  first.set([sampleNetwork(1), sampleGroup('g', [])]);
  await until(() => agent.states.length === 2);
  assert.deepEqual(
    agent.states.map((state) => [state.revision, state.slices.size]),
    [
      [2, 1],
      [3, 2],
    ],
  );
  await first.stop();
  await until(() => agent.reasons.length >= 2);
  const second = await startFakeServer(path);
  await until(() => agent.states.length === 3);
  assert.deepEqual(second.watches, [3]);
  assert.equal(agent.states[2]?.slices.size, 0, 'the new server knows nothing');
  stop.abort();
  await agent.done;
  await second.stop();
});

test('a server that stays away is said once', async () => {
  const stop = new AbortController();
  const said: string[] = [];
  const log = { ...silentLogger(), warn: (fields: object) => said.push(JSON.stringify(fields)) };
  const client = createClient({ transport: httpTransport(`unix:${dir}/nobody.sock`) });
  let attempts = 0;
  const done = runHostStream(
    {
      host: 'h1',
      registration: { underlay: '192.0.2.1', agentVersion: '0' },
      initial: NO_STATE,
      onState: () => {},
      onConnection: () => {
        attempts += 1;
      },
    },
    { client, log, signal: stop.signal },
  );
  await until(() => attempts > 2);
  stop.abort();
  await done;
  assert.equal(said.length, 1);
});

test('a line that is not understood ends the connection with its text', async () => {
  const stop = new AbortController();
  const server = createServer((request, response) => {
    if (request.url?.endsWith('/watch')) response.end('{"type":"riddle","revision":1}\n');
    else response.writeHead(204).end();
  });
  server.listen(path);
  const agent = follow(stop.signal);
  await until(() => agent.reasons.length > 0);
  assert.match(agent.reasons[0] ?? '', /not understood: .*riddle/);
  stop.abort();
  await agent.done;
  server.close();
  server.closeAllConnections();
});

test('waits between connections stay under a second for a minute, and then grow', () => {
  let now = 0;
  const waits = createReconnectWaits(
    () => now,
    () => 1,
  );
  assert.deepEqual([waits.next(), waits.next(), waits.next(), waits.next(), waits.next()], [100, 200, 400, 800, 1000]);
  now = 59_000;
  assert.equal(waits.next(), 1000);
  now = 60_000;
  assert.equal(waits.next(), 5000);
  waits.reset();
  assert.equal(waits.next(), 100);
});
