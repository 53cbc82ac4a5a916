/** An operator's file of rules: YAML or JSON, a mapping of names to rules, as oslo.policy reads it. */
import { ExpectedError } from '@cable/kit';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { nameOfNeutron } from './neutron-names.ts';
import type { RuleText } from './rule-text.ts';
import { formatProblem, type PolicyError } from './rules.ts';

/** The file cannot be used; the message says where and why. */
export class PolicyFileError extends ExpectedError {
  override name = 'PolicyFileError';
}

/** Rules by name, and the line of the file where each stands. */
export type PolicyOverrides = {
  readonly rules: Readonly<Record<string, RuleText>>;
  readonly lines: ReadonlyMap<string, number>;
  /** As it is called in messages. */
  readonly file: string;
};

/** Largest file. Neutron's whole sample has some 100 KiB. */
const MOST_CHARACTERS = 2 << 20;
const MOST_RULES = 10_000;

/** Reads the text of a file. Throws `PolicyFileError`. */
export function parsePolicyFile(text: string, file: string): PolicyOverrides {
  if (text.length > MOST_CHARACTERS) throw new PolicyFileError(`${file} has more than ${MOST_CHARACTERS} characters`);
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, uniqueKeys: true, prettyErrors: false });
  const lineOf = (node: unknown): number => counter.linePos((node as Node).range?.[0] ?? 0).line;
  const [error] = document.errors;
  if (error !== undefined) {
    throw new PolicyFileError(`${file}, line ${counter.linePos(error.pos[0]).line}: ${error.message}`);
  }
  const { contents } = document;
  // A file that says nothing overrides nothing: the sample that Neutron generates has comments alone.
  if (contents === null || (isScalar(contents) && contents.value === null))
    return { rules: {}, lines: new Map(), file };
  if (!isMap(contents)) throw new PolicyFileError(`${file} is no mapping of names to rules`);
  if (contents.items.length > MOST_RULES) throw new PolicyFileError(`${file} has more than ${MOST_RULES} rules`);
  const rules = new Map<string, RuleText>();
  const lines = new Map<string, number>();
  for (const { key, value } of contents.items) {
    const line = lineOf(key);
    if (!isScalar(key) || typeof key.value !== 'string') {
      throw new PolicyFileError(`${file}, line ${line}: a name of a rule is a text`);
    }
    const rule = ruleOf(value);
    if (rule === undefined) {
      throw new PolicyFileError(
        `${file}, line ${line}: rule ${key.value} is neither a text nor a list of lists: write "" for always, "!" for never`,
      );
    }
    rules.set(key.value, rule);
    lines.set(key.value, line);
  }
  return { rules: Object.fromEntries(rules), lines, file };
}

/** The same error with the lines of the file that it is about; undefined: it is about none of its rules. */
export function inFile(err: PolicyError, { file, lines }: PolicyOverrides): PolicyFileError | undefined {
  const byName = new Map(
    [...lines].flatMap(([name, line]) => [[nameOfNeutron(name), line] as const, [name, line] as const]),
  );
  const isOfFile = err.problems.some(({ rule }) => byName.has(rule));
  if (!isOfFile) return undefined;
  const told = err.problems.map((problem) => {
    const line = byName.get(problem.rule);
    return `${file}${line === undefined ? '' : `, line ${line}`}: ${formatProblem(problem)}`;
  });
  return new PolicyFileError(told.join('\n'));
}

/** Undefined: it is none. Nothing at all is none either: oslo takes it for "always". */
function ruleOf(node: unknown): RuleText | undefined {
  if (isScalar(node)) return typeof node.value === 'string' ? node.value : undefined;
  if (!isSeq(node)) return undefined;
  const value: unknown = node.toJSON();
  const isText = (one: unknown): one is string => typeof one === 'string';
  const isFine = Array.isArray(value) && value.every((one) => isText(one) || (Array.isArray(one) && one.every(isText)));
  return isFine ? (value as RuleText) : undefined;
}
