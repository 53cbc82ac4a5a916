/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * from_uplink.h: the program on the devices of the underlay (tcx ingress), where the vrouter does encapsulation itself: packets of
 * other hosts for guests of this one. These devices are the host's own too: whatever is not surely a guest's goes on as if no
 * program were there, to filters of others and to the host's stack. A tunnelled packet then comes to the overlay device.
 */
#ifndef CABLE_FROM_UPLINK_H
#define CABLE_FROM_UPLINK_H

#include "lib/forward.h"

/*
 * Does this tunnelled packet go to its guest from here? The kernel remembers of a GSO packet that it was in a tunnel, also when
 * its headers are off, and segments it wrongly (UDP) or slowly (TCP, for a tap): those are left to the overlay device. All
 * TCP for a tap is, since what goes by the device comes later, and a connection must keep its order.
 */
static __always_inline int is_taken(struct __sk_buff *ctx, const struct outer *o, __u32 vni)
{
	struct cb_endpoint *endpoint;
	struct iphdr ip;

	if (o->inner.h_proto != bpf_htons(ETH_P_IP) || is_group_mac(o->inner.h_dest) ||
	    bpf_skb_load_bytes(ctx, sizeof(*o), &ip, sizeof(ip)))
		return 0;
	/* RFC 6040: who does not know ECN is not told of congestion by a mark; the packet is to be dropped. */
	if ((o->ip.tos & ECN_MASK) == ECN_CE && !(ip.tos & ECN_MASK))
		return 0;
	if (ip.protocol != IPPROTO_TCP)
		return !ctx->gso_size;
	endpoint = lookup_mac(vni, o->inner.h_dest);
	return endpoint && endpoint->kind == CB_ENDPOINT_VIF && endpoint->flags & CB_VIF_F_PEER;
}

/* Makes a packet that a peer tunnelled to a guest what that guest's neighbour sent. OUTER_REFUSED: it is as it came. */
/* verifier: a function of its own, so that its stack is free again where the packet is forwarded. */
static __noinline enum outer_result unwrap(struct __sk_buff *ctx, __u32 *vni)
{
	struct outer o;

	if (!read_outer(ctx, &o))
		return OUTER_REFUSED;
	*vni = bpf_ntohl(o.vxlan_vni_be) >> VXLAN_VNI_SHIFT;
	return is_taken(ctx, &o, *vni) ? pop_outer(ctx, &o) : OUTER_REFUSED;
}

SEC("tc")
int from_uplink(struct __sk_buff *ctx)
{
	enum outer_result result;
	__u32 vni = 0, reason;
	struct work *w;

	if (!cfg_own_encapsulation)
		return TC_ACT_UNSPEC;
	result = unwrap(ctx, &vni);
	if (result == OUTER_REFUSED)
		return TC_ACT_UNSPEC;
	count_rx(ctx, CB_STAT_OVERLAY);
	w = start_work(0);
	if (result == OUTER_BROKEN || !w)
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_REDIRECT);
	w->p.key.zone = vni;
	reason = parse_ethernet(ctx, &w->p);
	if (!reason)
		reason = parse_ipv4(ctx, &w->p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	return forward(ctx, w, NULL);
}

#endif /* CABLE_FROM_UPLINK_H */
