/** What of a port is copied, and what is copied to it. */
import {
  type HostPlace,
  type LocalPort,
  type MirrorTerm,
  type PortMirror,
  type PortTap,
  parseIpOrCidr,
} from '@cable/model';
import {
  compareText,
  hostOf,
  type PortRow,
  sortedById,
  type TapFlowRow,
  type TapMirrorRow,
} from '../compiler-tables.ts';
import { protocolNumber } from '../protocol.ts';
import type { Reader } from '../reader.ts';

type Taps = Pick<LocalPort, 'mirrors' | 'taps'>;

/** Ports without any are passed over without a look at the tables: they say so themselves. */
export function tapsOf(reader: Reader, port: PortRow): Taps {
  if (!port.tapped) return {};
  const mirrors = [
    ...sortedById(reader.by('tap_flow', 'source_port', port.id)).flatMap((flow) => flowMirror(reader, flow)),
    ...sortedById(reader.by('tap_mirror', 'port_id', port.id)).map(collectorMirror),
  ];
  const taps = sortedById(reader.by('tap_service', 'port_id', port.id)).map(({ id, vni }): PortTap => {
    return { id, vni, sources: sourcesOf(reader, id) };
  });
  return { ...(mirrors.length === 0 ? {} : { mirrors }), ...(taps.length === 0 ? {} : { taps }) };
}

/** None while it is not known where who watches is: it is made when that is. */
function flowMirror(reader: Reader, flow: TapFlowRow): readonly PortMirror[] {
  const service = reader.get('tap_service', flow.tap_service_id);
  const watcher = service === undefined ? undefined : reader.get('port', service.port_id);
  if (service === undefined || watcher === undefined || hostOf(watcher) === '') return [];
  const target = { kind: 'port', portId: watcher.id, vni: service.vni, ...placeOf(reader, hostOf(watcher)) } as const;
  return [{ ...commonOf(flow), ...legsOf(flow, 0, 0), target }];
}

function collectorMirror(mirror: TapMirrorRow): PortMirror {
  const kind = mirror.mirror_type === 'gre' ? 'gre' : 'erspan';
  const target = { kind, remoteIp: mirror.remote_ip } as const;
  return { ...commonOf(mirror), ...legsOf(mirror, mirror.in_tunnel ?? 0, mirror.out_tunnel ?? 0), target };
}

type MirrorRow = TapFlowRow | TapMirrorRow;

function commonOf(row: MirrorRow): Pick<PortMirror, 'id' | 'name' | 'maxKbps' | 'filter'> {
  return { id: row.id, name: row.name, maxKbps: row['cable:max_kbps'], filter: row['cable:filter'].map(termOf) };
}

function legsOf(
  { in_place: received, out_place: sent }: MirrorRow,
  inTunnel: number,
  outTunnel: number,
): Pick<PortMirror, 'in' | 'out'> {
  return {
    ...(received === null ? {} : { in: { place: received, tunnel: inTunnel } }),
    ...(sent === null ? {} : { out: { place: sent, tunnel: outTunnel } }),
  };
}

function termOf({
  protocol = null,
  remote_ip_prefix: prefix = null,
  port_range_min: min = null,
  port_range_max: max = null,
}: MirrorRow['cable:filter'][number]): MirrorTerm {
  const cidr = prefix === null ? undefined : parseIpOrCidr(prefix);
  const number = protocolNumber(protocol?.toLowerCase() ?? null, cidr?.base.version === 6 ? 'IPv6' : 'IPv4');
  return {
    ...(number === null || number === undefined ? {} : { protocol: number }),
    ...(prefix === null ? {} : { remote: prefix }),
    ...(min === null ? {} : { portMin: min, portMax: max ?? min }),
  };
}

/** Hosts at which the source ports are, or may be while they move; sorted by name. */
function sourcesOf(reader: Reader, serviceId: string): readonly HostPlace[] {
  const hosts = new Set<string>();
  for (const { source_port: portId } of reader.by('tap_flow', 'tap_service_id', serviceId)) {
    const port = reader.get('port', portId);
    if (port === undefined) continue;
    for (const host of [hostOf(port), ...port.standby_hosts]) if (host !== '') hosts.add(host);
  }
  return [...hosts].sort(compareText).map((host) => placeOf(reader, host));
}

function placeOf(reader: Reader, host: string): HostPlace {
  return { host, underlay: reader.get('host', host)?.underlay ?? null };
}
