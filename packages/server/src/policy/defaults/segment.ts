import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

/** Who may do what with segments: administrators, in Neutron’s older defaults too. */
export const SEGMENT_RULES: readonly RuleDefault[] = [
  { name: 'create_segment', check: ADMIN, description: 'Give a network a segment.' },
  { name: 'get_segment', check: ADMIN, description: 'See segments.' },
  { name: 'update_segment', check: ADMIN, description: 'Change a segment.' },
  { name: 'delete_segment', check: ADMIN, description: 'Take a segment from a network.' },
  { name: 'create_network:segments', check: ADMIN, description: 'Choose how a new network is carried, as a list.' },
  { name: 'create_subnet:segment_id', check: ADMIN, description: 'Choose the segment of a new subnet.' },
];
