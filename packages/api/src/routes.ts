import { type ActionDeclaration, DeclarationError, type ResourceModel, servedModels, type Verb } from '@cable/model';
import { NATIVE_ROUTES } from './native-routes.ts';

/** One route, derived from a declaration. */
export type Route = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `{id}` where the object's key stands, `{<parent's name>_id}` where the parent's does, and an action's own parameters. */
  readonly path: string;
  /** The form that is served; its objects are in the store as those of the model of its type. */
  readonly resource: ResourceModel;
  readonly operation: { readonly kind: Verb } | { readonly kind: 'action'; readonly action: ActionDeclaration };
  /** Status of success. */
  readonly status: 200 | 201 | 202 | 204;
};

/** Every route of the models and their forms, in their order. Throws `DeclarationError` when two would answer the same request. */
export function routesOf(models: readonly ResourceModel[]): readonly Route[] {
  const routes = servedModels(models).flatMap((resource) => [
    ...resource.verbs.map((verb) => verbRoute(resource, verb)),
    ...(resource.actions ?? []).map((action) => actionRoute(resource, action)),
  ]);
  refuseTwice(routes);
  return routes;
}

/** Names of a path's parameters, in order. */
export function parametersOf(path: string): readonly string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
}

/** The parameter of a nested resource's path that names the parent; undefined: it is not nested. */
export function parentParameter({ parent, collection }: ResourceModel): string | undefined {
  return parent === undefined ? undefined : parametersOf(collection).at(-1);
}

function verbRoute(resource: ResourceModel, kind: Verb): Route {
  const [method, path, status] = VERBS[kind];
  const own = resource.statuses?.[kind] ?? status;
  return { method, path: `${resource.collection}${path}`, resource, operation: { kind }, status: own };
}

const VERBS: Readonly<Record<Verb, readonly [Route['method'], '' | '/{id}', Route['status']]>> = {
  list: ['GET', '', 200],
  show: ['GET', '/{id}', 200],
  create: ['POST', '', 201],
  update: ['PUT', '/{id}', 200],
  delete: ['DELETE', '/{id}', 204],
};

function actionRoute(resource: ResourceModel, action: ActionDeclaration): Route {
  const { name, on = 'object', method = 'PUT', path = name, status = 200 } = action;
  const place = on === 'object' ? `${resource.collection}/{id}` : resource.collection;
  return { method, path: `${place}/${path}`, resource, operation: { kind: 'action', action }, status };
}

function refuseTwice(routes: readonly Route[]): void {
  const known = new Map(NATIVE_ROUTES.map((route) => [requestOf(route), 'the server itself']));
  for (const route of routes) {
    const request = requestOf(route);
    const other = known.get(request);
    if (other !== undefined) {
      const text = `${route.method} ${route.path} is answered by ${other} already`;
      throw new DeclarationError(`resource ${route.resource.type}`, text, 'Give one of them another prefix or path.');
    }
    known.set(request, route.resource.type);
  }
}

/** What two routes may not both have: names of parameters do not matter. */
function requestOf({ method, path }: Pick<Route, 'method' | 'path'>): string {
  return `${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`;
}
