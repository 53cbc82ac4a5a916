import { peeredNetworks } from './peerings.ts';
import type { PlannedNetwork } from './topics.ts';
import { type Family, type PlanReader, topicFamily } from './unit.ts';

/** Networks that packets can come from, or go to, with their own source address: the network itself and those joined to it by its routers. */
export function joinedNetworks(reader: Pick<PlanReader, 'facts'>, networkId: string): ReadonlySet<string> {
  const joined = new Set([networkId]);
  for (const { value } of reader.facts('leg-in', networkId).values()) {
    for (const { value: other } of reader.facts('leg-of', value.routerId).values()) joined.add(other.networkId);
  }
  return joined;
}

/** The same, and those of which peerings of these routers let something through. */
export function connectedNetworks(reader: Pick<PlanReader, 'facts'>, networkId: string): ReadonlySet<string> {
  return new Set([...joinedNetworks(reader, networkId), ...peeredNetworks(reader, networkId).keys()]);
}

/** Where the endpoints of a network may send to on this host: what is routed is routed where it comes from, and enters with the receiver's network. */
export const REACH: Family = topicFamily(
  { name: 'reach', topic: 'network', subject: 'host' },
  ({ scope: networkId }, reader) => {
    const value: PlannedNetwork[] = [];
    for (const id of [...connectedNetworks(reader, networkId)].sort()) {
      const network = reader.facts('near', id).size > 0 ? reader.facts('network', id).get('') : undefined;
      if (network?.value.isTunnelled === true) value.push(network.value);
    }
    return { facts: [{ topic: 'reach', key: networkId, member: '', value }] };
  },
);
