/** What is committed names nobody's machine, and carries no secret. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesMatching, repositoryFiles } from './repository.ts';

const files = repositoryFiles();

test('no file names a path of the machine that it was written on', () => {
  const places = ['wo' + 'rk', 'ho' + 'me', 'Us' + 'ers'].join('|');
  const briefs = ['/tmp/' + 'brief', '/tmp/' + 'bash_jobs'].join('|');
  const pattern = new RegExp(`(?:^|[\\s"'\`(=:])/(?:${places})/[a-z]|${briefs}`);
  assert.deepEqual(linesMatching(files, pattern), []);
});

test('package-lock.json fetches from the public registry only', () => {
  const elsewhere = linesMatching(
    ['package-lock.json'],
    /"resolved": "(?!https:\/\/registry\.npmjs\.org\/|packages\/)/,
  );
  assert.deepEqual(elsewhere, []);
});

test('no file holds a private key or a token', () => {
  const pattern = new RegExp(
    ['BEGIN [A-Z ]*PRIV' + 'ATE KEY', 'gh[pousr]_[A-Za-z0-9]{30}', 'AKIA[0-9A-Z]{16}'].join('|'),
  );
  assert.deepEqual(linesMatching(files, pattern), []);
});
