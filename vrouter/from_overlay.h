/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_overlay.h: the program on the VXLAN device (tc ingress): packets of other hosts for guests of this one. */
#ifndef CABLE_FROM_OVERLAY_H
#define CABLE_FROM_OVERLAY_H

#include "lib/arp.h"
#include "lib/forward.h"
#include "lib/mirror.h"
#include "lib/nd.h"

/* A copy that another host's mirror made: it goes to who watches, as it is, and is nobody's packet. A device takes no more than its MTU. */
static __always_inline int take_copy(struct __sk_buff *ctx, const struct cb_peer *peer)
{
	struct cb_vif *row = watcher(peer->vif);

	if (!row)
		return drop(ctx, 0, CB_REASON_UNKNOWN_VNI);
	if (ctx->len > row->mtu_bytes + ETH_HLEN && !ctx->gso_size &&
	    bpf_skb_change_tail(ctx, row->mtu_bytes + ETH_HLEN, 0))
		return drop(ctx, peer->vif, CB_REASON_TOO_BIG);
	return put_out(ctx, row, peer->vif, CB_DELIVER_VIF, CB_REASON_NONE);
}

static __always_inline int receive_from_overlay(struct __sk_buff *ctx)
{
	struct work *w = start_work(0);
	struct cb_addr remote;
	struct cb_peer *peer;
	__u32 vni, reason;
	struct pkt *p;

	count_rx(ctx, 0);
	if (get_tunnel(ctx, &vni, &remote) || !w)
		return drop(ctx, 0, CB_REASON_UNKNOWN_PEER);
	peer = lookup_peer(vni, &remote);
	if (!peer)
		return drop(ctx, 0, CB_REASON_UNKNOWN_PEER);
	if (peer->flags & CB_PEER_F_MIRROR)
		return take_copy(ctx, peer);
	p = &w->p;
	p->key.net = peer->net;
	p->in_tunnel = peer->tunnel;
	if (peer->flags & CB_PEER_F_PROBE)
		return GO_ON(ctx, w, CB_STAGE_PROBE);
	reason = parse_ethernet(ctx, p);
	if (reason)
		return drop(ctx, 0, reason);
	if (p->ethertype_be == bpf_htons(ETH_P_ARP))
		return GO_ON(ctx, w, CB_STAGE_ARP);
	/* Neighbour discovery is heard all the same. */
	if (is_group_mac(p->dmac) && p->ethertype_be != bpf_htons(ETH_P_IPV6) && !has_flood_list(p->key.net))
		return drop(ctx, 0, CB_REASON_UNKNOWN_VNI);
	reason = parse_ip(ctx, p);
	if (reason == CB_REASON_FRAGMENT && p->flags & PKT_LATER_FRAGMENT)
		return GO_ON(ctx, w, CB_STAGE_ORPHAN);
	if (reason)
		return drop(ctx, 0, reason);
	if (p->flags & PKT_LINK)
		return GO_ON(ctx, w, CB_STAGE_ND);
	if (is_group_mac(p->dmac) && !has_flood_list(p->key.net))
		return drop(ctx, 0, CB_REASON_UNKNOWN_VNI);
	if (is_group_mac(p->dmac))
		return GO_ON(ctx, w, CB_STAGE_GROUP);
	return forward(ctx, w);
}

SEC("tc")
int from_overlay(struct __sk_buff *ctx)
{
	return receive_from_overlay(ctx);
}

#endif /* CABLE_FROM_OVERLAY_H */
