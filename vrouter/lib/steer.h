/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * steer.h: policy routes of a router: what comes to it is let go by its routes, dropped, or sent to a next hop, by more than its destination. Each packet is asked about by
 * itself, an answer too; an ICMP error as an answer of the connection that it is about.
 */
#ifndef CABLE_STEER_H
#define CABLE_STEER_H

#include "nat.h"
#include "step.h"

/* Has a router in the network that the packet comes by policy routes? What comes by a transit network was asked about on its sender's host. */
static __always_inline int is_steered(const struct work *w)
{
	struct cb_net *row = net_row(w->p.key.net);

	return row && row->flags & CB_NET_F_STEER;
}

static __always_inline struct cb_steers *lookup_steers(__u32 vrf)
{
	struct cb_steer_key key = {.vrf = vrf};

	return bpf_map_lookup_elem(&cb_steer_1, &key);
}

static __always_inline int is_masked(const struct cb_addr *addr, const struct cb_addr *base, const struct cb_addr *mask)
{
	const __u64 *a = (const void *)addr, *b = (const void *)base, *m = (const void *)mask;

	return !(((a[0] ^ b[0]) & m[0]) | ((a[1] ^ b[1]) & m[1]));
}

/* The destination port, as destination_of() is the destination. */
static __always_inline __u16 port_of_destination(const struct work *w)
{
	return bpf_ntohs(w->p.flags & PKT_TRANSLATED && w->nat.asked & TRANSLATED_IN ? w->nat.to.dport_be
										     : w->p.key.dport_be);
}

static __always_inline int is_in_ranges(const struct work *w, const struct cb_steer *steer)
{
	__u16 sport = bpf_ntohs(w->p.key.sport_be), dport = port_of_destination(w);

	return sport >= steer->first_sport && sport <= steer->last_sport && dport >= steer->first_dport &&
	       dport <= steer->last_dport;
}

static __always_inline int is_matched(const struct work *w, const struct cb_steer *steer)
{
	if (steer->net && steer->net != w->p.key.net)
		return 0;
	if (steer->flags & (w->p.family == CB_FAMILY_V6 ? CB_STEER_F_V4 : CB_STEER_F_V6))
		return 0;
	if (steer->flags & CB_STEER_F_PROTOCOL && steer->protocol != w->p.key.protocol)
		return 0;
	if (steer->flags & CB_STEER_F_PORTS && !is_in_ranges(w, steer))
		return 0;
	return is_masked(&w->p.key.src, &steer->src, &steer->src_mask) &&
	       is_masked(destination_of(w), &steer->dst, &steer->dst_mask);
}

struct steering {
	struct work *work;
	struct cb_steers *steers;
};

/* Called by bpf_loop: looks at the policy route at place @i. Returns whether that was the last. */
static long try_steer(__u32 i, void *data)
{
	struct steering *steering = data;
	struct work *w = steering->work;

	if (i >= steering->steers->count)
		return 1;
	if (!is_matched(w, &steering->steers->steer[i % CB_STEERS]))
		return 0;
	w->steer = i % CB_STEERS;
	return 1;
}

/* The first policy route of router `nat.vrf` that matches the packet in work: its place goes into `steer`. */
GLOBAL int find_steer(struct __sk_buff *ctx __attribute__((unused)))
{
	struct steering steering = {.work = work()};

	if (!steering.work)
		return -1;
	steering.work->steer = CB_STEERS;
	steering.steers = lookup_steers(steering.work->nat.vrf);
	if (!steering.steers)
		return 0;
	/* verifier: it follows one round, and not each of them */
	return bpf_loop(CB_STEERS, try_steer, &steering, 0) < 0 ? -1 : 0;
}

/* Asks the policy routes of router `nat.vrf`. Returns 0: the routes decide; else `route` is the packet's, and it is steered, or it is dropped, and `to` says so. */
static __always_inline int steer(struct __sk_buff *ctx, struct work *w)
{
	struct cb_steers *steers;
	struct cb_steer *found;

	if (find_steer(ctx) || w->steer >= CB_STEERS)
		return 0;
	steers = lookup_steers(w->nat.vrf);
	if (!steers)
		return 0;
	found = &steers->steer[w->steer % CB_STEERS];
	note_step(CB_STEP_STEER, found->policy, found->action, 0, &found->route.nexthop);
	if (found->action == CB_STEER_ALLOW)
		return 0;
	if (found->action == CB_STEER_REROUTE) {
		w->route = found->route;
		w->steered = 1;
	} else {
		resolved_drop(w, CB_REASON_POLICY_ROUTE);
	}
	return 1;
}

#endif /* CABLE_STEER_H */
