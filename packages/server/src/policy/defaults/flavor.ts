import type { RuleDefault } from '../rules.ts';
import { ADMIN, ANYBODY } from './words.ts';

/** Who may do what with flavors and their profiles. */
export const FLAVOR_RULES: readonly RuleDefault[] = [
  { name: 'create_flavor', check: ADMIN, description: 'Create a flavor.' },
  { name: 'get_flavor', check: 'role:reader', zed: ANYBODY, description: 'See a flavor.' },
  { name: 'update_flavor', check: ADMIN, description: 'Change a flavor.' },
  { name: 'delete_flavor', check: ADMIN, description: 'Delete a flavor.' },
  { name: 'create_service_profile', check: ADMIN, description: 'Create a service profile.' },
  { name: 'get_service_profile', check: ADMIN, description: 'See a service profile.' },
  { name: 'update_service_profile', check: ADMIN, description: 'Change a service profile.' },
  { name: 'delete_service_profile', check: ADMIN, description: 'Delete a service profile.' },
  { name: 'create_flavor_service_profile', check: ADMIN, description: 'Give a flavor a profile more.' },
  { name: 'delete_flavor_service_profile', check: ADMIN, description: 'Take a profile from a flavor.' },
  { name: 'get_flavor_next_provider', check: ADMIN, description: 'See who provides the service of a flavor.' },
];
