/** Tells load balancers outside whether this host has endpoints of a Service (healthCheckNodePort), by HTTP, as kube-proxy does. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '@cable/kit';
import type { HealthPort } from '../plan/entrances.ts';

export type ServiceHealthOptions = {
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** After a port that somebody else has. Default 5 s. */
  readonly retryMs?: number;
};

/** Who asks has nothing else to say, and little time. */
const LIMITS = {
  ...{ connectionsCheckingInterval: 1000, headersTimeout: 2000, requestTimeout: 2000 },
  ...{ keepAliveTimeout: 1000, maxHeaderSize: 4096 },
} as const;
const MOST_CONNECTIONS = 1000;
const SILENT_MS = 2000;
const RETRY_MS = 5000;

export class ServiceHealth {
  readonly #options: ServiceHealthOptions;
  readonly #servers = new Map<number, Server>();
  #wanted: ReadonlyMap<number, HealthPort> = new Map();
  #retry: NodeJS.Timeout | undefined;

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
    const end = (): void => {
      clearTimeout(this.#retry);
      for (const port of [...this.#servers.keys()]) this.#close(port);
    };
    options.signal.addEventListener('abort', end, { once: true });
  }

  /** These are all, by port; what is told is what stands there when somebody asks. */
  take(wanted: ReadonlyMap<number, HealthPort>): void {
    this.#wanted = wanted;
    for (const port of this.#servers.keys()) if (!wanted.has(port)) this.#close(port);
    if (this.#options.signal.aborted) return;
    for (const port of wanted.keys()) if (!this.#servers.has(port)) this.#open(port);
  }

  #open(port: number): void {
    const { log, retryMs = RETRY_MS } = this.#options;
    const server = createServer(LIMITS, (_request, response) => this.#answer(port, response));
    server.maxConnections = MOST_CONNECTIONS;
    server.setTimeout(SILENT_MS, (socket) => socket.destroy());
    server.on('error', (err) => {
      const service = this.#wanted.get(port)?.service;
      log.warn(
        { port, service, err },
        'cannot say at its health check port whether a Service has endpoints here: does another program have the port?',
      );
      this.#close(port);
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.take(this.#wanted);
      }, retryMs).unref();
    });
    this.#servers.set(port, server);
    server.listen({ port });
  }

  #close(port: number): void {
    const server = this.#servers.get(port);
    this.#servers.delete(port);
    server?.close();
    server?.closeAllConnections();
  }

  #answer(port: number, response: ServerResponse): void {
    const { service = '', endpoints = 0 } = this.#wanted.get(port) ?? {};
    const at = service.indexOf('/');
    const body = {
      service: { namespace: service.slice(0, Math.max(at, 0)), name: service.slice(at + 1) },
      localEndpoints: endpoints,
      serviceProxyHealthy: true,
    };
    response.writeHead(endpoints > 0 ? 200 : 503, {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': String(endpoints),
    });
    response.end(JSON.stringify(body));
  }
}
