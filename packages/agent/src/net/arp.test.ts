import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arpAnnouncement } from './arp.ts';

test('an announcement is a request for the own address to all, with the own MAC as sender', () => {
  const frame = arpAnnouncement(Uint8Array.of(0x02, 0, 0, 0, 0, 0x06), Uint8Array.of(10, 0, 0, 6));
  assert.equal(
    Buffer.from(frame).toString('hex'),
    ['ffffffffffff020000000006', '0806', '0001080006040001', '0200000000060a000006', '0000000000000a000006'].join(''),
  );
});
