/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * resolve.h: where a unicast packet goes: by MAC in its network, or by route through a router. Each epoch is read before what it covers; otherwise
 * what was true before a change would be remembered with the stamp of after it.
 */
#ifndef CABLE_RESOLVE_H
#define CABLE_RESOLVE_H

#include <linux/if_ether.h>
#include "learn.h"
#include "lookup.h"
#include "balance.h"
#include "nat.h"
#include "nexthop.h"
#include "provider.h"
#include "serve.h"
#include "steer.h"
#include "step.h"
#include "turn.h"

/* Takes an epoch into the decision under construction. */
static __always_inline void add_epoch(struct work *w, __u32 epoch)
{
	w->stamp += epoch;
	w->unsettled |= epoch & 1;
	barrier();
}

/* The decision under construction, empty: before anything is asked about the packet. */
static __always_inline struct cb_way *start_decision(struct work *w)
{
	__builtin_memset(&w->way, 0, sizeof(w->way));
	__builtin_memset(&w->to, 0, sizeof(w->to));
	w->to.policy = CB_POLICY_NONE;
	w->member = 0;
	w->served = 0;
	w->stamp = 0;
	w->unsettled = 0;
	add_epoch(w, net_epoch(w->p.key.net));
	add_epoch(w, vif_epoch(w->p.in_vif));
	return &w->way;
}

/* MTU of network @net; 0: it is not known. */
static __always_inline __u16 net_mtu(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row ? row->mtu_bytes : 0;
}

/* How to deliver to who is not on this host, in network @net. */
static __always_inline __u8 deliver_away(__u32 net)
{
	return is_provider(net_row(net)) ? CB_DELIVER_UPLINK : CB_DELIVER_OVERLAY;
}

/* To @ep, which is a VIF here or a remote one, in the way's network. */
static __always_inline void resolve_endpoint(struct work *w, const struct cb_endpoint *ep)
{
	struct cb_way *way = &w->way;
	struct cb_vif *vif;

	note_step(CB_STEP_ENDPOINT, ep->kind == CB_ENDPOINT_REMOTE ? ep->tunnel : ep->vif, ep->kind, 0, NULL);
	w->to.kind = RESOLVED_DELIVER;
	__builtin_memcpy(way->out_dmac, ep->mac, 6);
	if (ep->kind == CB_ENDPOINT_REMOTE) {
		way->deliver = deliver_away(way->out_net);
		way->tunnel = ep->tunnel;
		way->mtu_bytes = net_mtu(way->out_net);
		return;
	}
	/* To itself only by its external address. */
	if (ep->vif == w->p.in_vif && !(w->p.flags & PKT_TRANSLATED))
		return resolved_drop(w, CB_REASON_NO_ENDPOINT);
	add_epoch(w, vif_epoch(ep->vif));
	vif = vif_row(ep->vif);
	if (!vif || !vif->ifindex)
		return resolved_drop(w, CB_REASON_NOT_PROGRAMMED);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return resolved_drop(w, CB_REASON_ADMIN_DOWN);
	way->out_vif = ep->vif;
	way->deliver = deliver_kind(vif->flags);
	w->to.policy = vif->policy;
	w->to.network_policies = vif->network_policies;
	w->to.project = vif->project;
	w->to.flags = vif->flags;
}

/* Does the network lead from other hosts to gateways of routers on this one? */
static __always_inline int is_transit(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flags & CB_NET_F_TRANSIT;
}

/* An address from which nothing comes from afar (RFC 6890, RFC 3927): "this network", loopback, multicast and what is above; and that of the host's services for guests. */
static __always_inline int is_nobodys(const struct cb_addr *addr)
{
	const __u32 *word = (const __u32 *)addr->b;
	__u32 v4 = bpf_ntohl(v4_of(addr));

	/* :: and ::1 */
	if (!is_v4_mapped(addr))
		return !(word[0] | word[1] | word[2]) && v4 <= 1;
	return v4 < 0x01000000 || v4 >> 24 == 127 || v4 >= 0xe0000000 || v4 == CB_METADATA_ADDR;
}

/*
 * Does the sender use an address that the router has in another network (RFC 3704), or that Services have? Of a port with port security its own addresses are known. From outside nobody has one of
 * those that a route leads to by a next hop inside either, nor one that nobody has.
 */
static __always_inline int from_elsewhere(const struct work *w, __u32 vrf)
{
	struct cb_route *route;

	if (w->sender.flags & CB_VIF_F_ANTISPOOF || is_transit(w->p.key.net))
		return 0;
	route = lookup_route(vrf, &w->p.src);
	if (route && route->kind == CB_ROUTE_SERVICE)
		return 1;
	if (route && route->kind == CB_ROUTE_CONNECTED && route->net != w->p.key.net)
		return 1;
	if (!is_external(w->p.key.net))
		return 0;
	if (is_nobodys(&w->p.src))
		return 1;
	return route && (route->kind == CB_ROUTE_NEXTHOP || route->kind == CB_ROUTE_SEVERAL) &&
	       route->net != w->p.key.net && !route->outside && !(route->flags & CB_ROUTE_F_GATEWAY);
}

/* The packet came for an address in the external network @outside, or has been routed to one: what it becomes. Returns whether that is settled. */
static __always_inline int enter_gateway(struct __sk_buff *ctx, struct work *w, __u16 outside)
{
	w->nat.outside = outside;
	translate_in(ctx);
	return w->to.kind == RESOLVED_DELIVER;
}

/*
 * Does the packet belong to a flow that passes the router's gateway on another host? An answer goes back the way by which the question came, and a connection that was
 * answered keeps the address that it has outside.
 */
static __always_inline int passes_gateway(const struct work *w)
{
	struct cb_flow *flow = flow_row(w->flow);
	__u8 state;

	if (!w->nat.known || !flow || !same_address(&w->nat.to.src, &w->p.key.src))
		return 0;
	state = way_of(flow, w->direction)->state;
	return w->direction || (state != CB_FLOW_NEW && state != CB_FLOW_PICKED_UP);
}

/*
 * The vrf of the routes by which the packet leaves with its router's address from this host, though another is the gateway's; 0: it does not. What is of a flow goes as that does; of
 * what is of none only a port that can be changed can be one of a block.
 */
GLOBAL int exit_by_block(struct __sk_buff *ctx __attribute__((unused)))
{
	struct work *w = work();
	struct cb_lease *lease;

	if (!w || w->direction || !takes_blocks(w, lookup_snat(w->nat.vrf)))
		return 0;
	lease = lease_of_sender(w);
	return lease ? lease->exit : 0;
}

/*
 * @route leads to the host of the router's gateway: what goes that way of a sender who has a floating IP here, or blocks of ports, leaves by this host's own uplink instead. (What the
 * network that it leads into has for its epoch is no part of such a decision.) With a port of a block only what goes to a next hop: whoever is on the external network itself may
 * be an address of ours, for which the gateway's host answers.
 */
static __always_inline struct cb_route *own_way_out(struct __sk_buff *ctx, struct work *w, struct cb_route *route)
{
	struct cb_route *own;
	struct cb_nat *nat;
	__u32 exit;

	if (!route || !route->outside || passes_gateway(w))
		return route;
	nat = lookup_nat(w->p.key.net, route->outside, &w->p.key.src);
	if (nat) {
		w->nat.apart = 1;
		w->nat.vrf = nat->vrf;
		return lookup_route(nat->vrf, destination_of(w));
	}
	exit = exit_by_block(ctx);
	own = exit ? lookup_route(exit, destination_of(w)) : NULL;
	return own && (own->kind == CB_ROUTE_NEXTHOP || own->kind == CB_ROUTE_SEVERAL) ? own : route;
}

/*
 * With which address a neighbour on the network of @route is asked: one that this host answers for. Of a router's that another host has only packets leave from here:
 * nobody is to learn where it is by them. RFC 5227: then the question is a probe.
 */
static __always_inline struct cb_addr asker(const struct work *w, const struct cb_route *route)
{
	struct cb_addr none = {};
	struct cb_endpoint *ep;

	if (!(w->p.flags & PKT_TRANSLATED) || !(route->flags & CB_ROUTE_F_GATEWAY))
		return route->own;
	ep = lookup_endpoint(route->net, &w->nat.to.src);
	if (!ep || ep->kind != CB_ENDPOINT_LEASED)
		return w->nat.to.src;
	if (w->p.family == CB_FAMILY_V4)
		set_v4(&none, 0);
	return none;
}

/* Number of the peering by which @route leads to a peer of the router; 0: it does not. */
static __always_inline __u32 peering_of(const struct cb_route *route)
{
	return route->flags & CB_ROUTE_F_PEER ? *(const __u32 *)route->nexthop.b : 0;
}

/* May the packet go to a peer of its router by that peering? This side must let the address through that it is from, in the network that it comes by. */
static __always_inline int is_let_through(const struct work *w, __u32 peering)
{
	struct cb_route *back = lookup_route(peering, &w->p.src);

	return back && back->net == w->p.key.net;
}

/* The packet in work goes on by `route`. Returns 0; -1: it may not, and `to` says so. */
static __always_inline int take_route(struct work *w)
{
	__u32 peering = peering_of(&w->route);

	note_step(CB_STEP_ROUTE, w->route.net, w->route.kind, peering, &w->route.nexthop);
	if (peering && !is_let_through(w, peering)) {
		resolved_drop(w, CB_REASON_PEERING);
		return -1;
	}
	w->way.out_net = w->route.net;
	add_epoch(w, net_epoch(w->route.net));
	return 0;
}

/*
 * The route of router `nat.vrf` to where the packet is going, into `route`. @is_first: it may lead what a VIF sends to a Service; then policy routes are asked, and a sender who has a floating
 * IP here may leave here. Returns 0; -1: there is none, and `to` says why.
 */
GLOBAL int find_route(struct __sk_buff *ctx, __u32 is_first)
{
	struct work *w = work();
	struct cb_route *route;

	if (!w)
		return -1;
	w->steered = 0;
	route = lookup_route(w->nat.vrf, destination_of(w));
	if (is_first && route && route->kind == CB_ROUTE_SERVICE && w->p.in_vif) {
		if (w->nat.known) {
			/* It began when no Services were there. */
			resolved_drop(w, CB_REASON_NAT_GONE);
			return -1;
		}
		if (serve(ctx, choose_scope(ctx, scope_of(route), outer_scope_of(route))))
			return -1;
		route = lookup_route(w->nat.vrf, destination_of(w));
	}
	if (is_first && is_steered(w) && steer(ctx, w))
		return w->steered ? take_route(w) : -1;
	if (is_first)
		route = own_way_out(ctx, w, route);
	if (route && route->kind == CB_ROUTE_BY_SOURCE)
		route = lookup_exit(w->nat.vrf, &w->p.src);
	if (route && route->kind == CB_ROUTE_SEVERAL)
		route = choose_route(ctx, w, route);
	if (!route || route->kind == CB_ROUTE_BLACKHOLE || route->kind == CB_ROUTE_SERVICE) {
		resolved_drop(w, route && route->kind == CB_ROUTE_BLACKHOLE ? CB_REASON_BLACKHOLE : CB_REASON_NO_ROUTE);
		return -1;
	}
	w->route = *route;
	if (is_first)
		pass_through_host(ctx);
	return take_route(w);
}

/* The same; NULL: there is none. */
static __always_inline struct cb_route *route_of(struct __sk_buff *ctx, struct work *w, __u32 is_first)
{
	return find_route(ctx, is_first) ? NULL : &w->route;
}

/* To neighbour @addr on the network of @route, if its MAC is known. */
static __always_inline void resolve_neighbour(struct work *w, const struct cb_route *route, const struct cb_addr *addr)
{
	struct cb_neigh *neighbour = lookup_neighbour(route->net, addr);

	note_step(CB_STEP_NEIGHBOUR, route->net, neighbour && neighbour->learned_ns, 0, addr);
	w->way.deliver = CB_DELIVER_UPLINK;
	w->way.mtu_bytes = route->mtu_bytes;
	if (neighbour && neighbour->learned_ns) {
		__builtin_memcpy(w->way.out_dmac, neighbour->mac, 6);
		w->way.flags |= CB_WAY_F_NEIGHBOUR;
		return;
	}
	w->to.kind = RESOLVED_ASK;
	w->neighbour.addr = *addr;
	w->neighbour.own = asker(w, route);
	__builtin_memcpy(w->neighbour.mac, w->way.out_smac, 6);
}

/* Sends the packet on by @route. */
static __always_inline void resolve_by(struct work *w, const struct cb_route *route)
{
	struct cb_way *way = &w->way;
	struct cb_endpoint *ep, holder;
	struct cb_addr target;

	if (is_unasked(w))
		return resolved_drop(w, CB_REASON_NAT_GONE);
	target = route->kind == CB_ROUTE_NEXTHOP ? route->nexthop : *destination_of(w);
	ep = lookup_endpoint(route->net, &target);
	/* Another router's addresses are known on some hosts only: none answers through a peering. */
	if (ep && ep->kind == CB_ENDPOINT_GATEWAY && route->kind == CB_ROUTE_CONNECTED && !peering_of(route)) {
		w->to.kind = RESOLVED_GATEWAY;
		return;
	}
	if (ep && ep->kind == CB_ENDPOINT_SHARED) {
		holder = *ep;
		if (find_holder(route->net, &target, &holder)) {
			note_step(CB_STEP_SEEK, route->net, 0, 0, &target);
			w->to.kind = RESOLVED_SEEK;
			w->sought = target;
			return;
		}
		way->flags |= CB_WAY_F_LEARNED;
		ep = &holder;
	}
	way->flags |= CB_WAY_F_ROUTED;
	if (w->nat.floats && route->flags & CB_ROUTE_F_GATEWAY)
		__builtin_memcpy(way->out_smac, w->nat.mac, 6);
	else
		__builtin_memcpy(way->out_smac, route->mac, 6);
	if (!ep && !is_unspecified(&route->own) && is_provider(net_row(route->net)))
		return resolve_neighbour(w, route, &target);
	if (!ep || (ep->kind != CB_ENDPOINT_VIF && ep->kind != CB_ENDPOINT_REMOTE))
		return resolved_drop(w, CB_REASON_NO_ENDPOINT);
	/* The port has left: its host answers for the address now. */
	if (w->nat.here && (ep->kind != CB_ENDPOINT_VIF || ep->vif != w->nat.here))
		return resolved_drop(w, CB_REASON_NO_ENDPOINT);
	resolve_endpoint(w, ep);
	way->mtu_bytes = route->mtu_bytes;
}

/* An address of ours in the external network that the packet is routed into: it turns round there. */
static __always_inline int turns_round(const struct work *w, const struct cb_route *route)
{
	struct cb_endpoint *ep = lookup_endpoint(route->net, w->served ? destination_of(w) : &w->p.key.dst);

	return ep && (ep->kind == CB_ENDPOINT_NAT || ep->kind == CB_ENDPOINT_ROUTER);
}

/* Takes the packet through the router's gateway, to which @route leads. Returns the route that it goes on by; NULL: `to` says why it does not. */
static __always_inline struct cb_route *leave_gateway(struct __sk_buff *ctx, struct work *w, struct cb_route *route)
{
	/* No way from the outside to the outside. */
	if (route->net == w->p.key.net) {
		resolved_drop(w, CB_REASON_NO_ROUTE);
		return NULL;
	}
	w->nat.outside = route->net;
	translate_out(ctx);
	if (w->to.kind == RESOLVED_DROP)
		return NULL;
	if (!turns_round(w, route))
		return route;
	if (w->served) {
		resolved_drop(w, CB_REASON_NO_ENDPOINT);
		return NULL;
	}
	if (!enter_gateway(ctx, w, route->net))
		return NULL;
	route = route_of(ctx, w, 0);
	if (route && route->flags & CB_ROUTE_F_GATEWAY) {
		resolved_drop(w, CB_REASON_NO_ROUTE);
		return NULL;
	}
	return route;
}

/*
 * The network in which the packet meets a virtual address at the end of @route; 0: none. The destination of a flow that has a member is that, and the route leads
 * there: the way to the virtual address is looked for anew.
 */
static __always_inline __u32 meets_vip(const struct work *w, const struct cb_route *route)
{
	const struct cb_addr *addr = w->nat.meets ? &w->nat.met : &w->p.key.dst;
	struct cb_endpoint *ep;

	if (w->direction || (w->nat.asked & TRANSLATED_IN && !w->nat.meets))
		return 0;
	if (w->member)
		route = lookup_route(w->nat.vrf, addr);
	if (!route || route->kind != CB_ROUTE_CONNECTED)
		return 0;
	ep = lookup_endpoint(route->net, addr);
	return ep && ep->kind == CB_ENDPOINT_VIP ? route->net : 0;
}

/* Does router @vrf reach the member, to which `route` leads, by a peering, too? */
static __always_inline int is_peered(const struct work *w, __u32 vrf)
{
	struct cb_route *route = lookup_route(vrf, destination_of(w));

	return route && peering_of(route) && route->net == w->route.net;
}

/* Takes the packet, which @route leads to its destination, to its member if that is a virtual address. Returns the route that it goes on by; NULL: `to` says why not. */
static __always_inline struct cb_route *pass_vip(struct __sk_buff *ctx, struct work *w, struct cb_route *route)
{
	__u32 net = meets_vip(w, route), peering = peering_of(&w->route), vrf = w->nat.vrf;

	if (!net && w->member && w->nat.meets) {
		resolved_drop(w, CB_REASON_NAT_GONE);
		return NULL;
	}
	if (!net)
		return route;
	if (balance(ctx, net) < 0 || find_route(ctx, 0))
		return NULL;
	if (w->route.flags & CB_ROUTE_F_GATEWAY) {
		resolved_drop(w, CB_REASON_NO_ROUTE);
		return NULL;
	}
	/* What is let through is the address: its member might answer, but not by the peering. */
	if (peering && !is_peered(w, vrf)) {
		resolved_drop(w, CB_REASON_PEERING);
		return NULL;
	}
	return &w->route;
}

/* Sent to the MAC of a virtual address, @vip. Returns the vrf of the router that leads to the member; 0: that is settled. */
static __always_inline __u32 resolve_vip(struct __sk_buff *ctx, struct work *w, const struct cb_endpoint *vip)
{
	int net = w->p.key.net;
	struct cb_endpoint *ep;

	if (!w->p.family || w->p.flags & PKT_LINK) {
		resolved_drop(w, CB_REASON_NO_ENDPOINT);
		return 0;
	}
	w->way.flags |= CB_WAY_F_ROUTED;
	__builtin_memcpy(w->way.out_smac, vip->mac, 6);
	w->nat.vrf = 0;
	if (!w->member || !w->direction)
		net = balance(ctx, net);
	if (net < 0)
		return 0;
	if (net != w->p.key.net) {
		if (!w->nat.vrf)
			resolved_drop(w, CB_REASON_NO_ROUTE);
		return w->nat.vrf;
	}
	w->way.out_net = net;
	add_epoch(w, net_epoch(net));
	ep = lookup_endpoint(net, destination_of(w));
	if (ep && (ep->kind == CB_ENDPOINT_VIF || ep->kind == CB_ENDPOINT_REMOTE))
		resolve_endpoint(w, ep);
	else
		resolved_drop(w, CB_REASON_NO_ENDPOINT);
	return 0;
}

/* Routes a packet sent to the MAC of router @vrf. */
static __always_inline void resolve_route(struct __sk_buff *ctx, struct work *w, __u32 vrf)
{
	struct cb_route *route;
	int leaves;

	note_step(CB_STEP_ROUTER, vrf, 0, 0, NULL);
	/* RFC 4291 section 2.5.6 */
	if (is_link_local(&w->p.src) || is_link_local(&w->p.key.dst))
		return resolved_drop(w, CB_REASON_NO_ROUTE);
	if (from_elsewhere(w, vrf))
		return resolved_drop(w, CB_REASON_REVERSE_PATH);
	w->nat.vrf = vrf;
	if (is_external(w->p.key.net) && !enter_gateway(ctx, w, w->p.key.net))
		return;
	route = route_of(ctx, w, 1);
	leaves = route && route->flags & CB_ROUTE_F_GATEWAY;
	if (leaves)
		route = leave_gateway(ctx, w, route);
	/* What has turned round at the gateway may have come to a virtual address, too. */
	if (route && !w->steered && (!leaves || w->nat.meets))
		route = pass_vip(ctx, w, route);
	if (route)
		resolve_by(w, route);
}

/* In the packet's own network. */
static __always_inline void resolve_here(struct work *w, const struct cb_endpoint *ep)
{
	if (is_unasked(w))
		return resolved_drop(w, CB_REASON_NAT_GONE);
	w->way.out_net = w->p.key.net;
	add_epoch(w, net_epoch(w->p.key.net));
	resolve_endpoint(w, ep);
}

/* To a MAC that nobody is known to have: on a provider network, beyond the uplink. */
static __always_inline void resolve_unknown(struct work *w)
{
	struct cb_net *row = net_row(w->p.key.net);

	if (!is_provider(row)) {
		w->to.kind = RESOLVED_FLOOD;
		return;
	}
	if (is_unasked(w))
		return resolved_drop(w, CB_REASON_NAT_GONE);
	w->way.out_net = w->p.key.net;
	add_epoch(w, net_epoch(w->p.key.net));
	w->to.kind = RESOLVED_DELIVER;
	w->way.deliver = CB_DELIVER_UPLINK;
	w->way.mtu_bytes = row->mtu_bytes;
}

/* Where a VIF's packet goes. Returns the vrf of the router that it is for; 0: that is settled. The same of the next two. */
static __always_inline __u32 resolve_from_vif(struct __sk_buff *ctx, struct work *w)
{
	struct cb_endpoint *ep = lookup_mac(w->p.key.net, w->p.dmac);

	/* For a router's address outside the host is asked that answers for it. */
	if (!ep || ep->kind == CB_ENDPOINT_LEASED)
		resolve_unknown(w);
	else if (ep->vrf && (!w->p.family || w->p.flags & PKT_LINK))
		resolved_drop(w, CB_REASON_NO_ENDPOINT); /* at a router's MAC nobody reads ARP or ND */
	else if (ep->vrf)
		return ep->vrf;
	else if (ep->kind == CB_ENDPOINT_VIF || ep->kind == CB_ENDPOINT_REMOTE)
		resolve_here(w, ep);
	else if (ep->kind == CB_ENDPOINT_VIP)
		return resolve_vip(ctx, w, ep);
	else
		resolved_drop(w, CB_REASON_NO_ROUTER);
	return 0;
}

static __always_inline int is_vif(const struct cb_endpoint *ep)
{
	return ep && ep->kind == CB_ENDPOINT_VIF;
}

/* Is it a VIF of this host that cannot be at the packet's sender? One that moves may be at both. */
static __always_inline int is_vif_here(const struct work *w, const struct cb_endpoint *ep)
{
	return is_vif(ep) && (!ep->tunnel || ep->tunnel != w->p.in_tunnel);
}

/* Is the source address of the packet that of a VIF of this host? */
static __always_inline int sends_as_vif_here(const struct work *w)
{
	return w->p.family && is_vif_here(w, lookup_endpoint(w->p.key.net, &w->p.src));
}

/*
 * From another host, to @ep, which is at another one, and has a VIF here because it moves. One that has left is sent on, unless it comes from where it would go: that
 * host takes it to be here, so here it ends, and two hosts never send a packet to and fro. To one that is to come the sender knows it already.
 */
static __always_inline void resolve_moving(struct work *w, const struct cb_endpoint *ep)
{
	struct cb_endpoint here = *ep;

	if (ep->flags & CB_ENDPOINT_F_LEFT && ep->tunnel != w->p.in_tunnel) {
		resolve_here(w, ep);
		w->to.kind = RESOLVED_FORWARD;
		return;
	}
	here.kind = CB_ENDPOINT_VIF;
	resolve_here(w, &here);
}

/* Does the network lead, from other hosts, to routers of this one? An external one: to those whose address another host answers for. */
static __always_inline int leads_to_routers(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flags & (CB_NET_F_TRANSIT | CB_NET_F_EXTERNAL);
}

/* Where a packet from another host goes: to a VIF of this host, never back; from a transit network on, through its router. */
static __always_inline __u32 resolve_from_overlay(struct work *w)
{
	struct cb_endpoint *ep = lookup_mac(w->p.key.net, w->p.dmac);

	if (is_vif_here(w, lookup_mac(w->p.key.net, w->p.smac)) || sends_as_vif_here(w))
		resolved_drop(w, CB_REASON_SPOOFED_PEER);
	else if (ep && ep->kind == CB_ENDPOINT_VIF)
		resolve_here(w, ep);
	else if (ep && ep->vrf && leads_to_routers(w->p.key.net) && w->p.family && !(w->p.flags & PKT_LINK))
		return ep->vrf;
	else if (ep && ep->kind == CB_ENDPOINT_REMOTE && ep->vif)
		resolve_moving(w, ep);
	else if (ep)
		resolved_drop(w, CB_REASON_UNKNOWN_MAC);
	else if (!has_flood_list(w->p.key.net))
		resolved_drop(w, CB_REASON_UNKNOWN_VNI);
	else
		w->to.kind = RESOLVED_FLOOD;
	return 0;
}

/* Nobody beyond an uplink sends with such an address: a VIF's of this host, or a router's. */
static __always_inline int is_ours(const struct cb_endpoint *ep)
{
	return ep && (ep->kind == CB_ENDPOINT_VIF || ep->vrf);
}

/* The MAC of a floating IP leads to floating IPs alone: the router's other addresses, and those behind it, are its gateway's. */
static __always_inline int may_enter(const struct work *w, const struct cb_endpoint *by)
{
	struct cb_endpoint *ep;

	if (by->kind != CB_ENDPOINT_NAT)
		return 1;
	ep = lookup_endpoint(w->p.key.net, &w->p.key.dst);
	return ep && ep->kind == CB_ENDPOINT_NAT;
}

/* The same, but for a router's address that another host answers for, and sends from. */
static __always_inline int is_answered_here(const struct cb_endpoint *ep)
{
	return is_ours(ep) && ep->kind != CB_ENDPOINT_LEASED;
}

/* Where a packet that an uplink received goes: to a VIF of this host, or through a router; never to nobody. */
static __always_inline __u32 resolve_from_uplink(struct work *w)
{
	struct cb_endpoint *ep = lookup_mac(w->p.key.net, w->p.dmac);

	if (is_vif(lookup_mac(w->p.key.net, w->p.smac)) ||
	    (w->p.family && is_answered_here(lookup_endpoint(w->p.key.net, &w->p.src))))
		resolved_drop(w, CB_REASON_SPOOFED_PEER);
	else if (ep && ep->kind == CB_ENDPOINT_VIF)
		resolve_here(w, ep);
	else if (ep && ep->vrf && w->p.family && !(w->p.flags & PKT_LINK) && may_enter(w, ep))
		return ep->vrf;
	else
		resolved_drop(w, ep && ep->vrf ? CB_REASON_NO_ENDPOINT : CB_REASON_UNKNOWN_MAC);
	return 0;
}

/* Where the packet in work goes: into the decision under construction and `to`, both of which start_decision() has emptied. */
GLOBAL int resolve(struct __sk_buff *ctx)
{
	struct work *w = work();
	__u32 vrf;

	if (!w)
		return -1;
	if (w->member && w->direction)
		answer_of_member(w);
	if (w->served)
		note_served(w);
	if (w->to.kind == RESOLVED_DROP)
		return 0;
	if (w->p.in_vif)
		vrf = resolve_from_vif(ctx, w);
	else if (w->p.flags & PKT_OUTSIDE)
		vrf = resolve_from_uplink(w);
	else
		vrf = resolve_from_overlay(w);
	if (vrf)
		resolve_route(ctx, w, vrf);
	if (w->to.kind == RESOLVED_FLOOD) {
		w->way.out_net = w->p.key.net;
		if (is_unasked(w))
			resolved_drop(w, CB_REASON_NAT_GONE);
	}
	return 0;
}

#endif /* CABLE_RESOLVE_H */
