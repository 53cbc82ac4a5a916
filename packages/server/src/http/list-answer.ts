/** The body of a list: written in turns, in portions that wait for the client to take them. */
import { Readable } from 'node:stream';
import type { Turns } from '@cable/kit';
import type { FastifyReply } from 'fastify';

/** What a list's body is made of. */
export type ListBody<T> = {
  /** The body's key for the objects. */
  readonly name: string;
  readonly objects: readonly T[];
  /** What stands in the body for one of the objects; asked when its turn has come. */
  show(object: T): unknown;
  /** What follows the objects, by its key. */
  readonly others: Readonly<Record<string, unknown>>;
};

/** Length of text that is written at once. */
const PORTION = 32 * 1024;
/** Objects that become text at once. */
const GROUP = 16;
/** A body of at most so many objects is sent whole, with its length. */
const WHOLE = GROUP * 4;

/** Answers with the body; to a client that has gone nothing more is written, nor made. */
export async function sendList<T>(reply: FastifyReply, body: ListBody<T>, turns: Turns): Promise<FastifyReply> {
  reply.type('application/json; charset=utf-8');
  const portions = write(body, turns);
  if (body.objects.length > WHOLE) return reply.send(Readable.from(portions, { objectMode: false }));
  let text = '';
  for await (const portion of portions) text += portion;
  return reply.send(text);
}

async function* write<T>({ name, objects, show, others }: ListBody<T>, turns: Turns): AsyncGenerator<string> {
  let text = `{${JSON.stringify(name)}:[`;
  let group: unknown[] = [];
  for (const [at, object] of objects.entries()) {
    if (turns.due()) await turns.next();
    group.push(show(object));
    if (group.length < GROUP && at + 1 < objects.length) continue;
    // One call for several objects: each costs more than a small object does.
    text += `${JSON.stringify(group).slice(1, -1)}${at + 1 < objects.length ? ',' : ''}`;
    group = [];
    if (text.length < PORTION) continue;
    yield text;
    text = '';
  }
  yield `${text}]${Object.entries(others)
    .map(([key, value]) => `,${JSON.stringify(key)}:${JSON.stringify(value)}`)
    .join('')}}`;
}
