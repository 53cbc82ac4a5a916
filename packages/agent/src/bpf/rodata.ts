/** Sets a program's `const volatile` variables, by name, between opening an object and loading it. */
import { BpfError } from '../ffi/errno.ts';
import { memoryAt } from '../ffi/libc.ts';
import { type Handle, libbpf } from './libbpf.ts';

/** Little-endian numbers of the variable's size, or its bytes. */
export type RodataValue = number | bigint | Uint8Array;

type Variable = { readonly offset: number; readonly size: number };

const SECTION = '.rodata';
const KIND_DATASEC = 15;
const BTF_TYPE_BYTES = 12;
const SECINFO_BYTES = 12;

/** ENOENT: the object has no such variable; ERANGE: the value does not fit it. */
export function setRodata(object: Handle, path: string, values: Readonly<Record<string, RodataValue>>): void {
  if (Object.keys(values).length === 0) return;
  const variables = readVariables(object);
  const memory = rodataMemory(object);
  for (const [name, value] of Object.entries(values)) {
    const variable = variables.get(name);
    if (variable === undefined || memory === undefined || variable.offset + variable.size > memory.length) {
      const known = [...variables.keys()].sort().join(', ') || 'none';
      throw new BpfError(`set ${name} in ${path}`, 'ENOENT', `its const volatile variables are: ${known}`);
    }
    memory.set(toBytes(name, value, variable.size), variable.offset);
  }
}

function rodataMemory(object: Handle): Uint8Array | undefined {
  const lib = libbpf();
  for (let map = lib.nextMap(object, null); map !== null; map = lib.nextMap(object, map)) {
    if (!lib.mapIsInternal(map) || !lib.mapName(map).endsWith(SECTION)) continue;
    const size = new BigUint64Array(1);
    const pointer = lib.mapInitialValue(map, size);
    return pointer === null ? undefined : memoryAt(pointer, Number(size[0]));
  }
  return undefined;
}

/** The section's variables: its BTF_KIND_DATASEC lists (type, offset, size), each type a BTF_KIND_VAR with the name. */
function readVariables(object: Handle): ReadonlyMap<string, Variable> {
  const lib = libbpf();
  const btf = lib.btf(object);
  const id = btf === null ? -1 : lib.btfFind(btf, SECTION, KIND_DATASEC);
  const section = btf === null || id < 0 ? null : lib.btfType(btf, id);
  if (btf === null || section === null) return new Map();
  const count = u32At(section, 4) & 0xffff;
  const found = new Map<string, Variable>();
  for (let i = 0; i < count; i++) {
    const at = section + BigInt(BTF_TYPE_BYTES + i * SECINFO_BYTES);
    const variable = lib.btfType(btf, u32At(at, 0));
    if (variable === null) continue;
    found.set(lib.btfName(btf, u32At(variable, 0)), { offset: u32At(at, 4), size: u32At(at, 8) });
  }
  return found;
}

function u32At(pointer: Handle, offset: number): number {
  const bytes = memoryAt(pointer + BigInt(offset), 4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

function toBytes(name: string, value: RodataValue, size: number): Uint8Array {
  if (value instanceof Uint8Array) {
    if (value.length === size) return value;
    throw new BpfError(`set ${name}`, 'ERANGE', `it has ${size} bytes, got ${value.length}`);
  }
  const bits = size * 8;
  const number = BigInt(value);
  if (size > 8 || BigInt.asUintN(bits, number) !== number) {
    throw new BpfError(`set ${name}`, 'ERANGE', `${value} does not fit its ${size} bytes`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, number, true);
  return bytes.subarray(0, size);
}
