/**
 * The lab's guests against a plain Linux bridge, busybox's DHCP server and web server: proves that the guests work,
 * so that what fails in a lab is what the lab tests.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { ipBatch } from '../exec.ts';
import { createLedger, type Ledger } from '../ledger.ts';
import { type LabHost, labHost, labNames } from '../names.ts';
import { createProcesses } from '../processes.ts';
import { tearDown } from '../teardown.ts';
import { createNamespace } from '../topology.ts';
import { ping } from '../traffic/ping.ts';
import type { GuestDeps } from './card.ts';
import { type Guest, tapName } from './guest.ts';
import { startQemu } from './qemu.ts';
import { renewLease, startVm } from './vm.ts';

const names = labNames(`t${process.pid}`);
const host: LabHost = labHost(names, 'h1', 1);
const MTU = 1450;
const GATEWAY = '10.77.0.1';
let deps: GuestDeps;
let ledger: Ledger;
let enslaved = 0;

before(async () => {
  const made = createLedger(names.dir);
  assert.ok(made);
  ledger = made;
  deps = { names, ledger, processes: createProcesses(names.dir, ledger) };
  await createNamespace(host.name, ledger);
  await ipBatch(host.name, [
    'link add br0 type bridge',
    `link set br0 mtu ${MTU} up`,
    `addr add ${GATEWAY}/24 dev br0`,
    'addr add 169.254.169.254/32 dev lo',
  ]);
  await startServices();
});

after(async () => {
  ledger.close();
  assert.deepEqual(await tearDown(names), []);
  rmSync(names.dir, { recursive: true, force: true });
});

async function startServices(): Promise<void> {
  const metadata = `${names.dir}/www/latest/meta-data`;
  mkdirSync(metadata, { recursive: true });
  for (const name of ['instance-id', 'hostname', 'local-ipv4']) writeFileSync(`${metadata}/${name}`, `test-${name}`);
  writeFileSync(`${names.dir}/www/latest/user-data`, 'data');
  const lines = [`start 10.77.0.100`, 'end 10.77.0.200', 'interface br0', `lease_file ${names.dir}/leases`];
  lines.push(`opt router ${GATEWAY}`, 'opt subnet 255.255.255.0', `opt mtu ${MTU}`, 'opt lease 3600');
  lines.push(`opt staticroutes 169.254.169.254/32 ${GATEWAY}, 0.0.0.0/0 ${GATEWAY}`, 'opt hostname guest');
  writeFileSync(`${names.dir}/udhcpd.conf`, `${lines.join('\n')}\n`);
  writeFileSync(`${names.dir}/leases`, '');
  const netns = host.name;
  await deps.processes.start({
    name: 'udhcpd',
    command: ['busybox', 'udhcpd', '-f', `${names.dir}/udhcpd.conf`],
    netns,
  });
  await deps.processes.start({ name: 'httpd', command: ['busybox', 'httpd', '-f', '-h', `${names.dir}/www`], netns });
}

/** What Cable's agent does when it sees the tap: here, a bridge port. */
async function bridgeTap(portId: string): Promise<void> {
  enslaved += 1;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await ipBatch(host.name, [`link set ${tapName(portId)} master br0`]);
    } catch (err) {
      if (attempt > 200) throw err;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function boot(name: string, client: 'udhcpc' | 'dhclient'): Promise<Guest> {
  const portId = `0000000${enslaved}-0000-4000-8000-000000000000`;
  const macAddress = `fa:16:3e:00:00:0${enslaved}`;
  const [vm] = await Promise.all([
    startVm({ name, host, portId, macAddress, mtuBytes: MTU, client }, deps),
    bridgeTap(portId),
  ]);
  return vm;
}

test('a VM leases by udhcpc, applies MTU and routes in its namespace only, and renews', async () => {
  const vm = await boot('vm1', 'udhcpc');
  assert.equal(vm.lease?.mtu, MTU);
  assert.equal(vm.lease?.router, GATEWAY);
  const result = await ping(vm.netns ?? '', '169.254.169.254', { count: 3, size: MTU - 28, dontFragment: true });
  assert.equal(result.answered, 3);
  assert.ok((await renewLease(vm)) < 10_000);
  await vm.remove();
});

test('a VM leases by dhclient and applies MTU and routes', async () => {
  const vm = await boot('vm2', 'dhclient');
  assert.equal(vm.lease?.mtu, MTU);
  assert.equal(vm.lease?.server, GATEWAY);
  const result = await ping(vm.netns ?? '', '169.254.169.254', { count: 3, size: MTU - 28, dontFragment: true });
  assert.equal(result.answered, 3);
  await vm.remove();
});

test('a real machine under QEMU leases, fetches its metadata and answers pings', async () => {
  const portId = '0000000f-0000-4000-8000-000000000000';
  const options = { name: 'qemu', host, portId, macAddress: 'fa:16:3e:00:00:0f', mtuBytes: MTU };
  const [qemu] = await Promise.all([startQemu(options, deps), bridgeTap(portId)]);
  assert.equal(qemu.lease?.mtu, MTU);
  assert.equal(qemu.report.metadata.get('instance-id'), 'test-instance-id');
  assert.equal(qemu.report.metadata.get('user-data'), 'data');
  const result = await ping(host.name, qemu.ip, { count: 3 });
  assert.equal(result.answered, 3);
  await qemu.remove();
});
