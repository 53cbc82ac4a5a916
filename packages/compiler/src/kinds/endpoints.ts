import { type Endpoint, isOneAddress, type OtherPlace } from '@cable/model';
import { hasLeft, hostOf, isBound, type PortRow } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';

/**
 * Where a network's bound ports are. A port that is administratively down stays an endpoint: its own host drops for it, so that setting it up
 * again changes one host and not all that carry the network.
 */
export const endpointsKind: Kind = defineKind({
  name: 'endpoints',
  header: (reader, id) =>
    reader.get('network', id) === undefined ? undefined : { value: { networkId: id }, refs: [] },
  items: {
    table: 'port',
    index: 'network_id',
    sourceKeys: (id) => [id],
    compute: (reader, port) => (isBound(port) ? [{ key: port.id, value: endpoint(reader, port), refs: [] }] : []),
  },
});

function endpoint(reader: Reader, port: PortRow): Endpoint {
  const host = hostOf(port);
  const pairs = port.port_security_enabled
    ? port.allowed_address_pairs.filter((pair) => isOneAddress(pair.ip_address))
    : [];
  return {
    portId: port.id,
    macAddress: port.mac_address,
    ipAddresses: port.fixed_ips.map((ip) => ip.ip_address),
    host,
    underlay: reader.get('host', host)?.underlay ?? null,
    ...(port.standby_hosts.length === 0
      ? {}
      : { standby: port.standby_hosts.map((one) => otherPlace(reader, port, one)) }),
    ...(pairs.length === 0
      ? {}
      : { pairs: pairs.map((pair) => ({ ipAddress: pair.ip_address, macAddress: pair.mac_address })) }),
    ...(port['cable:announces'] ? {} : { announces: false as const }),
  };
}

function otherPlace(reader: Reader, port: PortRow, host: string): OtherPlace {
  return { host, underlay: reader.get('host', host)?.underlay ?? null, left: hasLeft(port, host) };
}
