import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ResourceRegistry } from '../engine/registry.ts';
import type { Tables } from '../tables.ts';
import { addEventLoopDelay } from './event-loop.ts';
import { routeLabel } from './resource-routes.ts';

/** Adds `/metrics` (Prometheus), `/healthz` (the process lives) and `/readyz` (it can answer). */
export function addHealthRoutes(
  app: FastifyInstance,
  tables: Tables,
  resources: ResourceRegistry,
  isReady: () => boolean,
): void {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: 'cable_http_request_duration_seconds',
    help: 'Time from a request to its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  addObjectGauge(registry, tables, resources);
  const stopDelay = addEventLoopDelay(registry);
  app.addHook('onClose', (_app, done) => {
    stopDelay();
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = routeLabel(request);
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    duration.observe(labels, reply.elapsedTime / 1000);
    done();
  });
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', (_request, reply) => reply.code(isReady() ? 200 : 503).send({ ready: isReady() }));
}

function addObjectGauge(registry: Registry, tables: Tables, resources: ResourceRegistry): void {
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
