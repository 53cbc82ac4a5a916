import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arpAnnouncement, arpQuestion, neighborAnnouncement, neighborQuestion } from './announcement.ts';

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

test('a question is a request to all, or to one, for another’s address; of IPv6 a solicitation to its group, with a right checksum', () => {
  const asker = { mac: Uint8Array.of(0x02, 0, 0, 0, 0, 0x06), own: Uint8Array.of(10, 0, 0, 6) };
  const rest = ['020000000006', '0806', '0001080006040001', '0200000000060a000006', '0000000000000a000001'].join('');
  const target = Uint8Array.of(10, 0, 0, 1);
  assert.equal(Buffer.from(arpQuestion(asker, target)).toString('hex'), `ffffffffffff${rest}`);
  const to = Uint8Array.of(0x02, 0, 0, 0, 0, 0x01);
  assert.equal(Buffer.from(arpQuestion(asker, target, to)).toString('hex'), `020000000001${rest}`);
  const [own, other] = [6, 1].map((last) =>
    Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last),
  );
  assert.ok(own && other);
  const frame = Buffer.from(neighborQuestion({ ...asker, own }, other));
  assert.equal(frame.subarray(0, 14).toString('hex'), '3333ff00000102000000000686dd');
  assert.equal(frame.subarray(38, 54).toString('hex'), 'ff0200000000000000000001ff000001');
  // All of the pseudo header and message add up to what a right checksum makes of them.
  const message = frame.subarray(54);
  const summed = Buffer.concat([frame.subarray(22, 54), Buffer.from([0, 0, 0, message.length, 0, 0, 0, 58]), message]);
  let sum = 0;
  for (let at = 0; at < summed.length; at += 2) sum += summed.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  assert.equal(sum, 0xffff);
  assert.equal(message.subarray(8, 24).compare(other), 0);
  assert.equal(message.subarray(24).toString('hex'), '0101020000000006');
});
