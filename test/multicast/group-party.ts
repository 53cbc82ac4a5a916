/**
 * A program of the test beside it: an end of what is sent to a group of multicast, by UDP.
 *
 *   group-party.ts join <group> <port> <interface>
 *   group-party.ts send <group> <port> <interface> <ms between packets>
 *
 * Of IPv4 the interface is its address, of IPv6 `::%` and its name. Packets are numbered from 0. It says `ready`, and then, told anything on standard input, how many it has
 * sent, or which it has got.
 */
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';

const [what = '', group = '', port = '', from = '', everyMs = ''] = process.argv.slice(2);
const socket = createSocket({ type: group.includes(':') ? 'udp6' : 'udp4', reuseAddr: true });
const got: number[] = [];
let sent = 0;

function ready(): void {
  process.stdout.write('ready\n');
}

if (what === 'join') {
  socket.on('message', (bytes) => got.push(bytes.readUInt32BE(0)));
  socket.bind(Number(port), () => {
    socket.addMembership(group, from);
    ready();
  });
} else {
  socket.bind(0, () => {
    socket.setMulticastInterface(from);
    socket.setMulticastTTL(4);
    setInterval(() => {
      const bytes = Buffer.alloc(100);
      bytes.writeUInt32BE(sent);
      socket.send(bytes, Number(port), group);
      sent += 1;
    }, Number(everyMs));
    ready();
  });
}
createInterface({ input: process.stdin }).on('line', () => {
  process.stdout.write(`${JSON.stringify(what === 'join' ? got : sent)}\n`);
});
