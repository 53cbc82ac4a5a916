/** Reads a BPF ring buffer in place, as linux/bpf.h says: a page with what was read, to be written; one with what is there, and the data, twice in a row. */
import koffi from 'koffi';
import { mapMemory } from '../ffi/libc.ts';
import type { BpfMap } from './map.ts';

const PAGE_BYTES = 4096;
const HEADER_BYTES = 8;
/** Bits of a record's length. */
const BUSY = 0x8000_0000;
const DISCARDED = 0x4000_0000;
const LENGTH = 0x3fff_ffff;

/** One reader at a time. */
export class RingBuffer {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #consumed: BigUint64Array;
  readonly #produced: BigUint64Array;
  readonly #data: Uint8Array;
  readonly #view: DataView;
  readonly #unmap: () => void;
  #poll: { close(): void } | undefined;
  #isOpen = true;

  /** The map's descriptor must stay open as long as this is. Throws when memory cannot be mapped. */
  constructor({ fd, info }: Pick<BpfMap, 'fd' | 'info'>) {
    this.#fd = fd;
    this.#bytes = info.maxEntries;
    const consumer = mapMemory(fd, { size: PAGE_BYTES, offset: 0, isWritten: true });
    const producer = mapMemory(fd, { size: PAGE_BYTES + 2 * this.#bytes, offset: PAGE_BYTES, isWritten: false });
    this.#unmap = () => {
      consumer.unmap();
      producer.unmap();
    };
    this.#consumed = new BigUint64Array(consumer.bytes.buffer, consumer.bytes.byteOffset, 1);
    this.#produced = new BigUint64Array(producer.bytes.buffer, producer.bytes.byteOffset, 1);
    this.#data = producer.bytes.subarray(PAGE_BYTES);
    this.#view = new DataView(this.#data.buffer, this.#data.byteOffset, this.#data.byteLength);
  }

  /** Calls `listener` as long as there is something to read, once a turn of the event loop; one listener. */
  onReadable(listener: () => void): void {
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, listener);
  }

  /** Gives `most` records at the most, each a copy, in their order. */
  read(most: number): Uint8Array[] {
    const found: Uint8Array[] = [];
    if (!this.#isOpen) return found;
    let at = Atomics.load(this.#consumed, 0);
    const end = Atomics.load(this.#produced, 0);
    while (at < end && found.length < most) {
      const offset = Number(at % BigInt(this.#bytes));
      const word = this.#view.getUint32(offset, true);
      if ((word & BUSY) !== 0) break;
      const length = word & LENGTH;
      const from = offset + HEADER_BYTES;
      if ((word & DISCARDED) === 0) found.push(this.#data.slice(from, from + length));
      at += BigInt(Math.ceil((length + HEADER_BYTES) / 8) * 8);
    }
    Atomics.store(this.#consumed, 0, at);
    return found;
  }

  /** Idempotent. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#poll?.close();
    this.#unmap();
  }
}
