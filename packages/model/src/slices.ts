/**
 * Slices: the computed state that servers stream to hosts, and that agents turn into map entries.
 *
 * A slice is one thing's state, shared by every host that needs it: a header and keyed items. Each of these is an immutable value, computed
 * and serialised once, that changes and travels on its own (`host-protocol.ts`). A slice without items has its content in its header.
 */

import type { Ipv6Mode } from './ipv6-mode.ts';

/**
 * A slice's name: `host:<name>`, `standby:<name>`, `network:<id>`, `endpoints:<network id>`, `router:<id>`, `policy:<sg ids sorted, joined by +>`,
 * `group:<security group id>`, `names:<network id>`, `qos:<QoS policy id>`, `balancers:<network id>`, `pool:<pool id>`, `gateways:<host>`, `spares:<host>`,
 * `floating:<router id>`, `peerings:<router id>`, `forwards:<router id>`, `floats:<host>`, `leases:<host>`, `blocks:<router id>`,
 * `network_policies:<cluster>/<namespace or ->/<named ports>/<ids>`, with `|` and the ids of policies of the cluster behind it where there are such, `cluster_policies:<cluster>/<named ports>/<ids>`,
 * `vpn:<id>`, `pseudowires:<host>`, `private_subnets:<network id>/<subnet ids sorted, joined by +>`, of legs with `/legs` behind it, which stands behind another `|` in the name of `network_policies`, `private_legs:<network id>/<subnet ids>`, `pods:<cluster>/<namespace>/<named port>/<selector>`,
 * `cluster_pods:<cluster>/<named port>/<selector>`, `services:<scope id>`, `backends:<scope id>`, `logs:cloud`, `host_policies:<ids sorted, joined by +>`.
 */
export type SliceKey = `${SliceKind}:${string}`;

/** The kinds of slices. A kind that is not among them comes from a newer server and is passed over. */
export type SliceKind = keyof SliceTypes;

/**
 * Header and item of each kind, and what an item's key is.
 *
 * What a host needs follows from references, which lead from left to right only. `near:<network id>` is the compiler's own and is never
 * sent: the routers of a network in which the host has a port (docs/design/host-plane.md).
 *
 *   host ──> standby, logs
 *   host ──> host_policies ──> pods, cluster_pods, group
 *   host, standby ──> network, endpoints, names, qos, policy ──> group
 *   host, standby ──> network_policies ──> cluster_policies ──> pods, cluster_pods
 *   network_policies ──> private_subnets ──> private_legs
 *   router, floating, floats, forwards ──> qos       (where what they translate is limited)
 *    ├─────> near ──> router ──> network, endpoints       (of the router's other networks)
 *    │       near ──> peerings ──> network, endpoints     (of what routers let through that it is peered with)
 *    │       near ──> services, backends                  (of the scopes that name the router)
 *    │                           network ──> balancers ──> pool       (where there are virtual addresses)
 *    ├─────> gateways, spares ──> router; network, floating, forwards       (of the external network)
 *    │                gateways, spares ──> blocks          (where ports of the router's address are leased)
 *    ├─────> floats, leases ──> router; network           (of the external network)
 *    │       near ──> vpn ──> router, network             (of the VPN that the network is)
 *    └─────> pseudowires                                  (where one begins or ends at a port of the host)
 */
export type SliceTypes = {
  /** Item: a port that the host carries; key: port id. */
  readonly host: { readonly header: HostHeader; readonly item: LocalPort };
  /** Item: a port that another host carries and this one programs, too: it is to come here, or was here; key: port id. The key is the host's name. */
  readonly standby: { readonly header: HostHeader; readonly item: StandbyPort };
  /** No items. */
  readonly network: { readonly header: NetworkHeader; readonly item: never };
  /** Item: a bound port of the network; key: port id. Apart from `network`, so that a host may need one without the other. */
  readonly endpoints: { readonly header: EndpointsHeader; readonly item: Endpoint };
  /** Item: a port of the network that has a name or a domain of its own, bound or not; key: port id. Only hosts with ports in the network need it. */
  readonly names: { readonly header: NamesHeader; readonly item: PortNames };
  /** Item: an address of one of the router's ports; key: `<port id>/<address>`. */
  readonly router: { readonly header: RouterHeader; readonly item: RouterInterface };
  /** Item: a peering of the router of which both sides are there; key: the id of the router's own side. A router without any side has no such slice. */
  readonly peerings: { readonly header: PeeringsHeader; readonly item: RouterPeeringState };
  /** Item: a router whose gateway the host is; key: the gateway's port id. */
  readonly gateways: { readonly header: GatewaysHeader; readonly item: Gateway };
  /** Item: a router whose gateway the host is to be when another is not; key: the gateway's port id. */
  readonly spares: { readonly header: GatewaysHeader; readonly item: Gateway };
  /** Item: a floating IP that leads through the router, and outside by the host of its gateway; key: its id. Only hosts that are its gateway, or may come to be, need it. */
  readonly floating: { readonly header: FloatingHeader; readonly item: FloatingAddress };
  /** Item: a port forwarding that leads through the router; key: its id. Only the host of the gateway needs it. */
  readonly forwards: { readonly header: ForwardsHeader; readonly item: ForwardedPorts };
  /** Item: a floating IP that the host answers for, as its port is there; key: `<port id>/<its id>`. A host that is on no physical network has no such slice. */
  readonly floats: { readonly header: FloatsHeader; readonly item: OwnFloatingAddress };
  /** Item: the blocks of ports of a router's address with which one port leaves by this host; key: the lease's id. A host without any has no such slice. */
  readonly leases: { readonly header: LeasesHeader; readonly item: SnatLeaseState };
  /** Item: the blocks of the router's addresses that one port has, and its host; key: the lease's id. Hosts that are the gateway's, or stand by, need it. */
  readonly blocks: { readonly header: BlocksHeader; readonly item: SnatBlocks };
  /** Item: a log that is enabled; key: its id. There is one such slice, `logs:cloud`, and none where there is no log. */
  readonly logs: { readonly header: LogsHeader; readonly item: PacketLog };
  /** Item: a rule; key: rule id. */
  readonly policy: { readonly header: PolicyHeader; readonly item: PolicyRule };
  /** Item: a rule, or a part of it; key: `<network policy's id>/<number>`. */
  readonly network_policies: { readonly header: NetworkPoliciesHeader; readonly item: NetworkPolicyRule };
  /** Item: a rule of a policy of the whole cluster, or a part of it; key: `<policy's id>/<number>`. */
  readonly cluster_policies: { readonly header: ClusterPoliciesHeader; readonly item: ClusterPolicyRule };
  /** Item: a rule of a policy for the host itself; key: `<policy's id>/<number>`. */
  readonly host_policies: { readonly header: HostPoliciesHeader; readonly item: HostPolicyRule };
  /** Item: a private subnet that some ports are in; key: its id. */
  readonly private_subnets: { readonly header: PrivateSubnetsHeader; readonly item: PrivateSubnet };
  /** Item: the bound leg of a pod whose port in its VPC is in these subnets; key: id of that port. */
  readonly private_legs: { readonly header: PrivateSubnetsHeader; readonly item: GroupMember };
  /** Item: a bound port of a pod that is selected; key: port id. */
  readonly pods: { readonly header: PodsHeader; readonly item: GroupMember };
  /** The same, of a whole cluster. */
  readonly cluster_pods: { readonly header: PodsHeader; readonly item: GroupMember };
  /** No items. */
  readonly qos: { readonly header: QosHeader; readonly item: never };
  /** Item: a bound port in the group; key: port id. */
  readonly group: { readonly header: GroupHeader; readonly item: GroupMember };
  /** Item: a load balancer whose virtual address is in the network; key: its id. A network without any has no such slice. */
  readonly balancers: { readonly header: BalancersHeader; readonly item: Balancer };
  /** Item: a member of the pool; key: its id. */
  readonly pool: { readonly header: PoolHeader; readonly item: PoolMember };
  /** Item: a Service of the scope; key: its id. */
  readonly services: { readonly header: ServicesHeader; readonly item: ClusterService };
  /** Item: an endpoint of a Service of the scope; key: `<id of the object that names it>/<address>`. */
  readonly backends: { readonly header: BackendsHeader; readonly item: ServiceBackend };
  /** Item: where prefixes of the VPN are, or of one of which it imports; key: `<port id>`, of another VPN's `<VPN id>/<port id>`. */
  readonly vpn: { readonly header: VpnHeader; readonly item: VpnPlace };
  /** Item: a pseudowire that begins or ends at a port of the host; key: `<port id>/<its id>`, of one of which both ends are on the host once. A host without any has no such slice. */
  readonly pseudowires: { readonly header: PseudowiresHeader; readonly item: Pseudowire };
};

/** Header of a kind. */
export type SliceHeader<K extends SliceKind = SliceKind> = SliceTypes[K]['header'];

/** Item of a kind. */
export type SliceItem<K extends SliceKind = SliceKind> = SliceTypes[K]['item'];

/** What one host carries itself: its ports are the items. `policies`: those for the host itself; absent: none, and nothing that its processes send or receive is refused. */
export type HostHeader = { readonly host: string; readonly policies?: SliceKey };

/** The logs of the cloud. */
export type LogsHeader = { readonly of: 'cloud' };

/**
 * Of which ports it is written down what security groups let through (`accepts`) and drop (`drops`): those that have the group, and the one port, where these are not
 * null; where both are, the project's.
 */
export type PacketLog = {
  readonly id: string;
  readonly projectId: string;
  readonly groupId: string | null;
  readonly portId: string | null;
  readonly accepts: boolean;
  readonly drops: boolean;
};

/** One network. */
export type NetworkHeader = {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  /** False: its ports pass nothing. */
  readonly adminStateUp: boolean;
  /** 1..16777215. Of a network that is not tunnelled (`wire`) it is kept for agents that do not know of these, so that they keep it apart from others. */
  readonly vni: number;
  /** The physical network that carries it; absent: none, it is tunnelled between hosts. */
  readonly wire?: Wire;
  readonly mtuBytes: number;
  /** It leads outside; absent: it does not. */
  readonly external?: true;
  /** Neutron's `dns_domain`, with a dot at its end; absent: none. */
  readonly dnsDomain?: string;
  /** Sorted by id. */
  readonly subnets: readonly SubnetState[];
};

/** A network on a physical network. `segmentationId`: its VLAN, 1..4094; null: its frames have no tag. */
export type Wire = { readonly physicalNetwork: string; readonly segmentationId: number | null };

/** Who is where in one network: its bound ports are the items; router interfaces are not among them. */
export type EndpointsHeader = { readonly networkId: string };

/** What the ports of one network are called. */
export type NamesHeader = { readonly networkId: string };

/** `dns_name` and `dns_domain` of a port, as `dnsAssignmentsText` takes them; never both are empty. */
export type PortNames = { readonly name: string; readonly domain: string; readonly ipAddresses: readonly string[] };

/** One router: every host that needs it routes by itself. */
export type RouterHeader = {
  readonly id: string;
  readonly name: string;
  readonly adminStateUp: boolean;
  /** Extra routes. */
  readonly routes: readonly HostRoute[];
  /** The way out; absent: there is none. */
  readonly gateway?: RouterGateway;
  /** Policy routes, 64 at the most, in the order in which they are asked; absent: none. */
  readonly policies?: readonly PolicyRoute[];
  /** What no other route leads to goes to the host's own node port in one of the router's networks, where there is one; absent: it does not. */
  readonly nodeEgress?: true;
  /** Of one by which nodes are the way outside: subnets that leave by a node that they name, whatever node the sender is on; absent: none. */
  readonly centralized?: readonly CentralizedSubnet[];
};

/** `hosts`: those that may be the way outside, the server's choice first; none: nobody is. The subnet may be of another router: then legs of its pods are meant. */
export type CentralizedSubnet = { readonly subnetId: string; readonly hosts: readonly GatewayHost[] };

/** A policy route of a router. What is absent of its match does not matter; prefixes are addresses or CIDRs. */
export type PolicyRoute = {
  readonly id: string;
  readonly name: string;
  readonly action: 'allow' | 'drop' | 'reroute';
  /** Of `reroute`: in the subnet of one of the router's interfaces. */
  readonly nextHop?: string;
  /** Absent: packets of both. */
  readonly ipVersion?: 4 | 6;
  /** In which the packet comes to the router. */
  readonly networkId?: string;
  readonly source?: string;
  readonly destination?: string;
  /** IANA number. */
  readonly protocol?: number;
  /** Destination ports: first and last, both included. */
  readonly ports?: readonly [first: number, last: number];
  readonly sourcePorts?: readonly [first: number, last: number];
};

/** The peerings of one router. */
export type PeeringsHeader = { readonly routerId: string };

/** A peering of a router, as it is in force: what one side lets through and the other takes. No two prefixes of `peers` of a router's peerings overlap. */
export type RouterPeeringState = {
  readonly id: string;
  readonly name: string;
  /** Of the router's own subnets: what may go there. */
  readonly own: readonly PeeredSubnet[];
  /** Of the other router's: where it may go. `macAddress`: of that router's interface there. */
  readonly peers: readonly (PeeredSubnet & { readonly macAddress: string })[];
};

/** A subnet that a router lets through. */
export type PeeredSubnet = { readonly networkId: string; readonly cidr: string };

/**
 * A router's way out: its port in an external network. The port's host passes everything; the others send it there by the transit network, a tunnelled
 * network of the router's own with `transitVni`.
 */
export type RouterGateway = {
  readonly portId: string;
  readonly networkId: string;
  readonly macAddress: string;
  readonly fixedIps: readonly FixedIp[];
  /** What leaves has the first IPv4 address of these, unless a floating IP says otherwise. */
  readonly enableSnat: boolean;
  /** It does so with a port of blocks that each port behind the router has of its own (slices `leases`); absent: with any. */
  readonly leased?: true;
  /** QoS policy of what is translated to and from its address; absent: none. */
  readonly qosPolicyId?: string;
  readonly transitVni: number;
  /** Empty: no host is on the physical network, nothing leaves. */
  readonly host: string;
  /** The host's underlay address; null: it has not registered. */
  readonly underlay: string | null;
  /** Hosts that take its place while it does not answer, the first that does answer; absent: none, or the server is older. */
  readonly standbys?: readonly GatewayHost[];
};

/** A host that may be the gateway. `underlay` as of the gateway. */
export type GatewayHost = { readonly host: string; readonly underlay: string | null };

/** The gateways that one host is. */
export type GatewaysHeader = { readonly host: string };

/** A gateway of the host. */
export type Gateway = { readonly routerId: string; readonly networkId: string };

/** The floating IPs of one router. */
export type FloatingHeader = { readonly routerId: string };

/** An address outside that stands for one inside. */
export type FloatingAddress = {
  /** The external network. */
  readonly networkId: string;
  readonly floatingIp: string;
  readonly portId: string;
  /** Network of the port. */
  readonly innerNetworkId: string;
  readonly fixedIp: string;
  /** The MAC that it has outside, on whatever host; absent: that of the gateway, as an older server has it. */
  readonly macAddress?: string;
  /** QoS policy of what is translated to and from it; absent: none. */
  readonly qosPolicyId?: string;
};

/** The port forwardings of one router. */
export type ForwardsHeader = { readonly routerId: string };

/** Ports of a floating IP that lead inside. `protocol`: IANA number. Ports: first and last, both included. */
export type ForwardedPorts = {
  /** The external network. */
  readonly networkId: string;
  readonly floatingIp: string;
  readonly protocol: number;
  readonly externalPorts: readonly [first: number, last: number];
  readonly portId: string;
  /** Network of the port. */
  readonly innerNetworkId: string;
  readonly fixedIp: string;
  /** As many as external ones, or one. */
  readonly internalPorts: readonly [first: number, last: number];
  /** Of the floating IP, as in `FloatingAddress`. */
  readonly qosPolicyId?: string;
};

/** The leases by which ports leave by one host. */
export type LeasesHeader = { readonly host: string };

/** Blocks of ports of a router's address that one port has. */
export type SnatLeaseState = {
  readonly routerId: string;
  /** The external network. */
  readonly networkId: string;
  readonly address: string;
  /** First port of each block of `SNAT_BLOCK_PORTS`. */
  readonly firstPorts: readonly number[];
  readonly portId: string;
  /** Its IPv4 addresses: by these what it sends from another host is known. */
  readonly fixedIps: readonly string[];
  /** By the host of the router's gateway, whichever that is, or by the port's own also when another is that; absent: the server is older. */
  readonly leavesBy?: 'gateway' | 'host';
};

/** The blocks of one router's addresses. */
export type BlocksHeader = { readonly routerId: string };

/**
 * Blocks that a host has. `underlay`: its address; null: it has not registered. `portId`, `leavesBy`: whose they are, as of the lease; absent: no host carries that port, or the server
 * is older. `fixedIps`: that port's IPv4 addresses, by which the gateway's host knows what it sends from another host; absent (an older server): it has no block there.
 */
export type SnatBlocks = Pick<SnatLeaseState, 'networkId' | 'address' | 'firstPorts' | 'leavesBy'> & {
  readonly host: string;
  readonly underlay: string | null;
  readonly portId?: string;
  readonly fixedIps?: readonly string[];
};

/** The floating IPs that one host answers for. */
export type FloatsHeader = { readonly host: string };

/** A floating IP of a port that the host carries. */
export type OwnFloatingAddress = FloatingAddress & { readonly routerId: string; readonly macAddress: string };

/**
 * The rules of one set of security groups (the set a port has). `id`: the part of the key after `policy:`. `stateless`: each packet needs a rule of its own
 * direction, an answer too; absent: answers to what was allowed are allowed.
 */
export type PolicyHeader = { readonly id: string; readonly stateless?: true };

/**
 * The network policies of some pods, and the private subnets that they, or other ports, are in. `ingress`, `egress`: in this direction those of their namespace isolate them.
 * `tiers`: the slice of the cluster's policies that are asked before and after those; absent: there are none. `privateIn`: the slice of the subnets, which
 * are asked before all of them; absent: none is private.
 */
export type NetworkPoliciesHeader = {
  readonly id: string;
  readonly ingress: boolean;
  readonly egress: boolean;
  readonly tiers?: SliceKey;
  readonly privateIn?: SliceKey;
  /** Those of which hosts write down what they decide; absent: none. */
  readonly logged?: readonly LoggedPolicy[];
};

/**
 * A policy of which hosts write down what it lets pass (`accepts`), and what it does not (`drops`). `kind` and `name`: Kubernetes', with the namespace (`shop/from-web`).
 * `directions`: in which a NetworkPolicy isolates; absent: it is one of the whole cluster.
 */
export type LoggedPolicy = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly accepts: boolean;
  readonly drops: boolean;
  readonly directions?: readonly ('ingress' | 'egress')[];
};

/** The private subnets of a network that some ports are in. */
export type PrivateSubnetsHeader = { readonly id: string };

/**
 * `peers`: prefixes whose addresses its ports exchange packets with, the subnet's own among them; with others of its version of IP they do not. `legs`: of legs of its pods, which
 * have addresses of another network: the slice of those that exchange packets with each other; absent: it is about ports of the subnet.
 */
export type PrivateSubnet = {
  readonly subnetId: string;
  readonly ipVersion: 4 | 6;
  readonly peers: readonly string[];
  readonly legs?: SliceKey;
};

/** The policies of the whole cluster that some pods have. `domainExcept`: prefixes that no name of them means; absent: none. `logged`: as of `NetworkPoliciesHeader`. */
export type ClusterPoliciesHeader = {
  readonly id: string;
  readonly domainExcept?: readonly string[];
  readonly logged?: readonly LoggedPolicy[];
};

/** `order`: of two rules of a tier the one with the lower text is asked first. */
export type ClusterPolicyRule = NetworkPolicyRule & {
  readonly tier: 'admin' | 'baseline';
  readonly order: string;
  readonly action: 'allow' | 'deny' | 'pass';
};

/** What a network policy allows, in one direction. */
export type NetworkPolicyRule = {
  readonly policyId: string;
  readonly direction: 'ingress' | 'egress';
  /** With whom; absent: with everybody. */
  readonly peers?: readonly NetworkPolicyPeer[];
  /** At which ports of who receives; absent: at all, with any protocol. */
  readonly ports?: readonly NetworkPolicyPorts[];
};

/**
 * The members of any of some slices `pods` and `cluster_pods`, or a prefix without those in it. `domains`: besides, addresses that the host told the pod for these names, without a dot at their
 * end and in small letters; with `*.` before it for all names below it.
 */
export type NetworkPolicyPeer =
  | {
      readonly pods: readonly SliceKey[];
      readonly domains?: readonly string[];
      readonly cidr?: never;
      readonly except?: never;
    }
  | { readonly cidr: string; readonly except: readonly string[]; readonly pods?: never };

/** Ports from `first` to `last`; absent: all. `protocol`: IANA number. */
export type NetworkPolicyPorts = { readonly protocol: number; readonly first?: number; readonly last?: number };

/**
 * Policies for hosts themselves that some hosts have. In a direction that is not isolated everything passes. `writes`: the revision number of each: whatever is written of
 * one, its hosts acknowledge.
 */
export type HostPoliciesHeader = {
  readonly id: string;
  readonly writes: readonly number[];
  readonly ingress: boolean;
  readonly egress: boolean;
};

/** What a policy for hosts allows, in one direction. */
export type HostPolicyRule = Omit<NetworkPolicyRule, 'peers'> & {
  /** With whom; absent: with everybody. */
  readonly peers?: readonly HostPolicyPeer[];
};

/** As of network policies, without names; `addresses`: those of an address group, as its slice `group`. */
export type HostPolicyPeer =
  | NetworkPolicyPeer
  | { readonly addresses: SliceKey; readonly pods?: never; readonly cidr?: never };

/** Pods that a selector selects. */
export type PodsHeader = { readonly id: string };

/** One QoS policy. `dscp`: what packets that a port sends are given (0..63); absent: they stay as they are. */
export type QosHeader = {
  readonly id: string;
  /** What a port may send. */
  readonly egress: QosLimits;
  /** What a port may receive. */
  readonly ingress: QosLimits;
  readonly dscp?: number;
};

/** Limits in one direction, each absent: none. */
export type QosLimits = {
  /** `maxKbps`: thousands of bits a second, at least 1. `burstKbits`: thousands of bits that may pass at once; 0: what suits the host. */
  readonly bandwidth?: { readonly maxKbps: number; readonly burstKbits: number };
  /** `maxKpps`: thousands of packets a second, at least 1. `burstKpackets`: thousands that may pass at once; 0: as before. */
  readonly packets?: { readonly maxKpps: number; readonly burstKpackets: number };
};

/**
 * The addresses behind a security group, or an address group, that some rule names as its remote. `addresses`: of an address group, as CIDRs; they count wherever the
 * packet comes from. Absent: it has members instead.
 */
export type GroupHeader = { readonly id: string; readonly addresses?: readonly string[] };

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
  /** Of the port alone: it passes something only if its network is up too. */
  readonly adminStateUp: boolean;
  readonly vifKind: VifKind;
  readonly deviceId: string;
  readonly deviceOwner: string;
  readonly fixedIps: readonly FixedIp[];
  /** Sources allowed besides the port's own. `ipAddress` is an address or a CIDR. */
  readonly allowedAddressPairs: readonly { readonly ipAddress: string; readonly macAddress: string }[];
  /** False: no anti-spoofing and no policy. */
  readonly portSecurityEnabled: boolean;
  /**
   * Key of the policy slice; null: nothing is refused by rules, since port security is off, or the port is a pod's without groups. Another port without groups has the
   * empty policy `policy:`.
   */
  readonly policy: SliceKey | null;
  /** Network policies that select its pod, and private subnets that it is in, whose word counts besides: both must allow; absent: none does. */
  readonly networkPolicies?: SliceKey;
  /** RFC 1123 label for DHCP option 12 and metadata; derived from the port's `dns_name`, name or id when none was given. */
  readonly hostname: string;
  /** Base64, handed out by metadata; null: none. */
  readonly userData: string | null;
  /** Keys for logging in, handed out by metadata; absent: none. */
  readonly publicKeys?: readonly PublicKey[];
  /** Handed out by metadata as `vendor_data.json`; absent: none. */
  readonly vendorData?: Readonly<Record<string, unknown>>;
  /** QoS policy that holds for it, its own or its network's; absent: none. */
  readonly qosPolicyId?: string;
  /** Neutron's `extra_dhcp_opts`; absent: none. */
  readonly extraDhcpOpts?: readonly ExtraDhcpOpt[];
  /** Of a trunk's sub-port; absent: the port has a device of its own. */
  readonly trunk?: TrunkPlace;
  /** Whether the pod's default routes are by it; absent: nobody says so. */
  readonly defaultRoute?: boolean;
  /** Of the port of a node: the zone whose hints are for clients of this host. Absent: the availability zone of the host. */
  readonly zone?: string;
  /** Copies of its traffic; absent: none are made. */
  readonly mirrors?: readonly PortMirror[];
  /** Copies of others' traffic; absent: none come. */
  readonly taps?: readonly PortTap[];
  /** One of so many of its flows is exported (1..65535); absent: none. */
  readonly flowExport?: number;
};

/** Where a host is; `underlay`: null while it has not registered. */
export type HostPlace = { readonly host: string; readonly underlay: string | null };

/** A mirror: what of a port is copied, and whither. */
export type PortMirror = {
  readonly id: string;
  readonly name: string;
  /** What the port receives; absent: that is not copied. */
  readonly in?: MirrorLeg;
  /** What it sends; absent: that is not copied. */
  readonly out?: MirrorLeg;
  /** Thousands of bits a second, both directions together. */
  readonly maxKbps: number;
  /** Kinds of traffic that are copied, 8 at the most; none: everything. */
  readonly filter: readonly MirrorTerm[];
  readonly target: MirrorTarget;
};

/** `place`: among the port's mirrors of the direction, 0..3. `tunnel`: number by which a collector knows it; else 0. */
export type MirrorLeg = { readonly place: number; readonly tunnel: number };

/** What is absent does not matter. `remote`: an address or CIDR that the other end is in. `portMin`, `portMax`: ports of either end. */
export type MirrorTerm = {
  readonly protocol?: number;
  readonly remote?: string;
  readonly portMin?: number;
  readonly portMax?: number;
};

/** Where copies go: a port, whose host knows those of other hosts by the VNI, or a collector. */
export type MirrorTarget =
  | ({ readonly kind: 'port'; readonly portId: string; readonly vni: number } & HostPlace)
  | { readonly kind: 'gre' | 'erspan'; readonly remoteIp: string };

/** Copies come to the port with this VNI, from these hosts. `id`: of the tap service. */
export type PortTap = { readonly id: string; readonly vni: number; readonly sources: readonly HostPlace[] };

/** `left`: it was here, and what still comes for it is to be sent on; else it is to come. */
export type StandbyPort = LocalPort & { readonly left: boolean };

/** A sub-port: its frames come and go by the device of the parent port (whose `vifKind` it has), with a VLAN tag (1..4094). */
export type TrunkPlace = { readonly parentPortId: string; readonly vlan: number };

/** A public key in OpenSSH's form, on one line. */
export type PublicKey = { readonly name: string; readonly publicKey: string };

/** One of a port's extra DHCP options, as `parseExtraDhcpOption` takes it. */
export type ExtraDhcpOpt = { readonly name: string; readonly value: string; readonly ipVersion: 4 | 6 };

/** One address of a port, without a prefix length. */
export type FixedIp = { readonly subnetId: string; readonly ipAddress: string };

/** A route to hosts behind `nexthop`; `destination` is a CIDR. */
export type HostRoute = { readonly destination: string; readonly nexthop: string };

/** One subnet: what forwarding and DHCP need of it. */
export type SubnetState = {
  readonly id: string;
  readonly cidr: string;
  readonly ipVersion: 4 | 6;
  /** It may lie outside of the prefix, e.g. be a link-local address of IPv6. */
  readonly gatewayIp: string | null;
  readonly enableDhcp: boolean;
  readonly dnsNameservers: readonly string[];
  readonly hostRoutes: readonly HostRoute[];
  /** `ipv6_ra_mode`; absent: no router advertisements. */
  readonly ipv6RaMode?: Ipv6Mode;
  /** `ipv6_address_mode`; absent: nothing is said of how guests get their addresses. */
  readonly ipv6AddressMode?: Ipv6Mode;
  /** False: what leaves it by a node keeps its own address; absent: it has the node's. */
  readonly natOutgoing?: false;
};

/** Where a port of the network is. */
export type Endpoint = {
  readonly portId: string;
  readonly macAddress: string;
  readonly ipAddresses: readonly string[];
  readonly host: string;
  /** The host's underlay address; null while the host has not registered: nobody can reach the endpoint yet. */
  readonly underlay: string | null;
  /** Other hosts at which it may be, too, while it moves; absent: none. */
  readonly standby?: readonly OtherPlace[];
  /** Its allowed address pairs that are one address each: it may say that it has them. Absent: none, or port security is off. */
  readonly pairs?: readonly { readonly ipAddress: string; readonly macAddress: string }[];
  /** Of the port of a node: its host announces no address of a Service. Absent: it may. */
  readonly announces?: false;
};

/** `left`: the endpoint was there, else it is to come there. `underlay` as of an endpoint. */
export type OtherPlace = { readonly host: string; readonly underlay: string | null; readonly left: boolean };

/** A router’s leg in a subnet. `ipAddress` is the gateway’s as a rule; `cidr` is the subnet’s. */
export type RouterInterface = {
  readonly portId: string;
  readonly networkId: string;
  readonly subnetId: string;
  readonly cidr: string;
  readonly ipAddress: string;
  readonly macAddress: string;
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

/** One bound port of a security group. `addresses`: fixed IPs, and allowed address pairs that are one address each; as addresses or CIDRs. */
export type GroupMember = {
  readonly portId: string;
  readonly networkId: string;
  readonly addresses: readonly string[];
};

/** The load balancers of one network. */
export type BalancersHeader = { readonly networkId: string };

/** One load balancer: its virtual address, which answers with the MAC of its port. */
export type Balancer = {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly ipAddress: string;
  readonly macAddress: string;
  /** Those that take connections, sorted by id. */
  readonly listeners: readonly BalancedListener[];
};

/** A protocol and port of a virtual address. */
export type BalancedListener = {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
  readonly poolId: string;
};

/** One pool. */
export type PoolHeader = {
  readonly id: string;
  /** False: nobody gets new connections. */
  readonly adminStateUp: boolean;
  /** All connections of one client go to one member. */
  readonly affinity: boolean;
  /** Network of the virtual address; null: the load balancer is gone. */
  readonly vipNetworkId: string | null;
  /** Its connections are of UDP: they leave a member that is down. Absent: they are not, or the server is older. */
  readonly udp?: true;
  /** How the host of each member probes it; absent: nobody does. */
  readonly monitor?: PoolMonitor;
};

/** How members are probed. */
export type PoolMonitor = {
  /** `UDP-CONNECT`: a datagram is refused by nobody. */
  readonly type: 'TCP' | 'HTTP' | 'UDP-CONNECT' | 'PING';
  /** From one probe to the next. */
  readonly delayMs: number;
  /** What a probe may take; not more than `delayMs`. */
  readonly timeoutMs: number;
  /** Probes in a row that must succeed until a member that was down is up, and fail until one that was up is down; 1..10. */
  readonly rise: number;
  readonly fall: number;
  /** Of `HTTP` alone. */
  readonly http?: HttpProbe;
};

/** `host`: of the header Host; absent: the member's address. `codes`: first and last of each range of statuses that are a success. */
export type HttpProbe = {
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  readonly codes: readonly (readonly [first: number, last: number])[];
};

/** A member of a pool. */
export type PoolMember = {
  readonly id: string;
  readonly networkId: string;
  readonly ipAddress: string;
  readonly port: number;
  /** 0..256, its share of new connections; 0: those there are go on. */
  readonly weight: number;
  /** Port that is probed; absent: `port`. */
  readonly monitorPort?: number;
  /** What its host told last: it fails (`down`), or the host itself says nothing any more (`silent`). Absent: it is well, or nothing is known. */
  readonly health?: 'down' | 'silent';
};

/** A scope of Services. `cidrs`: what ClusterIPs are in. `routerIds`: those behind which the Services are reached. */
export type ServicesHeader = {
  readonly scopeId: string;
  readonly cidrs: readonly string[];
  readonly routerIds: readonly string[];
  /** What the names of the Services end with; absent: they have none. */
  readonly clusterDomain?: string;
};

/** A Service of Kubernetes. */
export type ClusterService = {
  readonly id: string;
  /** `<namespace>/<name>`; another has no name in DNS. */
  readonly name: string;
  readonly projectId: string;
  /** None: it is headless, and its name leads to its endpoints. */
  readonly clusterIps: readonly string[];
  /** Other addresses at which it is reached. */
  readonly externalIps: readonly string[];
  readonly ports: readonly ServicePort[];
  /** The name that its own stands for; absent: none. */
  readonly externalName?: string;
  /** What one client begins goes to one endpoint, until it has begun nothing for so long; absent: to any. */
  readonly affinitySeconds?: number;
  /** Only endpoints of the client's own host serve; absent: all do. */
  readonly local?: true;
  /** Whom hosts let in from outside: only endpoints of the host that let it in serve, which see the client's own address; absent: all do. */
  readonly outerLocal?: true;
  /** At which ports of its own each host lets in what is for it. Absent: at none. */
  readonly nodePorts?: readonly NodePort[];
  /** At which hosts let in what they receive for it. Absent: none. */
  readonly loadBalancerIps?: readonly string[];
  /** Those of `loadBalancerIps` and `externalIps` that hosts announce on their links. Absent: none. */
  readonly announcedIps?: readonly string[];
  /** From which prefixes `loadBalancerIps` are reached; absent: from any. */
  readonly sourceRanges?: readonly string[];
  /** At which port hosts say by HTTP whether they have endpoints that are ready; absent: at none. */
  readonly healthCheckNodePort?: number;
};

/** A port of the hosts that leads to the port `port` of a Service. */
export type NodePort = { readonly protocol: ServicePort['protocol']; readonly nodePort: number; readonly port: number };

/** A port of a Service, or where its endpoints serve what the Service calls by this name; empty: it has the only one. */
export type ServicePort = {
  readonly name: string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
};

/** Who serves in a scope. */
export type BackendsHeader = { readonly scopeId: string };

/** An endpoint of a Service that takes connections, or keeps those that it has. */
export type ServiceBackend = {
  readonly serviceId: string;
  readonly ipAddress: string;
  readonly ports: readonly ServicePort[];
  /** It is on its way out: it gets new connections only where none is ready. Absent: it is ready. */
  readonly terminating?: true;
  /** Name of the host that it is on; absent: none. */
  readonly host?: string;
  /** Where it is a host, and the address that of its port as a node: the host's own address at which it listens. Absent: it listens at that of the port. */
  readonly hostAddress?: string;
  /** What it is called below the name of its Service; absent: by its address. */
  readonly hostname?: string;
  /** Availability zones whose clients should use it; absent: it has no such hint. */
  readonly zoneHints?: readonly string[];
  /** Hosts whose clients should use it; absent: it has no such hint. */
  readonly hostHints?: readonly string[];
};

/** One L3VPN over MPLS: its ports are in a network of their own, on the physical network `VPN_WIRE`, behind a router of its own. */
export type VpnHeader = {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly networkId: string;
  readonly routerId: string;
  /** With which every host is sent what is for it; at least `VPN_FIRST_LABEL`. */
  readonly label: number;
  /** RFC 4364, 4.2: `65000:1` or `192.0.2.1:1`. */
  readonly routeDistinguisher: string;
  /** Route targets in the same form, sorted. */
  readonly importTargets: readonly string[];
  readonly exportTargets: readonly string[];
  /** Whom each host with a port of the VPN tells of its ports by BGP, and learns prefixes of; absent: nobody. */
  readonly bgp?: VpnBgp;
};

/** `localAs`: of this cloud; all VPNs of a host have the same. */
export type VpnBgp = { readonly localAs: number; readonly neighbors: readonly VpnNeighbor[] };

/**
 * A router of the provider, or a route reflector, in the underlay. `as` as `localAs`: it is of this cloud's own AS (iBGP). `localAddress`: the underlay address of the one host that speaks to it; absent: each
 * host of the VPN does.
 */
export type VpnNeighbor = { readonly address: string; readonly as: number; readonly localAddress?: string };

/** Prefixes at a host. */
export type VpnPlace = {
  readonly host: string;
  /** The host's underlay address; null while the host has not registered. */
  readonly underlay: string | null;
  /** CIDRs. In the VPN's own network: addresses of the port, each as a prefix. */
  readonly prefixes: readonly string[];
  /** Of the port, in the VPN's own network; absent: it is in another VPN, of which this one imports. */
  readonly macAddress?: string;
  /** Of that other VPN; absent: the VPN's own. */
  readonly label?: number;
};

/** Pseudowires of a host. */
export type PseudowiresHeader = { readonly host: string };

/**
 * A pseudowire (RFC 3985): frames, whatever they are, that enter it at one port come out at another, in this one direction. A line between two ports is two of them; a chain of
 * service functions is one after the other.
 */
export type Pseudowire = {
  readonly id: string;
  /** What it is of, in its user's words: a line, or a hop of a path. */
  readonly name: string;
  readonly projectId: string;
  /** Of frames on their way between two hosts: no other wire that begins on the same host, and no network has it. */
  readonly vni: number;
  readonly from: PseudowireStart;
  readonly to: PseudowireEnd;
  /** Absent: no limit. In thousands of bits a second, counted by the frames as guests see them. */
  readonly admittedKbps?: number;
  /** What the uplink of the host where it begins keeps free for it; absent: nothing. */
  readonly guaranteedKbps?: number;
};

/** A port and where it is. */
export type PseudowirePort = {
  readonly portId: string;
  /** All zeros: there is no such port any more. */
  readonly macAddress: string;
  /** Empty: it is on no host that could take frames, so what enters is dropped. Where frames enter it is never empty. */
  readonly host: string;
  /** The host's underlay address; null while it has not registered: then nothing gets there. */
  readonly underlay: string | null;
};

/** Where frames enter. */
export type PseudowireStart = PseudowirePort & {
  /** What the port has sent, or what is about to be delivered to it. */
  readonly at: 'sent' | 'delivered';
  /** Absent: every frame. Else IP packets that one of these, at most 64, fits; of several wires at the port the first by `order` takes them, and the port's network what none takes. */
  readonly matches?: readonly PseudowireMatch[];
  /** Of several wires with `matches` at one place of a port: 0, 1 and so on, each once; the lowest is asked first. */
  readonly order: number;
  /** It goes on with what came by the wires of this path, which is of one port: `<classifier id>/<port id>/<sent or delivered>`. Where the port is in several paths, a packet is known by its addresses and ports. */
  readonly path?: string;
};

/** Where frames come out. */
export type PseudowireEnd = PseudowirePort & {
  /**
   * `deliver`: they are delivered to the port as they are. `function`: so, too, with the port's MAC as their destination unless `transparent`, and what the port with the id
   * `back` sends of the same flow is of the path. `resume`: they go on as they would have gone where the path began, with the MACs that they had there: that is where this
   * wire ends. What did not enter the path there is dropped.
   */
  readonly as: 'deliver' | 'function' | 'resume';
  /** Of `function` and `resume`. */
  readonly path?: string;
  /** Of `function`: the port from which it gives packets back, which is on the same host. */
  readonly back?: string;
  /** Of `function`: it takes frames whatever their destination. */
  readonly transparent?: boolean;
  /** Of `resume`: as of where the path began. */
  readonly at?: 'sent' | 'delivered';
};

/**
 * IP packets; what is absent fits any. A fragment fits as the first of its datagram did that came by there before. What serves the link itself fits none: neighbour discovery, DHCP, link-local addresses and groups; nor does a
 * frame with a VLAN tag.
 */
export type PseudowireMatch = {
  readonly ipVersion: 4 | 6;
  /** CIDRs. */
  readonly source?: string;
  readonly destination?: string;
  /** IP protocol number. */
  readonly protocol?: number;
  /** Inclusive; of TCP, UDP, UDP-Lite and DCCP. */
  readonly sourcePorts?: readonly [number, number];
  readonly destinationPorts?: readonly [number, number];
};
