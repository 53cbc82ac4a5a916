/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * adopt.h: taking over a flow that began elsewhere: in a table of another layout. What it is (tuples, state, time, counts) is taken; no verdict and
 * no way: the first packet of each direction is decided anew, as of the flow's first packet.
 */
#ifndef CABLE_ADOPT_H
#define CABLE_ADOPT_H

#include "flow.h"

/* A flow to be taken over. */
struct adopted {
	struct cb_tuple_key tuple[2]; /* [0]: of its first packet */
	struct cb_tally tally[2];
	__u64 expires_ns; /* CLOCK_MONOTONIC */
	__u32 vif[2]; /* whose the ends are; 0: another host's */
	__u32 member; /* of struct cb_flow */
	__u32 flags;
	__u8 state; /* enum cb_flow_state */
	__u8 fin[2]; /* a FIN was seen in this direction */
	__u8 pad;
	__u16 passes
		[2]; /* of an end that only passes this host's gateway, the network whose project it is counted to; 0: it is `vif`'s */
	__u16 out_net[2]; /* in which each direction leaves; 0: not known */
	__u16 session[2]; /* of struct cb_flow */
};

/* The direction under way is not decided yet: its first packet here is. */
static __always_inline void adopt_way(struct cb_way *way, const struct adopted *flow, __u32 direction)
{
	way->check = tuple_check(&flow->tuple[direction]);
	way->in_vif = flow->vif[direction];
	way->out_vif = flow->vif[!direction];
	way->out_net = flow->out_net[direction];
	way->flags = flow->fin[direction] ? CB_WAY_F_FIN : 0;
	way->state = flow->state;
	way->expires_ns = flow->expires_ns;
}

static __always_inline __u16 project_of(__u32 vif)
{
	struct cb_vif *row = vif ? vif_row(vif) : NULL;

	return row ? row->project : 0;
}

static __always_inline __u16 project_of_net(__u16 net)
{
	struct cb_net *row = net_row(net);

	return row ? row->project : 0;
}

/* To whom an end of @flow is counted, as owner_of() and owning_project() would have it. */
static __always_inline __u32 adopted_owner(const struct adopted *flow, __u32 side)
{
	return flow->passes[side] ? CB_USE_PASSING : flow->vif[side];
}

static __always_inline __u16 adopted_project(const struct adopted *flow, __u32 side)
{
	return flow->passes[side] ? project_of_net(flow->passes[side]) : project_of(flow->vif[side]);
}

/* Is @a before @b? In this order tuples are put in, by whoever does. */
static __always_inline int tuple_is_first(const struct cb_tuple_key *a, const struct cb_tuple_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	for (int n = 0; n < 5; n++)
		if (x[n] != y[n])
			return x[n] < y[n];
	return 1;
}

/* Puts in both tuples of @flow, the record @number. Returns 0; else neither is in. */
static __noinline int put_adopted(const struct cb_flow *flow, __u32 number)
{
	__u32 first = !tuple_is_first(&flow->tuple[0], &flow->tuple[1]);
	const struct cb_tuple_key *one = first ? &flow->tuple[1] : &flow->tuple[0];
	const struct cb_tuple_key *other = first ? &flow->tuple[0] : &flow->tuple[1];

	if (put_tuple(one, number, first))
		return -1;
	if (!put_tuple(other, number, !first))
		return 0;
	bpf_map_delete_elem(&cb_tuple_1, one);
	return -1;
}

/*
 * Takes over @from. Returns 1; 0: a flow of one of its tuples is there already, or its time is over; -1: there is no room. Harmless when
 * it is done again.
 */
static __noinline int adopt_flow(const struct adopted *from, __u64 now)
{
	struct cb_flow *flow;
	__u32 number;

	if ((__s64)(now - from->expires_ns) > 0)
		return 0;
	if (bpf_map_lookup_elem(&cb_tuple_1, &from->tuple[0]) || bpf_map_lookup_elem(&cb_tuple_1, &from->tuple[1]))
		return 0;
	number = take_record(now);
	flow = flow_row(number);
	if (!number || !flow)
		return -1;
	__builtin_memset(flow, 0, offsetof(struct cb_flow, life));
	flow->tuple[0] = from->tuple[0];
	flow->tuple[1] = from->tuple[1];
	flow->at_ns = now;
	flow->rule = 0;
	flow->flags = from->flags;
	flow->member = from->member;
	flow->served = 0;
	flow->held = 0;
	for (__u32 side = 0; side < 2; side++) {
		flow->owner[side] = adopted_owner(from, side);
		flow->project[side] = adopted_project(from, side);
		flow->tally[side] = from->tally[side];
		flow->session[side] = from->session[side];
		adopt_way(&flow->way[side], from, side);
	}
	if (put_adopted(flow, number)) {
		set_life(flow, CB_LIFE_FREE);
		return 0;
	}
	count_owners(number, 1);
	set_life(flow, CB_LIFE_LIVE);
	return 1;
}

#endif /* CABLE_ADOPT_H */
