import type {
  AddressGroup,
  AddressScope,
  AnyObject,
  ClusterNetworkPolicy,
  DefaultSecurityGroupRule,
  DispatchDefault,
  DispatchRule,
  EndpointSet,
  Flavor,
  FloatingIp,
  HealthMonitor,
  Host,
  HostBooking,
  HostCertificate,
  HostPolicy,
  JoinToken,
  KubernetesCluster,
  KubernetesNamespace,
  Listener,
  LoadBalancer,
  Log,
  Member,
  Network,
  NetworkPolicy,
  NetworkSegmentRange,
  Plugin,
  Pool,
  Port,
  PortForwarding,
  PortOwner,
  Proton,
  ProtonController,
  ProtonNetwork,
  QosBandwidthLimitRule,
  QosDscpMarkingRule,
  QosMinimumBandwidthRule,
  QosMinimumPacketRateRule,
  QosPacketRateLimitRule,
  QosPolicy,
  RbacPolicy,
  RefusedEntries,
  Router,
  RouterEgress,
  RouterPeering,
  RouterPolicy,
  SecurityGroup,
  SecurityGroupRule,
  Service,
  ServiceProfile,
  ServiceScope,
  SnatLease,
  StoredPseudowire,
  Subnet,
  SubnetPool,
  TapFlow,
  TapMirror,
  TapService,
  Trunk,
  VpnPeering,
  VpnTarget,
} from '@cable/model';

/** The stored object of each built-in type. */
type ObjectTypes = {
  readonly network: Network;
  readonly network_segment_range: NetworkSegmentRange;
  readonly subnet: Subnet;
  readonly subnetpool: SubnetPool;
  readonly address_scope: AddressScope;
  readonly address_group: AddressGroup;
  readonly port: Port;
  readonly router: Router;
  readonly qos_policy: QosPolicy;
  readonly rbac_policy: RbacPolicy;
  readonly qos_bandwidth_limit_rule: QosBandwidthLimitRule;
  readonly qos_minimum_bandwidth_rule: QosMinimumBandwidthRule;
  readonly qos_minimum_packet_rate_rule: QosMinimumPacketRateRule;
  readonly host_booking: HostBooking;
  readonly qos_packet_rate_limit_rule: QosPacketRateLimitRule;
  readonly qos_dscp_marking_rule: QosDscpMarkingRule;
  readonly trunk: Trunk;
  readonly log: Log;
  readonly flavor: Flavor;
  readonly service_profile: ServiceProfile;
  readonly floatingip: FloatingIp;
  readonly port_forwarding: PortForwarding;
  readonly endpoint_set: EndpointSet;
  readonly kubernetes_namespace: KubernetesNamespace;
  readonly network_policy: NetworkPolicy;
  readonly cluster_network_policy: ClusterNetworkPolicy;
  readonly host_policy: HostPolicy;
  readonly service: Service;
  readonly service_scope: ServiceScope;
  readonly router_peering: RouterPeering;
  readonly router_egress: RouterEgress;
  readonly router_policy: RouterPolicy;
  readonly tap_service: TapService;
  readonly tap_flow: TapFlow;
  readonly tap_mirror: TapMirror;
  readonly security_group: SecurityGroup;
  readonly security_group_rule: SecurityGroupRule;
  readonly default_security_group_rule: DefaultSecurityGroupRule;
  readonly host: Host;
  readonly host_certificate: HostCertificate;
  readonly join_token: JoinToken;
  readonly kubernetes_cluster: KubernetesCluster;
  readonly proton: Proton;
  readonly plugin: Plugin;
  readonly dispatch_rule: DispatchRule;
  readonly dispatch_default: DispatchDefault;
  readonly port_owner: PortOwner;
  readonly proton_network: ProtonNetwork;
  readonly pseudowire: StoredPseudowire;
  readonly vpn_target: VpnTarget;
  readonly vpn_peering: VpnPeering;
  readonly proton_controller: ProtonController;
  readonly snat_lease: SnatLease;
  readonly loadbalancer: LoadBalancer;
  readonly listener: Listener;
  readonly pool: Pool;
  readonly member: Member;
  readonly healthmonitor: HealthMonitor;
};

/**
 * A host whose agent reports. The row goes with its server's lease. What is null is not known: an agent of protocol 1 names neither itself nor
 * its run, and a server of that age wrote nothing here.
 */
export type AliveRow = {
  readonly id: string;
  /** Id of the server that hears it. */
  readonly server: string | null;
  /** Number of this entry at that server; higher than that of any before it. */
  readonly entry: number;
  readonly agentId: string | null;
  readonly session: string | null;
  readonly underlay: string | null;
  /** Time of the registration (UTC, ISO 8601); empty: not known. */
  readonly since: string;
};

/** What a server says of its hosts. The row goes with its lease. */
export type ServerRow = {
  readonly id: string;
  /** Every host of its that is entered and not in `behind` has programmed all that concerns it up to this revision. */
  readonly floor: number;
  /** Hosts that have not, each with the last revision it has programmed. */
  readonly behind: Readonly<Record<string, number>>;
  /** Hosts with an `entry` up to this number are entered. */
  readonly entered: number;
  /** Highest revision that this server waits for from hosts of others: they are to say when their hosts have it. */
  readonly wants: number;
  /** Hosts of its whose kernels have refused entries. */
  readonly refused: Readonly<Record<string, RefusedEntries>>;
  /** True: it knows that gateways of routers may be ACTIVE. One that does not takes them DOWN. */
  readonly gateways: boolean;
  /** Where it runs, for people; empty: it does not say so. */
  readonly place: string;
  /** What it was given of the options that all servers are to have alike; empty: it does not say so. */
  readonly options: Readonly<Record<string, string>>;
  /** Digests of the protons that it serves, by name. */
  readonly protons: Readonly<Record<string, string>>;
};
/** What a host says of a port's device. `id` is `<host>/<port id>`. */
export type VifRow = {
  readonly id: string;
  readonly host: string;
  readonly port_id: string;
  readonly state: string;
  readonly reason: string | null;
  /** The port comes to the host, and its flows are there. */
  readonly hasFlows: boolean;
};

/** What a host says of a member of a pool that it probes, or a server of one whose host says nothing any more. `id` is the member's. */
export type HealthRow = {
  readonly id: string;
  /** Who said it; of a `silent` one, who is to. */
  readonly host: string;
  readonly state: 'up' | 'down' | 'silent';
  /** Why it is down; null: it is not, or nothing is known. */
  readonly reason: string | null;
};

/** Tables made of part of another's rows. */
type DerivedTypes = { readonly router_interface: Port };

/**
 * What Nova was told last of a port of one of its servers. `id` is the port's. Absent: nothing, or nothing since the telling began.
 */
export type NovaRow = {
  readonly id: string;
  /** The Nova server that has the port. */
  readonly server: string;
  /** When the port was made: an id may be given again. */
  readonly made: string;
  /** Hosts at which the port's device is plugged, each with the revision since when it is up. */
  readonly plugs: Readonly<Record<string, number>>;
  /** The host at which the port is ACTIVE; empty: it is not. */
  readonly active: string;
  /** A hash of what Nova keeps of the port. */
  readonly view: string;
};

/** A controller of a proton that is alive. Leased; `id` is its name. */
export type ControllerRow = {
  readonly id: string;
  /** Of the process that said so. */
  readonly session: string;
  readonly lease: string;
};

/** Which server tells somebody. Leased; `id` is `nova`, or `plugin-<name>`. */
export type TellerRow = { readonly id: string; readonly server: string };

/** What is known of a plug-in. `id` is its name. */
export type HeardRow = {
  readonly id: string;
  /** When it answered last (UTC, ISO 8601); empty: never. */
  readonly at: string;
  /** What it says that it uses. */
  readonly usage: Readonly<Record<string, number>>;
  /** Objects that it was not told of as they are. */
  readonly undelivered: number;
  /** Why it does not take the object that it refused last; empty: none that it was told waits for that. */
  readonly refusal: string;
};

/** What a plug-in was told last of an object. `id` is `<plug-in>/<resource>/<object's id>`. */
export type ToldRow = {
  readonly id: string;
  readonly plugin: string;
  /** Revision of the store of the object's state. */
  readonly revision: number;
  /** Of a port: the host that it was told of. */
  readonly host: string;
};

/** Every table known when this was built. */
export type TableTypes = ObjectTypes & RuntimeTypes & DerivedTypes;

/** Rows of the tables of what hosts report. */
type RuntimeTypes = {
  readonly alive: AliveRow;
  readonly server: ServerRow;
  readonly vif: VifRow;
  readonly health: HealthRow;
  readonly nova: NovaRow;
  readonly 'nova-proton': NovaRow;
  readonly teller: TellerRow;
  readonly heard: HeardRow;
  readonly told: ToldRow;
  readonly controller: ControllerRow;
};

export type Fields = Readonly<Record<string, unknown>>;

/** Table of deletes whose parts have not all gone from the store yet: rows are `Tombstone`. No declared type can have the name. */
export const TOMBSTONES = 'tombstone';

/**
 * What was deleted when this was written, and its parts with it: those objects of `type` whose `attribute` names it and that were written no later. Nobody sees
 * them any more; their keys go little by little, and this in the end. `id` is `<type>/<id>` of what was deleted.
 */
export type Tombstone = {
  readonly id: string;
  readonly of: { readonly type: string; readonly id: string };
  readonly parts: readonly { readonly type: string; readonly attribute: string }[];
};

/** Undefined: the text is no tombstone. */
export function parseTombstone(id: string, text: string): Tombstone | undefined {
  const slash = id.indexOf('/');
  const { parts } = parseRecord(text) ?? {};
  if (slash < 0 || !Array.isArray(parts)) return undefined;
  return { id, of: { type: id.slice(0, slash), id: id.slice(slash + 1) }, parts };
}

/** True when the tombstone of the revision covers an object that was written at `written`. */
export function covers(tombstone: Tombstone, revision: number, type: string, row: AnyObject, written: number): boolean {
  if (written > revision) return false;
  return tombstone.parts.some((one) => one.type === type && row[one.attribute] === tombstone.of.id);
}

/** The row of a key below `/cable/h/`, with its type; undefined: not one of ours. */
export function parseRuntime(
  path: string,
  text: string,
): { readonly type: string; readonly row: AnyObject } | undefined {
  const [type = '', host = '', portId] = path.split('/');
  const value = parseRecord(text) ?? {};
  if (type === 'alive' && portId === undefined) return { type, row: aliveRow(host, value) };
  if (type === 'server' && portId === undefined) return { type, row: serverRow(host, value) };
  if (type === 'health' && portId === undefined) return { type, row: healthRow(host, value) };
  if ((type === 'nova' || type === 'nova-proton') && portId === undefined) return { type, row: novaRow(host, value) };
  if (type === 'controller' && portId === undefined) return { type, row: controllerRow(host, value) };
  if (type === 'teller' && portId === undefined)
    return { type, row: { id: host, server: textOr(value['server'], '') } as TellerRow };
  if (type === 'heard' && portId === undefined) return { type, row: heardRow(host, value) };
  if (type === 'told') return { type, row: toldRow(path.slice('told/'.length), value) };
  if (type !== 'vif' || portId === undefined) return undefined;
  const reason = typeof value['reason'] === 'string' ? value['reason'] : null;
  const row: VifRow = {
    ...{ id: `${host}/${portId}`, host, port_id: portId, state: String(value['state']), reason },
    hasFlows: value['flows'] === true,
  };
  return { type, row };
}

function aliveRow(id: string, value: Fields): AliveRow {
  return {
    id,
    server: textOr(value['server'], null),
    entry: numberOr(value['entry'], 0),
    agentId: textOr(value['agentId'], null),
    session: textOr(value['session'], null),
    underlay: textOr(value['underlay'], null),
    since: textOr(value['since'], ''),
  };
}

function controllerRow(id: string, value: Fields): ControllerRow {
  return { id, session: textOr(value['session'], ''), lease: textOr(value['lease'], '') };
}

/** What is in no state that is known is taken for one of which nothing is. */
function healthRow(id: string, value: Fields): HealthRow {
  const state = value['state'];
  return {
    id,
    host: textOr(value['host'], ''),
    state: state === 'up' || state === 'down' ? state : 'silent',
    reason: textOr(value['reason'], null),
  };
}

function novaRow(id: string, value: Fields): NovaRow {
  const plugs = Object.entries(isFields(value['plugs']) ? value['plugs'] : {});
  return {
    id,
    server: textOr(value['server'], ''),
    made: textOr(value['made'], ''),
    plugs: Object.fromEntries(plugs.map(([host, at]) => [host, numberOr(at, 0)])),
    active: textOr(value['active'], ''),
    view: textOr(value['view'], ''),
  };
}

function heardRow(id: string, value: Fields): HeardRow {
  const usage = Object.entries(isFields(value['usage']) ? value['usage'] : {});
  return {
    id,
    at: textOr(value['at'], ''),
    usage: Object.fromEntries(usage.map(([name, count]) => [name, numberOr(count, 0)])),
    undelivered: numberOr(value['undelivered'], 0),
    refusal: textOr(value['refusal'], ''),
  };
}

function toldRow(id: string, value: Fields): ToldRow {
  const [plugin = ''] = id.split('/', 1);
  return { id, plugin, revision: numberOr(value['revision'], 0), host: textOr(value['host'], '') };
}

function serverRow(id: string, value: Fields): ServerRow {
  const behind = Object.entries(isFields(value['behind']) ? value['behind'] : {});
  return {
    id,
    floor: numberOr(value['floor'], 0),
    behind: Object.fromEntries(behind.map(([host, revision]) => [host, numberOr(revision, 0)])),
    entered: numberOr(value['entered'], 0),
    wants: numberOr(value['wants'], 0),
    refused: refusedOf(value['refused']),
    gateways: value['gateways'] === true,
    place: textOr(value['place'], ''),
    options: textsOf(value['options']),
    protons: textsOf(value['protons']),
  };
}

function refusedOf(value: unknown): ServerRow['refused'] {
  const hosts = Object.entries(isFields(value) ? value : {}).flatMap(([host, refused]) => {
    if (!isFields(refused)) return [];
    const { entries, reason, hostPolicies } = refused;
    const of = typeof hostPolicies === 'string' ? { hostPolicies } : {};
    return [[host, { entries: numberOr(entries, 0), reason: textOr(reason, ''), ...of }] as const];
  });
  return Object.fromEntries(hosts);
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  const texts = Object.entries(isFields(value) ? value : {});
  return Object.fromEntries(texts.flatMap(([name, text]) => (typeof text === 'string' ? [[name, text]] : [])));
}

function textOr<T>(value: unknown, other: T): string | T {
  return typeof value === 'string' ? value : other;
}

function numberOr(value: unknown, other: number): number {
  return typeof value === 'number' ? value : other;
}

/** True for a JSON object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Undefined: the text is no JSON object. */
export function parseRecord(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
