import { collectionPath, extensionsOf, openApiDocument } from '@cable/api';
import { CableError, type ResourceModel } from '@cable/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** Adds `/`, `/v2.0`, `/v2.0/extensions` and `/openapi.json`. They need no token. */
export function addDiscoveryRoutes(app: FastifyInstance, resources: readonly ResourceModel[], version: string): void {
  const extensions = extensionsOf(resources);
  const document = openApiDocument(resources, version);
  app.get('/', (request) => ({
    versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${baseUrl(request)}/v2.0/` }] }],
  }));
  app.get('/v2.0', (request) => ({
    resources: resources
      .filter((resource) => resource.prefix === '/v2.0')
      .map((resource) => ({
        name: resource.name,
        collection: resource.plural,
        links: [{ rel: 'self', href: `${baseUrl(request)}${collectionPath(resource)}` }],
      })),
  }));
  app.get('/v2.0/extensions', () => ({ extensions }));
  app.get<{ Params: { alias: string } }>('/v2.0/extensions/:alias', (request) => {
    const { alias } = request.params;
    const extension = extensions.find((one) => one.alias === alias);
    if (extension === undefined) {
      throw new CableError('ExtensionNotFound', `Extension with alias ${alias} does not exist`);
    }
    return { extension };
  });
  app.get('/openapi.json', () => document);
}

function baseUrl(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}`;
}
