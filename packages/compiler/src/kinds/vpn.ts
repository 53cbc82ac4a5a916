import { formatCidr, parseIpOrCidr, type VpnBgp, type VpnHeader, type VpnNeighbor, type VpnPlace } from '@cable/model';
import { compareText, hostOf, isBound, type PortRow, type VpnRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** An L3VPN: who is where by which label. Ports of another VPN are its places, too, where that exports what this one imports (RFC 4364, 4.3.1). */
export const vpnKind: Kind = defineKind({
  name: 'vpn',
  header: (reader, id) => {
    const vpn = reader.get('vpn', id);
    if (vpn === undefined) return undefined;
    const { imported, exported } = targetsOf(reader, vpn);
    const bgp = bgpOf(reader, vpn.proton);
    const value: VpnHeader = {
      ...{ id, name: vpn.name, projectId: vpn.project_id, networkId: id, routerId: vpn.router_id, label: vpn.label },
      ...{ routeDistinguisher: vpn.route_distinguisher, importTargets: imported, exportTargets: exported },
      ...(bgp === undefined ? {} : { bgp }),
    };
    return { value, refs: [`router:${vpn.router_id}`, `network:${id}`], sources: exportersOf(reader, id, imported) };
  },
  items: {
    table: 'port',
    index: 'network_id',
    sourceKeys: (id) => [id],
    compute: (reader, port, id) => {
      if (!isBound(port)) return [];
      return port.network_id === id ? [ownPlace(reader, port)] : otherPlace(reader, port);
    },
  },
});

type PlaceItem = ComputedItem & { readonly value: VpnPlace };

function ownPlace(reader: Reader, port: PortRow): PlaceItem {
  return { key: port.id, value: { ...placeOf(reader, port), macAddress: port.mac_address }, refs: [] };
}

function otherPlace(reader: Reader, port: PortRow): readonly PlaceItem[] {
  const other = reader.get('vpn', port.network_id);
  if (other === undefined) return [];
  return [{ key: `${other.id}/${port.id}`, value: { ...placeOf(reader, port), label: other.label }, refs: [] }];
}

function placeOf(reader: Reader, port: PortRow): VpnPlace {
  const host = hostOf(port);
  const prefixes = port.fixed_ips.flatMap(({ ip_address: address }) => {
    const prefix = parseIpOrCidr(address);
    return prefix === undefined ? [] : [formatCidr(prefix)];
  });
  return { host, underlay: reader.get('host', host)?.underlay ?? null, prefixes };
}

type Targets = { readonly imported: readonly string[]; readonly exported: readonly string[] };

/** What a target is used for, the proton that has it says; both, where it says nothing. */
function targetsOf(reader: Reader, { proton, targets }: VpnRow): Targets {
  const usedFor = (target: string): string =>
    reader.by('vpn_target', 'target', target).find((one) => one.proton === proton)?.direction ?? 'both';
  const all = [...new Set(targets)].sort(compareText);
  return {
    imported: all.filter((target) => usedFor(target) !== 'export'),
    exported: all.filter((target) => usedFor(target) !== 'import'),
  };
}

/** Other VPNs with a target that this one imports. */
function exportersOf(reader: Reader, id: string, imported: readonly string[]): readonly string[] {
  const found = imported.flatMap((target) =>
    reader
      .by('vpn', 'targets', target)
      .filter((other) => other.id !== id && targetsOf(reader, other).exported.includes(target))
      .map((other) => other.id),
  );
  return [...new Set(found)].sort(compareText);
}

/** All peerings are of one AS here: of several, those of the first. */
function bgpOf(reader: Reader, proton: string): VpnBgp | undefined {
  const all = [...reader.by('vpn_peering', 'proton', proton)].sort((a, b) => compareText(a.id, b.id));
  const [first] = all;
  if (first === undefined) return undefined;
  const neighbors = all.flatMap((one): readonly VpnNeighbor[] =>
    one.local_as !== first.local_as
      ? []
      : [
          {
            ...{ address: one.peer_address, as: one.peer_as },
            ...(one.local_address === null ? {} : { localAddress: one.local_address }),
          },
        ],
  );
  return { localAs: first.local_as, neighbors };
}
