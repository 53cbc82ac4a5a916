/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* flow.h: the flow table: finding an entry that still holds, its TCP state, its time-outs, writing both directions. */
#ifndef CABLE_FLOW_H
#define CABLE_FLOW_H

#include "lookup.h"

#define SECOND 1000000000ULL
#define FLOW_REFRESH_NS SECOND

/* Time without a packet in either direction after which an entry no longer counts: Linux conntrack's values. */
static __always_inline __u64 flow_timeout_ns(__u8 protocol, __u8 state)
{
	switch (protocol) {
	case IPPROTO_TCP:
		if (state == CB_FLOW_ESTABLISHED)
			return 432000 * SECOND;
		return state == CB_FLOW_CLOSED ? 10 * SECOND : 120 * SECOND;
	case IPPROTO_UDP:
		return state == CB_FLOW_NEW ? 30 * SECOND : 180 * SECOND;
	case IPPROTO_ICMP:
		return 30 * SECOND;
	default:
		return 600 * SECOND;
	}
}

/* seen_ns may be ahead of now: another CPU refreshed it after the clock was read. */
static __always_inline int flow_expired(const struct cb_flow *flow, __u8 protocol, __u64 now)
{
	return (__s64)(now - flow->seen_ns) > (__s64)flow_timeout_ns(protocol, flow->state);
}

/*
 * The flow that @p belongs to, or NULL: none, expired, or @p opens a new connection over it (a SYN after the end of the old
 * one, or any opening packet against the flow's direction: it must be judged by its own).
 */
static __always_inline struct cb_flow *find_flow(struct pkt *p)
{
	struct cb_flow *flow = bpf_map_lookup_elem(&cb_flow_1, &p->key);

	if (!flow)
		p->flags |= PKT_UNKNOWN;
	if (!flow || flow_expired(flow, p->key.protocol, p->now_ns))
		return NULL;
	if (p->flags & PKT_OPENING && (flow->flags & CB_FLOW_F_REPLY || flow->state >= CB_FLOW_CLOSING))
		return NULL;
	return flow;
}

/* Can @p follow the decision in @flow as it stands? */
static __always_inline int flow_holds(const struct cb_flow *flow, const struct pkt *p)
{
	return flow->epoch == current_epoch() && flow->in_ifindex == p->in_ifindex && flow->deliver &&
	       same_mac(flow->in_smac, p->smac) && same_mac(flow->in_dmac, p->dmac) && !(p->flags & PKT_RELATED);
}

/*
 * Is @flow, a new decision on a packet of @old, between the same two ends and of the same epoch? Then the rules have allowed it
 * already: @old was allowed, or was made for the answers to what was.
 */
static __always_inline int judgement_stands(const struct cb_flow *old, const struct cb_flow *flow)
{
	return old->epoch == flow->epoch && old->in_ifindex == flow->in_ifindex &&
	       old->out_ifindex == flow->out_ifindex;
}

/* Key of the other direction's entry. */
static __always_inline void peer_key(const struct cb_flow_key *key, __u32 zone, struct cb_flow_key *peer)
{
	__builtin_memset(peer, 0, sizeof(*peer));
	peer->zone = zone;
	peer->src = key->dst;
	peer->dst = key->src;
	peer->sport_be = key->dport_be;
	peer->dport_be = key->sport_be;
	peer->protocol = key->protocol;
}

/*
 * Makes @flow the lost half of a flow whose other entry, in @flow's peer_zone, is still there: the table may have evicted only
 * one. Returns whether there is one.
 */
static __noinline int restore_flow(const struct pkt *p, struct cb_flow *flow)
{
	struct cb_flow_key key;
	struct cb_flow *peer;

	peer_key(&p->key, flow->peer_zone, &key);
	peer = bpf_map_lookup_elem(&cb_flow_1, &key);
	if (!peer || flow_expired(peer, p->key.protocol, flow->seen_ns))
		return 0;
	flow->flags |= (peer->flags & CB_FLOW_F_REPLY) ^ CB_FLOW_F_REPLY;
	flow->state = peer->state;
	flow->seen_ns = peer->seen_ns;
	return 1;
}

/* The state after a packet with @tcp_flags; @fin_both: FIN seen in both directions, this packet's included. */
static __always_inline __u8 next_state(__u8 state, int is_reply, __u8 tcp_flags, int fin_both)
{
	if (tcp_flags & TCP_RST || fin_both)
		return CB_FLOW_CLOSED;
	if (tcp_flags & TCP_FIN && state < CB_FLOW_CLOSING)
		return CB_FLOW_CLOSING;
	if (is_reply && state == CB_FLOW_NEW)
		return CB_FLOW_ESTABLISHED;
	return state;
}

/* Must update_flow be called for this packet? Once a second, and when the state may change. */
static __always_inline int flow_needs_update(const struct cb_flow *flow, const struct pkt *p)
{
	return (__s64)(p->now_ns - flow->seen_ns) >= (__s64)FLOW_REFRESH_NS || p->tcp_flags & (TCP_FIN | TCP_RST) ||
	       (flow->state == CB_FLOW_NEW && flow->flags & CB_FLOW_F_REPLY);
}

/*
 * Refreshes the time and moves the state of both entries. Two packets of one flow may race on two CPUs: the worst outcome is
 * a state one step behind, which lasts as long as that state's time-out.
 */
static __noinline void update_flow(const struct pkt *p, struct cb_flow *flow)
{
	struct cb_flow_key key;
	struct cb_flow *peer;
	__u8 state;

	peer_key(&p->key, flow->peer_zone, &key);
	peer = bpf_map_lookup_elem(&cb_flow_1, &key);
	if (p->tcp_flags & TCP_FIN)
		flow->flags |= CB_FLOW_F_FIN;
	state = next_state(flow->state, flow->flags & CB_FLOW_F_REPLY, p->tcp_flags,
			   flow->flags & CB_FLOW_F_FIN && peer && peer->flags & CB_FLOW_F_FIN);
	flow->state = state;
	flow->seen_ns = p->now_ns;
	if (peer) {
		peer->state = state;
		peer->seen_ns = p->now_ns;
	}
}

static __noinline void delete_flow(const struct cb_flow_key *key, __u32 peer_zone)
{
	struct cb_flow_key peer;

	peer_key(key, peer_zone, &peer);
	bpf_map_delete_elem(&cb_flow_1, key);
	bpf_map_delete_elem(&cb_flow_1, &peer);
}

/*
 * Writes @flow to the table. @entry: what the table has for @key. It is overwritten: to replace it would cost the table a free
 * entry and two locks. Another CPU may be reading it: the worst outcome is a packet that follows half the old decision and
 * half the new one, both of which allow it.
 */
static __always_inline void put_flow(const struct cb_flow_key *key, struct cb_flow *entry, const struct cb_flow *flow)
{
	if (entry)
		*entry = *flow;
	else
		bpf_map_update_elem(&cb_flow_1, key, flow, BPF_ANY);
}

/*
 * Writes the decision under construction as the entry of the packet's direction, and makes sure that the other direction has one;
 * a new one learns where to deliver from its first packet. @old: the entry that is replaced, or NULL. @is_new: what the other
 * direction knew is of an older connection.
 */
static __always_inline void write_flow(struct work *w, struct cb_flow *old, int is_new)
{
	const struct cb_flow *flow = &w->entry;
	struct cb_flow *peer = &w->peer, *entry = old;
	struct cb_flow_key key;

	if (!old && !(w->p.flags & PKT_UNKNOWN))
		entry = bpf_map_lookup_elem(&cb_flow_1, &w->p.key);
	put_flow(&w->p.key, entry, flow);
	peer_key(&w->p.key, flow->peer_zone, &key);
	entry = bpf_map_lookup_elem(&cb_flow_1, &key);
	if (entry && !is_new)
		return;
	__builtin_memset(peer, 0, sizeof(*peer));
	peer->seen_ns = flow->seen_ns;
	peer->epoch = flow->epoch;
	peer->in_ifindex = flow->out_ifindex;
	peer->out_ifindex = flow->in_ifindex;
	peer->peer_zone = w->p.key.zone;
	peer->state = flow->state;
	peer->flags = (flow->flags & CB_FLOW_F_REPLY) ^ CB_FLOW_F_REPLY;
	put_flow(&key, entry, peer);
}

#endif /* CABLE_FLOW_H */
