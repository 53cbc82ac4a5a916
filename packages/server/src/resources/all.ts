import type { HookTable } from '../engine/module.ts';
import { agentHooks, hostHooks } from './host.ts';
import { networkHooks } from './network.ts';
import { portHooks } from './port.ts';
import { routerHooks } from './router.ts';
import { securityGroupHooks } from './security-group.ts';
import { securityGroupRuleHooks } from './security-group-rule.ts';
import { subnetHooks } from './subnet.ts';

/** What is not declarative, by resource. */
export const HOOKS: HookTable = {
  network: networkHooks,
  subnet: subnetHooks,
  port: portHooks,
  router: routerHooks,
  security_group: securityGroupHooks,
  security_group_rule: securityGroupRuleHooks,
  host: hostHooks,
  agent: agentHooks,
};
