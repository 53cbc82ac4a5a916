/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* shorten.h: a packet of which only the beginning is to be sent on, as something else. */
#ifndef CABLE_SHORTEN_H
#define CABLE_SHORTEN_H

#include "work.h"

#define ZEROS 32
/* So many times ZEROS are written at the most: more than the largest packet that is no segmentation-offload packet. */
#define ZERO_STEPS 48

/*
 * Makes the packet @bytes long. The kernel does not cut one of which it remembers that it came in a tunnel, though its headers are off: of that nothing but zeros
 * is left behind them. Returns 0 or a negative errno.
 */
static __noinline int shorten(struct __sk_buff *ctx, __u32 bytes)
{
	__u8 zeros[ZEROS] = {};
	__u32 rest;

	if (!bpf_skb_change_tail(ctx, bytes, 0))
		return 0;
	if (ctx->len < bytes)
		return -1;
	for (__u32 n = 0; n < ZERO_STEPS && bytes + ZEROS <= ctx->len; n++, bytes += ZEROS)
		if (bpf_skb_store_bytes(ctx, bytes, zeros, ZEROS, 0))
			return -1;
	rest = ctx->len - bytes;
	if (rest >= ZEROS)
		return -1;
	/* verifier: a bound that it does not lose */
	asm volatile("" : "+r"(rest));
	rest &= ZEROS - 1;
	return rest ? bpf_skb_store_bytes(ctx, bytes, zeros, rest, 0) : 0;
}

#endif /* CABLE_SHORTEN_H */
