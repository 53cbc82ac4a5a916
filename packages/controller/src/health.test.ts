import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { answerProbes, Health } from './health.ts';

const PLACE = { host: '127.0.0.1', port: 40_000 + (process.pid % 20_000) };

async function ask(path: string): Promise<readonly [number, string]> {
  const answer = await fetch(`http://${PLACE.host}:${PLACE.port}${path}`);
  return [answer.status, (await answer.text()).trim()];
}

test('a controller lives and is ready while it stands by; it is not until all is listed, and until who has the Lease writes', async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const health = new Health();
  await answerProbes(PLACE, health, { log: silentLogger(), signal: stop.signal });
  assert.deepEqual(await ask('/livez'), [200, 'ok']);
  assert.deepEqual(await ask('/readyz'), [503, 'has not heard from the API server all that it follows']);
  let listed = (): void => {};
  const pods = { size: 0 };
  const all = new Promise<void>((resolve) => {
    listed = resolve;
  });
  health.follows({ pods }, all);
  listed();
  await all;
  assert.deepEqual(await ask('/readyz'), [200, 'ok'], 'it stands by');
  health.begins();
  assert.equal((await ask('/readyz'))[0], 503);
  health.begins('the server is away');
  assert.deepEqual(await ask('/readyz'), [
    503,
    'has the Lease, and does not write for the cluster yet: the server is away',
  ]);
  assert.deepEqual(await ask('/livez'), [200, 'ok'], 'that is nothing that another process would do better');
  pods.size = 7;
  health.writes({ pods: { size: 2 } });
  assert.deepEqual(await ask('/readyz'), [200, 'ok']);
  const [status, text] = await ask('/metrics');
  assert.equal(status, 200);
  for (const line of [
    'cable_controller_leads 1',
    'cable_controller_ready 1',
    'cable_controller_objects{kind="pods"} 7',
    'cable_controller_queue_keys{queue="pods"} 2',
    '# TYPE process_cpu_seconds_total counter',
  ])
    assert.ok(text.split('\n').includes(line), line);
  health.standsBy();
  assert.match((await ask('/metrics'))[1], /^cable_controller_leads 0$/m);
});

test('a second controller of the node answers probes when the first one is gone', async (t) => {
  const [first, second] = [new AbortController(), new AbortController()];
  t.after(() => second.abort());
  const [one, other] = [new Health(), new Health()];
  one.follows({}, Promise.resolve());
  await answerProbes(PLACE, one, { log: silentLogger(), signal: first.signal });
  let answers = false;
  const waiting = answerProbes(PLACE, other, { log: silentLogger(), signal: second.signal }).then(() => {
    answers = true;
  });
  assert.equal((await ask('/readyz'))[0], 200);
  assert.equal(answers, false);
  first.abort();
  await waiting;
  assert.equal((await ask('/readyz'))[0], 503, 'it is the second');
});
