import type { RuleDefault } from '../rules.ts';
import {
  ADMIN,
  ADMIN_OR_MEMBER,
  ADMIN_OR_NETWORK_MEMBER,
  ADMIN_OR_NETWORK_OWNER,
  ADMIN_OR_OWNER,
  ADMIN_OR_READER,
  ANYBODY,
  MEMBER,
  NETWORK_MEMBER,
  NETWORK_READER,
  OF_CLUSTER,
  SERVICE,
} from './words.ts';

const OWNERS = `${ADMIN_OR_MEMBER} or ${NETWORK_MEMBER}`;

/** Who may do what with subnets. */
export const SUBNET_RULES: readonly RuleDefault[] = [
  {
    name: 'external_network',
    check: 'rule:external',
    description: 'The subnet is of a network that leads outside.',
  },
  {
    name: 'create_subnet',
    check: ADMIN_OR_NETWORK_MEMBER,
    // Of whom the network is shared with, too: what Neutron 21 has as old defaults and as new ones it allows by either.
    zed: `${ADMIN_OR_NETWORK_OWNER} or ${MEMBER}`,
    description: 'Create a subnet in a network.',
  },
  {
    name: 'get_subnet',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER} or rule:cluster_pods or ${NETWORK_READER} or ${SERVICE} or rule:shared or rule:external_network`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER} or rule:cluster_pods or rule:shared`,
    description: 'See a subnet.',
  },
  {
    name: 'update_subnet',
    check: OWNERS,
    zed: `${ADMIN_OR_NETWORK_OWNER} or rule:owner`,
    description: 'Change a subnet.',
  },
  {
    name: 'delete_subnet',
    check: OWNERS,
    zed: `${ADMIN_OR_NETWORK_OWNER} or rule:owner`,
    description: 'Delete a subnet.',
  },
  // Neutron 21 has these rules, and asks them of nobody.
  {
    name: 'create_subnet:service_types',
    check: ADMIN,
    zed: ANYBODY,
    description: 'Say for which ports a new subnet is.',
  },
  ...['create_subnet', 'update_subnet'].map((verb) => ({
    name: `${verb}:cable:nat_outgoing`,
    // As the cluster’s own project alone: outside, an address without translation is the operator’s to give.
    check: `${ADMIN} or ${OF_CLUSTER}`,
    description: 'Let what leaves a subnet by nodes keep its own address, or no more.',
  })),
  ...['create_subnet', 'update_subnet'].map((verb) => ({
    name: `${verb}:cable:gateway_nodes`,
    // As the cluster’s own project alone: outside, who leaves by a node is taken for it.
    check: `${ADMIN} or ${OF_CLUSTER}`,
    description: 'Say by which nodes a subnet leaves.',
  })),
  { name: 'update_subnet:service_types', check: ADMIN, zed: ANYBODY, description: 'Say for which ports a subnet is.' },
];
