/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_vif.h: the program on the host's side of a guest's veth or tap (tc ingress): everything that a guest sends. */
#ifndef CABLE_FROM_VIF_H
#define CABLE_FROM_VIF_H

#include "lib/arp.h"
#include "lib/forward.h"
#include "lib/service.h"

/* Forwards an ARP packet that is not answered here: to the MAC's owner, or to all. Rules do not apply to ARP. */
static __noinline int forward_arp(struct __sk_buff *ctx, struct pkt *p)
{
	struct resolution to = {};
	struct cb_flow *way = scratch_flow(SCRATCH_ENTRY);

	if (is_group_mac(p->dmac) || !way)
		return flood(ctx, p, 0);
	resolve_from_vif(p, p->key.zone, way, &to);
	if (to.kind == RESOLVED_FLOOD)
		return flood(ctx, p, 0);
	/* To a router's MAC: nobody is there who would read it. */
	if (to.kind != RESOLVED_DELIVER || way->flags & CB_FLOW_F_ROUTED)
		return drop(ctx, p->in_ifindex, to.kind == RESOLVED_DROP ? to.reason : CB_REASON_NO_ENDPOINT);
	if (way->deliver == CB_DELIVER_OVERLAY)
		return to_overlay(ctx, p->in_ifindex, way->out_vni, bpf_ntohl(v4_of(&way->remote)));
	return to_vif(ctx, way->out_ifindex, way->deliver, way->out_vni, CB_REASON_NONE);
}

static __noinline int arp_from_vif(struct __sk_buff *ctx, struct pkt *p, const struct cb_vif *vif)
{
	__u32 action, reason = handle_arp(ctx, p, vif, &action);

	if (reason)
		return drop(ctx, p->in_ifindex, reason);
	if (action == ARP_ANSWERED)
		return turn_back(ctx, p->in_ifindex, vif, CB_REASON_NONE);
	return forward_arp(ctx, p);
}

/* A packet for the agent, or one that pretends to be. */
static __noinline int service_from_vif(struct __sk_buff *ctx, struct pkt *p, const struct cb_vif *vif, __u32 service)
{
	int asks_dhcp = service == SERVICE_AGENT && p->key.protocol == IPPROTO_UDP;
	__u32 reason = CB_REASON_NONE;

	/*
	 * A DHCP client has no address yet, or one that it lost: then its MAC must be the port's. The agent never sees the
	 * address that it sends from.
	 */
	if ((p->saddr_be && !asks_dhcp) || !same_mac(vif->mac, p->smac))
		reason = check_source(p, vif);
	if (!reason && service == SERVICE_ROGUE_DHCP)
		reason = CB_REASON_PORT_DISABLED_DHCP;
	if (!reason && service == SERVICE_REFUSED)
		reason = CB_REASON_SERVICE;
	return reason ? drop(ctx, p->in_ifindex, reason) : to_agent(ctx, p, vif);
}

SEC("tc")
int from_vif(struct __sk_buff *ctx)
{
	__u32 ifindex = ctx->ifindex, reason;
	struct cb_vif *vif = lookup_vif(ifindex);
	struct pkt p = {.in_ifindex = ifindex};
	enum service service;

	if (!vif)
		return drop(ctx, CB_STAT_OVERLAY, CB_REASON_NOT_PROGRAMMED);
	count_rx(ctx, ifindex);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return drop(ctx, ifindex, CB_REASON_ADMIN_DOWN);
	p.key.zone = vif->vni;
	reason = parse_ethernet(ctx, &p);
	if (reason)
		return drop(ctx, ifindex, reason);
	if (p.ethertype_be == bpf_htons(ETH_P_ARP))
		return arp_from_vif(ctx, &p, vif);
	if (p.ethertype_be != bpf_htons(ETH_P_IP))
		return drop(ctx, ifindex, CB_REASON_UNSUPPORTED_ETHERTYPE);
	reason = parse_ipv4(ctx, &p);
	if (reason)
		return drop(ctx, ifindex, reason);
	service = classify_service(&p, vif);
	if (service != SERVICE_NONE)
		return service_from_vif(ctx, &p, vif, service);
	if (is_group_mac(p.dmac))
		return forward_group(ctx, &p, vif);
	return forward(ctx, &p, vif);
}

#endif /* CABLE_FROM_VIF_H */
