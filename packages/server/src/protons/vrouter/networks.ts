/** Networks of protons on the vrouter (`proton_network`): who is in one, and when it goes. */
import { type AnyObject, type PortOwner, type ProtonNetwork, TUNNEL_HEADER_BYTES } from '@cable/model';
import { complete } from '../../engine/complete.ts';
import type { Planning } from '../../engine/context.ts';
import { type Contribution, contribute, type Given } from '../../engine/module.ts';
import { allocateVni, vniClaim } from '../../resources/network-segment.ts';
import { networkIdOf } from '../port-view.ts';

export const PROTON_NETWORK = 'proton_network';
const PORT_OWNER = 'port_owner';

/** What a port has of the network that it is in. `open`: what it sends and gets passes there. */
export type InNetwork = Pick<PortOwner, 'proton_network_id' | 'open' | 'fixed_ips'>;

/** The network of a project's ports that are in none of their own: nothing passes there. It is made where there is none. */
export function projectNetwork(planning: Planning, proton: string, projectId: string): string {
  const id = networkIdOf(proton, projectId);
  if (planning.plan.get(PROTON_NETWORK, id) === undefined) {
    const { underlayMtuBytes, overlayIpVersion: version = 4 } = planning.deps.settings;
    createNetwork(planning, {
      ...{ id, proton, project_id: projectId, name: proton, kind: 'project' },
      mtu: underlayMtuBytes - TUNNEL_HEADER_BYTES[version],
    });
  }
  return id;
}

/** Writes a new network; its VNI is chosen. */
export function createNetwork(planning: Planning, given: Partial<ProtonNetwork> & Given<AnyObject>): ProtonNetwork {
  const { plan, deps } = planning;
  const start = { ...given, vni: allocateVni(planning) } as Given<AnyObject>;
  const network = complete(deps.resources.named(PROTON_NETWORK), start);
  plan.create(PROTON_NETWORK, network);
  return network as unknown as ProtonNetwork;
}

/** Writes that the port is in a network; what it has left goes if nobody else is there. */
export function moveTo(planning: Planning, portId: string, next: InNetwork): void {
  const { plan } = planning;
  const row = plan.get(PORT_OWNER, portId);
  if (row === undefined) return;
  const after = { ...row, ...next };
  if (JSON.stringify(after) === JSON.stringify(row)) return;
  plan.replace(PORT_OWNER, after as unknown as AnyObject);
  if (row.proton_network_id !== null && row.proton_network_id !== next.proton_network_id)
    leaveNetwork(planning, row.proton_network_id);
}

/** After a port has left it: the network of a project goes with its last port. Whoever leaves revises it, so that one of them is the last. */
export function leaveNetwork({ plan }: Pick<Planning, 'plan'>, id: string): void {
  const network = plan.rely(PROTON_NETWORK, id);
  if (network?.kind !== 'project') return;
  if (plan.by(PORT_OWNER, 'proton_network_id', id).length > 0) plan.revise(PROTON_NETWORK, id);
  else plan.delete(PROTON_NETWORK, id);
}

/** Networks of protons. */
export const protonNetworkModule: Contribution<AnyObject> = contribute<ProtonNetwork>({
  claims: ({ vni }) => [vniClaim(vni)],
});
