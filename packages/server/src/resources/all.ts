import type { ModuleTable } from '../engine/module.ts';
import { automaticAddressesModule } from './automatic-addresses.ts';
import { networkDnsModule, portDnsModule } from './dns.ts';
import { agentModule, hostModule } from './host.ts';
import { networkModule } from './network.ts';
import { portModule } from './port.ts';
import { portDhcpOptionsModule } from './port-dhcp-options.ts';
import { portGuestModule } from './port-guest.ts';
import { quotaDetailsModule, quotaModule } from './quota.ts';
import { renameHostModule } from './rename-host.ts';
import { routerModule } from './router.ts';
import { routerInterfacesModule } from './router-interfaces.ts';
import { securityGroupModule } from './security-group.ts';
import { securityGroupRuleModule } from './security-group-rule.ts';
import { subnetModule } from './subnet.ts';

/** What is not declarative, by resource. */
export const MODULES: ModuleTable = {
  network: [networkModule, networkDnsModule],
  subnet: [subnetModule, automaticAddressesModule],
  port: [portModule, portDhcpOptionsModule, portDnsModule, portGuestModule],
  router: [routerModule, routerInterfacesModule],
  security_group: [securityGroupModule],
  security_group_rule: [securityGroupRuleModule],
  quota: [quotaModule, quotaDetailsModule],
  host: [hostModule, renameHostModule],
  agent: [agentModule],
};
