import { Agent, request as httpRequest } from 'node:http';
import type { Outcome, Row } from './history.ts';

/** One who asks. `roles`: undefined: an administrator. */
export type Caller = { readonly project: string; readonly roles: 'member' | undefined };

export type Call = {
  readonly port: number;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: Row;
  readonly caller: Caller;
  readonly headers?: Readonly<Record<string, string>>;
  /** When the client leaves without its answer; undefined: never. */
  readonly leavesAfterMs?: number | undefined;
};

export type Answer = { readonly outcome: Outcome; readonly status: number; readonly body: Row | undefined };

/** Nobody waits for ever: the servers answer by the request's own deadline, which is much earlier. */
const NO_ANSWER_MS = 25_000;

/** Sends requests over connections that it keeps. */
export type Client = { send(call: Call): Promise<Answer>; close(): void };

/** Never throws for what a server does. */
export function createClient(): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return { send: (call) => send(agent, call), close: () => agent.destroy() };
}

function send(agent: Agent, call: Call): Promise<Answer> {
  return new Promise((resolve) => {
    const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
    const wire = httpRequest({
      ...{ agent, host: '127.0.0.1', port: call.port, method: call.method, path: call.path },
      headers: headersOf(call, payload),
    });
    let late: Answer = { outcome: 'unknown', status: 0, body: undefined };
    const timer = setTimeout(() => {
      if (call.leavesAfterMs === undefined) late = { outcome: 'broken', status: 0, body: { message: 'no answer' } };
      wire.destroy();
    }, call.leavesAfterMs ?? NO_ANSWER_MS);
    const finish = (answer: Answer): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    wire.on('error', (err: NodeJS.ErrnoException) => {
      finish(err.code === 'ECONNREFUSED' ? { outcome: 'refused', status: 0, body: undefined } : late);
    });
    wire.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => finish(late));
      response.on('end', () => finish(answerOf(response.statusCode ?? 0, Buffer.concat(chunks).toString())));
    });
    wire.end(payload);
  });
}

function headersOf({ caller, headers = {} }: Call, payload: string | undefined): Record<string, string> {
  return {
    'x-project-id': caller.project,
    ...(caller.roles === undefined ? {} : { 'x-roles': caller.roles }),
    ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
    ...headers,
  };
}

function answerOf(status: number, text: string): Answer {
  const body = text === '' ? undefined : (JSON.parse(text) as Row);
  return { status, body, outcome: outcomeOf(status) };
}

function outcomeOf(status: number): Outcome {
  if (status >= 200 && status < 300) return 'done';
  if (status === 504) return 'unknown';
  return status === 503 || (status >= 400 && status < 500) ? 'refused' : 'broken';
}
