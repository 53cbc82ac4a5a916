import { compareText } from '../compiler-tables.ts';
import type { Kind, NodeKey } from '../kind.ts';
import { servicesAt } from './services.ts';

/**
 * Stands for the routers of a network in which a host has a port, their peerings, the scopes of Services that are in force behind them, and the VPN that the network is. A slice of its own, because a network's other side, behind a router, must not
 * bring its routers too: reach stops there.
 */
export const nearKind: Kind = {
  name: 'near',
  hidden: true,
  header: (reader, id) => {
    const routers = reader.by('router_interface', 'network_id', id).map((port) => port.device_id);
    const sorted = [...new Set(routers)].filter((router) => router !== '').sort(compareText);
    const refs = sorted.flatMap((router): NodeKey[] =>
      reader.by('router_peering', 'router_id', router).length === 0
        ? [`router:${router}`]
        : [`router:${router}`, `peerings:${router}`],
    );
    const services = sorted.flatMap((router) => servicesAt(reader, router));
    const vpns: readonly NodeKey[] = reader.get('vpn', id) === undefined ? [] : [`vpn:${id}`];
    return { value: null, refs: [...new Set([...refs, ...services, ...vpns])] };
  },
  items: undefined,
};
