import { hostOf, isBound, type PortRow, type SnatLeaseRow } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { isOn } from './floating.ts';

/** Leases of ports of routers' addresses, with the host by which their ports leave. A host without any has no such slice. */
export const leasesKind: Kind = defineKind({
  name: 'leases',
  header: (reader, id) =>
    reader.by('snat_lease', 'host_id', id).length === 0 ? undefined : { value: { host: id }, refs: [] },
  items: {
    table: 'snat_lease',
    index: 'host_id',
    sourceKeys: (id) => [id],
    compute: (reader, lease) => {
      const port = reader.get('port', lease.port_id);
      if (port === undefined || !isBound(port) || lease.first_ports.length === 0) return [];
      const value = {
        ...{ ...blocksOf(lease), routerId: lease.router_id, portId: port.id, fixedIps: addressesOf(port) },
        leavesBy: wayOf(reader, lease, port),
      };
      const refs = [`network:${lease.network_id}`, `router:${lease.router_id}`] as const;
      return [{ key: lease.id, value, refs }];
    },
  },
});

/** Which host has which blocks of a router's addresses. */
export const blocksKind: Kind = defineKind({
  name: 'blocks',
  header: (reader, id) =>
    reader.by('snat_lease', 'router_id', id).length === 0 ? undefined : { value: { routerId: id }, refs: [] },
  items: {
    table: 'snat_lease',
    index: 'router_id',
    sourceKeys: (id) => [id],
    compute: (reader, lease) => {
      if (lease.first_ports.length === 0) return [];
      const port = reader.get('port', lease.port_id);
      const value = {
        ...{ ...blocksOf(lease), host: lease.host_id, underlay: underlayOf(reader, lease.host_id) },
        fixedIps: port === undefined ? [] : addressesOf(port),
        ...(port === undefined || !isBound(port) ? {} : { portId: port.id, leavesBy: wayOf(reader, lease, port) }),
      };
      return [{ key: lease.id, value, refs: [] }];
    },
  },
});

function blocksOf({ network_id: networkId, external_address: address, first_ports: firstPorts }: SnatLeaseRow) {
  return { networkId, address, firstPorts };
}

function addressesOf({ fixed_ips: fixedIps }: Pick<PortRow, 'fixed_ips'>): readonly string[] {
  return fixedIps.map((fixed) => fixed.ip_address).filter((address) => !address.includes(':'));
}

/** By whose host what the port sends leaves. (By which host that is the lease says; it may be the one of before.) */
function wayOf(
  reader: Reader,
  { router_id: routerId, network_id: networkId }: SnatLeaseRow,
  port: PortRow,
): 'gateway' | 'host' {
  if (reader.get('router', routerId)?.['cable:snat'] !== 'distributed') return 'gateway';
  const host = reader.get('host', hostOf(port));
  const isAble = host?.features?.includes('blocks') === true && isOn(host, reader.get('network', networkId));
  return isAble ? 'host' : 'gateway';
}

function underlayOf(reader: Reader, host: string): string | null {
  return reader.get('host', host)?.underlay ?? null;
}
