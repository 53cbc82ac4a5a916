/** Which names the addresses of a port have: Neutron's internal DNS (extension `dns-integration`). */

/** Domain of ports whose network has no `dns_domain`: Neutron's default. */
export const DEFAULT_DNS_DOMAIN = 'openstacklocal.';

/** What gives a port its names: `dns_name` (empty: none; with a dot at its end: whole), and the `dns_domain` of port and network (empty: none). */
export type DnsNaming = { readonly name: string; readonly portDomain: string; readonly networkDomain: string };

/** One of Neutron's `dns_assignment`. */
export type DnsAssignment = { readonly ip_address: string; readonly hostname: string; readonly fqdn: string };

/** The name of an address that nobody named, e.g. `host-10-0-0-5`. */
export function defaultHostname(ipAddress: string): string {
  return `host-${ipAddress.replaceAll(/[.:]/g, '-')}`;
}

/** The domain of a port, with a dot at its end. */
export function dnsDomainOf({ portDomain, networkDomain }: Omit<DnsNaming, 'name'>): string {
  return portDomain || networkDomain || DEFAULT_DNS_DOMAIN;
}

/** The whole name, with a dot at its end. */
export function fqdnOf(name: string, domain: string): string {
  return name.endsWith('.') ? name : `${name}.${domain}`;
}

/** The names of a port's addresses, in their order. */
export function dnsAssignments(naming: DnsNaming, ipAddresses: readonly string[]): readonly DnsAssignment[] {
  const domain = dnsDomainOf(naming);
  return ipAddresses.map((ip_address) => {
    const hostname = naming.name || defaultHostname(ip_address);
    return { ip_address, hostname, fqdn: fqdnOf(hostname, domain) };
  });
}
