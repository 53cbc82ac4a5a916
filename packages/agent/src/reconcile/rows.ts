import { CB_FLOOD_CHUNKS, cbNet, cbVif, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, fieldAt, textBytes } from '../bpf/codec.ts';
import type { MapEntry } from '../desired.ts';
import type { DataPlane } from './data-plane.ts';

/** Maps whose rows have an owner and an epoch. */
export type RowMap = 'cb_vif_2' | 'cb_net_1';

/** A network's flood list that counts, and its chunks. */
export type FloodWord = { readonly list: number; readonly chunks: number };

export function isRowMap(map: string): map is RowMap {
  return map === 'cb_vif_2' || map === 'cb_net_1';
}

type RowsPlane = Pick<DataPlane, 'putEntry' | 'purge' | 'resetCounters'>;

type Row = {
  readonly map: RowMap;
  readonly key: ByteText;
  /** As desired: zero where the agent itself keeps something. */
  fields: ByteText;
  epoch: number;
  flood: FloodWord;
  /** Flow records may name the number of one who had it before. */
  unpurged: boolean;
};

const OWNER_BYTES = 16;
const EPOCH_BYTES = 4;
const EPOCH_AT = fieldAt(cbVif, 'epoch');
/** The list's number, then the number of chunks in two bytes: within one word, so that readers meet both or neither. */
const FLOOD_AT = fieldAt(cbNet, 'floodList');
const FLOOD_BYTES = 3;
const NO_FLOOD: FloodWord = { list: 0, chunks: 0 };
const NOBODY = '\0'.repeat(OWNER_BYTES);
const ZERO: Readonly<Record<RowMap, ByteText>> = {
  cb_vif_2: '\0'.repeat(MAPS.cb_vif_2.value.size),
  cb_net_1: '\0'.repeat(MAPS.cb_net_1.value.size),
};

/**
 * The rows of VIFs and networks, which are written under the eyes of their readers: first the epoch alone, odd, then the fields, then, with
 * everything else that the pass writes, the epoch, even. No decision is remembered under an odd epoch, so none of before outlives the pass.
 */
export class Rows {
  readonly #plane: RowsPlane;
  readonly #rows: Readonly<Record<RowMap, Map<ByteText, Row>>> = { cb_vif_2: new Map(), cb_net_1: new Map() };
  /** Rows with an odd epoch. */
  readonly #open = new Set<Row>();
  /** Rows that lost their owner, and whose flows have not been ended. */
  readonly #left = new Set<Row>();
  /** Rows that had an owner and were opened, since the last `settle`. */
  #raised = 0;

  constructor(plane: RowsPlane) {
    this.#plane = plane;
  }

  /** What the kernel holds. Returns it as it is desired; undefined: the row is nobody's. */
  meet(map: RowMap, { key, value }: MapEntry): MapEntry | undefined {
    const row = rowOf(map, key, value);
    this.#rows[map].set(key, row);
    if (row.epoch % 2 === 1) {
      this.#open.add(row);
      this.#raised += 1;
    }
    return hasOwner(row) ? { key, value: row.fields } : undefined;
  }

  /** What decisions about the row rest on is about to change. Nothing where nobody has it. */
  raise(map: RowMap, key: ByteText): void {
    const row = this.#rows[map].get(key);
    if (row !== undefined && hasOwner(row)) this.#openRow(row);
  }

  /** Writes a row. A number that was another's is given out without flows and counters of that one. */
  put(map: RowMap, { key, value }: MapEntry): void {
    const row = this.#row(map, key);
    if (!hasOwner(row)) this.#giveOut(row);
    this.#openRow(row);
    row.fields = value;
    this.#write(row);
  }

  /** Nobody has the row any more. */
  clear(map: RowMap, key: ByteText): void {
    const row = this.#row(map, key);
    if (!hasOwner(row)) return;
    this.#openRow(row);
    row.fields = ZERO[map];
    row.flood = NO_FLOOD;
    row.unpurged = true;
    this.#left.add(row);
    this.#write(row);
  }

  flood(net: number): FloodWord {
    return this.#rows.cb_net_1.get(arrayIndex.text(net))?.flood ?? NO_FLOOD;
  }

  /** Another list of the network counts now. No flow rests on it: the epoch stays. */
  setFlood(net: number, flood: FloodWord): void {
    const row = this.#row('cb_net_1', arrayIndex.text(net));
    row.flood = flood;
    if (hasOwner(row)) this.#write(row);
  }

  /** Everything is written: decisions are remembered again. Returns how many rows were raised that somebody had before. */
  settle(): number {
    for (const row of this.#open) {
      row.epoch = (row.epoch + 1) >>> 0;
      this.#write(row);
      this.#open.delete(row);
    }
    const raised = this.#raised;
    this.#raised = 0;
    return raised;
  }

  /** Ends the flows that name rows which lost their owner, one row at a step. */
  *purge(): Generator<void> {
    for (const row of this.#left) {
      this.#left.delete(row);
      this.#purge(row);
      yield;
    }
  }

  #row(map: RowMap, key: ByteText): Row {
    const known = this.#rows[map].get(key);
    if (known !== undefined) return known;
    const row: Row = { map, key, fields: ZERO[map], epoch: 0, flood: NO_FLOOD, unpurged: false };
    this.#rows[map].set(key, row);
    return row;
  }

  #openRow(row: Row): void {
    if (this.#open.has(row)) return;
    if (hasOwner(row)) this.#raised += 1;
    row.epoch = (row.epoch + 1) >>> 0;
    this.#write(row);
    this.#open.add(row);
  }

  #giveOut(row: Row): void {
    this.#purge(row);
    this.#left.delete(row);
    if (row.map === 'cb_vif_2') this.#plane.resetCounters(numberOf(row));
  }

  #purge(row: Row): void {
    if (!row.unpurged || hasOwner(row)) return;
    this.#plane.purge(row.map === 'cb_vif_2' ? 'vif' : 'network', numberOf(row));
    row.unpurged = false;
  }

  #write(row: Row): void {
    this.#plane.putEntry(row.map, { key: row.key, value: textOf(row) });
  }
}

function numberOf({ key }: Row): number {
  return arrayIndex.decode(textBytes(key));
}

function hasOwner({ fields }: Row): boolean {
  return !fields.startsWith(NOBODY);
}

function rowOf(map: RowMap, key: ByteText, value: ByteText): Row {
  const bytes = Buffer.from(value, 'latin1');
  const epoch = bytes.readUInt32LE(EPOCH_AT);
  bytes.fill(0, EPOCH_AT, EPOCH_AT + EPOCH_BYTES);
  let flood = NO_FLOOD;
  if (map === 'cb_net_1') {
    // A number of chunks that no agent writes must not make one look for them all.
    const chunks = Math.min(bytes.readUInt16LE(FLOOD_AT + 1), CB_FLOOD_CHUNKS + 1);
    flood = { list: bytes.readUInt8(FLOOD_AT) & 1, chunks };
    bytes.fill(0, FLOOD_AT, FLOOD_AT + FLOOD_BYTES);
  }
  const fields = bytes.toString('latin1');
  // A row that nobody has had was never written: its epoch is 0. Whether an earlier run ended the flows of one who had it is not known.
  return { map, key, fields, epoch, flood, unpurged: epoch !== 0 };
}

function textOf({ map, fields, epoch, flood }: Row): ByteText {
  const bytes = Buffer.from(fields, 'latin1');
  bytes.writeUInt32LE(epoch, EPOCH_AT);
  if (map === 'cb_net_1') {
    bytes.writeUInt8(flood.list, FLOOD_AT);
    bytes.writeUInt16LE(flood.chunks, FLOOD_AT + 1);
  }
  return bytes.toString('latin1');
}
