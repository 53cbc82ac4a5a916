/** For tests: ports of pseudowires, and who stands behind them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LocalPort, Pseudowire, PseudowireEnd, PseudowirePort, PseudowireStart } from '@cable/model';
import { tcxProgramIds } from '../bpf/tcx.ts';
import { inNetns } from '../net/netns.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRule,
  sampleSubnet,
} from '../plan/testing/sample.ts';
import type { BedHost } from '../testing/agent-bed.ts';
import { holdTap, type RawGuest } from '../testing/raw-guest.ts';
import type { PseudowireView } from './pseudowire-plane.ts';

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
export function plugGuest(guest: WireGuest, mtuBytes: number = GUEST_MTU_BYTES): void {
  const { port, netns } = guest;
  addDevice(guest, 'eth0', mtuBytes);
  const last = port.macAddress.split(':').at(-1) ?? '';
  netns.ip('address', 'add', `10.9.0.${Number.parseInt(last, 16)}/24`, 'dev', 'eth0');
  netns.ip('address', 'add', `2001:db8:9::${Number.parseInt(last, 16)}/64`, 'dev', 'eth0', 'nodad');
}

/** Port `n` of network 2, where all may pass, with 10.0.0.`n` and 2001:db8:2::`n`. */
export function addNetGuest(n: number, host: BedHost): WireGuest {
  const [four, six] = [`10.0.0.${n}`, `2001:db8:2::${n}`];
  const port = samplePort(n, {
    ...{ networkId: sampleId('net', 2), policy: 'policy:open', vifKind: 'veth' },
    fixedIps: [
      { subnetId: sampleId('sub', 2), ipAddress: four },
      { subnetId: sampleId('sub', 1002), ipAddress: six },
    ],
  });
  const guest = { port, host, netns: createNetns() };
  guest.netns.ip('link', 'set', 'lo', 'up');
  replugNetGuest(guest);
  return guest;
}

/** Network 2 with these ports, and its policy. */
export function netSlices(guests: readonly WireGuest[]): readonly SampleSlice[] {
  const four = { ...sampleSubnet(2), cidr: '10.0.0.0/24', gatewayIp: '10.0.0.254' };
  const six = sampleSubnet(1002, { ipVersion: 6, cidr: '2001:db8:2::/64', gatewayIp: '2001:db8:2::fe' });
  const endpoints = guests.map(({ port, host }) => sampleEndpoint(port, host.name, host.underlay));
  return [
    ...sampleNetwork(2, { mtuBytes: GUEST_MTU_BYTES, subnets: [four, six] }, endpoints),
    samplePolicy(
      'open',
      (['IPv4', 'IPv6'] as const).flatMap((ethertype, i) => [
        sampleRule(1 + 2 * i, { direction: 'egress', ethertype }),
        sampleRule(2 + 2 * i, { ethertype }),
      ]),
    ),
  ];
}

/** Makes its device. */
export function replugNetGuest(guest: WireGuest): void {
  addDevice(guest, 'eth0', GUEST_MTU_BYTES);
  for (const { ipAddress: one } of guest.port.fixedIps)
    guest.netns.ip('address', 'add', ...(one.includes(':') ? [`${one}/64`, 'nodad'] : [`${one}/24`]), 'dev', 'eth0');
}

function addDevice({ port, host, netns }: WireGuest, name: string, mtuBytes: number): void {
  const device = `cv${port.id.slice(0, 11)}`;
  const peer = ['peer', 'name', name, 'netns', netns.name, 'mtu', String(mtuBytes)];
  host.exec('ip', 'link', 'add', device, 'mtu', String(mtuBytes), 'up', 'type', 'veth', ...peer);
  host.exec('ip', 'link', 'set', device, 'alias', port.id);
  netns.ip('link', 'set', name, 'address', port.macAddress, 'up');
}

/** The guest routes all that it gets to a gateway that nobody is. */
export function makeRouter(netns: TestNetns): void {
  const settings = ['ipv4/conf/all/rp_filter=0', 'ipv4/conf/eth0/rp_filter=0', 'ipv4/conf/all/send_redirects=0'];
  const more = ['ipv4/conf/eth0/send_redirects=0', 'ipv4/ip_forward=1', 'ipv6/conf/all/forwarding=1'];
  for (const one of [...settings, ...more]) netns.run('sysctl', '-qw', `net/${one}`);
  netns.ip('route', 'replace', 'default', 'via', '10.9.0.254');
  netns.ip('-6', 'route', 'replace', 'default', 'via', '2001:db8:9::fe');
}

/** Ports `n` and `m` of one guest, who is a bridge between them. */
export function addBridge(n: number, m: number, host: BedHost): readonly [WireGuest, WireGuest] {
  const netns = createNetns();
  netns.ip('link', 'add', 'br0', 'up', 'type', 'bridge');
  const guestAt = (number: number, device: string): WireGuest => {
    const guest = { port: closedPort(number, { vifKind: 'veth' }), host, netns };
    addDevice(guest, device, GUEST_MTU_BYTES);
    netns.ip('link', 'set', device, 'master', 'br0');
    return guest;
  };
  return [guestAt(n, 'eth0'), guestAt(m, 'eth1')];
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
  more: readonly SampleSlice[] = [],
): readonly SampleSlice[] {
  return [
    ...more,
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

/** Of status; null: there is no pseudowire, or no agent. */
export async function viewOf(host: BedHost): Promise<PseudowireView | null> {
  return (await host.ask<{ pseudowires: PseudowireView | null }>('/status'))?.pseudowires ?? null;
}

/** Frames of that kind (`CB_PW_*`). */
export async function countOf(host: BedHost, kind: number): Promise<number> {
  return (await viewOf(host))?.counts[kind] ?? 0;
}

function ifindexOf(host: BedHost, device: string): number {
  const [link] = JSON.parse(host.exec('ip', '-j', 'link', 'show', device)) as { readonly ifindex: number }[];
  return link?.ifindex ?? 0;
}

/** What there is of pseudowires on the host. */
export function traces(host: BedHost): readonly string[] {
  const has = (device: string, name: string, hook: 'ingress' | 'egress'): boolean =>
    inNetns(`/run/netns/${host.netns}`, () => tcxProgramIds(ifindexOf(host, device), name, hook).length > 0);
  const links = host.links();
  return [
    ...links.filter((device) => has(device, 'pw_sent', 'ingress')).map(() => 'pw_sent'),
    ...links.filter((device) => has(device, 'pw_delivered', 'egress')).map(() => 'pw_delivered'),
    ...links.filter((name) => name.startsWith('cablew')),
    ...(existsSync(join(host.pins, 'pseudowires')) ? ['maps'] : []),
    ...(host.exec('tc', 'qdisc', 'show', 'dev', 'eth0').includes('htb') ? ['htb'] : []),
  ];
}
