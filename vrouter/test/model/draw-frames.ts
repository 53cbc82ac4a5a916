/** Draws frames that nobody should send: damaged ones, headers inside of headers, what is not carried, and noise. No IPv6: the model does not know it. */
import { BROADCAST, ETHERTYPE, ethernet, gre, type Ipv4, icmp, ipv4, udp, vlan } from '../packet.ts';
import type { Case, PacketStep } from './case.ts';
import { type Cloud, type Port, SERVICE_MAC } from './cloud.ts';
import { Draw } from './draw.ts';
import { addressesIn, drawCloud, VIRTUAL_MAC } from './draw-cloud.ts';
import { drawArp, drawIp, drawServiceAnswer, drawServiceRequest, sendersHere } from './draw-packets.ts';
import { frameOf, longEnough } from './packets.ts';

const FRAMES = 25;
const EDGES = [0, 1, 5, 6, 0x0f, 0x40, 0x45, 0x46, 0x4f, 0x7f, 0x80, 0xff] as const;
const TYPES = [ETHERTYPE.ipv4, ETHERTYPE.arp, ETHERTYPE.vlan, 0x8847, 0x88cc, 0x05ff, 0] as const;
const PROTOCOLS = [0, 1, 2, 4, 6, 17, 33, 41, 43, 44, 47, 50, 51, 58, 94, 132, 136, 255] as const;
const MOST_BYTES = 200;

/** A case of frames, with the number `number` of those that the seed stands for. */
export function drawFrames(seed: number, number: number): Case {
  const draw = new Draw(Math.imul(seed, 0x27d4eb2f) ^ Math.imul(number + 1, 0x165667b1));
  const cloud = drawCloud(draw);
  return { cloud, steps: Array.from({ length: FRAMES }, () => drawStep(draw, cloud)) };
}

function drawStep(draw: Draw, cloud: Cloud): PacketStep {
  const port = draw.pick(draw.chance(0.8) ? sendersHere(cloud) : cloud.ports);
  if (draw.chance(0.05)) {
    const here = draw.pick(sendersHere(cloud));
    return { kind: 'serve', port: here.name, packet: raw(damage(draw, frameOf(drawServiceAnswer(draw, here)))) };
  }
  const packet = raw(drawFrame(draw, cloud, port));
  if (port.host === undefined) return { kind: 'send', port: port.name, packet };
  return { kind: 'receive', tunnel: { network: port.network, from: draw.pick(['h1', 'h2', 'h9']) }, packet };
}

function raw(frame: Buffer): { readonly kind: 'raw'; readonly hex: string } {
  return { kind: 'raw', hex: longEnough(frame).toString('hex') };
}

function drawFrame(draw: Draw, cloud: Cloud, port: Port): Buffer {
  switch (draw.weighted({ damaged: 10, nested: 4, noise: 2 })) {
    case 'damaged':
      return damage(draw, sound(draw, cloud, port));
    case 'nested':
      return nested(draw, cloud, port);
    case 'noise':
      return noise(draw, port);
  }
}

function sound(draw: Draw, cloud: Cloud, port: Port): Buffer {
  switch (draw.weighted({ ip: 5, arp: 2, service: 2 })) {
    case 'ip':
      return frameOf(drawIp(draw, cloud, port, draw.pick(addressesIn(cloud))));
    case 'arp':
      return frameOf(drawArp(draw, cloud, port));
    case 'service':
      return frameOf(drawServiceRequest(draw, cloud, port));
  }
}

/** A few bytes changed, perhaps some taken out or put in, perhaps the end cut off or drawn out. */
function damage(draw: Draw, frame: Buffer): Buffer {
  let bytes = Buffer.from(frame);
  for (let times = draw.below(4); times > 0; times--) {
    bytes[draw.chance(0.8) ? 12 + draw.below(48) : draw.below(bytes.length)] = draw.chance(0.5)
      ? draw.pick(EDGES)
      : draw.below(256);
  }
  const at = draw.below(bytes.length);
  switch (draw.weighted({ none: 6, cut: 3, drawn: 1, out: 1, in: 1 })) {
    case 'cut':
      bytes = bytes.subarray(0, Math.max(14, at));
      break;
    case 'drawn':
      bytes = Buffer.concat([bytes, randomBytes(draw, draw.below(40))]);
      break;
    case 'out':
      bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + draw.below(8))]);
      break;
    case 'in':
      bytes = Buffer.concat([bytes.subarray(0, at), randomBytes(draw, 1 + draw.below(8)), bytes.subarray(at)]);
      break;
    case 'none':
      break;
  }
  return bytes.length < 14 ? Buffer.concat([bytes, Buffer.alloc(14)]) : bytes;
}

/** Another's packet inside of a port's own: in IP, GRE, an ICMP error, or behind tags. */
function nested(draw: Draw, cloud: Cloud, port: Port): Buffer {
  const inner = sound(draw, cloud, draw.pick(cloud.ports)).subarray(0, MOST_BYTES);
  const to = draw.pick(addressesIn(cloud));
  const dst = draw.pick([SERVICE_MAC, BROADCAST, VIRTUAL_MAC, ...cloud.ports.map(({ mac }) => mac)]);
  const ip: Ipv4 = { src: port.mac, dst, from: port.addresses[0] ?? '', to };
  switch (draw.weighted({ ipip: 2, gre: 2, error: 3, vlan: 2, protocol: 2, options: 1 })) {
    case 'ipip':
      return ipv4(ip, draw.pick([4, 41]), inner.subarray(14));
    case 'gre':
      return gre(ip, {
        type: draw.pick([0x6558, ETHERTYPE.ipv4]),
        key: 1,
        payload: inner.subarray(draw.pick([0, 14])),
      });
    case 'error':
      return icmp(ip, {
        type: draw.pick([3, 4, 5, 11, 12]),
        payload: damage(draw, inner).subarray(14, 14 + draw.below(60)),
      });
    case 'vlan': {
      const tagged = vlan(inner, { id: draw.below(4096) });
      return draw.chance(0.5) ? tagged : vlan(tagged, { id: 1, outer: true });
    }
    case 'protocol':
      return ipv4(ip, draw.pick(PROTOCOLS), randomBytes(draw, draw.below(60)));
    case 'options':
      return udp({ ...ip, options: randomBytes(draw, 4 * draw.below(11)) }, { sport: 68, dport: 67 });
  }
}

function noise(draw: Draw, port: Port): Buffer {
  const dst = draw.pick([BROADCAST, VIRTUAL_MAC, SERVICE_MAC]);
  return ethernet({ src: port.mac, dst }, draw.pick(TYPES), randomBytes(draw, draw.below(MOST_BYTES)));
}

function randomBytes(draw: Draw, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => draw.below(256)));
}
