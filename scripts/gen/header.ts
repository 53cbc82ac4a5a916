/** Reads what BTF does not carry out of cable_abi.h: order of declaration, #defines and comments. */

export type HeaderStruct = {
  readonly name: string;
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

const COMMENT = String.raw`\/\*[\s\S]*?\*\/`;
const DEFINE = new RegExp(String.raw`^#define (CB_\w+)[ \t]+([^\s/]+)[ \t]*(${COMMENT})?`, 'm');
const BLOCK = /^(struct|enum) (cb_\w+) \{([\s\S]*?)^\};/m;
const TOP_LEVEL = new RegExp(`${DEFINE.source}|${BLOCK.source}|${COMMENT}`, 'gm');
const ENUM_VALUE = new RegExp(String.raw`(CB_\w+)\s*=\s*\w+,[ \t]*(?:\n?\s*(${COMMENT}))?`, 'g');
const STRUCT_FIELD = new RegExp(String.raw`(?:struct |enum )?\w+ (\w+)(?:\[\w+\])?;[ \t]*(?:\n?\s*(${COMMENT}))?`, 'g');

/** Throws with the text when the header uses a form that the generator does not know. Line breaks do not matter. */
export function parseHeader(text: string): Header {
  const found = [...text.matchAll(TOP_LEVEL)].map(([part]) => part);
  const blocks = found.flatMap((part) => {
    const [, kind, name = '', body = ''] = BLOCK.exec(part) ?? [];
    return kind === undefined || part.startsWith('/*') ? [] : [{ kind, name, body }];
  });
  const structs = blocks.filter((b) => b.kind === 'struct');
  const names = structs.map((b) => b.name);
  return {
    structs: structs.map((b) => ({ name: b.name, fieldComments: members(b.name, b.body, STRUCT_FIELD) })),
    enums: blocks
      .filter((b) => b.kind === 'enum')
      .map((b) => ({ name: b.name, valueComments: members(b.name, b.body, ENUM_VALUE) })),
    defines: found.filter((part) => part.startsWith('#define')).map(parseDefine),
    maps: found.filter((part) => part.startsWith('/*')).flatMap((part) => mapsIn(plainText(part), names)),
  };
}

/** Names of fields or values, each with the comment behind it. */
function members(name: string, body: string, pattern: RegExp): ReadonlyMap<string, string> {
  const rest = body.replaceAll(pattern, '').replaceAll(new RegExp(COMMENT, 'g'), '').trim();
  if (rest !== '') throw new Error(`${name}: cannot read: ${rest}`);
  return new Map([...body.matchAll(pattern)].map(([, member = '', comment]) => [member, plainText(comment ?? '')]));
}

function plainText(comment: string): string {
  return comment
    .replace(/^\/\*+/, '')
    .replace(/\*\/$/, '')
    .split('\n')
    .map((part) => part.trim().replace(/^\*\s?/, ''))
    .filter((part) => part !== '')
    .join('\n');
}

function parseDefine(part: string): HeaderDefine {
  const [, name = '', text = '', comment] = DEFINE.exec(part) ?? [];
  if (!/^(0x[0-9A-Fa-f]+|\d+)$/.test(text)) throw new Error(`#define ${name}: ${text} is not a plain number`);
  return { name, value: Number(text), text, comment: plainText(comment ?? '') };
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
