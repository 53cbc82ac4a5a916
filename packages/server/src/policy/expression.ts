import type { Pattern } from './pattern.ts';

/** Text with places for attributes of the target: `%(project_id)s` is `[{ attribute: 'project_id' }]`. */
export type Template = readonly (string | { readonly attribute: string })[];

/** The left side of a comparison: a text, or where it is among the credentials (`token.user.id` is three steps). */
export type Operand =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'credential'; readonly path: readonly string[] };

/** What `field:` compares with: a text (booleans and numbers by what they are written as), or a pattern. */
export type Wanted =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'pattern'; readonly pattern: Pattern };

/** A check of oslo.policy's language, understood. */
export type Expression =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Expression[] }
  | { readonly kind: 'not'; readonly part: Expression }
  /** Another rule. */
  | { readonly kind: 'rule'; readonly name: string }
  /** One of the caller's roles; letter case does not matter. */
  | { readonly kind: 'role'; readonly role: Template }
  | { readonly kind: 'match'; readonly left: Operand; readonly right: Template }
  /** An attribute of the target, or else of the object of `resource` (name or plural) that it is part of. */
  | { readonly kind: 'field'; readonly resource: string; readonly field: string; readonly wanted: Wanted };

/** Always. */
export const TRUE: Expression = { kind: 'constant', value: true };

/** Never. */
export const FALSE: Expression = { kind: 'constant', value: false };

/**
 * A value as rules see it, Python's way: `True`, `False`, `None`, digits. Undefined for what is not there, and for lists and objects, which
 * equal no text.
 */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null) return 'None';
  return typeof value === 'number' ? String(value) : undefined;
}
