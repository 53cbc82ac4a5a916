/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * leave.h: a guest that goes to another host leaves the flows that it has with guests which stay: these are theirs alone from then on, as if it had been at the other host when they
 * began.
 */
#ifndef CABLE_LEAVE_H
#define CABLE_LEAVE_H

#include "flow.h"

/* Is the end of @flow with @side at another host now, as the network has it? Whose device merely went is at none. */
static __noinline int is_elsewhere(const struct cb_flow *flow, __u32 side)
{
	const struct cb_tuple_key *tuple = side ? &flow->tuple[1] : &flow->tuple[0];
	struct cb_addr addr = tuple->src;
	struct cb_endpoint *ep = lookup_endpoint(tuple->net, &addr);

	/* What came from it through a router while it was elsewhere entered in the network of the other end; what goes to it leaves in its own. */
	if (!ep)
		ep = lookup_endpoint(side ? flow->way[0].out_net : flow->way[1].out_net, &addr);
	return ep && ep->kind == CB_ENDPOINT_REMOTE;
}

/* Is one direction of @flow the reverse of the other, whatever the networks? */
static __always_inline int is_untranslated(const struct cb_flow *flow)
{
	const struct cb_tuple_key *one = &flow->tuple[0], *other = &flow->tuple[1];

	return same_address(&one->src, &other->dst) && same_address(&one->dst, &other->src) &&
	       one->sport_be == other->dport_be && one->dport_be == other->sport_be;
}

/* The side of @flow that VIF @vif has, or whose packets come from it or go to it. */
static __always_inline __u32 side_of(const struct cb_flow *flow, __u32 vif)
{
	if (flow->owner[0] == vif)
		return 0;
	return flow->owner[1] == vif || flow->way[1].in_vif == vif || flow->way[0].out_vif == vif;
}

/* Is @flow, which names VIF @vif, another's as well, who stays when that one's guest is at another host? A translated one is this host's work for that guest. */
static __always_inline int outlives_vif(const struct cb_flow *flow, __u32 vif)
{
	__u32 side = side_of(flow, vif);
	__u32 other = side ? flow->owner[0] : flow->owner[1];

	return other && other != vif && other != CB_USE_PASSING && is_untranslated(flow) && is_elsewhere(flow, side);
}

/* From now on @flow number @number has nothing of VIF @vif. Returns whether it was done. */
static __noinline int leave_flow(__u32 number, __u32 vif)
{
	struct cb_flow *flow = flow_row(number);
	struct use_rows rows;

	if (!flow || !take_busy(flow))
		return 0;
	for (__u32 side = 0; side < 2; side++) {
		if (flow->owner[side] == vif) {
			rows = use_rows_of(flow->flags, side, vif, flow->project[side]);
			count_use(rows.owner, side, -1);
			count_use(rows.project, side, -1);
			flow->owner[side] = 0;
			flow->project[side] = 0;
		}
		flow->way[side].stamp = 0;
		if (flow->way[side].in_vif == vif)
			flow->way[side].in_vif = 0;
		if (flow->way[side].out_vif == vif)
			flow->way[side].out_vif = 0;
	}
	set_life(flow, CB_LIFE_LIVE);
	return 1;
}

#endif /* CABLE_LEAVE_H */
