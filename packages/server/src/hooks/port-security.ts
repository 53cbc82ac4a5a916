import { CableError, type Port } from '@cable/model';

type Pair = Port['allowed_address_pairs'][number];

/** Pairs without a MAC get the port's. Throws `DuplicateAddressPairInRequest`. */
export function completePairs(pairs: readonly Partial<Pair>[], mac: string): readonly Pair[] {
  const seen = new Set<string>();
  return pairs.map((pair) => {
    const full: Pair = { mac_address: pair.mac_address ?? mac, ip_address: pair.ip_address ?? '' };
    const key = `${full.mac_address} ${full.ip_address}`;
    if (seen.has(key)) {
      throw new CableError(
        'DuplicateAddressPairInRequest',
        `Request contains duplicate address pair: mac_address ${full.mac_address} ip_address ${full.ip_address}.`,
      );
    }
    seen.add(key);
    return full;
  });
}

/** Groups and pairs need port security. */
export function checkPortSecurity(
  portId: string,
  isSecure: boolean,
  groups: readonly string[],
  pairs: readonly Pair[],
): void {
  if (isSecure) return;
  if (groups.length > 0) {
    throw new CableError(
      'PortSecurityPortHasSecurityGroup',
      `Port ${portId} has security groups: port security cannot be off with them.`,
    );
  }
  if (pairs.length > 0) {
    throw new CableError(
      'AddressPairAndPortSecurityRequired',
      'Port Security must be enabled in order to have allowed address pairs on a port.',
    );
  }
}
