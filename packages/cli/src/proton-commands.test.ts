import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ApiError } from '@cable/api';
import { TransportError } from '@cable/kit';
import { untilDone } from './proton-again.ts';
import { cable } from './testing/run.ts';

const models = fileURLToPath(new URL('../../proton/models', import.meta.url));

test('lint says that a model is good, with its warnings', async () => {
  const { status, out, err } = await cable(['proton', 'lint', `${models}/circuit`, `${models}/ietf-sfc/ietf-sfc.yaml`]);
  assert.equal(err, '');
  assert.equal(status, 0);
  assert.deepEqual(out.trim().split('\n'), [
    'circuit 1.0 (format 2.0) is good: 4 objects.',
    `${models}/ietf-sfc/ietf-sfc.yaml:62:7: warning: SffSfBinding has more than one primary: sff_id and sf_id. The last is the key: sf_id. Leave the others out.`,
    'ietf-sfc 1.0 (format 1.0) is good: 12 objects.',
  ]);
});

test('lint says what is wrong, by file, line and column, and fails', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-proton-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'a.yaml');
  writeFileSync(file, 'file_version: "1.0"\nimports: base/none.yaml\ninfo: { name: a, version: 1 }\nobjects: {}\n');
  const { status, out, err } = await cable(['proton', 'lint', file]);
  assert.equal(status, 1);
  assert.match(
    out,
    /a\.yaml:2:10: error: there is no base\/none\.yaml to import\. Import base\/base\.yaml and base\/v2\.yaml\./,
  );
  assert.equal(err, 'error: 1 model is not good\n');
});

test('a text of a model cannot drive the terminal', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-proton-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'a.yaml');
  writeFileSync(file, 'file_version: "1.0"\ninfo: { name: "\\e]0;x\\a", version: 1, "\\e[31m": 1 }\n');
  for (const command of ['lint', 'gen types']) {
    const { out, err } = await cable(['proton', ...command.split(' '), file]);
    assert.ok(![...(out + err)].some((letter) => letter < ' ' && letter !== '\n'), JSON.stringify(out + err));
  }
});

test('a model imports what lies beside it', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-proton-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const name of ['base', 'mine']) mkdirSync(join(directory, name));
  writeFileSync(
    join(directory, 'base/own.yaml'),
    'file_version: "2.0"\nobjects:\n  Root:\n    attributes: { id: { type: string, format: uuid, primary: true } }\n    policies: { create: "", delete: "", get: "", list: "", update: "" }\n',
  );
  writeFileSync(
    join(directory, 'mine/m.yaml'),
    'file_version: "2.0"\nimports: base/own.yaml\ninfo: { name: mine, version: 1 }\nobjects:\n  One: { api: { name: one }, extends: Root }\n',
  );
  const { status, out } = await cable(['proton', 'lint', join(directory, 'mine')]);
  assert.equal(out, 'mine 1 (format 2.0) is good: 1 object.\n');
  assert.equal(status, 0);
});

test('diff shows what breaks first', async () => {
  const { status, out } = await cable(['proton', 'diff', `${models}/net-l3vpn`, `${models}/net-l3vpn-v1.1`]);
  assert.equal(status, 0);
  const lines = out.trim().split('\n');
  assert.match(lines[0] ?? '', /^breaking for \w+: Port/);
  assert.match(lines.at(-1) ?? '', /^fine for/);
  assert.ok(lines.includes('fine for stored: VpnService.ipv4_route_targets was the text ipv4_family, is its parts'));
  const same = await cable(['proton', 'diff', `${models}/circuit`, `${models}/circuit`, '--json']);
  assert.deepEqual(JSON.parse(same.out), []);
});

test('gen writes what follows of a model', async () => {
  for (const [what, expected] of [
    ['types', /export type Line = \{/],
    ['client', /createClient\(send: Send\)/],
    ['docs', /^# circuit 1\.0/],
    ['form', /"choices"/],
    ['vectors', /"CircuitBinding is created"/],
  ] as const) {
    const { status, out } = await cable(['proton', 'gen', what, `${models}/circuit`]);
    assert.equal(status, 0);
    assert.match(out, expected);
  }
});

test('a path that is not there is named', async () => {
  const { status, err } = await cable('proton gen types /nowhere/at/all');
  assert.equal(status, 1);
  assert.match(err, /^error: \/nowhere\/at\/all cannot be read: /);
});

test('what reads models is loaded when one is read, not before', () => {
  const sources = readdirSync(new URL('./', import.meta.url)).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  );
  const eager = sources.filter((name) =>
    /^import (?!type\b)[^;]*from '@cable\/proton'/m.test(readFileSync(new URL(name, import.meta.url), 'utf8')),
  );
  assert.ok(sources.length > 10);
  assert.deepEqual(eager, []);
});

test('gen openapi writes the document of the version', async () => {
  const { status, out, err } = await cable(['proton', 'gen', 'openapi', `${models}/net-l3vpn`]);
  assert.equal(err, '');
  assert.equal(status, 0);
  const { openapi, paths } = JSON.parse(out) as { readonly openapi: string; readonly paths: object };
  assert.match(openapi, /^3\.1/);
  assert.ok(Object.keys(paths).includes('/proton/net-l3vpn/v1.0/vpns'));
  assert.ok(Object.keys(paths).every((path) => path.startsWith('/proton/net-l3vpn/v1.0/')));
});

test('a file that is too large, or none, is not read', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-proton-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'a.yaml');
  writeFileSync(file, 'a: b\n'.repeat(6_000_000));
  const { status, err } = await cable(['proton', 'lint', file]);
  assert.equal(status, 1);
  assert.match(
    err,
    /a\.yaml:1:1: error: the model has 30000000 bytes or more\n {2}A model has at most 262144 characters/,
  );
  assert.match((await cable(['proton', 'lint', '/dev/zero'])).err, /\/dev\/zero cannot be read: it is no file/);
});

test('what takes longer than one request is asked for again, with what is done so far', async () => {
  const told: string[] = [];
  const answers = [
    () => Promise.reject(new ApiError(503, 'GoesOn', '7 of 20 objects of shop have been looked at', '')),
    () => Promise.reject(new TransportError('timeout', 'http://h did not answer within 30000 ms')),
    () => Promise.reject(new ApiError(409, 'HTTPConflict', 'The proton shop is being changed by another request.', '')),
    () => Promise.resolve('done'),
  ];
  const send = () => (answers.shift() ?? (() => Promise.reject(new Error('too often'))))();
  assert.equal(await untilDone({ printError: (text) => void told.push(text) }, send), 'done');
  assert.deepEqual(told, [
    '7 of 20 objects of shop have been looked at\n',
    'http://h did not answer within 30000 ms: it is asked again\n',
    'The proton shop is being changed by another request: it is asked again\n',
  ]);
  const conflict = () => Promise.reject(new ApiError(409, 'HTTPConflict', 'is being changed by another request', ''));
  await assert.rejects(untilDone({ printError: () => {} }, conflict), ApiError);
});
