import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePing } from './ping.ts';

const answer = (number: number, ms: number, mark = ''): string =>
  `64 bytes from 10.0.0.1: icmp_seq=${number} ttl=64 time=${ms} ms${mark}\n`;
const said = (lines: string, summary: string): Parameters<typeof parsePing>[0] => ({
  code: 0,
  stdout: `PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n${lines}\n--- 10.0.0.1 ping statistics ---\n${summary}\n`,
  stderr: '',
});

test('parsePing of pings that were all answered', () => {
  const output = said(answer(1, 0.5) + answer(2, 1.5), '2 packets transmitted, 2 received, 0% packet loss, time 10ms');
  assert.deepEqual(parsePing(output, 'x', 2), {
    sent: 2,
    answered: 2,
    lost: [],
    silent: false,
    duplicates: 0,
    averageMs: 1,
    maximumMs: 1.5,
  });
});

test('parsePing names the pings that were not answered, though later ones made up the count', () => {
  const output = said(answer(1, 1) + answer(3, 1), '4 packets transmitted, 2 received, 50% packet loss, time 30ms');
  assert.deepEqual(parsePing(output, 'x', 2), {
    sent: 2,
    answered: 1,
    lost: [2],
    silent: false,
    duplicates: 0,
    averageMs: 1,
    maximumMs: 1,
  });
});

test('parsePing does not mind a ping that was still on its way when ping ended', () => {
  const output = said(answer(1, 1) + answer(2, 1), '3 packets transmitted, 2 received, 33% packet loss, time 20ms');
  assert.deepEqual(parsePing(output, 'x', 2).lost, []);
});

test('parsePing counts answers that came twice', () => {
  const lines = answer(1, 1) + answer(1, 2, ' (DUP!)') + answer(2, 1);
  const output = said(lines, '2 packets transmitted, 2 received, +1 duplicates, 0% packet loss, time 10ms');
  assert.deepEqual(parsePing(output, 'x', 2), {
    sent: 2,
    answered: 2,
    lost: [],
    silent: false,
    duplicates: 1,
    averageMs: 1,
    maximumMs: 1,
  });
});

test('parsePing of no answer at all has no times; errors of routers are no answers', () => {
  const lines = 'From 10.0.0.9 icmp_seq=1 Destination Host Unreachable\n';
  const output = said(lines, '3 packets transmitted, 0 received, +1 errors, 100% packet loss, time 41ms');
  assert.deepEqual(parsePing(output, 'x', 2), {
    sent: 2,
    answered: 0,
    lost: [1, 2],
    silent: true,
    duplicates: 0,
    averageMs: null,
    maximumMs: null,
  });
});

test('parsePing throws what ping said when it did not run', () => {
  assert.throws(
    () => parsePing({ code: 2, stdout: '', stderr: 'ping: connect: Network is unreachable' }, '10.0.0.1', 3),
    {
      message: 'ping 10.0.0.1: ping: connect: Network is unreachable',
    },
  );
});

test('parsePing of a ping that was ended before it had sent all does not call the rest lost', () => {
  const output = said(answer(1, 1) + answer(2, 1), '2 packets transmitted, 2 received, 0% packet loss, time 5000ms');
  const { sent, answered, lost } = parsePing(output, 'x', 5);
  assert.deepEqual({ sent, answered, lost }, { sent: 2, answered: 2, lost: [] });
});
