/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* resolve.h: where a unicast packet goes: by MAC in its network, or by route through a router. */
#ifndef CABLE_RESOLVE_H
#define CABLE_RESOLVE_H

#include "lookup.h"
#include "turn.h"

/* What resolve found besides a place to deliver to. */
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
static __noinline void resolve_from_vif(const struct pkt *p, __u32 vni, struct cb_flow *flow, struct resolution *to)
{
	struct cb_endpoint *ep = lookup_mac(vni, p->dmac);

	if (!ep) {
		to->kind = RESOLVED_FLOOD;
		return;
	}
	if (ep->vrf)
		return resolve_route(p, ep->vrf, flow, to);
	if (ep->kind == CB_ENDPOINT_VIF || ep->kind == CB_ENDPOINT_REMOTE)
		return resolve_endpoint(p, ep, vni, flow, to);
	resolved_drop(to, CB_REASON_NO_ROUTER);
}

/* Where a packet from the overlay goes: to a VIF of this host, never back. */
static __noinline void resolve_from_overlay(const struct pkt *p, __u32 vni, struct cb_flow *flow, struct resolution *to)
{
	struct cb_endpoint *ep = lookup_mac(vni, p->dmac);

	if (ep && ep->kind == CB_ENDPOINT_VIF)
		return resolve_endpoint(p, ep, vni, flow, to);
	if (ep)
		return resolved_drop(to, CB_REASON_UNKNOWN_MAC);
	if (!lookup_flood(vni, 0))
		return resolved_drop(to, CB_REASON_UNKNOWN_VNI);
	to->kind = RESOLVED_FLOOD;
}

#endif /* CABLE_RESOLVE_H */
