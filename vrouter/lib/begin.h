/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* begin.h: the beginning of a flow: its record, its tuples, and the port that its source gets where it is translated. */
#ifndef CABLE_BEGIN_H
#define CABLE_BEGIN_H

#include "flow.h"

/* Notes what the packet in work becomes as one of @flow; NULL: it begins one. */
static __always_inline void note_translation(struct work *w, const struct cb_flow *flow)
{
	const struct cb_tuple_key *other, *key = &w->p.key;
	struct cb_tuple_key *to = &w->nat.to;

	w->nat.known = flow != NULL;
	w->member = flow ? flow->member : 0;
	w->served = flow ? flow->served : 0;
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

/* Of a traced answer: the flow that it would be of, which the packet that it answers would have begun on this host. NULL: none. */
static __noinline struct cb_trace_flow *flow_of_trace(const struct work *w)
{
	struct cb_trace *t = cfg_trace ? trace_row() : NULL;

	if (!t || !(t->flags & CB_TRACE_F_ANSWER))
		return NULL;
	for (__u32 n = 0; n < CB_TRACE_FLOWS; n++)
		if (n < t->flows && same_tuple(&t->flow[n].tuple[1], &w->p.key))
			return &t->flow[n];
	return NULL;
}

/* Notes what the traced answer in work becomes as one of flow_of_trace(). Returns whether there is one. */
static __always_inline int note_traced(struct work *w)
{
	struct cb_trace_flow *flow = cfg_trace ? flow_of_trace(w) : NULL;
	const struct cb_tuple_key *began;
	struct cb_tuple_key *to = &w->nat.to;

	if (!flow)
		return 0;
	began = &flow->tuple[0];
	w->direction = 1;
	w->member = flow->member;
	w->served = flow->served;
	w->nat.known = 1;
	to->src = began->dst;
	to->dst = began->src;
	to->sport_be = began->dport_be;
	to->dport_be = began->sport_be;
	to->net = w->p.key.net;
	to->protocol = w->p.key.protocol;
	if (!same_tuple(to, &w->p.key))
		w->p.flags |= PKT_TRANSLATED;
	return 1;
}

/* Notes the flow that the traced packet in work would begin. */
static __always_inline void note_beginning(const struct work *w)
{
	struct cb_trace *t = trace_row();

	if (!t)
		return;
	t->began.tuple[0] = w->p.key;
	t->began.tuple[1] = w->answer;
	t->began.vif = w->p.in_vif;
	t->began.member = w->member;
	t->began.served = w->served;
	t->flags |= CB_TRACE_F_BEGAN;
}

/* Can another port or identifier be put in the place of the source's? SCTP's checksum covers all of the packet, and the other protocols have none. */
static __always_inline int chooses_port(const struct pkt *p)
{
	if (p->key.protocol == IPPROTO_ICMP || p->key.protocol == IPPROTO_ICMPV6)
		return p->family == CB_FAMILY_V6 ? p->icmp_type == ICMP6_ECHO : icmp_is_query(p->icmp_type);
	return has_ports(p->key.protocol) && p->key.protocol != IPPROTO_SCTP;
}

/* Does the flow that the packet in work begins get another port, or identifier? */
static __always_inline int gets_port(const struct work *w)
{
	return w->nat.chooses && chooses_port(&w->p);
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
	/* By a node's VIF come many. */
	__u64 sender = w->p.in_vif && !(w->sender.flags & CB_VIF_F_NODE) ? w->p.in_vif : src[0] ^ src[1] ^ w->p.key.net;
	__u32 place =
		((sender * 0x9e3779b97f4a7c15ULL) ^ (group * 0xbf58476d1ce4e5b9ULL)) * 0x94d049bb133111ebULL >> 61;

	return w->nat.first_port + group * CB_SNAT_GROUP + place;
}

/* Has another flow, which is not over, the answers' tuple? */
static __noinline int answer_is_taken(struct work *w)
{
	__u32 direction = 0, number = flow_of_answer(w, &direction);
	struct cb_flow *flow = flow_row(number);

	return number && flow && !is_stale(w, flow, direction);
}

/* Takes @port for the flow @number if no other has it to that destination, nor its own first direction. Returns 0 or a negative errno. A trace only looks. */
static __always_inline int take_port(struct work *w, struct cb_flow *flow, __u32 number, __u16 port)
{
	w->nat.to.sport_be = bpf_htons(port);
	w->answer.dport_be = w->nat.to.sport_be;
	if (is_own_answer(w))
		return -1;
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
 * Why begin_flow() would refuse the packet in work; CB_REASON_NONE: it would not, and what the packet becomes is chosen and noted. For traces, which
 * begin none.
 */
static __always_inline __u32 refuses_flow(struct __sk_buff *ctx, struct work *w)
{
	__u32 reason = CB_REASON_NONE;
	struct cb_gauge *gauge = gauge_row();

	make_answer(w, answer_net(w));
	if (!gets_port(w) && is_own_answer(w))
		return CB_REASON_INVALID_STATE;
	if (traces_answer())
		return CB_REASON_NONE;
	if (!w->replaced) {
		if (share_is_full(ctx))
			return CB_REASON_FLOW_SHARE;
		if (gauge && gauge->flows + 1 >= cfg_flows)
			return CB_REASON_FLOW_TABLE;
	}
	if (w->nat.chooses)
		reason = reserve_port(ctx, 0);
	else if (!(w->p.flags & PKT_OPENING) && answer_is_taken(w))
		reason = CB_REASON_NAT_PORTS;
	if (!reason)
		note_beginning(w);
	return reason;
}

/*
 * Another CPU has made the flow of the packet in work, `flow`, at the same moment. Returns 0; or, where that went to another member or endpoint than the packet was decided for, a
 * reason to drop.
 */
static __noinline __u32 follow_other(struct work *w)
{
	__u32 is_translated = w->p.flags & PKT_TRANSLATED;
	struct cb_addr chosen = w->nat.to.dst;
	__u16 port_be = w->nat.to.dport_be;

	note_translation(w, flow_row(w->flow));
	if (is_translated && (port_be != w->nat.to.dport_be || !same_address(&chosen, &w->nat.to.dst)))
		return CB_REASON_NAT_PORTS;
	return CB_REASON_NONE;
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
	enum told told;

	if (!w)
		return CB_REASON_FLOW_TABLE;
	make_answer(w, answer_net(w));
	if (!gets_port(w) && is_own_answer(w))
		return CB_REASON_INVALID_STATE;
	reason = take_for_flow(ctx, w, &number);
	if (reason)
		return reason;
	flow = flow_row(number);
	if (!flow)
		return CB_REASON_FLOW_TABLE;
	fill_record(ctx, w, flow);
	if (w->nat.chooses)
		reason = put_with_port(ctx, w, number);
	else if (put_tuples(ctx, number) && (!make_way(w) || put_tuples(ctx, number)))
		reason = answer_is_taken(w) ? CB_REASON_NAT_PORTS : CB_REASON_FLOW_TABLE;
	if (reason) {
		set_life(flow, CB_LIFE_FREE);
		return w->flow ? follow_other(w) : reason;
	}
	count_owners(number, 1);
	told = flow_told(flow);
	if (told == TOLD_ALL)
		flow->flags |= CB_FLOW_F_TOLD;
	if (told)
		tell_flow(number, CB_TOLD_BEGIN);
	set_life(flow, CB_LIFE_LIVE);
	w->flow = number;
	w->direction = 0;
	return CB_REASON_NONE;
}

#endif /* CABLE_BEGIN_H */
