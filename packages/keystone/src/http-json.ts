/** JSON over HTTP to a service of OpenStack: one attempt, bounded, no redirect followed, since a token would go along. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { startTimeLimit } from '@cable/kit';
import type { Access } from './access.ts';

export type JsonRequest = {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
};

/** Header names are in lower case. */
export type JsonAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
};

/** Longest answer: a catalog of a large cloud has some hundred KiB. */
const MOST_BYTES = 4 << 20;

/** Connections of one process to one cloud. */
export class JsonClient {
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: 64 });
  readonly #https: HttpsAgent;

  constructor({ ca, verify }: Pick<Access, 'ca' | 'verify'>) {
    this.#https = new HttpsAgent({
      keepAlive: true,
      maxSockets: 64,
      rejectUnauthorized: verify,
      minVersion: 'TLSv1.2',
      ...(ca === null ? {} : { ca }),
    });
  }

  /** Rejects when there is no whole answer in time, whatever of it has come. */
  async send({ timeoutMs, signal, ...request }: JsonRequest): Promise<JsonAnswer> {
    const limit = startTimeLimit(timeoutMs, signal, new DOMException('no whole answer in time', 'TimeoutError'));
    try {
      return await this.#exchange(request, limit.signal);
    } finally {
      limit.stop();
    }
  }

  async #exchange(
    { method, url, headers, body }: Omit<JsonRequest, 'timeoutMs' | 'signal'>,
    signal: AbortSignal,
  ): Promise<JsonAnswer> {
    const isTls = url.startsWith('https:');
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const options = {
      method,
      agent: isTls ? this.#https : this.#http,
      headers: { accept: 'application/json', ...(body === undefined ? {} : JSON_BODY), ...length, ...headers },
      signal,
    };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = isTls ? httpsRequest(url, options) : httpRequest(url, options);
      sent.on('response', resolve).on('error', reject).end(body);
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) {
        answer.destroy();
        throw new Error(`the answer is longer than ${MOST_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
    return { status: answer.statusCode ?? 0, headers: headersOf(answer), body: Buffer.concat(chunks).toString('utf8') };
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

const JSON_BODY = { 'content-type': 'application/json' } as const;

function headersOf({ headers }: IncomingMessage): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
}
