/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * orphan.h: later fragments that come before their first wait for it. It is the first that is decided on; then they are received anew, by the device that
 * they came by, and follow it as any others.
 */
#ifndef CABLE_ORPHAN_H
#define CABLE_ORPHAN_H

#include "fragment.h"
#include "provider.h"
#include "source.h"
#include "stage.h"

#define ORPHAN_NS (CB_ORPHAN_SECONDS * 1000000000ULL)

/* Of what only passes a host, 32 times CB_VIF_ORPHANS wait: whoever sends to all addresses of routers takes no place of a VIF. */
#define PASSING_ORPHAN_BITS 5
#define PASSING_ORPHAN_ROWS (1 << PASSING_ORPHAN_BITS)

/* Too much for the stack: a frame that is kept, and the frame of the packet in work. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct cb_orphan);
} cb_scratch_2 SEC(".maps");

#define SCRATCH_ORPHAN 0
#define SCRATCH_FIRST 1

static __always_inline struct cb_orphan *scratch(__u32 which)
{
	return bpf_map_lookup_elem(&cb_scratch_2, &which);
}

/* verifier: one less than a length of at most CB_ORPHAN_BYTES, in a register that it knows the bounds of. */
static __always_inline __u32 bounded(__u32 length)
{
	length--;
	asm volatile("%[length] &= 0x7ff" : [length] "+r"(length));
	return length;
}

/* Copies the packet. Returns its length; 0: it is too long. */
static __always_inline __u32 copy_packet(struct __sk_buff *ctx, struct cb_orphan *to)
{
	__u32 last = bounded(ctx->len);

	if (ctx->len > CB_ORPHAN_BYTES || bpf_skb_load_bytes(ctx, 0, to->frame, last + 1))
		return 0;
	return ctx->len;
}

/* A place of VIF @vif that is free, or CB_VIF_ORPHANS. */
static __always_inline __u16 free_place(__u16 vif, __u64 now)
{
	struct cb_orphan_key key = {.vif = vif};
	struct cb_orphan *orphan;

	for (int place = 0; place < CB_VIF_ORPHANS; place++) {
		key.place = place;
		orphan = bpf_map_lookup_elem(&cb_orphan_1, &key);
		if (!orphan || orphan->until_ns < now)
			return place;
	}
	return CB_VIF_ORPHANS;
}

/* Is the packet in work for a VIF here, or for a router that sends it on? */
static __always_inline int may_wait(const struct pkt *p, __u32 row)
{
	struct cb_net *net = net_row(p->key.net);

	return p->in_vif || row < CB_MAX_VIF - PASSING_ORPHAN_ROWS || p->flags & PKT_OUTSIDE ||
	       (net && net->flags & CB_NET_F_TRANSIT);
}

/* The fragment in work waits, if there is a place. */
SEC("tc")
int orphan(struct __sk_buff *ctx)
{
	struct cb_orphan *frame = scratch(SCRATCH_ORPHAN);
	struct work *w = take_over(CB_STAGE_ORPHAN);
	__u64 now = bpf_ktime_get_ns();
	struct cb_orphan_key key = {};
	__u32 reason;

	if (!w || !frame)
		return drop_stray(ctx);
	note_sender(w, w->p.in_vif ? vif_row(w->p.in_vif) : NULL);
	reason = check_source(w);
	if (reason)
		return drop(ctx, w->p.in_vif, reason);
	key.vif = places_of(&w->p, PASSING_ORPHAN_BITS);
	key.place = free_place(key.vif, now);
	if (cfg_trace || !may_wait(&w->p, key.vif) || key.place >= CB_VIF_ORPHANS)
		return drop(ctx, w->p.in_vif, CB_REASON_FRAGMENT);
	frame->length = copy_packet(ctx, frame);
	frame->id_be = w->p.frag_id;
	frame->until_ns = now + ORPHAN_NS;
	frame->ifindex = ctx->ifindex;
	if (!frame->length || bpf_map_update_elem(&cb_orphan_1, &key, frame, BPF_ANY))
		return drop(ctx, w->p.in_vif, CB_REASON_FRAGMENT);
	/* Not a drop: it is received anew. */
	trace(ctx, 0, CB_DELIVER_WAIT, 0, 0, CB_REASON_NONE);
	return TC_ACT_SHOT;
}

/* Makes the packet the frame of @length bytes. Returns 0 or a negative errno. */
static __always_inline int become(struct __sk_buff *ctx, const struct cb_orphan *frame)
{
	__u32 last = bounded(frame->length);

	if (bpf_skb_change_tail(ctx, last + 1, 0))
		return -1;
	return bpf_skb_store_bytes(ctx, 0, frame->frame, last + 1, 0);
}

/* Receives the packet anew by device @ifindex, with VLAN tag @vlan if it had one: the tag is beside the packet. */
GLOBAL int receive_anew(struct __sk_buff *ctx, __u32 ifindex, __u32 vlan)
{
	if (vlan && bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), vlan))
		return -1;
	bpf_clone_redirect(ctx, ifindex, BPF_F_INGRESS);
	if (vlan)
		bpf_skb_vlan_pop(ctx);
	return 0;
}

/*
 * The first fragment in work was accepted and is remembered: those that waited for it are received anew. The packet is what it was afterwards. Returns 0; -1:
 * it is not, and must be dropped.
 */
GLOBAL int release_orphans(struct __sk_buff *ctx)
{
	struct cb_orphan *first = scratch(SCRATCH_FIRST), *waiting;
	struct cb_orphan_key key = {};
	__u64 now = bpf_ktime_get_ns();
	struct work *w = work();
	struct cb_vif *sender;
	__u32 vlan = 0;
	int changed = 0, waited;

	if (!w || !first)
		return 0;
	sender = w->p.in_vif ? vif_row(w->p.in_vif) : NULL;
	if (sender)
		vlan = sender->vlan;
	else if (w->p.flags & PKT_OUTSIDE)
		vlan = tag_of_net(w->p.key.net);
	key.vif = places_of(&w->p, PASSING_ORPHAN_BITS);
	for (int place = 0; place < CB_VIF_ORPHANS; place++) {
		key.place = place;
		waiting = bpf_map_lookup_elem(&cb_orphan_1, &key);
		if (!waiting || waiting->until_ns < now || waiting->id_be != w->p.frag_id)
			continue;
		if (!changed) {
			first->length = copy_packet(ctx, first);
			if (!first->length)
				return 0;
			changed = 1;
		}
		/* One that had waited for its VIF's limit does not wait again, and has no tag any more. */
		waited = cfg_queue_end_ifindex && waiting->ifindex == cfg_queue_end_ifindex;
		if (waited)
			ctx->mark = key.vif * 2 + CB_DIR_EGRESS;
		if (!become(ctx, waiting))
			receive_anew(ctx, waiting->ifindex, waited ? 0 : vlan);
		ctx->mark = 0;
		bpf_map_delete_elem(&cb_orphan_1, &key);
	}
	return changed && become(ctx, first) ? -1 : 0;
}

#endif /* CABLE_ORPHAN_H */
