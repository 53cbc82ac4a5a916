import { listItemSizes, OPTION } from './dhcp-options.ts';

/** How the options of a DHCPv4 message share its room: RFC 2132 §9.3 (option overload), RFC 3396 (long options). */

/** An option, or the items at the end of one that is a list, for which there was no room. */
export type OmittedOption = { readonly code: number; readonly value: Uint8Array };

/** Which of the fields that may hold options are free for it. */
export type FreeFields = { readonly file: boolean; readonly sname: boolean };

/** The options begin after these and the cookie. */
export const FIXED_BYTES = 236;
/** Places of the fields `sname` and `file`. */
export const SNAME: { readonly from: number; readonly to: number } = { from: 44, to: 108 };
export const FILE: { readonly from: number; readonly to: number } = { from: 108, to: 236 };
export const OVERLOAD = 52;
export const END = 255;

const OVERLOAD_BYTES = 3;
const MAX_PART_BYTES = 255;

/** A field that options are written to. `to`: where its end mark must stand at the latest. */
type Field = { readonly from: number; readonly to: number; at: number };

/** Writes the options and end marks into a message of this size. `isFree`: fields that have nothing of their own. `end`: the first byte after the options field. */
export function packOptions(
  bytes: Uint8Array,
  options: ReadonlyMap<number, Uint8Array>,
  isFree: FreeFields,
): { readonly end: number; readonly omitted: readonly OmittedOption[] } {
  const from = FIXED_BYTES + 4;
  const plain: Field = { from, to: bytes.length - 1, at: from };
  if (sizeOf(options) <= plain.to - plain.from) {
    for (const [code, value] of options) place(bytes, [plain], code, value, partSizes(value));
    bytes[plain.at] = END;
    return { end: plain.at + 1, omitted: [] };
  }
  return packTightly(bytes, withoutRepeats(options), isFree);
}

function sizeOf(options: ReadonlyMap<number, Uint8Array>): number {
  return [...options.values()].reduce(
    (sum, value) => sum + value.length + 2 * Math.max(1, Math.ceil(value.length / MAX_PART_BYTES)),
    0,
  );
}

/** A client that reads option 121 needs no 249, which says the same. */
function withoutRepeats(options: ReadonlyMap<number, Uint8Array>): ReadonlyMap<number, Uint8Array> {
  if (!options.has(OPTION.classlessRoutes)) return options;
  return new Map([...options].filter(([code]) => code !== OPTION.microsoftClasslessRoutes));
}

/** Single values first, so that a long list cannot take their room; each where there is some. */
function packTightly(
  bytes: Uint8Array,
  options: ReadonlyMap<number, Uint8Array>,
  isFree: FreeFields,
): { readonly end: number; readonly omitted: readonly OmittedOption[] } {
  const from = FIXED_BYTES + 4;
  const main: Field = { from, to: bytes.length - 1 - OVERLOAD_BYTES, at: from };
  const file: Field = { from: FILE.from, to: FILE.to - 1, at: FILE.from };
  const sname: Field = { from: SNAME.from, to: SNAME.to - 1, at: SNAME.from };
  const fields = [main, ...(isFree.file ? [file] : []), ...(isFree.sname ? [sname] : [])];
  const omitted: OmittedOption[] = [];
  const lists: (readonly [number, Uint8Array, readonly number[]])[] = [];
  for (const [code, value] of options) {
    const items = listItemSizes(code, value);
    if (items !== undefined) lists.push([code, value, items]);
    else if (!placeWhole(bytes, fields, code, value)) omitted.push({ code, value });
  }
  for (const [code, value, items] of lists) {
    const placed = place(bytes, fields, code, value, items);
    if (placed === items.length) continue;
    const placedBytes = items.slice(0, placed).reduce((sum, size) => sum + size, 0);
    omitted.push({ code, value: value.subarray(placedBytes) });
  }
  closeOverload(bytes, main, file, sname);
  return { end: main.at + 1, omitted };
}

function closeOverload(bytes: Uint8Array, main: Field, file: Field, sname: Field): void {
  const used = (file.at > file.from ? 1 : 0) | (sname.at > sname.from ? 2 : 0);
  if (used !== 0) {
    bytes.set([OVERLOAD, 1, used], main.at);
    main.at += OVERLOAD_BYTES;
  }
  bytes[main.at] = END;
  if (file.at > file.from) bytes[file.at] = END;
  if (sname.at > sname.from) bytes[sname.at] = END;
}

/** All of the option or nothing. One of at most 255 bytes is never split: not every client joins parts. */
function placeWhole(bytes: Uint8Array, fields: readonly Field[], code: number, value: Uint8Array): boolean {
  const before = fields.map((field) => field.at);
  const items = value.length <= MAX_PART_BYTES ? [value.length] : Array.from(value, () => 1);
  if (place(bytes, fields, code, value, items) === items.length) return true;
  fields.forEach((field, index) => {
    const at = before[index] ?? field.at;
    bytes.fill(0, at, field.at);
    field.at = at;
  });
  return false;
}

/**
 * Writes parts of the option, each of as many items as its field and 255 bytes allow; parts come in the order in which a reader joins
 * them. Returns how many items found a place.
 */
function place(
  bytes: Uint8Array,
  fields: readonly Field[],
  code: number,
  value: Uint8Array,
  items: readonly number[],
): number {
  let offset = 0;
  let item = 0;
  for (const field of fields) {
    while (item < items.length) {
      const room = Math.min(field.to - field.at - 2, MAX_PART_BYTES);
      let length = 0;
      let next = item;
      while (next < items.length && length + (items[next] ?? 0) <= room) {
        length += items[next] ?? 0;
        next += 1;
      }
      if (next === item) break;
      bytes[field.at] = code;
      bytes[field.at + 1] = length;
      bytes.set(value.subarray(offset, offset + length), field.at + 2);
      field.at += 2 + length;
      offset += length;
      item = next;
    }
  }
  return item;
}

/** The parts of a value that has room enough: 255 bytes each. */
function partSizes(value: Uint8Array): readonly number[] {
  if (value.length === 0) return [0];
  return Array.from({ length: Math.ceil(value.length / MAX_PART_BYTES) }, (_, index) =>
    Math.min(MAX_PART_BYTES, value.length - index * MAX_PART_BYTES),
  );
}
