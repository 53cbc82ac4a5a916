import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port } from '@cable/model';
import type { Tables } from '../tables.ts';
import { waitForFlows } from './flows-here.ts';

const PORT = { id: 'c0000000-0000-4000-8000-000000000001', 'binding:host_id': 'h1' } as Port;
/** A test that waits so long has failed. */
const LONG_MS = 60_000;

type Rows = Record<string, Map<string, object>>;

/** Tables of two hosts that are alive; the second one says when flows are there. */
function world() {
  const rows: Rows = {
    host: new Map([
      ['h1', {}],
      ['h2', { features: ['flows'] }],
    ]),
    alive: new Map([
      ['h1', {}],
      ['h2', {}],
    ]),
    vif: new Map(),
  };
  const listeners = new Set<Parameters<Tables['onChange']>[0]>();
  const tables = {
    of: (type: string) => rows[type],
    onChange: (listener: Parameters<Tables['onChange']>[0]) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as Pick<Tables, 'of' | 'onChange'>;
  const report = (host: string, hasFlows: boolean, portId = PORT.id): void => {
    const id = `${host}/${portId}`;
    rows['vif']?.set(id, { hasFlows });
    for (const listener of [...listeners]) listener(1, [{ type: 'vif', id, before: undefined, after: undefined }]);
  };
  return { rows, tables, listeners, report };
}

function wait({ tables }: Pick<ReturnType<typeof world>, 'tables'>, more: object = {}) {
  const state = { isOver: false };
  const move = { port: PORT, host: 'h2', signal: new AbortController().signal, waitMs: LONG_MS, ...more };
  const over = waitForFlows(tables, move).then(() => {
    state.isOver = true;
  });
  return { state, over };
}

test('it waits until the host to which the port moves says that its flows are there', async () => {
  const here = world();
  const { state, over } = wait(here);
  here.report('h2', false);
  here.report('h1', true);
  here.report('h2', true, 'c0000000-0000-4000-8000-000000000002');
  await Promise.resolve();
  assert.equal(state.isOver, false);
  here.report('h2', true);
  await over;
  assert.equal(here.listeners.size, 0);
});

test('it waits for nothing that is there, or that is never said: by an older agent, of a host that is away, from one that is', async () => {
  const there = world();
  there.report('h2', true);
  await wait(there).over;
  const older = world();
  older.rows['host']?.set('h2', { features: ['floats'] });
  await wait(older).over;
  for (const host of ['h1', 'h2']) {
    const away = world();
    away.rows['alive']?.delete(host);
    await wait(away).over;
  }
});

test('it waits a bounded time, and not for a client that has gone', async () => {
  const late = world();
  await wait(late, { waitMs: 5 }).over;
  assert.equal(late.listeners.size, 0);
  const left = new AbortController();
  const gone = world();
  const { over } = wait(gone, { signal: left.signal });
  left.abort();
  await over;
  assert.equal(gone.listeners.size, 0);
});
