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
	struct bpf_tunnel_key key = {.remote_ipv4 = 0x7f000001, .tunnel_ttl = TUNNEL_TTL};
	struct cb_trace *t = trace_row();

	if (!cfg_trace || !t)
		return TC_ACT_SHOT;
	/* A tunnel that is set is read the other way round: its local end is whom the packet comes from. */
	key.tunnel_id = t->wire_id;
	key.local_ipv4 = t->remote;
	if (bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), 0))
		return TC_ACT_SHOT;
	return receive_from_overlay(ctx);
}

#endif /* CABLE_TRACE_H */
