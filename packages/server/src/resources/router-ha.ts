/** `ha` and `distributed` of routers: changed while the router forwards nothing. Who chooses the standbys of gateways obeys the one, who says which host has a floating IP the other. */
import { type AnyObject, CableError, type Router } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';

/** Whether the gateway has standbys. */
export const routerHaModule: Contribution<AnyObject> = contribute<Router>({
  derive: (_planning, { ha = true }) => ({ ha }),
  change: (_planning, before, after) => {
    // One that was stored before there was a choice says nothing.
    if ((before.ha ?? true) !== (after.ha ?? true) && after.admin_state_up) {
      throw badRequest(
        'Cannot change HA attribute of active routers. Please set router admin_state_up to False prior to upgrade.',
      );
    }
    return {};
  },
});

/** Whether floating IPs are reached by the hosts of their ports. */
export const routerDistributedModule: Contribution<AnyObject> = contribute<Router>({
  derive: (_planning, { distributed = true }) => ({ distributed }),
  change: (_planning, before, after) => {
    if (isDistributed(before) !== isDistributed(after) && (before.admin_state_up || after.admin_state_up)) {
      throw badRequest(
        "Cannot change the 'distributed' attribute of active routers. Please set router admin_state_up to False prior to upgrade.",
      );
    }
    return {};
  },
  check: (_view, router) => {
    if (isDistributed(router) || router['cable:snat'] !== 'distributed') return;
    throw badRequest(
      "With distributed false nothing leaves by other hosts than the gateway's: set 'cable:snat' to leased or shared, or distributed to true.",
    );
  },
});

/** A router that was stored before there was a choice says nothing. */
function isDistributed({ distributed = true }: Partial<Router>): boolean {
  return distributed;
}

function badRequest(reason: string): CableError {
  return new CableError('BadRequest', `Bad router request: ${reason}`);
}
