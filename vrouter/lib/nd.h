/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * nd.h: neighbour discovery (RFC 4861) and multicast listeners (RFC 2710, 3810). From a VIF: what it says of itself is checked, solicitations are
 * answered from the endpoint map; the rest is passed on. From another host: solicitations that its map could not answer, and answers.
 */
#ifndef CABLE_ND_H
#define CABLE_ND_H

#include "arp.h"
#include "service6.h"
#include "snoop.h"

#define ND_OPTION_SOURCE 1 /* source link-layer address */
#define ND_OPTION_TARGET 2 /* target link-layer address */
#define ND_FLAG_ROUTER 0x80
#define ND_FLAG_SOLICITED 0x40
#define ND_FLAG_OVERRIDE 0x20

/* A neighbour solicitation or advertisement with its one option. */
struct nd_message {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u8 flags;
	__u8 pad[3];
	struct cb_addr target;
	__u8 option_type;
	__u8 option_words; /* of 8 bytes */
	__u8 mac[6];
};

#define ND_OFF (ETH_HLEN + sizeof(struct ipv6_header))
#define ND_FRAME (ND_OFF + sizeof(struct nd_message))
/* Without the option. */
#define ND_SHORT (ND_OFF + offsetof(struct nd_message, option_type))

enum nd_action {
	ND_ANSWERED, /* the packet is now the answer: give it back */
	ND_FORWARD, /* treat it as any other frame of the network */
};

/* The options that name a MAC must name the frame's. More than one option is not looked at: then the message is refused. */
static __always_inline int names_other_mac(struct __sk_buff *ctx, const struct pkt *p)
{
	struct nd_message *nd;

	if (ctx->len <= ND_SHORT)
		return 0;
	nd = need(ctx, ND_OFF, sizeof(*nd));
	/* A nonce (RFC 7527) or another option: of 8 bytes, and no MAC. */
	if (!nd || ctx->len > ND_FRAME)
		return 1;
	if (nd->option_type != ND_OPTION_SOURCE && nd->option_type != ND_OPTION_TARGET)
		return 0;
	return nd->option_words != 1 || !same_mac(nd->mac, p->smac);
}

/* Checks what a port with port security says. */
static __noinline int check_nd_sender(struct __sk_buff *ctx, const struct work *w)
{
	const struct pkt *p = &w->p;
	struct cb_addr target;

	if (!(w->sender.flags & CB_VIF_F_ANTISPOOF))
		return CB_REASON_NONE;
	if (p->icmp_type == ICMP6_ROUTER_ADVERTISEMENT)
		return CB_REASON_ROGUE_RA;
	if (p->icmp_type == ICMP6_ND_REDIRECT)
		return CB_REASON_ICMP_REDIRECT;
	/* Without an address yet (RFC 4862): then the MAC must be the port's. */
	if (is_unspecified(&p->src) ? !same_mac(w->sender.mac, p->smac) : !source_allowed(p->in_vif, p->smac, &p->src))
		return same_mac(w->sender.mac, p->smac) ? CB_REASON_SPOOFED_IP : CB_REASON_SPOOFED_MAC;
	if (p->icmp_type != ICMP6_NEIGHBOUR_SOLICITATION && p->icmp_type != ICMP6_NEIGHBOUR_ADVERTISEMENT)
		return CB_REASON_NONE;
	/* Behind other headers what it says is not where it is looked at. No stack sends it so. */
	if (p->l4_off != ND_OFF || names_other_mac(ctx, p))
		return CB_REASON_SPOOFED_ND;
	if (p->icmp_type == ICMP6_NEIGHBOUR_SOLICITATION)
		return CB_REASON_NONE;
	if (bpf_skb_load_bytes(ctx, ND_OFF + offsetof(struct nd_message, target), &target, sizeof(target)))
		return CB_REASON_MALFORMED;
	return source_allowed(p->in_vif, p->smac, &target) ? CB_REASON_NONE : CB_REASON_SPOOFED_ND;
}

/* Makes the advertisement of @ep out of the solicitation. Returns 0 or -1. */
static __noinline int write_advertisement(struct __sk_buff *ctx, const struct work *w, const struct cb_endpoint *ep)
{
	int probe = is_unspecified(&w->p.src);
	__u8 all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct nd_message *nd;
	struct ipv6_header *ip;
	struct ethhdr *eth;

	if (ctx->len != ND_FRAME && bpf_skb_change_tail(ctx, ND_FRAME, 0))
		return -1;
	eth = need(ctx, 0, ND_FRAME);
	if (!eth)
		return -1;
	ip = (void *)(eth + 1);
	nd = (void *)(ip + 1);
	copy_mac(eth->h_dest, probe ? all_nodes : w->p.smac);
	copy_mac(eth->h_source, ep->mac);
	start_header6(ip, sizeof(*nd), LINK_HOP_LIMIT);
	take_addr(&ip->src, &nd->target);
	take_addr(&ip->dst, &w->p.src);
	if (probe) {
		*(__u32 *)&ip->dst.b[0] = bpf_htonl(0xff020000);
		ip->dst.b[15] = 1;
	}
	nd->type = ICMP6_NEIGHBOUR_ADVERTISEMENT;
	nd->code = 0;
	nd->checksum = 0;
	nd->flags = (ep->kind == CB_ENDPOINT_GATEWAY ? ND_FLAG_ROUTER : 0) | (probe ? 0 : ND_FLAG_SOLICITED) |
		    ND_FLAG_OVERRIDE;
	__builtin_memset(nd->pad, 0, sizeof(nd->pad));
	nd->option_type = ND_OPTION_TARGET;
	nd->option_words = 1;
	copy_mac(nd->mac, ep->mac);
	nd->checksum = icmp6_checksum(ip, nd, sizeof(*nd));
	return 0;
}

/* What an advertisement says of its target, and a solicitation of its source. */
static __noinline int hear_nd_claim(struct __sk_buff *ctx, struct work *w)
{
	struct cb_addr addr = w->p.src;

	if (w->p.icmp_type == ICMP6_NEIGHBOUR_ADVERTISEMENT) {
		if (bpf_skb_load_bytes(ctx, ND_OFF + offsetof(struct nd_message, target), &addr, sizeof(addr)))
			return CB_REASON_MALFORMED;
		if (names_other_mac(ctx, &w->p))
			return CB_REASON_NONE;
	} else if (w->p.icmp_type != ICMP6_NEIGHBOUR_SOLICITATION || is_unspecified(&addr)) {
		return CB_REASON_NONE;
	}
	return hear(ctx, w, &addr);
}

/* Decides on an ND message of a VIF; @action only if the reason is CB_REASON_NONE. */
static __always_inline __u32 handle_nd(struct __sk_buff *ctx, struct work *w, __u32 *action)
{
	const struct pkt *p = &w->p;
	struct cb_endpoint *ep;
	struct nd_message *nd;
	struct cb_addr target;
	__u32 reason;

	*action = ND_FORWARD;
	reason = check_nd_sender(ctx, w);
	if (!reason)
		reason = hear_nd_claim(ctx, w);
	if (reason || p->icmp_type != ICMP6_NEIGHBOUR_SOLICITATION || is_news_to_all(w))
		return reason;
	nd = need(ctx, ND_OFF, offsetof(struct nd_message, option_type));
	if (!nd)
		return CB_REASON_MALFORMED;
	take_addr(&target, &nd->target);
	if (nd->code || is_multicast6(&target) || is_v4_mapped(&target) || p->l4_off != ND_OFF)
		return CB_REASON_MALFORMED;
	ep = lookup_endpoint(p->key.net, &target);
	/* Unknown: perhaps an allowed address pair's. The sender's own: it looks whether another has it. */
	if (!ep || ep->kind == CB_ENDPOINT_SHARED || (ep->kind == CB_ENDPOINT_VIF && ep->vif == p->in_vif))
		return is_unspecified(&p->src) && !may_probe(w, &target) ? CB_REASON_SPOOFED_ND : CB_REASON_NONE;
	if (write_advertisement(ctx, w, ep))
		return CB_REASON_MALFORMED;
	*action = ND_ANSWERED;
	return CB_REASON_NONE;
}

/* A hop limit that tells that it comes from this link: of ND 255; MLD has 1. */
static __always_inline int is_from_link(struct __sk_buff *ctx, const struct pkt *p)
{
	struct ipv6_header *ip;

	ip = need(ctx, ETH_HLEN, sizeof(*ip));
	if (!ip)
		return 0;
	if (p->icmp_type >= ICMP6_ROUTER_SOLICITATION && p->icmp_type <= ICMP6_ND_REDIRECT)
		return ip->hop_limit == LINK_HOP_LIMIT;
	return ip->hop_limit == 1;
}

/* Of an uplink: see neighbour.h. */
static __always_inline int nd_outside(struct __sk_buff *ctx, struct work *w);

/* The ND or MLD message in work. */
SEC("tc")
int nd(struct __sk_buff *ctx)
{
	__u32 reason = 0, action = ND_FORWARD;
	struct work *w = take_over(CB_STAGE_ND);

	if (!w)
		return drop_stray(ctx);
	note_sender(w, w->p.in_vif ? vif_row(w->p.in_vif) : NULL);
	if (!is_from_link(ctx, &w->p))
		return drop(ctx, w->p.in_vif, CB_REASON_SPOOFED_ND);
	w->claim = 0;
	if (w->p.flags & PKT_OUTSIDE)
		return nd_outside(ctx, w);
	if (!w->p.in_vif) {
		reason = hear_nd_claim(ctx, w);
		return reason ? drop(ctx, 0, reason) : forward_link_of_host(ctx, w);
	}
	reason = handle_nd(ctx, w, &action);
	if (reason)
		return drop(ctx, w->p.in_vif, reason);
	if (action == ND_ANSWERED)
		return turn_back(ctx, w);
	if (is_group_mac(w->p.dmac))
		reason = learn_groups(ctx);
	if (reason)
		return drop(ctx, w->p.in_vif, reason);
	if (w->p.icmp_type == ICMP6_ROUTER_SOLICITATION && w->sender.flags & CB_VIF_F_RA)
		return to_agent6(ctx, w);
	return forward_link(ctx, w);
}

#endif /* CABLE_ND_H */
