import { defineKind, type Kind } from '../kind.ts';

/** The floating IPs that lead through a router. */
export const floatingKind: Kind = defineKind({
  name: 'floating',
  header: (reader, id) => (reader.get('router', id) === undefined ? undefined : { value: { routerId: id }, refs: [] }),
  items: {
    table: 'floatingip',
    index: 'router_id',
    sourceKeys: (id) => [id],
    compute: (reader, floating) => {
      const { port_id: portId, fixed_ip_address: fixedIp } = floating;
      const port = portId === null ? undefined : reader.get('port', portId);
      if (port === undefined || fixedIp === null) return [];
      const value = {
        networkId: floating.floating_network_id,
        floatingIp: floating.floating_ip_address,
        portId: port.id,
        innerNetworkId: port.network_id,
        fixedIp,
      };
      return [{ key: floating.id, value, refs: [] }];
    },
  },
});
