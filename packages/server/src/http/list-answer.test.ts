import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createTurnLine } from '@cable/kit';
import fastify from 'fastify';
import { sendList } from './list-answer.ts';

const TEXT = 'x'.repeat(1000);

type Place = {
  /** Objects that have become text so far. */
  readonly written: () => number;
  readonly open: () => Promise<IncomingMessage>;
  /** Resolves when the server knows that a client has gone. */
  readonly left: Promise<void>;
};

/** A server whose only answer is a list of `count` objects of 1 kB. */
async function serve(t: TestContext, count: number, others: Readonly<Record<string, unknown>> = {}): Promise<Place> {
  let written = 0;
  const start = createTurnLine();
  const objects = Array.from({ length: count }, (_, i) => i);
  const format = (object: number): string => {
    written += 1;
    return JSON.stringify([object, TEXT]);
  };
  const app = fastify();
  let leave = (): void => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  app.get('/', (_request, reply) => {
    reply.raw.once('close', leave);
    return sendList(reply, { name: 'things', objects, format, others }, start());
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  const open = async (): Promise<IncomingMessage> => {
    const request = get({ host: '127.0.0.1', port, path: '/', agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  };
  return { written: () => written, open, left };
}

async function bodyOf(response: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return JSON.parse(text);
}

test('a list has every object in order, and what follows it, however long it is', async (t) => {
  for (const count of [0, 1, 64, 65, 3000]) {
    const others = count === 65 ? {} : { things_links: [{ rel: 'next' }], more: 1 };
    const { open } = await serve(t, count, others);
    const response = await open();
    assert.equal(response.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(response.headers['content-length'] === undefined, count > 130);
    assert.deepEqual(await bodyOf(response), {
      things: Array.from({ length: count }, (_, i) => [i, TEXT]),
      ...others,
    });
  }
});

/** Resolves when nothing has been written for a while. */
async function settled(written: () => number): Promise<number> {
  for (;;) {
    const before = written();
    await new Promise((resolve) => setTimeout(resolve, 200));
    if (written() === before) return before;
  }
}

test('for a client that does not read, little is written ahead; for one that has gone, nothing more', {
  timeout: 60_000,
}, async (t) => {
  const count = 100_000;
  const { open, written, left } = await serve(t, count);
  const response = await open();
  response.pause();
  const ahead = await settled(written);
  assert.ok(ahead > 0 && ahead < count / 2, String(ahead));
  response.on('error', () => undefined);
  response.destroy();
  await left;
  const atEnd = written();
  // A portion may be under way.
  assert.ok((await settled(written)) <= atEnd + 40, `${atEnd} at the end, then ${written()}`);
});
