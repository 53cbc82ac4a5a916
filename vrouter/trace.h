/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * trace.h: the programs that a trace begins with (test runs alone, in a load with cfg_trace): a packet of a VIF, one that another host sent, and one that an uplink
 * receives. What they go on in is what real packets meet.
 */
#ifndef CABLE_TRACE_H
#define CABLE_TRACE_H

#include "from_overlay.h"
#include "from_uplink.h"
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

/* The frame has no tag; nor does any that the uplink's device took off. */
SEC("tc")
int trace_uplink(struct __sk_buff *ctx)
{
	struct cb_trace *t = trace_row();
	struct work *w = start_work(0);
	struct cb_net *row;
	struct cb_in *in;

	if (!cfg_trace || !t || !w)
		return TC_ACT_SHOT;
	row = net_row(t->wire_id);
	if (!is_provider(row) || !row->uplink)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	in = lookup_in(row->uplink, tag_of(row));
	if (!in || in->kind != CB_IN_NET || in->net != t->wire_id)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	return receive_outside(ctx, w, in->net);
}

#endif /* CABLE_TRACE_H */
