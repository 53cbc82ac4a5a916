import { CableError, isMulticastMac, type Mac, type Port, parseMac, SERVICE_MAC } from '@cable/model';

type Pair = Port['allowed_address_pairs'][number];

/** The MAC in canonical form; undefined: a port cannot send from it, because it is a group's, nobody's, or the vrouter's own. */
export function parsePortMac(text: string): Mac | undefined {
  const mac = parseMac(text);
  const isFit = mac !== undefined && mac !== SERVICE_MAC && mac !== '00:00:00:00:00:00' && !isMulticastMac(mac);
  return isFit ? mac : undefined;
}

/** Pairs without a MAC get the port's. Throws `DuplicateAddressPairInRequest`, and `HTTPBadRequest` for a MAC that no port may have. */
export function completePairs(pairs: readonly Partial<Pair>[], mac: string): readonly Pair[] {
  const seen = new Set<string>();
  return pairs.map((pair) => {
    const full: Pair = { mac_address: pair.mac_address ?? mac, ip_address: pair.ip_address ?? '' };
    if (parsePortMac(full.mac_address) === undefined) {
      throw new CableError(
        'HTTPBadRequest',
        `Invalid input for allowed_address_pairs. Reason: a port cannot have the MAC address ${full.mac_address}.`,
      );
    }
    if (seen.has(nameOf(full))) {
      throw new CableError(
        'DuplicateAddressPairInRequest',
        `Request contains duplicate address pair: mac_address ${full.mac_address} ip_address ${full.ip_address}.`,
      );
    }
    seen.add(nameOf(full));
    return full;
  });
}

/** Pairs that have the port's MAC get its new one. What then is there twice is there once. */
export function movePairs(pairs: readonly Pair[], from: string, to: string): readonly Pair[] {
  if (from === to) return pairs;
  const moved = pairs.map((pair) => (pair.mac_address === from ? { ...pair, mac_address: to } : pair));
  return [...new Map(moved.map((pair) => [nameOf(pair), pair])).values()];
}

function nameOf({ mac_address, ip_address }: Pair): string {
  return `${mac_address} ${ip_address}`;
}

type Secured = Pick<Port, 'port_security_enabled' | 'security_groups' | 'allowed_address_pairs'>;

/** Groups and pairs need port security. Who gives groups without it is told otherwise than who turns it off under those that are there, as in Neutron. */
export function checkPortSecurity(port: Secured, before: Secured | undefined): void {
  if (port.port_security_enabled) return;
  if (port.allowed_address_pairs.length > 0) {
    throw new CableError(
      'AddressPairAndPortSecurityRequired',
      'Port Security must be enabled in order to have allowed address pairs on a port.',
    );
  }
  if (port.security_groups.length === 0) return;
  if (before?.security_groups !== port.security_groups) {
    throw new CableError(
      'PortSecurityAndIPRequiredForSecurityGroups',
      'Port security must be enabled and port must have an IP address in order to use security groups.',
    );
  }
  throw new CableError(
    'PortSecurityPortHasSecurityGroup',
    'Port has security group associated. Cannot disable port security or IP address until security group is removed.',
  );
}
