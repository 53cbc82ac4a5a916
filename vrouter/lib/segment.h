/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* segment.h: what a GSO packet becomes on a wire. */
#ifndef CABLE_SEGMENT_H
#define CABLE_SEGMENT_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include "wire.h"

/* Bytes of headers that each segment of a GSO packet will have. */
static __always_inline __u32 segment_headers(struct __sk_buff *ctx)
{
	__u32 l4 = ETH_HLEN + sizeof(struct ipv6_header);
	__u8 first, protocol, offset;

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &first, 1))
		return ETH_HLEN;
	if (first >> 4 == 4)
		l4 = ETH_HLEN + (first & 0xf) * 4;
	if (bpf_skb_load_bytes(ctx, ETH_HLEN + (first >> 4 == 4 ? 9 : 6), &protocol, 1))
		return ETH_HLEN;
	if (protocol != IPPROTO_TCP)
		return l4 + sizeof(struct udphdr);
	return bpf_skb_load_bytes(ctx, l4 + 12, &offset, 1) ? l4 : l4 + (offset >> 4) * 4;
}

#endif /* CABLE_SEGMENT_H */
