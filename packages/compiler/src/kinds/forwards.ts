import type { PortForwardingRow } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';
import { protocolNumber } from '../protocol.ts';
import { policyOf, policyRefs } from './floating.ts';

/** The port forwardings that lead through a router. Apart from its floating IPs: an agent that knows none passes them over. */
export const forwardsKind: Kind = defineKind({
  name: 'forwards',
  header: (reader, id) => (reader.get('router', id) === undefined ? undefined : { value: { routerId: id }, refs: [] }),
  items: {
    table: 'port_forwarding',
    index: 'router_id',
    sourceKeys: (id) => [id],
    compute: (reader, forwarding) => {
      const floating = reader.get('floatingip', forwarding.floatingip_id);
      const port = reader.get('port', forwarding.internal_port_id);
      const protocol = protocolNumber(forwarding.protocol, 'IPv4') ?? undefined;
      if (floating === undefined || port === undefined || protocol === undefined) return [];
      const value = {
        networkId: floating.floating_network_id,
        floatingIp: floating.floating_ip_address,
        protocol,
        externalPorts: portsOf(forwarding.external_port_range),
        portId: port.id,
        innerNetworkId: port.network_id,
        fixedIp: forwarding.internal_ip_address,
        internalPorts: portsOf(forwarding.internal_port_range),
        ...policyOf(floating),
      };
      return [{ key: forwarding.id, value, refs: policyRefs(value) }];
    },
  },
});

/** `8000:8010` as numbers. */
function portsOf(range: PortForwardingRow['external_port_range']): readonly [first: number, last: number] {
  const [first = 0, last = first] = (range ?? '').split(':').map(Number);
  return [first, last];
}
