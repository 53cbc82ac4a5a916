/** Reads what BTF does not carry out of cable_abi.h: order of declaration, #defines and comments. */

export type HeaderStruct = {
  readonly name: string;
  readonly comment: string;
  readonly fieldComments: ReadonlyMap<string, string>;
};

export type HeaderEnum = { readonly name: string; readonly valueComments: ReadonlyMap<string, string> };

export type HeaderDefine = {
  readonly name: string;
  readonly value: number;
  readonly text: string;
  readonly comment: string;
};

/** A map's name with the comment that introduces it; `key` and `value` are struct names, `key` null for an array. */
export type HeaderMap = {
  readonly name: string;
  readonly comment: string;
  readonly key: string | null;
  readonly value: string;
};

export type Header = {
  readonly structs: readonly HeaderStruct[];
  readonly enums: readonly HeaderEnum[];
  readonly defines: readonly HeaderDefine[];
  readonly maps: readonly HeaderMap[];
};

type Block = {
  readonly kind: 'struct' | 'enum';
  readonly name: string;
  readonly comment: string;
  readonly members: Map<string, string>;
};

/** Throws with the line when the header uses a form that the generator does not know. */
export function parseHeader(text: string): Header {
  const defines: HeaderDefine[] = [];
  const blocks: Block[] = [];
  const comments: string[] = [];
  let open: Block | undefined;
  let comment = '';
  for (const line of joinComments(text)) {
    const begin = /^(struct|enum) (cb_\w+) \{$/.exec(line);
    if (open !== undefined) {
      if (line === '};') {
        blocks.push(open);
        open = undefined;
      } else addMember(open, line);
    } else if (begin !== null) {
      open = { kind: begin[1] === 'enum' ? 'enum' : 'struct', name: begin[2] ?? '', comment, members: new Map() };
      comment = '';
    } else if (line.startsWith('/*')) {
      comment = plainText(line);
      comments.push(comment);
    } else if (/^#define CB_\w+ /.test(line)) defines.push(parseDefine(line));
    else if (line === '') comment = '';
  }
  const structs = blocks.filter((b) => b.kind === 'struct');
  return {
    structs: structs.map((b) => ({ name: b.name, comment: b.comment, fieldComments: b.members })),
    enums: blocks.filter((b) => b.kind === 'enum').map((b) => ({ name: b.name, valueComments: b.members })),
    defines,
    maps: comments.flatMap((c) =>
      mapsIn(
        c,
        structs.map((s) => s.name),
      ),
    ),
  };
}

/** One logical line each: a comment of several lines becomes one. */
function joinComments(text: string): string[] {
  const lines: string[] = [];
  let pending = '';
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    pending = pending === '' ? line : `${pending} ${line.replace(/^\*(?!\/)\s?/, '\n')}`;
    if (pending.includes('/*') && !pending.includes('*/')) continue;
    lines.push(pending);
    pending = '';
  }
  return lines;
}

function plainText(comment: string): string {
  return comment
    .replace(/^\/\*+\s*/, '')
    .replace(/\s*\*\/$/, '')
    .split('\n')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .join('\n');
}

function addMember(block: Block, line: string): void {
  if (line === '' || line.startsWith('/*')) return;
  const pattern =
    block.kind === 'enum'
      ? /^(CB_\w+) = \w+,(?:\s*(\/\*.*\*\/))?$/s
      : /^(?:struct |enum )?\w+ (\w+)(?:\[\w+\])?;(?:\s*(\/\*.*\*\/))?$/s;
  const match = pattern.exec(line);
  if (match === null) throw new Error(`${block.kind} ${block.name}: cannot read the line: ${line}`);
  block.members.set(match[1] ?? '', plainText(match[2] ?? ''));
}

function parseDefine(line: string): HeaderDefine {
  const match = /^#define (CB_\w+) (0x[0-9A-Fa-f]+|\d+)(?:\s*(\/\*.*\*\/))?$/s.exec(line);
  if (match === null) throw new Error(`a #define must be a plain number: ${line}`);
  const value = match[2] ?? '';
  return { name: match[1] ?? '', value: Number(value), text: value, comment: plainText(match[3] ?? '') };
}

/** Every `cb_noun_1:` that begins a line of the comment is a map. Its key is cb_noun_key, its value the first struct after that which is no key. */
function mapsIn(comment: string, structs: readonly string[]): HeaderMap[] {
  const flat = comment.replaceAll('\n', ' ');
  const starts = [...flat.matchAll(/(?<=^|\. )cb_([a-z]+)_\d+(?=: )/g)];
  return starts.map((start, i) => {
    const text = flat.slice(start.index + start[0].length + 2, starts[i + 1]?.index).trim();
    const noun = start[1] ?? '';
    const keyAt = structs.indexOf(`cb_${noun}_key`);
    const value = keyAt < 0 ? `cb_${noun}` : structs.slice(keyAt).find((name) => !name.endsWith('_key'));
    if (value === undefined || !structs.includes(value)) throw new Error(`map ${start[0]}: no struct for its value`);
    return { name: start[0], comment: text, key: keyAt < 0 ? null : `cb_${noun}_key`, value };
  });
}
