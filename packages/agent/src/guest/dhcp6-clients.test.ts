import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { parseExtraDhcpOption } from '@cable/model';
import { answerDhcp6Datagram } from './dhcp6-datagram.ts';
import { guest6, guest6Address } from './testing/dhcp6-client.ts';
import { runDhcpcd } from './testing/dhcpcd.ts';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from './testing/own-namespace.ts';

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), `cable-dhcp6-${process.pid}-`));
const script = join(directory, 'script');
const ntp = parseExtraDhcpOption(6, 'ntp-server', '2001:db8::7');
let guest = guest6({ extraOptions: ntp.ok ? [ntp.option] : [] });
let counters: string[] = [];
let client: HeldNamespace;
let server: Socket;

before(async () => {
  enterOwnNamespace();
  client = await holdNamespace();
  ip(`link add s0 type veth peer name c0 address fa:16:3e:00:00:05 netns ${client.pid}`);
  ip('addr add fe80::1/64 dev s0 nodad');
  ip('link set s0 up');
  await run('nsenter', ['-t', String(client.pid), '-n', 'sysctl', '-qw', 'net.ipv6.conf.c0.accept_dad=0']);
  ip('link set lo up', client.pid);
  ip('link set c0 up', client.pid);
  const deadline = performance.now() + 60_000;
  while (!ip('-6 addr show dev c0 scope link', client.pid).includes('fe80')) {
    assert.ok(performance.now() < deadline, 'c0 gets no link-local address');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  server = createSocket('udp6');
  server.bind(547);
  await once(server, 'listening');
  server.addMembership('ff02::1:2', '::%s0');
  server.on('message', (bytes, sender) => {
    const { counter, answer } = answerDhcp6Datagram(bytes, guest, { leaseSeconds: 3600 });
    counters.push(`${bytes[0]} ${counter}`);
    if (answer !== undefined) server.send(answer, sender.port, sender.address);
  });
});

after(async () => {
  server?.close();
  await client?.end();
  rmSync(directory, { recursive: true, force: true });
});

/** Runs dhclient; its script writes its environment, a block for each event, and ends it at one of `last`. */
async function runDhclient(words: string, last: string): Promise<string> {
  const log = join(directory, 'env');
  rmSync(log, { force: true });
  const end = `case $reason in ${last}) (sleep 0.3; kill -KILL $PPID) & esac`;
  writeFileSync(script, `#!/bin/sh\n{ echo "event $reason"; env; } >> ${log}\n${end}\n`);
  chmodSync(script, 0o755);
  const enter = ['-t', String(client.pid), '-n', 'dhclient', ...words.split(' '), '-d', '--no-pid', '-sf', script];
  const files = ['-cf', '/dev/null', '-lf', join(directory, 'leases'), 'c0'];
  await run('nsenter', [...enter, ...files], { timeout: 60_000 }).catch((err: { signal?: string | null }) => {
    if (typeof err.signal !== 'string') throw err;
  });
  return readFileSync(log, 'utf8');
}

test('dhclient -6 gets its address, name server and search domain', async () => {
  counters = [];
  const seen = await runDhclient('-6 -1', 'BOUND6');
  for (const line of [
    'new_ip6_address=2001:db8::5',
    'new_dhcp6_name_servers=2001:db8::53',
    'new_dhcp6_domain_search=example.org.',
    'new_max_life=3600',
  ])
    assert.ok(seen.split('\n').includes(line), `${line} in:\n${seen}`);
  assert.deepEqual(counters, ['1 dhcp6_advertise', '3 dhcp6_reply']);
});

test('dhclient -6 comes back: its address is confirmed; an address that changed is refused, and it begins anew', async () => {
  counters = [];
  const same = await runDhclient('-6 -1', 'REBOOT6|BOUND6|REBIND6');
  assert.match(same, /^new_ip6_address=2001:db8::5$/m);
  assert.deepEqual(counters, ['4 dhcp6_reply']);
  const before = guest;
  guest = guest6({ addresses: [guest6Address({ ipAddress: '2001:db8::8' })] });
  const other = await runDhclient('-6 -1', 'BOUND6');
  assert.match(other, /^new_ip6_address=2001:db8::8$/m);
  assert.deepEqual(counters.slice(1), ['4 dhcp6_reply', '1 dhcp6_advertise', '3 dhcp6_reply']);
  guest = before;
});

test('dhclient -6 -S asks for information alone', async () => {
  counters = [];
  const before = guest;
  guest = guest6({ addresses: [guest6Address({ addressMode: 'dhcpv6-stateless' })] });
  const seen = await runDhclient('-6 -S -1', 'BOUND6');
  assert.match(seen, /^new_dhcp6_name_servers=2001:db8::53$/m);
  assert.deepEqual(counters, ['11 dhcp6_reply']);
  guest = before;
});

test('dhcpcd -6 gets its address and the time server', async () => {
  counters = [];
  const words = '-6 -1 -t 15 --noipv6rs --ia_na -o dhcp6_ntp_server';
  const seen = await runDhcpcd(client.pid, words, /^event BOUND6$[\s\S]*^end$/m);
  assert.match(seen, /^new_dhcp6_ia_na1_ia_addr1=2001:db8::5$/m);
  assert.match(seen, /^new_dhcp6_ntp_server_addr=2001:db8::7$/m);
  assert.deepEqual(counters, ['1 dhcp6_advertise', '3 dhcp6_reply']);
});
