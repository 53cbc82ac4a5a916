import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { enterOwnNamespace } from './guest/testing/own-namespace.ts';
import { parseOptions } from './options.ts';
import { preflight } from './preflight.ts';

before(() => enterOwnNamespace());

test('a socket path that the kernel would cut is refused', async () => {
  const given = parseOptions(['--server', 'http://192.0.2.1', '--host', 'h', '--underlay', '192.0.2.2']);
  const options = { ...given, object: '/nowhere' };
  assert.match((await preflight(options, `/${'x'.repeat(107)}`)) ?? '', /--run/);
  assert.doesNotMatch((await preflight(options, `/${'x'.repeat(106)}`)) ?? '', /--run/);
});

test('once it may run, nobody else may in this network namespace, not even to tear down', async () => {
  const options = parseOptions(['--server', 'http://192.0.2.1', '--host', 'h', '--underlay', '192.0.2.2']);
  assert.equal(await preflight({ ...options, object: '/dev/null' }, '/nowhere'), undefined);
  const other = await preflight({ ...options, host: 'other', object: '/dev/null', teardown: true }, '/nowhere');
  assert.match(
    other ?? '',
    new RegExp(`an agent for host h runs in this network namespace already \\(process ${process.pid}\\)`),
  );
});
