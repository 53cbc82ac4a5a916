/** Whether what is stored of an object is what its declaration takes. */
import { isDeepStrictEqual } from 'node:util';
import { parseValue } from '@cable/api';
import type { Attribute } from '@cable/model';

/**
 * Why the stored value of an attribute is none that the declaration takes; undefined: it is one. Stored is what a request's value was made to, so text of digits
 * is no integer here. Null, or no value, is stored where nobody gave one and there is no default.
 */
export function storedProblem(attribute: Attribute, value: unknown): string | undefined {
  if (value === null || value === undefined) return emptyProblem(attribute, value);
  const parsed = parseValue(attribute, value);
  if (!parsed.ok) return parsed.reason;
  if (parsed.value === value || isDeepStrictEqual(parsed.value, value)) return undefined;
  const [had, has] = [value, parsed.value].map((one) => JSON.stringify(one).slice(0, 300));
  return `${had} is stored, which would be ${has}`;
}

function emptyProblem(
  { nullable, required, default: standard }: Attribute,
  value: null | undefined,
): string | undefined {
  if (value === null && nullable) return undefined;
  if (required) return 'it is required, and there is none';
  return value === null && standard !== undefined ? 'it is null, which is not one of its values' : undefined;
}
