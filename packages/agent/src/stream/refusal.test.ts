import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import { silentLogger } from '@cable/kit';
import { createRefusalLog, makeRefusal, refusalOf } from './refusal.ts';

test('a refusal is said at first, when its reason is another, every ten minutes, and anew when it was over', () => {
  let now = 0;
  const said: string[] = [];
  const log = { ...silentLogger(), error: (fields: object) => said.push(Object.values(fields)[1] as string) };
  const refusals = createRefusalLog(log, () => now);
  const refuse = (message: string): void => refusals.note(makeRefusal('HostNameInUse', message));
  for (; now < 1_200_000; now += 30_000) refuse('alive at 192.0.2.1');
  assert.deepEqual(said.splice(0), Array(2).fill('alive at 192.0.2.1'));
  refuse('alive at 192.0.2.2');
  refuse('alive at 192.0.2.2');
  assert.deepEqual(said.splice(0), ['alive at 192.0.2.2']);
  refusals.note(null);
  refuse('alive at 192.0.2.2');
  assert.equal(said.length, 1);
});

test('a refusal has the remedy that the server says for this host, and else the one of its kind', () => {
  const words = 'Make a token with cable join-token create --host node-1 --replace true.';
  assert.equal(refusalOf(new ApiError(401, 'CertificateRefused', 'revoked', words))?.remedy, words);
  const { remedy } = makeRefusal('CertificateRefused', 'revoked');
  assert.ok(remedy);
  assert.equal(refusalOf(new ApiError(401, 'CertificateRefused', 'revoked', ''))?.remedy, remedy);
});
