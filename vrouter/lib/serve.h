/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * serve.h: a packet to a Service of Kubernetes becomes one to an endpoint of it. The client's host chooses, by a hash, when the flow begins, and makes the answers the Service's. A flow
 * keeps its endpoint; one of which no end is seen leaves it when that is none of the Service's any more. The established path asks none of it.
 */
#ifndef CABLE_SERVE_H
#define CABLE_SERVE_H

#include "balance.h"

static __always_inline struct cb_service *lookup_service(const struct cb_service_key *key)
{
	return bpf_map_lookup_elem(&cb_service_1, key);
}

static __always_inline struct cb_backends *lookup_backends(__u64 list, __u32 chunk)
{
	struct cb_backend_key key = {.list = list, .chunk = chunk};

	return bpf_map_lookup_elem(&cb_backend_1, &key);
}

/* Number of the scope of Services to which @route leads. */
static __always_inline __u32 scope_of(const struct cb_route *route)
{
	return *(const __u32 *)route->nexthop.b;
}

/* That of what this host lets in from outside; 0: there is no other. */
static __always_inline __u32 outer_scope_of(const struct cb_route *route)
{
	return *(const __u32 *)(route->nexthop.b + 4);
}

/* By which a flow knows the list that has its endpoint; never 0. */
static __always_inline __u32 mark_of(const struct cb_service *service)
{
	__u32 mark = service->list;

	return mark ? mark : 1;
}

static __always_inline int is_backend(const struct cb_backend *backend, const struct cb_addr *addr, __u16 port_be)
{
	return backend->port_be == port_be && same_address(&backend->addr, addr);
}

/* An endpoint that is looked for in a list. */
struct backend_search {
	__u64 list;
	struct cb_addr addr;
	__u32 among; /* so many endpoints at the beginning of the list */
	__u16 port_be;
	__u16 found;
};

/* Called by bpf_loop: looks at the chunk @chunk. Returns whether that was the last. */
static long search_chunk(__u32 chunk, void *data)
{
	struct backend_search *search = data;
	struct cb_backends *row = lookup_backends(search->list, chunk);

	if (!row)
		return 1;
	for (__u32 n = 0; n < CB_BACKENDS; n++) {
		if (chunk * CB_BACKENDS + n >= search->among)
			return 1;
		if (is_backend(&row->backend[n], &search->addr, search->port_be)) {
			search->found = 1;
			return 1;
		}
	}
	return 0;
}

/* Is @addr with @port_be among the first @among endpoints of the list? */
static __noinline int is_listed(__u64 list, __u32 among, const struct cb_addr *addr, __u16 port_be)
{
	struct backend_search search = {.list = list, .addr = *addr, .among = among, .port_be = port_be};

	if (among > CB_LIST_BACKENDS)
		search.among = CB_LIST_BACKENDS;
	bpf_loop((search.among + CB_BACKENDS - 1) / CB_BACKENDS, search_chunk, &search, 0);
	return search.found;
}

/* The endpoint to which the client's last connection went, as long as it counts; NULL: the client may go to any. */
static __always_inline struct cb_sticky *lookup_sticky(const struct work *w, const struct cb_sticky_key *key,
						       const struct cb_service *service)
{
	struct cb_sticky *sticky = bpf_map_lookup_elem(&cb_sticky_1, key);

	if (!sticky || w->p.now_ns - sticky->begun_ns > service->affinity_s * SECOND)
		return NULL;
	return is_listed(service->list, service->count, &sticky->addr, sticky->port_be) ? sticky : NULL;
}

/* The packet in work begins a flow: its endpoint, into `nat.to`. Returns 0; -1: the list is another by now. */
static __always_inline int take_backend(struct work *w, const struct cb_service *service)
{
	__u32 place = ((__u64)hash_of(&w->p.key, 0) * service->count) >> 32;
	struct cb_backends *row = lookup_backends(service->list, place / CB_BACKENDS);
	struct cb_backend *backend;
	struct cb_tuple_key *to;

	if (!row)
		return -1;
	backend = &row->backend[place % CB_BACKENDS];
	to = begin_translation(w);
	to->dst = backend->addr;
	to->dport_be = backend->port_be;
	return 0;
}

/* The same, of a Service with affinity. */
static __noinline int take_sticky(struct work *w, const struct cb_service_key *key, const struct cb_service *service)
{
	struct cb_sticky_key sticky_key = {.service = *key, .client = w->p.key.src};
	struct cb_sticky *known = lookup_sticky(w, &sticky_key, service), sticky = {};
	struct cb_tuple_key *to;

	if (known) {
		to = begin_translation(w);
		to->dst = known->addr;
		to->dport_be = known->port_be;
	} else if (take_backend(w, service)) {
		return -1;
	}
	if (cfg_trace)
		return 0;
	sticky.addr = w->nat.to.dst;
	sticky.port_be = w->nat.to.dport_be;
	sticky.begun_ns = w->p.now_ns;
	bpf_map_update_elem(&cb_sticky_1, &sticky_key, &sticky, BPF_ANY);
	return 0;
}

static __always_inline void key_of_service(const struct work *w, __u32 scope, struct cb_service_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->scope = scope;
	key->addr = w->p.key.dst;
	key->port_be = w->p.key.dport_be;
	key->protocol = w->p.key.protocol;
}

/* No Service is at the port: who has the address says so, and for an address that none has nobody speaks. */
static __always_inline __u32 reason_for_none(const struct work *w, struct cb_service_key *key)
{
	if (!has_ports(w->p.key.protocol))
		return CB_REASON_NO_SERVICE;
	key->port_be = 0;
	key->protocol = 0;
	return lookup_service(key) ? CB_REASON_NO_MEMBER : CB_REASON_NO_SERVICE;
}

/* The scope in which the packet in work is looked up that is routed to Services of @scope: that of what came in from outside, @outer, where it has the port of a Service. */
GLOBAL int choose_scope(struct __sk_buff *ctx __attribute__((unused)), __u32 scope, __u32 outer)
{
	struct cb_service_key key;
	struct work *w = work();

	if (!w || !outer || !entrance_of(w))
		return scope;
	key_of_service(w, outer, &key);
	return lookup_service(&key) ? outer : scope;
}

/*
 * The packet in work has an endpoint. If it came in from outside, and goes to any host, it gets this host's address, so that answers come back here; what goes to the host itself that of
 * the Service. To endpoints of this host alone (@flags: CB_SERVICE_F_*) clients come as they are: answers have no other way.
 */
GLOBAL int hide_client(struct __sk_buff *ctx __attribute__((unused)), __u32 flags)
{
	const struct cb_addr *own;
	struct work *w = work();
	struct cb_vif *entrance;
	int is_host;

	if (!w)
		return -1;
	entrance = entrance_of(w);
	if (!entrance)
		return 0;
	own = first_address(w, entrance);
	is_host = same_address(&w->nat.to.dst, own);
	if (is_unspecified(own) || (flags & CB_SERVICE_F_LOCAL && !is_host))
		return 0;
	turn_to_itself(w);
	if (!is_host)
		w->nat.to.src = *own;
	w->nat.asked |= TRANSLATED_OUT;
	return 0;
}

/*
 * The packet in work, which begins a flow to a Service, goes to its endpoint by `route`. If it came by the host's own VIF and goes on by it, to what is outside, it gets the address of the
 * Service: the host would take one with its own for forged, and an answer for one to itself.
 */
GLOBAL int pass_through_host(struct __sk_buff *ctx __attribute__((unused)))
{
	struct work *w = work();
	struct cb_vif *vif;

	if (!w || !w->served || w->nat.known)
		return 0;
	vif = vif_row(w->p.in_vif);
	if (!vif || !(vif->flags & CB_VIF_F_NODE) || w->route.kind != CB_ROUTE_NEXTHOP ||
	    !same_address(&w->route.nexthop, first_address(w, vif)))
		return 0;
	turn_to_itself(w);
	w->nat.asked |= TRANSLATED_OUT;
	return 0;
}

/* The packet in work, which begins a flow, is routed to Services of @scope: it becomes one to an endpoint. Returns 0; -1: `to` says why not. */
GLOBAL int serve(struct __sk_buff *ctx, __u32 scope)
{
	struct cb_service *service;
	struct cb_service_key key;
	struct work *w = work();
	int err = -1;

	if (!w)
		return -1;
	key_of_service(w, scope, &key);
	/* A list that went meanwhile has another in its place. */
	for (int n = 0; n < 2 && err; n++) {
		service = lookup_service(&key);
		if (!service) {
			resolved_drop(w, reason_for_none(w, &key));
			return -1;
		}
		if (!service->count) {
			resolved_drop(w,
				      service->flags & CB_SERVICE_F_LOCAL ? CB_REASON_NO_LOCAL : CB_REASON_NO_MEMBER);
			return -1;
		}
		err = service->affinity_s ? take_sticky(w, &key, service) : take_backend(w, service);
	}
	/* The checksum of SCTP covers all of the packet: its port stays. */
	if (err || (w->p.key.protocol == IPPROTO_SCTP && w->nat.to.dport_be != w->p.key.dport_be)) {
		resolved_drop(w, CB_REASON_NO_MEMBER);
		return -1;
	}
	w->served = mark_of(service);
	w->nat.asked |= TRANSLATED_IN;
	note_step(CB_STEP_SERVICE, service->service, bpf_ntohs(w->nat.to.dport_be), 0, &w->nat.to.dst);
	if (same_address(&w->nat.to.dst, &w->p.key.src)) {
		turn_to_itself(w);
		w->nat.asked |= TRANSLATED_OUT;
		return 0;
	}
	return hide_client(ctx, service->flags);
}

/* The packet in work is of a flow that a Service gave an endpoint: what it becomes is settled by that, whatever Services there are now. */
static __always_inline void note_served(struct work *w)
{
	if (w->direction || !same_address(&w->nat.to.src, &w->p.key.src))
		w->nat.asked |= TRANSLATED_OUT;
	if (!w->direction || !same_address(&w->nat.to.dst, &w->p.key.dst))
		w->nat.asked |= TRANSLATED_IN;
}

/* Has the packet in work ends that are one VIF, which reaches itself by a Service? */
static __always_inline int reaches_itself(const struct work *w)
{
	return w->served && w->p.in_vif && w->p.in_vif == w->way.out_vif;
}

/* Of which no end is seen, or whose other end has not answered: it leaves an endpoint that is none any more. */
static __always_inline int may_leave(const struct work *w, __u8 state)
{
	return w->p.key.protocol == IPPROTO_UDP || (w->p.key.protocol == IPPROTO_TCP && state == CB_FLOW_NEW);
}

/* The port of a Service that the packet in work is sent to; NULL: none. */
static __always_inline struct cb_service *service_of_packet(struct __sk_buff *ctx, const struct work *w)
{
	struct cb_endpoint *ep = lookup_mac(w->p.key.net, w->p.dmac);
	struct cb_route *route = ep && ep->vrf ? lookup_route(ep->vrf, &w->p.key.dst) : NULL;
	struct cb_service_key key;

	if (!route || route->kind != CB_ROUTE_SERVICE)
		return NULL;
	key_of_service(w, choose_scope(ctx, scope_of(route), outer_scope_of(route)), &key);
	return lookup_service(&key);
}

/* Is the packet in work, of flow `flow`, to go to another endpoint of its Service, if there is one? */
GLOBAL int has_left(struct __sk_buff *ctx)
{
	struct cb_service *service;
	struct work *w = work();
	struct cb_addr addr;
	struct cb_flow *flow;

	if (!w || w->direction || w->p.flags & PKT_RELATED)
		return 0;
	flow = flow_row(w->flow);
	if (!flow || !flow->served || !may_leave(w, flow->way[0].state))
		return 0;
	service = service_of_packet(ctx, w);
	if (!service)
		return 1;
	if (mark_of(service) == flow->served)
		return 0;
	addr = flow->tuple[1].src;
	if (!is_listed(service->list, service->total, &addr, flow->tuple[1].sport_be))
		return 1;
	if (!cfg_trace)
		flow->served = mark_of(service);
	return 0;
}

#endif /* CABLE_SERVE_H */
