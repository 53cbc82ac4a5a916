/** What a file gives, looked through: it may be anything. What is in a declaration is looked at when all are put together. */
import { isFields } from '../rows.ts';
import { createBounds, sizeProblem } from './bounds.ts';
import type { ServerExtension } from './extension.ts';

/**
 * The extension that a file gives. Its declaration and rules are copies of what they say as JSON, so that nothing in them runs or changes later. Throws an `Error`
 * that says what is wrong, or what the code throws when it is looked at.
 */
export function extensionOf(given: unknown): ServerExtension {
  const wrong = problemOf(given) ?? createBounds().add(given as Record<string, unknown>);
  if (wrong !== undefined) throw new Error(wrong);
  const { declaration, contributions, rules } = given as ServerExtension;
  return {
    declaration: plain(declaration),
    ...(contributions === undefined ? {} : { contributions }),
    ...(rules === undefined ? {} : { rules: plain(rules) }),
  };
}

function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

const FIELDS: ReadonlySet<string> = new Set<keyof ServerExtension>(['declaration', 'contributions', 'rules']);

function problemOf(given: unknown): string | undefined {
  if (!isFields(given)) return 'it gives no object. Give { declaration, contributions, rules }.';
  const { declaration, contributions = {}, rules = [] } = given;
  const stray = Object.keys(given).find((name) => !FIELDS.has(name));
  if (stray !== undefined) return `it gives ${stray}. Leave it out: there are ${[...FIELDS].join(', ')}.`;
  if (!isFields(declaration) || typeof declaration['alias'] !== 'string') {
    return 'its declaration is no object with an alias. Give it alias, name, description, updated and what it brings.';
  }
  if (!isFields(contributions)) return 'contributions is no object. Give one, by type.';
  for (const [type, one] of Object.entries(contributions)) {
    const wrong = contributionProblem(one);
    if (wrong !== undefined) return `contributions.${type}: ${wrong}`;
  }
  const isRule = (one: unknown): boolean =>
    isFields(one) && typeof one['name'] === 'string' && one['check'] !== undefined;
  if (!Array.isArray(rules) || !rules.every(isRule)) return 'rules is no list of rules. Write each as { name, check }.';
  return sizeProblem(declaration, rules);
}

const FUNCTIONS: ReadonlySet<string> = new Set([
  ...[
    'derive',
    'change',
    'check',
    'remove',
    'created',
    'changed',
    'lockKeys',
    'claims',
    'marks',
    'references',
    'broken',
    'inUse',
  ],
  ...['present', 'madeOf', 'rows', 'listing'],
]);

function contributionProblem(one: unknown): string | undefined {
  if (!isFields(one)) return 'it is no object. Give one with functions.';
  const { actions = {}, ...functions } = one;
  const stray = Object.keys(functions).find((name) => !FUNCTIONS.has(name));
  if (stray !== undefined) return `there is no ${stray}. Name one of ${[...FUNCTIONS, 'actions'].join(', ')}.`;
  const odd = Object.entries(functions).find(([, value]) => typeof value !== 'function');
  if (odd !== undefined) return `${odd[0]} is no function. Make it one.`;
  const late = Object.entries(functions).find(([name, value]) => name !== 'listing' && isAsync(value));
  if (late !== undefined)
    return `${late[0]} is async, and nothing waits for it. Only actions and listing may be: make it a plain function.`;
  const isHandler = (value: unknown): boolean => typeof value === 'function';
  if (isFields(actions) && Object.values(actions).every(isHandler)) return undefined;
  return 'actions is no object with functions. Give one function an action, by name.';
}

function isAsync(value: unknown): boolean {
  return Object.prototype.toString.call(value).startsWith('[object Async');
}
