/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * trace.h: the programs that a trace begins with (test runs alone, in a load with cfg_trace): a packet of a VIF, and one that another host sent. What they go on
 * in is what real packets meet.
 */
#ifndef CABLE_TRACE_H
#define CABLE_TRACE_H

#include "from_overlay.h"
#include "from_vif.h"

SEC("tc")
int trace_vif(struct __sk_buff *ctx)
{
	struct cb_trace *t = trace_row();

	if (!cfg_trace || !t)
		return TC_ACT_SHOT;
	return receive_of_vif(ctx, t->vif, CB_REASON_NOT_PROGRAMMED);
}

SEC("tc")
int trace_overlay(struct __sk_buff *ctx)
{
	struct cb_trace *t = trace_row();
	struct cb_tunnel *from;

	if (!cfg_trace || !t)
		return TC_ACT_SHOT;
	from = tunnel_row(t->tunnel);
	if (!from || !t->tunnel)
		return drop(ctx, 0, CB_REASON_UNKNOWN_PEER);
	if (pretend_tunnel(ctx, t->wire_id, &from->remote))
		return TC_ACT_SHOT;
	return receive_from_overlay(ctx);
}

#endif /* CABLE_TRACE_H */
