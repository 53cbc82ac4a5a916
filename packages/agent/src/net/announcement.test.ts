import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arpAnnouncement, neighborAnnouncement } from './announcement.ts';

test('an announcement is a request for the own address to all, with the own MAC as sender', () => {
  const frame = arpAnnouncement(Uint8Array.of(0x02, 0, 0, 0, 0, 0x06), Uint8Array.of(10, 0, 0, 6));
  assert.equal(
    Buffer.from(frame).toString('hex'),
    ['ffffffffffff020000000006', '0806', '0001080006040001', '0200000000060a000006', '0000000000000a000006'].join(''),
  );
});

test('of an IPv6 address it is an advertisement that nobody asked for, from the address, with a right checksum', () => {
  const address = Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6);
  const [text, all] = [Buffer.from(address).toString('hex'), 'ff020000000000000000000000000001'];
  for (const [isRouter, flags, sum] of [
    [false, '20', 'f91b'],
    [true, 'a0', '791b'],
  ] as const) {
    const frame = neighborAnnouncement(Uint8Array.of(0x02, 0, 0, 0, 0, 0x06), address, isRouter);
    const message = ['8800', sum, flags, '000000', text, '0201020000000006'].join('');
    const header = ['6000000000203aff', text, all].join('');
    assert.equal(Buffer.from(frame).toString('hex'), ['333300000001020000000006', '86dd', header, message].join(''));
  }
});
