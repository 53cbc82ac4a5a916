/** What a converter has at hand besides its object. */
import { GROUP, VERSION } from '../custom/definition.ts';
import type { Source } from './source.ts';

/** The Vpc that everything of Kube-OVN is in that names none. */
export const DEFAULT_VPC = 'ovn-cluster';

export type World = {
  /** Where objects are made: the namespace of Cable's controller. */
  readonly namespace: string;
  /** Where SecurityGroups and QosPolicies are made, one copy in each. */
  readonly namespaces: readonly string[];
  /** Name or ID of the network outside; undefined: it is not said. */
  readonly externalNetwork: string | undefined;
  /** Objects of Kube-OVN of that kind. */
  readonly of: (kind: string) => readonly Source[];
};

export type Converted = readonly object[];

/** A custom resource in the place of the source. `namespace` undefined: that of the controller. */
export function made(
  source: Source,
  world: World,
  kind: string,
  spec: object,
  namespace: string = world.namespace,
): object {
  const { name, labels } = source;
  const metadata = { name, namespace, ...(labels === undefined ? {} : { labels }) };
  return { apiVersion: `${GROUP}/${VERSION}`, kind, metadata, spec };
}

/** A field that is left out where it would say nothing. */
export function some(name: string, values: readonly unknown[]): object {
  return values.length === 0 ? {} : { [name]: values };
}
