/**
 * Rules for callers of one class (roles, scope): whatever these decide is decided, and rules are put in place of their names. What is left
 * depends on the target, and on which user and project the caller is.
 */
import { type Credentials, credentialTexts } from './credentials.ts';
import type { Expression, Template, Wanted } from './expression.ts';
import { type RuleSet, ruleNamed } from './rules.ts';

/** What callers have in common for whom rules are decided together. */
export type CallerClass = Pick<Credentials, 'roles' | 'systemScope'> & { readonly isAdmin: boolean };

/** The left side of a comparison: texts of which one must fit, or where they are among the credentials. */
export type Left =
  | { readonly kind: 'texts'; readonly texts: readonly string[] }
  | { readonly kind: 'credential'; readonly path: readonly string[] };

/** What is left of a rule. The same value for the same rule. `ignoreCase`: of letters, on both sides. */
export type Condition =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Condition[] }
  | { readonly kind: 'not'; readonly part: Condition }
  | { readonly kind: 'equals'; readonly left: Left; readonly right: Template; readonly ignoreCase: boolean }
  | { readonly kind: 'field'; readonly resource: string; readonly field: string; readonly wanted: Wanted }
  /** The object is the caller’s project’s, or one of its lists of grants has that or every one. */
  | { readonly kind: 'granted'; readonly lists: readonly string[] };

const ALWAYS: Condition = { kind: 'constant', value: true };
/** True for nobody. */
export const NEVER: Condition = { kind: 'constant', value: false };

/** The conditions of every rule for a class of callers; null: for any caller, with nothing decided. Remembers them. */
export function createConditions(rules: RuleSet, callers: CallerClass | null): (rule: string) => Condition {
  const known = new Map<string, Condition>();
  const named = (name: string): Condition => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const expression = ruleNamed(rules, name);
    const condition = expression === undefined ? NEVER : specialise(expression);
    known.set(name, condition);
    return condition;
  };
  const specialise = (expression: Expression): Condition => {
    switch (expression.kind) {
      case 'constant':
        return expression.value ? ALWAYS : NEVER;
      case 'and':
      case 'or':
        return joined(expression.kind, expression.parts.map(specialise));
      case 'not':
        return negated(specialise(expression.part));
      case 'rule':
        return named(expression.name);
      case 'role':
        return comparison(callers, { kind: 'credential', path: ['roles'] }, expression.role, true);
      case 'match': {
        const { left, right } = expression;
        return comparison(
          callers,
          left.kind === 'literal' ? { kind: 'texts', texts: [left.text] } : left,
          right,
          false,
        );
      }
      case 'field':
        return expression;
    }
  };
  return named;
}

/** False: the credentials alone decide. */
export function dependsOnTarget(condition: Condition): boolean {
  switch (condition.kind) {
    case 'constant':
      return false;
    case 'and':
    case 'or':
      return condition.parts.some(dependsOnTarget);
    case 'not':
      return dependsOnTarget(condition.part);
    case 'equals':
      return constantOf(condition.right) === undefined;
    case 'field':
    case 'granted':
      return true;
  }
}

/** The text of a template without places; undefined: it has some. */
export function constantOf(template: Template): string | undefined {
  return template.every((part) => typeof part === 'string') ? template.join('') : undefined;
}

function comparison(callers: CallerClass | null, left: Left, right: Template, ignoreCase: boolean): Condition {
  const constant = constantOf(right);
  const known = left.kind === 'texts' ? left.texts : classTexts(callers, left.path, constant !== undefined);
  if (known === undefined) return { kind: 'equals', left, right, ignoreCase };
  const texts = ignoreCase ? known.map((one) => one.toLowerCase()) : known;
  if (texts.length === 0) return NEVER;
  if (constant === undefined) return { kind: 'equals', left: { kind: 'texts', texts }, right, ignoreCase };
  return texts.includes(ignoreCase ? constant.toLowerCase() : constant) ? ALWAYS : NEVER;
}

/** Texts of a credential that the class decides; undefined: it does not. */
function classTexts(
  callers: CallerClass | null,
  path: readonly string[],
  besideConstant: boolean,
): readonly string[] | undefined {
  if (callers === null || path.length > 1) return undefined;
  if (path[0] === 'roles') return callers.roles;
  if (path[0] === 'is_admin') return [callers.isAdmin ? 'True' : 'False'];
  return path[0] === 'system_scope' ? credentialTexts(callers.systemScope, [], besideConstant) : undefined;
}

/** Both, or one of them. */
export function joined(kind: 'and' | 'or', parts: readonly Condition[]): Condition {
  const decides = kind === 'or';
  const open = new Set<Condition>();
  for (const part of parts) {
    if (part.kind === 'constant') {
      if (part.value === decides) return part;
    } else if (part.kind === kind) for (const inner of part.parts) open.add(inner);
    else open.add(part);
  }
  const [first, ...rest] = open;
  if (first === undefined) return decides ? NEVER : ALWAYS;
  return rest.length === 0 ? first : { kind, parts: [first, ...rest] };
}

function negated(part: Condition): Condition {
  if (part.kind === 'constant') return part.value ? NEVER : ALWAYS;
  return part.kind === 'not' ? part.part : { kind: 'not', part };
}
