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
	__u64 seen_ns; /* last packet, CLOCK_MONOTONIC */
	__u64 packets[2];
	__u64 bytes[2];
	__u32 vif[2]; /* whose the ends are; 0: another host's */
	__u8 state; /* enum cb_flow_state */
	__u8 fin[2]; /* a FIN was seen in this direction */
	__u8 pad[5];
};

static __always_inline void adopt_way(struct cb_way *way, const struct adopted *flow, __u32 direction, __u64 timeout)
{
	way->check = tuple_check(&flow->tuple[direction]);
	way->in_vif = flow->vif[direction];
	way->out_vif = flow->vif[!direction];
	way->flags = flow->fin[direction] ? CB_WAY_F_FIN : 0;
	way->state = flow->state;
	way->expires_ns = flow->seen_ns + timeout;
}

static __always_inline __u16 project_of(__u32 vif)
{
	struct cb_vif *row = vif ? vif_row(vif) : NULL;

	return row ? row->project : 0;
}

/*
 * Takes over @from. Returns 1; 0: a flow of one of its tuples is there already, or its time is over; -1: there is no room. Harmless when
 * it is done again.
 */
static __noinline int adopt_flow(const struct adopted *from, __u64 now)
{
	__u64 timeout = flow_timeout_ns(from->tuple[0].protocol, from->state);
	struct cb_flow *flow;
	__u32 number;

	if ((__s64)(now - from->seen_ns) > (__s64)timeout)
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
	for (__u32 side = 0; side < 2; side++) {
		flow->owner[side] = from->vif[side];
		flow->project[side] = project_of(from->vif[side]);
		flow->tally[side].packets = from->packets[side];
		flow->tally[side].bytes = from->bytes[side];
		adopt_way(&flow->way[side], from, side, timeout);
	}
	if (put_tuple(&from->tuple[0], number, 0))
		goto taken;
	if (put_tuple(&from->tuple[1], number, 1)) {
		bpf_map_delete_elem(&cb_tuple_1, &from->tuple[0]);
		goto taken;
	}
	count_owners(flow, 1);
	set_life(flow, CB_LIFE_LIVE);
	return 1;
taken:
	set_life(flow, CB_LIFE_FREE);
	return 0;
}

#endif /* CABLE_ADOPT_H */
