import type { FrameFilter } from '@cable/model';
import { parseAddress } from '../plan/address.ts';

const ETHERTYPE = { arp: 0x0806, ip: 0x0800, ip6: 0x86dd } as const;
const WITH_PORTS = [6, 17, 132];

/** Does the frame belong to what is captured? As `capture` of vrouter/sample.bpf.c. */
export function createMatcher(filter: FrameFilter): (frame: Uint8Array) => boolean {
  const { etherType, protocol, ports } = filter;
  const hosts = filter.hosts.map((host) => Buffer.from(parseAddress(host) ?? []).toString('hex'));
  if (etherType === null && protocol === null && hosts.length === 0 && ports.length === 0) return () => true;
  return (bytes) => {
    const frame = readFrame(bytes);
    return (
      (etherType === null || frame.type === etherType) &&
      (protocol === null || frame.protocol === protocol) &&
      hosts.every((host) => frame.addresses.includes(host)) &&
      ports.every((port) => frame.ports.includes(port))
    );
  };
}

/** Bytes that a frame had before it was cut: as its IP packet says, and at least those that are there. */
export function wholeBytes(bytes: Uint8Array): number {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const { type } = readFrame(frame);
  if (type === ETHERTYPE.ip && frame.length >= 34) return Math.max(frame.length, 14 + frame.readUInt16BE(16));
  if (type === ETHERTYPE.ip6 && frame.length >= 54) return Math.max(frame.length, 54 + frame.readUInt16BE(18));
  return frame.length;
}

/** As far as it is there. Ports only of packets that have some: of later fragments they are not known. */
type Frame = {
  readonly type: number;
  readonly protocol: number;
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
};

function readFrame(bytes: Uint8Array): Frame {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const none = { type: 0, protocol: -1, addresses: [], ports: [] };
  if (frame.length < 14) return none;
  const type = frame.readUInt16BE(12);
  if (type === ETHERTYPE.arp && frame.length >= 42)
    return { ...none, type, addresses: [mapped(frame, 28), mapped(frame, 38)] };
  if (type === ETHERTYPE.ip && frame.length >= 34) {
    const [protocol = 0, at] = [frame[23], 14 + ((frame[14] ?? 0) & 15) * 4];
    const isFirst = (frame.readUInt16BE(20) & 0x1fff) === 0;
    return {
      type,
      protocol,
      addresses: [mapped(frame, 26), mapped(frame, 30)],
      ports: isFirst ? portsAt(frame, at, protocol) : [],
    };
  }
  if (type === ETHERTYPE.ip6 && frame.length >= 54) {
    const protocol = frame[20] ?? 0;
    const addresses = [frame.toString('hex', 22, 38), frame.toString('hex', 38, 54)];
    return { type, protocol, addresses, ports: portsAt(frame, 54, protocol) };
  }
  return { ...none, type };
}

function mapped(frame: Buffer, at: number): string {
  return `00000000000000000000ffff${frame.toString('hex', at, at + 4)}`;
}

function portsAt(frame: Buffer, at: number, protocol: number): readonly number[] {
  if (!WITH_PORTS.includes(protocol) || frame.length < at + 4) return [];
  return [frame.readUInt16BE(at), frame.readUInt16BE(at + 2)];
}
