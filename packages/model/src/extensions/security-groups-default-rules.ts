import type { Resource } from '../declaration.ts';
import { defaultSecurityGroupRuleResource } from '../resources/default-security-group-rule.ts';

/** What new security groups begin with. */
export const securityGroupsDefaultRulesExtension = {
  alias: 'security-groups-default-rules',
  name: 'Default rules for security groups',
  description: 'The rules that new security groups begin with.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['security-groups-remote-address-group'],
  resources: [defaultSecurityGroupRuleResource] as readonly Resource[],
} as const;
