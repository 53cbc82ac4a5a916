/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* resolve.h: where a unicast packet goes: by MAC in its network, or by route through a router. */
#ifndef CABLE_RESOLVE_H
#define CABLE_RESOLVE_H

#include "lookup.h"
#include "turn.h"

static __always_inline void resolved_drop(struct resolution *to, __u32 reason)
{
	to->kind = RESOLVED_DROP;
	to->reason = reason;
}

/* Fills @flow's delivery from an endpoint of network @vni that is a VIF here or a remote one. */
static __always_inline void resolve_endpoint(const struct pkt *p, const struct cb_endpoint *ep, __u32 vni,
					     struct cb_flow *flow, struct resolution *to)
{
	struct cb_vif *vif;

	to->kind = RESOLVED_DELIVER;
	flow->out_vni = vni;
	__builtin_memcpy(flow->out_dmac, ep->mac, 6);
	if (ep->kind == CB_ENDPOINT_REMOTE) {
		flow->deliver = CB_DELIVER_OVERLAY;
		flow->remote = ep->remote;
		return;
	}
	vif = lookup_vif(ep->ifindex);
	if (!vif || ep->ifindex == p->in_ifindex)
		return resolved_drop(to, vif ? CB_REASON_NO_ENDPOINT : CB_REASON_NOT_PROGRAMMED);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return resolved_drop(to, CB_REASON_ADMIN_DOWN);
	flow->out_ifindex = ep->ifindex;
	flow->deliver = deliver_kind(vif->flags);
	to->policy = vif->policy;
}

/* Routes a packet sent to the MAC of router @vrf. */
static __always_inline void resolve_route(const struct pkt *p, __u32 vrf, struct cb_flow *flow, struct resolution *to)
{
	struct cb_endpoint *ep;
	struct cb_route *route;
	struct cb_addr target;

	set_v4(&target, p->daddr_be);
	route = lookup_route(vrf, &target);
	if (!route)
		return resolved_drop(to, CB_REASON_NO_ROUTE);
	if (route->kind == CB_ROUTE_NEXTHOP)
		target = route->nexthop;
	ep = lookup_endpoint(route->vni, &target);
	if (ep && ep->kind == CB_ENDPOINT_GATEWAY && route->kind == CB_ROUTE_CONNECTED) {
		to->kind = RESOLVED_GATEWAY;
		return;
	}
	if (!ep || (ep->kind != CB_ENDPOINT_VIF && ep->kind != CB_ENDPOINT_REMOTE))
		return resolved_drop(to, CB_REASON_NO_ENDPOINT);
	flow->flags |= CB_FLOW_F_ROUTED;
	flow->out_mtu_bytes = route->mtu_bytes;
	__builtin_memcpy(flow->out_smac, route->mac, 6);
	resolve_endpoint(p, ep, route->vni, flow, to);
}

/* Where a VIF's packet goes. */
static __always_inline void resolve_from_vif(struct work *w)
{
	struct pkt *p = &w->p;
	struct cb_endpoint *ep = lookup_mac(p->key.zone, p->dmac);

	if (!ep)
		w->to.kind = RESOLVED_FLOOD;
	else if (ep->vrf)
		resolve_route(p, ep->vrf, &w->entry, &w->to);
	else if (ep->kind == CB_ENDPOINT_VIF || ep->kind == CB_ENDPOINT_REMOTE)
		resolve_endpoint(p, ep, p->key.zone, &w->entry, &w->to);
	else
		resolved_drop(&w->to, CB_REASON_NO_ROUTER);
}

/* Where a packet from the overlay goes: to a VIF of this host, never back. */
static __always_inline void resolve_from_overlay(struct work *w)
{
	struct pkt *p = &w->p;
	struct cb_endpoint *ep = lookup_mac(p->key.zone, p->dmac);

	if (ep && ep->kind == CB_ENDPOINT_VIF)
		resolve_endpoint(p, ep, p->key.zone, &w->entry, &w->to);
	else if (ep)
		resolved_drop(&w->to, CB_REASON_UNKNOWN_MAC);
	else if (!lookup_flood(p->key.zone, 0))
		resolved_drop(&w->to, CB_REASON_UNKNOWN_VNI);
	else
		w->to.kind = RESOLVED_FLOOD;
}

/* Where the packet in work goes: into the decision under construction and `to`, both of which the caller has emptied. */
GLOBAL int resolve(struct __sk_buff *ctx __attribute__((unused)))
{
	struct work *w = work();

	if (!w)
		return -1;
	if (w->p.in_ifindex)
		resolve_from_vif(w);
	else
		resolve_from_overlay(w);
	return 0;
}

#endif /* CABLE_RESOLVE_H */
