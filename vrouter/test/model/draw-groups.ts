/** Draws what ports of a network say of groups of multicast, and what is sent to these. */
import { BROADCAST } from '../packet.ts';
import { type Cloud, isHere, type Port } from './cloud.ts';
import type { Draw } from './draw.ts';
import { VIRTUAL_MAC } from './draw-cloud.ts';
import { drawBody, odd, type Said } from './draw-packets.ts';
import type { Body, IpPacket } from './packets.ts';

/** One of the link. */
const GROUPS = ['239.1.2.3', '239.1.2.4', '224.0.1.1', '224.0.0.251'] as const;
const MACS = ['01:00:5e:01:02:03', '01:00:5e:01:02:03', '01:00:5e:00:00:fb', BROADCAST, VIRTUAL_MAC] as const;
const [PIM, IGMP] = [103, 2];
const MOST_SAID = 8;

/** Ports of one network, that of `port`, speak of the same one or two groups, and send to them. */
export function groupTalk(draw: Draw, cloud: Cloud, port: Port): readonly Said[] {
  const ports = cloud.ports.filter(({ network }) => network === port.network);
  const here = ports.filter(isHere);
  const groups = [draw.pick(GROUPS), draw.pick(GROUPS)];
  return Array.from({ length: 3 + draw.below(MOST_SAID - 2) }, () => {
    const speaks = draw.chance(0.5);
    const from = draw.pick(speaks && here.length > 0 ? here : ports);
    return { port: from, packet: groupPacket(draw, cloud, from, groups, speaks) };
  });
}

function groupPacket(draw: Draw, cloud: Cloud, from: Port, groups: readonly string[], speaks: boolean): IpPacket {
  const packet: IpPacket = {
    ...{ kind: 'ip', src: from.mac, dst: draw.pick(MACS), from: from.addresses[0] ?? '', to: draw.pick(groups) },
    body: speaks ? speechBody(draw, groups) : drawBody(draw),
  };
  if (draw.chance(0.05)) return odd(draw, cloud, { ...packet, id: 5, moreFragments: true });
  return draw.chance(0.1) ? odd(draw, cloud, packet) : packet;
}

/** The checksum is not looked at. */
function speechBody(draw: Draw, groups: readonly string[]): Body {
  const whole = draw.chance(0.5) ? reports3(draw, groups) : message(draw, groups);
  const bytes = draw.chance(0.05) ? whole.subarray(0, draw.below(whole.length)) : whole;
  return { kind: 'other', protocol: draw.chance(0.97) ? IGMP : PIM, hex: bytes.toString('hex') };
}

/** Of version 1 or 2: reports, that a group is left; seldom a query, or what is none of these. */
function message(draw: Draw, groups: readonly string[]): Buffer {
  const type = draw.chance(0.9) ? draw.pick([0x12, 0x16, 0x16, 0x17]) : draw.pick([0x11, 0x13, 0x30]);
  return Buffer.from([type, 0, 0, 0, ...bytesOf(draw.pick(groups))]);
}

function reports3(draw: Draw, groups: readonly string[]): Buffer {
  const count = draw.pick([1, 1, 1, 2, 3]);
  const says = draw.chance(0.04) ? 65 : count;
  const head = Buffer.from([0x22, 0, 0, 0, 0, 0, says >> 8, says & 0xff]);
  return Buffer.concat([head, ...Array.from({ length: count }, () => record(draw, groups))]);
}

function record(draw: Draw, groups: readonly string[]): Buffer {
  const sources = draw.pick([0, 0, 0, 1, 2]);
  const words = draw.chance(0.1) ? 1 : 0;
  const bytes = Buffer.alloc(8 + 4 * sources + 4 * words);
  bytes[0] = draw.pick([1, 2, 3, 4, 4, 5, 6, 9]);
  bytes[1] = words;
  bytes.writeUInt16BE(draw.chance(0.02) ? 65_535 : sources, 2);
  bytesOf(draw.pick(groups)).copy(bytes, 4);
  return bytes;
}

function bytesOf(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}
