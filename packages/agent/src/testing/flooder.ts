/**
 * For tests, a process of its own inside a guest: `flooder.ts dhcp|syn ADDRESS` sends DISCOVERs, or SYNs to the metadata address from one port after the other,
 * out of `c0` until SIGTERM. It prints a line when it begins and the number of frames when it ends.
 */
import { encodeDhcpMessage } from '../guest/dhcp-message.ts';
import { clientMessage } from '../guest/testing/dhcp-client.ts';
import { FrameSocket } from '../net/frame-socket.ts';
import { requireLink } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';

const [kind = '', address = ''] = process.argv.slice(2);
const device = requireLink(new NetlinkSocket(), 'c0');
const mac = Buffer.from(device.mac.replaceAll(':', ''), 'hex');

function ipv4(protocol: number, from: string, to: string, payload: Buffer): Buffer {
  const header = Buffer.from([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, ...dotted(from), ...dotted(to)]);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

function dotted(text: string): number[] {
  return text.split('.').map(Number);
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** To all, so that no MAC has to be known. */
function frame(packet: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(6, 0xff), mac, Buffer.from([8, 0]), packet]);
}

function discover(): Buffer {
  const { bytes } = encodeDhcpMessage({ ...clientMessage(1), chaddr: new Uint8Array(mac) }, 548);
  const udp = Buffer.concat([Buffer.from([0, 68, 0, 67, 0, 0, 0, 0]), bytes]);
  udp.writeUInt16BE(udp.length, 4);
  return frame(ipv4(17, '0.0.0.0', '255.255.255.255', udp));
}

function syn(port: number): Buffer {
  const to = '169.254.169.254';
  const tcp = Buffer.from([0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
  tcp.writeUInt16BE(port, 0);
  const pseudo = Buffer.from([...dotted(address), ...dotted(to), 0, 6, 0, tcp.length]);
  tcp.writeUInt16BE(checksum(Buffer.concat([pseudo, tcp])), 16);
  return frame(ipv4(6, address, to, tcp));
}

const frames = kind === 'dhcp' ? [discover()] : Array.from({ length: 64_000 }, (_, i) => syn(1024 + i));
const socket = new FrameSocket();
let sent = 0;
let ended = false;
process.once('SIGTERM', () => {
  ended = true;
});
process.stdout.write('sending\n');
while (!ended) {
  for (let i = 0; i < 1_000; i += 1) {
    socket.send(device.ifindex, frames[sent % frames.length] ?? Buffer.alloc(0));
    sent += 1;
  }
  await new Promise(setImmediate);
}
process.stdout.write(`${sent}\n`);
