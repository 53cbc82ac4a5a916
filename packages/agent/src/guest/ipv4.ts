/** IPv4 addresses as unsigned 32-bit numbers in host order: what packets are compared and computed with. */

export type Ipv4Cidr = { readonly address: number; readonly prefixLength: number };

/** The address, or undefined for anything but four decimal octets without leading zeros. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    address = address * 256 + Number(part);
  }
  return address;
}

export function formatIpv4(address: number): string {
  return [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255].join('.');
}

/** `10.0.0.0/24`; host bits are kept. Undefined when it is not an IPv4 prefix. */
export function parseIpv4Cidr(text: string): Ipv4Cidr | undefined {
  const [host, length, rest] = text.split('/');
  if (host === undefined || length === undefined || rest !== undefined || !/^[0-9]{1,2}$/.test(length))
    return undefined;
  const address = parseIpv4(host);
  if (address === undefined || Number(length) > 32) return undefined;
  return { address, prefixLength: Number(length) };
}

/** 24 gives 255.255.255.0. */
export function netmaskOf(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
}

/** The last address of the prefix. */
export function broadcastOf(cidr: Ipv4Cidr): number {
  return (cidr.address | ~netmaskOf(cidr.prefixLength)) >>> 0;
}

export function containsIpv4(cidr: Ipv4Cidr, address: number): boolean {
  const mask = netmaskOf(cidr.prefixLength);
  return (cidr.address & mask) >>> 0 === (address & mask) >>> 0;
}

/** Four bytes in network order. */
export function ipv4Bytes(address: number): Uint8Array {
  return Uint8Array.of(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);
}
