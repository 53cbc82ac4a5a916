import type { Check } from '../../checks/check.ts';
import { defineStory, type Story } from '../../story.ts';
import { AGENT_RESTART_CHECKS } from './agent-restart.ts';
import { DELETE_CHECKS } from './delete-all.ts';
import { LEASE_CHECKS } from './leases.ts';
import { METADATA_CHECKS } from './metadata.ts';
import { REACHABILITY_CHECKS } from './reachability.ts';
import { SECURITY_GROUP_CHECKS } from './security-groups.ts';
import { SERVER_RESTART_CHECKS } from './server-restart.ts';
import { SPOOFING_CHECKS } from './spoofing.ts';
import { TENANT_CHECKS } from './tenants.ts';
import { TRANSFER_CHECKS } from './transfer.ts';
import { DEMO_WORLD, type DemoWorld } from './world.ts';

/** Deletion last. */
const CHECKS: readonly Check<DemoWorld>[] = [
  ...LEASE_CHECKS,
  ...METADATA_CHECKS,
  ...REACHABILITY_CHECKS,
  ...TENANT_CHECKS,
  ...SECURITY_GROUP_CHECKS,
  ...SPOOFING_CHECKS,
  ...TRANSFER_CHECKS,
  ...AGENT_RESTART_CHECKS,
  ...SERVER_RESTART_CHECKS,
  ...DELETE_CHECKS,
];

/** What `npm run lab` shows. */
export const DEMO: Story = defineStory({
  name: 'demo',
  sentence:
    'The demonstration: VMs, a pod and machines of two tenants on three hosts, and everything that Cable does for them.',
  world: DEMO_WORLD,
  checks: CHECKS,
});
