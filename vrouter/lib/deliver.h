/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* deliver.h: sending one packet where its flow says: a VIF of this host, or another host. */
#ifndef CABLE_DELIVER_H
#define CABLE_DELIVER_H

#include "encap.h"
#include "icmp.h"
#include "meter.h"
#include "outer.h"
#include "provider.h"
#include "stage.h"
#include "turn.h"

/* To the host of @tunnel, in network @net, by the overlay device. @vif: the sender, for whom a drop is counted. */
static __always_inline int by_overlay_device(struct __sk_buff *ctx, __u32 vif, __u32 net, __u32 tunnel)
{
	struct cb_tunnel *way = tunnel_row(tunnel);
	struct cb_net *row = net_row(net);

	if (!cfg_overlay_ifindex || !way || !row || set_tunnel(ctx, row->wire_id, &way->remote))
		return drop(ctx, vif, CB_REASON_REDIRECT);
	count_tx(ctx, 0);
	trace(ctx, cfg_overlay_ifindex, CB_DELIVER_OVERLAY, row->wire_id, tunnel, CB_REASON_NONE);
	return bpf_redirect(cfg_overlay_ifindex, 0);
}

/* Gives a packet to another host: encapsulated here, where that is known how and possible, else by the overlay device. */
static __always_inline int to_overlay(struct __sk_buff *ctx, const struct pkt *p, __u32 net, __u32 tunnel)
{
	struct cb_tunnel *way = tunnel_row(tunnel);
	struct cb_net *row = net_row(net);
	enum outer_result result = OUTER_REFUSED;
	struct cb_hop *hop = NULL;
	__u32 bytes = ctx->len;

	if (!way || !row)
		return drop(ctx, p->in_vif, CB_REASON_REDIRECT);
	if (cfg_own_encapsulation && p->family)
		hop = lookup_hop(&way->remote);
	if (hop && fits_underlay(ctx, p, hop->mtu_bytes))
		result = push_outer(ctx, row->wire_id, &way->remote);
	if (!hop || result == OUTER_REFUSED)
		return by_overlay_device(ctx, p->in_vif, net, tunnel);
	if (result == OUTER_BROKEN)
		return drop(ctx, p->in_vif, CB_REASON_REDIRECT);
	count_sent(0, bytes);
	trace(ctx, hop->ifindex, CB_DELIVER_OVERLAY, row->wire_id, tunnel, CB_REASON_NONE);
	return to_neighbour(hop->ifindex, &hop->nexthop);
}

/* Does the packet, or each segment that a GSO packet will become, fit into @mtu_bytes? */
static __always_inline int fits(struct __sk_buff *ctx, const struct pkt *p, __u32 mtu_bytes)
{
	if (ctx->len <= mtu_bytes + ETH_HLEN)
		return 1;
	return ctx->gso_size && ctx->gso_size + p->l4_off - ETH_HLEN + l4_header_len(ctx, p) <= mtu_bytes;
}

/* A router's part for IPv6: other MACs, hop limit less one. Returns 0, or a reason to drop. */
static __always_inline __u32 rewrite_routed6(struct __sk_buff *ctx, const struct cb_way *way)
{
	struct ipv6_header *ip;
	__u8 *eth;

	eth = at(ctx, 0, ETH_HLEN + sizeof(*ip));
	if (!eth)
		return CB_REASON_MALFORMED;
	ip = (void *)(eth + ETH_HLEN);
	if (ip->hop_limit <= 1)
		return CB_REASON_TTL_EXCEEDED;
	copy_mac(eth, way->out_dmac);
	copy_mac(eth + ETH_ALEN, way->out_smac);
	ip->hop_limit--;
	return CB_REASON_NONE;
}

/* A router's part for IPv4: other MACs, TTL less one. Returns 0, or a reason to drop. */
static __always_inline __u32 rewrite_routed(struct __sk_buff *ctx, const struct cb_way *way)
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
	copy_mac(eth, way->out_dmac);
	copy_mac(eth + ETH_ALEN, way->out_smac);
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

/* Gives the packet in work, as it is now, to where @way says. */
static __always_inline int hand_over(struct __sk_buff *ctx, const struct pkt *p, const struct cb_way *way)
{
	if (way->deliver == CB_DELIVER_OVERLAY)
		return to_overlay(ctx, p, way->out_net, way->tunnel);
	if (way->deliver == CB_DELIVER_UPLINK)
		return to_uplink(ctx, p->in_vif, way->out_net, CB_REASON_NONE);
	return to_receiver(ctx, way);
}

/* Sends the packet in work by @way; one that is translated by the way in work. */
static __always_inline int deliver(struct __sk_buff *ctx, struct work *w, const struct cb_way *way)
{
	const struct pkt *p = &w->p;
	__u32 reason;

	if (way->mtu_bytes && !fits(ctx, p, way->mtu_bytes))
		return refuse_for(ctx, w, CB_REASON_TOO_BIG, way->mtu_bytes);
	if (way->flags & CB_WAY_F_ROUTED) {
		reason = p->family == CB_FAMILY_V6 ? rewrite_routed6(ctx, way) : rewrite_routed(ctx, way);
		if (reason == CB_REASON_TTL_EXCEEDED)
			return refuse_for(ctx, w, reason, 0);
		if (reason)
			return drop(ctx, p->in_vif, reason);
	}
	if (way->flags & CB_WAY_F_REWRITE)
		return GO_ON(ctx, w, CB_STAGE_TRANSLATE);
	return hand_over(ctx, p, way);
}

#endif /* CABLE_DELIVER_H */
