import type { Resource } from '../declaration.ts';
import { snatLeaseResource } from '../resources/snat-lease.ts';

/** Where routers translate what leaves with their own address, and with which ports. */
export const cableSnatExtension = {
  alias: 'cable-snat',
  name: 'Source translation by leased ports',
  description:
    'Blocks of ports of a router’s external address are leased to the ports behind it, so that who used an address and port at a time has one answer; they may leave by the uplinks of their own hosts.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['ext-gw-mode'],
  resources: [snatLeaseResource] as readonly Resource[],
  attributes: {
    router: {
      'cable:snat': {
        type: 'string',
        values: ['shared', 'leased', 'distributed'],
        write: 'both',
        writeBy: 'admin',
        default: 'shared',
        indexed: true,
        example: 'distributed',
        description:
          'How what leaves with the router’s address (enable_snat) gets a port. shared: of all ports, on the gateway’s host. leased: of blocks that each port behind the router has for itself, recorded, on the gateway’s host. distributed: the same, and it leaves by the uplink of the port’s own host where that is on the physical network. A change ends connections.',
      },
    },
  },
} as const;
