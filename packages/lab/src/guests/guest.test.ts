import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareAddress, parseLease, tapName } from './guest.ts';

const BOUND =
  'udhcpc: started\ncable-lease event=bound ip=10.0.0.5/24 mtu=1450 router=10.0.0.1 server=10.0.0.1 seconds=3600 hostname=vm dns=192.0.2.1\n';

test('parseLease reads the line that the DHCP scripts print', () => {
  assert.deepEqual(parseLease(BOUND, 12), {
    ip: '10.0.0.5/24',
    mtu: 1450,
    router: '10.0.0.1',
    server: '10.0.0.1',
    seconds: 3600,
    hostname: 'vm',
    tookMs: 12,
  });
});

test('parseLease takes the newest lease, and only those of the event asked for', () => {
  const renewed = `${BOUND}${BOUND.replace('event=bound', 'event=renew').replace('seconds=3600', 'seconds=60')}`;
  assert.equal(parseLease(renewed, 0)?.seconds, 60);
  assert.equal(parseLease(renewed, 0, 'bound')?.seconds, 3600);
  assert.equal(parseLease(BOUND, 0, 'renew'), undefined);
});

test('parseLease leaves options out that the server did not send', () => {
  const lease = parseLease(
    'cable-lease event=bound ip=10.0.0.5/24 mtu= router= server=10.0.0.1 seconds=60 hostname= dns=',
    0,
  );
  assert.equal(lease?.mtu, undefined);
  assert.equal(lease?.router, '');
});

test('a tap is named as Nova names it, within 15 characters', () => {
  assert.equal(tapName('0123abcd-4567-89ab-cdef-000000000000'), 'tap0123abcd-45');
  assert.equal(bareAddress('10.0.0.5/24'), '10.0.0.5');
});
