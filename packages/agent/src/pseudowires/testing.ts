/** For tests: ports of pseudowires, and who stands behind them. */
import type { LocalPort, Pseudowire, PseudowireEnd, PseudowirePort, PseudowireStart } from '@cable/model';
import { inNetns } from '../net/netns.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import {
  type SampleSlice,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
} from '../plan/testing/sample.ts';
import type { BedHost } from '../testing/agent-bed.ts';
import { holdTap, type RawGuest } from '../testing/raw-guest.ts';

export type WireGuest = { readonly port: LocalPort; readonly host: BedHost; readonly netns: TestNetns };

/** Of the devices of guests. */
export const GUEST_MTU_BYTES = 1400;

/** In a network without subnets, and nothing may pass there: only what pseudowires carry. */
function closedPort(n: number, fields: Partial<LocalPort>): LocalPort {
  return samplePort(n, { networkId: sampleId('net', 1), policy: 'policy:closed', fixedIps: [], ...fields });
}

/** Port `n` on the host, with a guest who has 10.9.0.`n` and 2001:db8:9::`n`. */
export function addWireGuest(n: number, host: BedHost, mtuBytes: number = GUEST_MTU_BYTES): WireGuest {
  const port = closedPort(n, { vifKind: 'veth' });
  const netns = createNetns();
  plugGuest({ port, host, netns }, mtuBytes);
  netns.ip('link', 'set', 'lo', 'up');
  return { port, host, netns };
}

/** Makes its device, as a runtime does. */
export function plugGuest({ port, host, netns }: WireGuest, mtuBytes: number = GUEST_MTU_BYTES): void {
  const device = `cv${port.id.slice(0, 11)}`;
  const peer = ['peer', 'name', 'eth0', 'netns', netns.name, 'mtu', String(mtuBytes)];
  host.exec('ip', 'link', 'add', device, 'mtu', String(mtuBytes), 'up', 'type', 'veth', ...peer);
  host.exec('ip', 'link', 'set', device, 'alias', port.id);
  netns.ip('link', 'set', 'eth0', 'address', port.macAddress, 'up');
  const last = port.macAddress.split(':').at(-1) ?? '';
  netns.ip('address', 'add', `10.9.0.${Number.parseInt(last, 16)}/24`, 'dev', 'eth0');
  netns.ip('address', 'add', `2001:db8:9::${Number.parseInt(last, 16)}/64`, 'dev', 'eth0', 'nodad');
}

export type TapGuest = { readonly port: LocalPort; readonly host: BedHost; readonly tap: RawGuest };

/** Port `n` on the host, of which this process is the guest. */
export function addTapGuest(n: number, host: BedHost, mtuBytes: number = GUEST_MTU_BYTES): TapGuest {
  const port = closedPort(n, { vifKind: 'tap' });
  const device = `tap${port.id.slice(0, 11)}`;
  host.exec('ip', 'tuntap', 'add', device, 'mode', 'tap');
  host.exec('ip', 'link', 'set', device, 'mtu', String(mtuBytes), 'up');
  const tap = inNetns(`/run/netns/${host.netns}`, () => holdTap(`/run/netns/${host.netns}`, device));
  return { port, host, tap };
}

type Placed = Pick<WireGuest, 'port' | 'host'>;

export function placeOf({ port, host }: Placed): PseudowirePort {
  return { portId: port.id, macAddress: port.macAddress, host: host.name, underlay: host.underlay };
}

/** Wire number `n`: all that the one has sent is delivered to the other, where nothing else is said. */
export function wire(
  n: number,
  from: Placed,
  to: Placed,
  fields: Omit<Partial<Pseudowire>, 'from' | 'to'> & {
    readonly from?: Partial<PseudowireStart>;
    readonly to?: Partial<PseudowireEnd>;
  } = {},
): Pseudowire {
  return {
    ...{ id: sampleId('wire', n), name: `wire-${n}`, projectId: 'project', vni: 70_000 + n },
    ...fields,
    from: { ...placeOf(from), at: 'sent', order: n, ...fields.from },
    to: { ...placeOf(to), as: 'deliver', ...fields.to },
  };
}

/** Wires number `n` and `n + 1`, there and back. */
export function line(
  n: number,
  one: Placed,
  other: Placed,
  fields: Omit<Partial<Pseudowire>, 'from' | 'to'> = {},
): readonly Pseudowire[] {
  return [wire(n, one, other, fields), wire(n + 1, other, one, fields)];
}

/** All slices: hosts with these ports, and these wires where they begin or end. */
export function wireWorld(
  hosts: readonly BedHost[],
  placed: readonly Placed[],
  wires: readonly Pseudowire[],
): readonly SampleSlice[] {
  return [
    ...hosts.map((host) =>
      sampleHost(
        host.name,
        placed.filter((one) => one.host === host).map(({ port }) => port),
      ),
    ),
    ...sampleNetwork(1, { subnets: [], mtuBytes: 9000 }),
    samplePolicy('closed', []),
    ...hosts.flatMap((host) => pseudowiresOf(host, wires)),
  ];
}

function pseudowiresOf({ name: host }: BedHost, wires: readonly Pseudowire[]): readonly SampleSlice[] {
  const own = wires.filter(({ from, to }) => from.host === host || to.host === host);
  if (own.length === 0) return [];
  return [{ key: `pseudowires:${host}`, header: { host }, items: new Map(own.map((one) => [one.id, one])) }];
}
