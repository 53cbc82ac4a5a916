/**
 * Slices: the computed state that the server streams to hosts, and the planner turns into map entries.
 * A slice is one thing's state, computed once and shared by every host that needs it. Slices are immutable values.
 */

/** A slice's name: `host:<name>`, `network:<id>`, `router:<id>`, `policy:<sg ids sorted, joined by +>`, `group:<security group id>`. */
export type SliceKey = `${SliceKind}:${string}`;

/** The kinds of slices: parts of the desired state that change, and travel to hosts, on their own. */
export type SliceKind = 'host' | 'network' | 'router' | 'policy' | 'group';

/** One slice; `kind` tells which. */
export type Slice = HostSlice | NetworkSlice | RouterSlice | PolicySlice | GroupSlice;

/** What one host carries itself. Its ports' networks, policies, and what those reach, are slices of their own. */
export type HostSlice = {
  readonly kind: 'host';
  readonly host: string;
  /** Sorted by id. */
  readonly ports: readonly LocalPort[];
};

/**
 * How a port's device comes to be: `tap`: a hypervisor makes `tap<first 11 of the port id>`; `veth`: the CNI executable asked for it;
 * `host`: the agent makes it for the machine it runs on (`binding:vnic_type` baremetal).
 */
export type VifKind = 'tap' | 'veth' | 'host';

/** A port that the host itself carries. */
export type LocalPort = {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly networkId: string;
  readonly macAddress: string;
  readonly adminStateUp: boolean;
  readonly vifKind: VifKind;
  readonly deviceId: string;
  readonly deviceOwner: string;
  readonly fixedIps: readonly FixedIp[];
  /** Sources allowed besides the port's own. `ipAddress` is an address or a CIDR. */
  readonly allowedAddressPairs: readonly { readonly ipAddress: string; readonly macAddress: string }[];
  /** False: no anti-spoofing and no policy. */
  readonly portSecurityEnabled: boolean;
  /** Key of the policy slice; null exactly when port security is off. A port without groups has the empty policy `policy:`. */
  readonly policy: SliceKey | null;
  /** RFC 1123 label for DHCP option 12 and metadata; derived from the port's name or id when none was given. */
  readonly hostname: string;
  /** Base64, handed out by metadata; null: none. */
  readonly userData: string | null;
};

/** One address of a port, without a prefix length. */
export type FixedIp = { readonly subnetId: string; readonly ipAddress: string };

/** One network as every host with a port in or near it sees it: who is where. */
export type NetworkSlice = {
  readonly kind: 'network';
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  /** 1..16777215. */
  readonly vni: number;
  readonly mtuBytes: number;
  /** Sorted by id. */
  readonly subnets: readonly SubnetState[];
  /** Every bound port of the network, sorted by port id; router interfaces are not endpoints. */
  readonly endpoints: readonly Endpoint[];
  /** Routers with an interface in this network, sorted. */
  readonly routers: readonly string[];
};

/** One subnet: what forwarding and DHCP need of it. */
export type SubnetState = {
  readonly id: string;
  readonly cidr: string;
  readonly ipVersion: 4 | 6;
  readonly gatewayIp: string | null;
  readonly enableDhcp: boolean;
  readonly dnsNameservers: readonly string[];
  readonly hostRoutes: readonly { readonly destination: string; readonly nexthop: string }[];
};

/** Where a port of the network is. */
export type Endpoint = {
  readonly portId: string;
  readonly macAddress: string;
  readonly ipAddresses: readonly string[];
  readonly host: string;
  /** The host's underlay address; null while the host has not registered: nobody can reach the endpoint yet. */
  readonly underlay: string | null;
};

/** One router: every host that needs it routes by itself. */
export type RouterSlice = {
  readonly kind: 'router';
  readonly id: string;
  readonly name: string;
  readonly adminStateUp: boolean;
  /** Sorted by port id. */
  readonly interfaces: readonly RouterInterface[];
  /** Extra routes. */
  readonly routes: readonly { readonly destination: string; readonly nexthop: string }[];
};

/** A router’s leg in a subnet. `ipAddress` is the gateway’s as a rule; `cidr` is the subnet’s. */
export type RouterInterface = {
  readonly portId: string;
  readonly networkId: string;
  readonly subnetId: string;
  readonly cidr: string;
  readonly ipAddress: string;
  readonly macAddress: string;
};

/** The rules of one set of security groups (the set a port has). */
export type PolicySlice = {
  readonly kind: 'policy';
  /** The part of the key after `policy:`. */
  readonly id: string;
  /** Sorted by id. */
  readonly rules: readonly PolicyRule[];
};

/** One thing that is allowed; what no rule allows is dropped. */
export type PolicyRule = {
  /** Id of the security group rule. */
  readonly id: string;
  readonly direction: 'ingress' | 'egress';
  readonly ethertype: 'IPv4' | 'IPv6';
  /** IANA number; null: any. */
  readonly protocol: number | null;
  /** First and last port, or for ICMP type and code; null: any. With `icmp`, `portMin` null means any type, `portMax` null any code. */
  readonly portMin: number | null;
  readonly portMax: number | null;
  readonly remote: PolicyRemote;
};

/** The other side of the traffic: source of ingress, destination of egress. */
export type PolicyRemote =
  | { readonly kind: 'any' }
  | { readonly kind: 'prefix'; readonly cidr: string }
  | { readonly kind: 'group'; readonly groupId: string };

/** The addresses behind a security group that some rule names as its remote. */
export type GroupSlice = {
  readonly kind: 'group';
  readonly id: string;
  /** Sorted by port id. `addresses`: fixed IPs and allowed address pairs, as addresses or CIDRs. */
  readonly members: readonly {
    readonly portId: string;
    readonly networkId: string;
    readonly addresses: readonly string[];
  }[];
};

/**
 * One line of `GET /cable/v1/hosts/{host}/watch?since=REV` (NDJSON).
 *
 * A stream opens with puts of every slice the host needs (with `since`, only of those newer than it), then `sync`.
 * After it come puts and deletes; a `bookmark` says that everything up to its revision has been sent. A client acknowledges
 * only revisions of `sync` and `bookmark` lines. Puts may repeat; revisions of `sync` and `bookmark` never fall.
 */
export type WatchLine =
  | { readonly type: 'put'; readonly key: SliceKey; readonly revision: number; readonly slice: Slice }
  | { readonly type: 'delete'; readonly key: SliceKey; readonly revision: number }
  /** All keys the host has as of `revision`: any other that the client holds is gone. */
  | { readonly type: 'sync'; readonly revision: number; readonly keys: readonly SliceKey[] }
  | { readonly type: 'bookmark'; readonly revision: number };

/** Body of `PUT /cable/v1/hosts/{host}`: an agent makes itself known (idempotent), before it watches. */
export type HostRegistration = {
  /** Address other hosts tunnel to. */
  readonly underlay: string;
  readonly agentVersion: string;
};

/**
 * Body of `POST /cable/v1/hosts/{host}/status` (answer 204): the heartbeat, every 5 s and at once when something changed.
 * `revision`: the last one whose slices are in the kernel; 0: none yet. `vifs`: those changed since the last report that was
 * accepted; with `full`, all of them: the server forgets the others.
 */
export type HostStatusReport = {
  readonly revision: number;
  readonly full: boolean;
  readonly vifs: readonly VifStatus[];
};

/** `up`: the device exists and its programs and map entries are in place; `down`: no device yet; `error`: see reason. */
export type VifStatus = {
  readonly portId: string;
  readonly state: 'up' | 'down' | 'error';
  readonly reason: string | null;
};
