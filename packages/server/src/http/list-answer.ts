/** The body of a list: written in turns, in portions that wait for the client to take them. */
import { Readable } from 'node:stream';
import type { Turns } from '@cable/kit';
import type { FastifyReply } from 'fastify';

/** What a list's body is made of. */
export type ListBody<T> = {
  /** The body's key for the objects. */
  readonly name: string;
  readonly objects: readonly T[];
  /** JSON text of one of the objects; asked for when its turn has come. */
  format(object: T): string;
  /** What follows the objects, by its key. */
  readonly others: Readonly<Record<string, unknown>>;
};

/** Length of text that is written at once. */
const PORTION = 32 * 1024;
/** A body of at most so many objects is sent whole, with its length. */
const WHOLE = 64;

/** Answers with the body; to a client that has gone nothing more is written, nor made. */
export async function sendList<T>(reply: FastifyReply, body: ListBody<T>, turns: Turns): Promise<FastifyReply> {
  reply.type('application/json; charset=utf-8');
  const portions = write(body, turns);
  if (body.objects.length > WHOLE) return reply.send(Readable.from(portions, { objectMode: false }));
  let text = '';
  for await (const portion of portions) text += portion;
  return reply.send(text);
}

async function* write<T>({ name, objects, format, others }: ListBody<T>, turns: Turns): AsyncGenerator<string> {
  let text = `{${JSON.stringify(name)}:[`;
  let comma = '';
  for (const object of objects) {
    if (turns.due()) await turns.next();
    text += comma + format(object);
    comma = ',';
    if (text.length < PORTION) continue;
    yield text;
    text = '';
  }
  const rest = Object.entries(others).map(([key, value]) => `,${JSON.stringify(key)}:${JSON.stringify(value)}`);
  yield `${text}]${rest.join('')}}`;
}
