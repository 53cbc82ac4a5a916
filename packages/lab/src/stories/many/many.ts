import { defineStory, type Story } from '../../story.ts';
import { ADMINISTRATION_CHECKS } from './administration.ts';
import { CHAIN_CHECKS } from './chain.ts';
import { DELETE_CHECKS } from './delete.ts';
import { OVN_CHECKS } from './ovn.ts';
import { RESTART_CHECKS } from './restart.ts';
import { VPN_CHECKS } from './vpn.ts';
import { MANY_WORLD } from './world.ts';

/** What Gluon promised, in one VM. */
export const MANY: Story = defineStory({
  name: 'many',
  sentence:
    'One VM has ports on the vrouter, on OVN and on an L3VPN at once; its traffic in the VPN is led through a chain of functions, and its administration is a Neutron network’s.',
  world: MANY_WORLD,
  checks: [
    ...ADMINISTRATION_CHECKS,
    ...OVN_CHECKS,
    ...VPN_CHECKS,
    ...CHAIN_CHECKS,
    ...RESTART_CHECKS,
    ...DELETE_CHECKS,
  ],
});
