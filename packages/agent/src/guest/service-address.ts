import { ipToBytes, parseIp } from '@cable/model';
import {
  CB_MAX_VIF,
  CB_SERVICE_AGENT,
  CB_SERVICE_INDEX_CLUSTER_DNS,
  CB_SERVICE_NET,
  CB_SERVICE_NET6,
  CB_VIF_SERVICE_ADDRESSES,
} from '../bpf/abi.gen.ts';
import { parseIpv4 } from './ipv4.ts';

/** Of the sixteen service addresses of a VIF in IPv6: its first IPv6 address, and its link-local one. */
const INDEX6 = { address: 0, linkLocal: CB_VIF_SERVICE_ADDRESSES - 1 } as const;

/** The agent's own in IPv6. */
export const SERVICE_ADDRESS6: string = address6(CB_SERVICE_AGENT - CB_SERVICE_NET);

/**
 * Number of the VIF behind a service address (198.18.0.0 or fdca:b1e0:: + 16 times the number; in IPv4 also + 1, where it asks the DNS of clusters, in IPv6 + 15, for its link-local address), or
 * undefined when the address is no guest's. The vrouter writes the address, so it alone says who sent a packet.
 */
export function vifOf(serviceAddress: string): number | undefined {
  const number = serviceAddress.includes(':') ? number6(serviceAddress) : number4(serviceAddress);
  if (number === undefined) return undefined;
  const vif = number / CB_VIF_SERVICE_ADDRESSES;
  return Number.isInteger(vif) && vif > 0 && vif < CB_MAX_VIF ? vif : undefined;
}

/** Where the first address of a VIF is reached, of that version of IP. */
export function serviceAddress(vif: number, version: 4 | 6): string {
  const number = vif * CB_VIF_SERVICE_ADDRESSES;
  if (version === 6) return address6(number + INDEX6.address);
  const address = CB_SERVICE_NET + number;
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

/** Where the guest of a VIF is reached in IPv6 when it has no address but its link-local one. */
export function linkLocalServiceAddress(vif: number): string {
  return address6(vif * CB_VIF_SERVICE_ADDRESSES + INDEX6.linkLocal);
}

function number4(serviceAddress: string): number | undefined {
  const address = parseIpv4(serviceAddress);
  if (address === undefined) return undefined;
  const number = address - CB_SERVICE_NET;
  const isOfDns = number % CB_VIF_SERVICE_ADDRESSES === CB_SERVICE_INDEX_CLUSTER_DNS;
  return isOfDns ? number - CB_SERVICE_INDEX_CLUSTER_DNS : number;
}

/** Of the VIF's first address, whichever of both it is. */
function number6(serviceAddress: string): number | undefined {
  const ip = parseIp(serviceAddress);
  if (ip?.version !== 6) return undefined;
  const view = new DataView(ipToBytes(ip).buffer);
  if (view.getUint32(0) !== CB_SERVICE_NET6 || view.getUint32(4) !== 0 || view.getUint32(8) !== 0) return undefined;
  const number = view.getUint32(12);
  return number % CB_VIF_SERVICE_ADDRESSES === INDEX6.linkLocal ? number - INDEX6.linkLocal : number;
}

function address6(number: number): string {
  const words = [CB_SERVICE_NET6 >>> 16, CB_SERVICE_NET6 & 0xffff].map((word) => word.toString(16)).join(':');
  const high = number >>> 16;
  return `${words}::${high === 0 ? '' : `${high.toString(16)}:`}${(number & 0xffff).toString(16)}`;
}
