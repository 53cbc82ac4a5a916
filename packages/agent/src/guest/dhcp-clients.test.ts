import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { silentLogger } from '@cable/kit';
import { type GuestServices, startGuestServices } from './index.ts';
import { runDhcpcd } from './testing/dhcpcd.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from './testing/own-namespace.ts';
import { type Relay, startRelay } from './testing/relay.ts';

const run = promisify(execFile);
const stop = new AbortController();
const directory = mkdtempSync(join(tmpdir(), `cable-dhcp-${process.pid}-`));
const script = join(directory, 'script');
let guest = guestRecord({
  addresses: [guestAddress({ hostRoutes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }] })],
});
let client: HeldNamespace;
let relay: Relay;
let services: GuestServices;

before(async () => {
  enterOwnNamespace();
  client = await holdNamespace();
  ip('addr add 198.18.0.1/32 dev lo');
  ip('addr add 198.18.0.32/32 dev lo');
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
  relay = await startRelay({ serverAddress: '10.0.0.1', serviceAddress: '198.18.0.32', agentAddress: '198.18.0.1' });
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
  const started = run('nsenter', ['-t', String(client.pid), '-n', command, ...words.split(' ')], { timeout: 60_000 });
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
    'staticroutes=169.254.169.254/32 10.0.0.1 0.0.0.0/0 10.0.0.1 10.9.0.0/16 10.0.0.254',
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

test('dhclient that comes back to an address which the port lost is refused, and begins anew', async () => {
  const before = guest;
  const naks = services.counters()['dhcp_nak'] ?? 0;
  guest = guestRecord({ addresses: [guestAddress({ ipAddress: '10.0.0.8' })] });
  rmSync(join(directory, 'dhclient.env'), { force: true });
  const files = `-cf ${directory}/conf -lf ${directory}/leases -sf ${script}`;
  const seen = await runClient('dhclient', `-1 -d --no-pid ${files} c0`, DHCLIENT_ONCE);
  assert.match(seen, /^new_ip_address=10\.0\.0\.8$/m);
  assert.equal((services.counters()['dhcp_nak'] ?? 0) - naks, 1);
  guest = before;
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

/** A client's own parsers read overloaded and split options: 40 routes. */
const MANY_ROUTES = Array.from({ length: 40 }, (_, index) => ({
  destination: `10.100.${index}.0/24`,
  nexthop: '10.0.0.254',
}));

test('dhclient reads 42 classless routes from options, file and sname', async () => {
  const before = guest;
  guest = guestRecord({ addresses: [guestAddress({ hostRoutes: MANY_ROUTES })] });
  ip('addr flush dev c0', client.pid);
  const conf =
    'option classless code 121 = array of unsigned integer 8; timeout 10; request subnet-mask, routers, classless;\n';
  writeFileSync(`${directory}/conf121`, conf);
  rmSync(join(directory, 'dhclient.env'), { force: true });
  const files = `-cf ${directory}/conf121 -lf ${directory}/leases121 -sf ${script}`;
  const seen = await runClient('dhclient', `-1 -d --no-pid ${files} c0`, DHCLIENT_ONCE);
  const numbers = /^new_classless=(.*)$/m.exec(seen)?.[1]?.split(' ') ?? [];
  assert.equal(numbers.length, 9 + 5 + 40 * 8);
  assert.deepEqual(numbers.slice(-8), ['24', '10', '100', '39', '10', '0', '0', '254']);
  guest = before;
});

test('dhcpcd reads 42 classless routes', async () => {
  const before = guest;
  guest = guestRecord({ addresses: [guestAddress({ hostRoutes: MANY_ROUTES })] });
  ip('addr flush dev c0', client.pid);
  const seen = await runDhcpcd(client.pid, '-4 -1 -t 10 -o classless_static_routes', /^event BOUND$[\s\S]*^end$/m);
  const routes = /^new_classless_static_routes=(.*)$/m.exec(seen)?.[1]?.split(' ') ?? [];
  assert.equal(routes.length, 2 * 42, seen);
  assert.deepEqual(routes.slice(-2), ['10.100.39.0/24', '10.0.0.254']);
  guest = before;
});

test('a client whose address was changed is refused at its renewal and takes the new one', async () => {
  const before = guest;
  ip('addr flush dev c0', client.pid);
  ip('addr add 10.0.0.5/24 dev c0', client.pid);
  rmSync(join(directory, 'udhcpc.env'), { force: true });
  const naks = services.counters()['dhcp_nak'] ?? 0;
  const onBound = `
if [ "$1" = bound ] && [ ! -e ${directory}/renumbered ]; then
  touch ${directory}/renumbered
  (while [ ! -e ${directory}/changed ]; do sleep 0.05; done; kill -USR1 $PPID) &
elif [ "$1" = bound ]; then kill -KILL $PPID; fi
true`;
  const running = runClient('udhcpc', `-i c0 -f -t 5 -T 1 -s ${script}`, onBound);
  await eventually(() => existsSync(`${directory}/renumbered`));
  guest = guestRecord({ addresses: [guestAddress({ ipAddress: '10.0.0.8' })] });
  writeFileSync(`${directory}/changed`, '');
  const seen = await running;
  assert.equal((services.counters()['dhcp_nak'] ?? 0) - naks, 1);
  assert.deepEqual(
    [...seen.matchAll(/^event (nak|bound)$/gm)].map((found) => found[1]),
    ['bound', 'nak', 'bound'],
  );
  assert.match(seen, /^ip=10\.0\.0\.8$/m);
  guest = before;
});

async function eventually(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not come about in a minute');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
