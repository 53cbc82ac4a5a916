/** Sizes and offsets of the structs and enums of a C header, as clang lays them out: compiled to BTF and read back. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type BtfScalar = { readonly kind: 'int'; readonly size: 1 | 2 | 4 | 8 };
export type BtfType =
  | BtfScalar
  | { readonly kind: 'struct'; readonly name: string; readonly size: number }
  | { readonly kind: 'array'; readonly of: BtfType; readonly count: number };

export type BtfField = { readonly name: string; readonly offset: number; readonly type: BtfType };

export type BtfStruct = { readonly name: string; readonly size: number; readonly fields: readonly BtfField[] };

export type BtfEnum = {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
};

export type Btf = { readonly structs: ReadonlyMap<string, BtfStruct>; readonly enums: ReadonlyMap<string, BtfEnum> };

type RawType = {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly nr_elems?: number;
  readonly members?: readonly { readonly name: string; readonly type_id: number; readonly bits_offset: number }[];
  readonly values?: readonly { readonly name: string; readonly val: number }[];
};

const LINUX_HEADERS: Readonly<Record<string, string>> = {
  x64: '/usr/include/x86_64-linux-gnu',
  arm64: '/usr/include/aarch64-linux-gnu',
};

/** `names`: e.g. `struct cb_vif`. A variable of each keeps its type in the BTF. */
export function readBtf(headerPath: string, names: readonly string[]): Btf {
  const dir = mkdtempSync(join(tmpdir(), 'cable-gen-'));
  try {
    const source = join(dir, 'abi.c');
    const object = join(dir, 'abi.o');
    const variables = names.map((name, i) => `${name} keep_${i};`);
    writeFileSync(source, [`#include "${headerPath}"`, ...variables, ''].join('\n'));
    const include = LINUX_HEADERS[process.arch];
    const flags = ['-g', '-O2', '-target', 'bpf', ...(include === undefined ? [] : ['-I', include])];
    execFileSync('clang', [...flags, '-c', source, '-o', object], { stdio: ['ignore', 'ignore', 'inherit'] });
    const dump = execFileSync('bpftool', ['btf', 'dump', 'file', object, '-j'], { maxBuffer: 1 << 26 });
    return parseDump(dump.toString());
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function parseDump(json: string): Btf {
  const { types } = JSON.parse(json) as { readonly types: readonly RawType[] };
  const byId = new Map(types.map((type) => [type.id, type]));
  const structs = types.filter((type) => type.kind === 'STRUCT').map((type) => structOf(type, byId));
  const enums = types
    .filter((type) => type.kind === 'ENUM')
    .map((type) => ({ name: type.name, values: (type.values ?? []).map((v) => ({ name: v.name, value: v.val })) }));
  return { structs: new Map(structs.map((s) => [s.name, s])), enums: new Map(enums.map((e) => [e.name, e])) };
}

function structOf(raw: RawType, byId: ReadonlyMap<number, RawType>): BtfStruct {
  const fields = (raw.members ?? []).map((member) => ({
    name: member.name,
    offset: member.bits_offset / 8,
    type: typeOf(member.type_id, byId, `${raw.name}.${member.name}`),
  }));
  const size = raw.size ?? 0;
  let end = 0;
  for (const field of [...fields, { name: 'the end', offset: size, type: undefined }]) {
    if (field.offset !== end) throw new Error(`struct ${raw.name}: hidden padding before ${field.name}: write it out`);
    end += field.type === undefined ? 0 : sizeOf(field.type);
  }
  return { name: raw.name, size, fields };
}

function typeOf(id: number, byId: ReadonlyMap<number, RawType>, where: string): BtfType {
  const raw = byId.get(id);
  if (raw?.kind === 'TYPEDEF' && raw.type_id !== undefined) return typeOf(raw.type_id, byId, where);
  if (raw?.kind === 'STRUCT') return { kind: 'struct', name: raw.name, size: raw.size ?? 0 };
  if (raw?.kind === 'ARRAY' && raw.type_id !== undefined) {
    return { kind: 'array', of: typeOf(raw.type_id, byId, where), count: raw.nr_elems ?? 0 };
  }
  const size = raw?.size;
  if (raw?.kind === 'INT' && (size === 1 || size === 2 || size === 4 || size === 8)) return { kind: 'int', size };
  throw new Error(`${where}: a field must be an unsigned integer, a struct or an array of these`);
}

/** Bytes that a value of the type takes. */
export function sizeOf(type: BtfType): number {
  return type.kind === 'array' ? type.count * sizeOf(type.of) : type.size;
}
