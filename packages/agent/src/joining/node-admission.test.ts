/** When a node asks for a token, of whom, and which it takes. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type Authority,
  createAuthority,
  createJoinToken,
  createKey,
  formatJoinToken,
  issueWithKey,
  joinNeedOf,
  validityFrom,
} from '@cable/pki';
import type { HostMaterial } from './host-files.ts';
import { AdmissionAway, AdmissionRefusal, NodeAdmission } from './node-admission.ts';

const DAY_MS = 86_400_000;

async function authority(): Promise<Authority> {
  return await createAuthority(await createKey(), validityFrom(new Date(), 10 * DAY_MS));
}

async function materialOf(by: Authority, lifeMs: number, token = '0'.repeat(12)): Promise<HostMaterial> {
  const identity = { kind: 'host', name: 'node-1' } as const;
  const made = await issueWithKey(by, { identity, validity: validityFrom(new Date(), lifeMs) });
  return { token, ...made, authorities: [by.certificate] };
}

type Answer = { readonly status: number; readonly body: string };

async function bed(t: TestContext, answers: readonly Answer[]) {
  const directory = await mkdtemp(join(tmpdir(), 'cable-node-admission-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const by = await authority();
  const identity = { kind: 'server', name: 'cp-1' } as const;
  const validity = validityFrom(new Date(), DAY_MS);
  const { certificate: cert, key } = await issueWithKey(by, { identity, places: ['127.0.0.1'], validity });
  const shown: string[] = [];
  const server = createServer({ cert, key }, (request, response) => {
    shown.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    const { status, body } = answers[Math.min(shown.length, answers.length) - 1] ?? { status: 500, body: '' };
    response.writeHead(status, { connection: 'close' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const [caFile, tokenFile, given] = ['ca.pem', 'account', 'join-token'].map((name) => join(directory, name));
  assert(caFile !== undefined && tokenFile !== undefined && given !== undefined);
  await writeFile(caFile, by.certificate);
  await writeFile(tokenFile, 'of-the-pod\n');
  let now = Date.now();
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const deps = { now: () => new Date(now), signal: new AbortController().signal };
  return {
    ...{ by, shown, given },
    admission: new NodeAdmission({ url, caFile, tokenFile }, given, deps),
    forward: (ms: number) => {
      now += ms;
    },
  };
}

function token(): { readonly id: string; readonly text: string; readonly answer: Answer } {
  const made = createJoinToken('x'.repeat(43));
  const text = formatJoinToken(made);
  return { id: made.id, text, answer: { status: 200, body: JSON.stringify({ host: 'node-1', token: text }) } };
}

test('a host needs a token without a certificate, with one that is over, or with one of other authorities', async () => {
  const [by, other] = [await authority(), await authority()];
  assert.match(joinNeedOf(undefined, by.certificate, new Date()) ?? '', /no certificate/);
  assert.match(joinNeedOf(await materialOf(by, -1000), by.certificate, new Date()) ?? '', /has expired/);
  const good = await materialOf(by, DAY_MS);
  assert.match(joinNeedOf(good, other.certificate, new Date()) ?? '', /other authorities/);
  assert.equal(joinNeedOf(good, `${other.certificate}${by.certificate}`, new Date()), undefined);
  assert.equal(joinNeedOf(good, '', new Date()), undefined);
});

test('it asks with the token of its pod, shows what it was given until that is too old or refused, and then asks again', async (t) => {
  const [one, two, three] = [token(), token(), token()];
  const { admission, shown, by, forward } = await bed(t, [one.answer, two.answer, three.answer]);
  assert.equal((await admission.find(undefined))?.token.id, one.id);
  assert.equal((await admission.find(undefined))?.token.id, one.id);
  assert.deepEqual(shown, ['POST /join Bearer of-the-pod']);
  forward(9 * 60_000);
  const second = await admission.find(undefined);
  assert.equal(second?.token.id, two.id);
  admission.refuse(second.token);
  assert.equal((await admission.find(undefined))?.token.id, three.id);
  assert.equal(await admission.find(await materialOf(by, DAY_MS)), undefined);
  assert.equal(shown.length, 3);
});

test('who is refused hears why; who cannot be told asks again', async (t) => {
  const refused = { status: 409, body: JSON.stringify({ reason: 'Host node-1 was revoked.' }) };
  const busy = { status: 429, body: JSON.stringify({ reason: 'too many tokens' }) };
  const odd = { status: 503, body: 'no JSON' };
  const { admission } = await bed(t, [refused, busy, odd]);
  await assert.rejects(
    admission.find(undefined),
    (err) => err instanceof AdmissionRefusal && /revoked/.test(err.message),
  );
  await assert.rejects(
    admission.find(undefined),
    (err) => err instanceof AdmissionAway && /too many/.test(err.message),
  );
  await assert.rejects(admission.find(undefined), (err) => err instanceof AdmissionAway && /503/.test(err.message));
});

test('a token that an operator has left is taken first, also where there is a certificate; once spent it is removed, and refused it is in nobody’s way', async (t) => {
  const [asked, spent, wrong] = [token(), token(), token()];
  const { admission, shown, by, given } = await bed(t, [asked.answer]);
  const kept = await materialOf(by, DAY_MS);
  await writeFile(given, `${wrong.text}\n`);
  const found = await admission.find(kept);
  assert.deepEqual([found?.token.id, found?.isGiven], [wrong.id, true]);
  if (found !== undefined) admission.refuse(found.token);
  assert.equal(await admission.find(kept), undefined);
  assert.equal((await admission.find(undefined))?.token.id, asked.id);
  assert.equal(existsSync(given), true);
  await writeFile(given, spent.text);
  assert.equal((await admission.find(kept))?.token.id, spent.id);
  assert.equal(await admission.find(await materialOf(by, DAY_MS, spent.id)), undefined);
  assert.equal(existsSync(given), false);
  assert.equal(shown.length, 1);
});

test('a token that failed unseen, and another one, are tried in turn', async (t) => {
  const [asked, later, left] = [token(), token(), token()];
  const { admission, given } = await bed(t, [asked.answer, later.answer]);
  await writeFile(given, left.text);
  for (const { id } of [left, asked, left, later]) {
    const found = await admission.find(undefined);
    assert.equal(found?.token.id, id);
    if (found !== undefined) admission.setAside(found.token);
  }
});
