/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * flow.h: the flow table: one record a flow, with a way for each direction, and two tuples that lead to it.
 *
 * Life of a record: FREE -> BUSY (taken by one swap, filled, its tuples put in) -> LIVE -> BUSY (only who swaps it takes the tuples out and
 * lowers the counts) -> FREE, and it rests before it is taken again: no packet that has found it meanwhile can follow another flow by
 * it. A tuple is put in only where there is none, so a tuple is always that of the record that it leads to.
 */
#ifndef CABLE_FLOW_H
#define CABLE_FLOW_H

#include "config.h"
#include "lookup.h"
#include "parse.h"
#include "step.h"
#include "tell.h"

#define MILLISECOND 1000000ULL
#define SECOND 1000000000ULL
#define FLOW_REFRESH_NS SECOND
#define FLOW_REST_NS (200 * MILLISECOND)

/* Records that are looked at for a free one. */
#define FLOW_STEPS 64

/* Flows that everybody may hold, of those that are kept back for it: an eighth of the table. */
#define FLOW_FLOOR 64
#define FLOW_RESERVE(flows) ((flows) / 8)

/* Time without a packet in either direction after which a flow ends. Most are Linux conntrack's values; a closed connection ends at once but for stragglers. */
static __always_inline __u64 flow_timeout_ns(__u8 protocol, __u8 state)
{
	switch (protocol) {
	case IPPROTO_TCP:
		if (state == CB_FLOW_ESTABLISHED)
			return 432000 * SECOND;
		if (state == CB_FLOW_PICKED_UP)
			return 300 * SECOND;
		return state == CB_FLOW_CLOSED ? SECOND : 120 * SECOND;
	case IPPROTO_UDP:
		return state == CB_FLOW_NEW ? 30 * SECOND : 180 * SECOND;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 30 * SECOND;
	default:
		return 600 * SECOND;
	}
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

/* Must update_flow be called for this packet? Once a second, and when the state may change. */
static __always_inline int needs_update(const struct work *w, const struct cb_way *way)
{
	return (__s64)(w->p.now_ns - way->refresh_ns) >= 0 || w->p.tcp_flags & (TCP_FIN | TCP_RST) ||
	       (w->direction && (way->state == CB_FLOW_NEW || way->state == CB_FLOW_PICKED_UP));
}

static __always_inline void set_state(struct cb_way *way, __u8 state, __u64 now, __u64 timeout)
{
	way->state = state;
	way->expires_ns = now + timeout;
	way->refresh_ns = now + FLOW_REFRESH_NS;
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

/* --- shares --- */

static __always_inline struct cb_use *use_row(__u32 row)
{
	return bpf_map_lookup_elem(&cb_use_1, &row);
}

static __always_inline void count_use(__u32 row, __u32 side, int by)
{
	struct cb_use *use = use_row(row);

	if (use)
		__sync_fetch_and_add(side ? &use->flows[1] : &use->flows[0], by);
}

static __always_inline void count_flows(int by)
{
	__u32 zero = 0;
	struct cb_gauge *gauge = bpf_map_lookup_elem(&cb_gauge_1, &zero);

	if (gauge)
		__sync_fetch_and_add(&gauge->flows, (__s64)by);
}

/* Counts @flow for its owners; @by: 1 or -1. */
static __always_inline void count_owners(const struct cb_flow *flow, int by)
{
	for (__u32 side = 0; side < 2; side++) {
		if (!flow->owner[side])
			continue;
		count_use(flow->owner[side], side, by);
		count_use(CB_USE_PROJECT + flow->project[side], side, by);
	}
	count_flows(by);
}

static __always_inline int holds_share(__u32 row, __u32 side, __u64 most)
{
	struct cb_use *use = use_row(row);

	return !use || (side ? use->flows[1] : use->flows[0]) >= (most > FLOW_FLOOR ? most : FLOW_FLOOR);
}

/*
 * Who answers for the flow of the packet in work, as the one who begins (@side 0) or receives it (1): a VIF here, 0: nobody. Of what only passes this host, from others to an
 * uplink or back, that is CB_USE_PASSING, for the end that is not outside.
 */
static __always_inline __u32 owner_of(const struct work *w, __u32 side)
{
	if (w->p.in_vif || w->way.out_vif)
		return side ? w->way.out_vif : w->p.in_vif;
	return side == !!(w->p.flags & PKT_OUTSIDE) ? CB_USE_PASSING : 0;
}

/* The project of owner_of(). */
static __always_inline __u32 owning_project(const struct work *w, __u32 side)
{
	struct cb_net *net;

	if (owner_of(w, side) != CB_USE_PASSING)
		return side ? w->to.project : w->sender.project;
	net = net_row(side ? w->way.out_net : w->p.key.net);
	return net ? net->project : 0;
}

/*
 * Has one who answers for the flow of the packet in work its share of the table? A project may hold as many as are free, a VIF half of that; so a greedy one leaves room for others,
 * whoever they are, and nobody has to set a limit. What only passes is its project's alone.
 */
static __noinline int share_is_full(const struct work *w)
{
	__u64 usable = cfg_flows - FLOW_RESERVE(cfg_flows), free;
	__u32 zero = 0, owner;
	struct cb_gauge *gauge = bpf_map_lookup_elem(&cb_gauge_1, &zero);

	if (!gauge)
		return 0;
	free = gauge->flows < usable ? usable - gauge->flows : 0;
	for (__u32 side = 0; side < 2; side++) {
		owner = owner_of(w, side);
		if (owner && (holds_share(CB_USE_PROJECT + owning_project(w, side), side, free) ||
			      (owner != CB_USE_PASSING && holds_share(owner, side, free / 2))))
			return 1;
	}
	return 0;
}

/* --- what is told --- */

static __always_inline __u32 choice_of(const struct cb_tuple_key *key)
{
	return tuple_check(key) >> 1;
}

/* Why the flow of @flow ends now: CB_TOLD_*. */
static __always_inline __u8 end_reason(const struct cb_flow *flow, __u64 now)
{
	if (flow->tuple[0].protocol == IPPROTO_TCP && is_closing(&flow->way[0]))
		return CB_TOLD_OVER;
	return way_expired(&flow->way[0], now) ? CB_TOLD_IDLE : CB_TOLD_FORCED;
}

/* Tells that flow @number, which is BUSY, begins (@kind CB_TOLD_BEGIN) or has ended. */
GLOBAL int tell_flow(__u32 number, __u32 kind)
{
	struct cb_flow *flow = flow_row(number);
	struct cb_told *told;

	if (cfg_trace || !flow)
		return 0;
	told = take_told();
	if (!told)
		return 0;
	__builtin_memset(told, 0, sizeof(*told));
	told->at_ns = bpf_ktime_get_ns();
	told->begun_ns = flow->at_ns;
	for (int n = 0; n < 2; n++) {
		told->packets[n] = flow->tally[n].packets;
		told->bytes[n] = flow->tally[n].bytes;
		told->tuple[n] = flow->tuple[n];
		told->owner[n] = flow->owner[n];
		told->project[n] = flow->project[n];
	}
	told->life = flow->life >> 2;
	told->flow = number;
	told->rule = flow->rule;
	told->member = flow->member;
	told->choice = choice_of(&flow->tuple[0]);
	told->kind = kind;
	told->reason = kind == CB_TOLD_END ? end_reason(flow, told->at_ns) : 0;
	told->state = flow->way[0].state;
	bpf_ringbuf_submit(told, 0);
	return 0;
}

static __always_inline int is_flow_told(const struct cb_flow *flow)
{
	return is_told(flow->owner[0], flow->owner[1], choice_of(&flow->tuple[0]));
}

/* The packet in work is dropped for @reason when it was decided: that is told. */
GLOBAL int tell_drop(struct __sk_buff *ctx, __u32 reason)
{
	struct work *w = work();
	__u32 choice, vif;
	struct cb_told *told;
	__u64 now;

	if (cfg_trace || !w)
		return 0;
	choice = choice_of(&w->p.key);
	vif = tells_of(w->p.in_vif, choice) ? w->p.in_vif : w->way.out_vif;
	now = bpf_ktime_get_ns();
	if (!tells_of(vif, choice) || !may_tell_drop(vif, now))
		return 0;
	told = take_told();
	if (!told)
		return 0;
	__builtin_memset(told, 0, sizeof(*told));
	told->at_ns = now;
	told->packets[0] = 1;
	told->bytes[0] = ctx->len;
	told->tuple[0] = w->p.key;
	told->choice = choice;
	told->owner[0] = w->p.in_vif;
	told->owner[1] = w->way.out_vif;
	told->project[0] = w->sender.project;
	told->project[1] = w->to.project;
	told->kind = CB_TOLD_DROP;
	told->reason = reason;
	bpf_ringbuf_submit(told, 0);
	return 0;
}

/* --- the end of a flow --- */

/* Makes the LIVE record BUSY. Returns whether it was this call that did: then the record is the caller's until set_life(). */
static __always_inline int take_busy(struct cb_flow *flow)
{
	__u64 life = flow->life;

	return (life & 3) == CB_LIFE_LIVE &&
	       __sync_val_compare_and_swap(&flow->life, life, (life & ~3ULL) | CB_LIFE_BUSY) == life;
}

/* Makes the LIVE record of flow @number BUSY and takes its tuples and counts out. Returns whether it was this call that did. */
static __noinline int take_apart(__u32 number)
{
	struct cb_flow *flow = flow_row(number);

	if (!flow || !take_busy(flow))
		return 0;
	flow->way[0].stamp = 0;
	flow->way[1].stamp = 0;
	flow->way[0].check = 0;
	flow->way[1].check = 0;
	bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[0]);
	bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[1]);
	count_owners(flow, -1);
	if (flow->flags & CB_FLOW_F_TOLD || is_flow_told(flow))
		tell_flow(number, CB_TOLD_END);
	return 1;
}

static __always_inline void set_life(struct cb_flow *flow, enum cb_life life)
{
	__u64 busy = flow->life;

	barrier();
	__sync_val_compare_and_swap(&flow->life, busy, (busy & ~3ULL) | life);
}

/* Ends flow @number, unless somebody else does. Returns 1 if it was this call that did. */
GLOBAL int end_flow(__u32 number)
{
	struct cb_flow *flow = flow_row(number);

	if (cfg_trace || !flow || !take_apart(number))
		return 0;
	flow->at_ns = bpf_ktime_get_ns();
	set_life(flow, CB_LIFE_FREE);
	return 1;
}

/* --- the beginning of a flow --- */

/*
 * Takes a free record: it is BUSY then. Returns its number; 0: none was found. The next behind the last that this CPU took is near at hand; where that is taken
 * many are, so the search goes on anywhere.
 */
GLOBAL int take_record(__u64 now_ns)
{
	struct work *w = work();
	struct cb_flow *flow;
	__u64 life;

	if (!w)
		return 0;
	w->cursor++;
	for (int n = 0; n < FLOW_STEPS; n++) {
		if (!w->cursor || w->cursor >= cfg_flows)
			w->cursor = 1;
		flow = flow_row(w->cursor);
		if (!flow)
			return 0;
		life = flow->life;
		if ((life & 3) == CB_LIFE_FREE && (!life || flow->at_ns + FLOW_REST_NS <= now_ns) &&
		    __sync_val_compare_and_swap(&flow->life, life, ((life & ~3ULL) + 4) | CB_LIFE_BUSY) == life)
			return w->cursor;
		w->cursor = bpf_get_prandom_u32() % cfg_flows;
	}
	return 0;
}

/* The tuple of answers to the packet in work, or to what it becomes, which enter this host in network @net. */
static __always_inline void make_answer(struct work *w, __u16 net)
{
	const struct cb_tuple_key *to = w->p.flags & PKT_TRANSLATED ? &w->nat.to : &w->p.key;

	w->answer.src = to->dst;
	w->answer.dst = to->src;
	w->answer.sport_be = to->dport_be;
	w->answer.dport_be = to->sport_be;
	w->answer.net = net;
	w->answer.protocol = to->protocol;
	w->answer.pad = 0;
}

/* Is the packet's key before its answer's? Whichever direction is first makes the same order of it. */
static __always_inline int key_is_first(const struct work *w)
{
	const __u64 *key = (const __u64 *)&w->p.key, *answer = (const __u64 *)&w->answer;

	for (int n = 0; n < 5; n++)
		if (key[n] != answer[n])
			return key[n] < answer[n];
	return 1;
}

/* From somebody to himself: no two directions could be told apart. */
static __always_inline int is_own_answer(const struct work *w)
{
	const __u64 *key = (const __u64 *)&w->p.key, *answer = (const __u64 *)&w->answer;

	for (int n = 0; n < 5; n++)
		if (key[n] != answer[n])
			return 0;
	return 1;
}

static __always_inline int put_tuple(const struct cb_tuple_key *key, __u32 flow, __u32 direction)
{
	struct cb_tuple tuple = {.flow = flow, .direction = direction};

	return bpf_map_update_elem(&cb_tuple_1, key, &tuple, BPF_NOEXIST);
}

/*
 * Puts in both tuples of the record @flow, always in the same order, so that two CPUs that make the two directions at once meet at the first.
 * Returns 0, or a negative errno: then neither is in.
 */
GLOBAL int put_tuples(struct __sk_buff *ctx __attribute__((unused)), __u32 flow)
{
	struct work *w = work();
	int err;

	if (!w)
		return -1;
	if (key_is_first(w)) {
		err = put_tuple(&w->p.key, flow, 0);
		if (err)
			return err;
		err = put_tuple(&w->answer, flow, 1);
		if (err)
			bpf_map_delete_elem(&cb_tuple_1, &w->p.key);
		return err;
	}
	err = put_tuple(&w->answer, flow, 1);
	if (err)
		return err;
	err = put_tuple(&w->p.key, flow, 0);
	if (err)
		bpf_map_delete_elem(&cb_tuple_1, &w->answer);
	return err;
}

/* The state of a flow whose first packet seen is @p. */
static __always_inline __u8 first_state(const struct pkt *p)
{
	return p->key.protocol == IPPROTO_TCP && !(p->flags & PKT_OPENING) ? CB_FLOW_PICKED_UP : CB_FLOW_NEW;
}

/* Writes the decision under construction into @way: at the end, in one store, what makes it hold. */
static __always_inline void put_way(const struct work *w, struct cb_way *way)
{
	const struct cb_way *from = &w->way;
	__u64 word;

	way->stamp = 0;
	barrier();
	way->out_net = from->out_net;
	way->tunnel = from->tunnel;
	way->mtu_bytes = from->mtu_bytes;
	way->deliver = from->deliver;
	way->flags = (way->flags & CB_WAY_F_FIN) | from->flags;
	__builtin_memcpy(way->in_smac, w->p.smac, 6);
	__builtin_memcpy(way->in_dmac, w->p.dmac, 6);
	__builtin_memcpy(way->out_dmac, from->out_dmac, 6);
	__builtin_memcpy(way->out_smac, from->out_smac, 6);
	barrier();
	/* What was read under an odd epoch is not remembered; nor that a MAC is nobody's. */
	word = (__u64)w->p.in_vif << 32 | (__u64)from->out_vif << 48;
	if (!w->unsettled && from->deliver)
		word |= w->stamp;
	*(volatile __u64 *)way = word;
}

/* Fills the record @flow, which is BUSY, with the flow whose first packet is in work. */
static __always_inline void fill_record(struct work *w, struct cb_flow *flow)
{
	__u8 state = first_state(&w->p);
	__u64 timeout = flow_timeout_ns(w->p.key.protocol, state);

	__builtin_memset(flow, 0, offsetof(struct cb_flow, life));
	flow->tuple[0] = w->p.key;
	flow->tuple[1] = w->answer;
	flow->at_ns = w->p.now_ns;
	flow->owner[0] = owner_of(w, 0);
	flow->owner[1] = owner_of(w, 1);
	flow->project[0] = owning_project(w, 0);
	flow->project[1] = owning_project(w, 1);
	flow->member = w->member;
	flow->held = 0;
	flow->flags = 0;
	flow->rule = w->rule;
	set_state(&flow->way[0], state, w->p.now_ns, timeout);
	set_state(&flow->way[1], state, w->p.now_ns, timeout);
	flow->way[0].check = w->p.check;
	flow->way[1].check = tuple_check(&w->answer);
	/* Answers come from where it goes. */
	flow->way[1].in_vif = w->way.out_vif;
	flow->way[1].out_vif = w->p.in_vif;
	put_way(w, &flow->way[0]);
}

/* Network in which answers to the packet in work enter this host. */
static __always_inline __u16 answer_net(const struct work *w)
{
	/* Who is here answers in his own network, whatever way others have. */
	if (w->p.flags & PKT_TRANSLATED && w->nat.answer_net && !w->way.out_vif)
		return w->nat.answer_net;
	return w->way.out_vif || w->way.deliver == CB_DELIVER_UPLINK ? w->way.out_net : w->p.key.net;
}

/* The flow that the answers' tuple leads to, 0: none, and in @direction which of its directions that is. */
static __always_inline __u32 flow_of_answer(struct work *w, __u32 *direction)
{
	struct cb_tuple *tuple = bpf_map_lookup_elem(&cb_tuple_1, &w->answer);
	__u64 word;

	if (!tuple)
		return 0;
	word = *(volatile __u64 *)tuple;
	*direction = (word >> 32) & 1;
	return word;
}

/* Are @a and @b alike but for the network? */
static __always_inline int differ_by_net(const struct cb_tuple_key *a, const struct cb_tuple_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && a->sport_be == b->sport_be &&
	       a->dport_be == b->dport_be && a->protocol == b->protocol && a->net != b->net;
}

/*
 * The packet in work, resolved, leads to no flow by its own tuple. It may be the answer of one whose other end has moved to or from this host since:
 * then answers enter in another network than was foreseen. The flow's tuple is made anew, and `flow` and `direction` set. Returns whether
 * it was so.
 */
GLOBAL int find_moved(struct __sk_buff *ctx __attribute__((unused)))
{
	struct work *w = work();
	struct cb_flow *flow;
	struct cb_way *way;
	__u32 number, direction = 0;
	__u64 life;

	if (!w)
		return 0;
	make_answer(w, answer_net(w));
	number = flow_of_answer(w, &direction);
	flow = flow_row(number);
	if (!number || !flow)
		return 0;
	/* Of the packet. */
	direction ^= 1;
	way = way_of(flow, direction);
	/* Nobody has collected it yet: it must not be in the way of a new one. */
	if (way_expired(way, w->p.now_ns)) {
		end_flow(number);
		return 0;
	}
	if (cfg_trace) {
		w->flow = number;
		w->direction = direction;
		return differ_by_net(direction ? &flow->tuple[1] : &flow->tuple[0], &w->p.key);
	}
	life = flow->life;
	if (!differ_by_net(direction ? &flow->tuple[1] : &flow->tuple[0], &w->p.key) || (life & 3) != CB_LIFE_LIVE ||
	    __sync_val_compare_and_swap(&flow->life, life, (life & ~3ULL) | CB_LIFE_BUSY) != life)
		return 0;
	if (put_tuple(&w->p.key, number, direction)) {
		set_life(flow, CB_LIFE_LIVE);
		return 0;
	}
	way->stamp = 0;
	if (direction) {
		bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[1]);
		flow->tuple[1] = w->p.key;
	} else {
		bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[0]);
		flow->tuple[0] = w->p.key;
	}
	way->in_vif = w->p.in_vif;
	way->check = w->p.check;
	set_life(flow, CB_LIFE_LIVE);
	w->flow = number;
	w->direction = direction;
	return 1;
}

/*
 * Somebody's tuple is where one of the new flow has to be. An opening packet, which its own rules allow, ends that flow; any other follows it:
 * another CPU has just made it. Returns 1: try again; 0: `flow` and `direction` are set, or there is none.
 */
static __noinline int make_way(struct work *w)
{
	__u32 direction = 0, other;

	find_flow(w);
	if (!(w->p.flags & PKT_OPENING))
		return 0;
	other = flow_of_answer(w, &direction);
	if (other)
		end_flow(other);
	if (w->flow)
		end_flow(w->flow);
	w->flow = 0;
	w->direction = 0;
	return 1;
}

/*
 * The record for a new flow, BUSY, in @number. Of a flow that the packet opens anew it is the same: else who opens and closes in turn would have a great
 * many records rest, which are counted to nobody. Returns 0, or a reason to drop.
 */
static __noinline int take_for_flow(struct work *w, __u32 *number)
{
	struct cb_flow *flow = flow_row(w->replaced);

	*number = w->replaced;
	if (w->replaced && flow && take_apart(w->replaced)) {
		__sync_fetch_and_add(&flow->life, 4);
		return CB_REASON_NONE;
	}
	if (share_is_full(w))
		return CB_REASON_FLOW_SHARE;
	*number = take_record(w->p.now_ns);
	return *number ? CB_REASON_NONE : CB_REASON_FLOW_TABLE;
}

/* --- translation --- */

/* Notes what the packet in work becomes as one of @flow; NULL: it begins one. */
static __always_inline void note_translation(struct work *w, const struct cb_flow *flow)
{
	const struct cb_tuple_key *other, *key = &w->p.key;
	struct cb_tuple_key *to = &w->nat.to;

	w->nat.known = flow != NULL;
	w->member = flow ? flow->member : 0;
	w->nat.chooses = 0;
	w->nat.leased = 0;
	w->nat.answer_net = 0;
	w->nat.asked = 0;
	w->nat.here = 0;
	w->nat.meets = 0;
	w->nat.floats = 0;
	w->p.flags &= ~PKT_TRANSLATED;
	if (!flow)
		return;
	other = w->direction ? &flow->tuple[0] : &flow->tuple[1];
	to->src = other->dst;
	to->dst = other->src;
	to->sport_be = other->dport_be;
	to->dport_be = other->sport_be;
	to->net = key->net;
	to->protocol = key->protocol;
	if (!same_address(&to->src, &key->src) || !same_address(&to->dst, &key->dst) || to->sport_be != key->sport_be ||
	    to->dport_be != key->dport_be)
		w->p.flags |= PKT_TRANSLATED;
}

/* Can another port or identifier be put in the place of the source's? SCTP's checksum covers all of the packet, and the other protocols have none. */
static __always_inline int chooses_port(const struct pkt *p)
{
	if (p->key.protocol == IPPROTO_ICMP || p->key.protocol == IPPROTO_ICMPV6)
		return p->family == CB_FAMILY_V6 ? p->icmp_type == ICMP6_ECHO : icmp_is_query(p->icmp_type);
	return has_ports(p->key.protocol) && p->key.protocol != IPPROTO_SCTP;
}

/* How many ports are tried for one flow. */
#define PORT_TRIES 16

/*
 * A port for the packet in work: of a group of CB_SNAT_GROUP, always the same one for the same sender. So a sender, whatever it opens, leaves most ports to
 * a destination to others. @group: counted from the beginning of the range.
 */
static __always_inline __u16 port_of_group(const struct work *w, __u32 group)
{
	const __u64 *src = (const __u64 *)&w->p.key.src;
	__u64 sender = w->p.in_vif ? w->p.in_vif : src[0] ^ src[1] ^ w->p.key.net;
	__u32 place =
		((sender * 0x9e3779b97f4a7c15ULL) ^ (group * 0xbf58476d1ce4e5b9ULL)) * 0x94d049bb133111ebULL >> 61;

	return w->nat.first_port + group * CB_SNAT_GROUP + place;
}

/* Has another flow, whose time is not over, the answers' tuple? */
static __noinline int answer_is_taken(struct work *w)
{
	__u32 direction = 0, number = flow_of_answer(w, &direction);
	struct cb_flow *flow = flow_row(number);

	return number && flow && !way_expired(&flow->way[0], w->p.now_ns);
}

/* Takes @port for the flow @number if no other has it to that destination. Returns 0 or a negative errno. A trace only looks. */
static __always_inline int take_port(struct work *w, struct cb_flow *flow, __u32 number, __u16 port)
{
	w->nat.to.sport_be = bpf_htons(port);
	w->answer.dport_be = w->nat.to.sport_be;
	if (cfg_trace)
		return answer_is_taken(w) ? -1 : 0;
	/* The record is whole before anything leads to it. */
	flow->tuple[1].dport_be = w->answer.dport_be;
	flow->way[1].check = tuple_check(&w->answer);
	return put_tuple(&w->answer, number, 1);
}

/* More tries for one port than this: the sender's blocks are nearly full to that destination. */
#define BLOCK_TRIES_FEW 4

/* The blocks that the sender of the packet in work has. */
static __always_inline struct cb_lease *lease_of_sender(const struct work *w)
{
	return lookup_lease(w->nat.vrf, w->p.in_vif, w->p.key.net, &w->p.key.src);
}

/* The sender of the packet in work should have more blocks than @lease. */
static __always_inline void want_block(const struct work *w, const struct cb_lease *lease)
{
	struct cb_held *held = cfg_trace ? NULL : lookup_held(&lease->addr, lease->block[0]);

	if (held)
		held->wanted_ns = w->p.now_ns;
}

/* So many tries later also a connection that is over gives way: it rests in its port for late packets, which matters less than a new one. */
#define PORT_TRIES_POLITE 8

/*
 * Ends the flow that has the answers' tuple if its time is over: nobody has collected it yet. @is_urgent: or if both ends have closed it, or one has reset it. Returns
 * whether that is free now.
 */
static __always_inline int end_if_over(struct work *w, int is_urgent)
{
	__u32 direction = 0, number = flow_of_answer(w, &direction);
	struct cb_flow *flow = flow_row(number);

	if (!number || !flow)
		return 0;
	if (!way_expired(&flow->way[0], w->p.now_ns) &&
	    (!is_urgent || flow->tuple[0].protocol != IPPROTO_TCP || flow->way[0].state != CB_FLOW_CLOSED))
		return 0;
	return end_flow(number);
}

/* reserve_port() of the sender's own blocks: any port of them. */
static __always_inline int reserve_in_blocks(struct work *w, struct cb_flow *flow, __u32 number)
{
	struct cb_lease *lease = lease_of_sender(w);
	__u32 ports, at = bpf_get_prandom_u32();

	if (!lease || !lease->count)
		return CB_REASON_SNAT_NO_BLOCK;
	ports = lease->count * CB_BLOCK_PORTS;
	for (int n = 0; n < PORT_TRIES; n++) {
		__u32 place = at % ports;
		__u32 block = lease->block[place / CB_BLOCK_PORTS % CB_LEASE_BLOCKS];

		if (n == BLOCK_TRIES_FEW)
			want_block(w, lease);
		if (!take_port(w, flow, number, block * CB_BLOCK_PORTS + place % CB_BLOCK_PORTS))
			return CB_REASON_NONE;
		if (!end_if_over(w, n >= PORT_TRIES_POLITE))
			at = place + 1;
	}
	return CB_REASON_SNAT_BLOCKS;
}

/*
 * Puts in the answers' tuple of the record @number with a port that is free: having put it in is having the port. Returns 0, or a reason to
 * drop. A trace puts in nothing, and has no record.
 */
GLOBAL int reserve_port(struct __sk_buff *ctx __attribute__((unused)), __u32 number)
{
	struct cb_flow *flow = flow_row(number);
	__u32 groups, group = bpf_get_prandom_u32();
	struct work *w = work();

	if (!w || !flow)
		return CB_REASON_NAT_PORTS;
	if (!chooses_port(&w->p)) {
		if (cfg_trace)
			return answer_is_taken(w) ? CB_REASON_NAT_PORTS : CB_REASON_NONE;
		end_if_over(w, 0);
		return put_tuple(&w->answer, number, 1) ? CB_REASON_NAT_PORTS : CB_REASON_NONE;
	}
	if (w->nat.leased)
		return reserve_in_blocks(w, flow, number);
	groups =
		w->nat.last_port >= w->nat.first_port ? (w->nat.last_port - w->nat.first_port + 1u) / CB_SNAT_GROUP : 0;
	if (!groups)
		return CB_REASON_NAT_PORTS;
	for (int n = 0; n < PORT_TRIES; n++) {
		if (!take_port(w, flow, number, port_of_group(w, group % groups)))
			return CB_REASON_NONE;
		if (!end_if_over(w, n >= PORT_TRIES_POLITE))
			group++;
	}
	return CB_REASON_NAT_PORTS;
}

/*
 * Puts in both tuples of the record @number, whose source gets a port. Returns 0, or a reason to drop; then neither is in, and `flow` is set if another CPU
 * has made the flow.
 */
static __always_inline __u32 put_with_port(struct __sk_buff *ctx, struct work *w, __u32 number)
{
	__u32 reason = reserve_port(ctx, number);

	if (reason || !put_tuple(&w->p.key, number, 0))
		return reason;
	bpf_map_delete_elem(&cb_tuple_1, &w->answer);
	find_flow(w);
	return CB_REASON_FLOW_TABLE;
}

/*
 * Why begin_flow() would refuse the packet in work; CB_REASON_NONE: it would not, and what the packet becomes is chosen. For traces, which begin
 * none.
 */
static __always_inline __u32 refuses_flow(struct __sk_buff *ctx, struct work *w)
{
	__u32 zero = 0;
	struct cb_gauge *gauge = bpf_map_lookup_elem(&cb_gauge_1, &zero);

	make_answer(w, answer_net(w));
	if (is_own_answer(w))
		return CB_REASON_INVALID_STATE;
	if (traces_answer())
		return CB_REASON_NONE;
	if (!w->replaced) {
		if (share_is_full(w))
			return CB_REASON_FLOW_SHARE;
		if (gauge && gauge->flows + 1 >= cfg_flows)
			return CB_REASON_FLOW_TABLE;
	}
	return w->nat.chooses ? reserve_port(ctx, 0) : CB_REASON_NONE;
}

/*
 * Makes the flow whose first packet is in work and whose decision is under construction. Returns 0 and sets `flow`, or a reason to drop. The flow may be
 * another CPU's, made at the same moment.
 */
GLOBAL int begin_flow(struct __sk_buff *ctx)
{
	__u32 number = 0, reason;
	struct work *w = work();
	struct cb_flow *flow;

	if (!w)
		return CB_REASON_FLOW_TABLE;
	make_answer(w, answer_net(w));
	if (is_own_answer(w))
		return CB_REASON_INVALID_STATE;
	reason = take_for_flow(w, &number);
	if (reason)
		return reason;
	flow = flow_row(number);
	if (!flow)
		return CB_REASON_FLOW_TABLE;
	fill_record(w, flow);
	if (w->nat.chooses)
		reason = put_with_port(ctx, w, number);
	else if (put_tuples(ctx, number) && (!make_way(w) || put_tuples(ctx, number)))
		reason = CB_REASON_FLOW_TABLE;
	if (reason) {
		set_life(flow, CB_LIFE_FREE);
		if (!w->flow)
			return reason;
		note_translation(w, flow_row(w->flow));
		return CB_REASON_NONE;
	}
	count_owners(flow, 1);
	if (is_flow_told(flow)) {
		flow->flags |= CB_FLOW_F_TOLD;
		tell_flow(number, CB_TOLD_BEGIN);
	}
	set_life(flow, CB_LIFE_LIVE);
	w->flow = number;
	w->direction = 0;
	return CB_REASON_NONE;
}

#endif /* CABLE_FLOW_H */
