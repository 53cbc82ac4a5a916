/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* frame.h: bytes of a packet where they are. */
#ifndef CABLE_FRAME_H
#define CABLE_FRAME_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* A pointer to @len bytes at @off, or NULL where they are not in the linear part. */
static __always_inline void *at(struct __sk_buff *ctx, __u32 off, __u32 len)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (data + off + len > end)
		return NULL;
	return data + off;
}

/*
 * The same, after making them linear if need be: packets from taps and GSO packets may hold only some of their headers in the
 * linear part. Invalidates other packet pointers. NULL: the packet is shorter.
 */
static __always_inline void *need(struct __sk_buff *ctx, __u32 off, __u32 len)
{
	void *here = at(ctx, off, len);

	if (here)
		return here;
	if (off + len > ctx->len || bpf_skb_pull_data(ctx, off + len))
		return NULL;
	return at(ctx, off, len);
}

#endif /* CABLE_FRAME_H */
