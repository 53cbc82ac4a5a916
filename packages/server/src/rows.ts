import type {
  AnyObject,
  Host,
  Network,
  Port,
  ResourceModel,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  Subnet,
} from '@cable/model';

/** The stored object of each built-in type. */
type ObjectTypes = {
  readonly network: Network;
  readonly subnet: Subnet;
  readonly port: Port;
  readonly router: Router;
  readonly security_group: SecurityGroup;
  readonly security_group_rule: SecurityGroupRule;
  readonly host: Host;
};

/** A host whose agent reports. The row goes when its lease ends. */
type AliveRow = { readonly id: string };
/** The last revision a host has programmed. */
type AcknowledgedRow = { readonly id: string; readonly revision: number };
/** What a host says of a port's device. `id` is `<host>/<port id>`. */
export type VifRow = {
  readonly id: string;
  readonly host: string;
  readonly port_id: string;
  readonly state: string;
  readonly reason: string | null;
};

/** Tables made of part of another's rows. */
type DerivedTypes = { readonly router_interface: Port };

/** Every table known when this was built. */
export type TableTypes = ObjectTypes & RuntimeTypes & DerivedTypes;

/** Rows of the tables of what hosts report. */
type RuntimeTypes = { readonly alive: AliveRow; readonly ack: AcknowledgedRow; readonly vif: VifRow };

/**
 * The object in a stored value; attributes that the declaration has gained since it was written get their defaults. Attributes stand in
 * the declared order, so that all rows of a type have one shape in memory. Undefined: the text is no object with an id.
 */
export function parseObject(resource: ResourceModel, text: string): AnyObject | undefined {
  const value = parseRecord(text);
  if (value === undefined || typeof value['id'] !== 'string') return undefined;
  if (isInShape(resource, value)) return value as AnyObject;
  const object: Record<string, unknown> = { id: value['id'] };
  for (const [name, attribute] of Object.entries(resource.attributes)) {
    const known = value[name] === undefined ? attribute.default : value[name];
    if (known !== undefined) object[name] = known;
  }
  // An object that was added to has room for more to come; a parsed one takes just what it needs.
  return JSON.parse(JSON.stringify({ ...object, ...value, ...object })) as AnyObject;
}

/** True when the id is first, the others follow as declared, and no default is missing. */
function isInShape(resource: ResourceModel, value: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(value);
  if (names[0] !== 'id') return false;
  let at = 1;
  for (const name in resource.attributes) {
    if (name === 'id') continue;
    if (value[name] !== undefined) {
      if (names[at] !== name) return false;
      at += 1;
    } else if (resource.attributes[name]?.default !== undefined) return false;
  }
  return at === names.length;
}

/** The row of a key below `/cable/h/`, with its type; undefined: not one of ours. */
export function parseRuntime(
  path: string,
  text: string,
): { readonly type: string; readonly row: AnyObject } | undefined {
  const [type = '', host = '', portId] = path.split('/');
  const value = parseRecord(text) ?? {};
  if (type === 'alive' && portId === undefined) return { type, row: { id: host } };
  if (type === 'ack' && portId === undefined) {
    return { type, row: { id: host, revision: Number(value['revision'] ?? 0) } };
  }
  if (type !== 'vif' || portId === undefined) return undefined;
  const reason = typeof value['reason'] === 'string' ? value['reason'] : null;
  return { type, row: { id: `${host}/${portId}`, host, port_id: portId, state: String(value['state']), reason } };
}

function parseRecord(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
