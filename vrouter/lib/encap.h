/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* encap.h: VXLAN tunnel keys, both ways. The outer addresses are of the family that this host has in the underlay. */
#ifndef CABLE_ENCAP_H
#define CABLE_ENCAP_H

#include "config.h"
#include "outer_ip.h"

/*
 * Sets the tunnel that the overlay device will send this packet through, to the host @remote. Returns 0 or a negative errno: also where that has no address of the
 * family of this host's, or is nobody.
 */
static __always_inline int set_tunnel(struct __sk_buff *ctx, __u32 vni, const struct cb_addr *remote)
{
	struct bpf_tunnel_key key = {.tunnel_id = vni, .tunnel_ttl = TUNNEL_TTL};
	/* RFC 7348 and RFC 6935: no checksum over what has its own. A host looks at who sent, and into which network that may. */
	__u64 flags = BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT;

	/* Peers know this host by its address; the route might choose another. */
	if (over_ipv6()) {
		if (is_v4_mapped(remote) || is_unspecified(remote))
			return -1;
		__builtin_memcpy(key.remote_ipv6, remote, sizeof(*remote));
		own_address6(key.local_ipv6);
		flags |= BPF_F_TUNINFO_IPV6;
	} else {
		key.remote_ipv4 = bpf_ntohl(v4_of(remote));
		key.local_ipv4 = cfg_underlay;
		if (!is_v4_mapped(remote) || !key.remote_ipv4)
			return -1;
	}
	return bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), flags);
}

/* Reads the tunnel that this packet came through, and from whom. Returns 0 or a negative errno: also by the other family. */
static __always_inline int get_tunnel(struct __sk_buff *ctx, __u32 *vni, struct cb_addr *remote)
{
	struct bpf_tunnel_key key = {};
	int err = bpf_skb_get_tunnel_key(ctx, &key, sizeof(key), over_ipv6() ? BPF_F_TUNINFO_IPV6 : 0);

	*vni = key.tunnel_id;
	if (over_ipv6())
		__builtin_memcpy(remote, key.remote_ipv6, sizeof(*remote));
	else
		set_v4(remote, bpf_htonl(key.remote_ipv4));
	return err;
}

/* As if host @remote had tunnelled the packet here: a tunnel that is set is read the other way round. For tests and traces. Returns 0 or a negative errno. */
static __always_inline int pretend_tunnel(struct __sk_buff *ctx, __u32 vni, const struct cb_addr *remote)
{
	struct bpf_tunnel_key key = {.tunnel_id = vni, .tunnel_ttl = TUNNEL_TTL};

	if (over_ipv6()) {
		own_address6(key.remote_ipv6);
		__builtin_memcpy(key.local_ipv6, remote, sizeof(*remote));
		return bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
	}
	key.remote_ipv4 = 0x7f000001;
	key.local_ipv4 = bpf_ntohl(v4_of(remote));
	return bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), 0);
}

#endif /* CABLE_ENCAP_H */
