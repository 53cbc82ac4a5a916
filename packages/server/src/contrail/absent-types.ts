/** Types of the original server that are not here: there are none of their objects, and none can be made. */
import { CableError } from '@cable/model';
import { unknownOperation } from './call.ts';
import { badRequest, type PluginRequest } from './envelope.ts';

/** What to do instead, by type; and the word for it in errors. */
export const ABSENT_TYPES: Readonly<Record<string, { readonly label: string; readonly instead: string }>> = {
  ipam: { label: 'Ipam', instead: 'give the subnet its name servers, routes and pools' },
  policy: { label: 'Policy', instead: 'use security groups' },
  route_table: { label: 'RouteTable', instead: 'give the router routes, or the subnet host_routes' },
  nat_instance: { label: 'NatInstance', instead: 'give the router an external gateway' },
  firewall_group: { label: 'FirewallGroup', instead: 'use security groups' },
  firewall_policy: { label: 'FirewallPolicy', instead: 'use security groups' },
  firewall_rule: { label: 'FirewallRule', instead: 'use security groups' },
};

/** Answers for a type of which there is nothing. Throws `NotFound` for one object, `BadRequest` for what would make one. */
export function answerAbsent(type: string, { operation, id }: PluginRequest): unknown {
  if (operation === 'READALL') return [];
  if (operation === 'READCOUNT') return { count: 0 };
  const { label = type, instead = '' } = ABSENT_TYPES[type] ?? {};
  if (operation === 'CREATE') throw badRequest(type, `there is no ${type} here: ${instead}`);
  if (!['READ', 'UPDATE', 'DELETE', 'INSERT_RULE', 'REMOVE_RULE'].includes(operation)) {
    throw unknownOperation(type, operation);
  }
  throw new CableError('NotFound', `${label} ${String(id).slice(0, 300)} could not be found.`, {
    label,
    fields: { id: String(id).slice(0, 300) },
  });
}
