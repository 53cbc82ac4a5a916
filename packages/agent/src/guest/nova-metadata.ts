import { createHmac } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type Logger, Repeats, startTimeLimit } from '@cable/kit';
import { isUuid } from '@cable/model';
import type { GuestRecord } from '../desired.ts';
import { parseIpv4 } from './ipv4.ts';

/** Nova's metadata service, to which the guests of Nova's instances are passed on. */
export type NovaMetadataOptions = {
  /** `http:` or `https:`, maybe with a path before Nova's own. */
  readonly url: string;
  /** `metadata_proxy_shared_secret` of Nova's configuration. */
  readonly secret: Uint8Array;
  readonly log: Logger;
  /** Default 25,000. */
  readonly timeoutMs?: number;
};

/** What a guest asks of Nova: a path with names that are unescaped, and a body if it posts one. */
export type NovaRequest = { readonly guest: GuestRecord; readonly path: string; readonly body: Uint8Array | null };

export type NovaAnswer = { readonly status: number; readonly contentType: string; readonly body: Uint8Array };

/** Bounds on what guests can hold of the agent and of Nova. */
const MAX_EXCHANGES = 128;
const MAX_EXCHANGES_OF_GUEST = 8;
const MAX_ANSWER_BYTES = 1 << 20;
const DEFAULT_TIMEOUT_MS = 25_000;
const TEXT = 'text/plain; charset=utf-8';

/**
 * True when Nova knows the guest as one of its instances. A `device_id` that is no UUID and a project that is no plain text cannot be Nova's, and never
 * stand in a header.
 */
export function isNovaGuest({ deviceId, deviceOwner, projectId }: GuestRecord): boolean {
  const isInstance = deviceOwner.startsWith('compute:') || deviceOwner.startsWith('baremetal:');
  return isInstance && isUuid(deviceId) && /^[\x21-\x7e]{1,255}$/.test(projectId);
}

/**
 * Passes requests on. Nothing of what the guest sent goes along but path and body: who it is says the agent, signed, as Neutron's metadata agent
 * does.
 */
export class NovaMetadata {
  readonly #options: NovaMetadataOptions;
  readonly #url: URL;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #ofGuest = new Map<number, number>();
  readonly #told = new Repeats(() => performance.now());
  #count = 0;

  constructor(options: NovaMetadataOptions) {
    this.#options = options;
    this.#url = new URL(options.url);
    const shared = { keepAlive: true, maxSockets: MAX_EXCHANGES };
    this.#agent = this.#url.protocol === 'https:' ? new HttpsAgent(shared) : new HttpAgent(shared);
  }

  /** Nova's answer, or one that says why there is none: 503 when it cannot be reached. Never rejects. `signal`: the guest went away. */
  async ask(asked: NovaRequest, signal: AbortSignal): Promise<NovaAnswer> {
    const { vif } = asked.guest;
    const ofGuest = this.#ofGuest.get(vif) ?? 0;
    if (this.#count >= MAX_EXCHANGES || ofGuest >= MAX_EXCHANGES_OF_GUEST)
      return refusal(503, 'too many requests at once');
    const path = pathFor(this.#url, asked.path);
    if (path === undefined) return refusal(404, 'no such metadata');
    this.#count += 1;
    this.#ofGuest.set(vif, ofGuest + 1);
    try {
      return await this.#exchange(asked, path, signal);
    } catch (err) {
      if (!signal.aborted) this.#warn('unreachable', { err }, 'nova-metadata does not answer');
      return refusal(503, 'the metadata service does not answer: try again');
    } finally {
      this.#count -= 1;
      const left = (this.#ofGuest.get(vif) ?? 1) - 1;
      if (left > 0) this.#ofGuest.set(vif, left);
      else this.#ofGuest.delete(vif);
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  async #exchange(asked: NovaRequest, path: string, signal: AbortSignal): Promise<NovaAnswer> {
    const limit = startTimeLimit(this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS, signal);
    try {
      return await this.#ask(asked, path, limit.signal);
    } finally {
      limit.stop();
    }
  }

  async #ask({ guest, body }: NovaRequest, path: string, signal: AbortSignal): Promise<NovaAnswer> {
    const request = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    const sent = request(this.#url, {
      agent: this.#agent,
      path,
      method: body === null ? 'GET' : 'POST',
      headers: { ...this.#identity(guest), ...(body === null ? {} : { 'Content-Length': body.length }) },
      signal,
    });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve);
      sent.on('error', reject);
      sent.end(body ?? undefined);
    });
    const answered = await readBody(response);
    return this.#answer(response, answered);
  }

  #identity(guest: GuestRecord): Readonly<Record<string, string>> {
    const instance = guest.deviceId.toLowerCase();
    return {
      'X-Forwarded-For': guest.addresses.find(({ ipAddress }) => parseIpv4(ipAddress) !== undefined)?.ipAddress ?? '',
      'X-Instance-ID': instance,
      'X-Tenant-ID': guest.projectId,
      'X-Instance-ID-Signature': createHmac('sha256', this.#options.secret).update(instance).digest('hex'),
    };
  }

  #answer({ statusCode = 502, headers }: IncomingMessage, body: Uint8Array | undefined): NovaAnswer {
    if (body === undefined) {
      this.#warn('large', { bytes: MAX_ANSWER_BYTES }, 'an answer of nova-metadata is too large');
      return refusal(502, 'the answer of the metadata service is too large');
    }
    if (statusCode === 403) this.#warn('refused', {}, 'nova-metadata refuses the signature: compare the secrets');
    // A redirection would lead the guest to where it cannot go; what a failure says is not for guests.
    if (statusCode < 200 || (statusCode >= 300 && statusCode < 400))
      return refusal(502, 'the metadata service is not set up');
    if (statusCode >= 500) {
      this.#warn('failed', { status: statusCode }, 'nova-metadata fails');
      return refusal(statusCode, 'the metadata service fails: try again');
    }
    return { status: statusCode, contentType: headers['content-type'] ?? TEXT, body };
  }

  #warn(what: string, fields: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#told.isNews('nova', what)) this.#options.log.warn({ url: this.#options.url, ...fields }, message);
  }
}

/** Every name escaped anew, so that nothing in it is a part of the request; no name leads up, out of what the URL names. */
function pathFor(url: URL, path: string): string | undefined {
  const names = path.split('/');
  if (names.some((name) => name === '.' || name === '..')) return undefined;
  return `${url.pathname.replace(/\/+$/, '')}${names.map(encodeURIComponent).join('/')}`;
}

/** Undefined: it is too large; the connection is closed. */
async function readBody(response: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) {
      response.destroy();
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refusal(status: number, reason: string): NovaAnswer {
  return { status, contentType: TEXT, body: Buffer.from(`${reason}\n`) };
}
