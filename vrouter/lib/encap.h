/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* encap.h: VXLAN tunnel keys, both ways. The outer addresses are IPv4. */
#ifndef CABLE_ENCAP_H
#define CABLE_ENCAP_H

#include "config.h"
#include "parse.h"

#define TUNNEL_TTL 64

/*
 * Sets the tunnel that the overlay device will send this packet through. @remote: the other host, host byte order. Returns
 * 0 or a negative errno.
 */
static __always_inline int set_tunnel(struct __sk_buff *ctx, __u32 vni, __u32 remote)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = vni,
		.remote_ipv4 = remote,
		/* Peers know this host by this address; the route might choose another. */
		.local_ipv4 = cfg_underlay,
		.tunnel_ttl = TUNNEL_TTL,
	};

	return bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT);
}

/* Reads the tunnel that this packet came through; @remote in host byte order. Returns 0 or a negative errno. */
static __always_inline int get_tunnel(struct __sk_buff *ctx, __u32 *vni, __u32 *remote)
{
	struct bpf_tunnel_key key = {};
	int err = bpf_skb_get_tunnel_key(ctx, &key, sizeof(key), 0);

	*vni = key.tunnel_id;
	*remote = key.remote_ipv4;
	return err;
}

#endif /* CABLE_ENCAP_H */
