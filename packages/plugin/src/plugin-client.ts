/** Asks a plug-in. Whatever it answers is bounded in bytes, in depth and in time, and is followed nowhere else. */
import { type HttpTransport, httpTransport, startTimeLimit, TransportError } from '@cable/kit';
import { isFields, textOr, visibleText } from './contract.ts';

/** Longest answer, in characters. */
const ANSWER_MAX = 1024 * 1024;

/** Deepest JSON. */
const DEPTH_MAX = 32;

/** What came back. `problem`: what it says of a status that is none of 2xx. */
export type PluginAnswer = { readonly status: number; readonly body: unknown; readonly problem: string };

/** It did not answer, or nothing that can be read: whatever was asked may have been done. */
export class PluginUnreachable extends Error {
  constructor(message: string, cause?: unknown) {
    super(visibleText(message), { cause });
    this.name = 'PluginUnreachable';
  }
}

export type PluginClient = {
  /** Throws `PluginUnreachable`. */
  call(verb: string, body: object, options: CallOptions): Promise<PluginAnswer>;
  close(): void;
};

export type CallOptions = { readonly timeoutMs: number; readonly signal?: AbortSignal; readonly method?: string };

/** Where a plug-in is asked, and how it knows us. */
export type PluginPlace = {
  /** `unix:/PATH`, `https://HOST:PORT` or `http://HOST:PORT`. */
  readonly endpoint: string;
  /** Bearer token; null: none. */
  readonly secret: string | null;
  /** PEM of authorities, for https; null: those of the system. */
  readonly authorities: string | null;
};

/** How to ask the plug-in. Throws `PluginUnreachable` for an endpoint that cannot be one. */
export function createPluginClient({ endpoint, secret, authorities }: PluginPlace): PluginClient {
  const tls = authorities === null ? {} : { ca: [authorities] };
  const transport = openTransport(endpoint, () => tls);
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    ...(secret === null ? {} : { authorization: `Bearer ${secret}` }),
  };
  return {
    call: async (verb, body, { timeoutMs, signal, method = 'POST' }) => {
      const limit = startTimeLimit(timeoutMs, signal);
      const request = { method, path: `/v1/${verb}`, headers, signal: limit.signal };
      try {
        const { status, body: text } = await transport.request(
          method === 'POST' ? { ...request, body: JSON.stringify(body) } : request,
        );
        return read(status, text);
      } catch (err) {
        if (err instanceof PluginUnreachable) throw err;
        if (limit.isOver()) throw new PluginUnreachable(`it did not answer ${verb} within ${timeoutMs} ms`, err);
        throw new PluginUnreachable(err instanceof Error ? err.message : String(err), err);
      } finally {
        limit.stop();
      }
    },
    close: () => transport.close(),
  };
}

function openTransport(endpoint: string, tls: () => { readonly ca?: readonly string[] }): HttpTransport {
  try {
    return httpTransport(endpoint, { tls, maxAnswerChars: ANSWER_MAX });
  } catch (err) {
    if (!(err instanceof TransportError)) throw err;
    throw new PluginUnreachable(err.message, err);
  }
}

function read(status: number, text: string): PluginAnswer {
  if (status >= 300 && status < 400) throw new PluginUnreachable(`it answers ${status}: nobody is led elsewhere`);
  if (depthOf(text) > DEPTH_MAX) throw new PluginUnreachable(`its answer is deeper than ${DEPTH_MAX}`);
  const body = parse(text);
  if (status >= 200 && status < 300) {
    if (body === undefined) throw new PluginUnreachable('its answer is no JSON');
    return { status, body, problem: '' };
  }
  const said = isFields(body) ? textOr(body['detail'], textOr(body['title'], '')) : '';
  return { status, body, problem: said === '' ? `status ${status}` : said };
}

/** Undefined: it is no JSON. No text is an empty object. Texts in it are such that any log and terminal may have them. */
function parse(text: string): unknown {
  try {
    return text === '' ? {} : (JSON.parse(text, visible) as unknown);
  } catch {
    return undefined;
  }
}

function visible(_key: string, value: unknown): unknown {
  if (typeof value === 'string') return visibleText(value);
  if (!isFields(value) || Object.keys(value).every((name) => visibleText(name) === name)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [visibleText(name), one]));
}

/** How deep the brackets stand, texts left out, as far as needs to be known. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth -= 1;
    if (depth > deepest) deepest = depth;
    if (deepest > DEPTH_MAX) break;
  }
  return deepest;
}
