/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_vif.h: the program on the host's side of a guest's veth or tap (tc ingress): everything that a guest sends. */
#ifndef CABLE_FROM_VIF_H
#define CABLE_FROM_VIF_H

#include "lib/arp.h"
#include "lib/forward.h"
#include "lib/service.h"

/* A packet for the agent, or one that pretends to be. */
SEC("tc")
int service(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_SERVICE);
	__u32 reason = 0;
	struct pkt *p;
	int asks_dhcp;

	if (!w)
		return drop_stray(ctx);
	p = &w->p;
	asks_dhcp = w->sender.service == SERVICE_AGENT && p->key.protocol == IPPROTO_UDP &&
		    p->key.dport_be == bpf_htons(PORT_DHCP_SERVER);
	/*
	 * A DHCP client has no address yet, or one that it lost: then its MAC must be the port's. The agent never sees the
	 * address that it sends from.
	 */
	if ((p->saddr_be && !asks_dhcp) || !same_mac(w->sender.mac, p->smac))
		reason = check_source(w);
	if (!reason && w->sender.service == SERVICE_ROGUE_DHCP)
		reason = CB_REASON_PORT_DISABLED_DHCP;
	if (!reason && w->sender.service != SERVICE_AGENT)
		reason = CB_REASON_SERVICE;
	return reason ? drop(ctx, p->in_ifindex, reason) : to_agent(ctx, w);
}

SEC("tc")
int from_vif(struct __sk_buff *ctx)
{
	__u32 ifindex = ctx->ifindex, reason;
	struct cb_vif *vif = lookup_vif(ifindex);
	struct work *w = start_work(ifindex);
	enum service what;
	struct pkt *p;

	if (!vif || !w)
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_NOT_PROGRAMMED);
	count_rx(ctx, ifindex);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return drop(ctx, ifindex, CB_REASON_ADMIN_DOWN);
	p = &w->p;
	p->key.zone = vif->vni;
	reason = parse_ethernet(ctx, p);
	if (reason)
		return drop(ctx, ifindex, reason);
	if (p->ethertype_be == bpf_htons(ETH_P_ARP)) {
		note_sender(w, vif);
		return GO_ON(ctx, w, CB_STAGE_ARP);
	}
	if (p->ethertype_be != bpf_htons(ETH_P_IP))
		return drop(ctx, ifindex, CB_REASON_UNSUPPORTED_ETHERTYPE);
	reason = parse_ipv4(ctx, p);
	if (reason)
		return drop(ctx, ifindex, reason);
	what = classify_service(p, vif);
	if (what != SERVICE_NONE) {
		note_sender(w, vif);
		w->sender.service = what;
		return GO_ON(ctx, w, CB_STAGE_SERVICE);
	}
	if (is_group_mac(p->dmac)) {
		note_sender(w, vif);
		return GO_ON(ctx, w, CB_STAGE_GROUP);
	}
	return forward(ctx, w, vif);
}

#endif /* CABLE_FROM_VIF_H */
