/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* verdict.h: the ends a packet can come to, their counters, and the trace words that show the decision. */
#ifndef CABLE_VERDICT_H
#define CABLE_VERDICT_H

#include <stddef.h>
#include <linux/pkt_cls.h>
#include "config.h"
#include "maps.h"

/*
 * Trace words in skb->cb, written just before a program returns: for packet tests and the tracer. A dropped packet has
 * only the reason.
 */
#define CB_TRACE_IFINDEX 0
#define CB_TRACE_DELIVER 1 /* enum cb_deliver */
#define CB_TRACE_WIRE 2 /* to another host: the VNI; to a VIF: the VLAN tag */
#define CB_TRACE_REMOTE 3 /* to another host: the tunnel; to a collector: its IPv4 address, host byte order */
#define CB_TRACE_REASON 4 /* enum cb_reason */

/* verifier: in C the compiler may compute the address of cb first, and a moved context pointer is refused. */
#define CB_TRACE_WORD(ctx, word, value)                                                            \
	asm volatile("*(u32 *)(%[ctx_reg] + %[off]) = %[value_reg]"                                \
		     :                                                                             \
		     : [ctx_reg] "r"(ctx), [off] "i"(offsetof(struct __sk_buff, cb) + 4 * (word)), \
		       [value_reg] "r"((__u64)(value))                                             \
		     : "memory")

static __always_inline void trace(struct __sk_buff *ctx, __u32 ifindex, __u32 deliver, __u32 wire, __u32 remote,
				  __u32 reason)
{
	CB_TRACE_WORD(ctx, CB_TRACE_IFINDEX, ifindex);
	CB_TRACE_WORD(ctx, CB_TRACE_DELIVER, deliver);
	CB_TRACE_WORD(ctx, CB_TRACE_WIRE, wire);
	CB_TRACE_WORD(ctx, CB_TRACE_REMOTE, remote);
	CB_TRACE_WORD(ctx, CB_TRACE_REASON, reason);
}

static __always_inline struct cb_count *count_of(__u32 vif)
{
	return bpf_map_lookup_elem(&cb_count_1, &vif);
}

/* Counts a packet as received from @vif. A GSO packet counts once. */
static __always_inline void count_rx(struct __sk_buff *ctx, __u32 vif)
{
	struct cb_count *count = count_of(vif);

	if (cfg_trace || !count)
		return;
	count->rx_packets++;
	count->rx_bytes += ctx->len;
}

/* Counts a packet of @bytes as sent to @vif. */
static __always_inline void count_sent(__u32 vif, __u32 bytes)
{
	struct cb_count *count = count_of(vif);

	if (cfg_trace || !count)
		return;
	count->tx_packets++;
	count->tx_bytes += bytes;
}

static __always_inline void count_tx(struct __sk_buff *ctx, __u32 vif)
{
	count_sent(vif, ctx->len);
}

/* Counts a drop for VIF @vif; 0: for none. */
static __noinline void count_drop(__u32 vif, __u32 reason)
{
	__u32 index = vif * CB_REASON_MAX + reason;
	struct cb_drop *row = bpf_map_lookup_elem(&cb_drop_1, &index);

	if (cfg_trace || !row)
		return;
	__sync_fetch_and_add(&row->packets, 1);
	row->last_ns = bpf_ktime_get_coarse_ns();
}

/* The one exit for dropped packets. @vif: for whom it is counted. */
static __always_inline int drop(struct __sk_buff *ctx, __u32 vif, __u32 reason)
{
	count_drop(vif, reason);
	trace(ctx, 0, 0, 0, 0, reason);
	return TC_ACT_SHOT;
}

/* The end of a packet whose copies were sent to @copies receivers. */
static __always_inline int consumed(struct __sk_buff *ctx, __u32 copies)
{
	trace(ctx, 0, CB_DELIVER_FLOOD, 0, copies, CB_REASON_NONE);
	return TC_ACT_SHOT;
}

#endif /* CABLE_VERDICT_H */
