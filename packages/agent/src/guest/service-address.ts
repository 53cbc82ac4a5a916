import { parseIpv4 } from './ipv4.ts';

const SERVICE_NET = 0xc6120000; // 198.18.0.0
const SERVICE_SIZE = 0x20000; // /15

/**
 * The slot behind a service address (198.18.0.0 + slot), or undefined when the address is no guest's (.0 and .1 are not).
 * The vrouter writes the address, so it alone says who sent a packet.
 */
export function slotOf(serviceAddress: string): number | undefined {
  const address = parseIpv4(serviceAddress);
  if (address === undefined) return undefined;
  const slot = address - SERVICE_NET;
  return slot >= 2 && slot < SERVICE_SIZE ? slot : undefined;
}
