/**
 * The queue of limits: a pair of devices, `cablew1` and `cablew2`. What is sent into the one waits in the class of its wire, and comes out of the other, where a program knows it by its mark. Known by its
 * name and kind; it is there only while a wire with a limit begins here.
 */
import type { BpfProgram } from '../bpf/program.ts';
import { ensureTcxProgram } from '../bpf/tcx.ts';
import { quietDevice } from '../devices/own-links.ts';
import { deleteHtbClass, ensureHtbClass, ensureHtbRoot, htbClasses, htbDrops } from '../net/htb.ts';
import { deleteLinksAside, getLink } from '../net/link.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { ensureVeth } from '../net/veth.ts';
import { WIRE_QUEUE, WIRE_QUEUE_END } from '../plan/pseudowire-rows.ts';
import { bytesPerSecond, queueBytesAt, WIRE_TREE } from './rates.ts';

/** No frame of a guest is larger. */
const MTU_BYTES = 65_535;
const BURST_NS = 10_000_000n;

export class WireQueue {
  readonly #socket: NetlinkSocket;
  #ifindex = 0;
  /** Limits by number of the wire, as the classes have them. */
  #limits: ReadonlyMap<number, number> = new Map();

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** 0: there is none. */
  get ifindex(): number {
    return this.#ifindex;
  }

  /** These wires begin here and have limits, in thousands of bits a second. Classes of others stay. */
  put(limits: ReadonlyMap<number, number>, due: BpfProgram): void {
    if (limits.size === 0) return;
    const peer = { name: WIRE_QUEUE_END, mtuBytes: MTU_BYTES };
    const pair = ensureVeth(this.#socket, { name: WIRE_QUEUE, mtuBytes: MTU_BYTES, peer });
    const isNew = pair.link.ifindex !== this.#ifindex;
    this.#ifindex = pair.link.ifindex;
    if (isNew) {
      for (const name of [WIRE_QUEUE, WIRE_QUEUE_END]) quietDevice(name);
      ensureHtbRoot(this.#socket, this.#ifindex, WIRE_TREE);
    }
    ensureTcxProgram(pair.peer.ifindex, due);
    for (const [minor, kbps] of limits) {
      if (!isNew && this.#limits.get(minor) === kbps) continue;
      const rate = bytesPerSecond(kbps);
      const shape = { minor, bytesPerSecond: rate, burstNs: BURST_NS, queueBytes: queueBytesAt(rate) };
      ensureHtbClass(this.#socket, this.#ifindex, shape, WIRE_TREE);
    }
    this.#limits = new Map([...(isNew ? [] : this.#limits), ...limits]);
  }

  /** Takes away what no wire needs any more, with what waits there. */
  async tidy(limits: ReadonlyMap<number, number>): Promise<void> {
    if (limits.size === 0) {
      if (this.#ifindex !== 0 || getLink(this.#socket, WIRE_QUEUE)?.kind === 'veth')
        await deleteLinksAside(this.#socket, [WIRE_QUEUE]);
      this.#ifindex = 0;
    } else {
      for (const minor of htbClasses(this.#socket, this.#ifindex, WIRE_TREE))
        if (!limits.has(minor)) deleteHtbClass(this.#socket, this.#ifindex, minor, WIRE_TREE);
    }
    this.#limits = limits;
  }

  /** Frames of the wire that found no room. */
  drops(number: number): number {
    return this.#ifindex === 0 ? 0 : htbDrops(this.#socket, this.#ifindex, number, WIRE_TREE);
  }
}
