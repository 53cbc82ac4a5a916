// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * vrouter-test.bpf.c: the production programs, and an entry that gives a test packet the tunnel it would have come through,
 * which only a real VXLAN device does otherwise.
 */
#include "../vrouter.bpf.c"

/* cb[0]: VNI, cb[1]: outer source address, host byte order; cb[1] = 0: no tunnel at all. */
SEC("tc")
int from_tunnel(struct __sk_buff *ctx)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = ctx->cb[0],
		.remote_ipv4 = 0x7f000001,
		.local_ipv4 = ctx->cb[1],
		.tunnel_ttl = TUNNEL_TTL,
	};

	if (key.local_ipv4 && bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), 0))
		return -1;
	return receive_from_overlay(ctx);
}
