import { type CommandBook, type ResourceModel, resourceWords } from '@cable/model';

/** Words of the command line that are not derived from the declarations: those of the `openstack` client, where they differ. */

/** Further flags of an attribute, besides those derived from its name. */
const OPENSTACK_FLAGS: Readonly<Record<string, readonly string[]>> = {
  'binding:host_id': ['host'],
  cidr: ['subnet-range'],
  gateway_ip: ['gateway'],
  device_id: ['device'],
  enable_dhcp: ['dhcp'],
  remote_ip_prefix: ['remote-ip'],
  target_tenant: ['target-project'],
  addresses: ['address'],
};

/** Further keys of an object's property in `key=value` text. */
const OPENSTACK_KEYS: Readonly<Record<string, readonly string[]>> = { nexthop: ['gateway'] };

/** The most columns of a list whose columns are derived. */
const MAX_COLUMNS = 9;

/** Those that have commands, and what is left out: of a newer server some may have words that are others'. */
export type CommandResources = { readonly resources: readonly ResourceModel[]; readonly leftOut: string[] };

/** Further forms have none; those with fewer words come before those below them. `book`: which words are taken. */
export function commandResources(models: readonly ResourceModel[], book: CommandBook): CommandResources {
  const leftOut: string[] = [];
  const resources = models.filter((model) => {
    if (model.form !== undefined) return false;
    const words = resourceWords(model);
    if (book.open(words, model.type) === undefined) return true;
    leftOut.push(words.join(' '));
    return false;
  });
  return { resources: resources.sort((a, b) => resourceWords(a).length - resourceWords(b).length), leftOut };
}

/** Second words of actions, by type and name: words of others, that declarations may not take. */
const ACTION_ALIASES: Readonly<Record<string, string>> = { 'join_token.issue': 'create' };

/** The second word of an action; undefined: it has none. */
export function actionAlias(type: string, action: string): string | undefined {
  return ACTION_ALIASES[`${type}.${action}`];
}

/** Flags of an attribute that the `openstack` client has and the derivation has not. */
export function openstackFlags(attribute: string): readonly string[] {
  return OPENSTACK_FLAGS[attribute] ?? [];
}

/** The same for the keys of an object's properties. */
export function openstackKeys(property: string): readonly string[] {
  return OPENSTACK_KEYS[property] ?? [];
}

/** Columns of a list when none are asked for: those declared, else the first plain attributes. */
export function listColumns(resource: ResourceModel): readonly string[] {
  const chosen = resource.columns;
  if (chosen !== undefined) return chosen;
  const plain = Object.entries(resource.attributes).filter(
    ([name, { type, aliasOf, input, filterOnly }]) =>
      aliasOf === undefined &&
      input !== true &&
      filterOnly !== true &&
      !['dict', 'any', 'object', 'list', 'base64', 'timestamp'].includes(type) &&
      !DULL.has(name),
  );
  return plain.slice(0, MAX_COLUMNS).map(([name]) => name);
}

const DULL: ReadonlySet<string> = new Set(['project_id', 'description', 'revision_number']);
