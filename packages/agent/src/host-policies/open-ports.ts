/** Ports of this host that policies for hosts never close: a wrong policy must not cut a machine off (docs/design/host-policies.md). */

import { WIRE_UDP_PORT } from '../plan/pseudowire-rows.ts';

/** Ports of a protocol (IANA number), from `first` to `last`. */
export type PortRange = { readonly protocol: number; readonly first: number; readonly last: number };

/** By direction, as the host sees it: `ingress` is what reaches it. */
export type OpenPorts = Readonly<Record<'ingress' | 'egress', readonly PortRange[]>>;

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

/** ssh, etcd, API servers and kubelet; the resolver. */
export const DEFAULT_OPEN_PORTS =
  'in:tcp:22,in:tcp:2379-2380,in:tcp:6443,in:tcp:10250,out:tcp:53,out:udp:53,out:tcp:2379-2380,out:tcp:6443,out:tcp:10250';

/** Packets between hosts, frames of pseudowires, flows that are handed over, and the keys and packets of IPsec where that carries them. */
const OVERLAY: readonly PortRange[] = [
  ...[one('udp', 4789), one('udp', WIRE_UDP_PORT), one('tcp', 4789)],
  ...[one('udp', 500), one('udp', 4500)],
];

/** A lease of an address, by IPv4 and IPv6. */
const LEASES: OpenPorts = {
  ingress: [one('udp', 68), one('udp', 546)],
  egress: [one('udp', 67), one('udp', 547)],
};

const MOST = 64;

/** Parses what `--host-open-ports` says: `in:tcp:22,out:udp:53-54`, or `none`; text: what is wrong. */
export function parseOpenPorts(text: string): OpenPorts | string {
  const given = text === 'none' ? [] : text.split(',').map((part) => part.trim());
  const found = given.map((part) => {
    const [, way, protocol = '', from = '', to = from] =
      /^(in|out):(tcp|udp|sctp):(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    const isRange = first >= 1 && first <= last && last <= 65_535;
    if (way === undefined || !isRange) return undefined;
    return { way, range: { protocol: PROTOCOLS[protocol as keyof typeof PROTOCOLS], first, last } };
  });
  if (found.length > MOST || found.includes(undefined))
    return `Give at most ${MOST} of in:PROTOCOL:PORT and out:PROTOCOL:PORT, or a range of ports, with commas between, such as in:tcp:22,out:udp:53; none: no such port.`;
  const of = (asked: string): readonly PortRange[] =>
    found.flatMap((each) => (each?.way === asked ? [each.range] : []));
  return { ingress: of('in'), egress: of('out') };
}

/** What the agent itself was told to use. */
export type AgentWays = {
  readonly server: string;
  readonly admission: { readonly url: string } | null;
  readonly novaMetadata: { readonly url: string } | null;
  readonly flowCollector: { readonly port: number } | null;
  readonly dns: { readonly upstreams: readonly { readonly port: number }[] | null } | null;
};

/** All that is never closed: of that list, of the overlay, of leases, and what the agent itself needs. A server may run on any host. */
export function openPortsOf(chosen: OpenPorts, ways: AgentWays): OpenPorts {
  const server = ofUrl(ways.server);
  const others = [ways.admission?.url, ways.novaMetadata?.url].flatMap((url) => (url === undefined ? [] : ofUrl(url)));
  const upstreams = (ways.dns?.upstreams ?? []).flatMap(({ port }) => [one('udp', port), one('tcp', port)]);
  const collector = ways.flowCollector === null ? [] : [one('udp', ways.flowCollector.port)];
  return {
    ingress: merged([...OVERLAY, ...LEASES.ingress, ...server, ...chosen.ingress]),
    egress: merged([...OVERLAY, ...LEASES.egress, ...server, ...others, ...upstreams, ...collector, ...chosen.egress]),
  };
}

/** None of a Unix socket. */
function ofUrl(text: string): readonly PortRange[] {
  const { protocol, port } = URL.canParse(text) ? new URL(text) : { protocol: '', port: '' };
  if (protocol !== 'http:' && protocol !== 'https:') return [];
  return [one('tcp', port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port))];
}

function one(protocol: keyof typeof PROTOCOLS, port: number): PortRange {
  return { protocol: PROTOCOLS[protocol], first: port, last: port };
}

/** The same ports, in order, so that no two ranges have a port in common: the kernel takes none that do. */
export function merged(ranges: readonly PortRange[]): readonly PortRange[] {
  const sorted = [...ranges].sort((a, b) => a.protocol - b.protocol || a.first - b.first);
  const apart: PortRange[] = [];
  for (const range of sorted) {
    const before = apart.at(-1);
    if (before === undefined || before.protocol !== range.protocol || before.last < range.first) apart.push(range);
    else apart[apart.length - 1] = { ...before, last: Math.max(before.last, range.last) };
  }
  return apart;
}
