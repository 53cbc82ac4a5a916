/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * announced.h: addresses of Services that this host announces on a device of its own: ARP and ND are answered here, so that they are while no agent runs. It hears who else says that
 * he has one. What follows from that is the agent's.
 */
#ifndef CABLE_ANNOUNCED_H
#define CABLE_ANNOUNCED_H

#include "lib/nd.h"

static __always_inline struct cb_announced *announced_row(__u32 ifindex, const struct cb_addr *addr)
{
	struct cb_announced_key key = {.ifindex = ifindex, .addr = *addr};

	return bpf_map_lookup_elem(&cb_announced_1, &key);
}

/* Somebody says that @addr is at @mac. Two at once: the agent reads one of them, or half of each, and looks again. */
static __always_inline void hear_other(__u32 ifindex, const struct cb_addr *addr, const __u8 *mac)
{
	struct cb_announced *row = announced_row(ifindex, addr);

	if (!row || same_mac(mac, row->mac))
		return;
	copy_mac(row->other_mac, mac);
	row->other_ns = bpf_ktime_get_ns();
}

/* Returns whether the packet is the answer now. */
static __noinline int answer_arp(struct __sk_buff *ctx)
{
	struct arp_packet *arp = need(ctx, 0, sizeof(*arp));
	__u32 ifindex = ctx->ifindex;
	struct cb_announced *row;
	struct cb_addr addr;

	if (!arp || !is_arp(arp))
		return 0;
	if (arp->spa_be) {
		set_v4(&addr, arp->spa_be);
		hear_other(ifindex, &addr, arp->sha);
	}
	/* An announcement asks for itself. */
	if (arp->op_be != bpf_htons(ARP_OP_REQUEST) || arp->spa_be == arp->tpa_be)
		return 0;
	set_v4(&addr, arp->tpa_be);
	row = announced_row(ifindex, &addr);
	if (!row || !(row->flags & CB_ANNOUNCED_F_HERE))
		return 0;
	write_arp_reply(arp, row->mac);
	return 1;
}

/* The same of a neighbour solicitation; an advertisement is heard. */
static __noinline int answer_nd(struct __sk_buff *ctx, struct work *w)
{
	struct cb_endpoint said = {};
	struct cb_announced *row;
	struct nd_message *nd;
	struct ipv6_header *ip;
	struct cb_addr target;
	struct ethhdr *eth;
	__u8 type;

	eth = need(ctx, 0, ND_SHORT);
	if (!eth)
		return 0;
	ip = (void *)(eth + 1);
	nd = (void *)(ip + 1);
	type = nd->type;
	if (ip->next != IPPROTO_ICMPV6 || ip->hop_limit != LINK_HOP_LIMIT || nd->code ||
	    (type != ICMP6_NEIGHBOUR_SOLICITATION && type != ICMP6_NEIGHBOUR_ADVERTISEMENT))
		return 0;
	take_addr(&target, &nd->target);
	take_addr(&w->p.src, &ip->src);
	take_mac(w->p.smac, eth->h_source);
	if (type == ICMP6_NEIGHBOUR_ADVERTISEMENT) {
		hear_other(ctx->ifindex, &target, w->p.smac);
		return 0;
	}
	row = is_v4_mapped(&target) ? NULL : announced_row(ctx->ifindex, &target);
	if (!row || !(row->flags & CB_ANNOUNCED_F_HERE))
		return 0;
	copy_mac(said.mac, row->mac);
	return !write_advertisement(ctx, w, &said);
}

/* Answers for an announced address. Returns whether the packet is the answer, which goes back by its device. */
static __always_inline int answer_for_service(struct __sk_buff *ctx, struct work *w)
{
	if (ctx->vlan_present)
		return 0;
	if (ctx->protocol == bpf_htons(ETH_P_ARP))
		return answer_arp(ctx);
	return ctx->protocol == bpf_htons(ETH_P_IPV6) && answer_nd(ctx, w);
}

#endif /* CABLE_ANNOUNCED_H */
