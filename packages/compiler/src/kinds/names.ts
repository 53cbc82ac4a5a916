import { defineKind, type Kind } from '../kind.ts';

/**
 * What a network's ports are called, for the DNS of their guests. A port without a name or a domain has none here: its default name follows from its address. A port
 * that no host carries may have a name too, e.g. the one of an address that others share.
 */
export const namesKind: Kind = defineKind({
  name: 'names',
  header: (reader, id) =>
    reader.get('network', id) === undefined ? undefined : { value: { networkId: id }, refs: [] },
  items: {
    table: 'port',
    index: 'network_id',
    sourceKeys: (id) => [id],
    compute: (_reader, port) => {
      if ((port.dns_name === '' && port.dns_domain === '') || port.fixed_ips.length === 0) return [];
      const ipAddresses = port.fixed_ips.map((ip) => ip.ip_address);
      return [{ key: port.id, value: { name: port.dns_name, domain: port.dns_domain, ipAddresses }, refs: [] }];
    },
  },
});
