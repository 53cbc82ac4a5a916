import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { eventually } from '../eventually.ts';
import { mustRun } from '../exec.ts';
import { type LabHost, REPOSITORY } from '../names.ts';
import type { LabProcess } from '../processes.ts';
import { type Card, createVm, FIRST_CARD, type GuestDeps, plugCard } from './card.ts';
import { bareAddress, type Guest, type Lease, parseLease } from './guest.ts';

export type DhcpClient = 'udhcpc' | 'dhclient';

export type VmOptions = Omit<Card, 'device'> & {
  readonly name: string;
  readonly host: LabHost;
  readonly client: DhcpClient;
};

const SCRIPTS = `${REPOSITORY}/packages/lab/guest`;

/** Starts a VM: a namespace behind a tap, with an unmodified DHCP client. Resolves when it has its lease. */
export async function startVm(options: VmOptions, deps: GuestDeps): Promise<Guest> {
  const { name, host, portId, macAddress } = options;
  const device = FIRST_CARD;
  const owner = await createVm(name, host, deps);
  const { netns } = owner;
  const relay = await plugCard(owner, { ...options, device }, deps);
  const startedAt = performance.now();
  const dhcp = await startDhcp(options.client, { name, netns, device }, deps);
  const lease = await waitLease(name, dhcp, startedAt);
  const remove = async (): Promise<void> => {
    await dhcp.stop('SIGKILL');
    await relay.stop();
    await mustRun(['ip', 'netns', 'delete', netns]);
  };
  const common = { name, kind: 'vm', netns, host, portId, macAddress, device } as const;
  return { ...common, ip: bareAddress(lease.ip), lease, tookMs: lease.tookMs, dhcp, remove };
}

/** Asks for a lease on another device of a VM. */
export async function leaseOn(
  guest: { readonly name: string; readonly netns: string | null },
  device: string,
  deps: GuestDeps,
): Promise<Lease> {
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
