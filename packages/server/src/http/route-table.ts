/** Which route answers a request: looked up among those that are loaded now. */
import { NATIVE_ROUTES, parametersOf, type Route } from '@cable/api';
import type { ResourceModel } from '@cable/model';
import findMyWay, { type HTTPMethod } from 'find-my-way';
import type { LoadedResources, ResourceRegistry } from '../engine/registry.ts';

/** Longest value of a path parameter, in characters: what identifies an object has up to 1024 bytes, each of which may be escaped. */
export const PARAMETER_MAX = 3072;

/** A route that answers a request, and the values of its path's parameters, decoded. */
export type Match = Stored & {
  readonly parameters: Readonly<Record<string, string | undefined>>;
};

/** What is kept of a route. */
type Stored = {
  /** What it is of. */
  readonly loaded: LoadedResources;
  readonly route: Route;
  /** The model of what is in the store; the route's resource may be another form of it. */
  readonly model: ResourceModel;
  /** That of a nested resource's parent. */
  readonly parent: ResourceModel | undefined;
  /** The route's path as metrics have it: `/v2.0/ports/:id`. */
  readonly label: string;
};

/** The routes of the registry. Follows its changes. */
export type RouteTable = {
  /** `url` may have a query. Undefined: nothing that is loaded answers. */
  find(method: string, url: string): Match | undefined;
  /** What the path takes, the server's own routes among it, as the header Allow names it; empty: there is no such path. */
  methodsOf(url: string): readonly string[];
};

type Router = ReturnType<typeof findMyWay>;

const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const;

export function createRouteTable(resources: ResourceRegistry): RouteTable {
  let router = build(resources.current);
  resources.onChange((now) => {
    router = build(now);
  });
  return {
    find: (method, url) => {
      const found = findSpelled(router, method as HTTPMethod, url);
      const stored = found?.store as Stored | null | undefined;
      if (stored === null || stored === undefined) return undefined;
      return { ...stored, parameters: found?.params ?? {} };
    },
    methodsOf: (url) => {
      const has = (method: HTTPMethod): boolean => findSpelled(router, method, url) !== null;
      const isPatched = findSpelled(router, 'PUT', url)?.store as Stored | null | undefined;
      const also = isPatched?.route.resource.bare === true ? ['PATCH'] : [];
      return [...METHODS.filter(has).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), ...also];
    },
  };
}

/** Throws when what is loaded has no table of routes. */
export function assertRoutable(loaded: LoadedResources): void {
  build(loaded);
}

/** The server's own routes are there without a route of the registry. */
function build(loaded: LoadedResources): Router {
  const router = findMyWay({ ignoreTrailingSlash: true, maxParamLength: PARAMETER_MAX });
  for (const { method, path } of NATIVE_ROUTES) router.on(method, patternOf(path), NOTHING);
  for (const route of loaded.routes) {
    const label = patternOf(route.path);
    const { type, parent } = route.resource;
    const model = loaded.named(type);
    const stored: Stored = {
      loaded,
      route,
      model,
      parent: parent === undefined ? undefined : loaded.named(parent.type),
      label,
    };
    router.on(route.method, label, NOTHING, stored);
  }
  return router;
}

/**
 * A path may say the format of the answer, as Neutron's may (`/v2.0/quotas/P/details.json`), and have underscores for the hyphens of a collection, or the reverse
 * (`/v2.0/security_groups`).
 */
function findSpelled(router: Router, method: HTTPMethod, url: string): ReturnType<Router['find']> {
  const plain = url.replace(/\.json(?=$|\?)/, '');
  // The id of an object has no format; other last parts, as a tag, may end so.
  if (/^[^?]*\/[\da-f-]{36}\.json(?=$|\?)/i.test(url)) return router.find(method, plain);
  const spelled = (from: string, to: string): string =>
    plain.replace(/^\/v2\.0\/(qos\/)?[^/?]+/, (start) => start.replaceAll(from, to));
  return (
    router.find(method, url) ??
    router.find(method, plain) ??
    router.find(method, spelled('_', '-')) ??
    router.find(method, spelled('-', '_'))
  );
}

const NOTHING = (): void => {};

function patternOf(path: string): string {
  return parametersOf(path).reduce((text, name) => text.replace(`{${name}}`, `:${name}`), path);
}
