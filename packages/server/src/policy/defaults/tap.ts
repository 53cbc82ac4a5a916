import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY, OF_CLUSTER } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;
const OWN_READERS = {
  check: `${ADMIN_OR_READER} or ${OF_CLUSTER}`,
  zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER}`,
} as const;
const READERS = { check: ADMIN_OR_READER, zed: ADMIN_OR_OWNER } as const;
const MAKERS = { check: ADMIN_OR_MEMBER, zed: ANYBODY } as const;

/** Who may do what with taps and mirrors. A collector is reached from the hosts' own addresses: an administrator says where it is. */
export const TAP_RULES: readonly RuleDefault[] = [
  { name: 'create_tap_service', ...MAKERS, description: 'Create a tap service.' },
  { name: 'get_tap_service', ...OWN_READERS, description: 'See a tap service.' },
  { name: 'update_tap_service', ...MEMBERS, description: 'Change a tap service.' },
  { name: 'delete_tap_service', ...MEMBERS, description: 'Delete a tap service.' },
  { name: 'create_tap_flow', ...MAKERS, description: 'Create a tap flow.' },
  { name: 'get_tap_flow', ...OWN_READERS, description: 'See a tap flow.' },
  { name: 'update_tap_flow', ...MEMBERS, description: 'Change a tap flow.' },
  { name: 'delete_tap_flow', ...MEMBERS, description: 'Delete a tap flow.' },
  { name: 'create_tap_mirror', check: ADMIN, description: 'Create a tap mirror.' },
  { name: 'get_tap_mirror', ...READERS, description: 'See a tap mirror.' },
  { name: 'update_tap_mirror', ...MEMBERS, description: 'Change a tap mirror.' },
  { name: 'delete_tap_mirror', ...MEMBERS, description: 'Delete a tap mirror.' },
];
