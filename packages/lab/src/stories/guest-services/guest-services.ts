import { defineStory, type Story } from '../../story.ts';
import { DHCP_CHECKS } from './dhcp.ts';
import { DNS_CHECKS } from './dns.ts';
import { METADATA_CHECKS } from './metadata.ts';
import { OUTSIDE_CHECKS } from './outside.ts';
import { GUEST_SERVICES_WORLD } from './world.ts';

/** DHCP, metadata and DNS for other people’s clients. */
export const GUEST_SERVICES: Story = defineStory({
  name: 'guest-services',
  sentence:
    'DHCP, metadata and DNS: what ports, subnets, Nova and name servers outside say, heard by udhcpc, dhclient, curl and dig.',
  world: GUEST_SERVICES_WORLD,
  checks: [...OUTSIDE_CHECKS, ...DHCP_CHECKS, ...METADATA_CHECKS, ...DNS_CHECKS],
});
