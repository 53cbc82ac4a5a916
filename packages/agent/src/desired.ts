/**
 * What the desired state of a host is made of: what the planner computes and the reconciler makes true.
 * Map keys and values are the structs of vrouter/include/cable_abi.h, encoded by the generated codecs.
 */

import type { ExtraDhcpOption, HostRoute, Ipv6Mode, PoolMonitor, PublicKey, TrunkPlace } from '@cable/model';
import type { ByteText } from './bpf/codec.ts';

/**
 * Maps that the agent writes, in the order in which puts are made (deletes go the other way): a referent before its reference, and last what
 * lets packets in: from other hosts, from devices.
 */
export const AGENT_MAPS = [
  'cb_tunnel_1',
  'cb_rule_1',
  'cb_class_1',
  'cb_nat_1',
  'cb_held_1',
  'cb_lease_1',
  'cb_snat_1',
  'cb_forward_1',
  'cb_neigh_1',
  'cb_next_1',
  'cb_backend_1',
  'cb_service_1',
  'cb_exit_1',
  'cb_route_2',
  'cb_steer_1',
  'cb_source_2',
  'cb_member_1',
  'cb_maglev_1',
  'cb_svc_1',
  'cb_pair_1',
  'cb_ep_2',
  'cb_mac_2',
  'cb_flood_2',
  'cb_announce_1',
  'cb_block_1',
  'cb_limited_1',
  'cb_limit_1',
  'cb_net_1',
  'cb_meter_1',
  'cb_mirrored_1',
  'cb_mirror_1',
  'cb_vif_2',
  'cb_peer_2',
  'cb_in_1',
] as const;

export type AgentMap = (typeof AGENT_MAPS)[number];

/**
 * One entry, encoded. Two are equal if their texts are. What the agent itself keeps in a row is zero where it is desired: the epochs of
 * `cb_vif_2` and `cb_net_1`, which flood list of `cb_net_1` counts and its length. A list is desired under number 0.
 */
export type MapEntry = {
  readonly key: ByteText;
  readonly value: ByteText;
  /** Of `cb_class_1`: what it is about passes whatever it would without it, and maybe more; of `cb_rule_1`: only such a class has it. Absent: that is not known. */
  readonly onlyAllows?: true;
};

/** A device that a program must be attached to. `vif`: its VIF number; undefined: none was free. */
export type DesiredVif = {
  readonly portId: string;
  readonly vif: number | undefined;
  readonly ifindex: number;
  readonly device: string;
};

/** A port of the machine that the agent itself runs on. The machine's end gets the port's MAC, addresses and routes. */
export type HostLink = {
  readonly portId: string;
  /** Name of the machine's end: `cb` + first 11 of the port id; the other end is `cv` + the same. */
  readonly name: string;
  readonly vifName: string;
  readonly macAddress: string;
  readonly mtuBytes: number;
  /** With prefix length, e.g. 10.0.0.5/24. */
  readonly addresses: readonly string[];
  /** The subnet's host routes and the router's other subnets; never a default route: the machine keeps its own. */
  readonly routes: readonly { readonly destination: string; readonly gateway: string }[];
  /** What comes by it and is for others is forwarded, with this machine's own address; absent: the machine decides, as of any device. */
  readonly forwards?: true;
  /** Of one that forwards: who keeps his own address; absent: nobody. */
  readonly keeping?: KeptAddresses;
};

/** Whose connections leave a node with their own addresses: from `prefixes`, but to `nodes`, addresses of other nodes of the cluster, which take nobody on the wire for a pod. */
export type KeptAddresses = { readonly prefixes: readonly string[]; readonly nodes: readonly string[] };

/** A member of a pool that is a port of this host, and how it is probed. */
export type ProbeTarget = {
  readonly memberId: string;
  readonly projectId: string;
  /** Where the probe goes: the service address of the port's VIF; of a port of the machine itself, the port's address. */
  readonly address: string;
  readonly port: number;
  /** Of a port of the machine itself: the probe is the machine's own, from that address. */
  readonly isMachine: boolean;
  /** Address and port of the member, as the header Host tells them. */
  readonly authority: string;
  readonly monitor: PoolMonitor;
};

/** What the guest services need to know of the guest behind a service address. */
export type GuestRecord = {
  /** Number of its VIF. */
  readonly vif: number;
  /** False: the port is to come here, or has left; its machine runs elsewhere. */
  readonly isHere: boolean;
  readonly portId: string;
  readonly projectId: string;
  readonly networkId: string;
  readonly macAddress: string;
  readonly mtuBytes: number;
  readonly hostname: string;
  /** Nova's server id, or whatever the port's `device_id` holds; empty: none. */
  readonly deviceId: string;
  /** E.g. `compute:nova`. */
  readonly deviceOwner: string;
  /** True: it is this host itself, as a node of a Kubernetes cluster. */
  readonly isNode?: true;
  /** Of a trunk's sub-port; null: it has a device of its own. */
  readonly trunk: TrunkPlace | null;
  readonly userData: string | null;
  readonly publicKeys: readonly PublicKey[];
  /** What the operator tells every machine; null: nothing. */
  readonly vendorData: Readonly<Record<string, unknown>> | null;
  /** Domain of the network's names, without a dot at its end. */
  readonly dnsDomain: string;
  /** Those of the port's `extra_dhcp_opts` that are of DHCPv4. */
  readonly extraDhcpOptions: readonly ExtraDhcpOption[];
  /** As before, of DHCPv6. */
  readonly extraDhcp6Options: readonly ExtraDhcpOption[];
  /** What its router advertises to it; null: it hears no router. */
  readonly advertisement: RaNetwork | null;
  readonly addresses: readonly GuestAddress[];
};

export type GuestAddress = {
  readonly ipAddress: string;
  readonly subnetId: string;
  readonly ipVersion: 4 | 6;
  readonly cidr: string;
  readonly gatewayIp: string | null;
  readonly enableDhcp: boolean;
  /** `ipv6_address_mode`; null: nobody here configures addresses, or it is IPv4. */
  readonly addressMode: Ipv6Mode | null;
  /** DHCP server identifier: the gateway, or 169.254.169.254 in a subnet without one. */
  readonly dhcpServer: string;
  readonly dnsNameservers: readonly string[];
  readonly hostRoutes: readonly { readonly destination: string; readonly nexthop: string }[];
  /** Of the network's subnets of IPv4, its own among them: machines there are on the same link. */
  readonly linkCidrs: readonly string[];
};

/** What a subnet says of advertisements. `raMode`: `ipv6_ra_mode`; null: the network's advertisements come from elsewhere. */
export type RaSubnet = {
  readonly cidr: string;
  readonly gatewayIp: string | null;
  readonly raMode: Ipv6Mode | null;
  readonly dnsNameservers: readonly string[];
  readonly hostRoutes: readonly HostRoute[];
};

/** What is advertised in a network. */
export type RaNetwork = {
  /** MAC of the router that guests are to send to. */
  readonly routerMac: string;
  /** True: the router leads elsewhere, so it is the guests' default router. */
  readonly isDefaultRouter: boolean;
  readonly mtuBytes: number;
  readonly subnets: readonly RaSubnet[];
  readonly domainSearch: readonly string[];
};
