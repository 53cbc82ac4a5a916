import { compareText } from '../compiler-tables.ts';
import type { Kind } from '../kind.ts';

/**
 * Stands for the routers of a network in which a host has a port. A slice of its own, because a network's other side, behind a router, must not
 * bring its routers too: reach stops there.
 */
export const nearKind: Kind = {
  name: 'near',
  hidden: true,
  header: (reader, id) => {
    const routers = reader.by('router_interface', 'network_id', id).map((port) => port.device_id);
    const sorted = [...new Set(routers)].filter((router) => router !== '').sort(compareText);
    return { value: null, refs: sorted.map((router) => `router:${router}` as const) };
  },
  items: undefined,
};
