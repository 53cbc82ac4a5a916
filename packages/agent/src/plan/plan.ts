import type { Slice, SliceKey } from '@cable/model';
import type { DesiredState, GuestRecord } from '../desired.ts';
import { createContext, type PlanContext } from './context.ts';
import { createEndpointPlanner } from './endpoints.ts';
import { claim, type EntryMaps, emptyMaps } from './entries.ts';
import { createRemoteHosts, planFlood, type RemoteHosts } from './flood.ts';
import { planGuest } from './guests.ts';
import { planHostLinks } from './host-links.ts';
import type { LocalState } from './local.ts';
import { planPeers } from './peers.ts';
import { createPolicyPlanner } from './policies.ts';
import { planRoutes } from './routes.ts';
import { planSources } from './sources.ts';
import { attachedVifs, planVif, policyUses, resolveVifs, type Vif } from './vifs.ts';

/** Computes the whole desired state of the host from the slices it has. */
export type Planner = (slices: ReadonlyMap<SliceKey, Slice>, local: LocalState) => DesiredState;

/**
 * A planner for one host. The result depends on the arguments alone; what the planner keeps are encoded entries of slices,
 * endpoints and policies that are still the same objects, so that a change costs what it touches.
 */
export function createPlanner(host: string): Planner {
  const planPolicies = createPolicyPlanner();
  const planEndpoints = createEndpointPlanner();
  const remoteHosts = createRemoteHosts(host);
  return (slices, local) => {
    const context = createContext(slices, local);
    const maps = emptyMaps();
    const policies = planPolicies(context, policyUses(context));
    for (const policy of policies.values()) if (policy.ok) claim(maps, policy.entries);
    const { vifs, errors } = resolveVifs(context, policies);
    for (const vif of vifs) {
      claim(maps, planVif(vif));
      claim(maps, planSources(vif));
    }
    const byNetwork = groupByNetwork(vifs);
    for (const network of context.networks.values()) {
      const local = byNetwork.get(network.id) ?? [];
      claim(maps, planEndpoints(context, network, local));
      claim(maps, planFlood(network, local, remoteHosts(network)));
    }
    planFabric(maps, context, remoteHosts);
    return {
      maps,
      vifs: attachedVifs(context),
      hostLinks: planHostLinks(context),
      guests: new Map(vifs.map((vif): [number, GuestRecord] => [vif.slot, planGuest(vif)])),
      errors,
    };
  };
}

/** What does not belong to one port or network: routes and peers. */
function planFabric(maps: EntryMaps, context: PlanContext, remoteHosts: RemoteHosts): void {
  for (const router of context.routers.values()) claim(maps, planRoutes(context, router));
  claim(maps, planPeers([...context.networks.values()].flatMap(remoteHosts)));
}

function groupByNetwork(vifs: readonly Vif[]): ReadonlyMap<string, readonly Vif[]> {
  const groups = new Map<string, Vif[]>();
  for (const vif of vifs) {
    const list = groups.get(vif.network.id) ?? [];
    list.push(vif);
    groups.set(vif.network.id, list);
  }
  return groups;
}
