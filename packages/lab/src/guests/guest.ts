import type { LabHost } from '../names.ts';
import type { LabProcess } from '../processes.ts';

/** What a DHCP client made of its lease. */
export type Lease = {
  /** With prefix length. */
  readonly ip: string;
  readonly mtu: number | undefined;
  readonly router: string;
  /** DHCP server identifier. */
  readonly server: string;
  readonly seconds: number;
  readonly hostname: string;
  /** From the client's start (for QEMU: from the machine's) to the lease. */
  readonly tookMs: number;
};

/** A VM, a pod or a physical machine of the lab. */
export type Guest = {
  readonly name: string;
  readonly kind: 'vm' | 'qemu' | 'pod' | 'machine';
  /** Where its programs run; null: a real machine, only reached over the network. */
  readonly netns: string | null;
  readonly host: LabHost;
  readonly portId: string;
  readonly macAddress: string;
  readonly ip: string;
  /** Its network device inside. */
  readonly device: string;
  readonly lease: Lease | undefined;
  /** How long it took to be reachable: boot, ADD, or binding, in ms. */
  readonly tookMs: number;
  /** Its DHCP client; undefined: it has none. */
  readonly dhcp: LabProcess | undefined;
  /** Removes the device as the hypervisor, the container runtime or the operator would; the port stays, but for a pod's. */
  remove(): Promise<void>;
};

/** The newest lease in a DHCP client's output; undefined: none yet. `event`: only leases that came by it. */
export function parseLease(output: string, tookMs: number, event = '(?:bound|renew)'): Lease | undefined {
  const line = [...output.matchAll(new RegExp(`cable-lease event=${event} (.*)`, 'g'))].at(-1)?.[1];
  if (line === undefined) return undefined;
  const fields = new Map(
    line
      .trim()
      .split(' ')
      .map((field) => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]),
  );
  const mtu = Number(fields.get('mtu') || Number.NaN);
  return {
    ip: fields.get('ip') ?? '',
    mtu: Number.isNaN(mtu) ? undefined : mtu,
    router: fields.get('router') ?? '',
    server: fields.get('server') ?? '',
    seconds: Number(fields.get('seconds')),
    hostname: fields.get('hostname') ?? '',
    tookMs,
  };
}

/** Name of the tap that Nova would make for a port. */
export function tapName(portId: string): string {
  return `tap${portId.slice(0, 11)}`;
}

/** The address of a lease without its prefix length. */
export function bareAddress(address: string): string {
  return address.split('/')[0] ?? address;
}
