/** Bodies of requests: JSON in UTF-8, of bounded size and depth. */
import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { CableError } from '@cable/model';
import type { BodyBudget } from './body-budget.ts';

/** Levels of objects and lists. */
const DEPTH_MAX = 32;

/** A body as it came. `release`: it is needed no more. */
export type ReadBody = { readonly bytes: Buffer; release(): void };

/** True when a body follows the headers. */
export function hasBody(headers: IncomingHttpHeaders): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  const length = headers['content-length'];
  return length !== undefined && length !== '0';
}

/**
 * Refuses, by its headers, a body that is not JSON in UTF-8, or too large. One that does not say what it is is taken for JSON, as Neutron takes it; who is known by what a browser sends by itself
 * has to say so (`refuseUnsaid`). Throws `HTTPUnsupportedMediaType`, `HTTPRequestEntityTooLarge`.
 */
export function checkBodyHeaders(headers: IncomingHttpHeaders, maxBytes: number): void {
  if (!hasBody(headers)) return;
  const type = headers['content-type'];
  if (type !== undefined && !isJson(type)) throw notTaken(`of content type "${type.slice(0, 100)}"`);
  const coding = headers['content-encoding'] ?? 'identity';
  const transfer = headers['transfer-encoding'] ?? 'chunked';
  if (coding.toLowerCase() !== 'identity' || transfer.toLowerCase() !== 'chunked') {
    throw new CableError('HTTPUnsupportedMediaType', `The server takes no body that is compressed or otherwise coded.`);
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

/** Refuses a body without a content type: a page can make a browser send one to another site without being asked for. Throws `HTTPUnsupportedMediaType`. */
export function refuseUnsaid(headers: IncomingHttpHeaders): void {
  if (hasBody(headers) && headers['content-type'] === undefined) throw notTaken('without a content type');
}

function notTaken(body: string): CableError {
  return new CableError('HTTPUnsupportedMediaType', `The server does not take a body ${body}.`);
}

function isJson(contentType: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';');
  // RFC 7396: what it means is the method's.
  if (!['application/json', 'application/merge-patch+json'].includes(type.trim())) return false;
  return parameters.every((one) => {
    const [name = '', value = ''] = one.split('=').map((part) => part.trim());
    return name !== 'charset' || value.replaceAll('"', '') === 'utf-8' || value.replaceAll('"', '') === 'utf8';
  });
}

/**
 * Reads a body to its end. Its bytes count in the budget as they come, until it is released. Throws `HTTPRequestEntityTooLarge`,
 * `ServiceUnavailable` when there is no room for it, and `HTTPBadRequest` when it breaks off.
 */
export function readBody(from: Readable, maxBytes: number, budget: BodyBudget): Promise<ReadBody> {
  return new Promise((resolve, reject) => {
    const pieces = new Pieces();
    const end = (): void => {
      from.off('data', take).off('end', whole).off('error', broke).off('close', broke);
    };
    const fail = (error: CableError): void => {
      end();
      share.release();
      // What still comes is thrown away.
      from.resume();
      reject(error);
    };
    const share = budget.open(() => fail(noRoom()));
    const take = (chunk: Buffer): void => {
      if (pieces.length + chunk.length > maxBytes) fail(tooLarge(maxBytes));
      else if (!share.take(chunk.length)) fail(noRoom());
      else pieces.add(chunk);
    };
    const broke = (): void => fail(new CableError('HTTPBadRequest', 'The request ended before its body did.'));
    const whole = (): void => {
      end();
      share.keep();
      resolve({ bytes: pieces.join(), release: share.release });
    };
    from.on('data', take).on('end', whole).on('error', broke).on('close', broke);
  });
}

/** Chunks in one buffer: each for itself, a chunk of a byte would cost hundreds. */
class Pieces {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(chunk: Buffer): void {
    const before = this.#length;
    this.#length += chunk.length;
    if (before === 0) {
      this.#bytes = chunk;
      return;
    }
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#length));
      this.#bytes.copy(larger, 0, 0, before);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, before);
  }

  join(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** The value of a body; undefined when it is empty. Throws `HTTPBadRequest`. */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes))
    throw new CableError('HTTPBadRequest', 'Body contains invalid data', { detail: 'It is not UTF-8.' });
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new CableError('HTTPBadRequest', 'Body contains invalid data', { cause, detail: 'It is not JSON.' });
  }
  if (isDeeper(value, DEPTH_MAX)) {
    throw new CableError('HTTPBadRequest', `Malformed request body: nested deeper than ${DEPTH_MAX} levels.`);
  }
  return value;
}

/** Deeper nesting would overflow the stack of whatever walks the value. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function tooLarge(maxBytes: number): CableError {
  return new CableError('HTTPRequestEntityTooLarge', `The request body is larger than ${maxBytes} bytes.`);
}

function noRoom(): CableError {
  return new CableError('ServiceUnavailable', 'The server has too many request bodies to take another one now.', {
    detail: 'Nothing was done: send it again.',
  });
}
