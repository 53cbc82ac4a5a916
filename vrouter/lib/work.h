/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * work.h: what is known of the packet in work, one record a CPU. It is the only thing that functions and programs hand to each other: a
 * global function is given nothing but the context, and a tail call gives up the stack. A program's run ends before the next begins on
 * the same CPU, so one record is enough; it holds nothing between packets but `cursor`.
 */
#ifndef CABLE_WORK_H
#define CABLE_WORK_H

#include "maps.h"

/*
 * A function that the verifier looks at once, and not again for each call: int name(struct __sk_buff *ctx). Packet pointers are void
 * after a call. verifier: weak, or the compiler, which sees that @ctx is not used, passes what happens to be in the register.
 */
#define GLOBAL __attribute__((weak, noinline))

/* What was written before is written before what comes after: the compiler's order; x86 and the verifier's atomics keep the machine's. */
#define barrier() asm volatile("" ::: "memory")

/* flags of struct pkt */
#define PKT_OPENING 0x1 /* starts a connection: TCP SYN, ICMP query */
#define PKT_NEEDS_FLOW 0x2 /* makes sense only in a flow: SYN+ACK, RST, ICMP answer or error */
#define PKT_RELATED 0x4 /* ICMP error: key is that of an answer to the packet it is about */
#define PKT_FIRST_FRAGMENT 0x8
#define PKT_LATER_FRAGMENT 0x10 /* has no ports of its own */
#define PKT_LINK 0x20 /* neighbour discovery or multicast listeners: rules do not apply */
#define PKT_OUTSIDE 0x1000 /* an uplink received it, for a provider network */
#define PKT_TRANSLATED 0x2000 /* addresses or ports become others: `nat` says which */

/*
 * What the programs need of one packet. MACs are padded so that they can be compared by words. The Ethernet header sets ethertype and
 * MACs; the IP header's family, addresses, here and in the key, protocol, l4_off and ip_end. What is set for some packets only is zeroed when work starts.
 */
struct pkt {
	struct cb_tuple_key key __attribute__((aligned(8)));
	__u32 flags; /* PKT_* */
	__u32 in_vif; /* VIF it came from; 0: another host, or an uplink */
	__u32 ip_end; /* where the packet ends, as its IP header says; behind it there may be padding */
	__u32 frag_id; /* with PKT_FIRST_FRAGMENT or PKT_LATER_FRAGMENT */
	__u8 family; /* CB_FAMILY_*; 0: no IP */
	__u8 tcp_flags;
	__u8 icmp_type; /* of ICMP or ICMPv6 */
	__u8 pad0;
	__u32 check; /* of the key; see struct cb_way */
	__u64 now_ns; /* when it was forwarded, CLOCK_MONOTONIC */
	struct cb_addr src __attribute__((aligned(8))); /* as in the packet; the key of an ICMP error has others */
	struct cb_addr dst __attribute__((aligned(8)));
	__u32 tcp_seq; /* these four: TCP, not of later fragments */
	__u32 tcp_ack;
	__u32 tcp_len; /* what it takes of the sequence numbers */
	__u16 tcp_window;
	__u16 in_tunnel; /* of a packet from another host: the tunnel to that */
	__u8 smac[8];
	__u8 dmac[8];
	__u16 ethertype_be;
	__u16 l4_off;
};

/* What is asked of the VIF that the packet is from, once it leaves the established path. From another host: no flags, CB_POLICY_NONE. */
struct sender {
	__u32 flags; /* CB_VIF_F_* */
	__u32 policy;
	__u32 network_policies;
	__u32 service; /* enum service: what the agent has to do with the packet */
	__u32 project;
	__u8 mac[8];
};

/* What resolving found besides a place to deliver to. */
enum resolved {
	RESOLVED_DELIVER, /* see the way and the receiver's policy */
	RESOLVED_FLOOD, /* nobody is known to have the MAC */
	RESOLVED_GATEWAY, /* for a router's own address */
	RESOLVED_FORWARD, /* for who has left this host: to the one where he is, whatever the rules: that one asks them */
	RESOLVED_DROP, /* see the reason */
	RESOLVED_ASK, /* to a neighbour whose MAC is not known: see `neighbour` */
	RESOLVED_SEEK, /* several may have the address `sought`, and nobody is known to */
};

struct resolution {
	__u32 kind; /* enum resolved */
	__u32 reason; /* RESOLVED_DROP */
	__u32 policy; /* of the receiving VIF; CB_POLICY_NONE: it is on another host */
	__u32 network_policies; /* of the receiving VIF */
	__u32 project; /* of the receiving VIF */
	__u32 flags; /* of the receiving VIF */
};

/* What one end is asked: CB_POLICY_NONE and nothing else where it is not on this host. */
struct asked {
	__u32 policy;
	__u32 network_policies;
	__u32 flags; /* CB_VIF_F_* */
};

/* A question to the rules: of a connection, from the view of its first packet, whichever direction the packet has. */
struct question {
	__u32 is_reply; /* the packet goes against the connection's direction */
	struct asked from; /* of the VIF that it comes from */
	struct asked to; /* of the one that it goes to */
	__u32 at_sender; /* when it was refused: by the rules of the one that it comes from, not of the one that it goes to */
};

/* VIFs that get a copy of what is flooded. */
enum receivers {
	RECEIVERS_ALL,
	RECEIVERS_MEMBERS, /* those that have joined the group, and those of which that is not known */
	RECEIVERS_ROUTERS, /* routers of multicast: from a report of another a guest would take it that it need not send its own */
};

#define TRANSLATED_IN 0x1
#define TRANSLATED_OUT 0x2

/* What becomes of a packet at a router's gateway. */
struct translation {
	struct cb_tuple_key to; /* PKT_TRANSLATED, or known: what the packet's key becomes; its net does not count */
	__u32 known; /* the packet is one of a flow, which says what it becomes */
	__u32 vrf; /* router that has the packet */
	__u16 outside; /* external network in question */
	__u16 answer_net; /* in which answers enter this host, as the destination's row says; 0: as without translation */
	__u16 first_port; /* these three: a port or identifier is chosen for the source when the flow begins */
	__u16 last_port;
	__u32 chooses;
	__u32 leased; /* the source has a port of the sender's own blocks, or is to get one */
	__u32 asked; /* TRANSLATED_*: which of the packet's ends the rows were asked about */
	__u32 here; /* VIF that has the floating IP by which the packet came in: it leads nowhere else; 0: any */
	__u32 meets; /* it came in by a floating IP: `met` may be a virtual address */
	__u32 floats; /* it leaves with a floating IP, whose MAC follows */
	__u8 mac[6];
	__u8 apart; /* this host, which is not the gateway's, lets it out for its sender's floating IP alone */
	__u8 pad;
	struct cb_addr met; /* the address that the floating IP stands for */
};

/* Who is asked for a MAC. */
struct neighbour {
	struct cb_addr addr;
	struct cb_addr own; /* who asks */
	__u8 mac[8]; /* of that */
};

/* Why a router sends no further what it was given. */
struct refusal {
	__u32 reason; /* CB_REASON_TOO_BIG or CB_REASON_TTL_EXCEEDED */
	__u32 mtu_bytes; /* CB_REASON_TOO_BIG: what would fit */
	struct cb_addr source; /* of the error about it */
};

struct work {
	__u32 stage; /* which program is to go on with the packet: enum cb_stage; 0: none */
	__u32 flow; /* number of the flow that the packet's key leads to; 0: none */
	__u32 direction; /* of the packet in that flow; 0 without one */
	__u32 cursor; /* flow that this CPU took last: it looks for the next behind it */
	struct pkt p;
	struct sender sender;
	struct resolution to;
	struct question ask;
	struct refusal refusal;
	struct cb_route route; /* by which the packet goes on */
	struct cb_next_key several; /* destination with several next hops, of which one is chosen */
	__u64 weight; /* of the one chosen so far */
	__u32 hop; /* its place */
	__u32 steered; /* a policy route has chosen the route */
	__u32 steer; /* place of the policy route that matches; CB_STEERS: none does */
	__u32 stamp; /* sum of the epochs read for the decision under construction */
	struct cb_addr sought; /* RESOLVED_SEEK */
	__u32 claim; /* of ARP and ND: the sender has an address that others may have too (CLAIM_*); all who know of it are told */
	__u32 announce; /* of what is flooded: it goes to those who only route into the network, too */
	__u32 receivers; /* of what is flooded: which VIFs get a copy, enum receivers */
	struct cb_addr joins; /* of a report: the group that is read */
	__u64 flooded_ns; /* when, CLOCK_MONOTONIC; only where not all do */
	__u32 unsettled; /* one of them was odd: the decision must not be remembered */
	__u32 replaced; /* flow that ends because the packet opens a new one over it; 0: none */
	__u32 member; /* to which a load balancer gives the flow; 0: none */
	__u32 served; /* a Service gives the flow an endpoint; as in struct cb_flow */
	__u32 rule; /* first 32 bits of the rule that allowed it last; 0: none was asked */
	__u32 denied; /* class in which the policy that refused it last has the other end; 0: none */
	__u32 beside; /* the packet goes against a flow that it leads to and leaves as it is: it is judged, and not recorded */
	struct cb_way way __attribute__((aligned(8))); /* the decision under construction */
	struct translation nat __attribute__((aligned(8)));
	struct neighbour neighbour __attribute__((aligned(8)));
	struct cb_tuple_key answer
		__attribute__((aligned(8))); /* what answers to a new flow's first packet will look like */
};

/* Not pinned: each load of the programs has its own, of its own layout. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} cb_work_1 SEC(".maps");

/* This CPU's record. Never NULL, whatever the verifier thinks. */
static __always_inline struct work *work(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cb_work_1, &zero);
}

/* The record for a packet that has just come in, of which nothing is known but @in_vif. */
static __always_inline struct work *start_work(__u32 in_vif)
{
	struct work *w = work();

	if (!w)
		return NULL;
	w->p.key.sport_be = 0;
	w->p.key.dport_be = 0;
	w->p.key.protocol = 0;
	w->p.flags = 0;
	w->p.in_vif = in_vif;
	w->p.family = 0;
	w->p.tcp_flags = 0;
	w->p.icmp_type = 0;
	return w;
}

/* Notes what will be asked of the VIF that the packet is from; NULL: from another host. */
static __always_inline void note_sender(struct work *w, const struct cb_vif *vif)
{
	w->sender.service = 0;
	w->sender.flags = vif ? vif->flags : 0;
	w->sender.policy = vif ? vif->policy : CB_POLICY_NONE;
	w->sender.network_policies = vif ? vif->network_policies : 0;
	w->sender.project = vif ? vif->project : 0;
	if (vif)
		__builtin_memcpy(w->sender.mac, vif->mac, 6);
}

#endif /* CABLE_WORK_H */
