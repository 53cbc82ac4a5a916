import type { RuleDefault } from '../rules.ts';

/** Who may do what with taps and mirrors. A collector is reached from the hosts' own addresses: an administrator says where it is. */
export const TAP_RULES: readonly RuleDefault[] = [
  { name: 'create_tap_service', check: 'rule:regular_user', description: 'Create a tap service.' },
  { name: 'get_tap_service', check: 'rule:admin_or_owner', description: 'See a tap service.' },
  { name: 'update_tap_service', check: 'rule:admin_or_owner', description: 'Change a tap service.' },
  { name: 'delete_tap_service', check: 'rule:admin_or_owner', description: 'Delete a tap service.' },
  { name: 'create_tap_flow', check: 'rule:regular_user', description: 'Create a tap flow.' },
  { name: 'get_tap_flow', check: 'rule:admin_or_owner', description: 'See a tap flow.' },
  { name: 'update_tap_flow', check: 'rule:admin_or_owner', description: 'Change a tap flow.' },
  { name: 'delete_tap_flow', check: 'rule:admin_or_owner', description: 'Delete a tap flow.' },
  { name: 'create_tap_mirror', check: 'rule:admin_only', description: 'Create a tap mirror.' },
  { name: 'get_tap_mirror', check: 'rule:admin_or_owner', description: 'See a tap mirror.' },
  { name: 'update_tap_mirror', check: 'rule:admin_or_owner', description: 'Change a tap mirror.' },
  { name: 'delete_tap_mirror', check: 'rule:admin_or_owner', description: 'Delete a tap mirror.' },
];
