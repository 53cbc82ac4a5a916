/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * limit.h: how much passes by an address outside, of a floating IP or of a router's gateway, by its QoS policy. What is translated counts, once, where it is translated, with the
 * size that it has then; not what turns round at the gateway, which is never outside.
 */
#ifndef CABLE_LIMIT_H
#define CABLE_LIMIT_H

#include "lookup.h"
#include "meter.h"
#include "rewrite.h"

static __always_inline int has_limits(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flags & CB_NET_F_LIMITS;
}

/* The address outside by which the packet in work, which is translated and leaves in network @out_net, passes, in @key, and in @direction which way. Returns 0: by none. */
static __always_inline int passes_outside(const struct work *w, __u32 out_net, struct cb_limit_key *key,
					  __u32 *direction)
{
	if (has_limits(out_net)) {
		key->net = out_net;
		key->addr = w->nat.to.src;
		*direction = CB_DIR_EGRESS;
		return 1;
	}
	if (!has_limits(w->p.key.net))
		return 0;
	key->net = w->p.key.net;
	key->addr = w->p.key.dst;
	*direction = CB_DIR_INGRESS;
	return 1;
}

/* Counts the packet as one that has passed. */
static __always_inline void count_limited(struct __sk_buff *ctx, struct cb_limited *limited, __u32 direction)
{
	__u64 packets, bytes;

	if (cfg_trace)
		return;
	measure(ctx, &packets, &bytes);
	if (direction) {
		__sync_fetch_and_add(&limited->packets[1], packets);
		__sync_fetch_and_add(&limited->bytes[1], bytes);
	} else {
		__sync_fetch_and_add(&limited->packets[0], packets);
		__sync_fetch_and_add(&limited->bytes[0], bytes);
	}
}

static __always_inline int over_limit(struct cb_limited *limited, __u32 direction)
{
	if (!cfg_trace)
		__sync_fetch_and_add(direction ? &limited->over[1] : &limited->over[0], 1);
	return CB_REASON_RATE_OUTSIDE;
}

/*
 * May the packet in work, which is to be translated and leaves in network @out_net, pass by the address that it has or gets outside? Returns 0, or a reason to drop. Packet pointers
 * are void then.
 */
GLOBAL int limit_outside(struct __sk_buff *ctx, __u32 out_net)
{
	struct cb_limit_key key = {};
	struct cb_limited *limited;
	struct cb_limit *limit;
	struct cb_meter *meter;
	struct cb_bucket *bucket;
	struct work *w = work();
	__u32 direction;

	if (!w || !passes_outside(w, out_net, &key, &direction))
		return CB_REASON_NONE;
	limit = bpf_map_lookup_elem(&cb_limit_1, &key);
	limited = bpf_map_lookup_elem(&cb_limited_1, &key);
	if (!limit || !limited)
		return CB_REASON_NONE;
	meter = direction ? &limit->meter[1] : &limit->meter[0];
	bucket = direction ? &limited->bucket[1] : &limited->bucket[0];
	if ((meter->byte_cost || meter->packet_cost) && !may_pass(ctx, meter, bucket, 0))
		return over_limit(limited, direction);
	count_limited(ctx, limited, direction);
	if (meter->flags & CB_METER_F_DSCP)
		mark(ctx, meter->dscp);
	return CB_REASON_NONE;
}

/* What is more than a limit is counted for the port inside, if it is here. */
static __always_inline int drop_translated(struct __sk_buff *ctx, const struct work *w, __u32 reason)
{
	return drop(ctx, w->p.in_vif || reason != CB_REASON_RATE_OUTSIDE ? w->p.in_vif : w->way.out_vif, reason);
}

/* The packet in work, which leaves in network @out_net, becomes what `nat.to` says, if it may. Returns 0, or a reason to drop. */
static __always_inline int pass_translated(struct __sk_buff *ctx, __u32 out_net)
{
	int reason = limit_outside(ctx, out_net);

	if (reason)
		return reason;
	return rewrite(ctx) ? CB_REASON_REDIRECT : CB_REASON_NONE;
}

/* The packet in work is rewritten and goes the way in work. */
SEC("tc")
int translate(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_TRANSLATE);
	int reason;

	if (!w)
		return drop_stray(ctx);
	reason = pass_translated(ctx, w->way.out_net);
	if (reason)
		return drop_translated(ctx, w, reason);
	/* A member's answer to a MAC that nobody is known to have. */
	if (!w->way.deliver)
		return to_all(ctx, w, w->direction);
	return hand_over(ctx, &w->p, &w->way);
}

#endif /* CABLE_LIMIT_H */
