import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePing } from './ping.ts';

const said = (stdout: string): Parameters<typeof parsePing>[0] => ({ code: 0, stdout, stderr: '' });

test('parsePing reads counts and times', () => {
  const output =
    '--- 10.0.0.1 ping statistics ---\n1000 packets transmitted, 998 received, 0.2% packet loss, time 2000ms\nrtt min/avg/max/mdev = 0.1/0.25/9.5/0.3 ms\n';
  assert.deepEqual(parsePing(said(output), '10.0.0.1'), {
    sent: 1000,
    received: 998,
    duplicates: 0,
    averageMs: 0.25,
    maximumMs: 9.5,
  });
});

test('parsePing counts answers that came twice', () => {
  const output = '5 packets transmitted, 5 received, +3 duplicates, 0% packet loss, time 41ms\n';
  assert.equal(parsePing(said(output), 'x').duplicates, 3);
});

test('parsePing of no answer at all has no times', () => {
  const output = '3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 41ms\n';
  assert.deepEqual(parsePing(said(output), 'x'), {
    sent: 3,
    received: 0,
    duplicates: 0,
    averageMs: null,
    maximumMs: null,
  });
});

test('parsePing throws what ping said when it did not run', () => {
  assert.throws(() => parsePing({ code: 2, stdout: '', stderr: 'ping: connect: Network is unreachable' }, '10.0.0.1'), {
    message: 'ping 10.0.0.1: ping: connect: Network is unreachable',
  });
});
