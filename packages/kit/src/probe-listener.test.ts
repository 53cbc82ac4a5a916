import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProbeListener } from './probe-listener.ts';

test('probes hear that the process lives, and why it is not ready', async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  let reason: string | null = 'the server has never sent it what is on this host';
  const place = { host: '127.0.0.1', port: 20_000 + (process.pid % 20_000) };
  await startProbeListener(place, { unready: () => reason, metrics: () => 'up 1' }, stop.signal);
  const ask = async (path: string): Promise<readonly [number, string]> => {
    const answer = await fetch(`http://${place.host}:${place.port}${path}`);
    return [answer.status, (await answer.text()).trim()];
  };
  assert.deepEqual(await ask('/livez'), [200, 'ok']);
  assert.deepEqual(await ask('/readyz'), [503, reason]);
  reason = null;
  assert.deepEqual(await ask('/readyz'), [200, 'ok']);
  assert.deepEqual(await ask('/metrics'), [200, 'up 1']);
  assert.equal((await ask('/status'))[0], 404);
  await assert.rejects(
    startProbeListener(place, { unready: () => null }, stop.signal),
    /choose another with --probe-listen/,
  );
});
