/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * from_uplink.h: the program on the devices of the underlay and of provider networks (tcx ingress): packets that other hosts tunnel to guests of this one,
 * where the vrouter does encapsulation itself, and frames of provider networks. These devices are the host's own too: whatever is not surely a guest's
 * goes on as if no program were there, to filters of others and to the host's stack. A tunnelled packet then comes to the overlay device.
 */
#ifndef CABLE_FROM_UPLINK_H
#define CABLE_FROM_UPLINK_H

#include "include/old/prog_1.h"
#include "lib/forward.h"
#include "lib/provider.h"
#include "announced.h"

/* What the device is left of IPv6: it would have to be looked through, may wait to be received anew (fragments), or is about the link. */
static __always_inline int is_left6(const __u8 *ip)
{
	const struct ipv6_header *ip6 = (const void *)ip;

	return is_extension(ip6->next) || (ip6->next == IPPROTO_ICMPV6 && icmp6_is_link(ip[sizeof(*ip6)]));
}

/* The inner IP header as far as it is asked about, and the byte that says an ICMPv6 packet's type. */
#define INNER_BYTES (sizeof(struct ipv6_header) + 1)

/* Reads into @ip what the tunnelled packet is. Returns its protocol; 0: it is left to the overlay device. */
static __always_inline __u8 read_inner(struct __sk_buff *ctx, const struct tunnelled *t, __u8 ip[INNER_BYTES])
{
	const struct iphdr *ip4 = (const void *)ip;

	if (t->inner.h_proto == bpf_htons(ETH_P_IPV6))
		return bpf_skb_load_bytes(ctx, outer_len(), ip, INNER_BYTES) || is_left6(ip)
			       ? 0
			       : ((const struct ipv6_header *)ip)->next;
	/* Fragments may have to wait, and are received anew then: by the device, which knows the tunnel. */
	if (t->inner.h_proto != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(ctx, outer_len(), ip, sizeof(*ip4)) ||
	    ip4->frag_off & bpf_htons(IP_FLAG_MF | IP_OFFSET_MASK))
		return 0;
	return ip4->protocol;
}

/*
 * Does this tunnelled packet go to its guest from here? The kernel remembers of a GSO packet that it was in a tunnel, also when
 * its headers are off, and segments it wrongly (UDP) or slowly (TCP, for a tap): those are left to the overlay device. All
 * TCP for a tap is, since what goes by the device comes later, and a connection must keep its order.
 */
static __always_inline int is_taken(struct __sk_buff *ctx, const struct tunnelled *t, __u16 net)
{
	__u8 ip[INNER_BYTES] __attribute__((aligned(8))), protocol;
	struct cb_endpoint *endpoint;
	struct cb_vif *vif;

	if (is_group_mac(t->inner.h_dest))
		return 0;
	protocol = read_inner(ctx, t, ip);
	/* RFC 6040: who does not know ECN is not told of congestion by a mark; the packet is to be dropped. */
	if (!protocol || ((t->tos & ECN_MASK) == ECN_CE && !(tos_of(ip) & ECN_MASK)))
		return 0;
	if (protocol != IPPROTO_TCP)
		return !ctx->gso_size;
	endpoint = lookup_mac(net, t->inner.h_dest);
	if (!endpoint || endpoint->kind != CB_ENDPOINT_VIF)
		return 0;
	vif = vif_row(endpoint->vif);
	return vif && vif->flags & CB_VIF_F_PEER;
}

/*
 * Is an older build in force, one that knows nothing of this program? It has another table, which the agent of this build leaves pinned and zeroed, and writes
 * there when its maps are filled. Nobody writes ours then.
 */
static __always_inline int is_left_over(void)
{
	__u32 zero = 0;
	struct old_prog *prog = bpf_map_lookup_elem(&cb_prog_1, &zero);

	return prog && prog->revision;
}

/* Makes a packet that a peer tunnelled to a guest what that guest's neighbour sent. OUTER_REFUSED: it is as it came. */
/* verifier: a function of its own, so that its stack is free again where the packet is forwarded. */
static __noinline enum outer_result unwrap(struct __sk_buff *ctx, __u32 *net)
{
	struct work *w = work();
	struct cb_peer *peer;
	struct tunnelled t;

	if (!read_outer(ctx, &t))
		return OUTER_REFUSED;
	peer = lookup_peer(t.vni, &t.from);
	if (!peer || !(peer->flags & CB_PEER_F_UPLINK) || is_left_over())
		return OUTER_REFUSED;
	*net = peer->net;
	if (w)
		w->p.in_tunnel = peer->tunnel;
	return is_taken(ctx, &t, *net) ? pop_outer(ctx, &t) : OUTER_REFUSED;
}

/* Goes on in what an uplink receives for network @net. */
static __always_inline int receive_outside(struct __sk_buff *ctx, struct work *w, __u16 net)
{
	w->p.key.net = net;
	w->p.flags = PKT_OUTSIDE;
	w->p.in_tunnel = 0;
	CALL_STAGE(ctx, w, CB_STAGE_OUTSIDE);
	return TC_ACT_UNSPEC;
}

static __always_inline int receive_from_uplink(struct __sk_buff *ctx)
{
	enum outer_result result;
	__u32 net = 0, reason;
	struct work *w;

	result = cfg_own_encapsulation ? unwrap(ctx, &net) : OUTER_REFUSED;
	w = start_work(0);
	if (result == OUTER_REFUSED) {
		if (w && answer_for_service(ctx, w)) {
			trace(ctx, ctx->ifindex, CB_DELIVER_UPLINK, 0, 0, CB_REASON_NONE);
			return bpf_redirect(ctx->ifindex, 0);
		}
		net = net_of_frame(ctx);
		if (!net || !w || is_left_over())
			return TC_ACT_UNSPEC;
		return receive_outside(ctx, w, net);
	}
	count_rx(ctx, 0);
	if (result == OUTER_BROKEN || !w)
		return drop(ctx, 0, CB_REASON_REDIRECT);
	w->p.key.net = net;
	reason = parse_ethernet(ctx, &w->p);
	if (!reason)
		reason = parse_ip(ctx, &w->p);
	if (reason)
		return drop(ctx, 0, reason);
	return forward(ctx, w);
}

SEC("tc")
int from_uplink(struct __sk_buff *ctx)
{
	return receive_from_uplink(ctx);
}

#endif /* CABLE_FROM_UPLINK_H */
