import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { eventually } from '../eventually.ts';
import { ipBatch, mustRun } from '../exec.ts';
import type { Ledger } from '../ledger.ts';
import { type LabHost, type LabNames, REPOSITORY } from '../names.ts';
import type { LabProcess, Processes } from '../processes.ts';
import { createNamespace } from '../topology.ts';
import { bareAddress, type Guest, type Lease, parseLease, tapName } from './guest.ts';

export type DhcpClient = 'udhcpc' | 'dhclient';

export type VmOptions = {
  readonly name: string;
  readonly host: LabHost;
  readonly portId: string;
  readonly macAddress: string;
  /** Nova sets a tap's MTU to the network's. */
  readonly mtuBytes: number;
  readonly client: DhcpClient;
  /** Further devices of the guest, each for what has a VLAN tag on its tap. */
  readonly vlans?: readonly VlanDevice[];
  /** A FIFO by which its card is told to go to another host; absent: it stays. */
  readonly control?: string;
};

/** A guest's device for a VLAN tag (1..4094) of its card, with the sub-port's MAC address. */
export type VlanDevice = { readonly vlan: number; readonly name: string; readonly macAddress: string };

export type GuestDeps = { readonly names: LabNames; readonly processes: Processes; readonly ledger: Ledger };

const RELAY = `${REPOSITORY}/build/lab/tap-relay`;
const SCRIPTS = `${REPOSITORY}/packages/lab/guest`;

/** Starts a VM: a namespace behind a tap, with an unmodified DHCP client. Resolves when it has its lease. */
export async function startVm(options: VmOptions, deps: GuestDeps): Promise<Guest> {
  const { name, host, portId, macAddress } = options;
  const netns = `${deps.names.lab}-${name}`;
  await createNamespace(netns, deps.ledger);
  const vlans = options.vlans ?? [];
  const tagged = vlans.map((one) => `${one.vlan}:${one.name}`);
  const control = options.control === undefined ? [] : ['-c', options.control];
  const relay = await deps.processes.start({
    name: `relay-${name}`,
    command: [RELAY, ...control, `/run/netns/${host.netns}`, tapName(portId), `/run/netns/${netns}`, 'eth0', ...tagged],
    ready: /^ready$/m,
  });
  await ipBatch(host.netns, [`link set ${tapName(portId)} mtu ${options.mtuBytes} up`]);
  for (const one of [{ name: 'eth0', macAddress }, ...vlans]) {
    await ipBatch(netns, [`link set ${one.name} address ${one.macAddress} mtu ${options.mtuBytes} up`]);
  }
  const startedAt = performance.now();
  const dhcp = await startDhcp(options.client, { name, netns, device: 'eth0' }, deps);
  const lease = await waitLease(name, dhcp, startedAt);
  const remove = async (): Promise<void> => {
    await dhcp.stop('SIGKILL');
    await relay.stop();
    await mustRun(['ip', 'netns', 'delete', netns]);
  };
  const common = { name, kind: 'vm', netns, host, portId, macAddress, device: 'eth0' } as const;
  return { ...common, ip: bareAddress(lease.ip), lease, tookMs: lease.tookMs, dhcp, remove };
}

/** Asks for a lease on another device of a VM. */
export async function leaseOn(guest: Guest, device: string, deps: GuestDeps): Promise<Lease> {
  const name = `${guest.name}-${device}`;
  const dhcp = await startDhcp('udhcpc', { name, netns: guest.netns ?? '', device }, deps);
  return waitLease(name, dhcp, performance.now());
}

/** The client in the foreground, so that it renews. */
async function startDhcp(
  client: DhcpClient,
  { name, netns, device }: { readonly name: string; readonly netns: string; readonly device: string },
  deps: GuestDeps,
): Promise<LabProcess> {
  const command = client === 'udhcpc' ? udhcpcCommand(device) : dhclientCommand(deps.names.dir, name, device);
  return deps.processes.start({ name: `dhcp-${name}`, command, netns });
}

function udhcpcCommand(device: string): readonly string[] {
  const script = `${SCRIPTS}/udhcpc-guest`;
  return ['udhcpc', '-f', '-i', device, '-t', '20', '-T', '1', '-s', script, '-O', 'mtu', '-O', 'staticroutes'];
}

function dhclientCommand(dir: string, name: string, device: string): readonly string[] {
  const files = ['-lf', `${dir}/dhclient-${name}.leases`, '-pf', `${dir}/dhclient-${name}.pid`];
  return [dhclientCopy(), '-4', '-d', '-sf', `${SCRIPTS}/dhclient-guest`, ...files, device];
}

/** Debian confines /sbin/dhclient (AppArmor) to its own script and lease files: a copy of the same program is not confined. */
export function dhclientCopy(): string {
  const copy = `${REPOSITORY}/build/lab/dhclient`;
  mkdirSync(`${REPOSITORY}/build/lab`, { recursive: true });
  if (!existsSync(copy)) copyFileSync('/sbin/dhclient', copy);
  return copy;
}

function waitLease(name: string, dhcp: LabProcess, startedAt: number): Promise<Lease> {
  return eventually({ what: `the lease of ${name}`, deadlineMs: 20_000, everyMs: 5 }, () =>
    parseLease(dhcp.log.read(), performance.now() - startedAt),
  );
}

/** Asks the client to renew now, and waits for it; returns how long that took (ms). Of udhcpc only. */
export async function renewLease(guest: Guest): Promise<number> {
  const { dhcp } = guest;
  if (dhcp === undefined) throw new Error(`${guest.name} has no DHCP client`);
  const from = dhcp.log.position();
  const startedAt = performance.now();
  dhcp.signal('SIGUSR1');
  await eventually({ what: `${guest.name} to renew its lease`, deadlineMs: 10_000, everyMs: 5 }, () =>
    parseLease(dhcp.log.read(from), 0, 'renew'),
  );
  return performance.now() - startedAt;
}
