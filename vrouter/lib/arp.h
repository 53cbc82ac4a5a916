/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* arp.h: ARP from a VIF (RFC 826): the sender is checked, requests are answered from the endpoint map. */
#ifndef CABLE_ARP_H
#define CABLE_ARP_H

#include "lookup.h"
#include "turn.h"

enum arp_action {
	ARP_ANSWERED, /* the packet is now the answer: give it back */
	ARP_FORWARD, /* treat it as any other frame of the network */
};

/* Checks the sender: both of its addresses, or the MAC alone of a probe (RFC 5227: sender IP 0). */
static __always_inline __u32 check_arp_sender(const struct pkt *p, const struct cb_vif *vif,
					      const struct arp_packet *arp)
{
	struct cb_addr sender;

	if (!(vif->flags & CB_VIF_F_ANTISPOOF))
		return CB_REASON_NONE;
	if (!same_mac(arp->sha, p->smac))
		return CB_REASON_SPOOFED_ARP;
	if (!arp->spa_be)
		return same_mac(vif->mac, p->smac) ? CB_REASON_NONE : CB_REASON_SPOOFED_MAC;
	set_v4(&sender, arp->spa_be);
	return source_allowed(p->in_ifindex, p->smac, &sender) ? CB_REASON_NONE : CB_REASON_SPOOFED_ARP;
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

/* Decides on an ARP packet; @action only if the reason is CB_REASON_NONE. */
static __noinline __u32 handle_arp(struct __sk_buff *ctx, const struct pkt *p, const struct cb_vif *vif, __u32 *action)
{
	struct cb_endpoint *target;
	struct arp_packet *arp;
	struct cb_addr addr;
	__u32 reason;

	*action = ARP_FORWARD;
	arp = need(ctx, 0, sizeof(*arp));
	if (!arp || arp->hardware_be != bpf_htons(ARP_HARDWARE_ETHER) || arp->protocol_be != bpf_htons(ETH_P_IP) ||
	    arp->hardware_len != 6 || arp->protocol_len != 4)
		return CB_REASON_MALFORMED;
	reason = check_arp_sender(p, vif, arp);
	if (reason || arp->op_be != bpf_htons(ARP_OP_REQUEST))
		return reason;
	set_v4(&addr, arp->tpa_be);
	target = lookup_endpoint(vif->vni, &addr);
	/* Unknown: perhaps an allowed address pair's. The sender's own: an announcement, for the others. */
	if (!target || (target->kind == CB_ENDPOINT_VIF && target->ifindex == p->in_ifindex))
		return CB_REASON_NONE;
	write_arp_reply(arp, target->mac);
	*action = ARP_ANSWERED;
	return CB_REASON_NONE;
}

#endif /* CABLE_ARP_H */
