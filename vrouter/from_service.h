/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_service.h: the program on cables1 (tc ingress): what the agent sends to a VIF's service address. */
#ifndef CABLE_FROM_SERVICE_H
#define CABLE_FROM_SERVICE_H

#include "lib/service6.h"

/* The VIF with service address @addr_be; 0: no VIF's. */
static __always_inline __u32 vif_of_service_address(__u32 addr_be)
{
	__u32 number = bpf_ntohl(addr_be) - CB_SERVICE_NET;

	if (!is_service_address(addr_be) || number % CB_VIF_SERVICE_ADDRESSES > CB_SERVICE_INDEX_CLUSTER_DNS)
		return 0;
	return number / CB_VIF_SERVICE_ADDRESSES;
}

/* The VIF that the agent sends to, and in IPv6 which of its addresses; 0: it is not the agent, or nobody is there. */
static __always_inline __u32 receiver_of(const struct pkt *p, __u32 *index)
{
	struct cb_addr agent;

	if (p->family == CB_FAMILY_V4)
		return v4_of(&p->src) == bpf_htonl(CB_SERVICE_AGENT) ? vif_of_service_address(v4_of(&p->dst)) : 0;
	service_address6(&agent, CB_SERVICE_AGENT - CB_SERVICE_NET);
	return same_words(&p->src, &agent) ? vif_of_service_address6(&p->dst, index) : 0;
}

SEC("tc")
int from_service(struct __sk_buff *ctx)
{
	struct work *w = start_work(0);
	__u32 number, reason, index = 0;
	struct cb_vif *vif;
	struct pkt *p;

	if (!w)
		return TC_ACT_SHOT;
	p = &w->p;
	p->key.net = 0; /* of no network */
	reason = parse_ethernet(ctx, p);
	if (reason)
		return drop(ctx, 0, reason);
	reason = parse_ip(ctx, p);
	if (reason)
		return drop(ctx, 0, reason);
	number = receiver_of(p, &index);
	vif = vif_row(number);
	if (!number || !vif || !vif->ifindex)
		return drop(ctx, 0, CB_REASON_SERVICE);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return drop(ctx, number, CB_REASON_ADMIN_DOWN);
	if (p->family == CB_FAMILY_V6)
		return to_guest6(ctx, p, vif, number * CB_VIF_SERVICE_ADDRESSES + index);
	return to_guest(ctx, p, vif, number);
}

#endif /* CABLE_FROM_SERVICE_H */
