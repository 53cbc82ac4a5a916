import type { ResourceModel } from '@cable/model';

/** One entry of `/v2.0/extensions`. */
export type Extension = {
  readonly alias: string;
  readonly name: string;
  readonly description: string;
  readonly updated: string;
  readonly links: readonly never[];
};

/** What every collection can do, whatever its declaration. */
const GENERAL: readonly string[] = [
  'pagination',
  'sorting',
  'filter-validation',
  'empty-string-filtering',
  'ip-substring-filtering',
  'revision-if-match',
];

/** Neutron's names of the extensions; an alias that is not here is its own name. */
const NAMES: Readonly<Record<string, string>> = {
  'allowed-address-pairs': 'Allowed Address Pairs',
  binding: 'Port Binding',
  'cable-guest': 'Host name and user data of a port’s guest',
  'empty-string-filtering': 'Empty String Filtering Extension',
  extraroute: 'Neutron Extra Route',
  'filter-validation': 'Filter parameters validation',
  'ip-substring-filtering': 'IP address substring filtering',
  'net-mtu': 'Network MTU',
  'net-mtu-writable': 'Network MTU (writable)',
  pagination: 'Pagination support',
  'port-security': 'Port Security',
  'port-security-groups-filtering': 'Port filtering on security groups',
  'project-id': 'project_id field enabled',
  provider: 'Provider Network',
  'revision-if-match': 'If-Match constraints based on revision_number',
  router: 'Neutron L3 Router',
  'security-group': 'security-group',
  sorting: 'Sorting support',
  'standard-attr-description': 'standard-attr-description',
  'standard-attr-revisions': 'Resource revision numbers',
  'standard-attr-timestamp': 'Resource timestamps',
};

/** The extensions whose behaviour the declarations have, by alias. Clients branch on this list: it names nothing else. */
export function extensionsOf(resources: readonly ResourceModel[]): readonly Extension[] {
  const aliases = new Set(GENERAL);
  for (const resource of resources) {
    if (resource.extension !== undefined) aliases.add(resource.extension);
    for (const alias of resource.extensions ?? []) aliases.add(alias);
    for (const action of resource.actions ?? []) if (action.extension !== undefined) aliases.add(action.extension);
    for (const attribute of Object.values(resource.attributes)) {
      if (attribute.extension !== undefined) aliases.add(attribute.extension);
    }
  }
  return [...aliases].sort().map((alias) => {
    const name = NAMES[alias] ?? alias;
    return { alias, name, description: name, updated: '2026-01-01T00:00:00-00:00', links: [] };
  });
}
