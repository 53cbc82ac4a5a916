import { createTurnLine, type Logger } from '@cable/kit';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { AuditLog } from '../audit/audit-log.ts';
import { addPluginRoutes } from '../contrail/routes.ts';
import { isAdmin, permitApi } from '../engine/permission.ts';
import type { AskHost } from '../faults/ask-host.ts';
import { addFaultRoutes } from '../faults/routes.ts';
import { parseHostName } from '../hosts/parse.ts';
import { permitAgent } from '../hosts/permit-agent.ts';
import { type LimitSettings, NO_LIMITS, RequestLimits } from '../limits/request-limits.ts';
import type { NovaCounts } from '../nova/nova-notifier.ts';
import { addJoinRoute, addRenewRoute } from '../pki/join-routes.ts';
import type { Credentials } from '../policy/credentials.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { askedOf, userOf } from './asked.ts';
import type { Authenticator } from './auth.ts';
import { addCheckRoute } from './check.ts';
import { addDiscoveryRoutes } from './discovery.ts';
import { answerError, type CountError } from './error-handler.ts';
import { addHealthRoutes, type ConnectionCounts, createMetrics, type TokenCounts } from './metrics.ts';
import type { ReadinessCheck } from './readiness.ts';
import { nameRequests } from './request-id.ts';
import { addResourceRoutes, type ResourceRouteOptions } from './resource-routes.ts';
import { PARAMETER_MAX } from './route-table.ts';

export type AppOptions = ResourceRouteOptions & {
  readonly log: Logger;
  readonly version: string;
  readonly authenticate: Authenticator;
  readonly limits: AdmissionLimits;
  /** What one address and one project may ask; undefined: any number of requests. */
  readonly shares?: LimitSettings;
  readonly readiness: readonly ReadinessCheck[];
  /** Connections of the listeners; undefined: nobody counts them. */
  readonly connections?: ConnectionCounts;
  /** What became of tokens; undefined: Keystone is not asked. */
  readonly tokens?: () => TokenCounts;
  /** What Nova is told; undefined: nothing. */
  readonly nova?: () => NovaCounts;
  /** Told of each write; undefined: nobody is. */
  readonly audit?: AuditLog;
  /** Asks hosts' agents about ports; undefined: nothing can be asked. */
  readonly askHost?: AskHost;
  /** Adds the agents' routes; the rule `admin_api` says who gets through to them. */
  readonly addHostRoutes?: (scope: FastifyInstance) => void;
};

/** How long all lists together may keep the event loop in one of its rounds. */
const LIST_TURN_MS = 1;

/** What is served, not yet listening. */
export type App = {
  readonly http: FastifyInstance;
  /** Counts an error that was answered elsewhere, for the metrics. */
  readonly countError: CountError;
  /** What one address and one project may ask. */
  readonly shares: RequestLimits;
};

/** The whole HTTP interface. */
export function createApp(options: AppOptions): App {
  const { deps, log, authenticate, limits } = options;
  const shared = {
    log,
    isAdmin: (credentials: Credentials) => isAdmin(deps, credentials),
    monotonicMs: () => performance.now(),
  };
  const shares = new RequestLimits({ ...shared, settings: options.shares ?? NO_LIMITS });
  const admission = new Admission({ ...shared, limits, authenticate, shares });
  const metrics = createMetrics({
    ...deps,
    admission,
    shares,
    connections: options.connections,
    nova: options.nova,
    tokens: options.tokens,
    audit: options.audit?.file,
  });
  const errors = { log, countError: metrics.countError };
  const app = fastify({
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_MAX },
    frameworkErrors: (err, request, reply) => answerError(err, request, reply, errors),
  });
  app.setErrorHandler<FastifyError>((err, request, reply) => answerError(err, request, reply, errors));
  nameRequests(app);
  admission.guard(app);
  options.audit?.follow(app);
  addHealthRoutes(app, metrics, options.readiness, (request) => {
    // Under noauth the address is what protects them; who is known by a token may be anybody's tenant.
    const { credentials } = userOf(request);
    if (credentials.userId !== null) permitApi(deps, credentials);
  });
  addDiscoveryRoutes(app, deps, options.version);
  const startTurns = createTurnLine(LIST_TURN_MS);
  addPluginRoutes(app, { deps, startTurns, registry: metrics.registry });
  addResourceRoutes(app, options, startTurns);
  if (options.askHost !== undefined) addFaultRoutes(app, deps, options.askHost);
  addJoinRoute(app, deps);
  app.register((scope, _options, done) => {
    scope.addHook('onRequest', async (request) => {
      const { host } = request.params as { readonly host?: string };
      const { caller } = askedOf(request);
      permitAgent(deps, caller, {
        host: host === undefined ? undefined : parseHostName(host),
        socket: request.raw.socket,
      });
    });
    addCheckRoute(scope, deps);
    options.addHostRoutes?.(scope);
    addRenewRoute(scope, deps);
    done();
  });
  return { http: app, countError: metrics.countError, shares };
}
