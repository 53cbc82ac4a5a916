import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { silentLogger } from '@cable/kit';
import { type GuestServices, startGuestServices } from './index.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from './testing/own-namespace.ts';
import { type Relay, startRelay } from './testing/relay.ts';

const run = promisify(execFile);
const stop = new AbortController();
const directory = mkdtempSync(join(tmpdir(), `cable-dhcp-${process.pid}-`));
const script = join(directory, 'script');
const guest = guestRecord({
  addresses: [guestAddress({ hostRoutes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }] })],
});
let client: HeldNamespace;
let relay: Relay;
let services: GuestServices;

before(async () => {
  enterOwnNamespace();
  client = await holdNamespace();
  ip('addr add 198.18.0.1/32 dev lo');
  ip('addr add 198.18.0.2/32 dev lo');
  ip(`link add s0 type veth peer name c0 address ${guest.macAddress} netns ${client.pid}`);
  ip('addr add 10.0.0.1/24 dev s0');
  ip('link set s0 up');
  ip('link set c0 up', client.pid);
  services = await startGuestServices({
    guests: () => new Map([[2, guest]]),
    address: '198.18.0.1',
    log: silentLogger(),
    signal: stop.signal,
  });
  relay = await startRelay({ serverAddress: '10.0.0.1', serviceAddress: '198.18.0.2', agentAddress: '198.18.0.1' });
});

after(async () => {
  stop.abort();
  relay?.stop();
  await client?.end();
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a client in the guest's namespace; its script writes its environment, a block for each event. */
async function runClient(command: string, words: string, onBound: string): Promise<string> {
  const log = join(directory, `${command}.env`);
  writeFileSync(script, `#!/bin/sh\n{ echo "event $1"; env; } >> ${log}\n${onBound}\n`);
  chmodSync(script, 0o755);
  const started = run('nsenter', ['-t', String(client.pid), '-n', command, ...words.split(' ')], { timeout: 20_000 });
  // A client that its script ended is not a failure; one that got no lease is.
  await started.catch((err: { killed?: boolean; signal?: string | null }) => {
    if (onBound === '' || err.killed === true || typeof err.signal !== 'string') throw err;
  });
  return readFileSync(log, 'utf8');
}

test('udhcpc gets its lease and every option', async () => {
  const seen = await runClient(
    'udhcpc',
    `-i c0 -n -q -f -t 5 -T 1 -O mtu -O staticroutes -x hostname:mine -s ${script}`,
    '',
  );
  for (const line of [
    'event bound',
    'ip=10.0.0.5',
    'subnet=255.255.255.0',
    'router=10.0.0.1',
    'dns=10.0.0.53',
    'hostname=web-1',
    'mtu=1450',
    'lease=86400',
    'serverid=10.0.0.1',
    'staticroutes=10.9.0.0/16 10.0.0.254 169.254.169.254/32 10.0.0.1 0.0.0.0/0 10.0.0.1',
  ]) {
    assert.ok(seen.split('\n').includes(line), `${line} in:\n${seen}`);
  }
});

test("udhcpc asking for an address that is not the port's gets the port's", async () => {
  rmSync(join(directory, 'udhcpc.env'), { force: true });
  const seen = await runClient('udhcpc', `-i c0 -n -q -f -t 5 -T 1 -r 10.0.0.77 -s ${script}`, '');
  assert.match(seen, /^ip=10\.0\.0\.5$/m);
});

test('dhclient gets its lease and returns to it by INIT-REBOOT', async () => {
  writeFileSync(`${directory}/conf`, 'timeout 10; request subnet-mask, routers, interface-mtu;\n');
  const files = `-cf ${directory}/conf -lf ${directory}/leases -sf ${script}`;
  const before = services.counters();
  const seen = await runClient('dhclient', `-1 -d --no-pid ${files} c0`, DHCLIENT_ONCE);
  assert.match(seen, /^reason=BOUND$/m);
  assert.match(seen, /^new_ip_address=10\.0\.0\.5$/m);
  assert.match(seen, /^new_interface_mtu=1450$/m);
  rmSync(join(directory, 'dhclient.env'), { force: true });
  const again = await runClient('dhclient', `-1 -d --no-pid ${files} c0`, DHCLIENT_ONCE);
  assert.match(again, /^reason=REBOOT$/m);
  const counters = services.counters();
  assert.equal((counters['dhcp_offer'] ?? 0) - (before['dhcp_offer'] ?? 0), 1);
  assert.equal((counters['dhcp_ack'] ?? 0) - (before['dhcp_ack'] ?? 0), 2);
});

/** dhclient stays in the foreground, and writes its lease after the script has ended: so the end comes a little later. */
const DHCLIENT_ONCE = 'case $reason in BOUND|REBOOT) (sleep 0.3; kill -KILL $PPID) & esac';

test('a stranger on the link gets nothing and is counted', async () => {
  ip('link set c0 address 02:00:00:00:00:99', client.pid);
  await assert.rejects(runClient('udhcpc', `-i c0 -n -q -f -t 2 -T 1 -s ${script}`, ''));
  assert.ok((services.counters()['dhcp_ignored_foreign_mac'] ?? 0) >= 2);
  ip(`link set c0 address ${guest.macAddress}`, client.pid);
});

test('udhcpc renews by unicast from its address', async () => {
  ip('addr add 10.0.0.5/24 dev c0', client.pid);
  const before = relay.unicasts();
  const onBound = '[ "$1" = bound ] && kill -USR1 $PPID; [ "$1" = renew ] && kill -KILL $PPID; true';
  rmSync(join(directory, 'udhcpc.env'), { force: true });
  const seen = await runClient('udhcpc', `-i c0 -n -f -t 5 -T 1 -s ${script}`, onBound);
  assert.match(seen, /^event renew$/m);
  assert.ok(relay.unicasts() > before);
});
