import type { RuleDefault } from '../rules.ts';
import { ANYBODY } from './words.ts';

/** Who may see the zones that hosts are in. */
export const AVAILABILITY_ZONE_RULES: readonly RuleDefault[] = [
  { name: 'get_availability_zone', check: 'role:reader', zed: ANYBODY, description: 'See the availability zones.' },
];
