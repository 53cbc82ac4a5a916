import { writeFileSync } from 'node:fs';
import { startAgent } from '../../agent.ts';
import { untilSynced } from '../../checks/agent-status.ts';
import { type Check, expect } from '../../checks/check.ts';
import type { GuestServicesLab, GuestServicesWorld } from './world.ts';

export const SECRET = 'a secret that both know';
/** What the name server outside answers to any question for an address. */
export const OUTSIDE_ADDRESS = '203.0.113.80';

const DNS_PORT = 5300;
const NOVA_PORT = 8775;

/** Both on a host's underlay address: a server of names, and one that says what it was told, as Nova’s metadata would be asked. */
const PROGRAM = `
const [address, dnsPort, novaPort] = process.argv.slice(1);
const dns = require('node:dgram').createSocket('udp4');
dns.on('message', (query, { port, address }) => {
  let end = 12;
  while (query[end] !== 0) end += query[end] + 1;
  const question = query.subarray(12, end + 5);
  const header = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
  const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ${OUTSIDE_ADDRESS.split('.').join(', ')}]);
  dns.send(Buffer.concat([header, question, answer]), port, address);
});
const nova = require('node:http').createServer((request, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ path: request.url, headers: request.headers }));
});
dns.bind(Number(dnsPort), address, () => nova.listen(Number(novaPort), address, () => console.log('ready')));
`;

/** What is outside of the cloud, and agents that know of it. */
export const OUTSIDE_CHECKS: readonly Check<GuestServicesWorld>[] = [
  {
    group: 'outside',
    name: 'the agents restarted with a name server and Nova’s metadata',
    concerns: ['agent', 'outside'],
    run: async (lab) => {
      const { h1 } = lab.hosts;
      const command = [process.execPath, '-e', PROGRAM, h1.underlay, String(DNS_PORT), String(NOVA_PORT)];
      await lab.processes.start({ name: 'outside', command, netns: h1.netns, ready: /^ready$/m });
      for (const host of Object.values(lab.hosts)) await restartWithOutside(lab, host.short);
      return `names of others from ${h1.underlay}:${DNS_PORT}, Nova at ${h1.underlay}:${NOVA_PORT}`;
    },
  },
];

async function restartWithOutside(lab: GuestServicesLab, short: string): Promise<void> {
  const host = Object.values(lab.hosts).find((one) => one.short === short);
  expect(host?.agent !== undefined, `${short} has no agent`);
  const secretFile = `${lab.names.dir}/metadata-secret`;
  writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 });
  await host.agent.stop();
  const { underlay } = lab.hosts.h1;
  const nova = ['--nova-metadata', `http://${underlay}:${NOVA_PORT}`, '--metadata-secret-file', secretFile];
  const outside = ['--dns-upstream', `${underlay}:${DNS_PORT}`, ...nova];
  await startAgent(lab.names, lab.processes, host, lab.encapsulation, outside);
  await untilSynced(host);
}
