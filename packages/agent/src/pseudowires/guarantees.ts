/**
 * What devices of the underlay keep free for pseudowires: HTB as their root, with a class for each wire that has a guarantee and one for all else. It is there only while such a wire leaves by the device;
 * our mark is the root's major number. A root that somebody else has given the device stays, and then nothing is guaranteed.
 */
import { CB_PW_TREE } from '../bpf/abi.gen.ts';
import {
  deleteHtbClass,
  deleteHtbRoot,
  ensureHtbClass,
  ensureHtbRoot,
  type HtbClass,
  htbClasses,
  rootQdisc,
} from '../net/htb.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { bytesPerSecond, queueBytesAt, WIRE_TREE } from './rates.ts';

/** `kbps`: what is kept free; `mostKbps`: what it may have at the most; undefined: all. Thousands of bits a second, of frames as guests see them. */
export type Guarantee = { readonly number: number; readonly kbps: number; readonly mostKbps: number | undefined };

/** A device of the underlay. */
export type GuaranteeDevice = { readonly ifindex: number; readonly name: string };

export type DeviceGuarantees = {
  readonly device: string;
  /** Thousands of bits a second that are kept free there; 0: nothing is. */
  readonly kbps: number;
  /** Null: it is as it is wanted. */
  readonly fault: string | null;
};

/** Above all others; the numbers of wires are lower. */
const TOP = 0xf000;
const REST = 0xf001;
const BURST_NS = 5_000_000n;
/** What stands around a frame on the way counts there, a tenth at the most where frames are not small. */
const WITH_HEADERS = { times: 11n, of: 10n } as const;
/** Of the capacity, all else has a hundredth at the least. */
const LEAST_PART = 100n;

export class Guarantees {
  readonly #socket: NetlinkSocket;
  readonly #capacityKbps: number | undefined;
  /** Devices that have the tree, with what was last asked for them. */
  readonly #trees = new Map<number, readonly Guarantee[]>();
  readonly #views = new Map<number, DeviceGuarantees>();

  /** `capacityKbps`: what the host says that its tunnels carry; undefined: it has not said. */
  constructor(socket: NetlinkSocket, capacityKbps: number | undefined) {
    this.#socket = socket;
    this.#capacityKbps = capacityKbps;
  }

  get view(): readonly DeviceGuarantees[] {
    return [...this.#views.values()];
  }

  /** Handle of the class that a wire has on the device; 0: none. */
  priorityOf(number: number, ifindex: number): number {
    const has = this.#trees.get(ifindex)?.some((one) => one.number === number) ?? false;
    return has ? CB_PW_TREE * 0x10000 + number : 0;
  }

  /** Wires with these guarantees leave by these devices. What others have stays. */
  put(wanted: ReadonlyMap<GuaranteeDevice, readonly Guarantee[]>): void {
    for (const [device, guarantees] of wanted) {
      const kbps = guarantees.reduce((sum, one) => sum + one.kbps, 0);
      const fault = this.#faultOf(device);
      if (fault !== undefined) this.#trees.delete(device.ifindex);
      else this.#putTree(device.ifindex, guarantees);
      this.#views.set(device.ifindex, {
        device: device.name,
        kbps: fault === undefined ? kbps : 0,
        fault: fault ?? null,
      });
    }
  }

  /** Takes away what is not wanted. `devices`: those that may have it from an agent before. */
  tidy(wanted: ReadonlyMap<GuaranteeDevice, readonly Guarantee[]>, devices: Iterable<number> = []): void {
    const kept = new Map([...wanted].map(([{ ifindex }, guarantees]) => [ifindex, guarantees] as const));
    for (const ifindex of new Set([...this.#trees.keys(), ...this.#views.keys(), ...devices])) {
      const guarantees = kept.get(ifindex);
      if (guarantees === undefined) this.#remove(ifindex);
      else if (this.#trees.has(ifindex)) this.#removeOthers(ifindex, guarantees);
    }
  }

  #faultOf({ ifindex, name }: GuaranteeDevice): string | undefined {
    if (this.#capacityKbps === undefined) return 'the agent was not told by --bandwidth what tunnels carry';
    const root = rootQdisc(this.#socket, ifindex);
    if (root === undefined || root.major === 0 || (root.kind === 'htb' && root.major === CB_PW_TREE)) return undefined;
    return `device ${name} has a queueing discipline of somebody else's, ${root.kind} ${root.major.toString(16)}:`;
  }

  #putTree(ifindex: number, guarantees: readonly Guarantee[]): void {
    const capacity = bytesPerSecond(this.#capacityKbps ?? 0);
    ensureHtbRoot(this.#socket, ifindex, { ...WIRE_TREE, defaultMinor: REST });
    const put = (one: Omit<HtbClass, 'burstNs'>): void =>
      ensureHtbClass(this.#socket, ifindex, { ...one, burstNs: BURST_NS }, WIRE_TREE);
    put({ minor: TOP, bytesPerSecond: capacity });
    const rates = guarantees.map(({ kbps }) => withHeaders(bytesPerSecond(kbps)));
    const rest = capacity - rates.reduce((sum, one) => sum + one, 0n);
    const least = capacity / LEAST_PART;
    const queueBytes = queueBytesAt(capacity);
    const shared = { parent: TOP, queueBytes, ceilBytesPerSecond: capacity };
    put({ ...shared, minor: REST, bytesPerSecond: rest > least ? rest : least });
    for (const [i, { number, mostKbps }] of guarantees.entries()) {
      const most = mostKbps === undefined ? capacity : withHeaders(bytesPerSecond(mostKbps));
      const rate = rates[i] ?? 0n;
      const ceilBytesPerSecond = most < rate ? rate : most;
      put({ ...shared, ceilBytesPerSecond, minor: number, bytesPerSecond: rate });
    }
    this.#trees.set(ifindex, guarantees);
  }

  #removeOthers(ifindex: number, guarantees: readonly Guarantee[]): void {
    const kept = new Set([TOP, REST, ...guarantees.map(({ number }) => number)]);
    for (const minor of htbClasses(this.#socket, ifindex, WIRE_TREE))
      if (!kept.has(minor)) deleteHtbClass(this.#socket, ifindex, minor, WIRE_TREE);
  }

  #remove(ifindex: number): void {
    const root = rootQdisc(this.#socket, ifindex);
    if (root?.kind === 'htb' && root.major === CB_PW_TREE) deleteHtbRoot(this.#socket, ifindex, WIRE_TREE);
    this.#trees.delete(ifindex);
    this.#views.delete(ifindex);
  }
}

function withHeaders(rate: bigint): bigint {
  return (rate * WITH_HEADERS.times) / WITH_HEADERS.of;
}

/** For teardown: takes the tree off the device, if it is there. */
export function removeGuarantees(socket: NetlinkSocket, ifindex: number): void {
  new Guarantees(socket, undefined).tidy(new Map(), [ifindex]);
}
