import type { ActionDeclaration, ResourceModel, Verb } from '@cable/model';

/** One route, derived from a declaration. `path` has `{id}` where the object's id stands. */
export type Route = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly resource: ResourceModel;
  readonly operation: { readonly kind: Verb } | { readonly kind: 'action'; readonly action: ActionDeclaration };
  /** Status of success. */
  readonly status: 200 | 201 | 204;
};

/** Every route of the declarations, in their order. */
export function routesOf(resources: readonly ResourceModel[]): readonly Route[] {
  return resources.flatMap((resource) => [
    ...resource.verbs.map((verb) => verbRoute(resource, verb)),
    ...(resource.actions ?? []).map((action) => actionRoute(resource, action)),
  ]);
}

function verbRoute(resource: ResourceModel, kind: Verb): Route {
  const collection = `${resource.prefix}/${resource.path}`;
  const [method, path, status] = VERBS[kind];
  return { method, path: `${collection}${path}`, resource, operation: { kind }, status };
}

const VERBS: Readonly<Record<Verb, readonly [Route['method'], '' | '/{id}', Route['status']]>> = {
  list: ['GET', '', 200],
  show: ['GET', '/{id}', 200],
  create: ['POST', '', 201],
  update: ['PUT', '/{id}', 200],
  delete: ['DELETE', '/{id}', 204],
};

function actionRoute(resource: ResourceModel, action: ActionDeclaration): Route {
  const path = `${resource.prefix}/${resource.path}/{id}/${action.name}`;
  return { method: 'PUT', path, resource, operation: { kind: 'action', action }, status: 200 };
}
