/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * outside.h: what an uplink receives for a provider network. The uplink may be the host's own device too: what is for the device's own MAC, or for nobody whom the
 * network has here, goes on to the host as it came, and what is for all goes to both.
 */
#ifndef CABLE_OUTSIDE_H
#define CABLE_OUTSIDE_H

#include "lib/forward.h"
#include "lib/provider.h"

/* May the frame for @dmac concern a VIF, or an address that routers have here? */
static __always_inline int concerns_us(const struct __sk_buff *ctx, __u16 net, const __u8 *dmac)
{
	struct cb_endpoint *ep;

	if (is_group_mac(dmac))
		return 1;
	if (ctx->pkt_type == PACKET_HOST)
		return 0;
	ep = lookup_mac(net, dmac);
	return ep && (ep->kind == CB_ENDPOINT_VIF || ep->vrf);
}

/* What is no ARP and no sound IP packet: a group's goes on to the host, anything else was for one of ours. */
static __always_inline int refuse_outside(struct __sk_buff *ctx, const struct work *w, __u32 reason)
{
	if (is_group_mac(w->p.dmac))
		return leave_to_host(ctx, net_row(w->p.key.net));
	return drop(ctx, 0, reason);
}

/* Is the packet in work an answer to a port that another host has? Then in `way`: the way to that. */
static __noinline int is_for_block(struct work *w)
{
	struct cb_net *row = net_row(w->p.key.net);
	struct cb_block *block;

	if (!row || !(row->flags & CB_NET_F_EXTERNAL) || w->p.flags & PKT_OPENING || !answers_choice(&w->p))
		return 0;
	block = lookup_block(w->p.key.net, &w->p.key.dst, w->p.key.dport_be);
	if (!block)
		return 0;
	w->way.out_net = block->net;
	w->way.tunnel = block->tunnel;
	return 1;
}

/* Forwards the unicast packet in work, or gives it to the host whose port it answers to. Nothing is remembered of that. */
static __always_inline int forward_outside(struct __sk_buff *ctx, struct work *w)
{
	struct cb_flow *flow = begin_forward(w);

	if (!flow && is_for_block(w))
		return GO_ON(ctx, w, CB_STAGE_RELAY);
	return follow(ctx, w, flow);
}

/* The packet in work goes to the host that has the port, as it is: that knows its flow. */
SEC("tc")
int relay(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_RELAY);
	__u32 mtu_bytes;

	if (!w)
		return drop_stray(ctx);
	mtu_bytes = net_mtu(w->way.out_net);
	if (!fits(ctx, &w->p, mtu_bytes))
		return refuse_for(ctx, w, CB_REASON_TOO_BIG, mtu_bytes);
	if (w->p.flags & PKT_FIRST_FRAGMENT && begin_fragments(ctx))
		return drop(ctx, 0, CB_REASON_REDIRECT);
	return to_overlay(ctx, &w->p, w->way.out_net, w->way.tunnel);
}

/* A frame of network key.net that an uplink has received. */
SEC("tc")
int outside(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_OUTSIDE);
	__u8 dmac[8] = {};
	__u32 reason;
	struct pkt *p;

	if (!w || bpf_skb_load_bytes(ctx, 0, dmac, 6) || !concerns_us(ctx, w->p.key.net, dmac))
		return TC_ACT_UNSPEC;
	p = &w->p;
	if (ctx->vlan_present && bpf_skb_vlan_pop(ctx))
		return drop(ctx, 0, CB_REASON_MALFORMED);
	count_rx(ctx, 0);
	reason = parse_ethernet(ctx, p);
	if (reason)
		return refuse_outside(ctx, w, reason);
	if (p->ethertype_be == bpf_htons(ETH_P_ARP))
		return GO_ON(ctx, w, CB_STAGE_ARP);
	reason = parse_ip(ctx, p);
	if (reason == CB_REASON_FRAGMENT && p->flags & PKT_LATER_FRAGMENT && !is_group_mac(p->dmac))
		return GO_ON(ctx, w, CB_STAGE_ORPHAN);
	if (reason)
		return refuse_outside(ctx, w, reason);
	if (p->flags & PKT_LINK)
		return GO_ON(ctx, w, CB_STAGE_ND);
	if (!is_group_mac(p->dmac))
		return forward_outside(ctx, w);
	if (p->flags & PKT_NEEDS_FLOW)
		return refuse_outside(ctx, w, CB_REASON_INVALID_STATE);
	return GO_ON(ctx, w, CB_STAGE_GROUP);
}

#endif /* CABLE_OUTSIDE_H */
