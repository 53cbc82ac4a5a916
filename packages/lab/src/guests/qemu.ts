import { eventually } from '../eventually.ts';
import { ipBatch } from '../exec.ts';
import { type LabHost, REPOSITORY } from '../names.ts';
import { checkAlive, type LabProcess } from '../processes.ts';
import type { GuestDeps } from './card.ts';
import { bareAddress, type Guest, parseLease, tapName } from './guest.ts';

export type QemuOptions = {
  readonly name: string;
  readonly host: LabHost;
  readonly portId: string;
  readonly macAddress: string;
  readonly mtuBytes: number;
};

/** What the real machine said on its console. */
export type QemuReport = { readonly kernel: string; readonly metadata: ReadonlyMap<string, string> };

export type QemuGuest = Guest & { readonly report: QemuReport };

const IMAGE = `${REPOSITORY}/build/guest`;

/** Starts a real machine under QEMU's software emulation. Resolves when it has its lease and has fetched its metadata. */
export async function startQemu(options: QemuOptions, deps: GuestDeps): Promise<QemuGuest> {
  const { name, host, portId, macAddress } = options;
  const startedAt = performance.now();
  const qemu = await deps.processes.start({ name, command: qemuCommand(options), netns: host.netns });
  const tap = tapName(portId);
  await eventually({ what: `QEMU to make ${tap}`, deadlineMs: 10_000 }, async () => {
    checkAlive(qemu);
    await ipBatch(host.netns, [`link set ${tap} mtu ${options.mtuBytes} up`]);
    return true;
  });
  const lease = await waitFor(qemu, 'its lease', (output) => parseLease(output, performance.now() - startedAt));
  const report = await waitFor(qemu, 'its report', parseReport);
  const common = { name, kind: 'qemu', netns: null, host, portId, macAddress, device: 'eth0' } as const;
  const tookMs = performance.now() - startedAt;
  return { ...common, ip: bareAddress(lease.ip), lease, tookMs, dhcp: undefined, report, remove: () => qemu.stop() };
}

function qemuCommand(options: QemuOptions): readonly string[] {
  const command = [
    'qemu-system-x86_64',
    '-machine',
    'pc',
    '-accel',
    'tcg',
    '-cpu',
    'max',
    '-m',
    '96',
    '-nodefaults',
    '-no-reboot',
  ];
  command.push('-display', 'none', '-serial', 'stdio');
  command.push(
    '-kernel',
    `${IMAGE}/vmlinuz`,
    '-initrd',
    `${IMAGE}/initrd.gz`,
    '-append',
    'quiet console=ttyS0 panic=-1',
  );
  command.push('-netdev', `tap,id=net0,ifname=${tapName(options.portId)},script=no,downscript=no`);
  command.push('-device', `virtio-net-pci,netdev=net0,mac=${options.macAddress},romfile=`);
  return command;
}

/** A machine under emulation on a busy computer is slow: a minute is the deadline, seconds are normal. Its console comes character by character: only whole lines are looked at. */
function waitFor<T>(qemu: LabProcess, what: string, look: (output: string) => T | undefined): Promise<T> {
  return eventually({ what: `the QEMU guest: ${what}`, deadlineMs: 60_000 }, () => {
    checkAlive(qemu);
    const output = qemu.log.read().replaceAll('\r', '');
    return look(output.slice(0, output.lastIndexOf('\n') + 1));
  });
}

function parseReport(output: string): QemuReport | undefined {
  if (!output.includes('cable-guest ready')) return undefined;
  const metadata = new Map(
    [...output.matchAll(/^cable-metadata ([^=]+)=(.*)$/gm)].map((found) => [found[1] ?? '', found[2] ?? '']),
  );
  return { kernel: /cable-guest kernel=(\S+)/.exec(output)?.[1] ?? '', metadata };
}
