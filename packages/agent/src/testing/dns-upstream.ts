/** For tests: a name server of www.example.com at 192.0.2.1, port 5300, by UDP and TCP. Says `ready`. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { answerDns } from '../guest/dns-answer.ts';
import { createDnsFramer, frameDnsMessage } from '../guest/dns-framing.ts';
import { zoneOf } from '../guest/testing/dns-client.ts';

const ZONE = zoneOf('example.com', [{ fqdn: 'www.example.com', addresses: ['203.0.113.80'] }]);

function reply(bytes: Uint8Array, protocol: 'udp' | 'tcp'): Uint8Array | undefined {
  const outcome = answerDns(bytes, ZONE, { protocol, canForward: false });
  return outcome.kind === 'answer' ? outcome.bytes : undefined;
}

const udp = createSocket('udp4', (bytes, { port, address }) => {
  const answer = reply(bytes, 'udp');
  if (answer !== undefined) udp.send(answer, port, address);
});
const tcp = createServer((connection) => {
  const framer = createDnsFramer(4096);
  connection.on('error', () => connection.destroy());
  connection.on('data', (chunk) => {
    for (const message of framer.push(chunk) ?? []) connection.write(frameDnsMessage(reply(message, 'tcp') ?? message));
  });
});
udp.bind(5300, '192.0.2.1', () => tcp.listen(5300, '192.0.2.1', () => process.stdout.write('ready\n')));
