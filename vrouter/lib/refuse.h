/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* refuse.h: a packet that a router sends no further. */
#ifndef CABLE_REFUSE_H
#define CABLE_REFUSE_H

#include "cut.h"
#include "icmp6.h"

static __always_inline int make_error_for(struct __sk_buff *ctx, const struct work *w)
{
	__u32 code_type = ICMP_TIME_EXCEEDED << 8 | ICMP_EXC_TTL;

	if (w->refusal.reason == CB_REASON_TOO_BIG)
		code_type = ICMP_DEST_UNREACH << 8 | ICMP_FRAG_NEEDED;
	else if (w->refusal.reason == CB_REASON_NO_MEMBER)
		code_type = ICMP_DEST_UNREACH << 8 | ICMP_PORT_UNREACH;

	if (w->p.family == CB_FAMILY_V6)
		return make_error6(ctx, w);
	return make_error(ctx, &w->p, v4_of(&w->refusal.source), code_type, w->refusal.mtu_bytes);
}

/* The gateway, or in a network without one the address of the agent's services. */
static __always_inline __u32 gateway_address(const struct cb_vif *vif)
{
	__u32 gateway_be = v4_of(&vif->dhcp_server);

	return gateway_be ? gateway_be : bpf_htonl(CB_METADATA_ADDR);
}

/* The route by which what the packet's destination, a floating IP of this host, sends leaves to where the packet came from. */
static __always_inline struct cb_route *route_of_floating(const struct work *w)
{
	struct cb_nat *nat = lookup_nat(w->p.key.net, 0, &w->p.dst);

	if (nat)
		nat = lookup_nat(nat->to_net, w->p.key.net, &nat->to);
	return nat ? lookup_route(nat->vrf, &w->p.src) : NULL;
}

/* The router's address on the external network that the packet came from. Returns 0; -1: it came through no router. */
static __always_inline int note_outer_source(struct work *w)
{
	struct cb_endpoint *ep = lookup_mac(w->p.key.net, w->p.dmac);
	struct cb_route *route = ep && ep->vrf ? lookup_route(ep->vrf, &w->p.src) : NULL;

	if (route && route->outside)
		route = route_of_floating(w);
	if (!route || is_unspecified(&route->own))
		return -1;
	w->refusal.source = route->own;
	return 0;
}

/* The address from which the sender is told. Returns 0; -1: nobody here can tell him. Another host has its own vrouter. */
static __always_inline int note_source(struct work *w)
{
	struct cb_vif *vif;

	if (w->p.flags & PKT_OUTSIDE)
		return note_outer_source(w);
	vif = w->p.in_vif ? vif_row(w->p.in_vif) : NULL;
	if (!vif)
		return -1;
	if (w->p.family == CB_FAMILY_V6)
		error_source6(&w->refusal.source, vif);
	else
		set_v4(&w->refusal.source, gateway_address(vif));
	return 0;
}

/* Within a network the packet went to a neighbour's MAC: the error comes from that of the address which tells it, if somebody has it. */
static __always_inline void sign_error(struct __sk_buff *ctx, const struct work *w)
{
	struct cb_endpoint *to = lookup_mac(w->p.key.net, w->p.dmac), *sender;

	if (w->p.flags & PKT_OUTSIDE || (to && to->vrf))
		return;
	sender = lookup_endpoint(w->p.key.net, &w->refusal.source);
	if (sender)
		bpf_skb_store_bytes(ctx, ETH_ALEN, sender->mac, ETH_ALEN, 0);
}

/* Drops the packet in work, by `refusal`, and tells its sender. */
SEC("tc")
int refuse(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_REFUSE);
	struct cb_vif *vif;

	if (!w)
		return drop_stray(ctx);
	if (may_cut(ctx, w))
		return to_fragmenter(ctx, w);
	if (note_source(w) || make_error_for(ctx, w))
		return drop(ctx, w->p.in_vif, w->refusal.reason);
	sign_error(ctx, w);
	count_drop(w->p.in_vif, w->refusal.reason);
	if (w->p.flags & PKT_OUTSIDE)
		return to_uplink(ctx, 0, w->p.key.net, w->refusal.reason);
	vif = vif_row(w->p.in_vif);
	return to_vif(ctx, w->p.in_vif, deliver_kind(vif ? vif->flags : 0), w->refusal.reason);
}

#endif /* CABLE_REFUSE_H */
