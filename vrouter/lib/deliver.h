/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* deliver.h: sending one packet where its flow says: a VIF of this host, or another host. */
#ifndef CABLE_DELIVER_H
#define CABLE_DELIVER_H

#include "encap.h"
#include "icmp.h"
#include "outer.h"
#include "stage.h"
#include "turn.h"

static __always_inline int by_overlay_device(struct __sk_buff *ctx, __u32 in_ifindex, __u32 vni, __u32 remote)
{
	if (!cfg_overlay_ifindex || set_tunnel(ctx, vni, remote))
		return drop(ctx, in_ifindex, CB_REASON_REDIRECT);
	count_tx(ctx, CB_STAT_OVERLAY);
	trace(ctx, cfg_overlay_ifindex, CB_DELIVER_OVERLAY, vni, remote, CB_REASON_NONE);
	return bpf_redirect(cfg_overlay_ifindex, 0);
}

/* Sends the packet, which is encapsulated, to the next hop, whose MAC the kernel finds. */
static __always_inline int to_hop(const struct cb_hop *hop)
{
	struct bpf_redir_neigh neighbour = {.nh_family = AF_INET, .ipv4_nh = v4_of(&hop->nexthop)};

	return bpf_redirect_neigh(hop->ifindex, &neighbour, sizeof(neighbour), 0);
}

/* Gives an IPv4 packet to another host: encapsulated here, where that is known how and possible, else by the overlay device. */
static __always_inline int to_overlay(struct __sk_buff *ctx, const struct pkt *p, __u32 vni,
				      const struct cb_addr *remote)
{
	struct cb_hop *hop = cfg_own_encapsulation ? lookup_hop(remote) : NULL;
	enum outer_result result = OUTER_REFUSED;
	__u32 bytes = ctx->len, v4_be = v4_of(remote);

	if (hop && fits_underlay(ctx, p, hop->mtu_bytes))
		result = push_outer(ctx, vni, v4_be);
	if (!hop || result == OUTER_REFUSED)
		return by_overlay_device(ctx, p->in_ifindex, vni, bpf_ntohl(v4_be));
	if (result == OUTER_BROKEN)
		return drop(ctx, p->in_ifindex, CB_REASON_REDIRECT);
	count_sent(CB_STAT_OVERLAY, bytes);
	trace(ctx, hop->ifindex, CB_DELIVER_OVERLAY, vni, bpf_ntohl(v4_be), CB_REASON_NONE);
	return to_hop(hop);
}

/* Does the packet, or each segment that a GSO packet will become, fit into @mtu_bytes? */
static __always_inline int fits(struct __sk_buff *ctx, const struct pkt *p, __u32 mtu_bytes)
{
	if (ctx->len <= mtu_bytes + ETH_HLEN)
		return 1;
	return ctx->gso_size && ctx->gso_size + p->l4_off - ETH_HLEN + l4_header_len(ctx, p) <= mtu_bytes;
}

/* A router's part: other MACs, TTL less one. Returns 0, or a reason to drop. */
static __always_inline __u32 rewrite_routed(struct __sk_buff *ctx, const struct cb_flow *flow)
{
	struct iphdr *ip;
	__u8 *eth;
	__u32 sum;

	eth = at(ctx, 0, ETH_HLEN + sizeof(*ip));
	if (!eth)
		return CB_REASON_MALFORMED;
	ip = (void *)(eth + ETH_HLEN);
	if (ip->ttl <= 1)
		return CB_REASON_TTL_EXCEEDED;
	copy_mac(eth, flow->out_dmac);
	copy_mac(eth + ETH_ALEN, flow->out_smac);
	ip->ttl--;
	/* RFC 1141: the checksum's sum fell by 0x0100. */
	sum = ip->check + bpf_htons(0x0100);
	ip->check = sum + (sum >= 0xffff);
	return CB_REASON_NONE;
}

static __always_inline int refuse_for(struct __sk_buff *ctx, struct work *w, __u32 reason, __u32 mtu_bytes)
{
	w->refusal.reason = reason;
	w->refusal.mtu_bytes = mtu_bytes;
	return GO_ON(ctx, w, CB_STAGE_REFUSE);
}

/* Carries out a decision on the packet in work. */
static __always_inline int deliver(struct __sk_buff *ctx, struct work *w, const struct cb_flow *flow)
{
	const struct pkt *p = &w->p;
	__u32 reason;

	if (flow->flags & CB_FLOW_F_ROUTED) {
		if (!fits(ctx, p, flow->out_mtu_bytes))
			return refuse_for(ctx, w, CB_REASON_TOO_BIG, flow->out_mtu_bytes);
		reason = rewrite_routed(ctx, flow);
		if (reason == CB_REASON_TTL_EXCEEDED)
			return refuse_for(ctx, w, reason, 0);
		if (reason)
			return drop(ctx, p->in_ifindex, reason);
	}
	if (flow->deliver == CB_DELIVER_OVERLAY)
		return to_overlay(ctx, p, flow->out_vni, &flow->remote);
	return to_vif(ctx, flow->out_ifindex, flow->deliver, flow->out_vni, CB_REASON_NONE);
}

#endif /* CABLE_DELIVER_H */
