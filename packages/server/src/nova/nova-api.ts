/** Nova's `POST /os-server-external-events`: what it takes, and what it makes of each event. */
import type { KeystoneSession } from '@cable/keystone';
import { isFields } from '../rows.ts';
import type { NovaEvent } from './told.ts';

/**
 * What became of an event. `taken`: Nova has it. `unknown`: it knows no such server, or it is on no host yet. `refused`: Nova will never take it. `unsent`: Nova did
 * not answer, or said something that is about no event.
 */
export type EventOutcome = 'taken' | 'unknown' | 'refused' | 'unsent';

/** One outcome an event. `failure`: why some are `unsent`; undefined: none is. */
export type Sent = { readonly outcomes: readonly EventOutcome[]; readonly failure?: NovaUnavailableError };

/** An answer of Nova, of any status. */
export type NovaAnswer = { readonly status: number; readonly body: string };

/** Sends a request to Nova's compute endpoint, with a token of a service; throws when there is no answer. `signal` ends it. */
export type NovaPost = (path: string, body: string, signal: AbortSignal) => Promise<NovaAnswer>;

/** Nova as the catalog of Keystone has it. */
export function novaOf(session: Pick<KeystoneSession, 'request'>): NovaPost {
  return (path, body, signal) => session.request('compute', { method: 'POST', path, body, signal });
}

/** Nova does not answer, or says something that is about no event: the same is to be sent again later. */
export class NovaUnavailableError extends Error {
  override name = 'NovaUnavailableError';
  /** True: Nova is there, and failed at this request. */
  readonly isAnswer: boolean;

  constructor(message: string, options: { readonly isAnswer: boolean; readonly cause?: unknown }) {
    super(message, options);
    this.isAnswer = options.isAnswer;
  }
}

/** What Nova's own time-out for a database is; an answer that takes longer is none. */
const ANSWER_MS = 8_000;

/**
 * Sends the events. One that Nova takes exception to makes it refuse the whole request, so that is sent in halves then. Source: the Compute API reference, "Create
 * external events": 200 all taken; 207 each with a code of its own (200, 404, 422); 404 none taken; 400 not understood.
 */
export async function sendEvents(post: NovaPost, events: readonly NovaEvent[]): Promise<Sent> {
  try {
    const { status, body } = await answered(post, events);
    if (status === 200) return { outcomes: events.map(() => 'taken') };
    if (status === 207) return { outcomes: outcomesOf(body, events) };
    if (status !== 400 && status !== 404) {
      throw new NovaUnavailableError(`Nova answered ${status} to external events: ${body.slice(0, 300)}`, {
        isAnswer: status >= 500,
      });
    }
    if (events.length === 1) return { outcomes: [status === 404 ? 'unknown' : 'refused'] };
  } catch (err) {
    if (!(err instanceof NovaUnavailableError)) throw err;
    return { outcomes: events.map(() => 'unsent'), failure: err };
  }
  const half = events.length >> 1;
  const [first, second] = [events.slice(0, half), events.slice(half)];
  const sent = await sendEvents(post, first);
  const rest = await sendEvents(post, second);
  const failure = sent.failure ?? rest.failure;
  return { outcomes: [...sent.outcomes, ...rest.outcomes], ...(failure === undefined ? {} : { failure }) };
}

async function answered(post: NovaPost, events: readonly NovaEvent[]): Promise<NovaAnswer> {
  try {
    return await post('/os-server-external-events', JSON.stringify({ events }), AbortSignal.timeout(ANSWER_MS));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new NovaUnavailableError(`Nova does not answer: ${why}`, { isAnswer: false, cause });
  }
}

/** By server, name and tag: nothing says that the order is kept. What is not named was not taken. */
function outcomesOf(body: string, events: readonly NovaEvent[]): readonly EventOutcome[] {
  const codes = new Map<string, number>();
  for (const one of eventsIn(body)) {
    const code = Number(one['code']);
    codes.set(nameOf(one), Number.isFinite(code) ? code : 200);
  }
  return events.map((event) => {
    const code = codes.get(nameOf(event)) ?? 404;
    if (code < 300) return 'taken';
    return code === 404 || code === 422 ? 'unknown' : 'refused';
  });
}

function eventsIn(body: string): readonly Readonly<Record<string, unknown>>[] {
  try {
    const value: unknown = JSON.parse(body);
    const events = isFields(value) ? value['events'] : undefined;
    return Array.isArray(events) ? events.filter(isFields) : [];
  } catch {
    throw new NovaUnavailableError('Nova answered 207 with a body that is no JSON', { isAnswer: true });
  }
}

function nameOf(event: Readonly<Record<string, unknown>>): string {
  return [event['server_uuid'], event['name'], event['tag']].join(' ');
}
