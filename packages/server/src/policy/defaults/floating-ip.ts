import type { RuleDefault } from '../rules.ts';
import {
  ADMIN,
  ADMIN_OR_MANAGER,
  ADMIN_OR_MEMBER,
  ADMIN_OR_OWNER,
  ADMIN_OR_PARENT_MEMBER,
  ADMIN_OR_PARENT_OWNER,
  ADMIN_OR_PARENT_READER,
  ADMIN_OR_READER,
  ANYBODY,
  OF_CLUSTER,
} from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;
const PARENT_MEMBERS = { check: ADMIN_OR_PARENT_MEMBER, zed: ADMIN_OR_PARENT_OWNER } as const;

/** Who may do what with floating IPs and their port forwardings. */
export const FLOATING_IP_RULES: readonly RuleDefault[] = [
  { name: 'create_floatingip', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create a floating IP.' },
  {
    name: 'create_floatingip:floating_ip_address',
    check: ADMIN_OR_MANAGER,
    zed: ADMIN,
    description: 'Choose the address of a new floating IP.',
  },
  {
    name: 'get_floatingip',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER}`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER}`,
    description: 'See a floating IP.',
  },
  { name: 'update_floatingip', ...MEMBERS, description: 'Change a floating IP.' },
  { name: 'delete_floatingip', ...MEMBERS, description: 'Delete a floating IP.' },
  {
    name: 'get_floatingip_pool',
    check: ADMIN_OR_READER,
    zed: ANYBODY,
    description: 'See which subnets addresses of floating IPs come from.',
  },
  {
    name: 'create_port_forwarding',
    ...PARENT_MEMBERS,
    description: 'Forward a port of a floating IP.',
  },
  {
    name: 'get_port_forwarding',
    check: ADMIN_OR_PARENT_READER,
    zed: ADMIN_OR_PARENT_OWNER,
    description: 'See a port forwarding.',
  },
  { name: 'update_port_forwarding', ...PARENT_MEMBERS, description: 'Change a port forwarding.' },
  { name: 'delete_port_forwarding', ...PARENT_MEMBERS, description: 'Delete a port forwarding.' },
];
