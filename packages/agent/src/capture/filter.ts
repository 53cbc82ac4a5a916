import { parseAddress } from '../plan/address.ts';

/** Does the frame belong to what is captured? */
export type FrameFilter = (frame: Uint8Array) => boolean;

const ETHERTYPE = { arp: 0x0806, ip: 0x0800, ip6: 0x86dd } as const;
const PROTOCOLS: ReadonlyMap<string, readonly [type: number, protocol: number]> = new Map([
  ['icmp', [ETHERTYPE.ip, 1]],
  ['icmp6', [ETHERTYPE.ip6, 58]],
]);
const ANY_IP: ReadonlyMap<string, number> = new Map([
  ['tcp', 6],
  ['udp', 17],
  ['sctp', 132],
]);
const WITH_PORTS = [6, 17, 132];
const TYPES: ReadonlyMap<string, number> = new Map(Object.entries(ETHERTYPE));
const MAX_TEXT = 512;

/**
 * Conditions joined by `and`, in tcpdump's words: `arp`, `ip`, `ip6`, `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, `host ADDRESS`, `port NUMBER`. Empty: every frame. A
 * text instead: what is wrong with it.
 */
export function parseFilter(text: string): FrameFilter | string {
  const words = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (text.length > MAX_TEXT) return `it has more than ${MAX_TEXT} characters`;
  const tests: ((frame: Frame) => boolean)[] = [];
  for (let at = 0; at < words.length; ) {
    if (at > 0 && words[at++] !== 'and') return `join conditions by 'and': '${words[at - 1]}' is none`;
    const found = parseTest(words[at] ?? '', words[at + 1]);
    if (typeof found === 'string') return found;
    tests.push(found.test);
    at += found.words;
  }
  return (bytes) => {
    if (tests.length === 0) return true;
    const frame = readFrame(bytes);
    return tests.every((test) => test(frame));
  };
}

/** As far as it is there. Ports only of packets that have some: of later fragments they are not known. */
type Frame = {
  readonly type: number;
  readonly protocol: number;
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
};

type Found = { readonly words: 1 | 2; readonly test: (frame: Frame) => boolean } | string;

function parseTest(word: string, value: string | undefined): Found {
  const type = TYPES.get(word);
  if (type !== undefined) return { words: 1, test: (frame) => frame.type === type };
  const exact = PROTOCOLS.get(word);
  if (exact !== undefined) return { words: 1, test: (frame) => frame.type === exact[0] && frame.protocol === exact[1] };
  const protocol = ANY_IP.get(word);
  if (protocol !== undefined) return { words: 1, test: (frame) => frame.protocol === protocol };
  if (word === 'host') {
    const address = parseAddress(value ?? '');
    if (address === undefined) return 'host: give an address';
    const wanted = Buffer.from(address).toString('hex');
    return { words: 2, test: ({ addresses }) => addresses.includes(wanted) };
  }
  if (word === 'port') {
    const port = /^\d{1,5}$/.test(value ?? '') ? Number(value) : 65_536;
    if (port > 65_535) return 'port: give a number of 0 to 65535';
    return { words: 2, test: ({ ports }) => ports.includes(port) };
  }
  const known = [...TYPES.keys(), ...ANY_IP.keys(), ...PROTOCOLS.keys()].join(', ');
  return `'${word}' is not known; there are ${known}, host ADDRESS, port NUMBER, joined by 'and'`;
}

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
