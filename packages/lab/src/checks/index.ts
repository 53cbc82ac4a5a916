import { AGENT_RESTART_CHECKS } from './agent-restart.ts';
import type { Check } from './check.ts';
import { DELETE_CHECKS } from './delete-all.ts';
import { LEASE_CHECKS } from './leases.ts';
import { METADATA_CHECKS } from './metadata.ts';
import { REACHABILITY_CHECKS } from './reachability.ts';
import { SECURITY_GROUP_CHECKS } from './security-groups.ts';
import { SERVER_RESTART_CHECKS } from './server-restart.ts';
import { SPOOFING_CHECKS } from './spoofing.ts';
import { TENANT_CHECKS } from './tenants.ts';
import { TRANSFER_CHECKS } from './transfer.ts';

/** Every check, in the order in which they run: deletion last. */
export const ALL_CHECKS: readonly Check[] = [
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

/** Names that `--only` takes. */
export const CHECK_GROUPS: readonly string[] = [...new Set(ALL_CHECKS.map((check) => check.group))];
