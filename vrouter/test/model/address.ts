/** IPv4 addresses and prefixes as text, for the model. */

const ZERO = 48;

function addressNumber(address: string): number {
  let [number, part] = [0, 0];
  for (let at = 0; at < address.length; at++) {
    const digit = address.charCodeAt(at) - ZERO;
    if (digit >= 0) part = part * 10 + digit;
    else [number, part] = [(number + part) * 256, 0];
  }
  return number + part;
}

function addressText(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}

export function cidrLength(cidr: string): number {
  const at = cidr.indexOf('/');
  return at < 0 ? 32 : Number(cidr.slice(at + 1));
}

function cidrBase(cidr: string): string {
  const at = cidr.indexOf('/');
  return at < 0 ? cidr : cidr.slice(0, at);
}

/** How many addresses of the prefix's size lie before this one. */
function blockNumber(address: string, length: number): number {
  return Math.floor(addressNumber(address) / 2 ** (32 - length));
}

/** The prefix with zeros where its length ends. */
export function maskedCidr(cidr: string): string {
  const length = cidrLength(cidr);
  return `${addressText(blockNumber(cidrBase(cidr), length) * 2 ** (32 - length))}/${length}`;
}

export function cidrContains(cidr: string, address: string): boolean {
  const length = cidrLength(cidr);
  return blockNumber(cidrBase(cidr), length) === blockNumber(address, length);
}

/** Does the one prefix hold all of the other? */
export function cidrCovers(outer: string, inner: string): boolean {
  return cidrLength(outer) <= cidrLength(inner) && cidrContains(outer, cidrBase(inner));
}
