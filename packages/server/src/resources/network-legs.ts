/** Legs of routers in networks of other projects. */
import { CableError, type Network, type Port } from '@cable/model';
import type { Mark } from '../engine/module.ts';
import { ROUTER_INTERFACE } from './device-owners.ts';
import type { Sharing } from './sharing.ts';

/** Kind of the mark on a network that a router's leg of another project is there. */
const LEG = 'leg';

/** What keeps a policy that shares a network; `shared` of the network itself is taken back over legs, as in Neutron. */
export const LEG_SHARING: Sharing<Network> = sharingByPorts(LEG, isForeignLeg);

/** What keeps a network shared with the projects of some of its ports, each of which has a mark of the kind on it. */
export function sharingByPorts(kind: string, isUsers: (port: Port, network: Network) => boolean): Sharing<Network> {
  return {
    list: 'shared_with',
    kind,
    users: (look, network) =>
      look
        .by('port', 'network_id', network.id)
        .filter((port) => isUsers(port, network))
        .map((port) => port.project_id),
    refused: usedByOthers,
  };
}

/** The mark of a port on its network, if it is a leg of another project: whoever makes one compares the network unchanged. */
export function legMarks(port: Port, network: Network): readonly Mark[] {
  if (!isForeignLeg(port, network)) return [];
  return [{ kind: LEG, of: { type: 'network', id: network.id }, about: port.project_id }];
}

function isForeignLeg(port: Port, network: Pick<Network, 'project_id'>): boolean {
  return port.device_owner === ROUTER_INTERFACE && port.project_id !== network.project_id;
}

/** The error for a network that is to be taken back from a project that uses it. */
function usedByOthers(network: Pick<Network, 'id'>): CableError {
  return new CableError(
    'InvalidSharedSetting',
    `Unable to reconfigure sharing settings for network ${network.id}. Multiple tenants are using it.`,
  );
}
