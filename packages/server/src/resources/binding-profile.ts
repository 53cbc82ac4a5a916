/** How long the profile of a port's binding may be. */
import { CableError } from '@cable/model';

type Profile = Readonly<Record<string, unknown>>;

/** Neutron's column for it, in characters. */
const MOST = 4095;

/** Throws `InvalidInput` for a profile that is longer as JSON than Neutron keeps. */
export function checkProfile(profile: Profile | null): void {
  if (profile === null || jsonLength(profile) <= MOST) return;
  throw new CableError('InvalidInput', 'Invalid input for operation: binding:profile value too large.', {
    detail: `As JSON it has more than ${MOST} characters.`,
  });
}

/** As Python writes it: in ASCII, with a space behind each comma and colon. */
function jsonLength(value: unknown): number {
  if (typeof value === 'string') return JSON.stringify(value).replaceAll(/[\u007f-\uffff]/g, '\\u0000').length;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value).length;
  const parts = Array.isArray(value)
    ? value.map(jsonLength)
    : Object.entries(value).map(([name, one]) => jsonLength(name) + 2 + jsonLength(one));
  return parts.reduce((sum, one) => sum + one + 2, 2) - (parts.length === 0 ? 0 : 2);
}
