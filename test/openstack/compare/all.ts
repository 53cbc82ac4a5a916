/** All that is compared. */
import type { Script, Subject } from '../compare-cases.ts';
import { NETWORKS } from './networks.ts';
import * as others from './others.ts';
import { PORTS } from './ports.ts';
import { QOS_POLICIES, QOS_RULES } from './qos.ts';
import { FLOATING_IPS, PORT_FORWARDINGS, ROUTERS } from './routers.ts';
import { ADDRESS_GROUPS, SECURITY_GROUP_RULES, SECURITY_GROUPS } from './security-groups.ts';
import { SUBNETS } from './subnets.ts';
import { TRUNKS } from './trunks.ts';

/** Those whose name begins with `prefix`, in order. */
export function subjectsOf(prefix: string): readonly (Script | Subject)[] {
  return SUBJECTS.filter(({ name }) => name.startsWith(prefix));
}

const SUBJECTS: readonly (Script | Subject)[] = [
  ...[NETWORKS, SUBNETS, PORTS, ROUTERS, FLOATING_IPS, PORT_FORWARDINGS, SECURITY_GROUPS, SECURITY_GROUP_RULES],
  ...[ADDRESS_GROUPS, QOS_POLICIES, ...QOS_RULES, TRUNKS, others.SUBNET_POOLS, others.ADDRESS_SCOPES],
  ...[others.RBAC_POLICIES, others.SEGMENT_RANGES, others.SEGMENTS, others.FLAVORS, others.SERVICE_PROFILES],
  ...[others.LOGS, others.REST],
];
