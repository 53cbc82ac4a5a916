/** Networks that lead outside, and what keeps them so. */
import { type AnyObject, CableError, EVERY_PROJECT, type Network, type Port, type Router } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute, type Mark } from '../engine/module.ts';
import { rowsOf } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import type { Look, View } from '../engine/view.ts';
import { isExternalOwner, ROUTER_GATEWAY } from './device-owners.ts';
import { inUse } from './rbac-policy.ts';
import { checkUnshared, type Sharing } from './sharing.ts';

/** Kind of the mark on a network that something reaches out by it. */
const EXTERNAL = 'external';

/** Kind of the mark on a network that a router of another project has its gateway there. */
const GATEWAY = 'gateway';

/** Networks: one by which something reaches out stays external. */
export const externalNetworkModule: Contribution<AnyObject> = contribute<Network>({
  // `router:external` stands for a policy for every project; with the last policy it goes.
  derive: (_planning, given) => ({ external_to: given['router:external'] === true ? [EVERY_PROJECT] : [] }),
  change: (_planning, before, after) => {
    if (after.external_to !== before.external_to) return { 'router:external': after.external_to.length > 0 };
    if (after['router:external'] === before['router:external']) return {};
    return { external_to: after['router:external'] ? [EVERY_PROJECT] : [] };
  },
  check: (view, network, before) => {
    checkInternal(view, network, before);
    checkUnshared(view, SHARING, network, before);
  },
  broken: function* (_look, network) {
    if (network['router:external'] === network.external_to.length > 0) return;
    yield {
      rule: 'an object is shared as its policies say',
      detail: `router:external is ${network['router:external']}`,
    };
  },
});

const SHARING: Sharing<Network> = {
  list: 'external_to',
  kind: GATEWAY,
  users: (look, network) =>
    look
      .by('port', 'network_id', network.id)
      .filter((port) => port.device_owner === ROUTER_GATEWAY)
      .flatMap((port) => look.get('router', port.device_id)?.project_id ?? []),
  refused: ({ id }) => inUse(id, 'There are routers attached to this network that depend on this policy for access.'),
};

function checkInternal(view: View, network: Network, before: Network | undefined): void {
  if (before?.['router:external'] === true && !network['router:external']) {
    const isUnused = view.unmarked(EXTERNAL, network.id, (look) =>
      look.by('port', 'network_id', network.id).some((port) => isExternalOwner(port.device_owner)),
    );
    if (isUnused) return;
    throw new CableError(
      'ExternalNetworkInUse',
      `External network ${network.id} cannot be updated to be made non-external, since it has existing gateway ports.`,
    );
  }
}

/** Mark of a router on the network that it has its gateway in, if that is another project's: whoever makes one compares the network unchanged. */
export function gatewayMarks(
  look: Look,
  router: Pick<Router, 'project_id' | 'external_gateway_info'>,
): readonly Mark[] {
  const id = router.external_gateway_info?.network_id;
  const network = id === undefined ? undefined : look.get('network', id);
  if (network === undefined || network.project_id === router.project_id) return [];
  return [{ kind: GATEWAY, of: { type: 'network', id: network.id }, about: router.project_id }];
}

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
