import { defineStory, type Story } from '../../story.ts';
import { ADMINISTRATION_CHECKS } from './administration.ts';
import { OVN_CHECKS } from './ovn.ts';
import { MANY_WORLD } from './world.ts';

/** What Gluon promised, in one VM. */
export const MANY: Story = defineStory({
  name: 'many',
  sentence: 'One VM on many kinds of networks at once: Neutron’s by the vrouter, and OVN’s.',
  world: MANY_WORLD,
  checks: [...ADMINISTRATION_CHECKS, ...OVN_CHECKS],
});
