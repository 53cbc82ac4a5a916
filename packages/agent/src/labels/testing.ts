/** For tests: a router of a provider, as frames on the underlay: what it would send and hear as MPLS in UDP. */
import assert from 'node:assert/strict';
import type { LocalPort } from '@cable/model';
import { type CaptureSocket, openCaptureSocket } from '../net/capture-socket.ts';
import { FrameSocket } from '../net/frame-socket.ts';
import { inNetns } from '../net/netns.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { formatAddress, parseAddress, parseMac } from '../plan/address.ts';
import {
  type SampleSlice,
  sampleHost,
  sampleId,
  samplePolicy,
  samplePort,
  sampleRule,
} from '../plan/testing/sample.ts';
import { type SampleVpnPort, sampleSite } from '../plan/testing/sample-vpn.ts';
import type { BedHost } from '../testing/agent-bed.ts';

/** What stands around a packet with a label. Defaults: sound. */
export type Labelled = {
  readonly srcMac: string;
  readonly dstMac: string;
  /** Of IPv4. */
  readonly from: string;
  readonly to: string;
  readonly label: number;
  readonly bottom?: boolean;
  readonly ttl?: number;
  readonly tos?: number;
  /** UDP's length less what it is. */
  readonly missing?: number;
};

const LABEL_PORT = 6635;

/** One's complement sum over 16-bit words, inverted. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  return ~sum & 0xffff;
}

function four(address: string): Uint8Array {
  return parseAddress(address)?.subarray(12) ?? new Uint8Array(4);
}

/** An IPv4 packet. */
export function ipv4(
  fields: {
    readonly from: string;
    readonly to: string;
    readonly protocol: number;
    readonly ttl?: number;
    readonly tos?: number;
    readonly dontFragment?: boolean;
  },
  payload: Uint8Array,
): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header[1] = fields.tos ?? 0;
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(fields.dontFragment === true ? 0x4000 : 0, 6);
  header[8] = fields.ttl ?? 64;
  header[9] = fields.protocol;
  header.set(four(fields.from), 12);
  header.set(four(fields.to), 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** An ICMP echo request (8) or its answer (0). */
export function echo(type: 8 | 0, id: number, payload: Uint8Array = Buffer.alloc(32, 7)): Buffer {
  const message = Buffer.concat([Buffer.of(type, 0, 0, 0, id >> 8, id & 255, 0, 1), payload]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** The frame on the underlay. */
export function labelled(around: Labelled, inner: Uint8Array, sport = 50_000): Buffer {
  const { label, bottom = true, ttl = 64, tos = 0, missing = 0 } = around;
  const udp = Buffer.alloc(12);
  udp.writeUInt16BE(sport, 0);
  udp.writeUInt16BE(LABEL_PORT, 2);
  udp.writeUInt16BE(12 + inner.length - missing, 4);
  udp.writeUInt32BE(label * 4096 + (bottom ? 256 : 0) + ttl, 8);
  const ip = ipv4({ ...around, ttl: 64, tos, protocol: 17, dontFragment: true }, Buffer.concat([udp, inner]));
  const [dst, src] = [parseMac(around.dstMac), parseMac(around.srcMac)];
  return Buffer.concat([dst ?? Buffer.alloc(6), src ?? Buffer.alloc(6), Buffer.of(8, 0), ip]);
}

/** The same over IPv6: `from` and `to` are of that. `sum`: how far its UDP checksum is from the right one; null: it is zero, as Cable sends it. */
export function labelled6(around: Labelled, inner: Uint8Array, sum: number | null): Buffer {
  const { label, bottom = true, ttl = 64 } = around;
  const udp = Buffer.alloc(12);
  udp.writeUInt16BE(50_000, 0);
  udp.writeUInt16BE(LABEL_PORT, 2);
  udp.writeUInt16BE(12 + inner.length, 4);
  udp.writeUInt32BE(label * 4096 + (bottom ? 256 : 0) + ttl, 8);
  const [from, to] = [parseAddress(around.from), parseAddress(around.to)].map((one) => one ?? new Uint8Array(16));
  const pseudo = Buffer.concat([from ?? [], to ?? [], Buffer.of(0, 0, 0, 0, 0, 0, 0, 17)] as Uint8Array[]);
  pseudo.writeUInt32BE(12 + inner.length, 32);
  if (sum !== null) udp.writeUInt16BE((checksum(pseudo, udp, inner) + sum) & 0xffff || 0xffff, 6);
  const ip = Buffer.alloc(8);
  ip[0] = 0x60;
  ip.writeUInt16BE(12 + inner.length, 4);
  ip[6] = 17;
  ip[7] = 64;
  const [dst, src] = [parseMac(around.dstMac), parseMac(around.srcMac)].map((one) => one ?? new Uint8Array(6));
  return Buffer.concat([dst, src, Buffer.of(0x86, 0xdd), ip, from, to, udp, inner] as Uint8Array[]);
}

/** A frame with a label, as it came over IPv4. */
export type HeardLabel = {
  readonly from: string;
  readonly to: string;
  readonly tos: number;
  readonly ttl: number;
  readonly dontFragment: boolean;
  readonly sport: number;
  readonly checksum: number;
  readonly label: number;
  readonly class: number;
  readonly bottom: boolean;
  readonly labelTtl: number;
  readonly inner: Buffer;
};

/** Undefined: it is no such frame. Throws where its lengths or its header's checksum are wrong. */
export function readLabelled(bytes: Uint8Array): HeardLabel | undefined {
  const frame = Buffer.from(bytes);
  if (frame.length < 46 || frame.readUInt16BE(12) !== 0x800 || frame[14] !== 0x45 || frame[23] !== 17) return undefined;
  if (frame.readUInt16BE(36) !== LABEL_PORT) return undefined;
  const ip = frame.subarray(14, 34);
  if (checksum(ip) !== 0 || frame.readUInt16BE(16) + 14 !== frame.length) throw new Error('unsound IPv4 header');
  if (frame.readUInt16BE(38) + 34 !== frame.length) throw new Error('unsound UDP length');
  const entry = frame.readUInt32BE(42);
  const text = (at: number): string =>
    formatAddress(Buffer.concat([Buffer.alloc(10), Buffer.of(255, 255), ip.subarray(at, at + 4)]));
  return {
    ...{ from: text(12), to: text(16), tos: ip[1] ?? 0, ttl: ip[8] ?? 0, dontFragment: ip.readUInt16BE(6) === 0x4000 },
    ...{ sport: frame.readUInt16BE(34), checksum: frame.readUInt16BE(40) },
    ...{ label: Math.floor(entry / 4096), class: (entry >> 9) & 7, bottom: (entry & 256) !== 0, labelTtl: entry & 255 },
    inner: frame.subarray(46),
  };
}

/** A host without an agent as a router of a provider: frames of its device, in this process. `heard`: what came with a label. */
export class ProviderRouter {
  readonly heard: HeardLabel[] = [];
  readonly mac: string;
  readonly #socket: CaptureSocket;
  readonly #frames: FrameSocket;
  readonly #ifindex: number;

  constructor(host: BedHost) {
    const [link] = JSON.parse(host.exec('ip', '-j', 'link', 'show', 'eth0')) as { ifindex: number; address: string }[];
    assert.ok(link);
    this.mac = link.address;
    this.#ifindex = link.ifindex;
    const onFrame = (frame: Uint8Array): void => {
      const one = readLabelled(frame);
      if (one !== undefined && one.to === host.underlay) this.heard.push(one);
    };
    const [socket, frames] = inNetns(`/run/netns/${host.netns}`, () => [
      openCaptureSocket({ ifindex: link.ifindex, onFrame, onError: () => undefined }),
      new FrameSocket(),
    ]);
    this.#socket = socket;
    this.#frames = frames;
  }

  send(frame: Uint8Array): void {
    this.#frames.send(this.#ifindex, frame);
  }

  close(): void {
    this.#socket.close();
    this.#frames.close();
  }
}

/** Of the networks of VPNs. */
export const VPN_MTU_BYTES = 1400;

/** A port of a VPN, and who stands behind it. */
export type VpnGuest = {
  readonly port: LocalPort;
  readonly host: BedHost;
  readonly netns: TestNetns;
  readonly vpn: number;
};

/** Port `n` in VPN number `vpn`, with the address `last` in each of its subnets. */
export function addVpnGuest(n: number, vpn: number, last: number, host: BedHost): VpnGuest {
  const { four, six } = sampleSite(vpn);
  const fixedIps = [
    { subnetId: sampleId('sub', vpn), ipAddress: `${four}.${last}` },
    { subnetId: sampleId('sub', vpn + 1000), ipAddress: `${six}${last}` },
  ];
  const port = samplePort(n, { networkId: sampleId('net', vpn), policy: 'policy:p', fixedIps, vifKind: 'veth' });
  const netns = createNetns();
  const device = `cv${port.id.slice(0, 11)}`;
  host.exec('ip', 'link', 'add', device, 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  host.exec('ip', 'link', 'set', device, 'alias', port.id);
  netns.ip('link', 'set', 'lo', 'up');
  netns.ip('link', 'set', 'eth0', 'address', port.macAddress, 'mtu', String(VPN_MTU_BYTES), 'up');
  netns.ip('address', 'add', `${four}.${last}/24`, 'dev', 'eth0');
  netns.ip('address', 'add', `${six}${last}/64`, 'dev', 'eth0', 'nodad');
  netns.ip('route', 'add', 'default', 'via', `${four}.254`);
  netns.ip('-6', 'route', 'add', 'default', 'via', `${six}fe`);
  return { port, host, netns, vpn };
}

/** Where the guests of a VPN are. */
export function vpnPlaces(guests: readonly VpnGuest[], vpn: number): readonly SampleVpnPort[] {
  return guests
    .filter((one) => one.vpn === vpn)
    .map(({ port, host }) => ({ port, host: host.name, underlay: host.underlay }));
}

/** All slices, of these VPNs; ports of others are not bound. */
export function vpnWorld(
  hosts: readonly BedHost[],
  guests: readonly VpnGuest[],
  vpns: readonly (readonly SampleSlice[])[],
): readonly SampleSlice[] {
  const known = new Set(vpns.flat().map(({ key }) => key));
  const portsOf = (host: BedHost): LocalPort[] =>
    guests.filter((one) => one.host === host && known.has(`network:${one.port.networkId}`)).map(({ port }) => port);
  return [
    ...hosts.map((host) => sampleHost(host.name, portsOf(host))),
    ...vpns.flat(),
    samplePolicy(
      'p',
      (['IPv4', 'IPv6'] as const).flatMap((ethertype, i) => [
        sampleRule(1 + 2 * i, { direction: 'egress', ethertype }),
        sampleRule(2 + 2 * i, { ethertype }),
      ]),
    ),
  ];
}

/** Whether it answers a ping within a second. */
export function answers(netns: TestNetns, to: string): boolean {
  try {
    netns.run('ping', '-c', '1', '-W', '1', '-q', to);
    return true;
  } catch {
    return false;
  }
}
