import type { RuleDefault } from '../rules.ts';

/** Who may do what with networks. */
export const NETWORK_RULES: readonly RuleDefault[] = [
  { name: 'create_network', check: 'rule:regular_user', description: 'Create a network.' },
  { name: 'create_network:shared', check: 'rule:admin_only', description: 'Share a new network with every project.' },
  {
    name: 'create_network:router:external',
    check: 'rule:admin_only',
    description: 'Make a network that leads outside.',
  },
  {
    name: 'create_network:provider:network_type',
    check: 'rule:admin_only',
    description: 'Choose how a new network is carried.',
  },
  {
    name: 'create_network:provider:physical_network',
    check: 'rule:admin_only',
    description: 'Choose the physical network that carries a new network.',
  },
  {
    name: 'create_network:provider:segmentation_id',
    check: 'rule:admin_only',
    description: 'Choose the VNI or VLAN of a new network.',
  },
  { name: 'get_network', check: 'rule:admin_or_owner or rule:shared or rule:external', description: 'See a network.' },
  { name: 'get_network:provider:network_type', check: 'rule:admin_only', description: 'See how a network is carried.' },
  {
    name: 'get_network:provider:physical_network',
    check: 'rule:admin_only',
    description: 'See the physical network of a network.',
  },
  {
    name: 'get_network:provider:segmentation_id',
    check: 'rule:admin_only',
    description: 'See the VNI or VLAN of a network.',
  },
  { name: 'update_network', check: 'rule:admin_or_owner', description: 'Change a network.' },
  {
    name: 'update_network:shared',
    check: 'rule:admin_only',
    description: 'Share a network with every project, or no longer.',
  },
  {
    name: 'update_network:router:external',
    check: 'rule:admin_only',
    description: 'Let a network lead outside, or no longer.',
  },
  { name: 'delete_network', check: 'rule:admin_or_owner', description: 'Delete a network.' },
];
