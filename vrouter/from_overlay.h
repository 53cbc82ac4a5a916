/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_overlay.h: the program on the VXLAN device (tc ingress): packets of other hosts for guests of this one. */
#ifndef CABLE_FROM_OVERLAY_H
#define CABLE_FROM_OVERLAY_H

#include "lib/forward.h"

/* ARP passed on by another host: requests that its map could not answer, and answers to them. */
static __noinline int arp_from_overlay(struct __sk_buff *ctx, struct pkt *p)
{
	struct resolution to = {};
	struct cb_flow *way = scratch_flow(SCRATCH_ENTRY);

	if (is_group_mac(p->dmac) || !way)
		return flood(ctx, p, 0);
	resolve_from_overlay(p, p->key.zone, way, &to);
	if (to.kind == RESOLVED_DROP)
		return drop(ctx, CB_STAT_OVERLAY, to.reason);
	if (to.kind == RESOLVED_FLOOD)
		return flood(ctx, p, 0);
	return to_vif(ctx, way->out_ifindex, way->deliver, way->out_vni, CB_REASON_NONE);
}

static __always_inline int receive_from_overlay(struct __sk_buff *ctx)
{
	__u32 vni, remote, reason;
	struct pkt p = {};

	count_rx(ctx, CB_STAT_OVERLAY);
	if (get_tunnel(ctx, &vni, &remote) || !is_peer(bpf_htonl(remote)))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNKNOWN_PEER);
	p.key.zone = vni;
	reason = parse_ethernet(ctx, &p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	if (is_group_mac(p.dmac) && !lookup_flood(vni, 0))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNKNOWN_VNI);
	if (p.ethertype_be == bpf_htons(ETH_P_ARP))
		return arp_from_overlay(ctx, &p);
	if (p.ethertype_be != bpf_htons(ETH_P_IP))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNSUPPORTED_ETHERTYPE);
	reason = parse_ipv4(ctx, &p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	if (is_group_mac(p.dmac))
		return forward_group(ctx, &p, NULL);
	return forward(ctx, &p, NULL);
}

SEC("tc")
int from_overlay(struct __sk_buff *ctx)
{
	return receive_from_overlay(ctx);
}

#endif /* CABLE_FROM_OVERLAY_H */
