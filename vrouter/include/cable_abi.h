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

/* Sizes. Flow and fragment tables are LRU; the others refuse the entry that does not fit. */
#define CB_MAX_VIF 8192
#define CB_MAX_SOURCE 65536
#define CB_MAX_ENDPOINT 524288
#define CB_MAX_ROUTE 65536
#define CB_MAX_CLASS 524288
#define CB_MAX_RULE 524288
#define CB_MAX_FLOOD 65536
#define CB_MAX_PEER 16384
#define CB_MAX_FLOW 262144
#define CB_MAX_FRAGMENT 4096
/* Targets in one chunk of a network's flood list; chunks a packet is replicated to at the most. */
#define CB_FLOOD_TARGETS 16
#define CB_FLOOD_CHUNKS 64

/* The service link (198.18.0.0/15): the agent is .1; the VIF with slot n is 198.18.0.0 + n, n >= 2. */
#define CB_SERVICE_NET 0xC6120000 /* host byte order */
#define CB_SERVICE_AGENT 0xC6120001
#define CB_SERVICE_SLOT_MIN 2
#define CB_SERVICE_SLOT_MAX 131070
/*
 * What a VIF may send to the agent's services: so many packets a second, and at once after a pause; one that begins a TCP connection counts as CB_SERVICE_SYN_COST.
 */
#define CB_SERVICE_RATE 200
#define CB_SERVICE_BURST 400
#define CB_SERVICE_SYN_COST 10
/* 169.254.169.254: metadata; also the DHCP server's address in a subnet without a gateway. */
#define CB_METADATA_ADDR 0xA9FEA9FE

/* An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d. */
struct cb_addr {
	__u8 b[16];
};

/* Why a packet was dropped. Append only; a number is never used again. */
enum cb_reason {
	CB_REASON_NONE = 0,
	CB_REASON_NOT_PROGRAMMED = 1, /* the VIF is not yet known: fails closed */
	CB_REASON_ADMIN_DOWN = 2, /* admin_state_up is false on the port */
	CB_REASON_MALFORMED = 3, /* a header is truncated or contradicts itself */
	CB_REASON_SPOOFED_MAC = 4, /* source MAC is neither the port's nor allowed with this source IP */
	CB_REASON_SPOOFED_IP = 5, /* source IP is not the port's nor in an allowed address pair */
	CB_REASON_SPOOFED_ARP = 6, /* ARP sender address is not the port's */
	CB_REASON_UNSUPPORTED_ETHERTYPE = 7, /* neither ARP nor IPv4 */
	CB_REASON_POLICY_EGRESS = 8, /* no egress rule of the sender's security groups allows it */
	CB_REASON_POLICY_INGRESS = 9, /* no ingress rule of the receiver's security groups allows it */
	CB_REASON_NO_ROUTE = 10, /* the router has no route to the destination */
	CB_REASON_NO_ENDPOINT = 11, /* routed, but nobody has the destination address */
	CB_REASON_NO_ROUTER = 12, /* sent to the gateway of a subnet that no router is attached to */
	CB_REASON_TTL_EXCEEDED = 13,
	CB_REASON_UNKNOWN_PEER = 14, /* the tunnel's outer source is not a host of this cloud */
	CB_REASON_UNKNOWN_VNI = 15, /* tunnelled to a network that this host does not carry */
	CB_REASON_UNKNOWN_MAC = 16, /* from the overlay for a MAC that is not on this host */
	CB_REASON_FRAGMENT = 17, /* a later fragment whose first was not seen */
	CB_REASON_TOO_BIG = 18, /* larger than the destination network's MTU */
	CB_REASON_SERVICE = 19, /* a DHCP or metadata packet that may not be passed to the agent */
	CB_REASON_REDIRECT = 20, /* the kernel refused to clone, resize or redirect the packet */
	CB_REASON_INVALID_STATE = 21, /* SYN+ACK, RST, ICMP answer or error without a flow; senseless TCP flags */
	CB_REASON_BROADCAST_LIMIT = 22, /* flood list longer than CB_FLOOD_CHUNKS chunks */
	CB_REASON_PORT_DISABLED_DHCP = 23, /* DHCP server packet sent by a guest */
	CB_REASON_RATE_SERVICE = 24, /* more to the agent's services than a VIF may send */
	CB_REASON_MAX = 32,
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
};

/* Reserved key of cb_stat_1 for packets that belong to no VIF (from the overlay, from the agent). */
#define CB_STAT_OVERLAY 0

/* flags of struct cb_vif */
#define CB_VIF_F_ANTISPOOF 0x1 /* port_security_enabled */
#define CB_VIF_F_PEER 0x2 /* a veth whose other end is in another network namespace: deliver with bpf_redirect_peer */
#define CB_VIF_F_ADMIN_UP 0x4
#define CB_VIF_F_DHCP 0x8 /* some subnet of the network has DHCP on */

/* cb_vif_1: hash, ifindex -> VIF. Written by the agent. No entry: every packet is dropped. */
struct cb_vif_key {
	__u32 ifindex;
};

struct cb_vif {
	__u8 port_id[16]; /* the UUID's bytes */
	__u32 slot; /* service address index */
	__u32 vni;
	__u32 policy; /* 0: no policy, everything is allowed (port security off) */
	__u32 flags;
	__u32 mtu_bytes;
	__u8 mac[6];
	__u8 pad[2];
	struct cb_addr addr; /* first IPv4 address; all zero: none */
	struct cb_addr addr6; /* first IPv6 address; all zero: none */
	struct cb_addr dhcp_server; /* address that DHCP answers come from */
};

/* cb_slot_1: hash, service address index -> VIF. Written by the agent. */
struct cb_slot_key {
	__u32 slot;
};

struct cb_slot {
	__u32 ifindex;
};

/*
 * cb_bucket_1: array, service address index -> what its VIF has sent to the agent's services lately. Written by the vrouter. Nothing has to be deleted: a bucket
 * fills up with time.
 */
struct cb_bucket {
	__u64 full_ns; /* CLOCK_MONOTONIC at which the bucket is full again; past: it is */
};

/* cb_source_1: LPM, what a VIF may send from. Written by the agent. */
struct cb_source_key {
	__u32 prefixlen; /* 96 (ifindex, mac, pad) + the address's 0..128 */
	__u32 ifindex;
	__u8 mac[6];
	__u8 pad[2];
	struct cb_addr addr;
};

struct cb_source {
	__u32 flags; /* none yet */
};

enum cb_endpoint_kind {
	CB_ENDPOINT_VIF = 1, /* on this host: ifindex */
	CB_ENDPOINT_REMOTE = 2, /* on another host: remote */
	CB_ENDPOINT_GATEWAY = 3, /* a router's interface: vrf */
	CB_ENDPOINT_SERVICE = 4, /* a gateway address without a router, or 169.254.169.254: ARP and guest services */
};

/*
 * cb_ep_1: hash, (network, address) -> endpoint. Answers ARP, resolves a routed packet's next hop.
 * cb_mac_1: hash, (network, MAC) -> endpoint. L2 forwarding. Both written by the agent.
 */
struct cb_ep_key {
	__u32 vni;
	struct cb_addr addr;
};

struct cb_mac_key {
	__u32 vni;
	__u8 mac[6];
	__u8 pad[2];
};

struct cb_endpoint {
	__u32 kind; /* enum cb_endpoint_kind */
	__u32 ifindex; /* CB_ENDPOINT_VIF; else 0 */
	__u32 vrf; /* CB_ENDPOINT_GATEWAY; else 0. On the service MAC: the vrf of the gateway's router, or 0 */
	__u32 flags; /* CB_VIF_F_PEER on CB_ENDPOINT_VIF */
	__u8 mac[6];
	__u8 pad[2];
	struct cb_addr remote; /* CB_ENDPOINT_REMOTE: the host's underlay address; else zero */
};

/* cb_route_1: LPM, a router's routes. vrf numbers a router on this host. Written by the agent. */
struct cb_route_key {
	__u32 prefixlen; /* 32 (vrf) + the address's 0..128 */
	__u32 vrf;
	struct cb_addr addr;
};

enum cb_route_kind {
	CB_ROUTE_CONNECTED = 1, /* the destination is in network vni */
	CB_ROUTE_NEXTHOP = 2, /* send to nexthop, which is in network vni */
};

struct cb_route {
	__u32 kind; /* enum cb_route_kind */
	__u32 vni;
	__u32 mtu_bytes; /* of that network */
	__u8 mac[6]; /* of the router's interface in that network */
	__u8 pad[2];
	struct cb_addr nexthop; /* CB_ROUTE_NEXTHOP; else zero */
};

/*
 * cb_class_1: LPM, (policy, remote address) -> class: the set of remote groups and prefixes of the policy's rules
 * that contain the address. No entry: class 0, in which only the rules for "any" remote count.
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
	__u32 rule; /* first 32 bits of the security group rule's UUID, to show which rule allowed */
};

enum cb_flood_kind {
	CB_FLOOD_VIF = 1, /* ifindex */
	CB_FLOOD_REMOTE = 2, /* remote */
};

struct cb_flood_target {
	__u32 kind; /* enum cb_flood_kind */
	__u32 ifindex;
	__u32 policy; /* CB_FLOOD_VIF: the receiver's policy, for its ingress rules */
	__u32 flags; /* CB_VIF_F_* of the receiver */
	struct cb_addr remote;
};

/* cb_flood_1: hash, (network, chunk) -> targets. Chunks are numbered from 0 without a hole. Written by the agent. */
struct cb_flood_key {
	__u32 vni;
	__u32 chunk;
};

struct cb_flood {
	__u32 count; /* targets used in this chunk */
	__u32 pad;
	struct cb_flood_target target[CB_FLOOD_TARGETS];
};

/*
 * flag of struct cb_peer: what the host tunnels here is taken on the uplink. Whoever writes the entry without it, as every build of before does, has
 * the packets go by the overlay device, from the next one on.
 */
#define CB_PEER_F_UPLINK 0x1

/* cb_peer_1: hash, underlay address of each host that may tunnel to this one. Written by the agent. */
struct cb_peer_key {
	struct cb_addr addr;
};

struct cb_peer {
	__u32 flags; /* CB_PEER_F_* */
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
	struct cb_addr nexthop; /* IPv4: the gateway, or the host itself where it is on the link */
};

/* cb_conf_1: array of one. Written by the agent. */
struct cb_conf {
	__u32 epoch; /* rises when a decision may change; a flow with another epoch is decided again */
};

/*
 * cb_prog_1: array of one. Written by the agent, read by the agent that comes after it: of which state the entries are. The vrouter
 * does not look at it.
 */
struct cb_prog {
	__u64 revision; /* of the server's store; 0: nothing was programmed yet */
	__u64 state; /* whose: the first 8 bytes of the UUID of the agent's state directory, as a number */
	__u64 commit; /* which commit of that state */
};

enum cb_flow_state {
	CB_FLOW_NEW = 1, /* no answer seen yet */
	CB_FLOW_ESTABLISHED = 2, /* seen in both */
	CB_FLOW_CLOSING = 3, /* TCP: a FIN was seen */
	CB_FLOW_CLOSED = 4, /* TCP: RST, or FIN both ways */
};

enum cb_deliver {
	CB_DELIVER_VIF = 1, /* redirect to ifindex */
	CB_DELIVER_PEER = 2, /* redirect_peer to ifindex */
	CB_DELIVER_OVERLAY = 3, /* encapsulate with vni to remote */
	CB_DELIVER_SERVICE = 4, /* to the agent; never in a flow */
	CB_DELIVER_FLOOD = 5, /* copies to a network's flood list; never in a flow */
};

/* flags of struct cb_flow */
#define CB_FLOW_F_REPLY 0x1 /* this entry's packets answer the flow's first packet */
#define CB_FLOW_F_ROUTED 0x2 /* rewrite MACs, decrement TTL */
#define CB_FLOW_F_FIN 0x4 /* TCP: FIN seen in this direction */

/*
 * cb_flow_1: LRU hash, one entry a direction. zone: the VNI of the network in which the packet entered this host.
 * Written by the vrouter; the agent reads, and deletes only the flows of a VIF that is gone.
 */
struct cb_flow_key {
	__u32 zone;
	struct cb_addr src;
	struct cb_addr dst;
	__u16 sport_be; /* ICMP query: the identifier, and dport type << 8 | code; its answer: the reverse; others: 0 */
	__u16 dport_be;
	__u8 protocol;
	__u8 pad[3];
};

struct cb_flow {
	__u64 seen_ns; /* CLOCK_MONOTONIC, refreshed at most once a second, in both entries */
	__u64 packets;
	__u64 bytes;
	__u32 epoch;
	__u32 in_ifindex; /* VIF it came from; 0: the overlay */
	__u32 peer_zone; /* zone of the other direction's entry */
	__u32 out_ifindex;
	__u32 out_vni;
	__u8 state; /* enum cb_flow_state */
	__u8 flags;
	__u8 deliver; /* enum cb_deliver; 0: not known until this direction's first packet */
	__u8 pad;
	__u8 in_smac[6]; /* source MAC that passed anti-spoofing */
	__u8 in_dmac[6]; /* destination MAC it was decided for */
	__u8 out_dmac[6];
	__u8 out_smac[6];
	struct cb_addr remote;
	__u32 out_mtu_bytes; /* with CB_FLOW_F_ROUTED; else 0 */
	__u32 pad2;
};

/* cb_frag_1: LRU hash, first fragment's ports for the fragments that follow. Written by the vrouter. */
struct cb_frag_key {
	__u32 zone;
	__u32 id;
	struct cb_addr src;
	struct cb_addr dst;
	__u8 protocol;
	__u8 pad[3];
};

struct cb_frag {
	__u16 sport_be;
	__u16 dport_be;
};

/* cb_stat_1: per-CPU hash, VIF's ifindex (or CB_STAT_OVERLAY) -> counters. Entries made by the agent. */
struct cb_stat_key {
	__u32 ifindex;
};

struct cb_stat {
	__u64 rx_packets; /* from the VIF */
	__u64 rx_bytes;
	__u64 tx_packets; /* to the VIF */
	__u64 tx_bytes;
	__u64 drops[CB_REASON_MAX]; /* by enum cb_reason, of packets from or to the VIF */
};

/* A layout that changes needs a new map name: these lines stop a change by accident. */
_Static_assert(sizeof(struct cb_vif_key) == 4, "layout of cb_vif_key");
_Static_assert(sizeof(struct cb_vif) == 92, "layout of cb_vif");
_Static_assert(sizeof(struct cb_slot_key) == 4, "layout of cb_slot_key");
_Static_assert(sizeof(struct cb_slot) == 4, "layout of cb_slot");
_Static_assert(sizeof(struct cb_bucket) == 8, "layout of cb_bucket");
_Static_assert(sizeof(struct cb_source_key) == 32, "layout of cb_source_key");
_Static_assert(sizeof(struct cb_source) == 4, "layout of cb_source");
_Static_assert(sizeof(struct cb_ep_key) == 20, "layout of cb_ep_key");
_Static_assert(sizeof(struct cb_mac_key) == 12, "layout of cb_mac_key");
_Static_assert(sizeof(struct cb_endpoint) == 40, "layout of cb_endpoint");
_Static_assert(sizeof(struct cb_route_key) == 24, "layout of cb_route_key");
_Static_assert(sizeof(struct cb_route) == 36, "layout of cb_route");
_Static_assert(sizeof(struct cb_class_key) == 24, "layout of cb_class_key");
_Static_assert(sizeof(struct cb_class) == 4, "layout of cb_class");
_Static_assert(sizeof(struct cb_rule_key) == 20, "layout of cb_rule_key");
_Static_assert(sizeof(struct cb_rule) == 4, "layout of cb_rule");
_Static_assert(sizeof(struct cb_flood_key) == 8, "layout of cb_flood_key");
_Static_assert(sizeof(struct cb_flood_target) == 32, "layout of cb_flood_target");
_Static_assert(sizeof(struct cb_flood) == 520, "layout of cb_flood");
_Static_assert(sizeof(struct cb_peer_key) == 16, "layout of cb_peer_key");
_Static_assert(sizeof(struct cb_peer) == 4, "layout of cb_peer");
_Static_assert(sizeof(struct cb_hop_key) == 16, "layout of cb_hop_key");
_Static_assert(sizeof(struct cb_hop) == 24, "layout of cb_hop");
_Static_assert(sizeof(struct cb_conf) == 4, "layout of cb_conf");
_Static_assert(sizeof(struct cb_prog) == 24, "layout of cb_prog");
_Static_assert(sizeof(struct cb_flow_key) == 44, "layout of cb_flow_key");
_Static_assert(sizeof(struct cb_flow) == 96, "layout of cb_flow");
_Static_assert(sizeof(struct cb_frag_key) == 44, "layout of cb_frag_key");
_Static_assert(sizeof(struct cb_frag) == 4, "layout of cb_frag");
_Static_assert(sizeof(struct cb_stat_key) == 4, "layout of cb_stat_key");
_Static_assert(sizeof(struct cb_stat) == 288, "layout of cb_stat");

#endif /* CABLE_ABI_H */
