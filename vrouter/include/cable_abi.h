/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * cable_abi.h: every map key, map value, flag and drop reason that the vrouter shares with the agent.
 *
 * This header is the only definition of these layouts. The TypeScript codecs in
 * packages/agent/src/bpf/abi.gen.ts are generated from the BTF that clang makes of it (npm run gen).
 *
 * Conventions: fixed-width types, explicit padding, a field in network byte order ends in _be, an address is
 * always 128 bits (IPv4 as ::ffff:a.b.c.d, so an LPM prefix length on IPv4 counts 96 + n). A map is named
 * cb_<noun>_<n>; <n> rises with any change of its layout.
 */
#ifndef CABLE_ABI_H
#define CABLE_ABI_H

#include <linux/types.h>

/*
 * Numbers of a host: VIFs, networks, the tunnels to other hosts and projects are dense numbers that its agent gives; 0 is nobody. Each is a
 * row of an array. What a row holds of its owner is kept when the agent starts anew.
 */
#define CB_MAX_VIF 8192
#define CB_MAX_NET 16384
#define CB_MAX_TUNNEL 16384
#define CB_MAX_PROJECT 16384

/* Sizes of the other maps: all refuse the entry that does not fit. */
#define CB_MAX_IN 32768
#define CB_MAX_SOURCE 65536
#define CB_MAX_ENDPOINT 524288
#define CB_MAX_ROUTE 65536
#define CB_MAX_CLASS 524288
#define CB_MAX_RULE 524288
#define CB_MAX_FLOOD 65536
#define CB_MAX_PAIR 65536
#define CB_MAX_LEARN 16384
#define CB_MAX_PEER 262144
#define CB_MAX_NAT 65536
#define CB_MAX_SNAT 16384
#define CB_MAX_LEASE 65536
#define CB_MAX_BLOCK 131072
#define CB_MAX_NEXT 16384
/* Next hops of one destination: all routes that a router may have. */
#define CB_NEXT_HOPS 32
#define CB_MAX_EXIT 65536
#define CB_MAX_STEER 16384
/* Policy routes of one router. */
#define CB_STEERS 64
#define CB_MAX_FORWARD 65536
#define CB_MAX_NEIGHBOUR 16384
#define CB_MAX_HEARD 4096
#define CB_MAX_ANNOUNCED 16384
#define CB_MAX_SVC 65536
#define CB_MAX_MAGLEV 131072
#define CB_MAX_MEMBER 65536
#define CB_MAX_SERVICE 262144
#define CB_MAX_BACKEND 131072
#define CB_MAX_STICKY 65536
#define CB_MAX_FLOW 131072
#define CB_MAX_TUPLE 262144 /* two a flow */
#define CB_MAX_METER 16384 /* two a VIF */
#define CB_MAX_LIMIT 65536
#define CB_MAX_MIRROR 8192
/* Mirrors of one direction of a VIF; kinds of traffic that one may be told to copy. */
#define CB_VIF_MIRRORS 4
#define CB_MIRROR_TERMS 8
/* Targets in one chunk of a network's flood list; chunks a packet is replicated to at the most. */
#define CB_FLOOD_TARGETS 32
#define CB_FLOOD_CHUNKS 32
/* Slots in one chunk of a pool's table. */
#define CB_MAGLEV_SLOTS 32
/* Endpoints in one chunk of a list of a Service's; of one list at the most. */
#define CB_BACKENDS 16
#define CB_LIST_BACKENDS 16384
/* Fragmented packets of which a VIF's first fragments are remembered at once. */
#define CB_VIF_FRAGMENTS 16
/* Later fragments of a VIF that wait for their first at once; of all VIFs together; their bytes, and how long they wait. */
#define CB_VIF_ORPHANS 8
#define CB_MAX_ORPHAN 4096
#define CB_ORPHAN_BYTES 2048
#define CB_ORPHAN_SECONDS 2

/*
 * The service link (198.18.0.0/15): the agent is .1; VIF n is 198.18.0.0 + n * CB_VIF_SERVICE_ADDRESSES. In IPv6 (fdca:b1e0::/64) the same numbers are the lowest
 * 32 bits: the agent is fdca:b1e0::1, a VIF has two: + 0 for its first IPv6 address, + 15 for its link-local one. In IPv4 + CB_SERVICE_INDEX_CLUSTER_DNS is the VIF's
 * address where it asks CB_CLUSTER_DNS_ADDR, so that the answer comes from there.
 */
#define CB_SERVICE_NET 0xC6120000 /* host byte order */
#define CB_SERVICE_NET6 0xFDCAB1E0 /* the first 32 bits, host byte order */
#define CB_SERVICE_AGENT 0xC6120001
#define CB_VIF_SERVICE_ADDRESSES 16
#define CB_SERVICE_INDEX_CLUSTER_DNS 1
/*
 * What a VIF may send to the agent's services: so many packets a second, and at once after a pause; one that begins a TCP connection counts as CB_SERVICE_SYN_COST,
 * CB_SERVICE_DNS_SHARE others to DNS as one: a name in a pod is ten questions.
 */
#define CB_SERVICE_RATE 200
#define CB_SERVICE_BURST 400
#define CB_SERVICE_SYN_COST 10
#define CB_SERVICE_DNS_SHARE 5
/*
 * The agent's probes come from ports from CB_PROBE_FIRST_PORT on, and nothing else of it does. What a VIF may answer: so many packets a second, and at once after a pause.
 */
#define CB_PROBE_FIRST_PORT 49152
#define CB_PROBE_RATE 1000
#define CB_PROBE_BURST 2000
/*
 * Groups of multicast that a VIF is known to have joined; how long a report counts (RFC 3376, 8.4: two intervals of queries and the time to answer); records of one report
 * that are read. What does not fit makes the VIF one that gets every group's packets.
 */
#define CB_VIF_GROUPS 32
#define CB_GROUP_SECONDS 260
#define CB_GROUP_RECORDS 64
#define CB_GROUP_LEFT 1 /* in a time */
/* Reports of a VIF that are read, and queries that it may send to others: so many a second, and at once after a pause. */
#define CB_REPORT_RATE 50
#define CB_REPORT_BURST 250
#define CB_QUERY_RATE 5
#define CB_QUERY_BURST 20
/* Copies of what a VIF sends to all, or to nobody known: so many a second, and at once after a pause. Who has fewer receivers may send more. */
#define CB_FLOOD_RATE 20000
#define CB_FLOOD_BURST 40000
/*
 * Sizes into which packets are cut: CB_CUT_SIZES of them, number n is (8 + n % 8) << (3 + n / 8) bytes: 64 to 15,360, each at most an eighth above the one before it.
 * A packet for a smaller network is cut into the largest that fits. The mark of what is being cut: flow number, direction, how often the flow's record was taken, size number.
 */
#define CB_CUT_SIZES 64
#define CB_CUT_SIZE_SHIFT 26
/* 169.254.169.254: metadata; also the DHCP server's address in a subnet without a gateway. */
#define CB_METADATA_ADDR 0xA9FEA9FE
/* 169.254.20.10: DNS, for who has CB_VIF_F_CLUSTER_DNS. Not the one above, which a node in a cloud needs for itself. */
#define CB_CLUSTER_DNS_ADDR 0xA9FE140A

/* An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d. */
struct cb_addr {
	__u8 b[16];
};

/* Why a packet was dropped. Append only; a number is never used again. */
enum cb_reason {
	CB_REASON_NONE = 0,
	CB_REASON_NOT_PROGRAMMED = 1, /* the VIF is not yet known: fails closed */
	CB_REASON_ADMIN_DOWN = 2, /* admin_state_up is false on the port, or on its network */
	CB_REASON_MALFORMED = 3, /* a header is truncated or contradicts itself */
	CB_REASON_SPOOFED_MAC = 4, /* source MAC is neither the port's nor allowed with this source IP */
	CB_REASON_SPOOFED_IP = 5, /* source IP is not the port's nor in an allowed address pair */
	CB_REASON_SPOOFED_ARP = 6, /* ARP sender address is not the port's */
	CB_REASON_UNSUPPORTED_ETHERTYPE = 7, /* neither ARP nor IP */
	CB_REASON_POLICY_EGRESS = 8, /* no egress rule of the sender's security groups allows it */
	CB_REASON_POLICY_INGRESS = 9, /* no ingress rule of the receiver's security groups allows it */
	CB_REASON_NO_ROUTE = 10, /* the router has no route to the destination */
	CB_REASON_NO_ENDPOINT = 11, /* routed, but nobody has the destination address */
	CB_REASON_NO_ROUTER = 12, /* sent to the gateway of a subnet that no router is attached to */
	CB_REASON_TTL_EXCEEDED = 13,
	CB_REASON_UNKNOWN_PEER = 14, /* the tunnel's outer source is no host that may send into this network */
	CB_REASON_UNKNOWN_VNI = 15, /* tunnelled to a network that this host does not carry */
	CB_REASON_UNKNOWN_MAC = 16, /* from the overlay for a MAC that is not on this host */
	CB_REASON_FRAGMENT =
		17, /* a later fragment whose first was not seen, and for which there is no place to wait */
	CB_REASON_TOO_BIG = 18, /* larger than the destination network's MTU */
	CB_REASON_SERVICE = 19, /* a DHCP or metadata packet that may not be passed to the agent */
	CB_REASON_REDIRECT = 20, /* the kernel refused to clone, resize or redirect the packet */
	CB_REASON_INVALID_STATE = 21, /* SYN+ACK, RST, ICMP answer or error without a flow; senseless TCP flags */
	CB_REASON_BROADCAST_LIMIT = 22, /* flood list longer than CB_FLOOD_CHUNKS chunks */
	CB_REASON_PORT_DISABLED_DHCP = 23, /* DHCP server packet sent by a guest */
	CB_REASON_RATE_SERVICE = 24, /* more to the agent's services than a VIF may send */
	CB_REASON_UNKNOWN_VLAN = 25, /* a VLAN tag that no VIF of the device has */
	CB_REASON_FLOW_SHARE = 26, /* a new flow of a VIF or project that holds its share of the flow table */
	CB_REASON_FLOW_TABLE = 27, /* a new flow for which the flow table has no room */
	CB_REASON_TCP_WINDOW = 28, /* an answer to no SYN of the connection, or a RST from outside of the window */
	CB_REASON_REVERSE_PATH =
		29, /* to a router, from an address that the router has in another network; from outside: or that nobody can have there */
	CB_REASON_SPOOFED_PEER = 30, /* from another host, with the MAC or address of a VIF of this one */
	CB_REASON_IP_OPTIONS = 31, /* a source route in the IPv4 options */
	CB_REASON_TINY_FRAGMENT = 32, /* a fragment that would overwrite the TCP header of the first (RFC 3128) */
	CB_REASON_ICMP_REDIRECT = 33, /* a guest that tells others of a way */
	CB_REASON_SPOOFED_ND =
		34, /* ND that names an address or MAC that is not the port's, or comes from beyond a router */
	CB_REASON_ROGUE_RA = 35, /* router advertisement sent by a guest */
	CB_REASON_RATE_FLOOD = 36, /* more copies of what it sends to all than a VIF may cause */
	CB_REASON_NAT_PORTS =
		37, /* no port of the router's external address is free for this VIF and destination, or another connection's packets would be the same */
	CB_REASON_NO_NEIGHBOUR =
		38, /* nobody has yet said which MAC the next hop on the external network has: it is asked */
	CB_REASON_BLACKHOLE = 39, /* a route of the router says so */
	CB_REASON_NAT_GONE =
		40, /* of a connection whose floating IP, router gateway or port forwarding is there no more */
	CB_REASON_RATE_QOS = 42, /* more than the QoS policy of the port or its network lets it send or receive */
	CB_REASON_FOREIGN_VIP =
		43, /* ARP or ND that claims an address which is an allowed address pair of other ports */
	CB_REASON_STALE_PIECE = 44, /* a piece of a packet that was cut, whose flow ended meanwhile */
	CB_REASON_NO_MEMBER =
		45, /* a virtual address without a listener at this port, a Service without this port, or nobody is behind it: refused by ICMP */
	CB_REASON_MIRROR_RATE =
		46, /* a copy for a mirror that has more to copy than it may; the packet itself goes on */
	CB_REASON_MIRROR_LOST =
		47, /* a copy that could not be made or sent to where the mirror leads; the packet itself goes on */
	CB_REASON_SNAT_BLOCKS =
		48, /* no port of the blocks that the sender has of its router's address is free to this destination */
	CB_REASON_SNAT_NO_BLOCK = 49, /* the sender has no block of ports of its router's address */
	CB_REASON_PROBE =
		50, /* a probe of another host that is none, or the answer to one that this host has not sent */
	CB_REASON_POLICY_ROUTE =
		52, /* a policy route of the router drops it, or leads to a next hop that is not there */
	CB_REASON_PEERING =
		53, /* to a peer of its router, from an address that this side of the peering does not let through */
	CB_REASON_NO_SERVICE = 54, /* into a prefix of Services, to an address that none of them has */
	CB_REASON_NO_LOCAL = 55, /* to a Service of which only endpoints of this host serve, and there is none */
	CB_REASON_PRIVATE_SUBNET =
		56, /* a private subnet of the sender or the receiver does not exchange packets with the other's address */
	CB_REASON_RATE_QUERY = 59, /* more queries of IGMP or MLD than a VIF may send */
	CB_REASON_RATE_OUTSIDE =
		60, /* more than the QoS policy of a floating IP or of a router's gateway lets pass by that address */
	CB_REASON_NETWORK_POLICY_EGRESS =
		61, /* a policy of the cluster denies it, or a NetworkPolicy selects the sender and none lets it out */
	CB_REASON_NETWORK_POLICY_INGRESS =
		62, /* a policy of the cluster denies it, or a NetworkPolicy selects the receiver and none lets it in */
	CB_REASON_MAX = 64,
};

/*
 * Slots of cb_enter_1, the array of programs. The dispatchers on the devices call an entry. A bank holds one load of the programs: those that
 * its entries are copies of, and the stages that they call. The dispatchers outlive builds: entries are append only.
 */
enum cb_entry {
	CB_ENTRY_VIF = 0, /* what a guest sends */
	CB_ENTRY_OVERLAY = 1, /* what other hosts send */
	CB_ENTRY_SERVICE = 2, /* what the agent sends to guests */
	CB_ENTRY_UPLINK = 3, /* what devices of the underlay receive */
	CB_ENTRY_FRAG = 4, /* pieces of packets that were cut */
};

#define CB_ENTRIES 8 /* room for so many, before the banks and at the beginning of each bank */
#define CB_BANKS 2
#define CB_BANK_SLOTS 28

/* Within a bank, after its entries: what is not the established path. A number is between loads of one build only. */
enum cb_stage {
	CB_STAGE_DECIDE = 8, /* a packet whose flow is not known, or no longer holds */
	CB_STAGE_ARP = 9,
	CB_STAGE_GROUP = 10, /* IPv4 to a group */
	CB_STAGE_FLOOD = 11, /* copies to a network's flood list */
	CB_STAGE_SERVICE = 12, /* a guest's packet for the agent */
	CB_STAGE_REFUSE = 13, /* an ICMP error of a router */
	CB_STAGE_ND = 14, /* neighbour discovery and multicast listeners of IPv6 */
	CB_STAGE_ORPHAN = 15, /* a later fragment whose first was not seen */
	CB_STAGE_TRANSLATE = 16, /* addresses and ports of a flow's packet are rewritten; then it is delivered */
	CB_STAGE_OUTSIDE = 17, /* a frame of a network that an uplink received */
	CB_STAGE_ASK = 18, /* a packet for an unknown neighbour: it becomes the question for its MAC */
	CB_STAGE_SEEK = 19, /* a packet for an address of which nobody is known to have it, though several may */
	CB_STAGE_QUEUED = 21, /* a packet that has waited for its VIF's limit */
	CB_STAGE_PROBE = 26, /* a probe of another host, or the answer to one of this */
	CB_STAGE_MIRRORED = 22, /* a copy on its way to where a mirror leads */
	CB_STAGE_RELAY = 23, /* an answer from outside to a port that another host has: to that */
};

/* Policies of their own. Nobody's row has 0, so nothing passes by mistake. */
#define CB_POLICY_NOTHING 0
#define CB_POLICY_NONE 1 /* everything is allowed: port security off, or an end that is not on this host */

/*
 * cb_in_1: hash, device and VLAN tag (0: untagged) -> whose frames come in there. Written by the agent. No entry: the frame of a VIF's device is
 * dropped, that of an uplink left to the host.
 */
struct cb_in_key {
	__u32 ifindex;
	__u16 vlan;
	__u16 pad;
};

struct cb_in {
	__u16 kind; /* enum cb_in_kind */
	__u16 vif; /* CB_IN_VIF; else 0 */
	__u16 net; /* CB_IN_NET: network number; else 0 */
	__u16 reserve;
};

enum cb_in_kind {
	CB_IN_VIF = 1, /* a VIF's device, or a VLAN of it */
	CB_IN_NET = 2, /* an uplink, or a VLAN of it: a provider network */
};

/* flags of struct cb_vif */
#define CB_VIF_F_ANTISPOOF 0x1 /* port_security_enabled */
#define CB_VIF_F_PEER 0x2 /* a veth whose other end is in another network namespace: deliver with bpf_redirect_peer */
#define CB_VIF_F_ADMIN_UP 0x4
#define CB_VIF_F_DHCP 0x8 /* some IPv4 subnet of the port has DHCP on */
#define CB_VIF_F_DHCP6 0x10 /* some IPv6 subnet of the port has DHCPv6, stateful or stateless */
#define CB_VIF_F_RA 0x20 /* the agent advertises itself as the router of some IPv6 subnet of the port */
#define CB_VIF_F_STATELESS 0x400 /* its policy is asked about each packet by itself, an answer too */

#define CB_VIF_F_METER 0x40 /* it has a row in cb_meter_1 */
#define CB_VIF_F_MIRROR_OUT 0x80 /* what it sends is copied: see cb_mirror_1 */
#define CB_VIF_F_MIRROR_IN 0x100 /* what it receives is copied */
#define CB_VIF_F_CLUSTER_DNS 0x4000 /* CB_CLUSTER_DNS_ADDR is the agent's: it reaches Services that have names */
#define CB_VIF_F_FOLLOWED 0x2000 /* somebody looks on: all its flows are told, as CB_TOLD_RATE allows */
/* this host's own, as a node of a Kubernetes cluster: the host sends by it for others, too, who then have other addresses than the VIF's first ones */
#define CB_VIF_F_NODE 0x4000

/*
 * cb_vif_2: array, VIF number -> VIF. Written by the agent. Row 0 belongs to nobody: what comes from other hosts or from the agent. A row is
 * written under the eyes of its readers: first its epoch alone, odd, then the fields, then the epoch, even.
 */
struct cb_vif {
	__u8 port_id[16]; /* the UUID's bytes; zero: nobody's, every packet is dropped */
	__u32 epoch; /* rises when a decision about the VIF may change; odd: about to; never falls, whoever the row is given to */
	__u32 flags; /* CB_VIF_F_* */
	__u32 ifindex; /* device */
	__u32 policy; /* CB_POLICY_* or a number */
	__u16 net; /* network number */
	__u16 vlan; /* tag of its frames on the device; 0: none */
	__u16 project; /* project number */
	__u16 mtu_bytes;
	__u8 mac[6];
	__u8 pad[2];
	struct cb_addr addr; /* first IPv4 address; all zero: none */
	struct cb_addr addr6; /* first IPv6 address; all zero: none */
	struct cb_addr dhcp_server; /* address that DHCP answers and a router's ICMP errors come from */
	/* Link-local address of its router: router advertisements and ICMPv6 errors come from there; all zero: none. */
	struct cb_addr router6;
	__u16 tells; /* of one of so many flows that it begins or receives is told, see struct cb_told; 0: of none */
	__u8 pad2[2];
	__u32 network_policies; /* number of those that select its pod, which must allow, too; 0: none does */
	__u8 reserve[8];
};

/* flags of struct cb_net */
#define CB_NET_F_UP 0x1 /* admin_state_up */
#define CB_NET_F_DHCP 0x2 /* some subnet has DHCP on: guests are no servers. Without: DHCP is a guest's own business */
#define CB_NET_F_EXTERNAL 0x40 /* router:external: floating IPs and gateways of routers are here */
#define CB_NET_F_TRANSIT 0x80 /* from other hosts to gateways of this one: what they send here is routed on */
/* a group's packets go to those VIFs that have joined it, and to those of which that is not known: see cb_joined_1 */
#define CB_NET_F_SNOOPED 0x100
#define CB_NET_F_STEER 0x200 /* a router that is in it has policy routes: see cb_steer_1 */
#define CB_NET_F_LIMITS 0x400 /* some address of ours in it has a row in cb_limit_1 */

enum cb_wire {
	CB_WIRE_VXLAN = 1, /* wire_id: the VNI */
	CB_WIRE_VLAN = 2, /* wire_id: the tag on the uplink */
	CB_WIRE_FLAT = 3, /* untagged on the uplink; wire_id: 0 */
};

/* cb_net_1: array, network number -> network. Written by the agent, as cb_vif_2 is. */
struct cb_net {
	__u8 network_id[16]; /* the UUID's bytes; zero: nobody's */
	__u32 epoch; /* rises when an endpoint of the network, or a route of a router with an interface in it, may change; as a VIF's */
	__u32 flags; /* CB_NET_F_* */
	__u32 wire_id;
	__u16 project; /* project number */
	__u16 mtu_bytes;
	__u8 wire; /* enum cb_wire */
	__u8 flood_list; /* which of its lists in cb_flood_2 counts: the other can be written meanwhile */
	__u16 flood_chunks; /* chunks of that list */
	__u32 uplink; /* CB_WIRE_VLAN, CB_WIRE_FLAT: its device, by which whoever is not here is reached; 0: that is missing */
	__u8 reserve[24];
};

/* cb_tunnel_1: array, tunnel number -> the way to another host. Written by the agent. */
struct cb_tunnel {
	struct cb_addr remote; /* the host's underlay address; zero: nobody's */
	__u8 reserve[48];
};

/* cb_peer_2: hash, wire id and underlay address of another host -> the network into which that host may send. Written by the agent. */
struct cb_peer_key {
	__u32 wire_id;
	struct cb_addr remote;
};

/* flags of struct cb_peer */
/* what the host tunnels here is taken on the uplink; without, it goes by the overlay device */
#define CB_PEER_F_UPLINK 0x1
#define CB_PEER_F_MIRROR 0x2 /* copies of a mirror, for VIF vif as they are; net is 0 */
/* wire id 0, which no network has: probes of the host are answered, and answers of it heard; net: 0 */
#define CB_PEER_F_PROBE 0x4

struct cb_peer {
	__u16 net;
	__u16 tunnel;
	__u32 flags; /* CB_PEER_F_* */
	__u16 vif; /* CB_PEER_F_MIRROR; else 0 */
	__u8 reserve[6];
};

/* cb_source_2: LPM, what a VIF may send from. Written by the agent. */
struct cb_source_key {
	__u32 prefixlen; /* 64 (vif, mac) + the address's 0..128 */
	__u16 vif;
	__u8 mac[6];
	struct cb_addr addr;
};

/* flag of struct cb_source: the address is one of an allowed address pair: the VIF may claim it by ARP and ND (cb_learn_1) */
#define CB_SOURCE_F_PAIR 0x1

struct cb_source {
	__u32 flags; /* CB_SOURCE_F_* */
	__u32 reserve;
};

enum cb_endpoint_kind {
	CB_ENDPOINT_VIF = 1, /* on this host: vif */
	CB_ENDPOINT_REMOTE = 2, /* on another host: tunnel */
	CB_ENDPOINT_GATEWAY = 3, /* a router's interface: vrf */
	CB_ENDPOINT_SERVICE = 4, /* a gateway address without a router, or 169.254.169.254: ARP and guest services */
	CB_ENDPOINT_NAT =
		5, /* floating IP, in an external network: vif, of a port of this host, vrf, mac of its own; see cb_nat_1 */
	CB_ENDPOINT_ROUTER = 6, /* a router's own address in an external network, or that of port forwardings: vrf */
	/* An allowed address pair: see cb_learn_1. vif or tunnel, and mac: of the only port that has it; zero: there are several. */
	CB_ENDPOINT_SHARED = 7,
	CB_ENDPOINT_VIP = 8, /* virtual address of a load balancer; see cb_svc_1 */
	CB_ENDPOINT_LEASED =
		9, /* a router's own address in an external network, of which this host has blocks of ports, and another answers for it: vrf */
};

/*
 * cb_ep_2: hash, (network, address) -> endpoint. Answers ARP, resolves a routed packet's next hop.
 * cb_mac_2: hash, (network, MAC) -> endpoint. L2 forwarding. Both written by the agent.
 */
struct cb_ep_key {
	__u16 net;
	__u16 pad;
	struct cb_addr addr;
};

struct cb_mac_key {
	__u16 net;
	__u8 mac[6];
};

/* flag of struct cb_endpoint: CB_ENDPOINT_REMOTE, but it was at vif: what other hosts send for it is sent on */
#define CB_ENDPOINT_F_LEFT 0x1

/* While a port moves there is a VIF for it on two hosts; each knows of the other. */
struct cb_endpoint {
	__u8 kind; /* enum cb_endpoint_kind */
	__u8 flags; /* CB_ENDPOINT_F_* */
	__u16 vif; /* CB_ENDPOINT_VIF, CB_ENDPOINT_NAT; CB_ENDPOINT_REMOTE: the VIF here that it is to come to, or was at; else 0 */
	__u16 tunnel; /* CB_ENDPOINT_REMOTE in a network of CB_WIRE_VXLAN; CB_ENDPOINT_VIF: to the other host at which it may be, too; else 0 */
	__u8 mac[6];
	/* CB_ENDPOINT_GATEWAY, CB_ENDPOINT_NAT, CB_ENDPOINT_ROUTER, CB_ENDPOINT_LEASED; else 0. On the service MAC: the vrf of the gateway's router, or 0 */
	__u32 vrf;
	__u8 reserve[8];
};

/*
 * cb_learn_1: LRU hash, (network, address) -> who has an address that several ports may have. Written by the vrouter when a port that may have it says so by ARP or ND. Counts
 * only as long as that port may.
 */
struct cb_learn_key {
	__u16 net;
	__u16 pad;
	struct cb_addr addr;
};

struct cb_learn {
	__u64 learned_ns; /* CLOCK_MONOTONIC; 0: nobody was heard yet */
	__u64 sought_ns; /* when it was last asked who has the address */
	__u16 vif; /* on this host; else 0 */
	__u16 tunnel; /* on another host; else 0 */
	__u8 mac[6];
	__u8 pad[6];
};

/* cb_pair_1: hash, (network, tunnel, MAC, address) -> a port of that host may say that it has the address. Written by the agent. */
struct cb_pair_key {
	__u16 net;
	__u16 tunnel;
	__u8 mac[6];
	__u8 pad[2];
	struct cb_addr addr;
};

struct cb_pair {
	__u32 flags; /* none yet */
	__u32 reserve;
};

/*
 * cb_announce_1: hash, (network, chunk) -> hosts that must hear who has such an address, besides those of the network's flood list: they only route into the network. Chunks are
 * numbered from 0 without a hole. Written by the agent.
 */
struct cb_announce_key {
	__u16 net;
	__u16 pad;
	__u32 chunk;
};

struct cb_announce {
	__u32 count; /* tunnels used in this chunk */
	__u32 pad;
	__u16 tunnel[CB_FLOOD_TARGETS];
};

/*
 * cb_route_2: LPM, a router's routes. vrf numbers a router on this host.
 * cb_exit_1: LPM, (router, source address) -> by which route what comes from there leaves, where the router's route to the destination is CB_ROUTE_BY_SOURCE. Both written by the
 * agent.
 */
struct cb_route_key {
	__u32 prefixlen; /* 32 (vrf) + the address's 0..128 */
	__u32 vrf;
	struct cb_addr addr;
};

struct cb_exit_key {
	__u32 prefixlen; /* 32 (vrf) + the source's 0..128 */
	__u32 vrf;
	struct cb_addr addr;
};

enum cb_route_kind {
	CB_ROUTE_CONNECTED = 1, /* the destination is in network net */
	CB_ROUTE_NEXTHOP = 2, /* send to nexthop, which is in network net */
	CB_ROUTE_BLACKHOLE = 3, /* drop; all other fields are zero */
	CB_ROUTE_SEVERAL = 4, /* by one of the next hops in cb_next_1: net and mac are zero */
	/*
	 * to a Service of Kubernetes (cb_service_1); the first 4 bytes of nexthop are the number of its scope, the next 4 that of what the host lets in from outside (CB_VIF_F_NODE; 0: no
	 * other), all else is zero
	 */
	CB_ROUTE_SERVICE = 5,
	CB_ROUTE_BY_SOURCE = 6, /* by the route of the packet's source in cb_exit_1; all other fields are zero */
};

/* flag of struct cb_route: net is the router's external network: who is not of it leaves with another source address, if cb_nat_1 or cb_snat_1 says so */
#define CB_ROUTE_F_GATEWAY 0x1
/*
 * flag of a route CB_ROUTE_CONNECTED: net is of a router that this one is peered with; the first 4 bytes of nexthop are the peering's number. Only who is in what this side lets
 * through goes there. What that is are the routes of the vrf with that number, with this flag, net and nothing else.
 */
#define CB_ROUTE_F_PEER 0x2

struct cb_route {
	__u8 kind; /* enum cb_route_kind */
	__u8 flags; /* CB_ROUTE_F_* */
	__u16 net;
	__u16 mtu_bytes; /* of that network; CB_ROUTE_SEVERAL: length of the destination's prefix */
	__u8 mac[6]; /* of the router's interface in that network */
	/* CB_ROUTE_NEXTHOP, CB_ROUTE_F_PEER, CB_ROUTE_SERVICE; CB_ROUTE_SEVERAL: first address; else zero */
	struct cb_addr nexthop;
	/* CB_ROUTE_F_GATEWAY, or of a VPN: the router's own address in net, of the route's family; else zero */
	struct cb_addr own;
	/*
	 * Of a route to the host of the router's gateway: the external network. Who has a floating IP of it here, or blocks of ports of the router's address, does not go there,
	 * but by the routes of that one's vrf. 0: nobody has.
	 */
	__u16 outside;
	__u8 reserve[2];
};

/*
 * cb_next_1: hash, a destination of a route CB_ROUTE_SEVERAL -> its next hops, each a route CB_ROUTE_NEXTHOP. A flow takes one by its hash and keeps it as long as
 * it is one of them and somebody has its address. Written by the agent.
 */
struct cb_next_key {
	__u32 prefixlen; /* these three: as in the route's key */
	__u32 vrf;
	struct cb_addr addr;
};

struct cb_next {
	__u32 count; /* 2..CB_NEXT_HOPS */
	__u8 reserve[12];
	struct cb_route hop[CB_NEXT_HOPS];
};

enum cb_steer_action {
	CB_STEER_ALLOW = 1, /* by the routes, as without policy routes */
	CB_STEER_DROP = 2,
	CB_STEER_REROUTE = 3, /* by route, whatever the routes say */
};

/* flags of struct cb_steer */
#define CB_STEER_F_PROTOCOL 0x1 /* of the protocol alone */
#define CB_STEER_F_PORTS 0x2 /* with ports in both ranges; the protocol has ports */
#define CB_STEER_F_V4 0x4 /* of IPv4 alone */
#define CB_STEER_F_V6 0x8 /* of IPv6 alone */

/* A policy route. What of the match is zero does not matter. */
struct cb_steer {
	struct cb_addr src;
	struct cb_addr src_mask;
	struct cb_addr dst; /* once a floating IP, or a forwarded port, has become what it stands for */
	struct cb_addr dst_mask;
	__u32 policy; /* first 32 bits of its UUID */
	__u16 net; /* in which the packet comes to the router; 0: any */
	__u16 first_sport; /* ports: host byte order, last ones inclusive */
	__u16 last_sport;
	__u16 first_dport;
	__u16 last_dport;
	__u8 protocol;
	__u8 flags; /* CB_STEER_F_* */
	__u8 action; /* enum cb_steer_action */
	__u8 pad[3];
	struct cb_route route; /* CB_STEER_REROUTE: a route CB_ROUTE_NEXTHOP; else zero */
	__u8 reserve[12];
};

/*
 * cb_steer_1: hash, router -> its policy routes, in the order in which they are asked: the first that matches counts. Asked about what comes in by a network with
 * CB_NET_F_STEER, where its flow does not say. Written by the agent, all of a router at once.
 */
struct cb_steer_key {
	__u32 vrf;
};

struct cb_steers {
	__u32 count; /* 1..CB_STEERS */
	__u8 reserve[12];
	struct cb_steer steer[CB_STEERS];
};

/*
 * cb_nat_1: hash, an address that is translated one to one -> what it becomes. Two entries a floating IP, on the host of its port or of the router's gateway: (external
 * network, 0, floating address) -> fixed address, and (network, external network, fixed address) -> floating address. Written by the agent.
 */
struct cb_nat_key {
	__u16 net; /* network that the address is in */
	__u16 outside; /* of a fixed address: the external network; of a floating one: 0 */
	struct cb_addr addr;
};

struct cb_nat {
	struct cb_addr to;
	__u16 to_net; /* network that it is in */
	__u16 pad;
	__u32 vrf; /* router; of a fixed address: the one whose routes lead from this host to the external network */
	__u8 reserve[8];
};

/*
 * cb_snat_1: hash, router -> the address with which those behind it leave who have no floating IP. Written by the agent. No entry: addresses
 * are not translated.
 */
struct cb_snat_key {
	__u32 vrf;
};

struct cb_snat {
	struct cb_addr addr; /* IPv4; all zero: IPv4 is not translated */
	struct cb_addr addr6; /* IPv6; all zero: IPv6 is not translated */
	__u16 net; /* external network */
	__u16 first_port; /* ports and ICMP identifiers that this host may use, host byte order */
	__u16 last_port; /* inclusive; used are whole groups of CB_SNAT_GROUP */
	__u16 flags; /* CB_SNAT_F_* */
	__u8 reserve[24];
};

/* flag of struct cb_snat: a port is one of the sender's own blocks (cb_lease_1), and of no range */
#define CB_SNAT_F_BLOCKS 0x1

/* Ports of a block, of which only one sender has any; its first is a multiple. Blocks that a sender may have at the most. */
#define CB_BLOCK_PORTS 64
#define CB_LEASE_BLOCKS 32

/*
 * cb_lease_1: hash, a sender behind a router -> the blocks of ports of the router's address that are its own. Of a VIF of this host: (router, VIF); of a guest elsewhere, whose
 * packets come by the transit network: (router, that network, its address). Written by the agent.
 */
struct cb_lease_key {
	__u32 vrf;
	__u16 vif;
	__u16 net;
	struct cb_addr addr;
};

struct cb_lease {
	struct cb_addr addr; /* the router's, in the external network */
	__u16 count; /* blocks; 1 to CB_LEASE_BLOCKS */
	__u16 pad;
	__u16 block[CB_LEASE_BLOCKS]; /* first port / CB_BLOCK_PORTS */
	__u32 exit; /* the vrf whose routes lead from this host to the external network, where another host is the gateway; 0: the router's own do */
	__u8 mac[6]; /* with which this host sends then */
	__u8 pad2[2];
};

/*
 * cb_block_1: hash, a block of ports of an address in an external network, which another host has -> the way to that. What comes from outside to such a port is given to
 * it as it is, by the router's transit network. Written by the agent.
 */
struct cb_block_key {
	__u16 net; /* external network */
	__u16 block;
	struct cb_addr addr;
};

struct cb_block {
	__u16 tunnel;
	__u16 net; /* transit network */
	__u32 pad;
	__u8 reserve[8];
};

/* cb_held_1: hash, a block that a sender here has -> how it is used. The agent writes the keys, with zero values; the vrouter the values. */
struct cb_held_key {
	__u16 block;
	__u16 pad;
	struct cb_addr addr;
};

struct cb_held {
	__u64 used_ns; /* CLOCK_MONOTONIC: some flow had a port of it; at most five seconds old while one has */
	__u64 wanted_ns; /* of the sender's first block: its ports to some destination were nearly all taken, or all; 0: never */
	__u8 reserve[16];
};

/* Ports of a range are in groups of so many, of each of which a VIF may use one: so none can take all to a destination. */
#define CB_SNAT_GROUP 8

/*
 * cb_forward_1: LPM, port forwarding: (external network, protocol, address, port) -> address and port. A range is several prefixes of ports. The
 * address has an endpoint CB_ENDPOINT_ROUTER. Written by the agent.
 */
struct cb_forward_key {
	__u32 prefixlen; /* 160 (net, protocol, address) + the port's 0..16 */
	__u16 net;
	__u8 protocol;
	__u8 pad;
	struct cb_addr addr;
	__u16 port_be;
	__u8 pad2[2];
};

/* flag of struct cb_forward: every port of the range leads to to_first; without, the range to one of the same length */
#define CB_FORWARD_F_ONE 0x1

struct cb_forward {
	struct cb_addr to;
	__u16 first; /* of the whole range, host byte order */
	__u16 to_first; /* port to which that leads, host byte order */
	__u16 to_net; /* network that `to` is in */
	__u16 flags; /* CB_FORWARD_F_* */
	__u32 vrf; /* router */
	__u8 reserve[4];
};

/*
 * cb_neigh_1: hash, address in an external network -> its MAC. The agent writes the keys, with zero values: the next hops of routers' gateways; the vrouter
 * the values, when it hears an answer or an announcement.
 * cb_near_1: LRU hash, the same of other addresses of external networks. Written by the vrouter alone.
 */
struct cb_neigh_key {
	__u16 net;
	__u16 pad;
	struct cb_addr addr;
};

struct cb_near_key {
	__u16 net;
	__u16 pad;
	struct cb_addr addr;
};

struct cb_neigh {
	__u64 learned_ns; /* CLOCK_MONOTONIC at which it last said so; 0: it has not */
	__u64 asked_ns; /* at which it was last asked */
	__u8 mac[6];
	__u8 pad[2];
	__u8 reserve[8];
};

/*
 * cb_class_1: LPM, (policy, remote address) -> class: the set of remote groups and prefixes of the policy's rules
 * that contain the address. No entry: class 0, in which only the rules for "any" remote count. CB_CLASS_PRIVATE is in the numbers of those
 * that a private subnet keeps out, and of no other of a set of network policies: it says why there is no rule.
 * Written by the agent.
 */
struct cb_class_key {
	__u32 prefixlen; /* 32 (policy) + the address's 0..128 */
	__u32 policy;
	struct cb_addr addr;
};

struct cb_class {
	__u32 class_id;
};

#define CB_CLASS_PRIVATE 0x80000000

#define CB_DIR_INGRESS 0 /* towards the VIF */
#define CB_DIR_EGRESS 1 /* from the VIF */
#define CB_FAMILY_V4 4
#define CB_FAMILY_V6 6

/*
 * cb_rule_1: LPM, what a policy allows. A hit allows, a miss denies. port_be: the destination port; for ICMP
 * type << 8 | code. A port range is several prefixes; "any port" ends at 88 bits, "any protocol" at 80 bits.
 * Written by the agent.
 */
struct cb_rule_key {
	__u32 prefixlen;
	__u32 policy;
	__u32 class_id;
	__u8 direction; /* CB_DIR_* */
	__u8 family; /* CB_FAMILY_* */
	__u8 protocol; /* IANA protocol number */
	__u8 pad;
	__u16 port_be;
	__u8 pad2[2];
};

struct cb_rule {
	__u32 rule; /* first 32 bits of the UUID of the security group rule, or of the network policy, to show which allowed */
};

enum cb_flood_kind {
	CB_FLOOD_VIF = 1, /* id: VIF number */
	CB_FLOOD_TUNNEL = 2, /* id: tunnel number */
};

struct cb_flood_target {
	__u8 kind; /* enum cb_flood_kind */
	__u8 flags; /* none yet */
	__u16 id;
};

/*
 * cb_flood_2: hash, (network, list, chunk) -> targets. Chunks are numbered from 0 without a hole. Written by the agent: a changed list is
 * written whole under the number that does not count, then the network's row names it.
 */
struct cb_flood_key {
	__u16 net;
	__u8 list;
	__u8 purpose; /* 0: broadcast */
	__u32 chunk;
};

struct cb_flood {
	__u32 count; /* targets used in this chunk */
	__u32 pad;
	struct cb_flood_target target[CB_FLOOD_TARGETS];
};

/*
 * cb_hop_1: hash, underlay address of a host -> how the kernel's routes lead there. Written by the agent, where the vrouter
 * encapsulates itself. No entry: the overlay device sends.
 */
struct cb_hop_key {
	struct cb_addr addr;
};

struct cb_hop {
	__u32 ifindex; /* device to send by: Ethernet */
	__u32 mtu_bytes; /* of the way: larger packets of the underlay are left to the overlay device */
	struct cb_addr nexthop; /* the gateway, or the host itself where it is on the link; of the host's family */
};

/*
 * Probes: whether a gateway's host lives is asked by frames of their own, with wire id 0, and answered by its vrouter, whether an agent runs or not. A question is as long as
 * its answer. Numbers are little endian. Where the underlay is IPv6, a host is named by a tag: the first 32 bits, big endian, of the SHA-256 of the 16 bytes of its address.
 */
#define CB_PROBE_ETHERTYPE 0x88b5 /* IEEE 802: for local experiments */
#define CB_PROBE_VERSION 1
#define CB_PROBE_ASK 1
#define CB_PROBE_ANSWER 2
/* age of what was not heard */
#define CB_PROBE_NEVER 0xffffffff

/* flag of struct cb_beacon: routers may have their gateways here */
#define CB_BEACON_F_SERVES 0x1
#define CB_MAX_STANDS 32
#define CB_MAX_ANNOUNCED_PREFIXES 4

/* cb_beacon_1: array of one, what this host says of itself in each answer. Written by the agent. All zero: no agent has said anything since the host was started. */
struct cb_beacon {
	__u32 flags; /* CB_BEACON_F_* */
	__u32 count; /* hosts in stands_be */
	__u32 stands_be[CB_MAX_STANDS]; /* IPv4 addresses, or tags, of hosts whose place this one has taken */
	__u8 about[16]; /* question, IPv6: address of the third host */
	/* tags of prefixes: addresses of Services in them it announces on its links; 0: none (docs/design/services.md) */
	__u16 announces[CB_MAX_ANNOUNCED_PREFIXES];
};

/* What follows the Ethernet header. */
struct cb_probe {
	__u8 version; /* CB_PROBE_VERSION */
	__u8 kind; /* CB_PROBE_ASK, CB_PROBE_ANSWER */
	__u16 pad;
	__u32 sequence; /* rises with each question to a host; the answer has the same */
	__u64 token; /* of the question, by chance: who does not see it answers nothing */
	__u32 about_be; /* IPv4 address, or tag, of a third host: when did you hear of it? 0: none */
	__u32 about_ms; /* answer: so many milliseconds ago, or CB_PROBE_NEVER */
	struct cb_beacon beacon; /* answer: who answers */
};

/* cb_heard_1: hash, underlay address of another host -> its last answer. Keys and tokens by the agent, the rest by the vrouter. */
struct cb_heard_key {
	struct cb_addr addr;
};

struct cb_heard {
	__u64 token; /* an answer without it is refused */
	__u64 heard_ns; /* CLOCK_MONOTONIC; 0: never */
	__u32 sequence;
	__u32 about_be;
	__u32 about_ms;
	__u32 pad;
	struct cb_beacon beacon;
};

/*
 * cb_announced_1: hash, device and address of a Service -> whether this host answers ARP and ND for it there, and who else does. Keys, MAC and flags by the agent, the rest by the
 * vrouter. It outlives the agent. No entry: the host is no concern of the address.
 */
struct cb_announced_key {
	__u32 ifindex;
	struct cb_addr addr;
};

/* flag of struct cb_announced: the address is here; without it, it is only listened for */
#define CB_ANNOUNCED_F_HERE 0x1

struct cb_announced {
	__u8 mac[6]; /* of the device: where the address is said to be */
	__u8 flags; /* CB_ANNOUNCED_F_* */
	__u8 pad;
	__u8 other_mac[6]; /* who said last that he has it */
	__u16 pad2;
	__u64 other_ns; /* CLOCK_MONOTONIC, when; 0: nobody */
};

/*
 * cb_prog_2: array of one. Written by the agent, read by the agent that comes after it: of which state the entries are. The vrouter
 * does not look at it.
 */
struct cb_prog {
	__u64 revision; /* of the server's store; 0: nothing was programmed yet */
	__u64 state; /* whose: the first 8 bytes of the UUID of the agent's state directory, as a number */
	__u64 commit; /* which commit of that state */
	__u8 reserve[16];
};

enum cb_flow_state {
	CB_FLOW_NEW = 1, /* no answer seen yet */
	CB_FLOW_ESTABLISHED = 2, /* seen in both */
	CB_FLOW_CLOSING = 3, /* TCP: a FIN was seen */
	CB_FLOW_CLOSED = 4, /* TCP: RST, or FIN both ways */
	CB_FLOW_PICKED_UP = 5, /* TCP: begun in its middle, no answer seen yet */
};

/* Index of a time-out: the time without a packet in either direction after which a flow of that protocol and state ends. */
enum cb_timeout {
	CB_TIMEOUT_TCP_NEW = 0,
	CB_TIMEOUT_TCP_ESTABLISHED = 1,
	CB_TIMEOUT_TCP_CLOSING = 2,
	CB_TIMEOUT_TCP_CLOSED = 3,
	CB_TIMEOUT_TCP_PICKED_UP = 4,
	CB_TIMEOUT_UDP_NEW = 5,
	CB_TIMEOUT_UDP_ESTABLISHED = 6,
	CB_TIMEOUT_ICMP = 7, /* ICMPv6, too */
	CB_TIMEOUT_OTHER = 8,
};
#define CB_TIMEOUTS 9

enum cb_deliver {
	CB_DELIVER_VIF = 1, /* redirect to the VIF's device */
	CB_DELIVER_PEER = 2, /* redirect_peer to the VIF's device */
	CB_DELIVER_OVERLAY = 3, /* encapsulate, to a tunnel */
	CB_DELIVER_SERVICE = 4, /* to the agent; never in a flow */
	CB_DELIVER_FLOOD = 5, /* copies to a network's flood list; never in a flow */
	CB_DELIVER_WAIT = 6, /* kept until its first fragment comes; never in a flow */
	CB_DELIVER_UPLINK = 7, /* to the uplink of the network in which it leaves */
	CB_DELIVER_FRAGMENTER = 8, /* to be cut; never in a flow */
	CB_DELIVER_QUEUE = 9, /* waits for its VIF's limit; never in a flow */
	CB_DELIVER_COLLECTOR = 10, /* a copy for a collector; never in a flow */
};

/*
 * cb_tuple_1: hash, what a packet of one direction looks like where it enters this host -> the flow. Written by the vrouter and by migrations,
 * never over another; taken out by who ends the flow.
 */
struct cb_tuple_key {
	struct cb_addr src;
	struct cb_addr dst;
	__u16 sport_be; /* ICMP query: the identifier, and dport type << 8 | code; its answer: the reverse; others: 0 */
	__u16 dport_be;
	__u16 net; /* network in which the packet enters */
	__u8 protocol;
	__u8 pad;
};

struct cb_tuple {
	__u32 flow; /* flow number */
	__u32 direction; /* 0: that of the flow's first packet */
};

/* flags of struct cb_way */
#define CB_WAY_F_ROUTED 0x1 /* rewrite MACs, decrement TTL */
#define CB_WAY_F_FIN 0x2 /* TCP: FIN seen in this direction */
#define CB_WAY_F_REWRITE 0x4 /* packets become the other direction's tuple, reversed */
#define CB_WAY_F_BLOCK 0x20 /* the source has a port of a block: of direction 0 */
#define CB_WAY_F_NEIGHBOUR 0x8 /* out_dmac is a neighbour's on an external network: decided anew once a second */
#define CB_WAY_F_LEARNED 0x40 /* to an address that may move by itself: decided again each second */
#define CB_WAY_F_SERVED 0x80 /* to an endpoint that leaves its Service with the flow: decided again each second */

/*
 * One direction of a flow: all that an established packet needs, in 64 bytes. The word of stamp, in_vif and out_vif is written last and at once.
 */
struct cb_way {
	__u32 stamp; /* sum of the epochs of both VIFs and of both networks, read before it was decided; 0: not decided */
	__u16 in_vif; /* VIF it comes from; 0: another host. Before it is decided: where the other direction goes */
	__u16 out_vif; /* VIF it goes to; 0: another host */
	__u32 check; /* of this direction's tuple: another flow's packet never follows this one; 0: no flow */
	__u16 out_net; /* network in which it leaves */
	__u16 tunnel; /* CB_DELIVER_OVERLAY */
	__u64 expires_ns; /* CLOCK_MONOTONIC; alike in both directions; raised at most once a second, and when the state changes */
	__u16 mtu_bytes; /* of the network in which it leaves; 0: any size */
	__u8 deliver; /* enum cb_deliver */
	__u8 flags; /* CB_WAY_F_* */
	__u8 state; /* enum cb_flow_state; alike in both directions */
	__u8 pad[3];
	__u8 in_smac[6]; /* source MAC that passed anti-spoofing */
	__u8 in_dmac[6]; /* destination MAC it was decided for */
	__u8 out_dmac[6];
	__u8 out_smac[6];
	__u64 refresh_ns; /* from when on the next packet raises expires_ns */
};

/* seen in struct cb_tally */
#define CB_SEEN_END 0x1 /* tcp_end */
#define CB_SEEN_ACK 0x2 /* tcp_ack, tcp_window */

/* What a direction of a flow has carried. Of TCP also where it is: 0 until its first segment is seen. */
struct cb_tally {
	__u64 packets;
	__u64 bytes;
	__u32 tcp_end; /* the sequence number after the last byte that was sent */
	__u32 tcp_ack; /* what it last acknowledged */
	__u16 tcp_window; /* what it last announced, not scaled */
	__u8 seen; /* CB_SEEN_* */
	__u8 pad[5];
	__u8 reserve[32];
};

/* The state of a flow's record: the lowest two bits of its life. */
enum cb_life {
	CB_LIFE_FREE = 0,
	CB_LIFE_LIVE = 1,
	CB_LIFE_BUSY = 2, /* somebody makes the flow, or takes it apart */
};

/* flag of struct cb_flow: it was handed over by another host. Its upper 16 bits: by which session of that (see struct cb_carry) */
#define CB_FLOW_F_CARRIED 0x1
#define CB_FLOW_F_TOLD 0x2 /* flag of struct cb_flow: its begin was told, so its end is, too */
#define CB_FLOW_F_BEGUN_FREE 0x4 /* flag of struct cb_flow: it is not counted for who began it, the host itself */
#define CB_FLOW_F_RECEIVED_FREE 0x8 /* flag of struct cb_flow: it is not counted for who received it, the host itself */
#define CB_FLOW_F_LET_IN 0x10 /* flag of struct cb_flow: for who began it it is counted in CB_USE_LET_IN */

/*
 * cb_flow_2: array, flow number -> flow. Written by the vrouter and by migrations. Flow 0 is never taken. An established packet reads and
 * writes way and tally of its direction, and nothing else.
 */
struct cb_flow {
	struct cb_way way[2]; /* by direction */
	struct cb_tally tally[2];
	struct cb_tuple_key tuple[2]; /* as its packets enter */
	__u64 life; /* how often the record was taken, << 2 | enum cb_life; changed by compare and swap alone */
	__u64 at_ns; /* when it was begun, or ended */
	__u16 owner[2]; /* to whom it is counted, who began it first: a VIF; 0: another host's; CB_USE_PASSING */
	__u16 project[2]; /* their projects */
	__u32 rule; /* first 32 bits of the rule that allowed it: the receiver's if it is here and has rules, else the sender's; 0: none */
	__u32 flags; /* CB_FLOW_F_*, CB_CARRY_SESSION */
	__u32 member; /* of a pool, to which a load balancer gave it; 0: none */
	__u32 held; /* CLOCK_MONOTONIC >> CB_HELD_SHIFT until which it outlives that its translation is not allowed: the rows for that are on their way; 0: no */
	__u16 session[2]; /* with CB_FLOW_F_CARRIED: by which session each end's port had it handed over; 0: by none */
	__u32 served; /* lower half of the number of the list of a Service in which its endpoint was last; 0: it is to none */
};

/* Of `held` of struct cb_flow: a unit is some second. */
#define CB_HELD_SHIFT 30

enum cb_told_kind {
	CB_TOLD_BEGIN = 1, /* a flow begins: its first packet is not counted yet */
	CB_TOLD_END = 2, /* a flow ended */
	CB_TOLD_DROP = 3, /* a packet of no flow, or one that its flow does not save, was dropped */
};

/* Why a flow ended, as IPFIX has it (RFC 5102, flowEndReason). */
#define CB_TOLD_IDLE 1 /* its time was over */
#define CB_TOLD_OVER 3 /* TCP: its ends closed it */
#define CB_TOLD_FORCED 4 /* the rules, an end that went, or a new connection over it */

/* Room of the ring cb_told_1; what comes when it is full is lost, and counted in struct cb_gauge. */
#define CB_TOLD_BYTES 2097152
/* Drops of a VIF that are told, and begins and ends that are because it is followed: so many of each a second, and at once after a pause. The others are counted. */
#define CB_TOLD_RATE 100
#define CB_TOLD_BURST 200

/* Flags of struct cb_told. A Service gives the flow, or the packet, its endpoint. */
#define CB_TOLD_F_SERVED 0x1
/* CB_TOLD_DROP by rules: by those of who sent the packet; by those of whom it was for. */
#define CB_TOLD_F_BY_SENDER 0x2
#define CB_TOLD_F_BY_RECEIVER 0x4

/*
 * What the ring buffer cb_told_1 tells of flows and drops of VIFs whose row says so (tells). Written by the vrouter, read by the agent. Numbers are the host's as they are
 * when it is told.
 */
struct cb_told {
	__u64 at_ns; /* CLOCK_MONOTONIC */
	__u64 begun_ns; /* CB_TOLD_DROP: 0 */
	__u64 packets[2]; /* by direction */
	__u64 bytes[2];
	struct cb_tuple_key tuple[2]; /* as its packets enter; CB_TOLD_DROP: the packet, and as it would go on */
	__u64 life; /* how often the record was taken: with flow it names the flow */
	__u32 flow; /* flow number; CB_TOLD_DROP: 0 */
	__u32 rule; /* as in struct cb_flow */
	__u32 member; /* as in struct cb_flow */
	__u32 choice; /* told are those that the VIF's tells divides */
	__u16 owner[2]; /* as in struct cb_flow; CB_TOLD_DROP: whence and whither */
	__u16 project[2];
	__u8 kind; /* enum cb_told_kind */
	__u8 reason; /* CB_TOLD_END: CB_TOLD_*; CB_TOLD_DROP: enum cb_reason */
	__u8 state; /* enum cb_flow_state */
	__u8 flags; /* CB_TOLD_F_* */
	__u8 pad[4];
};

/* Flows that are taken out or put in at once. */
#define CB_CARRY_ROWS 1024
/* Of the flags of struct cb_flow: the session by which it was handed over. */
#define CB_CARRY_SESSION_SHIFT 16
/* Turns in which flows that had packets are taken out again: one in so many each. */
#define CB_CARRY_TURNS 64

/*
 * cb_carry_1: array: flows between the flow table and the agent, which hands them over to another host or was handed them. No decision is among it. Not pinned: each load
 * of the programs that carry has its own.
 */
struct cb_carry {
	struct cb_tuple_key tuple[2]; /* put in: without networks, which follow from the VIF */
	struct cb_tally tally[2];
	__u64 left_ns; /* until its time is over if nothing more comes */
	__u64 age_ns; /* since it was begun; put in: 0 */
	__u16 vif[2]; /* to which it is counted; put in: the port's */
	__u16 out_net[2]; /* in which each direction leaves; 0: it was not decided. Put in: 0 */
	__u32 flow; /* flow number; put in: 0 */
	__u32 member;
	__u16 other_net; /* put in: network of the other end, in which the flow may be known already */
	__u8 state; /* enum cb_flow_state */
	__u8 fin[2]; /* a FIN was seen in this direction */
	__u8 pad;
	__u16 outside_net; /* put in: network in which the other end sees a floating IP; 0: the port itself. Of a router: its external network */
	__u32 router; /* the number that the agent gave the router whose address outside it has; 0: it is asked for none */
	__u16 transit_net; /* put in, of a router: the network by which what others send comes to its gateway */
	__u8 result; /* put in, of a router: CB_CARRY_* */
	__u8 reserve[1];
};

/* result of struct cb_carry: its end inside is a VIF of this host, whose packets it knows as they are until this host is the gateway's */
#define CB_CARRY_HERE 1

/* cb_svc_1: hash, a port of a virtual address -> the pool behind it. Written by the agent. */
struct cb_svc_key {
	struct cb_addr addr;
	__u16 net; /* of the virtual address */
	__u16 port_be;
	__u8 protocol;
	__u8 pad[3];
};

#define CB_SVC_F_AFFINITY 0x1 /* all of one client go to one member */

struct cb_svc {
	__u32 pool;
	__u32 slots; /* of its table; 0: nobody is there */
	__u16 flags; /* CB_SVC_F_* */
	__u16 pad;
	__u8 reserve[12];
};

/*
 * cb_maglev_1: hash, a part of a pool's table of slots -> the members in it. Written by the agent, part by part: each slot that a program meets meanwhile
 * names a member of the old table or of the new.
 */
struct cb_maglev_key {
	__u32 pool;
	__u32 chunk; /* slot / CB_MAGLEV_SLOTS */
};

struct cb_maglev {
	__u32 member[CB_MAGLEV_SLOTS]; /* 0: none */
};

/* cb_member_1: hash, a member's number -> where it is. Written by the agent. A flow goes on as long as its member is here, also when no slot names that. */
struct cb_member_key {
	__u32 member;
};

#define CB_MEMBER_F_DOWN 0x1 /* it fails its probes: flows of UDP end, of which no end is seen otherwise */

struct cb_member {
	struct cb_addr addr;
	__u32 pool;
	__u32 vrf; /* router that leads from the virtual address's network to the member's; 0: it is the same network, or the client's router does */
	__u16 net;
	__u16 port_be;
	__u16 flags; /* CB_MEMBER_F_* */
	__u16 pad;
	__u8 reserve[8];
};

/*
 * cb_service_1: hash, (scope, address, protocol, port) -> a port of a Service of Kubernetes, in force where a route CB_ROUTE_SERVICE leads to the scope. With protocol and port 0: the
 * address is a Service's, and the rest is zero. A VIF with CB_VIF_F_NODE that sends for others is first looked up in the scope of what comes from outside, then in the other; but by a
 * row with CB_SERVICE_F_LOCAL its packets get the VIF's address, so that answers come back. Written by the agent.
 */
struct cb_service_key {
	__u32 scope;
	__u16 port_be;
	__u8 protocol;
	__u8 pad;
	struct cb_addr addr;
};

#define CB_SERVICE_F_LOCAL 0x1 /* only endpoints of this host serve: without one, packets are dropped, not refused */

struct cb_service {
	__u64 list; /* number of the list of its endpoints: see cb_backend_1 */
	__u32 count; /* endpoints at the beginning of the list to which new connections go; 0: to none */
	__u32 total; /* all endpoints of the list: flows that have one of those stay */
	__u32 affinity_s; /* seconds for which a client goes to the endpoint of its last connection; 0: to any */
	__u32 service; /* first 32 bits of the Service's UUID */
	__u16 flags; /* CB_SERVICE_F_* */
	__u8 pad[6];
	__u8 reserve[32];
};

/* An endpoint of a Service. */
struct cb_backend {
	struct cb_addr addr;
	__u16 port_be;
	__u8 pad[6];
};

/*
 * cb_backend_1: hash, (list, chunk) -> endpoints. A list's number is a hash of what is in it, so a list is never changed: a Service gets another. Chunks are numbered
 * from 0 without a hole. Written by the agent: a list before the Service that names it, deleted after.
 */
struct cb_backend_key {
	__u64 list;
	__u32 chunk; /* place / CB_BACKENDS */
	__u32 pad;
};

struct cb_backends {
	struct cb_backend backend[CB_BACKENDS]; /* behind the last: zero */
};

/* cb_sticky_1: LRU hash, a client of a port of a Service with affinity -> the endpoint of its last connection. Written by the vrouter. */
struct cb_sticky_key {
	struct cb_service_key service;
	struct cb_addr client;
};

struct cb_sticky {
	struct cb_addr addr;
	__u64 begun_ns; /* CLOCK_MONOTONIC, when the last connection began */
	__u16 port_be;
	__u8 pad[6];
};

/* cb_gauge_1: array of one. Written by the vrouter. */
struct cb_gauge {
	__u64 flows; /* records in use */
	__u64 told_lost; /* what was not told: the ring was full */
	__u64 told_held; /* what was not told: more than CB_TOLD_RATE of a VIF */
	__u64 reserve[5];
};

/* Rows of cb_use_1: VIFs by number, then projects. There is no project 0: its row has what only passes the host, from no VIF here to none. Nor a VIF 0: its row has what was let in from outside for who is at another host. */
#define CB_USE_LET_IN 0
#define CB_USE_PROJECT 8192
#define CB_USE_PASSING 8192
#define CB_MAX_USE 24576

/* cb_use_1: array, VIF (or CB_USE_PROJECT + project) -> what it uses. Written by the vrouter. Nothing has to be deleted: counts fall, buckets fill up. */
struct cb_use {
	__u32 flows[2]; /* flows that it began, that it received */
	__u64 service_ns; /* CLOCK_MONOTONIC at which its bucket for the agent's services is full again; past: it is */
	__u64 flood_ns; /* the same of its bucket for copies of floods */
	__u64 probe_ns; /* the same of its bucket for answers to probes */
	__u64 told_ns; /* the same of its bucket for drops that are told */
	__u64 follow_ns; /* the same of its bucket for begins and ends that are told because it is followed */
	__u64 told_held; /* what was not told: more than these buckets had */
	__u8 reserve[8];
};

/*
 * cb_asked_2: array, VIF number -> when the agent has asked its guest which groups it has joined, so that what cb_joined_1 says of it counts. Written by the agent. Outside of these
 * times the VIF gets every group's packets: so an agent that is gone, and asks no more, takes nobody's.
 */
struct cb_asked {
	__u8 port_id[16]; /* of whom; any other's row counts for nothing */
	__u64 from_ns; /* CLOCK_MONOTONIC: it has had the time to answer; 0: it was not asked */
	__u64 until_ns; /* what it answered last may be out of date then */
	__u64 left_ns; /* a group that it left before that, and has not reported since, it is out of: it was asked then, and had the time to answer */
	__u8 reserve[24];
};

/*
 * A group, and until when the last report of it counts, or, with CB_GROUP_LEFT, what was said when it was left (CB_GROUP_SECONDS before). A report counts on where the guest has answered no
 * question since. 1: the place is being written.
 */
struct cb_group {
	struct cb_addr addr;
	__u64 until_ns; /* CLOCK_MONOTONIC; CB_GROUP_LEFT */
};

/*
 * cb_joined_1: array, VIF number -> groups of multicast that its guest has joined (IGMP, MLD). The agent writes a row with the VIF's owner and the rest zero before it asks; all else the
 * vrouter writes.
 */
struct cb_joined {
	__u8 port_id[16]; /* of whom; for any other nothing is learned, and nothing is known */
	__u64 all_until_ns; /* CLOCK_MONOTONIC: it gets every group's packets until then: something that it said did not fit */
	__u64 router_until_ns; /* it has shown itself as a router of multicast: it gets all of these, and others' reports, too */
	__u64 reports_ns; /* CLOCK_MONOTONIC at which its bucket for reports is full again */
	__u64 queries_ns; /* the same for queries */
	__u64 used; /* places that were ever in use, a bit each */
	/* when it last reported as those do that are asked, of IPv4 and IPv6; CLOCK_MONOTONIC, in seconds; 0: never */
	__u32 answered_s[2];
	struct cb_group group[CB_VIF_GROUPS];
};

/* flags of struct cb_meter */
#define CB_METER_F_DSCP 0x1 /* packets are given its dscp; only of what the VIF sends */
#define CB_METER_F_SHAPE 0x2 /* bytes are not refused but wait, in the class of the row's number on cableq0 */

/* Classes of cableq0 are CB_QUEUE_CLASS + number of the row. */
#define CB_QUEUE_CLASS 0x10000

/*
 * cb_meter_1: array, VIF * 2 + CB_DIR_* -> limits of what the VIF receives or sends, of a QoS policy. Written by the agent; read where the VIF's row has
 * CB_VIF_F_METER. All zero: no limit. A cost is a time in nanoseconds, shifted left by 20.
 */
struct cb_meter {
	__u64 byte_cost; /* time that a byte takes; 0: bytes are not limited */
	__u64 byte_burst_ns; /* time that may be taken at once */
	__u64 packet_cost; /* time that a packet takes; 0: packets are not limited */
	__u64 packet_burst_ns;
	__u8 dscp; /* CB_METER_F_DSCP; 0 to 63 */
	__u8 flags; /* CB_METER_F_* */
	__u8 pad[6];
	__u8 reserve[24];
};

/*
 * cb_bucket_2: array, as cb_meter_1 -> how far its limits are used. Written by the vrouter. Nothing has to be deleted: buckets fill up, and are full when the
 * cost is another than they were used at.
 */
struct cb_bucket {
	__u64 byte_ns; /* CLOCK_MONOTONIC at which all that was sent is paid; past: the bucket is full */
	__u64 byte_cost; /* cost of a byte, of which byte_ns is */
	__u64 packet_ns;
	__u64 packet_cost;
	__u8 reserve[32];
};

/*
 * cb_limit_1: hash, an address of ours in an external network, of a floating IP or of a router's gateway -> limits of what is translated to and from it, of a QoS policy. Written by
 * the agent; read where the network's row has CB_NET_F_LIMITS.
 */
struct cb_limit_key {
	__u16 net; /* external network */
	__u16 pad;
	struct cb_addr addr;
};

struct cb_limit {
	struct cb_meter meter[2]; /* by CB_DIR_*, as the inside sees it: what leaves with the address is egress */
};

/* cb_limited_1: hash, as cb_limit_1 -> how far its limits are used. The agent writes the keys, with zero values, and the vrouter the values. */
struct cb_limited_key {
	__u16 net;
	__u16 pad;
	struct cb_addr addr;
};

struct cb_limited {
	struct cb_bucket bucket[2]; /* by CB_DIR_*, as the rest */
	__u64 packets[2]; /* that passed; a GSO packet counts as those that it becomes */
	__u64 bytes[2]; /* of frames, with the headers of each */
	__u64 over[2]; /* dropped; a GSO packet counts once */
	__u8 reserve[16];
};

enum cb_mirror_kind {
	CB_MIRROR_VIF = 1, /* to a VIF of this host: id */
	CB_MIRROR_HOST =
		2, /* to a VIF of another host: id: the tunnel; wire_id: the VNI by which that host knows the mirror */
	CB_MIRROR_GRE = 3, /* to a collector, remote, in GRE (RFC 2784, 2890); wire_id: the key */
	CB_MIRROR_ERSPAN = 4, /* the same in ERSPAN type II; wire_id: the session */
};

/* flags of struct cb_mirror_term */
#define CB_TERM_F_PROTOCOL 0x1 /* of the protocol alone */
#define CB_TERM_F_PORT 0x2 /* with one of the ports at one of its ends */

/* Traffic of one kind: what of it is zero does not matter. The address is of the other end. */
struct cb_mirror_term {
	struct cb_addr addr;
	struct cb_addr mask;
	__u16 first_port; /* host byte order */
	__u16 last_port; /* inclusive */
	__u8 protocol;
	__u8 flags; /* CB_TERM_F_* */
	__u8 pad[2];
};

/*
 * cb_mirror_1: hash, (VIF, direction, place) -> where what passes there is copied to. Places are numbered from 0 without a hole. Written by the agent;
 * read where the VIF's row has CB_VIF_F_MIRROR_OUT or CB_VIF_F_MIRROR_IN.
 */
struct cb_mirror_key {
	__u16 vif;
	__u8 direction; /* CB_DIR_EGRESS: what it sends, CB_DIR_INGRESS: what it receives */
	__u8 place; /* below CB_VIF_MIRRORS */
};

struct cb_mirror {
	__u32 number; /* of the mirror: see cb_mirrored_1 */
	__u32 wire_id;
	__u16 id;
	__u8 kind; /* enum cb_mirror_kind */
	__u8 terms; /* terms in use: what one of them names is copied; 0: everything */
	__u32 pad;
	struct cb_addr remote;
	__u64 byte_cost; /* as in struct cb_meter */
	__u64 byte_burst_ns;
	__u8 reserve[16];
	struct cb_mirror_term term[CB_MIRROR_TERMS];
};

/*
 * cb_mirrored_1: hash, number of a mirror -> how much it has copied, both directions together. The agent writes the keys, with zero values, and the vrouter the
 * values.
 */
struct cb_mirrored_key {
	__u32 number;
};

struct cb_mirrored {
	__u64 byte_ns; /* as in struct cb_bucket */
	__u64 packets; /* that copies were made of; a GSO packet counts as those that it becomes */
	__u64 bytes;
	__u64 over; /* not made: more than it may */
	__u64 lost; /* not made, or made and then not sent */
	__u64 cut; /* sent shorter than the packets were: they did not fit */
	__u64 sequence[2]; /* by direction: the number that the next copy to a collector by ERSPAN has */
};

/*
 * cb_frag_2: array, VIF * CB_VIF_FRAGMENTS + n -> a first fragment's ports for those that follow. Of packets from other hosts, among the receiver's.
 * Written by the vrouter.
 */
struct cb_frag {
	struct cb_addr src;
	struct cb_addr dst;
	__u64 until_ns; /* CLOCK_MONOTONIC; past: free */
	__u32 id_be; /* IPv4: 16 bits */
	__u16 net;
	__u16 sport_be;
	__u16 dport_be;
	__u8 protocol;
	__u8 pad[5];
};

/*
 * cb_orphan_1: hash, VIF and place -> a later fragment that came before its first. When that comes, and is allowed, the frame is received anew. Of packets from
 * other hosts, among the receiver's. Written by the vrouter.
 */
struct cb_orphan_key {
	__u16 vif;
	__u16 place;
};

struct cb_orphan {
	__u64 until_ns; /* CLOCK_MONOTONIC; past: free */
	__u32 id_be;
	__u32 length;
	__u32 ifindex; /* device that it came by */
	__u32 pad;
	__u8 frame[CB_ORPHAN_BYTES];
};

/* cb_count_1: per-CPU array, VIF -> packets. Row 0: from and to other hosts. A GSO packet counts once. Written by the vrouter. */
struct cb_count {
	__u64 rx_packets; /* from the VIF */
	__u64 rx_bytes;
	__u64 tx_packets; /* to the VIF */
	__u64 tx_bytes;
};

/* cb_drop_1: array, VIF * CB_REASON_MAX + enum cb_reason -> dropped packets from or to the VIF. VIF 0: of none. Written by the vrouter. */
struct cb_drop {
	__u64 packets;
	__u64 last_ns; /* CLOCK_MONOTONIC */
};

/*
 * VPNs over MPLS. Their maps are of an object of its own (labels.bpf.c), which is there only where a VPN is; the vrouter's programs know nothing of it.
 *
 * cb_lsp_1: hash, VLAN tag and destination MAC of a frame that leaves by cablep0 -> how its packet goes on as MPLS in UDP. Written by the agent.
 */
struct cb_lsp_key {
	__u16 vlan;
	__u8 mac[6];
};

/* flag of struct cb_lsp: by it the router of a VPN answers who sent, which what passes through may not take */
#define CB_LSP_F_BACK 0x1

struct cb_lsp {
	struct cb_addr remote; /* underlay address of a host or of a provider's router */
	struct cb_addr nexthop; /* of the underlay: the remote itself, or a router on the way */
	__u32 label;
	__u32 ifindex; /* device by which the next hop is reached; cablep0: the remote is this host, in another VPN */
	__u32 mtu_bytes; /* of the way */
	__u32 flags; /* CB_LSP_F_* */
};

/*
 * cb_label_1: hash, label and underlay address of who sends with it -> the VPN into which it may. With no address: the label is a VPN's of this host; the value is zero then. Written by the
 * agent.
 */
struct cb_label_key {
	__u32 label;
	struct cb_addr remote;
};

struct cb_label {
	__u16 vlan; /* tag of the VPN's network on cablep0 */
	__u8 mac[6]; /* of its router there */
	__u8 from[6]; /* as who sends there: what the router answers goes to it (CB_LSP_F_BACK) */
	__u8 pad[2];
};

/* What became of a packet with a label, or of one that was to have one. Append only. */
enum cb_labelled_kind {
	CB_LABELLED_SENT = 0,
	CB_LABELLED_TAKEN = 1,
	CB_LABELLED_NOT_IP = 2, /* sent to another host, but no IP packet, or to a group */
	CB_LABELLED_NO_LSP = 3, /* sent to a MAC that nobody has in the VPN */
	CB_LABELLED_TOO_BIG = 4, /* larger than the underlay takes */
	CB_LABELLED_REFUSED = 5, /* the kernel did not put the headers on, or did not take them off */
	CB_LABELLED_MALFORMED =
		6, /* received: lengths, checksum of the outer header or first bits contradict each other */
	CB_LABELLED_CHECKSUM = 7, /* received: the UDP checksum is wrong */
	CB_LABELLED_STACK = 8, /* received: more than one label */
	CB_LABELLED_TTL = 9, /* received: the label's TTL ends here (RFC 3032, 2.4.2) */
	CB_LABELLED_NO_LABEL = 10, /* received: a label that no VPN has here */
	CB_LABELLED_NO_SENDER = 11, /* received: from an address that may not send into the VPN */
	CB_LABELLED_GSO = 12, /* received: several packets as one, and not of TCP */
	CB_LABELLED_ECN = 13, /* received: marked as congested, and the guest knows no ECN (RFC 6040) */
	CB_LABELLED_TRANSIT = 14, /* received, and to go on to another host: nothing passes through */
	CB_LABELLED_MAX = 16,
};

/* cb_labelled_1: per-CPU array, enum cb_labelled_kind -> packets. A GSO packet counts once. Written by the vrouter. */
struct cb_labelled {
	__u64 packets;
	__u64 bytes; /* of IP packets: of dropped ones that were received with what is around them */
};

#define CB_MAX_LSP 131072
#define CB_MAX_LABEL 65536

/*
 * Pseudowires (pseudowires.bpf.c), an object of its own which is there only where one is; the vrouter's programs know nothing of it. A wire has a number on a host, and a path is known by the
 * first bytes of a hash of its id: so what an agent left means the same to the next.
 *
 * cb_pw_1: hash, number of a pseudowire that begins or ends on this host -> what becomes of its frames. Written by the agent.
 */
struct cb_pw_key {
	__u32 number; /* 1..CB_MAX_PW - 1: class of its limit, mark of a frame that waits */
};

/* flags of struct cb_pw */
#define CB_PW_F_REMOTE 0x1 /* begins here and ends on another host */
#define CB_PW_F_FUNCTION 0x2 /* ends at a service function: the flow is known at the port where that gives it back */
#define CB_PW_F_TO_MAC 0x4 /* the end's MAC becomes the frame's destination */
#define CB_PW_F_RESUME 0x8 /* ends where its path began: the frame goes on there with the MACs that it had */
#define CB_PW_F_SENT 0x10 /* of CB_PW_F_RESUME: as what the port has sent; else as what is delivered to it */
#define CB_PW_F_BEGINS 0x20 /* its path begins where it begins */

struct cb_pw {
	__u64 id; /* of a hash of its id */
	__u64 path; /* of which it is; 0: of none */
	struct cb_addr remote; /* CB_PW_F_REMOTE: underlay address of the host where it ends */
	__u32 vni;
	__u32 ifindex; /* device of the port at its end; CB_PW_F_REMOTE: of the tunnels. 0: there is no way */
	__u32 queue_ifindex; /* into which frames that enter are sent to wait their turn; 0: no limit */
	__u32 back_ifindex; /* CB_PW_F_FUNCTION: device of the port from which that gives back; 0: it is not there */
	__u32 priority; /* handle of its class on the underlay's device; 0: none */
	__u32 max_bytes; /* CB_PW_F_REMOTE: of a frame, with its link header, that the underlay takes */
	__u32 flags; /* CB_PW_F_* */
	__u8 mac[6]; /* of the port at its end */
	__u8 pad[6];
};

#define CB_PW_FITS 64

/* flags of struct cb_pw_fit */
#define CB_PW_FIT_F_PROTOCOL 0x1 /* of that protocol */
#define CB_PW_FIT_F_PORTS 0x2 /* of TCP, UDP, UDP-Lite or DCCP, with ports within these */
#define CB_PW_FIT_F_IPV6 0x4 /* of IPv6; else of IPv4 */

/* Packets of IP. An address fits where it is the same under the mask; those of IPv4 are ::ffff:a.b.c.d. */
struct cb_pw_fit {
	struct cb_addr src;
	struct cb_addr src_mask;
	struct cb_addr dst;
	struct cb_addr dst_mask;
	__u16 sport_min;
	__u16 sport_max;
	__u16 dport_min;
	__u16 dport_max;
	__u8 protocol;
	__u8 flags; /* CB_PW_FIT_F_* */
	__u8 pad[2];
};

/* cb_pwfits_1: hash, number of a wire that takes some packets -> which. Written by the agent. */
struct cb_pwfits_key {
	__u32 number;
};

struct cb_pw_fits {
	__u32 count;
	struct cb_pw_fit fit[CB_PW_FITS];
};

#define CB_PORT_PWS 64

/* flags of struct cb_pw_port */
#define CB_PW_PORT_F_FUNCTION 0x1 /* a service function's: what it sends of no path is dropped */
#define CB_PW_PORT_F_ROUTED 0x2 /* whoever it asks for by ARP or neighbour solicitation is said to be there */
#define CB_PW_PORT_F_CLOSED 0x8 /* what comes by no wire is dropped */
#define CB_PW_PORT_F_FIRST 0x4 /* packets are told by more than their addresses: of fragments by the first one */

/* where frames are taken: at what a port has sent, or at what is delivered to it */
#define CB_PW_AT_SENT 0
#define CB_PW_AT_DELIVERED 1

/* cb_pwport_1: hash, device of a port and what of it -> wires that begin there but for those that go on with a path. Written by the agent. */
struct cb_pwport_key {
	__u32 ifindex;
	__u32 at; /* CB_PW_AT_* */
};

struct cb_pw_port {
	__u32 flags; /* CB_PW_PORT_F_* */
	__u32 all; /* number of the wire that takes every frame; 0: none does */
	__u32 count;
	__u32 number[CB_PORT_PWS]; /* of wires with rows in cb_pwfits_1, in the order in which they are asked */
};

/* cb_pwnext_1: hash, path and device of a port where a function gives back -> number of the wire by which that path goes on. Written by the agent. */
struct cb_pwnext_key {
	__u64 path;
	__u32 ifindex;
	__u32 pad;
};

struct cb_pw_next {
	__u32 number;
};

/* cb_pwend_1: hash, VNI and underlay address of who sends with it -> number of the wire that ends here. With no address: the VNI is one of this host; the number is 0 then. Written by the agent. */
struct cb_pwend_key {
	__u32 vni;
	struct cb_addr remote;
};

struct cb_pw_end {
	__u32 number;
};

/* of struct cb_pw_tuple: what it tells from others */
#define CB_PW_TUPLE_FLOW 0 /* packets of a flow, in one direction */
#define CB_PW_TUPLE_DATAGRAM 1 /* fragments of one datagram: its identification is in the ports' place */
#define CB_PW_TUPLE_FRAGMENTS 2 /* fragments of any between these two: the ports are 0 */
#define CB_PW_TUPLE_ASKED 3 /* as CB_PW_TUPLE_DATAGRAM, where it begins; at what is delivered the next value */

struct cb_pw_tuple {
	struct cb_addr src;
	struct cb_addr dst;
	__u16 sport_be; /* of ICMP: type and code */
	__u16 dport_be; /* of ICMP: identifier of an echo */
	__u8 protocol; /* of a fragment: as its header says */
	__u8 kind; /* CB_PW_TUPLE_* */
	__u8 pad[2];
};

/*
 * cb_pwflow_1: LRU hash, a flow or the like and the device of a port -> what entered there. Path 0: by which path it was given to the function that gives back at the port; of CB_PW_TUPLE_ASKED number of the
 * wire that took it, 0: none did. Another: with which MACs it entered the path at the port. Written by pseudowires.bpf.c.
 */
struct cb_pwflow_key {
	__u64 path;
	__u32 ifindex;
	struct cb_pw_tuple tuple;
	__u32 pad;
};

struct cb_pw_flow {
	__u64 path;
	__u64 seen_ns; /* CLOCK_MONOTONIC_COARSE, within a second */
	__u8 macs[12]; /* destination and source */
	__u8 pad[4];
};

/* cb_pwuse_1: per-CPU hash, number of a wire that begins on this host -> frames that entered it. A GSO packet counts once. The agent writes the keys. */
struct cb_pwuse_key {
	__u32 number;
};

struct cb_pw_use {
	__u64 frames;
	__u64 bytes;
};

/* What became of a frame of a pseudowire. Append only. */
enum cb_pw_kind {
	CB_PW_LOCAL = 0, /* entered, and ends on this host */
	CB_PW_SENT = 1, /* entered, and was sent to another host */
	CB_PW_TAKEN = 2, /* received from another host, and came out here */
	CB_PW_ANSWERED = 3, /* a question of a service function for the MAC of a neighbour */
	CB_PW_NO_WAY = 4, /* dropped: the port at the end, or the way to its host, is not there */
	CB_PW_TOO_BIG = 5, /* dropped: larger than the underlay takes */
	CB_PW_REFUSED = 6, /* dropped: the kernel did not do it */
	CB_PW_MALFORMED = 7, /* dropped where packets are told from each other: the headers of IP cannot be read */
	CB_PW_NO_WIRE = 8, /* received and dropped: no wire ends here by that VNI */
	CB_PW_NO_SENDER = 9, /* received and dropped: from a host where that wire does not begin */
	CB_PW_UNKNOWN_FLOW = 10, /* dropped: a function gave back what did not enter its path */
	CB_PW_OWN_TRAFFIC = 11, /* dropped: what a function sends that is no packet of a path */
	CB_PW_CLAIMED = 12, /* dropped: the function has the same flow by another path just now */
	CB_PW_FRAGMENT = 13, /* dropped: a later fragment of a datagram whose first one did not enter before */
	CB_PW_OUTSIDE = 14, /* dropped: what others than a wire would deliver to a port of a line or of a function */
	CB_PW_MAX = 16,
};

/* cb_pwcount_1: per-CPU array, enum cb_pw_kind -> frames. A GSO packet counts once. Written by pseudowires.bpf.c. */
struct cb_pwcount {
	__u64 frames;
	__u64 bytes;
};

/* Major number of the classes of wires, in the queue of limits and on devices of the underlay: other than any minor, which is the major of its class's own queue. */
#define CB_PW_TREE 0xcab1
#define CB_MAX_PW 16384
#define CB_MAX_PW_FLOW 131072

/* What a step of a trace tells. Append only. */
enum cb_step_kind {
	CB_STEP_SOURCE =
		1, /* may the VIF send from these addresses? id: enum cb_reason, or 0: it may; a: 1: it was asked, 0: the port has no port security */
	CB_STEP_FLOW =
		2, /* it is of a flow. id: flow number; a: its direction there; b: 1: what was decided for the flow holds, 0: it is decided anew */
	CB_STEP_ROUTER = 3, /* it goes to a router. id: vrf */
	CB_STEP_ROUTE =
		4, /* what the router found. id: network number; a: enum cb_route_kind; b: number of the peering by which it goes, or 0; addr: the next hop */
	CB_STEP_ENDPOINT = 5, /* where the receiver is. id: VIF or tunnel number; a: enum cb_endpoint_kind */
	CB_STEP_ALLOWED =
		6, /* a rule allows it. id: first 32 bits of the rule's UUID; a: CB_DIR_*; b: the policy; addr: the other end */
	CB_STEP_DENIED =
		7, /* no rule allows it. id: protocol << 16 | destination port; a: CB_DIR_*; b: the policy; addr: the other end */
	CB_STEP_COPY =
		8, /* a copy for a receiver of broadcast. id: VIF or tunnel number; a: enum cb_flood_kind, or 0: by the network's uplink; b: enum cb_reason, or 0: it would be sent */
	CB_STEP_SOURCE_BECOMES =
		9, /* its source becomes addr. a: with this port or identifier, host byte order, 0: its own, or one that is chosen last */
	CB_STEP_DESTINATION_BECOMES =
		10, /* its destination becomes addr. a: with this port, host byte order, 0: its own */
	CB_STEP_MEMBER = 11, /* a load balancer gives it to a member. id: number of the member */
	CB_STEP_NEIGHBOUR =
		12, /* it goes to a machine beyond an uplink. id: network number; a: 1: its MAC is known; addr: of the machine */
	CB_STEP_SEEK =
		13, /* several ports may have addr, and nobody is known to: it is asked for instead. id: network number */
	CB_STEP_WAIT =
		14, /* it waits for a limit of bits, and then goes on. id: VIF; a: CB_DIR_EGRESS: what it sends, CB_DIR_INGRESS: what it receives */
	CB_STEP_MIRROR = 15, /* a copy goes to a mirror. id: number of the mirror; a: CB_DIR_*, as VIF b sees it */
	CB_STEP_PASSED_OVER =
		17, /* ports of this host get no copy. id: how many; a: 0: they have not joined the group, 1: it is a report of groups, which is for routers of multicast */
	CB_STEP_SERVICE =
		18, /* a Service gives it to an endpoint. id: first 32 bits of the Service's UUID; a: port, host byte order; addr: of the endpoint */
	CB_STEP_STEER =
		16, /* a policy route of the router matches. id: first 32 bits of its UUID; a: enum cb_steer_action; addr: the next hop */
};

#define CB_TRACE_STEPS 32
/* flag of struct cb_trace: the packet is the answer to one that passed; rules are asked as they were for that */
#define CB_TRACE_F_ANSWER 0x1
/* flag of struct cb_trace, by the vrouter: the packet would have begun a flow here, which `began` is */
#define CB_TRACE_F_BEGAN 0x2
/* Flows that an answer may belong to on one host: as often does a way come by the same. */
#define CB_TRACE_FLOWS 4

/* A flow that a traced packet would begin. Numbers are the host's. */
struct cb_trace_flow {
	struct cb_tuple_key tuple[2]; /* as its packets would enter, by direction */
	__u32 vif; /* it would come from; 0: another host */
	__u32 member; /* as in struct cb_flow */
	__u32 served; /* as in struct cb_flow */
	__u32 pad;
};

struct cb_step {
	__u32 kind; /* enum cb_step_kind */
	__u32 id;
	__u32 a;
	__u32 b;
	struct cb_addr addr;
};

/*
 * cb_trace_3: array of one: the trace that runs in a load of the programs that only traces; each such load has its own. The agent writes what it begins with, with
 * the rest zero, and the vrouter the steps.
 */
struct cb_trace {
	__u32 vif; /* VIF that the packet is from */
	__u32 wire_id; /* of a packet from another host: the VNI; of one that an uplink receives: the number of its network */
	__u32 tunnel; /* and the tunnel to that host */
	__u32 flags; /* CB_TRACE_F_* */
	__u32 count; /* steps; more than CB_TRACE_STEPS: the last were left out */
	__u32 flows; /* with CB_TRACE_F_ANSWER: how many of `flow` the packet that it answers would have begun here */
	struct cb_trace_flow began;
	struct cb_trace_flow flow[CB_TRACE_FLOWS];
	struct cb_step step[CB_TRACE_STEPS];
};

/* A layout that changes needs a new map name: these lines stop a change by accident. */
_Static_assert(sizeof(struct cb_announced_key) == 20, "layout of cb_announced_key");
_Static_assert(sizeof(struct cb_announced) == 24, "layout of cb_announced");
_Static_assert(sizeof(struct cb_beacon) == 160, "layout of cb_beacon");
_Static_assert(sizeof(struct cb_in_key) == 8, "layout of cb_in_key");
_Static_assert(sizeof(struct cb_in) == 8, "layout of cb_in");
_Static_assert(sizeof(struct cb_vif) == 128, "layout of cb_vif");
_Static_assert(sizeof(struct cb_net) == 64, "layout of cb_net");
_Static_assert(sizeof(struct cb_tunnel) == 64, "layout of cb_tunnel");
_Static_assert(sizeof(struct cb_peer_key) == 20, "layout of cb_peer_key");
_Static_assert(sizeof(struct cb_peer) == 16, "layout of cb_peer");
_Static_assert(sizeof(struct cb_source_key) == 28, "layout of cb_source_key");
_Static_assert(sizeof(struct cb_source) == 8, "layout of cb_source");
_Static_assert(sizeof(struct cb_ep_key) == 20, "layout of cb_ep_key");
_Static_assert(sizeof(struct cb_mac_key) == 8, "layout of cb_mac_key");
_Static_assert(sizeof(struct cb_endpoint) == 24, "layout of cb_endpoint");
_Static_assert(sizeof(struct cb_route_key) == 24, "layout of cb_route_key");
_Static_assert(sizeof(struct cb_route) == 48, "layout of cb_route");
_Static_assert(sizeof(struct cb_exit_key) == 24, "layout of cb_exit_key");
_Static_assert(sizeof(struct cb_next_key) == 24, "layout of cb_next_key");
_Static_assert(sizeof(struct cb_next) == 16 + 48 * CB_NEXT_HOPS, "layout of cb_next");
_Static_assert(sizeof(struct cb_steer_key) == 4, "layout of cb_steer_key");
_Static_assert(sizeof(struct cb_steer) == 144, "layout of cb_steer");
_Static_assert(sizeof(struct cb_steers) == 16 + 144 * CB_STEERS, "layout of cb_steers");
_Static_assert(sizeof(struct cb_nat_key) == 20, "layout of cb_nat_key");
_Static_assert(sizeof(struct cb_nat) == 32, "layout of cb_nat");
_Static_assert(sizeof(struct cb_snat_key) == 4, "layout of cb_snat_key");
_Static_assert(sizeof(struct cb_snat) == 64, "layout of cb_snat");
_Static_assert(sizeof(struct cb_lease_key) == 24, "layout of cb_lease_key");
_Static_assert(sizeof(struct cb_lease) == 96, "layout of cb_lease");
_Static_assert(sizeof(struct cb_block_key) == 20, "layout of cb_block_key");
_Static_assert(sizeof(struct cb_block) == 16, "layout of cb_block");
_Static_assert(sizeof(struct cb_held_key) == 20, "layout of cb_held_key");
_Static_assert(sizeof(struct cb_held) == 32, "layout of cb_held");
_Static_assert(sizeof(struct cb_forward_key) == 28, "layout of cb_forward_key");
_Static_assert(sizeof(struct cb_forward) == 32, "layout of cb_forward");
_Static_assert(sizeof(struct cb_neigh_key) == 20, "layout of cb_neigh_key");
_Static_assert(sizeof(struct cb_near_key) == 20, "layout of cb_near_key");
_Static_assert(sizeof(struct cb_neigh) == 32, "layout of cb_neigh");
_Static_assert(sizeof(struct cb_learn_key) == 20, "layout of cb_learn_key");
_Static_assert(sizeof(struct cb_learn) == 32, "layout of cb_learn");
_Static_assert(sizeof(struct cb_pair_key) == 28, "layout of cb_pair_key");
_Static_assert(sizeof(struct cb_pair) == 8, "layout of cb_pair");
_Static_assert(sizeof(struct cb_announce_key) == 8, "layout of cb_announce_key");
_Static_assert(sizeof(struct cb_announce) == 72, "layout of cb_announce");
_Static_assert(sizeof(struct cb_class_key) == 24, "layout of cb_class_key");
_Static_assert(sizeof(struct cb_class) == 4, "layout of cb_class");
_Static_assert(sizeof(struct cb_rule_key) == 20, "layout of cb_rule_key");
_Static_assert(sizeof(struct cb_rule) == 4, "layout of cb_rule");
_Static_assert(sizeof(struct cb_flood_key) == 8, "layout of cb_flood_key");
_Static_assert(sizeof(struct cb_flood_target) == 4, "layout of cb_flood_target");
_Static_assert(sizeof(struct cb_flood) == 136, "layout of cb_flood");
_Static_assert(sizeof(struct cb_hop_key) == 16, "layout of cb_hop_key");
_Static_assert(sizeof(struct cb_hop) == 24, "layout of cb_hop");
_Static_assert(sizeof(struct cb_prog) == 40, "layout of cb_prog");
_Static_assert(sizeof(struct cb_tuple_key) == 40, "layout of cb_tuple_key");
_Static_assert(sizeof(struct cb_tuple) == 8, "layout of cb_tuple");
_Static_assert(sizeof(struct cb_way) == 64, "layout of cb_way");
_Static_assert(sizeof(struct cb_tally) == 64, "layout of cb_tally");
_Static_assert(sizeof(struct cb_flow) == 384, "layout of cb_flow");
_Static_assert(sizeof(struct cb_told) == 168, "layout of cb_told");
_Static_assert(sizeof(struct cb_carry) == 256, "layout of cb_carry");
_Static_assert(sizeof(struct cb_service_key) == 24, "layout of cb_service_key");
_Static_assert(sizeof(struct cb_service) == 64, "layout of cb_service");
_Static_assert(sizeof(struct cb_backend_key) == 16, "layout of cb_backend_key");
_Static_assert(sizeof(struct cb_backends) == 24 * CB_BACKENDS, "layout of cb_backends");
_Static_assert(sizeof(struct cb_sticky_key) == 40, "layout of cb_sticky_key");
_Static_assert(sizeof(struct cb_sticky) == 32, "layout of cb_sticky");
_Static_assert(sizeof(struct cb_gauge) == 64, "layout of cb_gauge");
_Static_assert(sizeof(struct cb_use) == 64, "layout of cb_use");
_Static_assert(sizeof(struct cb_asked) == 64, "layout of cb_asked");
_Static_assert(sizeof(struct cb_group) == 24, "layout of cb_group");
_Static_assert(sizeof(struct cb_joined) == 64 + 24 * CB_VIF_GROUPS, "layout of cb_joined");
_Static_assert(sizeof(struct cb_meter) == 64, "layout of cb_meter");
_Static_assert(sizeof(struct cb_bucket) == 64, "layout of cb_bucket");
_Static_assert(sizeof(struct cb_limit_key) == 20, "layout of cb_limit_key");
_Static_assert(sizeof(struct cb_limit) == 128, "layout of cb_limit");
_Static_assert(sizeof(struct cb_limited_key) == 20, "layout of cb_limited_key");
_Static_assert(sizeof(struct cb_limited) == 192, "layout of cb_limited");
_Static_assert(sizeof(struct cb_mirror_term) == 40, "layout of cb_mirror_term");
_Static_assert(sizeof(struct cb_mirror_key) == 4, "layout of cb_mirror_key");
_Static_assert(sizeof(struct cb_mirror) == 384, "layout of cb_mirror");
_Static_assert(sizeof(struct cb_mirrored_key) == 4, "layout of cb_mirrored_key");
_Static_assert(sizeof(struct cb_mirrored) == 64, "layout of cb_mirrored");
_Static_assert(sizeof(struct cb_frag) == 56, "layout of cb_frag");
_Static_assert(sizeof(struct cb_orphan_key) == 4, "layout of cb_orphan_key");
_Static_assert(sizeof(struct cb_orphan) == 2072, "layout of cb_orphan");
_Static_assert(sizeof(struct cb_count) == 32, "layout of cb_count");
_Static_assert(sizeof(struct cb_drop) == 16, "layout of cb_drop");
_Static_assert(sizeof(struct cb_lsp_key) == 8, "layout of cb_lsp_key");
_Static_assert(sizeof(struct cb_lsp) == 48, "layout of cb_lsp");
_Static_assert(sizeof(struct cb_label_key) == 20, "layout of cb_label_key");
_Static_assert(sizeof(struct cb_label) == 16, "layout of cb_label");
_Static_assert(sizeof(struct cb_labelled) == 16, "layout of cb_labelled");
_Static_assert(sizeof(struct cb_pw_key) == 4, "layout of cb_pw_key");
_Static_assert(sizeof(struct cb_pw) == 72, "layout of cb_pw");
_Static_assert(sizeof(struct cb_pwfits_key) == 4, "layout of cb_pwfits_key");
_Static_assert(sizeof(struct cb_pw_fit) == 76, "layout of cb_pw_fit");
_Static_assert(sizeof(struct cb_pw_fits) == 4 + 76 * CB_PW_FITS, "layout of cb_pw_fits");
_Static_assert(sizeof(struct cb_pwport_key) == 8, "layout of cb_pwport_key");
_Static_assert(sizeof(struct cb_pw_port) == 12 + 4 * CB_PORT_PWS, "layout of cb_pw_port");
_Static_assert(sizeof(struct cb_pwnext_key) == 16, "layout of cb_pwnext_key");
_Static_assert(sizeof(struct cb_pw_next) == 4, "layout of cb_pw_next");
_Static_assert(sizeof(struct cb_pwend_key) == 20, "layout of cb_pwend_key");
_Static_assert(sizeof(struct cb_pw_end) == 4, "layout of cb_pw_end");
_Static_assert(sizeof(struct cb_pw_tuple) == 40, "layout of cb_pw_tuple");
_Static_assert(sizeof(struct cb_pwflow_key) == 56, "layout of cb_pwflow_key");
_Static_assert(sizeof(struct cb_pw_flow) == 32, "layout of cb_pw_flow");
_Static_assert(sizeof(struct cb_pwuse_key) == 4, "layout of cb_pwuse_key");
_Static_assert(sizeof(struct cb_pw_use) == 16, "layout of cb_pw_use");
_Static_assert(sizeof(struct cb_pwcount) == 16, "layout of cb_pwcount");
_Static_assert(sizeof(struct cb_step) == 32, "layout of cb_step");
_Static_assert(sizeof(struct cb_trace) == 1528, "layout of cb_trace");

#endif /* CABLE_ABI_H */
