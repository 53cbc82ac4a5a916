import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

/** Who may do what with ranges of VNIs and VLANs: administrators, in Neutron’s older defaults too. */
export const NETWORK_SEGMENT_RANGE_RULES: readonly RuleDefault[] = (
  [
    ['create', 'Create a range of VNIs or VLANs.'],
    ['get', 'See ranges of VNIs and VLANs.'],
    ['update', 'Change a range of VNIs or VLANs.'],
    ['delete', 'Delete a range of VNIs or VLANs.'],
  ] as const
).map(([verb, description]) => ({ name: `${verb}_network_segment_range`, check: ADMIN, description }));
