/** Streams of hosts live no longer than the certificates by which they were opened, or by which the host has asked since. */
import type { Duplex } from 'node:stream';
import type { Logger } from '@cable/kit';
import type { Tables } from '../tables.ts';
import { type HostCertificateShown, hostCertificateOf } from '../tls/certificates.ts';
import { refuseRevoked } from './host-certificates.ts';

export type StreamCertificatesDeps = {
  readonly tables: Pick<Tables, 'of' | 'onChange'>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** How often expired ones are looked for. */
const LOOK_MS = 10_000;

export class StreamCertificates {
  readonly #deps: StreamCertificatesDeps;
  readonly #streams = new Map<string, Map<Duplex, HostCertificateShown>>();

  constructor(deps: StreamCertificatesDeps) {
    this.#deps = deps;
    const stop = deps.tables.onChange((_revision, changes) => {
      for (const { type, id } of changes) if (type === 'host_certificate') this.#look(id);
    });
    const timer = setInterval(() => this.lookAtAll(), LOOK_MS);
    timer.unref();
    deps.signal.addEventListener(
      'abort',
      () => {
        stop();
        clearInterval(timer);
      },
      { once: true },
    );
  }

  /** A stream that is open; without a certificate, as over a Unix socket, it is not followed. */
  follow(host: string, socket: Duplex): void {
    const shown = hostCertificateOf(socket);
    if (shown === undefined) return;
    const streams = this.#streams.get(host) ?? new Map<Duplex, HostCertificateShown>();
    this.#streams.set(host, streams.set(socket, shown));
    socket.once('close', () => {
      streams.delete(socket);
      if (streams.size === 0 && this.#streams.get(host) === streams) this.#streams.delete(host);
    });
    this.#look(host);
  }

  /** The host has asked something by this certificate: its streams live as long. */
  seen(shown: HostCertificateShown): void {
    const streams = this.#streams.get(shown.host);
    if (streams === undefined) return;
    for (const [socket, before] of streams) if (before.expiresAt < shown.expiresAt) streams.set(socket, shown);
  }

  /** Ends those whose certificate has expired meanwhile. */
  lookAtAll(): void {
    for (const host of this.#streams.keys()) this.#look(host);
  }

  #look(host: string): void {
    const { tables, log, now } = this.#deps;
    for (const [socket, shown] of this.#streams.get(host) ?? []) {
      const why = whyOver(() => refuseRevoked(tables, shown), shown, now());
      if (why === undefined) continue;
      log.warn({ host, why }, 'the stream of a host ends: its certificate does not count any more');
      socket.destroy();
    }
  }
}

function whyOver(refuse: () => void, { expiresAt }: HostCertificateShown, now: number): string | undefined {
  if (now >= expiresAt) return `it has expired at ${new Date(expiresAt).toISOString()}`;
  try {
    refuse();
    return undefined;
  } catch (err) {
    return err instanceof Error ? err.message : String(err);
  }
}
