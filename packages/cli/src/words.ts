import type { ResourceModel } from '@cable/model';

/** Words of the command line that are not derived from the declarations: those of the `openstack` client, where they differ. */

const RESOURCE_WORDS: Readonly<Record<string, readonly string[]>> = {
  // `cable agent` starts the agent itself.
  agent: ['network', 'agent'],
};

/** Further flags of an attribute, besides those derived from its name. */
const OPENSTACK_FLAGS: Readonly<Record<string, readonly string[]>> = {
  'binding:host_id': ['host'],
  cidr: ['subnet-range'],
  gateway_ip: ['gateway'],
  device_id: ['device'],
  enable_dhcp: ['dhcp'],
  remote_ip_prefix: ['remote-ip'],
};

/** Further keys of an object's property in `key=value` text. */
const OPENSTACK_KEYS: Readonly<Record<string, readonly string[]>> = { nexthop: ['gateway'] };

const LIST_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  network: ['id', 'name', 'subnets', 'mtu', 'status', 'provider:segmentation_id'],
  subnet: ['id', 'name', 'network_id', 'cidr', 'gateway_ip'],
  port: ['id', 'name', 'mac_address', 'fixed_ips', 'binding:host_id', 'status'],
  router: ['id', 'name', 'status', 'admin_state_up', 'project_id'],
  security_group: ['id', 'name', 'description', 'project_id'],
};

/** The most columns of a list whose columns are derived. */
const MAX_COLUMNS = 9;

/** The words of a resource on the command line, e.g. `security group rule`. */
export function resourceWords(resource: Pick<ResourceModel, 'name'>): readonly string[] {
  return RESOURCE_WORDS[resource.name] ?? resource.name.split('_');
}

/** Flags of an attribute that the `openstack` client has and the derivation has not. */
export function openstackFlags(attribute: string): readonly string[] {
  return OPENSTACK_FLAGS[attribute] ?? [];
}

/** The same for the keys of an object's properties. */
export function openstackKeys(property: string): readonly string[] {
  return OPENSTACK_KEYS[property] ?? [];
}

/** Columns of a list when none are asked for: chosen ones, else the first plain attributes. */
export function listColumns(resource: ResourceModel): readonly string[] {
  const chosen = LIST_COLUMNS[resource.name]?.filter((name) => resource.attributes[name] !== undefined);
  if (chosen !== undefined) return chosen;
  const plain = Object.entries(resource.attributes).filter(
    ([name, { type, aliasOf }]) =>
      aliasOf === undefined && !['dict', 'object', 'list', 'base64', 'timestamp'].includes(type) && !DULL.has(name),
  );
  return plain.slice(0, MAX_COLUMNS).map(([name]) => name);
}

const DULL: ReadonlySet<string> = new Set(['project_id', 'description', 'revision_number']);
