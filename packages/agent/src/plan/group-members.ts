import { parseOrder } from './address.ts';
import { groupTopic, type StatedFact } from './topics.ts';
import { type Family, itemFamily } from './unit.ts';

/** A member of a group: its addresses; one that cannot be parsed matches nothing. */
export const GROUP_MEMBERS: Family = itemFamily(
  { name: 'group member', slice: 'group', subject: 'host' },
  ({ scope }, { networkId, addresses }) => {
    const key = groupTopic(scope, networkId);
    const facts = addresses.flatMap((text): StatedFact[] => {
      const member = parseOrder(text);
      return member === undefined ? [] : [{ topic: 'group-prefix', key, member, value: null }];
    });
    return { facts };
  },
);
