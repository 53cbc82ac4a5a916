/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* way.h: a record of the flow table as its packets find it: how long it lives, what state it is in, where both ends of a TCP connection are. */
#ifndef CABLE_WAY_H
#define CABLE_WAY_H

#include "config.h"
#include "lookup.h"
#include "parse.h"
#include "step.h"

#define MILLISECOND 1000000ULL
#define SECOND 1000000000ULL
#define FLOW_REFRESH_NS SECOND

/* Which time-out a flow has. */
static __always_inline __u32 timeout_of(__u8 protocol, __u8 state)
{
	switch (protocol) {
	case IPPROTO_TCP:
		switch (state) {
		case CB_FLOW_ESTABLISHED:
			return CB_TIMEOUT_TCP_ESTABLISHED;
		case CB_FLOW_PICKED_UP:
			return CB_TIMEOUT_TCP_PICKED_UP;
		case CB_FLOW_CLOSING:
			return CB_TIMEOUT_TCP_CLOSING;
		case CB_FLOW_CLOSED:
			return CB_TIMEOUT_TCP_CLOSED;
		default:
			return CB_TIMEOUT_TCP_NEW;
		}
	case IPPROTO_UDP:
		return state == CB_FLOW_NEW ? CB_TIMEOUT_UDP_NEW : CB_TIMEOUT_UDP_ESTABLISHED;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return CB_TIMEOUT_ICMP;
	default:
		return CB_TIMEOUT_OTHER;
	}
}

/* Time without a packet in either direction after which a flow ends. */
static __always_inline __u64 flow_timeout_ns(__u8 protocol, __u8 state)
{
	return cfg_timeout[timeout_of(protocol, state)] * SECOND;
}

static __always_inline struct cb_flow *flow_row(__u32 flow)
{
	return bpf_map_lookup_elem(&cb_flow_2, &flow);
}

/* verifier: a bound */
static __always_inline struct cb_way *way_of(struct cb_flow *flow, __u32 direction)
{
	return direction & 1 ? &flow->way[1] : &flow->way[0];
}

static __always_inline struct cb_tally *tally_of(struct cb_flow *flow, __u32 direction)
{
	return direction & 1 ? &flow->tally[1] : &flow->tally[0];
}

/* See struct cb_way. Multiply and add, of which the upper half is as good as random for any two keys; never 0. */
static __always_inline __u32 tuple_check(const struct cb_tuple_key *key)
{
	const __u64 *word = (const __u64 *)key;
	__u64 sum = word[0] * 0x9e3779b97f4a7c15ULL + word[1] * 0xbf58476d1ce4e5b9ULL +
		    word[2] * 0x94d049bb133111ebULL + word[3] * 0xd6e8feb86659fd93ULL + word[4] * 0xc2b2ae3d27d4eb4fULL;

	return (__u32)(sum >> 32) | 1;
}

/* Notes in the work record which flow the packet's key leads to. Returns its record, or NULL. */
static __always_inline struct cb_flow *find_flow(struct work *w)
{
	struct cb_tuple *tuple = bpf_map_lookup_elem(&cb_tuple_1, &w->p.key);
	__u64 word;

	w->flow = 0;
	w->direction = 0;
	if (!tuple)
		return NULL;
	/* At once: the element may be given to another tuple meanwhile. */
	word = *(volatile __u64 *)tuple;
	w->flow = word;
	w->direction = (word >> 32) & 1;
	return flow_row(w->flow);
}

static __always_inline int way_expired(const struct cb_way *way, __u64 now)
{
	return (__s64)(now - way->expires_ns) > 0;
}

static __always_inline int is_closing(const struct cb_way *way)
{
	return way->state == CB_FLOW_CLOSING || way->state == CB_FLOW_CLOSED;
}

/*
 * Must the packet be judged by its own, though it leads to a flow? A SYN after the end of the old connection, which then is over; or any opening
 * packet against the flow's direction, which changes nothing (RFC 5961 section 4: the receiver asks whether it was meant).
 */
static __always_inline int opens_anew(const struct work *w, const struct cb_way *way)
{
	return w->p.flags & PKT_OPENING && (w->direction || is_closing(way));
}

/* Can the packet in work follow the decision in @way as it stands? */
static __always_inline int way_holds(const struct work *w, const struct cb_way *way)
{
	const struct pkt *p = &w->p;
	__u32 stamp = way->stamp;

	if (!stamp || way->check != p->check || way->in_vif != p->in_vif || way_expired(way, p->now_ns) ||
	    p->flags & PKT_RELATED || opens_anew(w, way))
		return 0;
	if (!same_mac(way->in_smac, p->smac) || !same_mac(way->in_dmac, p->dmac))
		return 0;
	return stamp ==
	       vif_epoch(way->in_vif) + net_epoch(p->key.net) + net_epoch(way->out_net) + vif_epoch(way->out_vif);
}

/* The state after a packet with @tcp_flags in @direction; @fin_both: FIN seen in both directions, this packet's included. */
static __always_inline __u8 next_state(__u8 state, __u32 direction, __u8 tcp_flags, int fin_both)
{
	if (tcp_flags & TCP_RST || fin_both)
		return CB_FLOW_CLOSED;
	if (tcp_flags & TCP_FIN && state != CB_FLOW_CLOSED)
		return CB_FLOW_CLOSING;
	if (direction && (state == CB_FLOW_NEW || state == CB_FLOW_PICKED_UP))
		return CB_FLOW_ESTABLISHED;
	return state;
}

/* Must update_flow be called for this packet? Once a second or more often (set_state()), and when the state may change. */
static __always_inline int needs_update(const struct work *w, const struct cb_way *way)
{
	return (__s64)(w->p.now_ns - way->refresh_ns) >= 0 || w->p.tcp_flags & (TCP_FIN | TCP_RST) ||
	       (w->direction && (way->state == CB_FLOW_NEW || way->state == CB_FLOW_PICKED_UP));
}

/* A short time is raised the more often: a packet that does not raise it is not counted as one. */
static __always_inline void set_state(struct cb_way *way, __u8 state, __u64 now, __u64 timeout)
{
	__u64 part = timeout >> 3;

	way->state = state;
	way->expires_ns = now + timeout;
	way->refresh_ns = now + (part < FLOW_REFRESH_NS ? part : FLOW_REFRESH_NS);
}

/* --- TCP: where both ends are --- */

/* The largest window that can be announced (RFC 7323): the scale is not looked at. */
#define TCP_WINDOW_MOST 0x40000000

/* Notes where the sender of the packet in work is. Not of a RST: it acknowledges and announces nothing. */
static __always_inline void track_tcp(const struct pkt *p, struct cb_tally *tally)
{
	__u32 end = p->tcp_seq + p->tcp_len;

	if (p->tcp_flags & TCP_RST || p->flags & PKT_LATER_FRAGMENT)
		return;
	if (!(tally->seen & CB_SEEN_END) || (__s32)(end - tally->tcp_end) > 0)
		tally->tcp_end = end;
	tally->tcp_window = p->tcp_window;
	tally->seen |= CB_SEEN_END;
	if (p->tcp_flags & TCP_ACK) {
		tally->tcp_ack = p->tcp_ack;
		tally->seen |= CB_SEEN_ACK;
	}
}

/* What a segment may do to the flow. */
enum segment {
	SEGMENT_COUNTS,
	SEGMENT_PASSES, /* the receiver decides: it changes no state */
	SEGMENT_INVALID, /* is dropped */
};

/*
 * A RST ends the connection if its number is exactly what the other end waits for, or what its own end has got to: everybody else would have to
 * guess it. @own: of its direction, @other: of the other. Without an end known, it shortens the flow's time as a FIN does.
 */
static __always_inline enum segment judge_reset(const struct pkt *p, const struct cb_tally *own,
						const struct cb_tally *other, __u8 state)
{
	/* In answer to a SYN it says which (RFC 9293 section 3.10.7.3). */
	if (state == CB_FLOW_NEW && other->seen & CB_SEEN_END && !(own->seen & CB_SEEN_END))
		return p->tcp_flags & TCP_ACK && p->tcp_ack == other->tcp_end ? SEGMENT_COUNTS : SEGMENT_INVALID;
	if (own->seen & CB_SEEN_END && p->tcp_seq == own->tcp_end)
		return SEGMENT_COUNTS;
	if (!(other->seen & CB_SEEN_ACK))
		return SEGMENT_PASSES;
	if (p->tcp_seq == other->tcp_ack)
		return SEGMENT_COUNTS;
	return p->tcp_seq - other->tcp_ack < TCP_WINDOW_MOST ? SEGMENT_PASSES : SEGMENT_INVALID;
}

static __always_inline enum segment judge_segment(const struct pkt *p, const struct cb_tally *own,
						  const struct cb_tally *other, __u8 state, __u32 direction)
{
	if (p->flags & PKT_LATER_FRAGMENT)
		return SEGMENT_PASSES;
	if (p->tcp_flags & TCP_RST)
		return judge_reset(p, own, other, state);
	/* The first answer must be one to what was sent. */
	if (direction && state == CB_FLOW_NEW && p->tcp_flags & TCP_ACK && other->seen & CB_SEEN_END &&
	    p->tcp_ack != other->tcp_end)
		return p->tcp_flags & TCP_SYN ? SEGMENT_INVALID : SEGMENT_PASSES;
	if (p->tcp_flags & TCP_FIN && other->seen & CB_SEEN_ACK && p->tcp_seq - other->tcp_ack >= TCP_WINDOW_MOST)
		return SEGMENT_PASSES;
	return SEGMENT_COUNTS;
}

/*
 * Refreshes the time of the flow and moves its state. Returns 0, or a reason to drop. Two packets of one flow may race on two CPUs: the worst outcome is
 * a state one step behind, which lasts as long as that state's time-out.
 */
static __noinline int update_flow(const struct work *w, struct cb_flow *flow)
{
	__u32 direction = w->direction;
	struct cb_way *way = way_of(flow, direction);
	enum segment segment = SEGMENT_COUNTS;
	__u8 state = way->state;
	__u64 timeout;

	if (cfg_trace)
		return CB_REASON_NONE;
	if (w->p.key.protocol == IPPROTO_TCP)
		segment = judge_segment(&w->p, tally_of(flow, direction), tally_of(flow, direction ^ 1), state,
					direction);
	if (segment == SEGMENT_INVALID)
		return CB_REASON_TCP_WINDOW;
	if (segment == SEGMENT_COUNTS) {
		if (w->p.tcp_flags & TCP_FIN)
			way->flags |= CB_WAY_F_FIN;
		state = next_state(state, direction, w->p.tcp_flags,
				   flow->way[0].flags & CB_WAY_F_FIN && flow->way[1].flags & CB_WAY_F_FIN);
	}
	timeout = flow_timeout_ns(w->p.key.protocol, state);
	set_state(&flow->way[0], state, w->p.now_ns, timeout);
	set_state(&flow->way[1], state, w->p.now_ns, timeout);
	return CB_REASON_NONE;
}

#endif /* CABLE_WAY_H */
