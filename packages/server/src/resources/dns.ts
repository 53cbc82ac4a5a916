import { JsonText } from '@cable/api';
import {
  type AnyObject,
  CableError,
  dnsAssignmentsText,
  dnsDomainOf,
  type FloatingIp,
  type Network,
  type Port,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';

/** Longest whole name, with the dot at its end. */
const FQDN_MAX_LENGTH = 255;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Domains of networks (Neutron's `dns-integration`). */
export const networkDnsModule: Contribution<AnyObject> = contribute<Network>({
  derive: (_planning, given) => ({ dns_domain: parseDomain(given.dns_domain ?? '') }),
  change: (_planning, before, after) =>
    after.dns_domain === before.dns_domain ? {} : { dns_domain: parseDomain(after.dns_domain) },
});

/** Floating IPs: names of theirs would be for a name server outside, of which there is none. */
export const floatingIpDnsModule: Contribution<AnyObject> = contribute<FloatingIp>({
  check: (_view, { dns_name: name = '', dns_domain: domain = '' }) => {
    for (const [attribute, value] of Object.entries({ dns_name: name, dns_domain: domain })) {
      if (value === '') continue;
      const remedy = 'Leave it out, and name the address where the name server outside is managed.';
      throw new CableError(
        'HTTPBadRequest',
        `Invalid input for ${attribute}. Reason: no name server outside is told of floating IPs.`,
        { detail: remedy, fields: { attribute } },
      );
    }
  },
  // One that was stored before says nothing.
  present: () => ({ dns_name: '', dns_domain: '' }),
});

/** Names and domains of ports (Neutron's `dns-integration`, `dns-domain-ports`). */
export const portDnsModule: Contribution<AnyObject> = contribute<Port>({
  derive: (planning, given) =>
    parseNames(planning, given.network_id ?? '', { name: given.dns_name ?? '', domain: given.dns_domain ?? '' }),
  change: (planning, before, after) =>
    after.dns_name === before.dns_name && after.dns_domain === before.dns_domain
      ? {}
      : parseNames(planning, after.network_id, { name: after.dns_name, domain: after.dns_domain }),
  present: (tables, port) => {
    const networkDomain = tables.of('network').get(port.network_id)?.dns_domain ?? '';
    const addresses = port.fixed_ips.map(({ ip_address }) => ip_address);
    const naming = { name: port.dns_name, portDomain: port.dns_domain, networkDomain };
    return { dns_assignment: new JsonText(dnsAssignmentsText(naming, addresses)) };
  },
  madeOf: (tables, port) => [tables.of('network').get(port.network_id)],
});

/** A whole name must be one of the port's domain, as Neutron has it: nobody takes a name of somebody else's. */
function parseNames(
  { plan }: Planning,
  networkId: string,
  given: { readonly name: string; readonly domain: string },
): Pick<Port, 'dns_name' | 'dns_domain'> {
  const dns_domain = parseDomain(given.domain);
  const dns_name = given.name.toLowerCase();
  const networkDomain = plan.get('network', networkId)?.dns_domain ?? '';
  const domain = dnsDomainOf({ portDomain: dns_domain, networkDomain });
  const wrong = faultOfName(dns_name) ?? faultInDomain(dns_name, domain);
  if (wrong !== undefined) throw invalid('dns_name', wrong);
  return { dns_name, dns_domain };
}

function faultInDomain(name: string, domain: string): string | undefined {
  if (name.endsWith('.')) {
    if (name.endsWith(`.${domain}`)) return undefined;
    return `'${name}' is a FQDN, and the domain of the port is '${domain}': give a name of it, or one without a dot at its end`;
  }
  if (name.length + 1 + domain.length <= FQDN_MAX_LENGTH) return undefined;
  return `'${name}' with the domain '${domain}' is longer than ${FQDN_MAX_LENGTH} characters`;
}

/** The domain in small letters. Throws `HTTPBadRequest`. */
function parseDomain(given: string): string {
  const domain = given.toLowerCase();
  if (domain === '') return domain;
  const wrong = domain.endsWith('.') ? faultOfName(domain) : `'${given}' is not a FQDN`;
  if (wrong !== undefined) throw invalid('dns_domain', wrong);
  if (domain.length > FQDN_MAX_LENGTH - 2) {
    throw invalid(
      'dns_domain',
      `'${given}' leaves no room for a name in it: give at most ${FQDN_MAX_LENGTH - 2} characters`,
    );
  }
  return domain;
}

/** RFC 1123 section 2.1; undefined: it is a name, or empty. */
function faultOfName(name: string): string | undefined {
  if (name === '') return undefined;
  const labels = (name.endsWith('.') ? name.slice(0, -1) : name).split('.');
  const wrong = labels.find((label) => !LABEL.test(label));
  if (wrong !== undefined) {
    return `'${name}' not a valid PQDN or FQDN. Reason: '${wrong}' is no label: give letters, digits and inner hyphens, at most 63`;
  }
  const top = labels.at(-1) ?? '';
  return labels.length > 1 && /^[0-9]+$/.test(top)
    ? `'${name}' not a valid PQDN or FQDN. Reason: TLD '${top}' must not be all numeric`
    : undefined;
}

function invalid(name: string, reason: string): CableError {
  const detail = reason.endsWith('is not a FQDN') ? { detail: 'Give it with a dot at its end.' } : {};
  return new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: ${reason}.`, {
    fields: { name },
    ...detail,
  });
}
