/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_overlay.h: the program on the VXLAN device (tc ingress): packets of other hosts for guests of this one. */
#ifndef CABLE_FROM_OVERLAY_H
#define CABLE_FROM_OVERLAY_H

#include "lib/arp.h"
#include "lib/forward.h"

static __always_inline int receive_from_overlay(struct __sk_buff *ctx)
{
	struct work *w = start_work(0);
	__u32 vni, remote, reason;
	struct pkt *p;

	count_rx(ctx, CB_STAT_OVERLAY);
	if (get_tunnel(ctx, &vni, &remote) || !is_peer(bpf_htonl(remote)) || !w)
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNKNOWN_PEER);
	p = &w->p;
	p->key.zone = vni;
	reason = parse_ethernet(ctx, p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	if (is_group_mac(p->dmac) && !lookup_flood(vni, 0))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNKNOWN_VNI);
	if (p->ethertype_be == bpf_htons(ETH_P_ARP)) {
		note_sender(w, NULL);
		return GO_ON(ctx, w, CB_STAGE_ARP);
	}
	if (p->ethertype_be != bpf_htons(ETH_P_IP))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNSUPPORTED_ETHERTYPE);
	reason = parse_ipv4(ctx, p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	if (is_group_mac(p->dmac)) {
		note_sender(w, NULL);
		return GO_ON(ctx, w, CB_STAGE_GROUP);
	}
	return forward(ctx, w, NULL);
}

SEC("tc")
int from_overlay(struct __sk_buff *ctx)
{
	return receive_from_overlay(ctx);
}

#endif /* CABLE_FROM_OVERLAY_H */
