import type { QosLimits, SliceHeader, SliceItem, SliceKey, SliceKind } from '@cable/model';
import type { SliceReader } from '../stream/slice-reader.ts';
import type { HostPort } from './host-ports.ts';

/** What the planner reads of the slices. */
export type PlannedSlices = Pick<SliceReader, 'header' | 'item' | 'items'>;

/** What the runtime that plugged a port wants of it, besides its QoS policy. */
export type PluggedLimits = {
  readonly portId: string;
  readonly egress: Pick<QosLimits, 'bandwidth'>;
  readonly ingress: Pick<QosLimits, 'bandwidth'>;
};

/** Ports of the host that lead to a port, as the runtime wants it that plugged that. */
export type PluggedHostPorts = { readonly portId: string; readonly hostPorts: readonly HostPort[] };

/** A network device of this machine. */
export type LocalDevice = {
  readonly name: string;
  readonly ifindex: number;
  /** Absent: it says none. */
  readonly limits?: PluggedLimits;
  /** Absent: none. */
  readonly hostPorts?: PluggedHostPorts;
  /** Somebody captures on it: packets must pass it both ways. */
  readonly isWatched?: true;
  /** Why nothing may pass by it: what must be before the vrouter on it is not there. Absent: it may. */
  readonly shut?: string;
  /** Somebody follows its ports' flows: all are told. */
  readonly isFollowed?: true;
};

/** The devices that are there now. */
export type DeviceReader = { byName(name: string): LocalDevice | undefined };

/** What this host's own probes say of members, by id; undefined: nothing. */
export type HealthReader = { stateOf(memberId: string): 'up' | 'down' | undefined };

/** A prefix that a BGP neighbour told, of a route that a VPN imports: `nextHop` takes packets for it with this label. */
export type LearnedRoute = { readonly prefix: string; readonly nextHop: string; readonly label: number };

/** What BGP neighbours told for a VPN, by its id: all that is sound of it. */
export type LearnedReader = { of(vpnId: string): readonly LearnedRoute[] };

/** Addresses (`Prefix.order`) that DNS told a port, each with the names (`dnsNameKey`) that it asked for, as far as they count. */
export type ToldReader = { of(portId: string): ReadonlyMap<string, ReadonlyMap<string, unknown>> };

/** A port was told another address, or one counts no more. `order`: `Prefix.order`. */
export type ToldChange = { readonly portId: string; readonly order: string };

/** Hosts of gateways, and nodes by which subnets leave, as this host sees them. */
export type GatewayReader = {
  /** Name of the host that a router's gateway is on, or of the node by which a subnet leaves; '': nobody's, as far as this host is concerned; undefined: the one that the server says. */
  hostOf(id: string): string | undefined;
  /** Whether this host has no way to the external network of a router whose ports it leases: what would leave by it leaves by the gateway. */
  isCutOff(routerId: string): boolean;
};

/** What has dense numbers on this host: VIFs by port id, networks and projects by id, tunnels by `tunnelName`. */
export type IdKind = 'vif' | 'network' | 'tunnel' | 'project';

/** Dense numbers by name: a name keeps its number from `acquire` (which may be repeated) until `release`. Undefined: none is free. */
export type IdSource = {
  readonly ids: ReadonlyMap<string, number>;
  acquire(name: string): number | undefined;
  release(name: string): void;
};

/** The kind of slice that a key names; it may be one that this agent does not know. */
export function kindOf(key: SliceKey): SliceKind {
  return key.slice(0, key.indexOf(':')) as SliceKind;
}

/** What the slice is about: the part of the key after the kind. */
export function idOf(key: SliceKey): string {
  return key.slice(key.indexOf(':') + 1);
}

/** A `SliceReader` whose values are taken for what the slice's kind says they are. */
export type TypedSlices = {
  header<K extends SliceKind>(kind: K, id: string): SliceHeader<K> | undefined;
  item<K extends SliceKind>(kind: K, id: string, item: string): SliceItem<K> | undefined;
  items<K extends SliceKind>(kind: K, id: string): Iterable<readonly [item: string, value: SliceItem<K>]>;
};

/** The server's word is taken for the shape of what it sent; a unit that meets another shape fails alone. */
export function typedSlices(slices: PlannedSlices): TypedSlices {
  return {
    header: (kind, id) => slices.header(`${kind}:${id}`),
    item: (kind, id, item) => slices.item(`${kind}:${id}`, item),
    items: (kind, id) => slices.items(`${kind}:${id}`),
  };
}
