import type { Logger } from '@cable/kit';
import { CB_METER_F_SHAPE, cbMeter } from '../bpf/abi.gen.ts';
import { deleteHtbClass, ensureHtbClass, ensureHtbRoot, htbClasses, htbDrops } from '../net/htb.ts';
import type { NetlinkSocket } from '../net/socket.ts';

/** So long a packet waits at the most: then those that come are dropped. */
const QUEUE_MS = 50n;
/** A queue has room for some GSO packets whatever the rate. */
const QUEUE_MIN_BYTES = 200_000n;
const QUEUE_MAX_BYTES = 64_000_000n;
/** A queue that gets nothing any more is empty long before: its class goes. */
const IDLE_MS = 2_000;

/** Calls once the queues that get nothing any more are empty, unless what it returns is called before. */
type Later = (call: () => void) => () => void;

function afterIdle(call: () => void): () => void {
  const timer = setTimeout(call, IDLE_MS);
  timer.unref();
  return () => clearTimeout(timer);
}

const COST_SHIFT = 20n;
const SECOND_NS = 1_000_000_000n;
const MS_A_SECOND = 1000n;

/**
 * The classes of cableq0, one for each row of cb_meter_1 that has CB_METER_F_SHAPE. A class is there before the row says so, and longer: what waits in it when a
 * limit is taken off still goes out.
 */
export class Shaper {
  readonly #socket: NetlinkSocket;
  #ifindex: number;
  /** Classes that get nothing any more, by row: what keeps them from being deleted. */
  readonly #idle = new Map<number, () => void>();
  readonly #later: Later;

  /** Drops of classes that are gone, by row. */
  readonly #past = new Map<number, number>();

  readonly #log: Logger;

  constructor(socket: NetlinkSocket, ifindex: number, log: Logger, later: Later = afterIdle) {
    this.#socket = socket;
    this.#ifindex = ifindex;
    this.#log = log;
    this.#later = later;
  }

  /** The device is there, maybe another one than before, and these are the rows: other classes go. */
  take(ifindex: number, rows: Iterable<readonly [number, Uint8Array]>): void {
    this.#ifindex = ifindex;
    ensureHtbRoot(this.#socket, ifindex);
    const wanted = new Set<number>();
    for (const [row, value] of rows) {
      if (!isShaped(value)) continue;
      this.put(row, value);
      wanted.add(row);
    }
    for (const minor of htbClasses(this.#socket, ifindex)) if (!wanted.has(minor)) this.#retire(minor);
  }

  /** Before a row is written: its class is there, with that limit. Nothing if it is not shaped. */
  put(row: number, value: Uint8Array): void {
    if (!isShaped(value)) return;
    this.#idle.get(row)?.();
    this.#idle.delete(row);
    const { byteCost, byteBurstNs } = cbMeter.decode(value);
    const bytesPerSecond = (SECOND_NS << COST_SHIFT) / byteCost;
    const waiting = (bytesPerSecond * QUEUE_MS) / MS_A_SECOND;
    const queueBytes = Number(clamp(waiting, QUEUE_MIN_BYTES, QUEUE_MAX_BYTES));
    ensureHtbClass(this.#socket, this.#ifindex, { minor: row, bytesPerSecond, burstNs: byteBurstNs, queueBytes });
  }

  /** After a row was written that had a class and is not shaped any more. */
  release(row: number): void {
    this.#retire(row);
  }

  /** Packets of the row for which there was no room, since `forgetDrops` or since the agent or the device is there, whichever was last. */
  drops(row: number): number {
    return (this.#past.get(row) ?? 0) + htbDrops(this.#socket, this.#ifindex, row);
  }

  /** The row is another's from now on. */
  forgetDrops(row: number): void {
    const now = htbDrops(this.#socket, this.#ifindex, row);
    if (now === 0) this.#past.delete(row);
    else this.#past.set(row, -now);
  }

  close(): void {
    for (const keep of this.#idle.values()) keep();
    this.#idle.clear();
  }

  #retire(row: number): void {
    if (this.#idle.has(row)) return;
    const keep = this.#later(() => {
      this.#idle.delete(row);
      this.#delete(row);
    });
    this.#idle.set(row, keep);
  }

  /** One that stays is nobody's, and goes at the next start. */
  #delete(row: number): void {
    try {
      this.#past.set(row, this.drops(row));
      deleteHtbClass(this.#socket, this.#ifindex, row);
    } catch (err) {
      this.#log.warn({ err, row }, 'cannot delete the queue of a limit that was taken off');
    }
  }
}

/** Whether packets that a row of cb_meter_1 is about wait in a class. */
export function isShaped(value: Uint8Array): boolean {
  const { flags, byteCost } = cbMeter.decode(value);
  return (flags & CB_METER_F_SHAPE) !== 0 && byteCost > 0n;
}

function clamp(value: bigint, least: bigint, most: bigint): bigint {
  return value < least ? least : value > most ? most : value;
}
