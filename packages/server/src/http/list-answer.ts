/** The body of a list, or of an object with a long one: written in turns, in portions that wait for the client to take them. */
import { Readable } from 'node:stream';
import type { Text } from '@cable/api';
import type { Turns } from '@cable/kit';
import type { FastifyReply } from 'fastify';

/** What a list's body is made of. */
export type ListBody<T> = {
  /** The body's key for the objects. */
  readonly name: string;
  readonly objects: readonly T[];
  /** JSON text of one of the objects; asked for when its turn has come. */
  format(object: T): Text;
  /** What follows the objects, by its key. */
  readonly others: Readonly<Record<string, unknown>>;
};

/** Length of text that is written at once. */
const PORTION = 32 * 1024;
/** A body of no more than this is sent whole, with its length. */
const WHOLE = 4 * PORTION;

/** Answers with the body, and waits until it has been taken; to a client that has gone nothing more is written, nor made. */
export function sendList<T>(reply: FastifyReply, body: ListBody<T>, turns: Turns): Promise<void> {
  return sendPieces(reply, listPieces(body), turns);
}

/** The same with any JSON text in pieces. */
export async function sendPieces(reply: FastifyReply, pieces: Iterable<string>, turns: Turns): Promise<void> {
  const portions = write(pieces, turns)[Symbol.asyncIterator]();
  let start = '';
  let isWhole = false;
  while (!isWhole && start.length < WHOLE) {
    const { value, done } = await portions.next();
    if (done === true) isWhole = true;
    else start += value;
  }
  reply.type(JSON_TYPE);
  // A reply is settled when the client has taken it.
  await reply.send(isWhole ? start : Readable.from(from(start, portions), { objectMode: false }));
}

const JSON_TYPE = 'application/json; charset=utf-8';

async function* from(start: string, portions: AsyncIterator<string>): AsyncGenerator<string> {
  yield start;
  yield* { [Symbol.asyncIterator]: () => portions };
}

async function* write(pieces: Iterable<string>, turns: Turns): AsyncGenerator<string> {
  let text = '';
  for (const piece of pieces) {
    if (turns.due()) await turns.next();
    text += piece;
    if (text.length < PORTION) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
}

function* listPieces<T>({ name, objects, format, others }: ListBody<T>): Iterable<string> {
  yield `{${JSON.stringify(name)}:[`;
  let comma = '';
  for (const object of objects) {
    const text = format(object);
    if (typeof text === 'string') yield comma + text;
    else {
      yield comma;
      yield* text;
    }
    comma = ',';
  }
  const rest = Object.entries(others).map(([key, value]) => `,${JSON.stringify(key)}:${JSON.stringify(value)}`);
  yield `]${rest.join('')}}`;
}
