/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* flood.h: broadcast, multicast and unknown unicast: one copy to each target of the network's flood list. */
#ifndef CABLE_FLOOD_H
#define CABLE_FLOOD_H

#include "encap.h"
#include "meter.h"
#include "policy.h"
#include "provider.h"
#include "snoop.h"
#include "stage.h"
#include "turn.h"

#define FLOOD_MAX (CB_FLOOD_CHUNKS * CB_FLOOD_TARGETS)

struct flood {
	struct __sk_buff *ctx;
	struct work *w;
	__u32 wire_id;
	__u32 list; /* number of the list that counts */
	__u32 copies;
	__u32 passed_over; /* VIFs that get no copy, since they have not joined the group */
};

/* A copy to VIF @vif, if its rules allow the packet. Rules do not apply to ARP and ND. */
static __noinline int copy_to_vif(struct flood *flood, __u32 vif)
{
	struct cb_vif *row = vif_row(vif);
	struct work *w = flood->w;
	int reason = CB_REASON_NONE;

	if (vif == w->p.in_vif || !row || row->net != w->p.key.net || !(row->flags & CB_VIF_F_ADMIN_UP))
		return 0;
	if (w->receivers && !gets_copy(flood->ctx, vif)) {
		flood->passed_over++;
		return 0;
	}
	/* Of a flow: the receivers are judged as its first senders. */
	if (w->p.family && !(w->p.flags & PKT_LINK))
		reason = ask(flood->ctx, w, asked_nothing(), asked_of_vif(row));
	if (!reason && row->flags & CB_VIF_F_METER)
		reason = meter(flood->ctx, vif, CB_DIR_INGRESS);
	if (reason == METER_WAIT)
		return !copy_waits(flood->ctx, vif);
	note_step(CB_STEP_COPY, vif, CB_FLOOD_VIF, reason, NULL);
	if (!reason && row->flags & CB_VIF_F_MIRROR_IN)
		mirror(flood->ctx, vif, CB_DIR_INGRESS);
	if (!reason && !cfg_trace && clone_to_vif(flood->ctx, row))
		reason = CB_REASON_REDIRECT;
	if (reason) {
		count_drop(vif, reason);
		return 0;
	}
	count_tx(flood->ctx, vif);
	return 1;
}

/* A copy to the host of @tunnel. */
static __noinline int copy_to_host(struct flood *flood, __u32 tunnel)
{
	struct cb_tunnel *way = tunnel_row(tunnel);

	/* What came from the overlay never goes back into it. */
	if (!flood->w->p.in_vif || !cfg_overlay_ifindex || !way)
		return 0;
	if (cfg_trace) {
		note_step(CB_STEP_COPY, tunnel, CB_FLOOD_TUNNEL, CB_REASON_NONE, NULL);
		return 1;
	}
	if (set_tunnel(flood->ctx, flood->wire_id, &way->remote) ||
	    bpf_clone_redirect(flood->ctx, cfg_overlay_ifindex, 0)) {
		count_drop(0, CB_REASON_REDIRECT);
		return 0;
	}
	count_tx(flood->ctx, 0);
	return 1;
}

/* Called by bpf_loop: the target numbered @index. Returns 1 at the end of the list. */
static long flood_one(__u32 index, void *data)
{
	struct flood *flood = data;
	__u32 slot = index % CB_FLOOD_TARGETS;
	struct cb_flood *chunk = lookup_flood(flood->w->p.key.net, flood->list, index / CB_FLOOD_TARGETS);
	struct cb_flood_target *target;

	if (!chunk)
		return 1;
	if (slot >= chunk->count)
		return 0;
	target = &chunk->target[slot];
	if (target->kind == CB_FLOOD_VIF)
		flood->copies += copy_to_vif(flood, target->id);
	else if (target->kind == CB_FLOOD_TUNNEL)
		flood->copies += copy_to_host(flood, target->id);
	return 0;
}

/* Called by bpf_loop: the host numbered @index that only routes into the network. Returns 1 at the end of the list. */
static long announce_one(__u32 index, void *data)
{
	struct flood *flood = data;
	__u32 slot = index % CB_FLOOD_TARGETS;
	struct cb_announce *chunk = lookup_announce(flood->w->p.key.net, index / CB_FLOOD_TARGETS);

	if (!chunk)
		return 1;
	if (slot < chunk->count)
		flood->copies += copy_to_host(flood, chunk->tunnel[slot]);
	return 0;
}

/* The bucket for the copies that VIF @vif causes; NULL: nobody's. */
static __always_inline struct cb_use *flood_bucket(__u32 vif)
{
	return vif ? bpf_map_lookup_elem(&cb_use_1, &vif) : NULL;
}

#define FLOOD_COPY_NS (1000000000ULL / CB_FLOOD_RATE)

/* May it cause more now? What it does cause is paid afterwards, when it is known. */
static __always_inline int may_flood(struct cb_use *use, __u64 now)
{
	if (cfg_trace)
		return use->flood_ns < now || use->flood_ns < now + CB_FLOOD_BURST * FLOOD_COPY_NS;
	if (use->flood_ns < now)
		use->flood_ns = now;
	return use->flood_ns < now + CB_FLOOD_BURST * FLOOD_COPY_NS;
}

/* Sends a copy to every target but the sender, whose own rules have been judged. */
SEC("tc")
int flood(struct __sk_buff *ctx)
{
	struct flood state = {.ctx = ctx, .w = take_over(CB_STAGE_FLOOD)};
	struct cb_net *net;
	struct cb_use *use;

	if (!state.w)
		return drop_stray(ctx);
	use = flood_bucket(state.w->p.in_vif);
	if (use && !may_flood(use, bpf_ktime_get_ns()))
		return drop(ctx, state.w->p.in_vif, CB_REASON_RATE_FLOOD);
	net = net_row(state.w->p.key.net);
	if (!net)
		return drop(ctx, state.w->p.in_vif, CB_REASON_UNKNOWN_VNI);
	state.wire_id = net->wire_id;
	state.list = net->flood_list;
	note_receivers(ctx, state.w, net);
	bpf_loop(FLOOD_MAX, flood_one, &state, 0);
	if (state.passed_over)
		note_step(CB_STEP_PASSED_OVER, state.passed_over, state.w->receivers == RECEIVERS_ROUTERS, 0, NULL);
	/* A trace tells the copies; the host gets what it would have got without us. */
	if (state.w->p.flags & PKT_OUTSIDE)
		return cfg_trace ? consumed(ctx, state.copies) : leave_to_host(ctx, net);
	if (state.w->announce)
		bpf_loop(FLOOD_MAX, announce_one, &state, 0);
	state.copies += copy_to_uplink(ctx, net);
	if (use && !cfg_trace)
		__sync_fetch_and_add(&use->flood_ns, state.copies * FLOOD_COPY_NS);
	if (net->flood_chunks > CB_FLOOD_CHUNKS)
		count_drop(state.w->p.in_vif, CB_REASON_BROADCAST_LIMIT);
	return consumed(ctx, state.copies);
}

/* @is_reply: the packet goes against the direction of its flow. */
static __always_inline int to_all(struct __sk_buff *ctx, struct work *w, int is_reply)
{
	w->ask.is_reply = is_reply;
	w->announce = 0;
	return GO_ON(ctx, w, CB_STAGE_FLOOD);
}

/* An ARP packet or ND message, to which rules do not apply. */
static __always_inline int link_to_all(struct __sk_buff *ctx, struct work *w, int announce)
{
	w->ask.is_reply = 0;
	w->announce = announce;
	return GO_ON(ctx, w, CB_STAGE_FLOOD);
}

#endif /* CABLE_FLOOD_H */
