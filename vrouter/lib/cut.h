/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * cut.h: IPv4 packets that are larger than the network takes which they go into, and may be cut. A program cannot make several packets of one, so they go
 * once through the stack of a namespace that does nothing else, the fragmenter. What they are a part of goes along as a mark, in the source MAC up to there
 * and back, and in the packet's mark within.
 */
#ifndef CABLE_CUT_H
#define CABLE_CUT_H

#include "flow.h"
#include "limit.h"
#include "turn.h"

#define CUT_FLOW_BITS 17
#define CUT_DIRECTION_SHIFT CUT_FLOW_BITS
#define CUT_LIFE_SHIFT (CUT_DIRECTION_SHIFT + 1)
#define CUT_LIFE_MASK 0xff
#define CUT_IP_FLAG_DF 0x4000
#define CUT_SIZE_MIN 64

_Static_assert(CB_MAX_FLOW <= 1 << CUT_FLOW_BITS, "a flow number fits the mark");
_Static_assert(CUT_LIFE_SHIFT + 8 == CB_CUT_SIZE_SHIFT, "the mark has no hole");

/* An Ethernet header whose source says what it belongs to; the destination is nobody's. */
struct cut_header {
	__u8 dest[6];
	__u8 source[2];
	__u32 mark_be;
	__u16 proto_be;
} __attribute__((packed));

static __always_inline void write_cut_header(struct cut_header *eth, __u32 mark)
{
	__builtin_memset(eth, 0, sizeof(*eth));
	eth->dest[0] = 0x02;
	eth->dest[1] = 0xca;
	eth->source[0] = 0x02;
	eth->source[1] = 0xca;
	eth->mark_be = bpf_htonl(mark);
	eth->proto_be = bpf_htons(ETH_P_IP);
}

/* Number of the largest size of at most @mtu_bytes, which are at least CUT_SIZE_MIN. */
static __always_inline __u32 cut_size(__u32 mtu_bytes)
{
	__u32 doublings = 0;

	for (int n = 0; n < CB_CUT_SIZES / 8 - 1; n++)
		if (mtu_bytes >> (4 + doublings) >= 8)
			doublings++;
	mtu_bytes >>= 3 + doublings;
	return doublings * 8 + (mtu_bytes > 15 ? 7 : mtu_bytes - 8);
}

static __always_inline __u32 cut_life(const struct cb_flow *flow)
{
	return flow->life >> 2 & CUT_LIFE_MASK;
}

/* The way of the packet in work in its flow, or NULL: it has none. Of a trace that which it would be given. */
static __always_inline struct cb_way *way_in_flow(struct work *w)
{
	struct cb_flow *flow = flow_row(w->flow);

	if (cfg_trace)
		return w->beside ? NULL : &w->way;
	return flow && w->flow ? way_of(flow, w->direction) : NULL;
}

/*
 * Is the packet in work, which is to be refused, only too big, and may be cut? Not one with IP options, which the fragmenter would answer as a router of its own. One whose
 * TTL ends as well is refused for that.
 */
static __always_inline int may_cut(struct __sk_buff *ctx, struct work *w)
{
	struct cb_way *way = way_in_flow(w);
	struct iphdr *ip;

	if (!cfg_frag_ifindex || w->refusal.reason != CB_REASON_TOO_BIG || w->refusal.mtu_bytes < CUT_SIZE_MIN ||
	    w->p.family != CB_FAMILY_V4 || w->p.flags & PKT_RELATED || w->p.l4_off != ETH_HLEN + sizeof(*ip) || !way)
		return 0;
	ip = need(ctx, ETH_HLEN, sizeof(*ip));
	if (!ip || ip->frag_off & bpf_htons(CUT_IP_FLAG_DF))
		return 0;
	if (!(way->flags & CB_WAY_F_ROUTED) || ip->ttl > 1)
		return 1;
	w->refusal.reason = CB_REASON_TTL_EXCEEDED;
	w->refusal.mtu_bytes = 0;
	return 0;
}

/* The fragmenter routes, and lowers the TTL. Within a network it must not seem so. */
static __always_inline void raise_ttl(struct iphdr *ip)
{
	__u32 sum;

	if (ip->ttl == 255)
		return;
	ip->ttl++;
	sum = (__u32)ip->check + 0xffff - bpf_htons(0x0100);
	ip->check = (sum & 0xffff) + (sum >> 16);
}

/* Gives the packet in work to the fragmenter. Its pieces come back to from_frag(); later ones have no ports to be translated, so the packet is before. */
static __always_inline int to_fragmenter(struct __sk_buff *ctx, struct work *w)
{
	struct cb_flow *flow = flow_row(w->flow);
	struct cb_way *way = way_in_flow(w);
	struct cut_header eth;
	struct iphdr *ip;
	int reason;

	if (!flow || !way)
		return drop(ctx, w->p.in_vif, CB_REASON_TOO_BIG);
	reason = way->flags & CB_WAY_F_REWRITE ? pass_translated(ctx, way->out_net) : CB_REASON_NONE;
	if (reason)
		return drop(ctx, w->p.in_vif ? w->p.in_vif : way->out_vif, reason);
	ip = need(ctx, ETH_HLEN, sizeof(*ip));
	if (!ip)
		return drop(ctx, w->p.in_vif, CB_REASON_TOO_BIG);
	if (!(way->flags & CB_WAY_F_ROUTED))
		raise_ttl(ip);
	write_cut_header(&eth, w->flow | (w->direction & 1) << CUT_DIRECTION_SHIFT | cut_life(flow) << CUT_LIFE_SHIFT |
				       cut_size(w->refusal.mtu_bytes) << CB_CUT_SIZE_SHIFT);
	if (bpf_skb_store_bytes(ctx, 0, &eth, sizeof(eth), 0))
		return drop(ctx, w->p.in_vif, CB_REASON_REDIRECT);
	trace(ctx, cfg_frag_ifindex, CB_DELIVER_FRAGMENTER, 0, 0, CB_REASON_NONE);
	return bpf_redirect(cfg_frag_ifindex, 0);
}

#endif /* CABLE_CUT_H */
