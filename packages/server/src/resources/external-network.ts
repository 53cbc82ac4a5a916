/** Networks that lead outside, and what keeps them so. */
import { type AnyObject, CableError, type Network, type Port } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute, type Mark } from '../engine/module.ts';
import { rowsOf } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import { isExternalOwner } from './device-owners.ts';

/** Kind of the mark on a network that something reaches out by it. */
const EXTERNAL = 'external';

/** Networks: one by which something reaches out stays external. */
export const externalNetworkModule: Contribution<AnyObject> = contribute<Network>({
  check: (view, network, before) => {
    if (before?.['router:external'] !== true || network['router:external']) return;
    const isUnused = view.unmarked(EXTERNAL, network.id, (look) =>
      look.by('port', 'network_id', network.id).some((port) => isExternalOwner(port.device_owner)),
    );
    if (isUnused) return;
    throw new CableError(
      'ExternalNetworkInUse',
      `External network ${network.id} cannot be updated to be made non-external, since it has existing gateway ports.`,
    );
  },
});

/** Marks of a port on the network that leads outside: whoever makes one compares the network unchanged. */
export function externalMarks(port: Pick<Port, 'network_id' | 'device_owner'>): readonly Mark[] {
  if (!isExternalOwner(port.device_owner)) return [];
  return [{ kind: EXTERNAL, of: { type: 'network', id: port.network_id }, about: 'port' }];
}

/** The network that the caller names as the way out. Throws `NotFound` for one that the caller does not see, and what `notExternal` says. */
export function externalNetwork(planning: Planning, id: string, notExternal: () => CableError): Network {
  const { deps, asked, plan } = planning;
  const network = plan.rely('network', id);
  const view = deps.permission.policy.for(asked.credentials);
  const isSeen =
    network !== undefined && view.allows('get_network', { type: 'network', object: network, row: rowsOf(plan) });
  if (network === undefined || !isSeen) throw notFound(deps.resources.named('network'), id);
  if (!network['router:external']) throw notExternal();
  return network;
}
