import { parseOrder } from './address.ts';
import { groupTopic, type StatedFact } from './topics.ts';
import { type Family, itemFamily } from './unit.ts';

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
