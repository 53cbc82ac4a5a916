import { collectionPath, extensionsOf, openApiDocument } from '@cable/api';
import { CableError } from '@cable/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { LoadedResources, ResourceRegistry } from '../engine/registry.ts';

/** Adds `/`, `/v2.0`, `/v2.0/extensions` and `/openapi.json`: what is loaded when they are asked. They need no token. */
export function addDiscoveryRoutes(app: FastifyInstance, resources: ResourceRegistry, version: string): void {
  const document = perRegistry(resources, ({ all }) => openApiDocument(all, version));
  const extensions = perRegistry(resources, ({ registry }) => extensionsOf(registry.extensions));
  app.get('/', (request) => ({
    versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${baseUrl(request)}/v2.0/` }] }],
  }));
  app.get('/v2.0', (request) => ({
    resources: resources.all
      .filter((resource) => resource.prefix === '/v2.0' && resource.parent === undefined)
      .map((resource) => ({
        name: resource.name,
        collection: resource.plural,
        links: [{ rel: 'self', href: `${baseUrl(request)}${collectionPath(resource)}` }],
      })),
  }));
  app.get('/v2.0/extensions', () => ({ extensions: extensions() }));
  app.get<{ Params: { alias: string } }>('/v2.0/extensions/:alias', (request) => {
    const { alias } = request.params;
    const extension = extensions().find((one) => one.alias === alias);
    if (extension === undefined) {
      throw new CableError('ExtensionNotFound', `Extension with alias ${alias} does not exist`);
    }
    return { extension };
  });
  app.get('/openapi.json', () => document());
}

/** What follows from what is loaded, made when it is first asked for. */
function perRegistry<T>(resources: ResourceRegistry, make: (loaded: LoadedResources) => T): () => T {
  let made: { readonly of: LoadedResources; readonly value: T } | undefined;
  return () => {
    if (made?.of !== resources.current) made = { of: resources.current, value: make(resources.current) };
    return made.value;
  };
}

function baseUrl(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}`;
}
