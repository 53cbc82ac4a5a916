/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* from_vif.h: the program on the host's side of a guest's veth or tap (tc ingress): everything that a guest sends. */
#ifndef CABLE_FROM_VIF_H
#define CABLE_FROM_VIF_H

#include "lib/arp.h"
#include "lib/forward.h"
#include "lib/nd.h"
#include "lib/service6.h"

/* An IPv4 packet from 0.0.0.0. */
static __always_inline int is_nobody(const struct pkt *p)
{
	return p->family == CB_FAMILY_V4 && !v4_of(&p->src);
}

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
		    p->key.dport_be == bpf_htons(PORT_DHCP_SERVER) && p->family == CB_FAMILY_V4;
	/*
	 * A DHCP client has no address yet, or one that it lost: then its MAC must be the port's. The agent never sees the
	 * address that it sends from.
	 */
	if ((!asks_dhcp && !is_nobody(p)) || !same_mac(w->sender.mac, p->smac))
		reason = check_source(w);
	if (!reason && w->sender.service == SERVICE_ROGUE_DHCP)
		reason = CB_REASON_PORT_DISABLED_DHCP;
	if (!reason && w->sender.service != SERVICE_AGENT && w->sender.service != SERVICE_PROBED)
		reason = CB_REASON_SERVICE;
	if (reason)
		return drop(ctx, p->in_vif, reason);
	return p->family == CB_FAMILY_V6 ? to_agent6(ctx, w) : to_agent(ctx, w);
}

/* The VIF whose frame this is: by the device, and by the VLAN tag, which is taken off. 0, with @reason: nobody's. */
static __always_inline __u32 vif_of_frame(struct __sk_buff *ctx, __u32 *reason)
{
	__u16 vlan = ctx->vlan_present ? ctx->vlan_tci & VLAN_ID_MASK : 0;
	struct cb_in *in = lookup_in(ctx->ifindex, vlan);

	*reason = vlan ? CB_REASON_UNKNOWN_VLAN : CB_REASON_NOT_PROGRAMMED;
	if (!in || in->kind != CB_IN_VIF)
		return 0;
	if (ctx->vlan_present && bpf_skb_vlan_pop(ctx)) {
		*reason = CB_REASON_MALFORMED;
		return 0;
	}
	return in->vif;
}

/* What VIF @number sends, which has passed its limits. */
static __always_inline int take_in(struct __sk_buff *ctx, const struct cb_vif *vif, __u32 number)
{
	struct work *w = start_work(number);
	enum service what;
	__u32 reason;
	struct pkt *p;

	if (!w)
		return drop(ctx, number, CB_REASON_NOT_PROGRAMMED);
	if (vif->flags & CB_VIF_F_MIRROR_OUT)
		mirror(ctx, number, CB_DIR_EGRESS);
	p = &w->p;
	p->key.net = vif->net;
	reason = parse_ethernet(ctx, p);
	if (reason)
		return drop(ctx, number, reason);
	if (p->ethertype_be == bpf_htons(ETH_P_ARP))
		return GO_ON(ctx, w, CB_STAGE_ARP);
	reason = parse_ip(ctx, p);
	if (reason == CB_REASON_FRAGMENT && p->flags & PKT_LATER_FRAGMENT)
		return GO_ON(ctx, w, CB_STAGE_ORPHAN);
	if (reason)
		return drop(ctx, number, reason);
	if (p->flags & PKT_LINK)
		return GO_ON(ctx, w, CB_STAGE_ND);
	what = p->family == CB_FAMILY_V4 ? classify_service(p, vif) : classify_service6(p, vif);
	if (what != SERVICE_NONE) {
		note_sender(w, vif);
		w->sender.service = what;
		return GO_ON(ctx, w, CB_STAGE_SERVICE);
	}
	if (is_group_mac(p->dmac))
		return GO_ON(ctx, w, CB_STAGE_GROUP);
	return forward(ctx, w);
}

/* A packet from the end of the queues: whatever is not whole or has a tag was not put there by us. */
static __always_inline int come_back(struct __sk_buff *ctx)
{
	struct work *w = work();

	if (!w || ctx->vlan_present)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	w->p.in_vif = 0;
	return GO_ON(ctx, w, CB_STAGE_QUEUED);
}

/* A copy for a mirror, from the end of the pair that such go through. */
static __always_inline int come_out(struct __sk_buff *ctx)
{
	struct work *w = work();

	if (!w)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	w->p.in_vif = 0;
	return GO_ON(ctx, w, CB_STAGE_MIRRORED);
}

/* A packet that has waited for a VIF's limit: it goes on where it was. */
SEC("tc")
int queued(struct __sk_buff *ctx)
{
	__u32 direction, number = vif_of_queued(ctx, &direction);
	struct cb_vif *vif = vif_row(number);

	if (!take_over(CB_STAGE_QUEUED))
		return drop_stray(ctx);
	if (!number || !vif || !(vif->flags & CB_VIF_F_ADMIN_UP))
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	if (direction == CB_DIR_INGRESS)
		return to_row(ctx, vif, number, deliver_kind(vif->flags), CB_REASON_NONE);
	return take_in(ctx, vif, number);
}

/* A frame of VIF @number, without its tag; 0: nobody's, which is dropped for @reason. */
static __always_inline int receive_of_vif(struct __sk_buff *ctx, __u32 number, __u32 reason)
{
	struct cb_vif *vif = vif_row(number);
	int said = CB_REASON_NONE;

	if (!number || !vif)
		return drop(ctx, 0, reason);
	count_rx(ctx, number);
	if (!(vif->flags & CB_VIF_F_ADMIN_UP))
		return drop(ctx, number, CB_REASON_ADMIN_DOWN);
	if (vif->flags & CB_VIF_F_METER)
		said = meter(ctx, number, CB_DIR_EGRESS);
	if (said == METER_WAIT)
		return wait(ctx, number, CB_DIR_EGRESS);
	if (said)
		return drop(ctx, number, said);
	return take_in(ctx, vif, number);
}

static __always_inline int receive_from_vif(struct __sk_buff *ctx)
{
	__u32 reason, number = vif_of_frame(ctx, &reason);

	if (cfg_queue_end_ifindex && !number && ctx->ifindex == cfg_queue_end_ifindex)
		return come_back(ctx);
	if (cfg_mirror_end_ifindex && !number &&
	    (ctx->ifindex == cfg_mirror_end_ifindex || ctx->ifindex == cfg_mirror_ifindex))
		return come_out(ctx);
	return receive_of_vif(ctx, number, reason);
}

SEC("tc")
int from_vif(struct __sk_buff *ctx)
{
	return receive_from_vif(ctx);
}

#endif /* CABLE_FROM_VIF_H */
