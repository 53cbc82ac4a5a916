/** A server answers what the vectors of a model say: each attribute, each rule, each reference, over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readModel, type Vector, vectorsOf } from '@cable/proton';
import { type Harness, startHarness } from '../testing/harness.ts';
import { install, model, TENANT } from './protons.fixture.ts';

const AS_ADMIN = { 'x-roles': 'admin', 'x-project-id': TENANT };

test('the models that are shipped are served as their vectors say', async (t) => {
  const harness = await startHarness(t);
  for (const name of ['test', 'net-l3vpn', 'net-l3vpn-v1.1', 'ietf-sfc', 'circuit']) {
    const files = model(name);
    // Vectors are of the model alone: a back end refuses more than that says.
    const answer = await install(harness, files, { breaking: true, backend: '' });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const read = readModel(files);
    assert.ok('model' in read);
    assert.deepEqual(await wrongAnswers(harness, vectorsOf(read.model)), [], name);
  }
});

async function wrongAnswers({ send }: Harness, vectors: readonly Vector[]): Promise<readonly string[]> {
  const saved = new Map([['project', TENANT]]);
  const filled = (text: string): string =>
    text.replaceAll(/\{\{([\w.]+)\}\}/g, (_, name: string) => saved.get(name) ?? `no-${name}`);
  const wrong: string[] = [];
  for (const { name, method, path, body, status, saves, key } of vectors) {
    const sent = body === undefined ? undefined : (JSON.parse(filled(JSON.stringify(body))) as Record<string, unknown>);
    const answer = await send(method, filled(path), sent, AS_ADMIN);
    if (saves !== undefined && key !== undefined) saved.set(saves, String(answer.body[key]));
    if (!status.includes(answer.status))
      wrong.push(`${name}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 300)} ${JSON.stringify(sent)}`);
  }
  return wrong;
}
