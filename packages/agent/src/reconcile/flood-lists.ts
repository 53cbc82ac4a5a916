import { CB_FLOOD_CHUNKS, MAPS } from '../bpf/abi.gen.ts';
import { type ByteText, textBytes } from '../bpf/codec.ts';
import type { MapEntry } from '../desired.ts';
import type { DataPlane } from './data-plane.ts';
import { withMemoryTries } from './memory-tries.ts';
import type { Rows } from './rows.ts';

/** Chunks that a list may have: one more than a packet is copied to, by which the vrouter sees that there would be others. */
export const MAX_CHUNKS: number = CB_FLOOD_CHUNKS + 1;

/** Chunks in the kernel by list; they are numbered without a hole. */
type Held = [number, number];

/**
 * The flood lists of networks. A list is desired under number 0. A changed one is written whole under the number that does not count, then
 * the network's row names it, and the old one goes with the deletes of the pass.
 */
export class FloodLists {
  readonly #plane: Pick<DataPlane, 'putEntry' | 'deleteEntry'>;
  readonly #rows: Pick<Rows, 'flood' | 'setFlood'>;
  readonly #held = new Map<number, Held>();
  /** Networks of which the kernel holds more than what counts. */
  readonly #littered = new Set<number>();

  constructor(plane: Pick<DataPlane, 'putEntry' | 'deleteEntry'>, rows: Pick<Rows, 'flood' | 'setFlood'>) {
    this.#plane = plane;
    this.#rows = rows;
  }

  /** What the kernel holds; rows have been met before. Returns it as it is desired; undefined: it is of no list that counts. */
  meet({ key, value }: MapEntry): MapEntry | undefined {
    const { net, list, chunk } = MAPS.cb_flood_2.key.decode(textBytes(key));
    const flood = this.#rows.flood(net);
    const held = this.#heldOf(net);
    const at = list & 1;
    held[at] = Math.max(held[at] ?? 0, chunk + 1);
    if (list === flood.list && chunk < flood.chunks) return { key: floodKey(net, 0, chunk), value };
    this.#littered.add(net);
    return undefined;
  }

  /** Makes these the chunks of the network's list. Throws as the kernel refuses; then the list is what it was. */
  write(net: number, chunks: readonly ByteText[]): void {
    const list = 1 - this.#rows.flood(net).list;
    const held = this.#heldOf(net);
    for (const [chunk, value] of chunks.entries()) {
      // Also if it is refused, so that what was written before it goes.
      this.#littered.add(net);
      withMemoryTries(() => this.#plane.putEntry('cb_flood_2', { key: floodKey(net, list, chunk), value }));
      held[list] = Math.max(held[list] ?? 0, chunk + 1);
    }
    this.#littered.add(net);
    this.#rows.setFlood(net, { list, chunks: chunks.length });
  }

  /** The network has no list. */
  drop(net: number): void {
    this.#rows.setFlood(net, { list: this.#rows.flood(net).list, chunks: 0 });
    this.#littered.add(net);
    this.#sweep(net);
  }

  /** Deletes what no longer counts, a network at a step. */
  *finish(): Generator<void> {
    for (const net of this.#littered) {
      this.#sweep(net);
      yield;
    }
  }

  #sweep(net: number): void {
    const held = this.#heldOf(net);
    const flood = this.#rows.flood(net);
    for (const list of [0, 1]) {
      const kept = list === flood.list ? flood.chunks : 0;
      for (let chunk = (held[list] ?? 0) - 1; chunk >= kept; chunk -= 1) {
        this.#plane.deleteEntry('cb_flood_2', { key: floodKey(net, list, chunk), value: '' });
        held[list] = chunk;
      }
    }
    this.#littered.delete(net);
    if (held[0] + held[1] === 0) this.#held.delete(net);
  }

  #heldOf(net: number): Held {
    const known = this.#held.get(net);
    if (known !== undefined) return known;
    const held: Held = [0, 0];
    this.#held.set(net, held);
    return held;
  }
}

/** Network number of a cb_flood_2 key. */
export function floodNet(key: ByteText): number {
  return MAPS.cb_flood_2.key.decode(textBytes(key)).net;
}

/** Key of a chunk as it is desired. */
export function desiredChunk(net: number, chunk: number): ByteText {
  return floodKey(net, 0, chunk);
}

function floodKey(net: number, list: number, chunk: number): ByteText {
  return MAPS.cb_flood_2.key.text({ net, list, purpose: 0, chunk });
}
