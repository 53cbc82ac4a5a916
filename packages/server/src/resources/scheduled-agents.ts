import { type AnyObject, CableError } from '@cable/model';
import type { ActionHandler } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { permitRead } from '../engine/permission.ts';
import { currentRow } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';

/** The agents that DHCP of a network was scheduled to. */
export const networkAgentsModule: Contribution<AnyObject> = {
  actions: { get_dhcp_agents: nobody('network', 'get_dhcp_agents') },
};

/** The same of a router. */
export const routerAgentsModule: Contribution<AnyObject> = {
  actions: { get_l3_agents: nobody('router', 'get_l3_agents') },
};

/** Nothing is scheduled: every host that has a port serves it. Nor is anything that is not there, of which Neutron says the same. Throws `PolicyNotAuthorized`. */
function nobody(type: string, action: string): ActionHandler {
  return async (deps, id, _body, { credentials }) => {
    const reader = readerOf(deps, credentials);
    const before = await currentRow(deps, deps.resources.named(type), id, reader).catch((err: unknown): AnyObject => {
      if (err instanceof CableError && err.code === 'NotFound') return { id };
      throw err;
    });
    permitRead(deps, { credentials, row: reader.row }, { type, action, before });
    return { agents: [] };
  };
}
