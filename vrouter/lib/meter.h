/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * meter.h: how much a VIF may send and receive, by its QoS policy: buckets of bytes and of packets, and the DSCP that its packets are given. All that the
 * VIF sends counts, whatever becomes of it, and all that others send to it; not what the vrouter and the agent answer.
 *
 * A bucket is one time: when all that was sent is paid, at the cost of the limit (the generic cell rate algorithm). A packet passes if that is no further off
 * than the burst, and then is paid, so that one that is larger than the burst passes, too: a GSO packet is many.
 */
#ifndef CABLE_METER_H
#define CABLE_METER_H

#include "parse.h"
#include "segment.h"
#include "step.h"
#include "turn.h"

#define COST_SHIFT 20
#define PAY_TRIES 3

/* What the packet is on a wire: so many @packets with so many @bytes together. */
static __always_inline void measure(struct __sk_buff *ctx, __u64 *packets, __u64 *bytes)
{
	__u32 headers, size = ctx->gso_size;

	*packets = 1;
	*bytes = ctx->len;
	if (!size)
		return;
	headers = segment_headers(ctx);
	if (ctx->len <= headers)
		return;
	*packets = (ctx->len - headers + size - 1) / size;
	*bytes += (*packets - 1) * headers;
}

/* Is more used than may be at once? */
static __always_inline int is_empty(const __u64 *paid_ns, __u64 burst_ns, __u64 now)
{
	__u64 paid = *(const volatile __u64 *)paid_ns;

	return (__s64)(paid - now) > 0 && paid - now > burst_ns;
}

/* Many CPUs may pay at once: who is beaten again and again has it for nothing. */
static __always_inline void pay(__u64 *paid_ns, __u64 cost_ns, __u64 now)
{
	for (int n = 0; n < PAY_TRIES; n++) {
		__u64 paid = *(volatile __u64 *)paid_ns;
		__u64 from = (__s64)(paid - now) > 0 ? paid : now;

		if (__sync_val_compare_and_swap(paid_ns, paid, from + cost_ns) == paid)
			return;
	}
}

/* What was used at another cost is forgiven: at a low rate it would take long to pay. */
static __always_inline void settle(struct cb_bucket *bucket, const struct cb_meter *meter)
{
	if (bucket->byte_cost != meter->byte_cost) {
		bucket->byte_cost = meter->byte_cost;
		bucket->byte_ns = 0;
	}
	if (bucket->packet_cost != meter->packet_cost) {
		bucket->packet_cost = meter->packet_cost;
		bucket->packet_ns = 0;
	}
}

/* The same for a trace, which neither settles nor pays. */
static __always_inline int would_pass(const struct cb_meter *meter, const struct cb_bucket *bucket, int waits,
				      __u64 now)
{
	if (!waits && bucket->byte_cost == meter->byte_cost && is_empty(&bucket->byte_ns, meter->byte_burst_ns, now))
		return 0;
	return bucket->packet_cost != meter->packet_cost || !is_empty(&bucket->packet_ns, meter->packet_burst_ns, now);
}

/* May the packet pass? Then it is paid. Without a cost nothing is ever used. @waits: bytes are not paid here. */
static __always_inline int may_pass(struct __sk_buff *ctx, const struct cb_meter *meter, struct cb_bucket *bucket,
				    int waits)
{
	__u64 packets, bytes, now = bpf_ktime_get_ns();

	if (cfg_trace)
		return would_pass(meter, bucket, waits, now);
	settle(bucket, meter);
	if ((!waits && is_empty(&bucket->byte_ns, meter->byte_burst_ns, now)) ||
	    is_empty(&bucket->packet_ns, meter->packet_burst_ns, now))
		return 0;
	measure(ctx, &packets, &bytes);
	if (meter->byte_cost && !waits)
		pay(&bucket->byte_ns, (bytes * meter->byte_cost) >> COST_SHIFT, now);
	if (meter->packet_cost)
		pay(&bucket->packet_ns, (packets * meter->packet_cost) >> COST_SHIFT, now);
	return 1;
}

/* Gives an IPv4 packet the DSCP; what it says of congestion stays. */
static __always_inline void mark4(struct iphdr *ip, __u8 dscp)
{
	__u16 *word = (__u16 *)ip;
	__u16 was = *word;
	__u32 sum;

	ip->tos = dscp << 2 | (ip->tos & 3);
	/* RFC 1624 */
	sum = (__u16)~ip->check + (__u16)~was + *word;
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~((sum & 0xffff) + (sum >> 16));
}

/* The same of an IPv6 packet, whose traffic class is in the middle of two bytes. */
static __always_inline void mark6(__u8 *ip, __u8 dscp)
{
	ip[0] = (ip[0] & 0xf0) | dscp >> 2;
	ip[1] = (ip[1] & 0x3f) | dscp << 6;
}

/* Gives a packet the DSCP if it is IP. A shorter one is malformed, as the parser will find. */
static __always_inline void mark(struct __sk_buff *ctx, __u8 dscp)
{
	struct ethhdr *eth = need(ctx, 0, ETH_HLEN + sizeof(struct iphdr));

	if (!eth)
		return;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		mark4((struct iphdr *)(eth + 1), dscp);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		mark6((__u8 *)(eth + 1), dscp);
}

/* What meter() says besides a reason to drop: the packet is to wait its turn. */
#define METER_WAIT -1

/*
 * A packet from (@direction CB_DIR_EGRESS) or to VIF @vif, whose row has CB_VIF_F_METER. Returns 0, METER_WAIT (of a trace never: whatever waits comes through) or a
 * reason to drop. Packet pointers are void then.
 */
GLOBAL int meter(struct __sk_buff *ctx, __u32 vif, __u32 direction)
{
	__u32 index = vif * 2 + (direction & 1);
	struct cb_meter *row = bpf_map_lookup_elem(&cb_meter_1, &index);
	struct cb_bucket *bucket = bpf_map_lookup_elem(&cb_bucket_2, &index);
	int waits;

	if (!row || !bucket)
		return CB_REASON_NONE;
	waits = cfg_queue_ifindex && row->flags & CB_METER_F_SHAPE;
	if (((row->byte_cost && !waits) || row->packet_cost) && !may_pass(ctx, row, bucket, waits))
		return CB_REASON_RATE_QOS;
	if (row->flags & CB_METER_F_DSCP)
		mark(ctx, row->dscp);
	if (waits)
		note_step(CB_STEP_WAIT, vif, direction, 0, NULL);
	return waits && !cfg_trace ? METER_WAIT : CB_REASON_NONE;
}

/* --- waiting --- */

/*
 * The packet, as it is, waits in the queue of VIF @vif and @direction, and comes back by the other end of that device, with a mark that says whose it is.
 * What it waits before is done then: all that from_vif does, or the delivery.
 */
static __always_inline void queue_for(struct __sk_buff *ctx, __u32 vif, __u32 direction)
{
	ctx->mark = vif * 2 + direction;
	ctx->priority = CB_QUEUE_CLASS + vif * 2 + direction;
}

static __always_inline int wait(struct __sk_buff *ctx, __u32 vif, __u32 direction)
{
	queue_for(ctx, vif, direction);
	trace(ctx, cfg_queue_ifindex, CB_DELIVER_QUEUE, direction, vif, CB_REASON_NONE);
	return bpf_redirect(cfg_queue_ifindex, 0);
}

/* A copy of the packet waits. Returns 0, or a negative errno. */
static __always_inline int copy_waits(struct __sk_buff *ctx, __u32 vif)
{
	int err;

	queue_for(ctx, vif, CB_DIR_INGRESS);
	err = bpf_clone_redirect(ctx, cfg_queue_ifindex, 0);
	ctx->mark = 0;
	ctx->priority = 0;
	return err;
}

/* Whose packet comes back from its queue, and in @direction which way it goes; 0: nobody's. */
static __always_inline __u32 vif_of_queued(struct __sk_buff *ctx, __u32 *direction)
{
	__u32 mark = ctx->mark;

	*direction = mark & 1;
	ctx->mark = 0;
	ctx->priority = 0;
	return mark < CB_MAX_METER ? mark / 2 : 0;
}

/* Gives the packet of another to the VIF at the end of @way. */
static __always_inline int to_receiver(struct __sk_buff *ctx, const struct cb_way *way)
{
	struct cb_vif *row = vif_row(way->out_vif);
	int said = CB_REASON_NONE;

	if (row && row->flags & CB_VIF_F_METER)
		said = meter(ctx, way->out_vif, CB_DIR_INGRESS);
	if (said == METER_WAIT)
		return wait(ctx, way->out_vif, CB_DIR_INGRESS);
	if (said)
		return drop(ctx, way->out_vif, said);
	return to_row(ctx, row, way->out_vif, way->deliver, CB_REASON_NONE);
}

#endif /* CABLE_METER_H */
