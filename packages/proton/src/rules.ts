/**
 * Rules over the attributes of an object, in CEL. Of the language there is what makes no value larger than those it is given, nested twice
 * at most: so what a rule costs is known from the size of the object, before it is asked.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { listed } from './fields.ts';
import type { JsonSchema, ProtonAttribute } from './model.ts';
import { compilePattern, patternProblem } from './patterns.ts';
import type { Weight } from './weight.ts';

/** Undefined where the rule holds; else why it does not, if that is more than that it is false. */
export type RuleCheck = (values: Readonly<Record<string, unknown>>, weight: Weight) => RuleAnswer;

export type RuleAnswer = 'holds' | 'broken' | { readonly error: string };

/** What is wrong with a rule. */
export class RuleError extends Error {}

const TEXT_MAX = 2000;

const LIMITS = { maxAstNodes: 200, maxDepth: 24, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 4 };

/** Loops within loops. */
const NESTED_MAX = 2;

/** What is searched for, and what a text is parted by. */
const NEEDLE_MAX = 256;

/**
 * Steps, of some hundred nanoseconds, that a rule may take at most. An object that could need more is refused: two lists of a hundred, each
 * compared with each, are far below.
 */
const COST_MAX = 2_000_000;

/** Characters or values that are compared in a step. */
const WORK_OF_STEP = 512;

export const RULE_FUNCTIONS = ['size', 'has', 'int', 'double', 'string', 'timestamp'] as const;

export const RULE_METHODS = [
  'size',
  'startsWith',
  'endsWith',
  'contains',
  'matches',
  'split',
  'lowerAscii',
  'upperAscii',
  'trim',
] as const;

export const RULE_LOOPS = ['all', 'exists', 'exists_one', 'filter'] as const;

/** Throws a `RuleError` for what is no rule: another language, an attribute that is not there, what may cost too much. */
export function compileRule(rule: string, attributes: readonly ProtonAttribute[]): RuleCheck {
  if (rule.length > TEXT_MAX) throw new RuleError(`it has more than ${TEXT_MAX} characters`);
  const writer = new Writer(new Set(attributes.map(({ name }) => name)));
  const text = writer.write(parseRule(rule), new Map());
  const environment = environmentOf(attributes.filter(({ name }) => writer.used.has(name)));
  const run = environment.parse(text);
  const { valid, type, error } = run.check();
  if (!valid) throw new RuleError(summary(error));
  if (type !== 'bool' && type !== 'dyn') throw new RuleError(`it is ${type}, and neither true nor false`);
  const used = attributes.filter(({ name }) => writer.used.has(name));
  return (values, weight) => {
    if (cost(weight, writer) > COST_MAX)
      return { error: 'the object is too large for this rule: shorten its lists and texts' };
    try {
      return run(contextOf(used, values)) === true ? 'holds' : 'broken';
    } catch (err) {
      return { error: summary(err) };
    }
  };
}

function cost({ longestList, longestText, total }: Weight, { nested, nodes, splits }: Writer): number {
  const turns = Math.max(longestList, splits ? longestText + 1 : 0, LIMITS.maxListElements);
  return (nested === 0 ? 1 : turns ** nested) * (1 + (total * nodes) / WORK_OF_STEP);
}

function parseRule(rule: string): ASTNode {
  try {
    return new Environment({ unlistedVariablesAreDyn: true, limits: LIMITS }).parse(rule).ast;
  } catch (err) {
    throw new RuleError(summary(err));
  }
}

/** The first sentence, without the picture of the place; our names of variables are theirs again. */
function summary(err: unknown): string {
  const text = err instanceof Error ? err.message : String(err);
  return (text.split('\n')[0] ?? '').replaceAll(/\b[av]_(?=\w)/g, '');
}

const OPERATORS: ReadonlySet<string> = new Set([
  '<',
  '<=',
  '>',
  '>=',
  '==',
  '!=',
  'in',
  '+',
  '-',
  '*',
  '/',
  '%',
  '||',
  '&&',
]);

/** Writes a rule anew, of what is allowed only: attributes become `a_NAME`, variables of loops `v_NAME`, so that no word of CEL is in their way. */
class Writer {
  readonly used = new Set<string>();
  readonly #attributes: ReadonlySet<string>;
  nested = 0;
  nodes = 0;
  splits = false;

  constructor(attributes: ReadonlySet<string>) {
    this.#attributes = attributes;
  }

  /** `scope` has the variables of loops around, each with how many are open. */
  write(node: ASTNode, scope: ReadonlyMap<string, number>): string {
    this.nodes += 1;
    switch (node.op) {
      case 'value':
        return literal(node.args);
      case 'id':
        return this.#name(node.args, scope);
      case '.':
        return `(${this.write(node.args[0], scope)}).${node.args[1]}`;
      case '[]':
        return `(${this.write(node.args[0], scope)})[${this.write(node.args[1], scope)}]`;
      case 'list':
        return `[${node.args.map((item) => this.write(item, scope)).join(', ')}]`;
      case 'map':
        return `{${node.args.map(([key, value]) => `${this.write(key, scope)}: ${this.write(value, scope)}`).join(', ')}}`;
      case '?:': {
        const [condition, left, right] = node.args.map((one) => this.write(one, scope));
        return `(${condition} ? ${left} : ${right})`;
      }
      case '!_':
        return `!(${this.write(node.args, scope)})`;
      case '-_':
        return `-(${this.write(node.args, scope)})`;
      case 'call':
        return this.#call(node.args, scope);
      case 'rcall':
        return this.#method(node.args, scope);
      default:
        return this.#operator(node, scope);
    }
  }

  #operator(node: ASTNode, scope: ReadonlyMap<string, number>): string {
    if (!OPERATORS.has(node.op) || !isPair(node.args)) throw new RuleError(`${node.op} is not for rules`);
    const [left, right] = node.args;
    return `(${this.write(left, scope)} ${node.op} ${this.write(right, scope)})`;
  }

  #name(name: string, scope: ReadonlyMap<string, number>): string {
    if (scope.has(name)) return `v_${name}`;
    if (!this.#attributes.has(name)) throw new RuleError(`there is no attribute ${name}`);
    this.used.add(name);
    return `a_${name}`;
  }

  #call([name, args]: [string, ASTNode[]], scope: ReadonlyMap<string, number>): string {
    if (!(RULE_FUNCTIONS as readonly string[]).includes(name)) {
      throw new RuleError(`${name}() is not for rules, which have ${listed(RULE_FUNCTIONS)}`);
    }
    return `${name}(${args.map((one) => this.write(one, scope)).join(', ')})`;
  }

  #method([name, receiver, args]: [string, ASTNode, ASTNode[]], scope: ReadonlyMap<string, number>): string {
    if ((RULE_LOOPS as readonly string[]).includes(name)) return this.#loop(name, receiver, args, scope);
    if (!(RULE_METHODS as readonly string[]).includes(name)) {
      throw new RuleError(`.${name}() is not for rules, which have ${listed([...RULE_METHODS, ...RULE_LOOPS])}`);
    }
    if (name === 'matches' || name === 'contains' || name === 'split') checkNeedle(name, args);
    if (name === 'split') this.splits = true;
    const word = name === 'matches' ? 'matchesLinear' : name;
    const written = args.map((one) => this.write(one, scope)).join(', ');
    return `(${this.write(receiver, scope)}).${word}(${written})`;
  }

  #loop(name: string, receiver: ASTNode, args: ASTNode[], scope: ReadonlyMap<string, number>): string {
    const [variable, body] = args;
    if (args.length !== 2 || variable?.op !== 'id' || body === undefined) {
      throw new RuleError(`.${name}() takes a name and what is to be true of it`);
    }
    const depth = Math.max(0, ...scope.values()) + 1;
    if (depth > NESTED_MAX) throw new RuleError(`loops are nested deeper than ${NESTED_MAX}`);
    this.nested = Math.max(this.nested, depth);
    const inner = new Map([...scope, [variable.args, depth]]);
    return `(${this.write(receiver, scope)}).${name}(v_${variable.args}, ${this.write(body, inner)})`;
  }
}

/** Patterns and what is searched are written in the rule: a text of a tenant’s is none. */
function checkNeedle(name: string, args: readonly ASTNode[]): void {
  const [needle] = args;
  if (args.length !== 1 || needle?.op !== 'value' || typeof needle.args !== 'string') {
    throw new RuleError(`.${name}() takes one text in quotes`);
  }
  if (needle.args.length > NEEDLE_MAX) throw new RuleError(`the text of .${name}() is longer than ${NEEDLE_MAX}`);
  const problem = name === 'matches' ? patternProblem(needle.args) : undefined;
  if (problem !== undefined) throw new RuleError(`the pattern is not understood: ${problem}`);
}

function isPair(args: unknown): args is [ASTNode, ASTNode] {
  return Array.isArray(args) && args.length === 2;
}

function literal(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint' || typeof value === 'boolean' || value === null) return String(value);
  if (typeof value !== 'number') throw new RuleError('bytes and unsigned numbers are not for rules');
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

function environmentOf(attributes: readonly ProtonAttribute[]): Environment {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { ...LIMITS, maxAstNodes: 400, maxDepth: 120 },
  });
  for (const attribute of attributes) environment.registerVariable(`a_${attribute.name}`, celType(attribute));
  const patterns = new Map<string, ReturnType<typeof compilePattern>>();
  environment.registerFunction('string.matchesLinear(string): bool', (text: string, pattern: string) => {
    const compiled = patterns.get(pattern) ?? compilePattern(pattern);
    patterns.set(pattern, compiled);
    return compiled.test(text);
  });
  return environment;
}

const CEL_TYPES: Readonly<Record<string, string>> = {
  string: 'string',
  integer: 'int',
  number: 'double',
  boolean: 'bool',
  array: 'list',
  object: 'map',
};

function celType({ schema, nullable }: ProtonAttribute): string {
  return nullable ? 'dyn' : (CEL_TYPES[typeOf(schema)] ?? 'dyn');
}

function typeOf(schema: JsonSchema): string {
  if (typeof schema === 'boolean') return '';
  const { type } = schema;
  if (typeof type === 'string') return type;
  const values = schema['enum'];
  return Array.isArray(values) && values.every((value) => typeof value === 'string') ? 'string' : '';
}

function contextOf(
  attributes: readonly ProtonAttribute[],
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ name, schema }) => [
      `a_${name}`,
      celValue(Object.hasOwn(values, name) ? values[name] : null, schema),
    ]),
  );
}

/** Integers as CEL has them, maps as such, since a key may be any word. */
function celValue(value: unknown, schema: JsonSchema): unknown {
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && typeOf(schema) !== 'number' ? BigInt(value) : value;
  if (value === undefined) return null;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = memberSchema(schema, 'items');
    return value.map((item) => celValue(item, items));
  }
  return new Map(Object.entries(value).map(([key, one]) => [key, celValue(one, propertySchema(schema, key))]));
}

function memberSchema(schema: JsonSchema, keyword: string): JsonSchema {
  const member = typeof schema === 'boolean' ? undefined : schema[keyword];
  return typeof member === 'object' && member !== null ? (member as JsonSchema) : true;
}

function propertySchema(schema: JsonSchema, key: string): JsonSchema {
  const properties = memberSchema(schema, 'properties');
  if (typeof properties === 'object' && Object.hasOwn(properties, key)) return properties[key] as JsonSchema;
  return memberSchema(schema, 'additionalProperties');
}
