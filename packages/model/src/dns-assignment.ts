/** Which names the addresses of a port have: Neutron's internal DNS (extension `dns-integration`). */

/** Domain of ports whose network has no `dns_domain`: Neutron's default. */
export const DEFAULT_DNS_DOMAIN = 'openstacklocal.';

/** What gives a port its names: `dns_name` (empty: none; with a dot at its end: whole), and the `dns_domain` of port and network (empty: none). */
export type DnsNaming = { readonly name: string; readonly portDomain: string; readonly networkDomain: string };

/** The name of an address that nobody named, e.g. `host-10-0-0-5`. */
export function defaultHostname(ipAddress: string): string {
  return `host-${ipAddress.replaceAll('.', '-').replaceAll(':', '-')}`;
}

/** The domain of a port, with a dot at its end. */
export function dnsDomainOf({ portDomain, networkDomain }: Omit<DnsNaming, 'name'>): string {
  return portDomain || networkDomain || DEFAULT_DNS_DOMAIN;
}

/** The whole name, with a dot at its end. */
export function fqdnOf(name: string, domain: string): string {
  return name.endsWith('.') ? name : `${name}.${domain}`;
}

/** Neutron's `dns_assignment`, the names of a port's addresses in their order, as JSON: lists write it for every port. */
export function dnsAssignmentsText(naming: DnsNaming, ipAddresses: readonly string[]): string {
  const domain = dnsDomainOf(naming);
  const texts = ipAddresses.map((address) => {
    const hostname = naming.name || defaultHostname(address);
    const names = `"hostname":${JSON.stringify(hostname)},"fqdn":${JSON.stringify(fqdnOf(hostname, domain))}`;
    return `{"ip_address":"${address}",${names}}`;
  });
  return `[${texts.join(',')}]`;
}
