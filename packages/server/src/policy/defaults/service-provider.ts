import type { RuleDefault } from '../rules.ts';
import { ANYBODY } from './words.ts';

/** Who may see what provides services. */
export const SERVICE_PROVIDER_RULES: readonly RuleDefault[] = [
  { name: 'get_service_provider', check: 'role:reader', zed: ANYBODY, description: 'See what provides services.' },
];
