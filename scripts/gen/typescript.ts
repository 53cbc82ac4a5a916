/** Writes packages/agent/src/bpf/abi.gen.ts: types, codecs, constants and the list of maps. */
import { type Btf, type BtfField, type BtfStruct, type BtfType, sizeOf } from './btf.ts';
import { DROP_REMEDIES } from './drop-remedies.ts';
import type { Header, HeaderMap, HeaderStruct } from './header.ts';

/** An address is bytes to everyone: the one struct without a type of its own. */
const ADDRESS = 'cb_addr';

export function renderTypeScript(header: Header, btf: Btf, banner: string): string {
  const structs = header.structs.filter((s) => s.name !== ADDRESS);
  return [
    `${banner}\nimport { arrayIndex, type Codec, type MapSpec, structCodec } from './codec.ts';`,
    ...header.defines.map((d) => `${doc(d.comment)}export const ${d.name} = ${d.text};`),
    ...header.enums.map((e) => renderEnum(e.name, e.valueComments, btf)),
    renderReasons(header, btf),
    ...structs.map((s) => renderStruct(s, structIn(btf, s.name))),
    renderMaps(header.maps),
    '',
  ].join('\n\n');
}

function renderEnum(name: string, comments: ReadonlyMap<string, string>, btf: Btf): string {
  const values = enumIn(btf, name);
  const constants = values.map((v) => `${doc(comments.get(v.name) ?? '')}export const ${v.name} = ${v.value};`);
  const members = values.filter((v) => !v.name.endsWith('_MAX')).map((v) => `typeof ${v.name}`);
  return `${constants.join('\n')}\n/** enum ${name} */\nexport type ${pascal(name)} = ${members.join(' | ')};`;
}

export type DropReason = {
  readonly code: number;
  readonly name: string;
  readonly description: string;
  readonly remedy: string;
};

/** Every drop reason but NONE, for people: number, name in lower case, what happened and what to do. */
export function dropReasons(header: Header, btf: Btf): readonly DropReason[] {
  const comments = header.enums.find((e) => e.name === 'cb_reason')?.valueComments;
  const reasons = enumIn(btf, 'cb_reason')
    .filter((v) => v.value !== 0 && v.name !== 'CB_REASON_MAX')
    .map((v) => {
      const name = v.name.replace('CB_REASON_', '').toLowerCase();
      const description = comments?.get(v.name) || name.replaceAll('_', ' ');
      return { code: v.value, name, description, remedy: DROP_REMEDIES[name] ?? '' };
    });
  const without = reasons.filter((r) => r.remedy === '').map((r) => r.name);
  const stale = Object.keys(DROP_REMEDIES).filter((name) => !reasons.some((r) => r.name === name));
  if (without.length + stale.length === 0) return reasons;
  throw new Error(
    `scripts/gen/drop-remedies.ts: add ${without.join(', ') || 'none'}; remove ${stale.join(', ') || 'none'}`,
  );
}

function renderReasons(header: Header, btf: Btf): string {
  const rows = dropReasons(header, btf).map(
    (r) =>
      `  { code: ${r.code}, name: ${quote(r.name)}, description: ${quote(r.description)}, remedy: ${quote(r.remedy)} },`,
  );
  const fields = ['code: CbReason', 'name: string', 'description: string', 'remedy: string'];
  const type = `readonly { ${fields.map((field) => `readonly ${field}`).join('; ')} }[]`;
  const comment = '/** Every drop reason but CB_REASON_NONE, by rising code: what happened, and what to do. */';
  return `${comment}\nexport const DROP_REASONS: ${type} = [\n${rows.join('\n')}\n];`;
}

function renderStruct(header: HeaderStruct, struct: BtfStruct): string {
  const type = pascal(struct.name);
  const fields = visibleFields(struct);
  const members = fields.map(
    (f) => `${doc(header.fieldComments.get(f.name) ?? '', '  ')}  readonly ${camel(f.name)}: ${tsType(f.type)};`,
  );
  const writes = fields.map((f) => `    ${writeField(f)}`);
  const reads = fields.map((f) => `    ${camel(f.name)}: ${readField(f, 'b')},`);
  return [
    `/** struct ${struct.name}, ${struct.size} bytes. */`,
    `export type ${type} = {\n${members.join('\n')}\n};`,
    '',
    `export const ${camel(struct.name)}: Codec<${type}> = structCodec(`,
    `  '${struct.name}',`,
    `  ${struct.size},`,
    '  (out, value) => {',
    ...writes,
    '  },',
    `  (b) => ({\n${reads.join('\n')}\n  }),`,
    ');',
  ].join('\n');
}

function renderMaps(maps: readonly HeaderMap[]): string {
  const keyType = (m: HeaderMap): string => (m.key === null ? 'number' : pascal(m.key));
  const types = maps.map((m) => `  readonly ${m.name}: MapSpec<${keyType(m)}, ${pascal(m.value)}>;`);
  const rows = maps.map((m) => {
    const key = m.key === null ? 'arrayIndex' : camel(m.key);
    return `  ${m.name}: {\n    name: '${m.name}',\n    description: ${quote(m.comment)},\n    key: ${key},\n    value: ${camel(m.value)},\n  },`;
  });
  return `/** Every map of the vrouter, by name. */\nexport const MAPS: {\n${types.join('\n')}\n} = {\n${rows.join('\n')}\n};`;
}

function visibleFields(struct: BtfStruct): readonly BtfField[] {
  return struct.fields.filter((f) => !/^(pad\d*|reserve)$/.test(f.name));
}

function tsType(type: BtfType): string {
  if (type.kind === 'int') return type.size === 8 ? 'bigint' : 'number';
  if (isBytes(type)) return 'Uint8Array';
  if (type.kind === 'struct') return pascal(type.name);
  return `readonly ${tsType(type.of)}[]`;
}

function isBytes(type: BtfType): boolean {
  if (type.kind === 'struct') return type.name === ADDRESS;
  return type.kind === 'array' && type.of.kind === 'int' && type.of.size === 1;
}

function writeField(field: BtfField): string {
  const { type, offset, name } = field;
  const value = `value.${camel(name)}`;
  if (type.kind === 'array' && !isBytes(type)) {
    const shape = `{ limit: ${type.count}, size: ${sizeOf(type.of)} }`;
    return `out.list(${offset}, '${camel(name)}', ${value}, ${shape}, (at, item) => ${writeOne(type.of, 'at', name, 'item')});`;
  }
  return `${writeOne(type, `${offset}`, name, value)};`;
}

function writeOne(type: BtfType, at: string, name: string, value: string): string {
  if (isBytes(type)) return `out.raw(${at}, '${camel(name)}', ${value}, ${sizeOf(type)})`;
  if (type.kind === 'struct')
    return `out.raw(${at}, '${camel(name)}', ${camel(type.name)}.encode(${value}), ${type.size})`;
  if (type.kind === 'array') throw new Error(`${name}: an array of arrays`);
  return `out.${intMethod(type.size, name)}(${at}, '${camel(name)}', ${value})`;
}

function readField(field: BtfField, reader: string): string {
  const { type, offset, name } = field;
  if (type.kind === 'array' && !isBytes(type)) {
    return `${reader}.list(${offset}, ${type.count}, ${sizeOf(type.of)}, (at) => ${readOne(type.of, 'at', name, reader)})`;
  }
  return readOne(type, `${offset}`, name, reader);
}

function readOne(type: BtfType, at: string, name: string, reader: string): string {
  if (isBytes(type)) return `${reader}.raw(${at}, ${sizeOf(type)})`;
  if (type.kind === 'struct') return `${camel(type.name)}.decode(${reader}.raw(${at}, ${type.size}))`;
  if (type.kind === 'array') throw new Error(`${name}: an array of arrays`);
  return `${reader}.${intMethod(type.size, name)}(${at})`;
}

function intMethod(size: number, name: string): string {
  const big = name.endsWith('_be') && size > 1;
  if (big && size === 8) throw new Error(`${name}: no codec for a big-endian u64`);
  return `u${size * 8}${big ? 'be' : ''}`;
}

function structIn(btf: Btf, name: string): BtfStruct {
  const found = btf.structs.get(name);
  if (found === undefined) throw new Error(`struct ${name} is not in the BTF`);
  return found;
}

function enumIn(btf: Btf, name: string): readonly { readonly name: string; readonly value: number }[] {
  const found = btf.enums.get(name);
  if (found === undefined) throw new Error(`enum ${name} is not in the BTF`);
  return found.values;
}

function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + camel(name).slice(1);
}

function doc(comment: string, indent = ''): string {
  return comment === '' ? '' : `${indent}/** ${comment.replaceAll('\n', ' ')} */\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
