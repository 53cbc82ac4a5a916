/** YAML as a tree of which each node knows its place. Whatever is given: it ends soon, with a tree or with what is wrong. */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import type { ModelFile } from './model.ts';
import type { Place, Problems } from './problems.ts';

export type Tree = MapTree | ListTree | ScalarTree;

export type Entry = { readonly at: Place; readonly value: Tree };

/** Keys are texts; the place of an entry is that of its key. */
export type MapTree = { readonly kind: 'map'; readonly at: Place; readonly entries: ReadonlyMap<string, Entry> };

export type ListTree = { readonly kind: 'list'; readonly at: Place; readonly items: readonly Tree[] };

export type ScalarTree = {
  readonly kind: 'scalar';
  readonly at: Place;
  readonly value: string | number | boolean | null;
  /** As the file has it. */
  readonly source: string;
};

/** Characters of all files of a model: etcd takes no value of more than some megabytes, and people write some kilobytes. */
export const TEXT_MAX = 262_144;

const DEPTH_MAX = 40;

/** Brackets, and marks at the start of one line, that are open at once, those in texts counted: the parser’s own time, and its memory, rise with the square of more. */
const OPEN_MAX = 400;

/** Nodes when each alias counts as what it stands for. */
const NODES_MAX = 50_000;

/** Reads a file; undefined when it cannot be read, which is told. `version` is that of YAML: Gluon's reader knew 1.1, where `yes` is true. */
export function readTree(file: ModelFile, version: '1.1' | '1.2', problems: Problems): Tree | undefined {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file: file.name, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const control = controlCharacter(file.text);
  if (control !== undefined) {
    problems.error(placeIn(file, control), 'there is a control character', 'Write text, with line ends and spaces');
    return undefined;
  }
  const deep = tooDeep(file.text);
  if (deep !== undefined) {
    problems.error(placeIn(file, deep), 'it is nested too deeply', `Nest at most ${DEPTH_MAX} levels`);
    return undefined;
  }
  if (commas(file.text) > NODES_MAX) {
    problems.error(placeIn(file, 0), `it has more than ${NODES_MAX} values`, 'Make it smaller');
    return undefined;
  }
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false, version } as const;
  const document = parseDocument(file.text, options);
  for (const { message, pos } of [...document.errors, ...document.warnings]) {
    problems.error(place(pos[0]), explain(message), 'Write it as YAML has it');
  }
  if (document.errors.length > 0 || document.warnings.length > 0) return undefined;
  if (document.contents === null) {
    problems.error(place(0), 'the file is empty', 'Write file_version, info and objects');
    return undefined;
  }
  return new Reader(place, problems).read(document.contents);
}

/** Between so many values at least, if they stand in brackets. */
function commas(text: string): number {
  let count = 0;
  for (let at = text.indexOf(','); at >= 0; at = text.indexOf(',', at + 1)) count += 1;
  return count;
}

function placeIn({ name, text }: ModelFile, offset: number): Place {
  const before = text.slice(0, offset).split('\n');
  return { file: name, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** Where more is open than a file can mean. Looked for before anything is made of the text. */
function tooDeep(text: string): number | undefined {
  let [open, marks] = [0, 0];
  let isStart = true;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '[' || letter === '{') open += 1;
    else if ((letter === ']' || letter === '}') && open > 0) open -= 1;
    if (letter === '\n') [marks, isStart] = [0, true];
    else if (isStart && (letter === '-' || letter === '?' || letter === ':')) marks += 1;
    else if (letter !== ' ' && letter !== '\t') isStart = false;
    if (open > OPEN_MAX || marks > OPEN_MAX) return at;
  }
  return undefined;
}

/** The first character that no text has: all of C0 but tab and line ends, DEL, and C1 but NEL. */
function controlCharacter(text: string): number | undefined {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if ((code < 32 && code !== 9 && code !== 10 && code !== 13) || (code > 126 && code < 160 && code !== 133))
      return at;
  }
  return undefined;
}

function explain(message: string): string {
  const [first = ''] = message.split('\n');
  if (first.includes('call stack')) return 'it is nested too deeply';
  return first.replace(/[.:]$/, '').replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
}

class Reader {
  readonly #place: (offset: number) => Place;
  readonly #problems: Problems;
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #nodes = 0;

  constructor(place: (offset: number) => Place, problems: Problems) {
    this.#place = place;
    this.#problems = problems;
  }

  /** Undefined when anything in it cannot be read. */
  read(root: ParsedNode): Tree | undefined {
    try {
      return this.#tree(root, 0);
    } catch (err) {
      if (!(err instanceof Unreadable)) throw err;
      this.#problems.error(err.at, err.message, err.remedy);
      return undefined;
    }
  }

  #tree(node: Node, depth: number): Tree {
    const at = this.#at(node);
    this.#nodes += 1;
    if (this.#nodes > NODES_MAX) throw new Unreadable(at, `it has more than ${NODES_MAX} values`, 'Make it smaller');
    if (depth > DEPTH_MAX) throw new Unreadable(at, 'it is nested too deeply', `Nest at most ${DEPTH_MAX} levels`);
    if (isAlias(node)) return this.#aliased(node, depth, at);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    this.#open.add(node);
    const tree = this.#plain(node, depth, at);
    this.#open.delete(node);
    return tree;
  }

  #plain(node: Node, depth: number, at: Place): Tree {
    if (isMap(node)) return { kind: 'map', at, entries: this.#entries(node, depth) };
    if (isSeq(node)) {
      return { kind: 'list', at, items: node.items.map((item) => this.#tree(item as Node, depth + 1)) };
    }
    if (isScalar(node)) return scalarTree(node, at);
    throw new Unreadable(at, 'this is no value', 'Write a text, number, list or map');
  }

  /** An alias stands for the anchor before it. */
  #aliased(node: Alias, depth: number, at: Place): Tree {
    const target = this.#anchors.get(node.source);
    if (target === undefined)
      throw new Unreadable(at, `no anchor &${node.source} is before it`, 'Write the value itself');
    if (this.#open.has(target)) throw new Unreadable(at, `*${node.source} is within itself`, 'Write the value itself');
    return this.#tree(target, depth);
  }

  #entries(map: YAMLMap, depth: number): ReadonlyMap<string, Entry> {
    const own = new Map<string, Entry>();
    const merged = new Map<string, Entry>();
    for (const pair of map.items) {
      const keyNode = pair.key as Node;
      const at = this.#at(keyNode);
      const value = pair.value === null ? emptyTree(at) : this.#tree(pair.value as Node, depth + 1);
      if (isMergeKey(keyNode)) {
        this.#merge(value, merged);
        continue;
      }
      const key = keyText(keyNode, at);
      if (own.has(key)) throw new Unreadable(at, `the key ${key} is there twice`, 'Leave one of them out');
      own.set(key, { at, value });
    }
    return new Map([...[...merged].filter(([key]) => !own.has(key)), ...own]);
  }

  /** YAML 1.1's `<<`: what is in the map, or in the first of several that has it, unless it is given beside. */
  #merge(value: Tree, into: Map<string, Entry>): void {
    for (const source of value.kind === 'list' ? value.items : [value]) {
      if (source.kind !== 'map') throw new Unreadable(source.at, '<< takes maps', 'Name an anchor of a map');
      for (const [key, entry] of source.entries) if (!into.has(key)) into.set(key, entry);
    }
  }

  #at(node: Node | null): Place {
    return this.#place(node?.range?.[0] ?? 0);
  }
}

class Unreadable extends Error {
  readonly at: Place;
  readonly remedy: string;

  constructor(at: Place, text: string, remedy: string) {
    super(text);
    this.at = at;
    this.remedy = remedy;
  }
}

function isMergeKey(node: Node): boolean {
  return isScalar(node) && (typeof node.value === 'symbol' || (node.value === '<<' && node.type === 'PLAIN'));
}

function keyText(node: Node | null, at: Place): string {
  if (!isScalar(node)) throw new Unreadable(at, 'a key is no text', 'Write a name');
  const text = sourceOf(node);
  if (text === '__proto__') throw new Unreadable(at, '__proto__ is no name', 'Choose another one');
  return text;
}

function emptyTree(at: Place): ScalarTree {
  return { kind: 'scalar', at, value: null, source: '' };
}

/** Dates and what else YAML 1.1 makes of plain text are that text. */
function scalarTree(node: Scalar, at: Place): ScalarTree {
  const { value } = node;
  const source = sourceOf(node);
  const isPlain = value === null || Number.isFinite(value) || typeof value === 'boolean' || typeof value === 'string';
  return { kind: 'scalar', at, value: isPlain ? (value as ScalarTree['value']) : source, source };
}

function sourceOf(node: Scalar): string {
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value ?? ''));
}

/** The value without places, as JSON has it. */
export function plainValue(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(plainValue);
  return Object.fromEntries([...tree.entries].map(([key, { value }]) => [key, plainValue(value)]));
}
