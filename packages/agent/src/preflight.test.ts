import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from './options.ts';
import { preflight } from './preflight.ts';

test('a socket path that the kernel would cut is refused', async () => {
  const options = parseOptions(['--server', 'http://192.0.2.1', '--host', 'h', '--underlay', '192.0.2.2']);
  assert.match((await preflight(options, `/${'x'.repeat(107)}`)) ?? '', /--run/);
  assert.doesNotMatch((await preflight(options, `/${'x'.repeat(106)}`)) ?? '', /--run/);
});
