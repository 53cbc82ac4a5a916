import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { type Harness, harnessOf, startHarness, startTestServer } from '../testing/harness.ts';
import { ADMIN, AS, file, install, TENANT, V10, V20 } from './protons.fixture.ts';

type Fault = { readonly type: string; readonly message: string; readonly detail: string };

const MANY = ofAll(300, 20_000);

async function withShops(harness: Harness): Promise<void> {
  const { send } = harness;
  assert.equal((await install(harness, file(V10))).status, 200);
  await send('PUT', '/cable/v1/protons/shop/quota', { object: 'shop', quota: -1 }, ADMIN);
  const one = (at: number): object => ({ name: `s${at}`, size: 1 + (at % 8), targets: '1:1,1:2', tenant_id: TENANT });
  for (let at = 0; at < MANY; at += 50) {
    const made = await Promise.all(
      Array.from({ length: 50 }, (_, more) => send('POST', '/proton/shop/v1.0/shops', one(at + more), AS)),
    );
    assert.ok(
      made.every(({ status }) => status === 201),
      JSON.stringify(made.find(({ status }) => status !== 201)?.body),
    );
  }
}

test('what one request has no time for the next one goes on with, on another server, too', async (t) => {
  const harness = await startHarness(t);
  await withShops(harness);
  // With no more time than what comes after the look needs, each request has one turn.
  const hurried = { ...ADMIN, 'request-timeout': '11' };
  const looked: number[] = [];
  let answer = await harness.send('POST', '/cable/v1/protons/install', { files: file(V20) }, hurried);
  while (answer.status === 503) {
    const { type, message, detail } = answer.body['NeutronError'] as unknown as Fault;
    assert.equal(String(type), 'GoesOn', String(message));
    assert.match(String(detail), /Send the same request again/);
    looked.push(Number(/^(\d+) of \d+ objects of shop have been looked at/.exec(String(message))?.[1]));
    const shown = (await harness.send('GET', '/cable/v1/protons/shop', undefined, ADMIN)).body['proton'];
    assert.equal(String(shown?.['storage_version']), '1.0', 'nothing is changed yet');
    answer = await harness.send('POST', '/cable/v1/protons/install', { files: file(V20) }, hurried);
  }
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.ok(looked.length > 0, 'it took more than one request');
  assert.ok((looked.at(-1) ?? 0) >= (looked[0] ?? 0), looked.join());

  const short = { ...ADMIN, 'request-timeout': '5.05' };
  const first = await harness.send('PUT', '/cable/v1/protons/shop/migrate', {}, short);
  assert.equal(first.status, 200, JSON.stringify(first.body));
  assert.ok(Number(first.body['left']) > 0, 'the time was over before the last object');
  const second = await startTestServer(harness.store);
  t.after(() => second.stop());
  const other = harnessOf(harness.store, second);
  const done = await other.send('PUT', '/cable/v1/protons/shop/migrate', {}, ADMIN);
  assert.deepEqual(
    [done.status, Number(done.body['left']), Number(first.body['migrated']) + Number(done.body['migrated'])],
    [200, 0, MANY],
  );
  const removed = await other.send('DELETE', '/cable/v1/protons/shop?objects=true', undefined, ADMIN);
  assert.equal(removed.status, 204, JSON.stringify(removed.body));
});
