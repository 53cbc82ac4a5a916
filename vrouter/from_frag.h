/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * from_frag.h: the programs around the fragmenter: on both sides of cablef0, within its namespace, and on cablef1 (tc ingress), to which the pieces come
 * back. They are delivered by the way of their flow: later pieces have no ports, and nothing is decided a second time.
 */
#ifndef CABLE_FROM_FRAG_H
#define CABLE_FROM_FRAG_H

#include <linux/if_packet.h>
#include "lib/cut.h"
#include "lib/deliver.h"

/* On cablef0, ingress: the mark chooses the route, and by it the size; the kernel copies it to each piece. */
SEC("tc")
int frag_in(struct __sk_buff *ctx)
{
	struct cut_header *eth;

	eth = at(ctx, 0, sizeof(*eth));
	if (!eth)
		return TC_ACT_SHOT;
	ctx->mark = bpf_ntohl(eth->mark_be);
	bpf_skb_change_type(ctx, PACKET_HOST);
	return TC_ACT_OK;
}

/* On cablef0, egress. Without a mark it is the kernel's own. */
SEC("tc")
int frag_out(struct __sk_buff *ctx)
{
	struct cut_header eth;

	write_cut_header(&eth, ctx->mark);
	if (!ctx->mark || bpf_skb_store_bytes(ctx, 0, &eth, sizeof(eth), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

/* Is the packet one that leaves by direction @direction of @flow? As it leaves, it is what the other direction's packets answer. */
static __always_inline int leaves_by(const struct iphdr *ip, struct cb_flow *flow, __u32 direction)
{
	const struct cb_tuple_key *answer = direction ? &flow->tuple[0] : &flow->tuple[1];

	return is_v4_mapped(&answer->src) && ip->saddr == v4_of(&answer->dst) && ip->daddr == v4_of(&answer->src);
}

/* What deliver() and those behind it ask about the packet. */
static __always_inline void note_piece(struct pkt *p, const struct iphdr *ip)
{
	p->family = CB_FAMILY_V4;
	p->key.protocol = ip->protocol;
	p->l4_off = ETH_HLEN + ip->ihl * 4;
	p->ip_end = ETH_HLEN + bpf_ntohs(ip->tot_len);
}

SEC("tc")
int from_frag(struct __sk_buff *ctx)
{
	struct work *w = start_work(0);
	struct cut_header *eth;
	__u32 mark, direction;
	struct cb_flow *flow;
	struct cb_way *way;
	struct iphdr *ip;

	eth = need(ctx, 0, sizeof(*eth) + sizeof(*ip));
	if (!eth || !w)
		return drop(ctx, 0, CB_REASON_MALFORMED);
	ip = (void *)(eth + 1);
	mark = bpf_ntohl(eth->mark_be);
	direction = mark >> CUT_DIRECTION_SHIFT & 1;
	flow = flow_row(mark & ((1 << CUT_FLOW_BITS) - 1));
	if (!flow)
		return drop(ctx, 0, CB_REASON_STALE_PIECE);
	way = way_of(flow, direction);
	w->p.in_vif = way->in_vif;
	if ((flow->life & 3) != CB_LIFE_LIVE || cut_life(flow) != (mark >> CUT_LIFE_SHIFT & CUT_LIFE_MASK) ||
	    !way->deliver || !leaves_by(ip, flow, direction))
		return drop(ctx, 0, CB_REASON_STALE_PIECE);
	note_piece(&w->p, ip);
	if (way->flags & CB_WAY_F_ROUTED) {
		copy_mac(eth, way->out_dmac);
		copy_mac((__u8 *)eth + ETH_ALEN, way->out_smac);
	} else {
		copy_mac(eth, way->in_dmac);
		copy_mac((__u8 *)eth + ETH_ALEN, way->in_smac);
	}
	return hand_over(ctx, &w->p, way);
}

#endif /* CABLE_FROM_FRAG_H */
