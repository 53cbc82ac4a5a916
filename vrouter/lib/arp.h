/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * arp.h: ARP (RFC 826). From a VIF: the sender is checked, requests are answered from the endpoint map; the rest is passed on. From
 * another host: requests that its map could not answer, and answers to them.
 */
#ifndef CABLE_ARP_H
#define CABLE_ARP_H

#include "deliver.h"
#include "flood.h"
#include "learn.h"
#include "lookup.h"
#include "resolve.h"

enum arp_action {
	ARP_ANSWERED, /* the packet is now the answer: give it back */
	ARP_FORWARD, /* treat it as any other frame of the network */
};

/* Checks the sender: both of its addresses, or the MAC alone of a probe (RFC 5227: sender IP 0). */
static __always_inline __u32 check_arp_sender(const struct work *w, const struct arp_packet *arp)
{
	const struct pkt *p = &w->p;
	struct cb_addr sender;

	if (!(w->sender.flags & CB_VIF_F_ANTISPOOF))
		return CB_REASON_NONE;
	if (!same_mac(arp->sha, p->smac))
		return CB_REASON_SPOOFED_ARP;
	if (!arp->spa_be)
		return same_mac(w->sender.mac, p->smac) ? CB_REASON_NONE : CB_REASON_SPOOFED_MAC;
	set_v4(&sender, arp->spa_be);
	return source_allowed(p->in_vif, p->smac, &sender) ? CB_REASON_NONE : CB_REASON_SPOOFED_ARP;
}

/*
 * May the sender ask of all, as one who has no address yet, whether @addr is free? Who is about to have it takes that for another's claim, and does without (RFC 5227,
 * RFC 4862): so only who may have it.
 */
static __always_inline int may_probe(const struct work *w, const struct cb_addr *addr)
{
	return !(w->sender.flags & CB_VIF_F_ANTISPOOF) || source_allowed(w->p.in_vif, w->p.smac, addr);
}

/* Makes the answer out of the request. */
static __always_inline void write_arp_reply(struct arp_packet *arp, const __u8 *mac)
{
	__u32 target = arp->tpa_be;

	copy_mac(arp->eth.h_dest, arp->sha);
	copy_mac(arp->eth.h_source, mac);
	arp->op_be = bpf_htons(ARP_OP_REPLY);
	copy_mac(arp->tha, arp->sha);
	arp->tpa_be = arp->spa_be;
	copy_mac(arp->sha, mac);
	arp->spa_be = target;
}

/* For IPv4 over Ethernet. */
static __always_inline int is_arp(const struct arp_packet *arp)
{
	return arp->hardware_be == bpf_htons(ARP_HARDWARE_ETHER) && arp->protocol_be == bpf_htons(ETH_P_IP) &&
	       arp->hardware_len == 6 && arp->protocol_len == 4;
}

/* What the sender says of itself; of an allowed address pair only what names the frame's own MAC counts. */
static __always_inline __u32 hear_arp_claim(struct __sk_buff *ctx, struct work *w, const struct arp_packet *arp)
{
	struct cb_addr sender;

	if (!arp->spa_be || !same_mac(arp->sha, w->p.smac))
		return CB_REASON_NONE;
	set_v4(&sender, arp->spa_be);
	return hear(ctx, w, &sender);
}

/*
 * Does a question tell all that an address has moved? Then it goes to all, though its answer is known here: who asks does so again, and is answered; they would not be told again.
 */
static __always_inline int is_news_to_all(const struct work *w)
{
	return w->claim == CLAIM_NEWS && is_group_mac(w->p.dmac);
}

/* Decides on an ARP packet; @action only if the reason is CB_REASON_NONE. */
static __always_inline __u32 handle_arp(struct __sk_buff *ctx, struct work *w, __u32 *action)
{
	struct cb_endpoint *target;
	struct arp_packet *arp;
	struct cb_addr addr;
	__u32 reason;

	*action = ARP_FORWARD;
	arp = need(ctx, 0, sizeof(*arp));
	if (!arp || !is_arp(arp))
		return CB_REASON_MALFORMED;
	reason = check_arp_sender(w, arp);
	if (!reason)
		reason = hear_arp_claim(ctx, w, arp);
	arp = need(ctx, 0, sizeof(*arp));
	if (!arp)
		return CB_REASON_MALFORMED;
	if (reason || arp->op_be != bpf_htons(ARP_OP_REQUEST) || is_news_to_all(w))
		return reason;
	set_v4(&addr, arp->tpa_be);
	target = lookup_endpoint(w->p.key.net, &addr);
	/* Unknown: perhaps an allowed address pair's. The sender's own: an announcement, for the others. Leased: another host answers. */
	if (!target || target->kind == CB_ENDPOINT_SHARED || target->kind == CB_ENDPOINT_LEASED ||
	    (target->kind == CB_ENDPOINT_VIF && target->vif == w->p.in_vif))
		return !arp->spa_be && !may_probe(w, &addr) ? CB_REASON_SPOOFED_ARP : CB_REASON_NONE;
	write_arp_reply(arp, target->mac);
	*action = ARP_ANSWERED;
	return CB_REASON_NONE;
}

/* Passes an ARP packet or an ND message on: to the MAC's owner, or to all. Rules do not apply to them. */
static __always_inline int forward_link(struct __sk_buff *ctx, struct work *w)
{
	struct cb_way *way = start_decision(w);
	__u32 in_vif = w->p.in_vif;

	if (is_group_mac(w->p.dmac))
		return link_to_all(ctx, w, w->claim);
	resolve(ctx);
	if (w->to.kind == RESOLVED_FLOOD)
		return link_to_all(ctx, w, w->claim);
	if (w->to.kind != RESOLVED_DELIVER)
		return drop(ctx, in_vif, w->to.reason);
	if (way->deliver == CB_DELIVER_OVERLAY)
		return by_overlay_device(ctx, in_vif, way->out_net, way->tunnel);
	if (way->deliver == CB_DELIVER_UPLINK)
		return to_uplink(ctx, in_vif, way->out_net, CB_REASON_NONE);
	return to_receiver(ctx, way);
}

/* Of an uplink: see neighbour.h. */
static __always_inline int arp_outside(struct __sk_buff *ctx, struct work *w);

/* An ARP packet or ND message of another host, after it was heard. Who only routes into the network has nobody to pass it on to. */
static __always_inline int forward_link_of_host(struct __sk_buff *ctx, struct work *w)
{
	if (!has_flood_list(w->p.key.net)) {
		if (w->claim)
			return consumed(ctx, 0);
		if (is_group_mac(w->p.dmac))
			return drop(ctx, 0, CB_REASON_UNKNOWN_VNI);
	}
	return forward_link(ctx, w);
}

/* The ARP packet in work. */
SEC("tc")
int arp(struct __sk_buff *ctx)
{
	__u32 reason = 0, action = ARP_FORWARD;
	struct work *w = take_over(CB_STAGE_ARP);
	struct arp_packet *arp;

	if (!w)
		return drop_stray(ctx);
	note_sender(w, w->p.in_vif ? vif_row(w->p.in_vif) : NULL);
	w->claim = 0;
	if (w->p.flags & PKT_OUTSIDE)
		return arp_outside(ctx, w);
	if (!w->p.in_vif) {
		arp = need(ctx, 0, sizeof(*arp));
		if (arp)
			reason = hear_arp_claim(ctx, w, arp);
		return reason ? drop(ctx, 0, reason) : forward_link_of_host(ctx, w);
	}
	reason = handle_arp(ctx, w, &action);
	if (reason)
		return drop(ctx, w->p.in_vif, reason);
	return action == ARP_ANSWERED ? turn_back(ctx, w) : forward_link(ctx, w);
}

#endif /* CABLE_ARP_H */
