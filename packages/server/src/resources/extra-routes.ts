/** `add_extraroutes` and `remove_extraroutes`: some routes of a router more or less, whatever others there are. */
import { type Attributes, showObject } from '@cable/api';
import { type AnyObject, CableError, EXTRA_ROUTES_MAX, type Router } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { refuseOfCluster } from '../engine/of-clusters.ts';
import { notFound, present } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';

type Routes = Router['routes'];

/** The actions of routers on their extra routes. */
export const extraRoutesModule: Contribution<AnyObject> = {
  actions: {
    add_extraroutes: onRoutes('add_extraroutes', (before, given) => [...before, ...without(given, before)]),
    remove_extraroutes: onRoutes('remove_extraroutes', without),
  },
};

/** Those of the routes that are not among the others. */
function without(routes: Routes, others: Routes): Routes {
  return routes.filter(
    ({ destination, nexthop }) =>
      !others.some((other) => other.destination === destination && other.nexthop === nexthop),
  );
}

function onRoutes(action: string, change: (before: Routes, given: Routes) => Routes): ActionHandler {
  return async (deps, id, body: Attributes, asked) => {
    const resource = deps.resources.named('router');
    const build = (planning: Planning): AnyObject => {
      refuseOfCluster(
        planning,
        resource,
        permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action })),
      );
      const router = planning.plan.get('router', id);
      if (router === undefined) throw notFound(resource, id);
      const routes = change(router.routes, (body['routes'] ?? []) as Routes);
      if (routes.length > EXTRA_ROUTES_MAX) throw exhausted(id);
      return planUpdate(planning, resource, router, { routes });
    };
    const written = await deps.lock.run([objectKey('router', id)], asked, () => transact(deps, asked, build));
    return showObject(resource, present(deps, resource, written, readerOf(deps, asked.credentials)), new Set());
  };
}

function exhausted(id: string): CableError {
  return new CableError(
    'RoutesExhausted',
    `Unable to complete operation for ${id}. The number of routes exceeds the maximum ${EXTRA_ROUTES_MAX}.`,
  );
}
