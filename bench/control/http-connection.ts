import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Answer, AnswerReader } from './answer-reader.ts';

/** A request as a job names it. In path and body `{n}` stands for a number that no other request of the process has. */
export type Request = {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  /** `X-Auth-Token`; absent: the request names its project alone. */
  readonly token?: string;
};

/** The project that all requests are of. */
export const PROJECT = 'bench';

/** Gives the bytes of a request; those without `{n}` are made once. */
export function createRequestBytes(request: Request): () => Buffer {
  const isFixed = !`${request.path}${request.body ?? ''}`.includes('{n}');
  if (!isFixed) return () => bytesOf(request, String(nextNumber()));
  const bytes = bytesOf(request, '');
  return () => bytes;
}

let lastNumber = 0;

function nextNumber(): number {
  lastNumber += 1;
  return lastNumber;
}

function bytesOf({ method, path, body, token }: Request, number: string): Buffer {
  const caller = token === undefined ? `X-Project-Id: ${PROJECT}` : `X-Auth-Token: ${token}`;
  const head = `${method} ${path.replaceAll('{n}', number)} HTTP/1.1\r\nHost: 127.0.0.1\r\n${caller}\r\n`;
  if (body === undefined) return Buffer.from(`${head}\r\n`);
  const text = Buffer.from(body.replaceAll('{n}', number));
  return Buffer.concat([
    Buffer.from(`${head}Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`),
    text,
  ]);
}

/** One keep-alive connection, on which one request is under way at a time. */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  #waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (reason: unknown) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#hear(bytes));
    socket.on('error', (err) => this.#fail(err));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  /** Throws when nobody listens there. */
  static async open(host: string, port: number): Promise<HttpConnection> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  /** Throws when the connection ends before the answer does. */
  send(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #hear(bytes: Buffer): void {
    try {
      const answer = this.#reader.push(bytes);
      if (answer === undefined) return;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.resolve(answer);
    } catch (err) {
      this.#fail(err);
      this.close();
    }
  }

  #fail(reason: unknown): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(reason);
  }
}
