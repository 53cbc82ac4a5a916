/** `ha` of routers: it is changed while the router forwards nothing. Who chooses the standbys of gateways obeys it. */
import { type AnyObject, CableError, type Router } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';

export const routerHaModule: Contribution<AnyObject> = contribute<Router>({
  change: (_planning, before, after) => {
    if (before.ha === after.ha || !after.admin_state_up) return {};
    throw new CableError(
      'BadRequest',
      'Bad router request: Cannot change HA attribute of active routers. Please set router admin_state_up to False prior to upgrade.',
    );
  },
});
