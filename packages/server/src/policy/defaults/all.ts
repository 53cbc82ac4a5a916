import type { RuleDefault } from '../rules.ts';
import { ADDRESS_GROUP_RULES } from './address-group.ts';
import { ADDRESS_SCOPE_RULES } from './address-scope.ts';
import { AGENT_RULES } from './agent.ts';
import { AUTO_ALLOCATED_TOPOLOGY_RULES } from './auto-allocated-topology.ts';
import { AVAILABILITY_ZONE_RULES } from './availability-zone.ts';
import { BASE_RULES } from './base.ts';
import { DEFAULT_SECURITY_GROUP_RULE_RULES } from './default-security-group-rule.ts';
import { FLAVOR_RULES } from './flavor.ts';
import { FLOATING_IP_RULES } from './floating-ip.ts';
import { HOST_RULES } from './host.ts';
import { KUBERNETES_RULES } from './kubernetes.ts';
import { LOG_RULES } from './log.ts';
import { NETWORK_RULES } from './network.ts';
import { NETWORK_SEGMENT_RANGE_RULES } from './network-segment-range.ts';
import { PLUGIN_RULES } from './plugin.ts';
import { PORT_RULES } from './port.ts';
import { PROTON_RULES } from './proton.ts';
import { QOS_RULES } from './qos.ts';
import { QUOTA_RULES } from './quota.ts';
import { RBAC_RULES } from './rbac.ts';
import { ROUTER_RULES } from './router.ts';
import { SECURITY_GROUP_RULES } from './security-group.ts';
import { SECURITY_GROUP_RULE_RULES } from './security-group-rule.ts';
import { SEGMENT_RULES } from './segment.ts';
import { SERVICE_RULES } from './service.ts';
import { SERVICE_PROVIDER_RULES } from './service-provider.ts';
import { SUBNET_RULES } from './subnet.ts';
import { SUBNET_POOL_RULES } from './subnet-pool.ts';
import { TAP_RULES } from './tap.ts';
import { TRUNK_RULES } from './trunk.ts';

/** The rules that Cable ships with. */
export const DEFAULT_RULES: readonly RuleDefault[] = [
  ...BASE_RULES,
  ...NETWORK_RULES,
  ...NETWORK_SEGMENT_RANGE_RULES,
  ...SEGMENT_RULES,
  ...SUBNET_RULES,
  ...SUBNET_POOL_RULES,
  ...ADDRESS_GROUP_RULES,
  ...ADDRESS_SCOPE_RULES,
  ...AUTO_ALLOCATED_TOPOLOGY_RULES,
  ...PORT_RULES,
  ...PLUGIN_RULES,
  ...ROUTER_RULES,
  ...FLOATING_IP_RULES,
  ...TRUNK_RULES,
  ...TAP_RULES,
  ...SECURITY_GROUP_RULES,
  ...SECURITY_GROUP_RULE_RULES,
  ...DEFAULT_SECURITY_GROUP_RULE_RULES,
  ...QOS_RULES,
  ...RBAC_RULES,
  ...QUOTA_RULES,
  ...HOST_RULES,
  ...AGENT_RULES,
  ...AVAILABILITY_ZONE_RULES,
  ...SERVICE_PROVIDER_RULES,
  ...SERVICE_RULES,
  ...FLAVOR_RULES,
  ...LOG_RULES,
  ...KUBERNETES_RULES,
  ...PROTON_RULES,
];
