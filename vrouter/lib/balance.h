/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * balance.h: a packet to a virtual address becomes one to a member of the pool behind its port. The client's host chooses, by a hash, when the flow begins; the flow
 * keeps its member. Members see the client's own address, and answer it by the common ways; the client's host makes the answer one of the virtual address.
 */
#ifndef CABLE_BALANCE_H
#define CABLE_BALANCE_H

#include "nat.h"

/* The ports from which one is chosen for a member that reaches itself: then it would answer itself. */
#define HAIRPIN_FIRST_PORT 1024
#define HAIRPIN_LAST_PORT 65535

static __always_inline __u64 mix(__u64 value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
	return value ^ value >> 31;
}

/* Of the client's address alone, or also of both ports. */
static __always_inline __u32 hash_of(const struct cb_tuple_key *key, __u16 flags)
{
	const __u64 *src = (const __u64 *)&key->src;
	__u64 hash = mix(src[1] + mix(src[0]));

	if (!(flags & CB_SVC_F_AFFINITY))
		hash = mix(hash ^ ((__u64)key->sport_be << 16 | key->dport_be));
	return hash >> 32;
}

/* The member that a new flow goes to; 0: there is none. */
static __always_inline __u32 choose_member(const struct cb_tuple_key *key, const struct cb_svc *svc)
{
	__u32 slots = svc->slots, slot;
	struct cb_maglev_key chunk = {.pool = svc->pool};
	struct cb_maglev *table;

	if (!slots)
		return 0;
	slot = hash_of(key, svc->flags) % slots;
	chunk.chunk = slot / CB_MAGLEV_SLOTS;
	table = bpf_map_lookup_elem(&cb_maglev_1, &chunk);
	return table ? table->member[slot % CB_MAGLEV_SLOTS] : 0;
}

/* Is the member of the packet's flow still one of the pool, and who the flow says? */
static __always_inline int still_serves(const struct work *w, const struct cb_member *member, __u32 pool)
{
	return member && member->pool == pool && same_address(&member->addr, &w->nat.to.dst) &&
	       member->port_be == w->nat.to.dport_be;
}

/* Datagrams do not say that their exchange is over: a client that goes on from one port would stay with a member that is dead. */
static __always_inline int is_cut_off(const struct work *w, const struct cb_member *member)
{
	return w->p.key.protocol == IPPROTO_UDP && member && member->flags & CB_MEMBER_F_DOWN;
}

/* The member would see itself as the sender, and answer itself: it sees the virtual address. */
static __always_inline void turn_to_itself(struct work *w)
{
	w->nat.to.src = w->p.key.dst;
	w->nat.first_port = HAIRPIN_FIRST_PORT;
	w->nat.last_port = HAIRPIN_LAST_PORT;
	w->nat.chooses = 1;
}

/*
 * The packet in work has come to its destination, a virtual address of network @net, or to a floating IP of such: what it becomes. Returns the network of the member,
 * or -1, and `to` says why. By a floating IP it goes on by the router that has that: answers come back by it.
 */
GLOBAL int balance(struct __sk_buff *ctx __attribute__((unused)), __u32 net)
{
	struct cb_member *member;
	struct work *w = work();
	struct cb_svc *svc;

	if (!w)
		return -1;
	if (w->nat.meets)
		svc = lookup_svc(net, &w->nat.met, w->p.key.dport_be, w->p.key.protocol);
	else if (w->nat.asked & TRANSLATED_IN)
		svc = NULL;
	else
		svc = lookup_svc(net, &w->p.key.dst, w->p.key.dport_be, w->p.key.protocol);
	if (!svc) {
		resolved_drop(w, w->nat.known ? CB_REASON_NAT_GONE : CB_REASON_NO_MEMBER);
		return -1;
	}
	w->nat.asked |= TRANSLATED_IN;
	if (!w->nat.known)
		w->member = choose_member(&w->p.key, svc);
	member = lookup_member(w->member);
	if (w->nat.known && (!still_serves(w, member, svc->pool) || is_cut_off(w, member))) {
		resolved_drop(w, CB_REASON_NAT_GONE);
		return -1;
	}
	/* The checksum of SCTP covers all of the packet: its port stays. */
	if (!member || is_cut_off(w, member) ||
	    (w->p.key.protocol == IPPROTO_SCTP && member->port_be != w->p.key.dport_be)) {
		resolved_drop(w, CB_REASON_NO_MEMBER);
		return -1;
	}
	note_step(CB_STEP_MEMBER, w->member, 0, 0, NULL);
	if (!w->nat.known) {
		begin_translation(w)->dst = member->addr;
		w->nat.to.dport_be = member->port_be;
		if (!w->nat.meets && member->net == w->p.key.net && same_address(&member->addr, &w->p.key.src))
			turn_to_itself(w);
	}
	/* By a floating IP, where the router translates nothing. */
	if (same_address(&w->nat.to.src, &w->nat.to.dst)) {
		resolved_drop(w, CB_REASON_NO_MEMBER);
		return -1;
	}
	if (!w->nat.meets && same_address(&w->nat.to.src, &w->p.key.dst))
		w->nat.asked |= TRANSLATED_OUT;
	if (!w->nat.meets && member->vrf)
		w->nat.vrf = member->vrf;
	return member->net;
}

/* The packet in work is an answer of a member: from the virtual address, if it still is one. */
static __always_inline void answer_of_member(struct work *w)
{
	struct cb_member *member = lookup_member(w->member);

	if (member && same_address(&member->addr, &w->p.key.src) && member->port_be == w->p.key.sport_be)
		w->nat.asked |= TRANSLATED_IN | TRANSLATED_OUT;
	else
		resolved_drop(w, CB_REASON_NAT_GONE);
}

/* A connection whose middle is seen first has a member, or endpoint, that nobody knows any more. */
static __always_inline int lacks_member(const struct work *w)
{
	return (w->member || w->served) &&
	       (w->beside || (w->p.key.protocol == IPPROTO_TCP && !(w->p.flags & PKT_OPENING)));
}

#endif /* CABLE_BALANCE_H */
