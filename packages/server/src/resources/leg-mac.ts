import { createHash } from 'node:crypto';
import { SERVICE_MAC } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { macName } from './port-claims.ts';

/**
 * The MAC address of a router's interface in a subnet: the same each time that it is made, so that guests who know their gateway by it go on when it was removed and is added
 * again. Undefined: another port of the network has it; then any other.
 */
export function legMac({ plan }: Planning, routerId: string, subnet: LegSubnet): string | undefined {
  const { id, network_id: networkId } = subnet;
  const tail = createHash('sha256').update(`${routerId} ${id}`).digest().subarray(0, 3);
  const mac = ['fa', '16', '3e', ...Array.from(tail, (byte) => byte.toString(16).padStart(2, '0'))].join(':');
  const isTaken = plan.by('port', 'mac_address', mac).some((port) => port.network_id === networkId);
  if (mac === SERVICE_MAC || isTaken || plan.isReserved(macName(networkId, mac))) return undefined;
  plan.reserve(macName(networkId, mac));
  return mac;
}

type LegSubnet = { readonly id: string; readonly network_id: string };
