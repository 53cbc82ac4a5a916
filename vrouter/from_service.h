/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_service.h: the program on cables1 (tc ingress): what the agent sends to a VIF's service address. */
#ifndef CABLE_FROM_SERVICE_H
#define CABLE_FROM_SERVICE_H

#include "lib/service.h"

/* The VIF with service address @addr_be, or NULL. */
static __always_inline struct cb_vif *vif_of_service_address(__u32 addr_be, __u32 *ifindex)
{
	struct cb_slot_key key = {.slot = bpf_ntohl(addr_be) - CB_SERVICE_NET};
	struct cb_slot *slot;

	if (!is_service_address(addr_be))
		return NULL;
	slot = bpf_map_lookup_elem(&cb_slot_1, &key);
	if (!slot)
		return NULL;
	*ifindex = slot->ifindex;
	return lookup_vif(slot->ifindex);
}

SEC("tc")
int from_service(struct __sk_buff *ctx)
{
	struct work *w = start_work(0);
	__u32 ifindex = 0, reason;
	struct cb_vif *vif;
	struct pkt *p;

	if (!w)
		return TC_ACT_SHOT;
	p = &w->p;
	reason = parse_ethernet(ctx, p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	if (p->ethertype_be != bpf_htons(ETH_P_IP))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_UNSUPPORTED_ETHERTYPE);
	reason = parse_ipv4(ctx, p);
	if (reason)
		return drop(ctx, CB_STAT_OVERLAY, reason);
	if (p->saddr_be != bpf_htonl(CB_SERVICE_AGENT))
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_SERVICE);
	vif = vif_of_service_address(p->daddr_be, &ifindex);
	if (!vif)
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_SERVICE);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return drop(ctx, ifindex, CB_REASON_ADMIN_DOWN);
	return to_guest(ctx, p, vif, ifindex);
}

#endif /* CABLE_FROM_SERVICE_H */
