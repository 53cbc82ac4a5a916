import type { LocalPort, LoggedPolicy, SliceHeader } from '@cable/model';
import { idOf } from '../plan/inputs.ts';

/** Where headers of slices are read; undefined: it has not been received. */
type Headers = {
  header<K extends 'network_policies' | 'cluster_policies'>(kind: K, id: string): SliceHeader<K> | undefined;
};

const NONE: readonly LoggedPolicy[] = [];

/** The port's network policies of which something is written down. */
export function loggedPolicies(
  { networkPolicies }: Pick<LocalPort, 'networkPolicies'>,
  slices: Headers,
): readonly LoggedPolicy[] {
  if (networkPolicies === undefined) return NONE;
  const { tiers, logged = NONE } = slices.header('network_policies', idOf(networkPolicies)) ?? {};
  const ofCluster = tiers === undefined ? undefined : slices.header('cluster_policies', idOf(tiers))?.logged;
  return ofCluster === undefined ? logged : [...logged, ...ofCluster];
}

/** Whose namespace the pods with these policies are in, `<cluster>/<namespace>`, as its name says; without policies of the namespace: `<cluster>/-`. */
export function namespaceOf({ networkPolicies = 'network_policies:' }: Pick<LocalPort, 'networkPolicies'>): string {
  return idOf(networkPolicies).split('/', 2).join('/');
}
