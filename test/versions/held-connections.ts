/**
 * `server ADDRESS PORT` or `client ADDRESS PORT COUNT`: many TCP connections that are held open. Of every two, one carries a byte there and back ten
 * times a second; on the other nothing is said until the server is told to (a line `speak` on standard input): then it says a word on each, and the
 * client answers each. A line `report` is answered with a `Report` in JSON. Ends with its standard input.
 */
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** Of the client: `whole` are those of its connections that are open and have heard the word. Of the server: those whose answer came. */
export type Report = { readonly open: number; readonly whole: number; readonly echoes: number };

const WORD = 0x57;
const ANSWER = 0x41;
const BYTE = Uint8Array.of(0x2e);
const EVERY_MS = 100;

const [role, address = '', port = '', count = '0'] = process.argv.slice(2);
const open = new Set<Socket>();
const whole = new Set<Socket>();
let echoes = 0;

function hold(socket: Socket, onByte: (byte: number) => void): void {
  open.add(socket);
  socket.setNoDelay(true);
  socket.on('data', (bytes) => bytes.forEach(onByte));
  const lost = (): void => {
    open.delete(socket);
    whole.delete(socket);
    socket.destroy();
  };
  socket.on('error', lost);
  socket.on('end', lost);
}

function serve(): void {
  const server = createServer((socket) =>
    hold(socket, (byte) => {
      if (byte === ANSWER) whole.add(socket);
      else socket.write(BYTE);
    }),
  );
  server.listen({ host: address, port: Number(port), backlog: 1024 }, () => process.stdout.write('ready\n'));
}

function hear(socket: Socket, byte: number): void {
  if (byte !== WORD) {
    echoes += 1;
    return;
  }
  whole.add(socket);
  socket.write(Uint8Array.of(ANSWER));
}

async function dial(): Promise<void> {
  const busy: Socket[] = [];
  for (let number = 0; number < Number(count); number += 1) {
    const socket = connect({ host: address, port: Number(port) });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    hold(socket, (byte) => hear(socket, byte));
    if (number % 2 === 0) busy.push(socket);
  }
  setInterval(() => {
    for (const socket of busy) if (open.has(socket)) socket.write(BYTE);
  }, EVERY_MS);
  process.stdout.write('ready\n');
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line === 'speak') for (const socket of open) socket.write(Uint8Array.of(WORD));
    if (line !== 'report') return;
    const report: Report = { open: open.size, whole: whole.size, echoes };
    process.stdout.write(`${JSON.stringify(report)}\n`);
  })
  .on('close', () => process.exit());
if (role === 'server') serve();
else await dial();
