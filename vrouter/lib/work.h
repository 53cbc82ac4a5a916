/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * work.h: what is known of the packet in work, one record a CPU. It is the only thing that functions and programs hand to each other: a
 * global function is given nothing but the context, and a tail call gives up the stack. A program's run ends before the next begins on
 * the same CPU, so one record is enough; it holds nothing between packets.
 */
#ifndef CABLE_WORK_H
#define CABLE_WORK_H

#include "maps.h"

/*
 * A function that the verifier looks at once, and not again for each call: int name(struct __sk_buff *ctx). Packet pointers are void
 * after a call. verifier: weak, or the compiler, which sees that @ctx is not used, passes what happens to be in the register.
 */
#define GLOBAL __attribute__((weak, noinline))

/* flags of struct pkt */
#define PKT_OPENING 0x1 /* starts a connection: TCP SYN, ICMP query */
#define PKT_NEEDS_FLOW 0x2 /* makes sense only in a flow: SYN+ACK, RST, ICMP answer or error */
#define PKT_RELATED 0x4 /* ICMP error: key is that of an answer to the packet it is about */
#define PKT_FIRST_FRAGMENT 0x8
#define PKT_LATER_FRAGMENT 0x10 /* has no ports of its own */
#define PKT_UNKNOWN 0x20 /* the flow table had no entry for it */

/*
 * What the programs need of one packet. MACs are padded so that they can be compared by words. The Ethernet header sets ethertype and
 * MACs; IPv4's the addresses, here and in the key, protocol and l4_off. What is set for some packets only is zeroed when work starts.
 */
struct pkt {
	struct cb_flow_key key;
	__u32 flags; /* PKT_* */
	__u32 in_ifindex; /* VIF it came from; 0: the overlay */
	__u16 frag_id; /* with PKT_FIRST_FRAGMENT or PKT_LATER_FRAGMENT */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u64 now_ns; /* when it was forwarded, CLOCK_MONOTONIC */
	__u32 saddr_be;
	__u32 daddr_be;
	__u8 smac[8];
	__u8 dmac[8];
	__u16 ethertype_be;
	__u16 l4_off;
};

/* What is asked of the VIF that the packet is from, once it leaves the established path. All zero: from the overlay. */
struct sender {
	__u32 flags; /* CB_VIF_F_* */
	__u32 policy;
	__u32 slot;
	__u32 service; /* enum service: what the agent has to do with the packet */
	__u8 mac[8];
};

/* What resolving found besides a place to deliver to. */
enum resolved {
	RESOLVED_DELIVER, /* see the flow and the receiver's policy */
	RESOLVED_FLOOD, /* nobody is known to have the MAC */
	RESOLVED_GATEWAY, /* for a router's own address */
	RESOLVED_DROP, /* see the reason */
};

struct resolution {
	__u32 kind; /* enum resolved */
	__u32 reason; /* RESOLVED_DROP */
	__u32 policy; /* of the receiving VIF; 0: none, or on another host */
};

/* A question to the rules: of a connection, from the view of its first packet, whichever direction the packet has. */
struct question {
	__u32 is_reply; /* the packet goes against the connection's direction */
	__u32 from; /* policy of the local VIF that it comes from; 0: that end is not on this host, or has none */
	__u32 to; /* of the one that it goes to */
};

/* Why a router sends no further what it was given. */
struct refusal {
	__u32 reason; /* CB_REASON_TOO_BIG or CB_REASON_TTL_EXCEEDED */
	__u32 mtu_bytes; /* CB_REASON_TOO_BIG: what would fit */
};

struct work {
	__u32 stage; /* which program is to go on with the packet: enum cb_stage; 0: none */
	struct pkt p;
	struct sender sender;
	struct resolution to;
	struct question ask;
	struct refusal refusal;
	struct cb_flow entry; /* a decision under construction */
	struct cb_flow peer; /* the other direction's entry, under construction */
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

/* The record for a packet that has just come in, of which nothing is known but @in_ifindex. */
static __always_inline struct work *start_work(__u32 in_ifindex)
{
	struct work *w = work();

	if (!w)
		return NULL;
	w->p.key.sport_be = 0;
	w->p.key.dport_be = 0;
	w->p.key.protocol = 0;
	w->p.flags = 0;
	w->p.in_ifindex = in_ifindex;
	w->p.tcp_flags = 0;
	w->p.icmp_type = 0;
	return w;
}

/* Notes what will be asked of the VIF that the packet is from; NULL: from the overlay. */
static __always_inline void note_sender(struct work *w, const struct cb_vif *vif)
{
	w->sender.service = 0;
	w->sender.flags = vif ? vif->flags : 0;
	w->sender.policy = vif ? vif->policy : 0;
	w->sender.slot = vif ? vif->slot : 0;
	if (vif)
		__builtin_memcpy(w->sender.mac, vif->mac, 6);
}

/* The decision under construction, empty. */
static __always_inline struct cb_flow *start_decision(struct work *w)
{
	__builtin_memset(&w->entry, 0, sizeof(w->entry));
	__builtin_memset(&w->to, 0, sizeof(w->to));
	return &w->entry;
}

#endif /* CABLE_WORK_H */
