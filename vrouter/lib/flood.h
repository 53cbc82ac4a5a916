/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* flood.h: broadcast, multicast and unknown unicast: one copy to each target of the network's flood list. */
#ifndef CABLE_FLOOD_H
#define CABLE_FLOOD_H

#include "encap.h"
#include "policy.h"
#include "stage.h"

#define FLOOD_MAX (CB_FLOOD_CHUNKS * CB_FLOOD_TARGETS)

struct flood {
	struct __sk_buff *ctx;
	struct work *w;
	__u32 copies;
};

/* A copy to a VIF of this host, if its rules allow the packet. Rules do not apply to ARP. */
static __noinline int copy_to_vif(struct flood *flood, const struct cb_flood_target *target)
{
	struct work *w = flood->w;
	__u32 reason = CB_REASON_NONE;

	if (target->ifindex == w->p.in_ifindex || !(target->flags & CB_VIF_F_ADMIN_UP))
		return 0;
	/* Of a flow: the receivers are judged as its first senders. */
	if (w->p.ethertype_be == bpf_htons(ETH_P_IP))
		reason = ask(flood->ctx, w, w->ask.is_reply, 0, target->policy);
	if (!reason && bpf_clone_redirect(flood->ctx, target->ifindex, 0))
		reason = CB_REASON_REDIRECT;
	if (reason) {
		count_drop(target->ifindex, reason);
		return 0;
	}
	count_tx(flood->ctx, target->ifindex);
	return 1;
}

/* A copy to another host. */
static __noinline int copy_to_host(struct flood *flood, const struct cb_flood_target *target)
{
	/* What came from the overlay never goes back into it. */
	if (!flood->w->p.in_ifindex || !cfg_overlay_ifindex)
		return 0;
	if (set_tunnel(flood->ctx, flood->w->p.key.zone, bpf_ntohl(v4_of(&target->remote))) ||
	    bpf_clone_redirect(flood->ctx, cfg_overlay_ifindex, 0)) {
		count_drop(CB_STAT_OVERLAY, CB_REASON_REDIRECT);
		return 0;
	}
	count_tx(flood->ctx, CB_STAT_OVERLAY);
	return 1;
}

/* Called by bpf_loop: the target numbered @index. Returns 1 at the end of the list. */
static long flood_one(__u32 index, void *data)
{
	struct flood *flood = data;
	__u32 slot = index % CB_FLOOD_TARGETS;
	struct cb_flood *chunk = lookup_flood(flood->w->p.key.zone, index / CB_FLOOD_TARGETS);
	struct cb_flood_target *target;

	if (!chunk)
		return 1;
	if (slot >= chunk->count)
		return 0;
	target = &chunk->target[slot];
	if (target->kind == CB_FLOOD_VIF)
		flood->copies += copy_to_vif(flood, target);
	else if (target->kind == CB_FLOOD_REMOTE)
		flood->copies += copy_to_host(flood, target);
	return 0;
}

/* Sends a copy to every target but the sender, whose own rules have been judged. */
SEC("tc")
int flood(struct __sk_buff *ctx)
{
	struct flood state = {.ctx = ctx, .w = take_over(CB_STAGE_FLOOD)};
	__u32 vni;

	if (!state.w)
		return drop_stray(ctx);
	vni = state.w->p.key.zone;
	bpf_loop(FLOOD_MAX, flood_one, &state, 0);
	if (lookup_flood(vni, CB_FLOOD_CHUNKS))
		count_drop(state.w->p.in_ifindex, CB_REASON_BROADCAST_LIMIT);
	return consumed(ctx, vni, state.copies);
}

/* @is_reply: the packet goes against the direction of its flow. */
static __always_inline int to_all(struct __sk_buff *ctx, struct work *w, int is_reply)
{
	w->ask.is_reply = is_reply;
	return GO_ON(ctx, w, CB_STAGE_FLOOD);
}

#endif /* CABLE_FLOOD_H */
