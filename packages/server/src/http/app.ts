import type { Logger } from '@cable/kit';
import { CableError } from '@cable/model';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { addCheckRoute } from './check.ts';
import { addDiscoveryRoutes } from './discovery.ts';
import { answerError } from './error-handler.ts';
import { addHealthRoutes } from './metrics.ts';
import { addResourceRoutes, type ResourceRouteOptions } from './resource-routes.ts';
import { PARAMETER_MAX } from './route-table.ts';

/** Largest request body: a bulk of ports, each with user data. */
const BODY_LIMIT_BYTES = 4 << 20;

/** Levels of objects and lists in a request body. */
const DEPTH_MAX = 32;

export type AppOptions = ResourceRouteOptions & {
  readonly log: Logger;
  readonly version: string;
  readonly isReady: () => boolean;
  /** Adds the agents' routes; only an admin gets through to them. */
  readonly addHostRoutes?: (scope: FastifyInstance) => void;
};

/** The whole HTTP interface, not yet listening. */
export function createApp(options: AppOptions): FastifyInstance {
  const { deps, log } = options;
  const app = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_MAX },
    frameworkErrors: (err, request, reply) => answerError(err, request, reply, log),
  });
  addJsonParser(app);
  app.setErrorHandler<FastifyError>((err, request, reply) => answerError(err, request, reply, log));
  addHealthRoutes(app, deps.tables, deps.resources, options.isReady);
  addDiscoveryRoutes(app, deps.resources, options.version);
  addResourceRoutes(app, options);
  app.register((scope, _options, done) => {
    scope.addHook('onRequest', async (request) => {
      const { isAdmin } = await options.authenticate(request.headers);
      if (!isAdmin) throw new CableError('PolicyNotAuthorized', 'rule:admin_api is disallowed by policy');
    });
    addCheckRoute(scope, deps);
    options.addHostRoutes?.(scope);
    done();
  });
  return app;
}

/** Every body is JSON, whatever its content type says; an empty one is none. */
function addJsonParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    const parsed = parseJson(String(body));
    done(parsed instanceof CableError ? parsed : null, parsed);
  });
}

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return new CableError('HTTPBadRequest', 'Malformed request body: it is not JSON.', { cause });
  }
  if (isDeeper(value, DEPTH_MAX)) {
    return new CableError('HTTPBadRequest', `Malformed request body: nested deeper than ${DEPTH_MAX} levels.`);
  }
  return value;
}

/** Deeper nesting would overflow the stack of whatever walks the value. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
