/** Entries of the maps of vrouter/pseudowires.bpf.c. */
import { createHash } from 'node:crypto';
import type { Pseudowire, PseudowireMatch } from '@cable/model';
import {
  CB_PORT_PWS,
  CB_PW_AT_DELIVERED,
  CB_PW_AT_SENT,
  CB_PW_F_BEGINS,
  CB_PW_F_FUNCTION,
  CB_PW_F_REMOTE,
  CB_PW_F_RESUME,
  CB_PW_F_SENT,
  CB_PW_F_TO_MAC,
  CB_PW_FIT_F_IPV6,
  CB_PW_FIT_F_PORTS,
  CB_PW_FIT_F_PROTOCOL,
  CB_PW_FITS,
  CB_PW_PORT_F_CLOSED,
  CB_PW_PORT_F_FIRST,
  CB_PW_PORT_F_FUNCTION,
  CB_PW_PORT_F_ROUTED,
  type CbPwFit,
  cbPw,
  cbPwEnd,
  cbPwendKey,
  cbPwFits,
  cbPwfitsKey,
  cbPwKey,
  cbPwNext,
  cbPwnextKey,
  cbPwPort,
  cbPwportKey,
} from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { isMapped, maskBytes, NO_ADDRESS, parseAddress, parseMac, parsePrefix } from '../plan/address.ts';
import type { PseudowireRow, WirePlace } from '../plan/pseudowire-rows.ts';

/** What the maps are to hold, by map. */
export type PseudowireEntries = Readonly<
  Record<'wires' | 'fits' | 'ports' | 'nexts' | 'ends', ReadonlyMap<ByteText, ByteText>>
>;

export const NO_ENTRIES: PseudowireEntries = {
  wires: new Map(),
  fits: new Map(),
  ports: new Map(),
  nexts: new Map(),
  ends: new Map(),
};

/** A device where frames are taken, and of what. */
export type WireHook = { readonly ifindex: number; readonly name: string; readonly at: 'sent' | 'delivered' };

/** A wire that is not made as it is wanted, and why, for people. */
export type WireFault = { readonly id: string; readonly name: string; readonly fault: string };

/** What the wires have got on this host; 0: none. */
export type WireMeans = {
  readonly numberOf: (wire: Pseudowire) => number;
  readonly tunnelIfindex: number;
  readonly queueIfindex: number;
  /** Of its class on the device of the underlay. */
  readonly priorityOf: (wire: Pseudowire) => number;
  /** Bytes of the largest frame that the way to a host takes; undefined: there is no way. */
  readonly frameBytesTo: (underlay: string) => number | undefined;
};

export type PlannedPseudowires = {
  readonly entries: PseudowireEntries;
  readonly hooks: readonly WireHook[];
  readonly faults: readonly WireFault[];
};

/** Of several wires at a port the first by order, then by id. */
export function inOrder(rows: readonly PseudowireRow[]): readonly PseudowireRow[] {
  return [...rows].sort(({ wire: a }, { wire: b }) => a.from.order - b.from.order || (a.id < b.id ? -1 : 1));
}

/** Begins here. */
export function beginsHere({ from }: PseudowireRow): boolean {
  return from !== 'elsewhere';
}

/** Goes from one host to another. */
export function isTunnelled({ from, to }: PseudowireRow): boolean {
  return from === 'elsewhere' || to === 'elsewhere';
}

/** First bytes of a hash of it: the same for each agent. */
export function hashOf(id: string): bigint {
  return createHash('sha256').update(id).digest().readBigUInt64LE() || 1n;
}

/** `rows`: those that have a number, in order. */
export function pseudowireEntries(rows: readonly PseudowireRow[], means: WireMeans): PlannedPseudowires {
  const ports = new Map<string, PortWires>();
  const faults = new Map<string, WireFault>();
  const [wires, fits, nexts, ends] = [0, 0, 0, 0].map(() => new Map<ByteText, ByteText>()) as [
    Texts,
    Texts,
    Texts,
    Texts,
  ];
  for (const row of rows) {
    const { wire } = row;
    const found = fitsOf(wire);
    const fault = typeof found === 'string' ? found : place(row, means.numberOf(wire), { ports, nexts, ends });
    if (fault !== undefined) {
      faults.set(wire.id, { id: wire.id, name: wire.name, fault });
      continue;
    }
    const number = means.numberOf(wire);
    wires.set(cbPwKey.text({ number }), cbPw.text(wireValue(row, means)));
    if (beginsHere(row) && typeof found === 'object')
      fits.set(cbPwfitsKey.text({ number }), cbPwFits.text({ count: found.length, fit: found }));
  }
  closeOthers(ports);
  return {
    entries: { wires, fits, nexts, ends, ports: new Map([...ports.values()].map(portEntry)) },
    hooks: [...ports.values()].map(({ hook }) => hook),
    faults: [...faults.values()],
  };
}

type Texts = Map<ByteText, ByteText>;

/** What becomes of one port's frames. */
type PortWires = { readonly hook: WireHook; flags: number; all: number; readonly numbers: number[] };

type Into = { readonly ports: Map<string, PortWires>; readonly nexts: Texts; readonly ends: Texts };

/** Puts it where it begins and ends; text: why it cannot be. */
function place(row: PseudowireRow, number: number, { ports, nexts, ends }: Into): string | undefined {
  const { wire, from, to, back } = row;
  if (from === 'elsewhere') {
    const fault = takeEnd(wire, number, ends);
    if (fault !== undefined) return fault;
  } else if (from !== 'absent') {
    const port = portAt(ports, from, wire.from.at);
    const fault = begin(wire, port, number, nexts);
    if (fault !== undefined) return fault;
  }
  if (wire.to.as !== 'function') return undefined;
  for (const device of [to, back]) {
    if (typeof device === 'string') continue;
    const port = portAt(ports, device, 'sent');
    port.flags |= CB_PW_PORT_F_FUNCTION | (wire.to.transparent === true ? 0 : CB_PW_PORT_F_ROUTED);
  }
  return undefined;
}

/** Ports of lines and of functions have what wires carry, and nothing of their network. */
function closeOthers(ports: Map<string, PortWires>): void {
  for (const { hook, all, flags } of [...ports.values()]) {
    if (hook.at === 'delivered' || (all === 0 && (flags & CB_PW_PORT_F_FUNCTION) === 0)) continue;
    const delivered = portAt(ports, hook, 'delivered');
    if (delivered.all === 0 && delivered.numbers.length === 0) delivered.flags = CB_PW_PORT_F_CLOSED;
  }
}

/** What came by the VNI from that host is of the wire. */
function takeEnd({ vni, from: { underlay } }: Pseudowire, number: number, ends: Texts): string | undefined {
  ends.set(cbPwendKey.text({ vni, remote: NO_ADDRESS }), cbPwEnd.text({ number: 0 }));
  const remote = underlay === null ? undefined : parseAddress(underlay);
  if (remote === undefined) return undefined;
  const key = cbPwendKey.text({ vni, remote });
  if (ends.has(key)) return `VNI ${vni} from ${underlay} is also another wire’s`;
  ends.set(key, cbPwEnd.text({ number }));
  return undefined;
}

function begin({ from }: Pseudowire, port: PortWires, number: number, nexts: Texts): string | undefined {
  if (from.path !== undefined) {
    const key = cbPwnextKey.text({ path: hashOf(from.path), ifindex: port.hook.ifindex });
    if (nexts.has(key)) return `path ${from.path} goes on from port ${from.portId} by another wire`;
    nexts.set(key, cbPwNext.text({ number }));
    port.flags |= CB_PW_PORT_F_FUNCTION;
    return undefined;
  }
  // What comes after one that takes every frame gets none.
  if (port.all !== 0) return `another wire takes all that port ${from.portId} has`;
  if (from.matches === undefined) port.all = number;
  else if (port.numbers.length === CB_PORT_PWS) return `port ${from.portId} has more than ${CB_PORT_PWS} wires`;
  else {
    port.numbers.push(number);
    if (from.matches.some(({ protocol, sourcePorts, destinationPorts }) => protocol ?? sourcePorts ?? destinationPorts))
      port.flags |= CB_PW_PORT_F_FIRST;
  }
  return undefined;
}

function portAt(
  ports: Map<string, PortWires>,
  { name, ifindex }: Exclude<WirePlace, string>,
  at: WireHook['at'],
): PortWires {
  const key = `${ifindex} ${at}`;
  const known = ports.get(key);
  if (known !== undefined) return known;
  const made = { hook: { ifindex, name, at }, flags: 0, all: 0, numbers: [] };
  ports.set(key, made);
  return made;
}

function portEntry({ hook: { ifindex, at }, flags, all, numbers }: PortWires): readonly [ByteText, ByteText] {
  return [
    cbPwportKey.text({ ifindex, at: at === 'sent' ? CB_PW_AT_SENT : CB_PW_AT_DELIVERED }),
    cbPwPort.text({ flags, all, count: numbers.length, number: numbers }),
  ];
}

function wireValue(row: PseudowireRow, means: WireMeans): Parameters<typeof cbPw.text>[0] {
  const { wire, from, to, back } = row;
  const path = wire.to.path ?? wire.from.path;
  const begins = beginsHere(row);
  const isRemote = begins && to === 'elsewhere';
  const remote = wire.to.underlay === null ? undefined : parseAddress(wire.to.underlay);
  const maxBytes = isRemote && wire.to.underlay !== null ? means.frameBytesTo(wire.to.underlay) : undefined;
  const out = isRemote ? (maxBytes === undefined ? 0 : means.tunnelIfindex) : ifindexOf(to);
  return {
    id: hashOf(wire.id),
    path: path === undefined ? 0n : hashOf(path),
    remote: isRemote ? (remote ?? NO_ADDRESS) : NO_ADDRESS,
    vni: wire.vni,
    // A port that is down sends nothing.
    ifindex: from === 'absent' ? 0 : out,
    queueIfindex: begins && wire.admittedKbps !== undefined ? means.queueIfindex : 0,
    backIfindex: ifindexOf(back),
    priority: isRemote ? means.priorityOf(wire) : 0,
    maxBytes: maxBytes ?? 0,
    flags: flagsOf(wire, begins, isRemote),
    mac: parseMac(wire.to.macAddress) ?? new Uint8Array(6),
  };
}

function ifindexOf(place: WirePlace): number {
  return typeof place === 'string' ? 0 : place.ifindex;
}

function flagsOf({ from, to }: Pseudowire, begins: boolean, isRemote: boolean): number {
  return (
    (isRemote ? CB_PW_F_REMOTE : 0) |
    (to.as === 'function' ? CB_PW_F_FUNCTION | (to.transparent === true ? 0 : CB_PW_F_TO_MAC) : 0) |
    (to.as === 'resume' ? CB_PW_F_RESUME | (to.at === 'sent' ? CB_PW_F_SENT : 0) : 0) |
    (begins && from.path === undefined && to.path !== undefined ? CB_PW_F_BEGINS : 0)
  );
}

/** Undefined: it takes every frame, or goes on with a path. Text: what is wrong. */
function fitsOf({ from: { matches, path } }: Pseudowire): readonly CbPwFit[] | string | undefined {
  if (matches === undefined || path !== undefined) return undefined;
  if (matches.length > CB_PW_FITS) return `it has ${matches.length} matches, and may have ${CB_PW_FITS}`;
  const fits: CbPwFit[] = [];
  for (const match of matches) {
    const fit = fitOf(match);
    if (typeof fit === 'string') return fit;
    fits.push(fit);
  }
  return fits;
}

const ALL_PORTS = [0, 65_535] as const;

function fitOf(match: PseudowireMatch): CbPwFit | string {
  const [src, dst] = [maskedOf(match.source, match), maskedOf(match.destination, match)];
  if (typeof src === 'string') return src;
  if (typeof dst === 'string') return dst;
  const { ipVersion, protocol, sourcePorts, destinationPorts } = match;
  const [sportMin, sportMax] = sourcePorts ?? ALL_PORTS;
  const [dportMin, dportMax] = destinationPorts ?? ALL_PORTS;
  const hasPorts = (sourcePorts ?? destinationPorts) !== undefined;
  return {
    ...{ src: src.bytes, srcMask: src.mask, dst: dst.bytes, dstMask: dst.mask },
    ...{ sportMin, sportMax, dportMin, dportMax, protocol: protocol ?? 0 },
    flags:
      (ipVersion === 6 ? CB_PW_FIT_F_IPV6 : 0) |
      (protocol === undefined ? 0 : CB_PW_FIT_F_PROTOCOL) |
      (hasPorts ? CB_PW_FIT_F_PORTS : 0),
  };
}

type Masked = { readonly bytes: Uint8Array; readonly mask: Uint8Array };

function maskedOf(cidr: string | undefined, { ipVersion }: PseudowireMatch): Masked | string {
  if (cidr === undefined) return { bytes: NO_ADDRESS, mask: NO_ADDRESS };
  const prefix = parsePrefix(cidr);
  if (prefix === undefined || isMapped(prefix.bytes) !== (ipVersion === 4))
    return `${cidr} is no prefix of IPv${ipVersion}`;
  return { bytes: prefix.bytes, mask: maskBytes(prefix.length, 16) };
}
