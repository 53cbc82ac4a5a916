import type { GroupMember } from '@cable/model';
import { parseOrder } from './address.ts';
import { EVERY_NETWORK, groupTopic, type StatedFact } from './topics.ts';
import { type Family, headerFamily, itemFamily } from './unit.ts';

/** A member of a group: its addresses; one that cannot be parsed matches nothing. */
export const GROUP_MEMBERS: Family = itemFamily(
  { name: 'group member', slice: 'group', subject: 'host' },
  ({ scope }, member) => ({ facts: memberFacts(scope, member) }),
);

/** The same of a pod of a namespace that a selector of a network policy selects. */
export const PODS: Family = itemFamily(
  { name: 'selected pod', slice: 'pods', subject: 'host' },
  ({ scope }, member) => ({ facts: memberFacts(scope, member) }),
);

/** The same of a cluster. */
export const CLUSTER_PODS: Family = itemFamily(
  { name: 'selected pod of a cluster', slice: 'cluster_pods', subject: 'host' },
  ({ scope }, member) => ({ facts: memberFacts(scope, member) }),
);

/** The same of a leg of a pod in private subnets. */
export const PRIVATE_LEGS: Family = itemFamily(
  { name: 'leg of a private subnet', slice: 'private_legs', subject: 'host' },
  ({ scope }, member) => ({ facts: memberFacts(scope, member) }),
);

function memberFacts(scope: string, { networkId, addresses }: GroupMember): readonly StatedFact[] {
  const key = groupTopic(scope, networkId);
  return addresses.flatMap((text): StatedFact[] => {
    const member = parseOrder(text);
    return member === undefined ? [] : [{ topic: 'group-prefix', key, member, value: null }];
  });
}

/** An address group: its addresses are of no network, and so of each. */
export const ADDRESS_GROUPS: Family = headerFamily(
  { name: 'address group', slice: 'group', subject: 'host' },
  ({ scope }, { addresses = [] }) => {
    const key = groupTopic(scope, EVERY_NETWORK);
    const facts: StatedFact[] = [];
    for (const text of addresses) {
      const member = parseOrder(text);
      if (member !== undefined) facts.push({ topic: 'group-prefix', key, member, value: null });
    }
    return { facts };
  },
);
