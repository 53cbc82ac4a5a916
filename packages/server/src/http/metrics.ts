import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ResourceRegistry } from '../engine/registry.ts';
import type { LimitCounts } from '../limits/request-limits.ts';
import type { NovaCounts } from '../nova/nova-notifier.ts';
import type { Tables } from '../tables.ts';
import type { Admission } from './admission.ts';
import type { CountError } from './error-handler.ts';
import { addEventLoopDelay } from './event-loop.ts';
import { answerReadiness, type ReadinessCheck } from './readiness.ts';
import { routeLabel } from './resource-routes.ts';

/** What became of tokens. `questions`: to Keystone; `failures`: those that it did not answer. */
export type TokenCounts = {
  readonly lookups: number;
  readonly questions: number;
  readonly failures: number;
  readonly kept: number;
};

/** Connections that are open. `unread`: without a whole request yet; `streams`: upgraded, of agents. */
export type ConnectionCounts = { readonly open: number; readonly unread: number; readonly streams: number };

/** `lost`: lines that are missing in the file. `waitingBytes`: of those that are to be written. */
export type AuditCounts = { readonly lost: number; readonly waitingBytes: number };

export type MetricsSources = {
  readonly tables: Tables;
  readonly resources: ResourceRegistry;
  readonly admission: Pick<Admission, 'load'>;
  readonly shares: { readonly counts: LimitCounts };
  readonly connections: ConnectionCounts | undefined;
  /** Undefined: Nova is not told anything. */
  readonly nova: (() => NovaCounts) | undefined;
  /** Undefined: Keystone is not asked. */
  readonly tokens: (() => TokenCounts) | undefined;
  /** Lines of the audit log; undefined: there is none. */
  readonly audit: AuditCounts | undefined;
};

/** What is measured of one server. `stop`: nothing more is. */
export type Metrics = {
  readonly registry: Registry;
  readonly countError: CountError;
  observe(labels: Readonly<Record<'method' | 'route' | 'status', string>>, seconds: number): void;
  stop(): void;
};

/** Begins to measure. */
export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: 'cable_http_request_duration_seconds',
    help: 'Time from a request to its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  // To look for one by its labels costs more than to observe.
  const series = new Map<string, Histogram.Internal<'method' | 'route' | 'status'>>();
  const errors = new Counter({
    name: 'cable_http_errors_total',
    help: 'Requests that were answered with an error, by its type.',
    labelNames: ['type', 'status'],
    registers,
  });
  addObjectGauge(registry, sources);
  addLoadGauges(registry, sources);
  addLimitMetrics(registry, sources.shares);
  if (sources.nova !== undefined) addNovaMetrics(registry, sources.nova);
  if (sources.tokens !== undefined) addTokenMetrics(registry, sources.tokens);
  if (sources.audit !== undefined) addAuditMetrics(registry, sources.audit);
  return {
    registry,
    countError: ({ type, status }) => errors.inc({ type, status: String(status) }),
    observe: ({ method, route, status }, seconds) => {
      const name = `${method} ${status} ${route}`;
      const known = series.get(name) ?? duration.labels(method, route, status);
      series.set(name, known);
      known.observe(seconds);
    },
    stop: addEventLoopDelay(registry),
  };
}

/** Adds `/metrics` (Prometheus), `/healthz` (the process lives) and `/readyz` (it can answer). */
export function addHealthRoutes(
  app: FastifyInstance,
  metrics: Metrics,
  readiness: readonly ReadinessCheck[],
  permitMetrics: (request: FastifyRequest) => void,
): void {
  const { registry } = metrics;
  app.addHook('onClose', (_app, done) => {
    metrics.stop();
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = routeLabel(request);
    metrics.observe({ method: request.method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
    done();
  });
  app.get('/metrics', async (request, reply) => {
    permitMetrics(request);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', (_request, reply) => answerReadiness(reply, readiness));
}

function addAuditMetrics(registry: Registry, audit: AuditCounts): void {
  const registers = [registry];
  new Gauge({
    name: 'cable_audit_lost_lines',
    help: 'Lines that are missing in the audit log since the start: there was no room for them.',
    registers,
    collect() {
      this.set(audit.lost);
    },
  });
  new Gauge({
    name: 'cable_audit_waiting_bytes',
    help: 'Bytes of lines that are to be written to the audit log.',
    registers,
    collect() {
      this.set(audit.waitingBytes);
    },
  });
}

function addTokenMetrics(registry: Registry, counts: () => TokenCounts): void {
  const registers = [registry];
  const lookups: Counter<'what'> = new Counter({
    name: 'cable_tokens_total',
    help: 'Tokens that requests brought, by what was done: lookup, question (Keystone was asked), failure (it did not answer).',
    labelNames: ['what'],
    registers,
    collect: () => {
      lookups.reset();
      for (const what of ['lookups', 'questions', 'failures'] as const) {
        lookups.inc({ what: what.slice(0, -1) }, counts()[what]);
      }
    },
  });
  const kept: Gauge = new Gauge({
    name: 'cable_tokens_kept',
    help: 'Tokens of which it is remembered what Keystone said.',
    registers,
    collect: () => {
      kept.set(counts().kept);
    },
  });
}

function addObjectGauge(registry: Registry, { tables, resources }: MetricsSources): void {
  const gauge = new Gauge({
    name: 'cable_objects',
    help: 'Objects of each type; and the store revision that the tables hold, as type revision.',
    labelNames: ['type'],
    registers: [registry],
    collect: () => {
      for (const { type, stored } of resources.all) if (stored) gauge.set({ type }, tables.any(type).size);
      gauge.set({ type: 'revision' }, tables.revision);
    },
  });
}

function addLoadGauges(registry: Registry, { admission, connections }: MetricsSources): void {
  const requests = new Gauge({
    name: 'cable_http_requests',
    help: 'Requests that write, lists, and questions to hosts (ask) that are worked on (running) or wait to be (waiting).',
    labelNames: ['kind', 'state'],
    registers: [registry],
    collect: () => {
      const { write, list, ask } = admission.load;
      for (const [kind, { running, waiting }] of Object.entries({ write, list, ask })) {
        requests.set({ kind, state: 'running' }, running);
        requests.set({ kind, state: 'waiting' }, waiting);
      }
    },
  });
  const bodies: Gauge = new Gauge({
    name: 'cable_http_body_bytes',
    help: 'Bytes of the bodies of requests that are not answered yet.',
    registers: [registry],
    collect: () => bodies.set(admission.load.bodyBytes),
  });
  if (connections === undefined) return;
  const open = new Gauge({
    name: 'cable_http_connections',
    help: 'Connections that are open: all but streams, those of them without a whole request yet, streams of agents.',
    labelNames: ['state'],
    registers: [registry],
    collect: () => {
      open.set({ state: 'open' }, connections.open);
      open.set({ state: 'unread' }, connections.unread);
      open.set({ state: 'streams' }, connections.streams);
    },
  });
}

function addLimitMetrics(registry: Registry, shares: MetricsSources['shares']): void {
  const refused: Counter<'by' | 'why'> = new Counter({
    name: 'cable_http_limited_total',
    help: 'Requests that were refused (429) because one address, project or host sent too many: a second (rate), or under way (in_flight).',
    labelNames: ['by', 'why'],
    registers: [registry],
    collect: () => {
      refused.reset();
      for (const { by, why, count } of shares.counts.refused) refused.inc({ by, why }, count);
    },
  });
  const kept = new Gauge({
    name: 'cable_http_limit_buckets',
    help: 'Addresses and projects of which it is kept how much they sent lately.',
    labelNames: ['by'],
    registers: [registry],
    collect: () => {
      for (const [by, count] of Object.entries(shares.counts.kept)) kept.set({ by }, count);
    },
  });
}

function addNovaMetrics(registry: Registry, counts: () => NovaCounts): void {
  const events: Counter = new Counter({
    name: 'cable_nova_events_total',
    help: 'Events that Nova was sent by this server, by what became of them: taken, unknown (it knows no such server), refused, unsent.',
    labelNames: ['name', 'outcome'],
    registers: [registry],
    collect: () => {
      events.reset();
      for (const [key, count] of counts().events) {
        const [name = '', outcome = ''] = key.split(' ');
        events.inc({ name, outcome }, count);
      }
    },
  });
  const pending: Gauge = new Gauge({
    name: 'cable_nova_pending_ports',
    help: 'Ports of which Nova is to be told something, or may have to be; 0 at servers that do not tell it.',
    registers: [registry],
    collect: () => pending.set(counts().isTeller ? counts().pending : 0),
  });
  const teller: Gauge = new Gauge({
    name: 'cable_nova_teller',
    help: '1: this server is the one that tells Nova.',
    registers: [registry],
    collect: () => teller.set(counts().isTeller ? 1 : 0),
  });
}
