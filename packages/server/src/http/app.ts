import { routesOf } from '@cable/api';
import type { Logger } from '@cable/kit';
import { CableError } from '@cable/model';
import fastify, { type FastifyInstance } from 'fastify';
import { addDiscoveryRoutes } from './discovery.ts';
import { addErrorHandler } from './error-handler.ts';
import { addHealthRoutes } from './metrics.ts';
import { addResourceRoutes, type ResourceRouteOptions } from './resource-routes.ts';

/** Largest request body: a bulk of ports, each with user data. */
const BODY_LIMIT_BYTES = 4 << 20;

export type AppOptions = ResourceRouteOptions & {
  readonly log: Logger;
  readonly version: string;
  readonly isReady: () => boolean;
  /** Further routes, e.g. the agents'. */
  readonly addRoutes?: (app: FastifyInstance) => void;
};

/** The whole HTTP interface, not yet listening. */
export function createApp(options: AppOptions): FastifyInstance {
  const { deps, log } = options;
  const app = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512 },
  });
  addJsonParser(app);
  addErrorHandler(app, log);
  addNotFoundHandler(app, options);
  addHealthRoutes(app, deps.tables, deps.resources, options.isReady);
  addDiscoveryRoutes(app, deps.resources.all, options.version);
  addResourceRoutes(app, options);
  options.addRoutes?.(app);
  return app;
}

/** Every body is JSON, whatever its content type says; an empty one is none. */
function addJsonParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    try {
      done(null, JSON.parse(String(body)));
    } catch (cause) {
      done(new CableError('HTTPBadRequest', 'Malformed request body: it is not JSON.', { cause }));
    }
  });
}

function addNotFoundHandler(app: FastifyInstance, { deps }: AppOptions): void {
  const known = routesOf(deps.resources.all).map((route) => new RegExp(`^${route.path.replace('{id}', '[^/]+')}/?$`));
  app.setNotFoundHandler((request) => {
    const path = request.url.split('?', 1)[0] ?? '';
    if (known.some((pattern) => pattern.test(path))) {
      throw new CableError('HTTPMethodNotAllowed', `The method ${request.method} is not allowed for this resource.`);
    }
    throw new CableError('HTTPNotFound', 'The resource could not be found.');
  });
}
