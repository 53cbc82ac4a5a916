/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tell.h: begins and ends of flows, and drops, for the agent: of VIFs whose row says so alone. Never on the established path. What finds no room in the ring is lost, and
 * counted.
 */
#ifndef CABLE_TELL_H
#define CABLE_TELL_H

#include "way.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CB_TOLD_BYTES);
} cb_told_1 SEC(".maps");

#define TOLD_NS (1000000000ULL / CB_TOLD_RATE)

/* Is something of a VIF told? */
enum told {
	TOLD_NOT,
	TOLD_RATED, /* it is followed: as its bucket allows */
	TOLD_ALL, /* it exports it */
};

static __always_inline enum told tells_of(__u32 vif, __u32 choice)
{
	struct cb_vif *row = vif ? vif_row(vif) : NULL;

	if (!row)
		return TOLD_NOT;
	if (row->tells && choice % row->tells == 0)
		return TOLD_ALL;
	return row->flags & CB_VIF_F_FOLLOWED ? TOLD_RATED : TOLD_NOT;
}

/* A place in the ring; NULL: there is none. */
static __always_inline struct cb_told *take_told(void)
{
	struct cb_told *told = bpf_ringbuf_reserve(&cb_told_1, sizeof(*told), 0);
	struct cb_gauge *gauge = told ? NULL : gauge_row();

	if (gauge)
		__sync_fetch_and_add(&gauge->told_lost, 1);
	return told;
}

/* Takes one of what VIF @vif may be told now: a drop, or (@flow) a begin or end of a flow. Returns 0: it has none left. */
static __noinline int take_tell(__u32 vif, int flow, __u64 now)
{
	struct cb_use *use = bpf_map_lookup_elem(&cb_use_1, &vif);
	__u64 *full_ns;

	if (!use)
		return 0;
	full_ns = flow ? &use->follow_ns : &use->told_ns;
	if (*full_ns < now)
		*full_ns = now;
	if (*full_ns >= now + CB_TOLD_BURST * TOLD_NS)
		return 0;
	__sync_fetch_and_add(full_ns, TOLD_NS);
	return 1;
}

/* What would have been told to who asks of VIF @vif is not. */
static __noinline int hold_tell(__u32 vif)
{
	struct cb_use *use = bpf_map_lookup_elem(&cb_use_1, &vif);

	if (use)
		__sync_fetch_and_add(&use->told_held, 1);
	return 0;
}

/*
 * May it be told that a flow between VIFs @one and @other (0: nobody who asks) begins or ends, or (not @flow) that a packet is dropped? It may if one of them has some left: a guest that floods
 * would else keep from others what it has with them.
 */
static __always_inline int may_tell(__u32 one, __u32 other, int flow, __u64 now)
{
	struct cb_gauge *gauge;

	if ((one && take_tell(one, flow, now)) || (other && take_tell(other, flow, now)))
		return 1;
	if (one)
		hold_tell(one);
	if (other && other != one)
		hold_tell(other);
	gauge = gauge_row();
	if (gauge)
		__sync_fetch_and_add(&gauge->told_held, 1);
	return 0;
}

static __always_inline __u32 choice_of(const struct cb_tuple_key *key)
{
	return tuple_check(key) >> 1;
}

/* Why the flow of @flow ends now: CB_TOLD_*. */
static __always_inline __u8 end_reason(const struct cb_flow *flow, __u64 now)
{
	if (flow->tuple[0].protocol == IPPROTO_TCP && is_closing(&flow->way[0]))
		return CB_TOLD_OVER;
	return way_expired(&flow->way[0], now) ? CB_TOLD_IDLE : CB_TOLD_FORCED;
}

/* Is the flow told? */
static __always_inline enum told flow_told(const struct cb_flow *flow)
{
	__u32 choice = choice_of(&flow->tuple[0]);
	enum told first = tells_of(flow->owner[0], choice), second = tells_of(flow->owner[1], choice);

	return first >= second ? first : second;
}

/* VIF @vif if something of it is told; else 0. */
static __always_inline __u32 told_vif(__u32 vif, __u32 choice)
{
	return tells_of(vif, choice) ? vif : 0;
}

/* Tells that flow @number, which is BUSY, begins (@kind CB_TOLD_BEGIN) or has ended. */
GLOBAL int tell_flow(__u32 number, __u32 kind)
{
	struct cb_flow *flow = flow_row(number);
	__u64 now = bpf_ktime_get_ns();
	struct cb_told *told;
	__u32 choice;

	if (cfg_trace || !flow)
		return 0;
	choice = choice_of(&flow->tuple[0]);
	if (!(flow->flags & CB_FLOW_F_TOLD) && flow_told(flow) != TOLD_ALL &&
	    !may_tell(told_vif(flow->owner[0], choice), told_vif(flow->owner[1], choice), 1, now))
		return 0;
	told = take_told();
	if (!told)
		return 0;
	__builtin_memset(told, 0, sizeof(*told));
	told->at_ns = now;
	told->begun_ns = flow->at_ns;
	for (int n = 0; n < 2; n++) {
		told->packets[n] = flow->tally[n].packets;
		told->bytes[n] = flow->tally[n].bytes;
		told->tuple[n] = flow->tuple[n];
		told->owner[n] = flow->owner[n];
		told->project[n] = flow->project[n];
	}
	told->life = flow->life >> 2;
	told->flow = number;
	told->rule = flow->rule;
	told->member = flow->member;
	told->choice = choice;
	told->kind = kind;
	told->reason = kind == CB_TOLD_END ? end_reason(flow, told->at_ns) : 0;
	told->state = flow->way[0].state;
	told->flags = flow->served ? CB_TOLD_F_SERVED : 0;
	bpf_ringbuf_submit(told, 0);
	return 0;
}

/* The packet in work is dropped for @reason when it was decided: that is told. */
GLOBAL int tell_drop(struct __sk_buff *ctx, __u32 reason)
{
	struct work *w = work();
	__u32 choice, one, other;
	struct cb_told *told;
	__u64 now;

	if (cfg_trace || !w)
		return 0;
	choice = choice_of(&w->p.key);
	one = told_vif(w->p.in_vif, choice);
	other = told_vif(w->way.out_vif, choice);
	now = bpf_ktime_get_ns();
	if ((!one && !other) || !may_tell(one, other, 0, now))
		return 0;
	told = take_told();
	if (!told)
		return 0;
	__builtin_memset(told, 0, sizeof(*told));
	told->at_ns = now;
	told->packets[0] = 1;
	told->bytes[0] = ctx->len;
	told->tuple[0] = w->p.key;
	told->tuple[1] = w->served || w->p.flags & PKT_TRANSLATED ? w->nat.to : w->p.key;
	told->choice = choice;
	told->owner[0] = w->p.in_vif;
	told->owner[1] = w->way.out_vif;
	told->project[0] = w->sender.project;
	told->project[1] = w->to.project;
	told->kind = CB_TOLD_DROP;
	told->reason = reason;
	told->flags =
		(w->served ? CB_TOLD_F_SERVED : 0) | (w->ask.at_sender ? CB_TOLD_F_BY_SENDER : CB_TOLD_F_BY_RECEIVER);
	bpf_ringbuf_submit(told, 0);
	return 0;
}

#endif /* CABLE_TELL_H */
