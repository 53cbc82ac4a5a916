/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* collect.h: walks over the flow table: a timer that ends flows whose time is over, and the agent's purge of a number. */
#ifndef CABLE_COLLECT_H
#define CABLE_COLLECT_H

#include "lib/flow.h"
#include "lib/leave.h"

#define MONOTONIC 1 /* CLOCK_MONOTONIC */

/* Once in so long a part of the table is looked at, so that each flow is about twice in five seconds. */
#define COLLECT_NS (10 * MILLISECOND)
#define COLLECT_PARTS 250

/* Pinned: the timer goes on without the agent; each load of the programs gives it its own callback. */
struct collector {
	struct bpf_timer timer;
	__u32 next; /* flow to be looked at next */
	__u32 pad;
	__u64 runs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct collector);
} cb_gc_1 SEC(".maps");

struct collection {
	__u32 first;
	__u64 now;
};

/* A port of a block is in use by @flow. The answers' tuple has it. */
static __always_inline void note_held(const struct cb_flow *flow, __u64 now)
{
	struct cb_addr addr = flow->tuple[1].dst;
	struct cb_held *held = lookup_held(&addr, block_of(flow->tuple[1].dport_be));

	if (held)
		held->used_ns = now;
}

/*
 * An earlier load, or an agent with other options, may have given a flow more time than there is now. Returns whether its time is over. By a second
 * more nothing is written: packets have renewed it since @now.
 */
static __always_inline int is_over(struct cb_flow *flow, __u64 now)
{
	__u64 latest = now + flow_timeout_ns(flow->tuple[0].protocol, flow->way[0].state);

	if ((__s64)(flow->way[0].expires_ns - latest - SECOND) > 0) {
		flow->way[0].expires_ns = latest;
		flow->way[1].expires_ns = latest;
	}
	return way_expired(&flow->way[0], now);
}

static long collect_one(__u32 index, void *data)
{
	struct collection *collection = data;
	__u32 number = collection->first + index;
	struct cb_flow *flow = flow_row(number);

	if (!flow)
		return 1;
	if ((flow->life & 3) != CB_LIFE_LIVE)
		return 0;
	if (is_over(flow, collection->now))
		end_flow(number);
	else if (flow->way[0].flags & CB_WAY_F_BLOCK)
		note_held(flow, collection->now);
	return 0;
}

static int collect(void *map __attribute__((unused)), __u32 *key __attribute__((unused)), struct collector *collector)
{
	__u32 part = cfg_flows / COLLECT_PARTS + 1;
	struct collection collection = {.first = collector->next, .now = bpf_ktime_get_ns()};

	bpf_loop(part, collect_one, &collection, 0);
	collector->next = collection.first + part < cfg_flows ? collection.first + part : 0;
	collector->runs++;
	bpf_timer_start(&collector->timer, COLLECT_NS, 0);
	return 0;
}

/* Run by each agent when its programs are in force: from now on this load's callback collects. Returns 0 or a negative errno. */
SEC("syscall")
int start_collection(void *ctx __attribute__((unused)))
{
	__u32 zero = 0;
	struct collector *collector = bpf_map_lookup_elem(&cb_gc_1, &zero);
	int err;

	if (!collector)
		return -1;
	/* -EBUSY: made by an earlier load. */
	bpf_timer_init(&collector->timer, &cb_gc_1, MONOTONIC);
	err = bpf_timer_set_callback(&collector->timer, collect);
	return err ? err : bpf_timer_start(&collector->timer, COLLECT_NS, 0);
}

/* What purge_flows is given, and how many flows it has ended. */
struct purge {
	__u32 kind; /* PURGE_* */
	__u32 number;
	__u32 ended;
};

#define PURGE_VIF 1
#define PURGE_NET 2
#define PURGE_ALL 3 /* whatever the number: what is left over of a time when other programs were in force */

static __always_inline int names_vif(const struct cb_flow *flow, __u32 vif)
{
	return flow->owner[0] == vif || flow->owner[1] == vif || flow->way[0].in_vif == vif ||
	       flow->way[0].out_vif == vif || flow->way[1].in_vif == vif || flow->way[1].out_vif == vif;
}

static __always_inline int names_net(const struct cb_flow *flow, __u32 net)
{
	return flow->tuple[0].net == net || flow->tuple[1].net == net || flow->way[0].out_net == net ||
	       flow->way[1].out_net == net;
}

static __always_inline int is_purged(const struct purge *purge, const struct cb_flow *flow)
{
	if (purge->kind == PURGE_VIF)
		return names_vif(flow, purge->number);
	return purge->kind == PURGE_NET ? names_net(flow, purge->number) : purge->kind == PURGE_ALL;
}

static long purge_one(__u32 number, void *data)
{
	struct purge *purge = data;
	struct cb_flow *flow = flow_row(number);

	if (!flow)
		return 1;
	if ((flow->life & 3) != CB_LIFE_LIVE || !is_purged(purge, flow))
		return 0;
	if (purge->kind == PURGE_VIF && outlives_vif(flow, purge->number) && leave_flow(number, purge->number))
		return 0;
	purge->ended += end_flow(number);
	return 0;
}

/*
 * Ends every flow that names a VIF or a network, or all: before the number is given to another. What a guest that is at another host now had with guests of this one stays
 * theirs. Nothing may lead to the number any more when it runs.
 */
SEC("syscall")
int purge_flows(struct purge *ctx)
{
	struct purge purge = {.kind = ctx->kind, .number = ctx->number};

	bpf_loop(cfg_flows, purge_one, &purge, 0);
	ctx->ended = purge.ended;
	return 0;
}

#endif /* CABLE_COLLECT_H */
