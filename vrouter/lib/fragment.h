/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * fragment.h: the ports of a first fragment, for the fragments that follow. Each VIF has a few places of its own, so nobody's fragments cost
 * another the memory of his.
 */
#ifndef CABLE_FRAGMENT_H
#define CABLE_FRAGMENT_H

#include "lookup.h"

/* How long fragments of a packet may follow its first (RFC 791 lets a receiver wait 15 s or more; Linux waits 30). */
#define FRAGMENT_NS (30 * 1000000000ULL)

static __always_inline struct cb_frag *fragment_place(__u32 vif, __u32 n)
{
	__u32 index = vif * CB_VIF_FRAGMENTS + n;

	return bpf_map_lookup_elem(&cb_frag_2, &index);
}

/* Among whose places fragments of the packet in work are: the sender's, or, from another host, the receiver's. */
static __always_inline __u32 fragments_of(const struct pkt *p)
{
	struct cb_endpoint *ep;

	if (p->in_vif)
		return p->in_vif;
	ep = lookup_mac(p->key.net, p->dmac);
	/* A floating IP is one VIF's; what comes for a router's own address is nobody's. */
	if (ep && ep->kind == CB_ENDPOINT_ROUTER)
		ep = lookup_endpoint(p->key.net, &p->key.dst);
	return ep ? ep->vif : 0;
}

/* Places of what only passes this host are those of the highest VIFs, which few hosts have: of one router they are the same. */
#define PASSING_BITS 10

/* Among whose places packets like that in work are; what only passes shares those of 2^@bits of the highest VIFs. */
static __always_inline __u32 places_of(const struct pkt *p, __u32 bits)
{
	const __u64 *dst = (const __u64 *)&p->key.dst;
	__u32 vif = fragments_of(p);
	__u64 router = p->key.net;

	if (vif)
		return vif;
	/* From outside the address says it: a router's own, or a floating IP. */
	if (p->flags & PKT_OUTSIDE)
		router ^= dst[0] ^ dst[1];
	return CB_MAX_VIF - 1 - (router * 0x9e3779b97f4a7c15ULL >> (64 - bits));
}

static __always_inline int is_fragment_of(const struct cb_frag *first, const struct pkt *p)
{
	/* Between a fragment header of IPv6 and the ports there may be more headers, which only the first fragment has. */
	return first->id_be == p->frag_id && first->net == p->key.net &&
	       (p->family == CB_FAMILY_V6 || first->protocol == p->key.protocol) &&
	       same_address(&first->src, &p->key.src) && same_address(&first->dst, &p->key.dst);
}

/* Gives the later fragment in work the ports of its first. Returns 0, or a reason to drop. */
GLOBAL int parse_later_fragment(struct __sk_buff *ctx __attribute__((unused)))
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct work *w = work();
	struct cb_frag *first;
	__u32 vif;

	if (!w)
		return CB_REASON_FRAGMENT;
	vif = places_of(&w->p, PASSING_BITS);
	for (int n = 0; n < CB_VIF_FRAGMENTS; n++) {
		first = fragment_place(vif, n);
		if (!first || !is_fragment_of(first, &w->p) || first->until_ns < now)
			continue;
		w->p.key.protocol = first->protocol;
		w->p.key.sport_be = first->sport_be;
		w->p.key.dport_be = first->dport_be;
		return CB_REASON_NONE;
	}
	return CB_REASON_FRAGMENT;
}

/* Remembers the first fragment in work, which was accepted: in the place of the same packet, or in that which is the first to be free. */
GLOBAL int remember_first_fragment(struct __sk_buff *ctx __attribute__((unused)))
{
	struct cb_frag *place, *best = NULL;
	struct work *w = work();
	__u32 vif;

	if (!w)
		return -1;
	vif = places_of(&w->p, PASSING_BITS);
	for (int n = 0; n < CB_VIF_FRAGMENTS; n++) {
		place = fragment_place(vif, n);
		if (!place)
			return -1;
		if (is_fragment_of(place, &w->p)) {
			best = place;
			break;
		}
		if (!best || place->until_ns < best->until_ns)
			best = place;
	}
	if (!best)
		return -1;
	/* Nobody may take it for another packet's while it is written. */
	best->until_ns = 0;
	best->src = w->p.key.src;
	best->dst = w->p.key.dst;
	best->id_be = w->p.frag_id;
	best->net = w->p.key.net;
	best->protocol = w->p.key.protocol;
	best->sport_be = w->p.key.sport_be;
	best->dport_be = w->p.key.dport_be;
	barrier();
	best->until_ns = bpf_ktime_get_coarse_ns() + FRAGMENT_NS;
	return 0;
}

#endif /* CABLE_FRAGMENT_H */
