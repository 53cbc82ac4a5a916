/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * nexthop.h: a destination with several next hops. A flow has one of them, by what its packets look like and by the next hop's own address: when one goes only its
 * flows move, and whoever decides anew, on whatever host, decides alike. A flow that has one keeps it, also when others come.
 */
#ifndef CABLE_NEXTHOP_H
#define CABLE_NEXTHOP_H

#include "balance.h"
#include "flow.h"
#include "lookup.h"

/* Who may be reached counts more than any weight, who has the flow more than that; before nobody comes who may be asked. */
#define HOP_DUE (1ULL << 32)
#define HOP_REACHED (1ULL << 33)
#define HOP_KEPT (1ULL << 34)

/* A neighbour that has not answered is asked again after so long. */
#define ASK_AGAIN_NS (10 * SECOND)

static __always_inline struct cb_next *lookup_next(const struct work *w)
{
	return bpf_map_lookup_elem(&cb_next_1, &w->several);
}

static __always_inline __u64 mix_address(__u64 value, const struct cb_addr *addr)
{
	const __u64 *part = (const __u64 *)addr;

	return mix(part[1] + mix(part[0] + value));
}

/* What the flow's packets look like, before they are translated, alike on every host. */
static __always_inline __u64 flow_hash(const struct cb_tuple_key *key)
{
	__u64 ports = (__u64)key->protocol << 32 | (__u64)key->sport_be << 16 | key->dport_be;

	return mix(mix_address(mix_address(ports, &key->src), &key->dst));
}

/* Is @mac in network @net where the packet's flow goes by now? */
static __always_inline int goes_to(const struct work *w, __u16 net, const __u8 *mac)
{
	struct cb_flow *flow = w->flow ? flow_row(w->flow) : NULL;
	struct cb_way *way;

	if (!flow)
		return 0;
	way = way_of(flow, w->direction);
	return way->stamp && way->out_net == net && same_mac(way->out_dmac, mac);
}

/*
 * Is it time to ask a neighbour of whom nothing was heard yet? One packet becomes the question, and is lost: the next goes elsewhere, whether an answer comes or not.
 */
static __always_inline int is_due(const struct cb_neigh *neighbour, __u64 now)
{
	return !neighbour->asked_ns || neighbour->asked_ns + ASK_AGAIN_NS < now;
}

/* Whether @hop can be reached, as far as is known here: HOP_*, or 0. */
static __always_inline __u64 reach_of(const struct work *w, const struct cb_route *hop)
{
	struct cb_endpoint *ep = lookup_endpoint(hop->net, &hop->nexthop);
	struct cb_neigh *neighbour;
	struct cb_vif *vif;

	if (!ep) {
		neighbour = lookup_neighbour(hop->net, &hop->nexthop);
		if (!neighbour || !neighbour->learned_ns)
			return neighbour && is_due(neighbour, w->p.now_ns) ? HOP_DUE : 0;
		return goes_to(w, hop->net, neighbour->mac) ? HOP_KEPT : HOP_REACHED;
	}
	if (ep->kind == CB_ENDPOINT_VIF) {
		vif = vif_row(ep->vif);
		if (!vif || !vif->ifindex || !(vif->flags & CB_VIF_F_ADMIN_UP))
			return 0;
	} else if (ep->kind != CB_ENDPOINT_REMOTE && ep->kind != CB_ENDPOINT_SHARED) {
		return 0;
	}
	return goes_to(w, hop->net, ep->mac) ? HOP_KEPT : HOP_REACHED;
}

struct weighing {
	struct work *work;
	struct cb_next *next;
	__u64 hash;
	/* The one that the flow would have if all could be reached. */
	__u32 first;
	__u32 first_weight;
	__u32 first_due;
};

/* Called by bpf_loop: takes the next hop at place @i if it weighs more than those before. Returns whether that was the last. */
static long weigh(__u32 i, void *data)
{
	struct weighing *weighing = data;
	struct cb_next *next = weighing->next;
	struct work *w = weighing->work;
	struct cb_route *hop;
	__u64 weight, reach;

	if (i >= next->count)
		return 1;
	hop = &next->hop[i % CB_NEXT_HOPS];
	weight = mix_address(weighing->hash, &hop->nexthop) >> 32;
	reach = reach_of(w, hop);
	if (!i || weight > weighing->first_weight) {
		weighing->first = i;
		weighing->first_weight = weight;
		weighing->first_due = reach == HOP_DUE;
	}
	weight += reach;
	if (!i || weight > w->weight) {
		w->weight = weight;
		w->hop = i;
	}
	return 0;
}

/* The next hop of the packet in work to destination `several`: its place in cb_next_1 is `hop`. Returns 0; -1: there is none. */
GLOBAL int choose_hop(struct __sk_buff *ctx __attribute__((unused)))
{
	struct weighing weighing = {.work = work()};

	if (!weighing.work)
		return -1;
	weighing.next = lookup_next(weighing.work);
	if (!weighing.next)
		return -1;
	weighing.hash = flow_hash(&weighing.work->p.key);
	weighing.work->weight = 0;
	weighing.work->hop = 0;
	/* verifier: it follows one round, and not each of them */
	if (bpf_loop(CB_NEXT_HOPS, weigh, &weighing, 0) < 0)
		return -1;
	/* Others can be reached, but this one must be asked some time: by a packet of a flow that is its own. */
	if (weighing.first_due && weighing.work->weight < HOP_KEPT)
		weighing.work->hop = weighing.first;
	return 0;
}

/* One of the next hops of @route, a destination that has several. NULL: it has none just now. */
static __always_inline struct cb_route *choose_route(struct __sk_buff *ctx, struct work *w,
						     const struct cb_route *route)
{
	struct cb_next *next;

	w->several.prefixlen = 32 + route->mtu_bytes;
	w->several.vrf = w->nat.vrf;
	w->several.addr = route->nexthop;
	if (choose_hop(ctx))
		return NULL;
	next = lookup_next(w);
	return next ? &next->hop[w->hop % CB_NEXT_HOPS] : NULL;
}

#endif /* CABLE_NEXTHOP_H */
