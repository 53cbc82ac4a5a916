/**
 * A program of the tests beside it: an end of many TCP connections, which says on standard output what becomes of each, a line of JSON an event.
 *
 *   party.ts serve <port>
 *   party.ts call <address> <port> <connections> [<ms between questions>]
 *
 * A question is answered at once. Told `speak` on standard input, it says something on every connection.
 */
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const QUESTION = '?';
const ANSWER = '!';
const WORD = '.';

const sockets: Socket[] = [];

function tell(event: string, n: number): void {
  process.stdout.write(`${JSON.stringify({ event, n })}\n`);
}

function take(socket: Socket): void {
  const n = sockets.push(socket) - 1;
  socket.setNoDelay(true);
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    for (const one of String(text)) {
      if (one === QUESTION) socket.write(ANSWER);
      tell(one === ANSWER ? 'answer' : one === WORD ? 'word' : 'question', n);
    }
  });
  socket.on('error', (err) => process.stderr.write(`${err.message}\n`));
  socket.on('close', () => tell('closed', n));
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'serve') {
  const server = createServer((socket) => {
    take(socket);
    tell('open', sockets.length - 1);
  });
  server.listen(Number(rest[0]), () => tell('ready', 0));
} else {
  const [address = '', port = '', count = '', everyMs] = rest;
  for (let n = 0; n < Number(count); n += 1) {
    const socket = connect({ host: address, port: Number(port) });
    take(socket);
    socket.on('connect', () => {
      tell('open', n);
      if (everyMs !== undefined) setInterval(() => socket.write(QUESTION), Number(everyMs));
    });
  }
}
createInterface({ input: process.stdin }).on('line', () => {
  for (const socket of sockets) if (!socket.destroyed) socket.write(WORD);
});
