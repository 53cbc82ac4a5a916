import type { ModuleTable } from '../engine/module.ts';
import { automaticAddressesModule } from './automatic-addresses.ts';
import { networkDnsModule, portDnsModule } from './dns.ts';
import { externalNetworkModule } from './external-network.ts';
import { floatingIpModule, portFloatingIpsModule } from './floating-ip.ts';
import { agentModule, hostModule } from './host.ts';
import { networkModule } from './network.ts';
import { portModule } from './port.ts';
import { portDhcpOptionsModule } from './port-dhcp-options.ts';
import { portGuestModule } from './port-guest.ts';
import { networkQosModule, portQosModule, qosPolicyModule, qosRuleModule, qosRuleTypeModule } from './qos.ts';
import { quotaDetailsModule, quotaModule } from './quota.ts';
import { renameHostModule } from './rename-host.ts';
import { routerModule } from './router.ts';
import { routerGatewayModule } from './router-gateway.ts';
import { routerInterfacesModule } from './router-interfaces.ts';
import { securityGroupModule } from './security-group.ts';
import { securityGroupRuleModule } from './security-group-rule.ts';
import { subnetModule } from './subnet.ts';

/** What is not declarative, by resource. */
export const MODULES: ModuleTable = {
  network: [networkModule, externalNetworkModule, networkDnsModule, networkQosModule],
  subnet: [subnetModule, automaticAddressesModule],
  port: [portModule, portFloatingIpsModule, portDhcpOptionsModule, portDnsModule, portGuestModule, portQosModule],
  router: [routerModule, routerGatewayModule, routerInterfacesModule],
  floatingip: [floatingIpModule],
  security_group: [securityGroupModule],
  security_group_rule: [securityGroupRuleModule],
  qos_policy: [qosPolicyModule],
  qos_bandwidth_limit_rule: [qosRuleModule('qos_bandwidth_limit_rule')],
  qos_packet_rate_limit_rule: [qosRuleModule('qos_packet_rate_limit_rule')],
  qos_dscp_marking_rule: [qosRuleModule('qos_dscp_marking_rule')],
  qos_rule_type: [qosRuleTypeModule],
  quota: [quotaModule, quotaDetailsModule],
  host: [hostModule, renameHostModule],
  agent: [agentModule],
};
