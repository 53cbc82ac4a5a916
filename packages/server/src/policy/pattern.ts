/**
 * Regular expressions of rules (`field:ports:device_owner=~^network:`). What they look through comes from tenants, so they are matched in time that
 * is linear in the text whatever the pattern: all ways through the pattern are followed at once, none is tried anew. Python's syntax but for
 * what cannot be had so: no look-around, no back references; nor flags.
 */

/** A pattern that was understood. */
export type Pattern = {
  /** True when the text has a match at its start, as Python's `re.match` says. */
  test(text: string): boolean;
};

/** A pattern, or where it cannot be understood (`position` counts from 0) and why. */
export type ParsedPattern =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly position: number; readonly reason: string };

type CharTest = (code: number) => boolean;

/** `branches`: one of them; `parts`: one after the other; `repeat`: `max` null is no end. */
type Node =
  | { readonly kind: 'char'; readonly test: CharTest }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'branches' | 'parts'; readonly nodes: readonly Node[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly min: number; readonly max: number | null };

/** One step of the compiled pattern; `to`: the steps that follow without a character. */
type Step =
  | { readonly op: 'char'; readonly test: CharTest }
  | { readonly op: 'start' | 'end' | 'accept' }
  | { readonly op: 'go'; readonly to: number[] };

/** Most steps of a pattern: what a character of the text may cost. */
const STEPS_MAX = 256;
const DEPTH_MAX = 20;

class PatternError extends Error {
  readonly position: number;

  constructor(position: number, reason: string) {
    super(reason);
    this.position = position;
  }
}

/** Understands a pattern, at a cost that is linear in its length. */
export function parsePattern(text: string): ParsedPattern {
  try {
    const steps: Step[] = [];
    emit(new PatternParser(text).parse(), steps);
    steps.push({ op: 'accept' });
    return { ok: true, pattern: { test: (subject) => runs(steps, subject) } };
  } catch (err) {
    if (!(err instanceof PatternError)) throw err;
    return { ok: false, position: err.position, reason: err.message };
  }
}

/** Follows every way through the steps at once. */
function runs(steps: readonly Step[], text: string): boolean {
  const seen = new Int32Array(steps.length).fill(-1);
  let current: number[] = [];
  if (enter(steps, 0, 0, text, seen, current)) return true;
  for (let at = 0; at < text.length && current.length > 0; at += 1) {
    const code = text.charCodeAt(at);
    const next: number[] = [];
    for (const place of current) {
      const step = steps[place];
      if (step?.op !== 'char' || !step.test(code)) continue;
      if (enter(steps, place + 1, at + 1, text, seen, next)) return true;
    }
    current = next;
  }
  return false;
}

/** Adds the steps that wait for a character at `at`; true when the pattern ends there. */
function enter(
  steps: readonly Step[],
  first: number,
  at: number,
  text: string,
  seen: Int32Array,
  into: number[],
): boolean {
  const open = [first];
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    if (seen[place] === at) continue;
    seen[place] = at;
    const step = steps[place];
    if (step === undefined) continue;
    if (step.op === 'accept') return true;
    if (step.op === 'char') into.push(place);
    else if (step.op === 'go') open.push(...step.to);
    else if (step.op === 'start' ? at === 0 : at === text.length) open.push(place + 1);
  }
  return false;
}

function emit(node: Node, steps: Step[]): void {
  if (steps.length > STEPS_MAX) throw new PatternError(0, `the pattern has more than ${STEPS_MAX} steps`);
  switch (node.kind) {
    case 'char':
      steps.push({ op: 'char', test: node.test });
      return;
    case 'start':
    case 'end':
      steps.push({ op: node.kind });
      return;
    case 'parts':
      for (const part of node.nodes) emit(part, steps);
      return;
    case 'branches':
      emitBranches(node.nodes, steps);
      return;
    case 'repeat':
      emitRepeat(node.node, node.min, node.max, steps);
  }
}

function emitBranches(nodes: readonly Node[], steps: Step[]): void {
  const starts: number[] = [];
  const ends: number[][] = [];
  steps.push({ op: 'go', to: starts });
  for (const branch of nodes) {
    starts.push(steps.length);
    emit(branch, steps);
    const end: number[] = [];
    ends.push(end);
    steps.push({ op: 'go', to: end });
  }
  for (const end of ends) end.push(steps.length);
}

function emitRepeat(node: Node, min: number, max: number | null, steps: Step[]): void {
  const start = steps.length;
  for (let count = 0; count < min; count += 1) {
    emit(node, steps);
    if (steps.length === start) return;
  }
  const exits: number[][] = [];
  for (let count = min; max !== null && count < max; count += 1) {
    const to = [steps.length + 1];
    exits.push(to);
    steps.push({ op: 'go', to });
    emit(node, steps);
  }
  if (max === null) {
    const to = [steps.length + 1];
    const loop = steps.length;
    exits.push(to);
    steps.push({ op: 'go', to });
    emit(node, steps);
    steps.push({ op: 'go', to: [loop] });
  }
  for (const exit of exits) exit.push(steps.length);
}

const DIGIT: CharTest = (code) => code >= 48 && code <= 57;
const WORD: CharTest = (code) =>
  DIGIT(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
const SPACE: CharTest = (code) => code === 32 || (code >= 9 && code <= 13);
const not =
  (test: CharTest): CharTest =>
  (code) =>
    !test(code);
const CLASSES: Readonly<Record<string, CharTest>> = {
  d: DIGIT,
  D: not(DIGIT),
  w: WORD,
  W: not(WORD),
  s: SPACE,
  S: not(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

/** One pattern being read. */
class PatternParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node {
    const node = this.#branches();
    if (this.#at < this.#text.length) throw this.#error('there is no group to close');
    return node;
  }

  #branches(): Node {
    const nodes = [this.#parts()];
    while (this.#take('|')) nodes.push(this.#parts());
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: 'branches', nodes };
  }

  #parts(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) nodes.push(this.#repeated());
    return { kind: 'parts', nodes };
  }

  #repeated(): Node {
    const start = this.#at;
    const node = this.#atom();
    const range = this.#range();
    if (range === undefined) return node;
    if (node.kind === 'start' || node.kind === 'end') throw this.#error('nothing to repeat', start);
    this.#take('?');
    if (this.#range() !== undefined) throw this.#error('a repeat of a repeat');
    return { kind: 'repeat', node, ...range };
  }

  #range(): { readonly min: number; readonly max: number | null } | undefined {
    if (this.#take('*')) return { min: 0, max: null };
    if (this.#take('+')) return { min: 1, max: null };
    if (this.#take('?')) return { min: 0, max: 1 };
    const [whole, min, comma, max] =
      /^\{(\d{1,3})(,?)(\d{0,3})\}/.exec(this.#text.slice(this.#at, this.#at + 10)) ?? [];
    if (whole === undefined) return undefined;
    const range = { min: Number(min), max: max !== '' ? Number(max) : comma === '' ? Number(min) : null };
    if (range.max !== null && range.max < range.min) throw this.#error('a repeat of at most less than at least');
    this.#at += whole.length;
    return range;
  }

  #atom(): Node {
    const char = this.#next();
    if (char === '(') return this.#group();
    if (char === '[') return { kind: 'char', test: this.#set() };
    if (char === '.') return { kind: 'char', test: (code) => code !== 10 };
    if (char === '^') return { kind: 'start' };
    if (char === '$') return { kind: 'end' };
    if (char === '\\') return this.#escape();
    if ('*+?'.includes(char)) throw this.#error('nothing to repeat', this.#at - 1);
    return { kind: 'char', test: isCode(char.charCodeAt(0)) };
  }

  #group(): Node {
    if (this.#peek() === '?' && !this.#takeAll('?:')) throw this.#error('only groups ( and (?: are known');
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw this.#error(`more than ${DEPTH_MAX} groups in one another`);
    const node = this.#branches();
    this.#depth -= 1;
    if (!this.#take(')')) throw this.#error('a group that is not closed');
    return node;
  }

  #escape(): Node {
    const char = this.#next();
    if (char === 'A') return { kind: 'start' };
    if (char === 'Z') return { kind: 'end' };
    return { kind: 'char', test: CLASSES[char] ?? isCode(this.#escaped(char)) };
  }

  /** The character that an escaped one stands for. */
  #escaped(char: string): number {
    const control = CONTROLS[char];
    if (control !== undefined) return control;
    if (char === '' || /[0-9A-Za-z]/.test(char)) throw this.#error(`\\${char} is not known`, this.#at - 1);
    return char.charCodeAt(0);
  }

  #set(): CharTest {
    const isNegated = this.#take('^');
    const tests: CharTest[] = [];
    do {
      if (this.#at >= this.#text.length) throw this.#error('a set that is not closed');
      tests.push(this.#setItem());
    } while (!this.#take(']'));
    const test: CharTest = (code) => tests.some((one) => one(code));
    return isNegated ? not(test) : test;
  }

  #setItem(): CharTest {
    const first = this.#setCode();
    if (typeof first === 'function') return first;
    if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']') return isCode(first);
    this.#at += 1;
    const last = this.#setCode();
    if (typeof last === 'function' || last < first) throw this.#error('a range that goes nowhere');
    return (code) => code >= first && code <= last;
  }

  #setCode(): number | CharTest {
    const char = this.#next();
    if (char !== '\\') return char.charCodeAt(0);
    const escaped = this.#next();
    return CLASSES[escaped] ?? this.#escaped(escaped);
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #next(): string {
    const char = this.#peek();
    this.#at += 1;
    return char;
  }

  #take(char: string): boolean {
    return this.#takeAll(char);
  }

  #takeAll(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #error(reason: string, position: number = this.#at): PatternError {
    return new PatternError(Math.min(position, this.#text.length), reason);
  }
}

function isCode(wanted: number): CharTest {
  return (code) => code === wanted;
}
