/**
 * The text of rules: oslo.policy's language with what Neutron adds to it (`field:`, look-ups through a parent).
 *
 *   or:    and { "or" and }         and:  unary { "and" unary }        unary: "not" unary | "(" or ")" | check
 *   check: "@" | "!" | role:R | rule:N | field:RESOURCE:ATTRIBUTE=VALUE | LEFT:RIGHT
 *   LEFT:  'text' | "text" | number | True | False | None | credential { "." key }
 *   RIGHT: text with %(attribute)s in it, and %% for a per cent sign
 *
 * Tokens stand apart by white space, but for parentheses. What oslo takes for `!` because it does not understand it is refused here.
 */
import { type Expression, FALSE, type Operand, type Template, TRUE } from './expression.ts';
import { parsePattern } from './pattern.ts';

/** A rule as it is written: text, or the old form: a list (or) of lists (and) of checks. */
export type RuleText = string | readonly (string | readonly string[])[];

/** The rule, or where it cannot be understood (`position` counts characters from 0; of the list form, within the check) and why. */
export type ParsedRule =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly position: number; readonly reason: string };

/** Most checks in one rule. */
const CHECKS_MAX = 1000;
/** Most parentheses and `not` in one another. */
const DEPTH_MAX = 50;
/** Most characters of a rule. */
const LENGTH_MAX = 100_000;

class RuleTextError extends Error {
  readonly position: number;

  constructor(position: number, reason: string) {
    super(reason);
    this.position = position;
  }
}

type Token = { readonly kind: '(' | ')' | 'and' | 'or' | 'not' | 'check'; readonly text: string; readonly at: number };

/** Understands a rule; the cost is linear in its length. Empty text and an empty list allow everything. */
export function parseRule(rule: RuleText): ParsedRule {
  try {
    return { ok: true, expression: typeof rule === 'string' ? parseText(rule) : parseLists(rule) };
  } catch (err) {
    if (!(err instanceof RuleTextError)) throw err;
    return { ok: false, position: err.position, reason: err.message };
  }
}

function parseText(text: string): Expression {
  if (text === '') return TRUE;
  if (text.length > LENGTH_MAX) throw new RuleTextError(LENGTH_MAX, `the rule has more than ${LENGTH_MAX} characters`);
  const reader = new RuleReader(tokensOf(text), text.length);
  return reader.read();
}

function parseLists(lists: readonly (string | readonly string[])[]): Expression {
  if (lists.length === 0) return TRUE;
  const filled = lists.map((one) => (typeof one === 'string' ? [one] : one)).filter((one) => one.length > 0);
  if (filled.flat().length > CHECKS_MAX) throw new RuleTextError(0, `the rule has more than ${CHECKS_MAX} checks`);
  if (filled.length === 0) return FALSE;
  return joined(
    'or',
    filled.map((checks) =>
      joined(
        'and',
        checks.map((text) => parseCheck(text, 0)),
      ),
    ),
  );
}

function joined(kind: 'and' | 'or', parts: readonly Expression[]): Expression {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : { kind, parts };
}

/** Reads the tokens of one rule. */
class RuleReader {
  readonly #tokens: readonly Token[];
  readonly #end: number;
  #at = 0;
  #depth = 0;
  #checks = 0;

  constructor(tokens: readonly Token[], end: number) {
    this.#tokens = tokens;
    this.#end = end;
  }

  read(): Expression {
    const expression = this.#or();
    const rest = this.#tokens[this.#at];
    if (rest?.kind === ')') throw new RuleTextError(rest.at, 'there is no parenthesis to close');
    if (rest !== undefined)
      throw new RuleTextError(rest.at, `and, or, or the end is expected before ${quoted(rest.text)}`);
    return expression;
  }

  #or(): Expression {
    const parts = [this.#and()];
    while (this.#take('or') !== undefined) parts.push(this.#and());
    return joined('or', parts);
  }

  #and(): Expression {
    const parts = [this.#unary()];
    while (this.#take('and') !== undefined) parts.push(this.#unary());
    return joined('and', parts);
  }

  #unary(): Expression {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new RuleTextError(this.#end, 'a check is expected before the end');
    this.#at += 1;
    if (token.kind === 'check') return this.#check(token);
    if (token.kind !== 'not' && token.kind !== '(') {
      throw new RuleTextError(token.at, `a check is expected before ${quoted(token.text)}`);
    }
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new RuleTextError(token.at, `more than ${DEPTH_MAX} levels in one another`);
    const inner: Expression = token.kind === 'not' ? { kind: 'not', part: this.#unary() } : this.#or();
    if (token.kind === '(' && this.#take(')') === undefined) {
      throw new RuleTextError(token.at, 'a parenthesis that is not closed');
    }
    this.#depth -= 1;
    return inner;
  }

  #check(token: Token): Expression {
    this.#checks += 1;
    if (this.#checks > CHECKS_MAX) throw new RuleTextError(token.at, `the rule has more than ${CHECKS_MAX} checks`);
    return parseCheck(token.text, token.at);
  }

  #take(kind: Token['kind']): Token | undefined {
    const token = this.#tokens[this.#at];
    if (token?.kind !== kind) return undefined;
    this.#at += 1;
    return token;
  }
}

/** Parentheses at the ends of a word are tokens, but for closing ones whose opening one is inside the word: `%(name)s`, `=~^(a|b)`. */
function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const { 0: word, index } of text.matchAll(/\S+/g)) {
    let [start, end] = [0, word.length];
    while (word[start] === '(') {
      tokens.push({ kind: '(', text: '(', at: index + start });
      start += 1;
    }
    for (let open = unclosed(word, start); open < 0 && word[end - 1] === ')' && end > start; open += 1) end -= 1;
    if (end > start) tokens.push(wordToken(word.slice(start, end), index + start));
    for (let at = end; at < word.length; at += 1) tokens.push({ kind: ')', text: ')', at: index + at });
  }
  return tokens;
}

/** Opening parentheses less closing ones. */
function unclosed(word: string, start: number): number {
  let open = 0;
  for (let at = start; at < word.length; at += 1) {
    if (word[at] === '(') open += 1;
    else if (word[at] === ')') open -= 1;
  }
  return open;
}

function wordToken(text: string, at: number): Token {
  const lower = text.toLowerCase();
  return { kind: lower === 'and' || lower === 'or' || lower === 'not' ? lower : 'check', text, at };
}

function parseCheck(text: string, at: number): Expression {
  if (text === '@') return TRUE;
  if (text === '!') return FALSE;
  const colon = leftLength(text, at);
  if (colon < 0) throw new RuleTextError(at, `${quoted(text)} is no check: it has no colon`);
  const [kind, match, matchAt] = [text.slice(0, colon), text.slice(colon + 1), at + colon + 1];
  if ((kind === 'role' || kind === 'rule') && match === '') throw new RuleTextError(matchAt, `${kind}: names none`);
  if (kind === 'rule') return { kind: 'rule', name: match };
  if (kind === 'role') return { kind: 'role', role: parseTemplate(match, matchAt) };
  if (kind === 'field') return parseField(match, matchAt);
  if (kind === 'http' || kind === 'https')
    throw new RuleTextError(at, 'rules that ask other services are not supported');
  return { kind: 'match', left: parseOperand(kind, at), right: parseTemplate(match, matchAt) };
}

/** Where the colon after the left side is; negative: nowhere. One in quotes does not count. */
function leftLength(text: string, at: number): number {
  const [quote] = text;
  if (quote !== "'" && quote !== '"') return text.indexOf(':');
  const close = text.indexOf(quote, 1);
  if (close < 0) throw new RuleTextError(at, 'a quotation that is not closed in its word');
  if (close === text.length - 1) throw new RuleTextError(at, `${text} alone is no check`);
  if (text[close + 1] !== ':') throw new RuleTextError(at + close + 1, 'a colon is expected after the quotation');
  return close + 1;
}

function parseOperand(text: string, at: number): Operand {
  if (text === 'True' || text === 'False' || text === 'None') return { kind: 'literal', text };
  if (/^['"]/.test(text)) {
    if (text.includes('\\')) throw new RuleTextError(at + text.indexOf('\\'), 'a quotation has no escapes');
    return { kind: 'literal', text: text.slice(1, -1) };
  }
  if (/^-?(?:0|[1-9]\d*)$/.test(text)) return { kind: 'literal', text };
  if (!/^[A-Za-z_][\w-]*(?:\.[\w-]+)*$/.test(text)) {
    throw new RuleTextError(at, `${quoted(text)} is neither a literal nor the name of a credential`);
  }
  return { kind: 'credential', path: text.split('.') };
}

function parseTemplate(text: string, at: number): Template {
  const parts: (string | { readonly attribute: string })[] = [];
  let plain = '';
  let end = 0;
  for (const { 0: found, 1: attribute, index } of text.matchAll(/%%|%\(([^()%]+)\)s|%/g)) {
    plain += text.slice(end, index);
    end = index + found.length;
    if (found === '%') throw new RuleTextError(at + index, 'after % stands (attribute)s, or another %');
    if (attribute === undefined) plain += '%';
    else {
      if (plain !== '') parts.push(plain);
      parts.push({ attribute });
      plain = '';
    }
  }
  plain += text.slice(end);
  return plain === '' ? parts : [...parts, plain];
}

function parseField(match: string, at: number): Expression {
  const [, resource, field, value] = /^([^:=]+):([^=]+)=(.*)$/s.exec(match) ?? [];
  if (resource === undefined || field === undefined || value === undefined) {
    throw new RuleTextError(at, 'field: is followed by RESOURCE:ATTRIBUTE=VALUE');
  }
  if (!value.startsWith('~')) return { kind: 'field', resource, field, wanted: { kind: 'text', text: value } };
  const parsed = parsePattern(value.slice(1));
  if (parsed.ok) return { kind: 'field', resource, field, wanted: { kind: 'pattern', pattern: parsed.pattern } };
  throw new RuleTextError(at + match.length - value.length + 1 + parsed.position, parsed.reason);
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 50 ? `${text.slice(0, 50)}…` : text);
}
