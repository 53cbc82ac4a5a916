import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { CableError, type ErrorCode } from '@cable/model';
import { checkBodyHeaders, parseBody, readBody, refuseUnsaid } from './body.ts';
import { BodyBudget } from './body-budget.ts';

function refused(code: ErrorCode): (err: unknown) => boolean {
  return (err) => err instanceof CableError && err.code === code;
}

test('a body is JSON in UTF-8, and says so or says nothing', () => {
  const check = (headers: IncomingHttpHeaders): void => checkBodyHeaders({ 'content-length': '2', ...headers }, 10);
  for (const type of ['application/json', 'Application/JSON; charset=UTF-8', 'application/json;charset="utf-8"; v=1']) {
    check({ 'content-type': type });
  }
  for (const type of [
    ...['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json+x'],
    ...['application/json; charset=latin1', 'application/json; charset=utf-16', '', 'text/plain; application/json'],
  ]) {
    assert.throws(() => check({ 'content-type': type }), refused('HTTPUnsupportedMediaType'), type);
  }
  check({});
  assert.throws(() => refuseUnsaid({ 'content-length': '2' }), refused('HTTPUnsupportedMediaType'));
  refuseUnsaid({ 'content-length': '2', 'content-type': 'text/plain' });
  refuseUnsaid({});
  const json = { 'content-type': 'application/json' };
  assert.throws(() => check({ ...json, 'content-encoding': 'gzip' }), refused('HTTPUnsupportedMediaType'));
  assert.throws(() => check({ ...json, 'transfer-encoding': 'gzip, chunked' }), refused('HTTPUnsupportedMediaType'));
  assert.throws(() => check({ ...json, 'content-length': '11' }), refused('HTTPRequestEntityTooLarge'));
  checkBodyHeaders({ 'content-length': '0' }, 10);
  checkBodyHeaders({}, 10);
});

test('what is not UTF-8, not JSON or too deep is refused', () => {
  assert.deepEqual(parseBody(Buffer.from('{"ä": "😀"}')), { ä: '😀' });
  assert.equal(parseBody(Buffer.alloc(0)), undefined);
  for (const bytes of [Buffer.from([0x22, 0xff, 0x22]), Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])]) {
    assert.throws(() => parseBody(bytes), { message: 'Body contains invalid data', detail: 'It is not UTF-8.' });
  }
  const cut = { message: 'Body contains invalid data', detail: 'It is not JSON.' };
  assert.throws(() => parseBody(Buffer.from('{')), cut);
  assert.throws(() => parseBody(Buffer.from(`${'['.repeat(40)}${']'.repeat(40)}`)), /nested deeper/);
});

test('a body that comes in many pieces is read whole, and counts until it is released', async () => {
  const budget = new BodyBudget(1 << 20);
  const from = new PassThrough();
  const reading = readBody(from, 10_000, budget);
  for (let i = 0; i < 1000; i += 1) from.write(String(i % 10).repeat(7));
  from.end();
  const { bytes, release } = await reading;
  assert.equal(bytes.toString(), Array.from({ length: 1000 }, (_, i) => String(i % 10).repeat(7)).join(''));
  assert.equal(budget.bytes, 7000);
  release();
  release();
  assert.equal(budget.bytes, 0);
});

test('a body is refused when it grows too large, and when it breaks off; nothing of it counts then', async () => {
  const budget = new BodyBudget(1 << 20);
  const large = new PassThrough();
  const reading = readBody(large, 10, budget);
  large.write('12345678901');
  await assert.rejects(reading, refused('HTTPRequestEntityTooLarge'));
  const broken = new PassThrough();
  const waiting = readBody(broken, 10, budget);
  broken.write('123');
  broken.destroy();
  await assert.rejects(waiting, /ended before its body did/);
  assert.equal(budget.bytes, 0);
});

test('when there is no room, the largest that still comes gives way to a smaller one; what is whole stays', () => {
  const budget = new BodyBudget(1000);
  const cut: string[] = [];
  const open = (name: string): ReturnType<BodyBudget['open']> => {
    const share = budget.open(() => {
      cut.push(name);
      share.release();
    });
    return share;
  };
  const [whole, large, small] = [open('whole'), open('large'), open('small')];
  assert.ok(whole.take(500));
  whole.keep();
  assert.ok(large.take(400));
  assert.ok(small.take(100));
  assert.ok(!large.take(1), 'the largest one finds no smaller room');
  assert.ok(small.take(1));
  assert.deepEqual(cut, ['large']);
  assert.ok(!small.take(400));
  assert.equal(budget.bytes, 601);
  assert.ok(!large.take(1), 'what was cut does not go on');
});

test('a part of the room is for small bodies alone', () => {
  const budget = new BodyBudget(400 * 1024);
  const large = budget.open(() => {});
  assert.ok(large.take(300 * 1024));
  large.keep();
  assert.ok(!budget.open(() => {}).take(65 * 1024));
  assert.ok(budget.open(() => {}).take(64 * 1024));
});
