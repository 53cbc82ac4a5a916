import type { IpPrefix } from './address.ts';

/** Prefixes that may be left, by `prefixesLeft`, of all that the NetworkPolicies of one set name. Rules for which there is no room are closed. */
export const POLICY_PREFIXES_MAX = 16_384;

/** The same of policies of a cluster: an administrator's, in which each address of a node is one. */
export const CLUSTER_POLICY_PREFIXES_MAX = 65_536;

/** How many prefixes may be left of one with holes, at the most: by that policies are reckoned. */
export function prefixesLeft(whole: IpPrefix, holes: readonly IpPrefix[]): number {
  return holes.reduce((sum, hole) => sum + Math.max(0, hole.prefixLength - whole.prefixLength), 1);
}
