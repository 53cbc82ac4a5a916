import { createHash } from 'node:crypto';
import { collectionPath, extensionsOf, openApiDocument, SCHEMA_PATH, schemaOf } from '@cable/api';
import { CableError } from '@cable/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { EngineDeps } from '../engine/context.ts';
import type { LoadedResources, ResourceRegistry } from '../engine/registry.ts';
import { pluginExtensions } from '../plugins/plugin-module.ts';

/** Adds `/`, `/v2.0`, `/v2.0/extensions`, `/openapi.json` and `/cable/v1/schema`: what is loaded when they are asked. They need no token. */
export function addDiscoveryRoutes(
  app: FastifyInstance,
  { resources, tables }: Pick<EngineDeps, 'resources' | 'tables'>,
  version: string,
): void {
  const document = perRegistry(resources, ({ all }) => openApiDocument(all, version));
  const schema = perRegistry(resources, ({ registry }) => {
    const text = JSON.stringify(schemaOf(registry));
    return { text, etag: `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"` };
  });
  const loaded = perRegistry(resources, ({ registry }) => extensionsOf(registry.extensions));
  const extensions = (): ReturnType<typeof loaded> => {
    const brought = pluginExtensions(tables, loaded());
    if (brought.length === 0) return loaded();
    const entries = brought.map(({ alias, name, description }) => ({ alias, name, description, ...OF_PLUGINS }));
    return [...loaded(), ...entries];
  };
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
  app.get(SCHEMA_PATH, (request, reply) => {
    const { text, etag } = schema();
    reply.header('etag', etag).header('cache-control', 'no-cache');
    const known = request.headers['if-none-match']?.split(',').map((one) => one.trim().replace(/^W\//, '')) ?? [];
    if (known.includes(etag)) return reply.code(304).send();
    return reply.type('application/json; charset=utf-8').send(text);
  });
}

const OF_PLUGINS = { updated: '2026-11-30T00:00:00-00:00', links: [] } as const;

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
