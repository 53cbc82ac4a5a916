import { CB_MAX_VIF, CB_SERVICE_NET, CB_VIF_SERVICE_ADDRESSES } from '../bpf/abi.gen.ts';
import { parseIpv4 } from './ipv4.ts';

/**
 * Number of the VIF behind a service address (198.18.0.0 + 16 times the number), or undefined when the address is no guest's. The vrouter
 * writes the address, so it alone says who sent a packet.
 */
export function vifOf(serviceAddress: string): number | undefined {
  const address = parseIpv4(serviceAddress);
  if (address === undefined) return undefined;
  const vif = (address - CB_SERVICE_NET) / CB_VIF_SERVICE_ADDRESSES;
  return Number.isInteger(vif) && vif > 0 && vif < CB_MAX_VIF ? vif : undefined;
}
