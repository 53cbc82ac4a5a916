import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { accepts, firstAccepted, get, put, who } from './client.ts';
import { createPattern } from './pattern.ts';
import { answerConnection } from './server.ts';

const TARGET = { host: '127.0.0.1', port: 0 };
let server: Server;

before(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => answerConnection('guest', socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  TARGET.port = address.port;
});
after(() => server.close());

test('the pattern is the same for the same seed, however it is cut', () => {
  const whole = createPattern('a').next(1000);
  const cut = createPattern('a');
  assert.deepEqual(Buffer.concat([cut.next(1), cut.next(499), cut.next(500)]), whole);
  assert.notDeepEqual(createPattern('b').next(1000), whole);
});

test('who answers with the name', async () => {
  assert.equal(await who(TARGET), 'guest');
});

test('put and get move all bytes and compare digests', async () => {
  const sent = await put(TARGET, { bytes: 3_000_001, seed: 's' });
  assert.deepEqual(
    { ok: sent.ok, bytes: sent.bytes, received: sent.received },
    { ok: true, bytes: 3_000_001, received: 3_000_001 },
  );
  const got = await get(TARGET, 3_000_001, 's');
  assert.deepEqual({ ok: got.ok, received: got.received }, { ok: true, received: 3_000_001 });
});

test('get notices one changed byte', async () => {
  const liar = createServer((socket) => {
    socket.on('data', () => {
      const bytes = createPattern('s').next(1000);
      bytes[500] = (bytes[500] ?? 0) ^ 1;
      socket.end(bytes);
    });
  });
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
  const address = liar.address();
  assert.ok(typeof address === 'object' && address !== null);
  const result = await get({ host: '127.0.0.1', port: address.port }, 1000, 's');
  assert.deepEqual({ ok: result.ok, received: result.received }, { ok: false, received: 1000 });
  liar.close();
});

test('put for a time at a rate ends after that time and keeps to the rate', async () => {
  const result = await put(TARGET, { seconds: 0.5, rate: 4_000_000, seed: 's' });
  assert.ok(result.ok);
  assert.ok(result.bytes >= 1_000_000 && result.bytes <= 3_000_000, `${result.bytes} bytes`);
});

test('a refused connection is not accepted, and firstAccepted gives up at the deadline', async () => {
  const closed = { host: '127.0.0.1', port: 1 };
  assert.equal(await accepts(closed, 200), false);
  assert.equal(await firstAccepted(closed, 100), null);
  assert.ok((await firstAccepted(TARGET, 1000)) !== null);
});
