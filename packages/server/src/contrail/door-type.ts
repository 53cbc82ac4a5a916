/** The types of the plug-in, as far as they differ from those of `/v2.0`: what it sends that the declaration does not take, and what it reads that is not shown there. */
import type { Shown } from '@cable/api';
import { type AnyObject, type Attribute, isGrantedTo, type Network, type ResourceModel } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { badRequest, type Fields, withoutDashes } from './envelope.ts';

type Deps = Pick<EngineDeps, 'tables' | 'settings'>;

/** What this door does to one type. */
export type DoorType = {
  /** Name in the path, and in the store. */
  readonly name: string;
  /** Names of attributes that a client may give although nothing can come of them, and what to do instead; empty ones are passed over. */
  readonly refuses?: Readonly<Record<string, string>>;
  /** What the declaration takes for what was given. */
  readonly given?: (given: Fields) => Fields;
  /** Attributes that are shown besides, or otherwise than declared. */
  readonly shows?: Readonly<Record<string, Attribute>>;
  /** Their values, for a caller of a project. */
  readonly shown?: (deps: Deps, object: AnyObject, projectId: string | null) => Shown;
  /** True: the delete of what is not there is done. */
  readonly deletesUnknown?: true;
  /** What an update without a resource does; absent: nothing. */
  readonly emptyUpdate?: Fields;
};

const TEXT: Attribute = { type: 'string' };
const FLAG: Attribute = { type: 'boolean' };

/** Every type has these, otherwise than declared. */
const ALWAYS_SHOWN: Readonly<Record<string, Attribute>> = {
  tenant_id: TEXT,
  project_id: TEXT,
  created_at: { type: 'timestamp' },
  updated_at: { type: 'timestamp' },
};

const NO_POLICIES = 'there are no network policies: use security groups';
const NO_ROUTE_TABLES = 'there are no route tables: give the router routes, or the subnet host_routes';

const network: DoorType = {
  name: 'network',
  refuses: {
    policys: NO_POLICIES,
    'vpc:route_table': NO_ROUTE_TABLES,
    route_table: NO_ROUTE_TABLES,
  },
  // 0 stands for the default.
  given: ({ mtu, ...given }) => (mtu === undefined || mtu === 0 ? given : { ...given, mtu }),
  shows: { status: TEXT },
  shown: (_deps, object) => ({ status: object['admin_state_up'] === false ? 'DOWN' : 'ACTIVE' }),
  deletesUnknown: true,
};

/** The only IPAM: everything is in it. */
const DEFAULT_IPAM = 'default-domain:default-project:default-network-ipam';

const subnet: DoorType = {
  name: 'subnet',
  given: ({ ipam_fq_name: ipam, gateway_ip: gateway, ...given }) => {
    if (Array.isArray(ipam) && ipam.length > 0 && ipam.join(':') !== DEFAULT_IPAM) {
      throw badRequest('subnet', `there is no IPAM ${ipam.join(':').slice(0, 200)}: leave ipam_fq_name out`);
    }
    if (gateway === undefined) return given;
    return { ...given, gateway_ip: gateway === '0.0.0.0' || gateway === '::' ? null : gateway };
  },
  shows: { shared: FLAG },
  shown: (deps, object, projectId) => ({ shared: isGrantedTo(networkOf(deps, object)?.shared_with, projectId) }),
};

const port: DoorType = {
  name: 'port',
  shows: { 'binding:host_id': TEXT, status: TEXT },
  shown: ({ settings }, object) => ({
    'binding:host_id': object['binding:host_id'] || null,
    status: settings.pluginPorts === 'attached' && object['device_id'] !== '' ? 'ACTIVE' : object['status'],
  }),
};

const router: DoorType = {
  name: 'router',
  shows: { gw_port_id: TEXT, shared: FLAG },
  shown: () => ({ gw_port_id: null, shared: false }),
};

const floatingip: DoorType = {
  name: 'floatingip',
  emptyUpdate: { port_id: null },
};

/** The types that there are, by name. */
export const DOOR_TYPES: ReadonlyMap<string, DoorType> = new Map(
  [
    network,
    subnet,
    port,
    router,
    floatingip,
    { name: 'security_group' },
    { name: 'security_group_rule' },
    { name: 'trunk' },
  ].map((one) => [one.name, one]),
);

const models = new WeakMap<ResourceModel, ResourceModel>();

/** The model of what this door shows. What is not as declared is computed here, so that the text of the rest may be kept. */
export function shownModel({ shows = {} }: DoorType, model: ResourceModel): ResourceModel {
  const known = models.get(model);
  if (known !== undefined) return known;
  const attributes = { ...model.attributes };
  for (const [name, attribute] of Object.entries({ ...ALWAYS_SHOWN, ...shows })) {
    attributes[name] = { ...attribute, computed: true, nullable: true };
  }
  const made = { ...model, attributes };
  models.set(model, made);
  return made;
}

/** Names of the attributes whose values are made here. */
export function madeHere({ shows = {} }: DoorType): ReadonlySet<string> {
  return new Set([...Object.keys(ALWAYS_SHOWN), ...Object.keys(shows)]);
}

/** Their values. */
export function valuesMadeHere(deps: Deps, { shown }: DoorType, object: AnyObject, projectId: string | null): Shown {
  const project = withoutDashes(String(object['project_id'] ?? ''));
  const [created, updated] = [object['created_at'], object['updated_at']].map(withoutZone);
  const always = { tenant_id: project, project_id: project, created_at: created, updated_at: updated };
  return shown === undefined ? always : { ...always, ...shown(deps, object, projectId) };
}

/** The plug-in's server has told times without a zone from the start; they are of UTC. */
function withoutZone(time: unknown): unknown {
  return typeof time === 'string' ? time.replace(/Z$/, '') : time;
}

/** What an object can be looked for by although it is not shown of it. */
export function soughtValue(
  deps: Deps,
  { name: type }: DoorType,
  name: string,
  object: AnyObject,
  projectId: string | null,
): unknown {
  if (type !== 'subnet' || name !== 'router:external') return undefined;
  return isGrantedTo(networkOf(deps, object)?.external_to, projectId);
}

function networkOf({ tables }: Deps, object: AnyObject): Network | undefined {
  return tables.of('network').get(String(object['network_id']));
}
