/**
 * Units: what is made of the world, one by one. Each is a pure function of what it reads, so that a change runs those again that read what changed, and equal worlds give equal rows by any way.
 */
import { subnetRows } from './dhcp.ts';
import { networkRows } from './networks.ts';
import type { ResourceName } from './neutron.ts';
import { portRows } from './ports.ts';
import { floatingIpRows, routerRows } from './routers.ts';
import { addressGroupRows, DROP_KEY, dropRows, memberRows, securityGroupRows } from './security-groups.ts';
import type { WantedRow } from './wanted-row.ts';
import type { ThingName, WorldReader } from './world.ts';

/** A unit is `<kind>/<id of its object>`, and `drop` alone. */
type ObjectKind = ResourceName | 'members';

/** In the order in which rows are made: what is named by others comes first. */
const KINDS: readonly ObjectKind[] = [
  'network',
  'address_group',
  'members',
  'security_group',
  'subnet',
  'router',
  'port',
  'floatingip',
];

/** The units that an object is the first to ask for. */
export function unitsOf(name: ThingName, id: string): readonly string[] {
  if (name === 'chassis') return [];
  return name === 'security_group' ? [`security_group/${id}`, `members/${id}`] : [`${name}/${id}`];
}

/** The object of which a unit tells whether it is realised; undefined: of none. */
export function objectOf(unit: string): { readonly resource: ResourceName; readonly id: string } | undefined {
  const { kind, id } = splitUnit(unit);
  return kind === undefined || kind === 'members' ? undefined : { resource: kind, id };
}

/** Where in the order in which rows are made a unit is. */
export function rankOf(unit: string): number {
  const { kind } = splitUnit(unit);
  return kind === undefined ? -1 : KINDS.indexOf(kind);
}

/** The rows that a unit is to have now. None: its object is not there, or an older version made units of that kind. */
export function rowsOf(unit: string, read: WorldReader): readonly WantedRow[] {
  if (unit === DROP_KEY) return dropRows();
  const { kind, id } = splitUnit(unit);
  return kind === undefined ? [] : MAKERS[kind](unit, id, read);
}

type Maker = (unit: string, id: string, read: WorldReader) => readonly WantedRow[];

const MAKERS: Readonly<Record<ObjectKind, Maker>> = {
  network: of('network', networkRows),
  address_group: of('address_group', addressGroupRows),
  members: of('security_group', memberRows),
  security_group: of('security_group', securityGroupRows),
  router: of('router', routerRows),
  port: of('port', portRows),
  floatingip: of('floatingip', floatingIpRows),
  subnet: of('subnet', (unit, subnet, read) => {
    const network = read.need('network', subnet.networkId);
    return network === undefined ? [] : subnetRows(unit, subnet, network);
  }),
};

function of<R extends ResourceName>(
  resource: R,
  make: (
    unit: string,
    object: NonNullable<ReturnType<typeof WorldReader.prototype.get<R>>>,
    read: WorldReader,
  ) => readonly WantedRow[],
): Maker {
  return (unit, id, read) => {
    const object = read.get(resource, id);
    return object === undefined ? [] : make(unit, object, read);
  };
}

function splitUnit(unit: string): { readonly kind: ObjectKind | undefined; readonly id: string } {
  const [kind, id = ''] = unit.split('/');
  return { kind: KINDS.find((one) => one === kind), id };
}
