import { parseOrder } from './address.ts';
import { EVERY_NETWORK, groupTopic, type StatedFact } from './topics.ts';
import { type Family, headerFamily, itemFamily } from './unit.ts';

/** A member of a group: its addresses; one that cannot be parsed matches nothing. */
export const GROUP_MEMBERS: Family = itemFamily(
  { name: 'group member', slice: 'group', subject: 'host' },
  ({ scope }, { networkId, addresses }) => {
    const key = groupTopic(scope, networkId);
    const facts: StatedFact[] = [];
    for (const text of addresses) {
      const member = parseOrder(text);
      if (member !== undefined) facts.push({ topic: 'group-prefix', key, member, value: null });
    }
    return { facts };
  },
);

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
