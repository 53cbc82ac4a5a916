/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * neighbour.h: ARP and ND with machines beyond an uplink. Floating IPs and routers' addresses are answered for. Neighbours are learned from what they say, but only those
 * that somebody here wants to reach, or that have asked for an address of ours: the packet for an unknown one becomes the question.
 */
#ifndef CABLE_NEIGHBOUR_H
#define CABLE_NEIGHBOUR_H

#include "arp.h"
#include "nd.h"
#include "shorten.h"

/* One question to a neighbour in so long. */
#define ASK_NS SECOND

static __always_inline struct cb_neigh *make_near(__u16 net, const struct cb_addr *addr)
{
	struct cb_near_key key = {.net = net, .addr = *addr};
	struct cb_neigh none = {};

	bpf_map_update_elem(&cb_near_1, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&cb_near_1, &key);
}

/*
 * @addr has said that it has @mac. @asks: it asks for an address of ours, and so will be sent to. Never of an address that we have ourselves. A reader may see
 * half of a MAC that changes: his packet is lost.
 */
static __noinline void learn(__u16 net, const struct cb_addr *addr, const __u8 *mac, int asks)
{
	struct cb_neigh *neighbour;

	if (cfg_trace || is_group_mac(mac) || is_ours(lookup_endpoint(net, addr)))
		return;
	neighbour = lookup_neighbour(net, addr);
	if (!neighbour && asks)
		neighbour = make_near(net, addr);
	if (!neighbour)
		return;
	copy_mac(neighbour->mac, mac);
	barrier();
	neighbour->learned_ns = bpf_ktime_get_ns();
}

/* An address for which this host answers in an external network. */
static __always_inline int is_answered(const struct cb_endpoint *ep)
{
	return ep && (ep->kind == CB_ENDPOINT_NAT || ep->kind == CB_ENDPOINT_ROUTER);
}

/* What becomes of a message that an uplink received. */
enum heard {
	HEARD_ANSWERED, /* the packet is now the answer: give it back */
	HEARD_FORWARD, /* treat it as any other frame of the network */
	HEARD_MALFORMED,
};

/* Hears the ARP packet in work, which an uplink has received. Returns enum heard. */
GLOBAL int hear_arp(struct __sk_buff *ctx)
{
	struct cb_addr sender, target;
	struct work *w = work();
	struct cb_endpoint *ep;
	struct arp_packet *arp;
	__u16 net;
	int asks;

	if (!w)
		return HEARD_MALFORMED;
	net = w->p.key.net;
	arp = need(ctx, 0, sizeof(*arp));
	if (!arp || !is_arp(arp))
		return HEARD_MALFORMED;
	set_v4(&sender, arp->spa_be);
	set_v4(&target, arp->tpa_be);
	ep = lookup_endpoint(net, &target);
	asks = is_answered(ep) && arp->op_be == bpf_htons(ARP_OP_REQUEST);
	if (arp->spa_be)
		learn(net, &sender, arp->sha, asks);
	if (!asks)
		return HEARD_FORWARD;
	write_arp_reply(arp, ep->mac);
	return HEARD_ANSWERED;
}

/* The MAC that an ND message names in its option, which is its only one. Returns 0 or -1. */
static __always_inline int named_mac(struct __sk_buff *ctx, __u8 option, __u8 *mac)
{
	struct nd_message *nd;

	nd = need(ctx, ND_OFF, sizeof(*nd));
	if (!nd || nd->option_type != option || nd->option_words != 1)
		return -1;
	copy_mac(mac, nd->mac);
	return 0;
}

/* Hears the ND or MLD message in work, which an uplink has received. Returns enum heard. */
GLOBAL int hear_nd(struct __sk_buff *ctx)
{
	__u8 mac[6] __attribute__((aligned(4)));
	struct work *w = work();
	struct cb_endpoint *ep;
	struct cb_addr target;
	int solicits;
	__u16 net;

	if (!w)
		return HEARD_MALFORMED;
	net = w->p.key.net;
	solicits = w->p.icmp_type == ICMP6_NEIGHBOUR_SOLICITATION;
	if ((!solicits && w->p.icmp_type != ICMP6_NEIGHBOUR_ADVERTISEMENT) || w->p.l4_off != ND_OFF ||
	    bpf_skb_load_bytes(ctx, ND_OFF + offsetof(struct nd_message, target), &target, sizeof(target)))
		return HEARD_FORWARD;
	if (!solicits) {
		if (!named_mac(ctx, ND_OPTION_TARGET, mac))
			learn(net, &target, mac, 0);
		return HEARD_FORWARD;
	}
	ep = lookup_endpoint(net, &target);
	if (!is_answered(ep))
		return HEARD_FORWARD;
	if (!is_unspecified(&w->p.src) && !named_mac(ctx, ND_OPTION_SOURCE, mac))
		learn(net, &w->p.src, mac, 1);
	return write_advertisement(ctx, w, ep) ? HEARD_MALFORMED : HEARD_ANSWERED;
}

/* The ARP packet or ND message in work, which an uplink has received and which was heard. The rest is for guests; nobody reads it at a router's MAC. */
static __always_inline int after_hearing(struct __sk_buff *ctx, struct work *w, int heard)
{
	struct cb_endpoint *ep;

	if (heard == HEARD_ANSWERED)
		return to_uplink(ctx, 0, w->p.key.net, CB_REASON_NONE);
	if (heard == HEARD_MALFORMED)
		return is_group_mac(w->p.dmac) ? leave_to_host(ctx, net_row(w->p.key.net))
					       : drop(ctx, 0, CB_REASON_MALFORMED);
	ep = lookup_mac(w->p.key.net, w->p.dmac);
	return ep && ep->vrf ? consumed(ctx, 0) : forward_link(ctx, w);
}

static __always_inline int arp_outside(struct __sk_buff *ctx, struct work *w)
{
	return after_hearing(ctx, w, hear_arp(ctx));
}

static __always_inline int nd_outside(struct __sk_buff *ctx, struct work *w)
{
	return after_hearing(ctx, w, hear_nd(ctx));
}

/* --- questions --- */

/*
 * Room for a question in the packet's place. A checksum that is still to be completed is written by the device afterwards, where the packet has it: that
 * place is moved behind the question, which takes the @front bytes before the packet too.
 */
static __always_inline int clear_packet(struct __sk_buff *ctx, __u32 bytes, const __u32 front)
{
	return shorten(ctx, bytes) || bpf_skb_change_head(ctx, front, 0);
}

#define ARP_KEPT 60 /* as long as an IPv4 packet with a checksum of TCP in it */
#define ARP_FRONT 16
#define ND_KEPT ND_FRAME
#define ND_FRONT 32

static __always_inline int write_arp_request(struct __sk_buff *ctx, const struct neighbour *who)
{
	__u8 frame[ARP_KEPT + ARP_FRONT] = {};
	struct arp_packet *arp = (void *)frame;

	if (clear_packet(ctx, ARP_KEPT, ARP_FRONT))
		return -1;
	__builtin_memset(arp->eth.h_dest, 0xff, ETH_ALEN);
	copy_mac(arp->eth.h_source, who->mac);
	arp->eth.h_proto = bpf_htons(ETH_P_ARP);
	arp->hardware_be = bpf_htons(ARP_HARDWARE_ETHER);
	arp->protocol_be = bpf_htons(ETH_P_IP);
	arp->hardware_len = ETH_ALEN;
	arp->protocol_len = 4;
	arp->op_be = bpf_htons(ARP_OP_REQUEST);
	copy_mac(arp->sha, who->mac);
	arp->spa_be = v4_of(&who->own);
	arp->tpa_be = v4_of(&who->addr);
	return bpf_skb_store_bytes(ctx, 0, frame, sizeof(frame), 0);
}

/* To the solicited-node group of the address (RFC 4291 section 2.7.1). */
static __always_inline int write_solicitation(struct __sk_buff *ctx, const struct neighbour *who)
{
	__u8 frame[ND_KEPT + ND_FRONT] __attribute__((aligned(8))) = {};
	struct ethhdr *eth = (void *)frame;
	struct nd_message message = {};
	struct ipv6_header ip = {};

	if (clear_packet(ctx, ND_KEPT, ND_FRONT))
		return -1;
	eth->h_dest[0] = 0x33;
	eth->h_dest[1] = 0x33;
	eth->h_dest[2] = 0xff;
	__builtin_memcpy(&eth->h_dest[3], &who->addr.b[13], 3);
	copy_mac(eth->h_source, who->mac);
	eth->h_proto = bpf_htons(ETH_P_IPV6);
	start_header6(&ip, sizeof(message), LINK_HOP_LIMIT);
	ip.src = who->own;
	ip.dst.b[0] = 0xff;
	ip.dst.b[1] = 2;
	ip.dst.b[11] = 1;
	ip.dst.b[12] = 0xff;
	__builtin_memcpy(&ip.dst.b[13], &who->addr.b[13], 3);
	message.type = ICMP6_NEIGHBOUR_SOLICITATION;
	message.target = who->addr;
	message.option_type = ND_OPTION_SOURCE;
	message.option_words = 1;
	copy_mac(message.mac, who->mac);
	message.checksum = icmp6_checksum(&ip, &message, sizeof(message));
	__builtin_memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	__builtin_memcpy(frame + ND_OFF, &message, sizeof(message));
	return bpf_skb_store_bytes(ctx, 0, frame, sizeof(frame), 0);
}

/* The bucket that a question for the packet in work is paid from: the sender's, or of who is not here the project's. */
static __always_inline struct cb_use *ask_bucket(const struct work *w)
{
	struct cb_net *net;

	if (w->p.in_vif)
		return flood_bucket(w->p.in_vif);
	net = net_row(w->p.key.net);
	return net ? use_row(CB_USE_PROJECT + net->project) : NULL;
}

/* The packet in work is for a neighbour that nobody knows: once a second one becomes the question, the others are dropped. */
SEC("tc")
int ask_neighbour(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_ASK);
	__u64 now = bpf_ktime_get_ns();
	struct cb_neigh *neighbour;
	struct cb_use *use;
	__u32 in_vif;
	int err;

	if (!w)
		return drop_stray(ctx);
	in_vif = w->p.in_vif;
	use = ask_bucket(w);
	if (use && !may_flood(use, now))
		return drop(ctx, in_vif, CB_REASON_RATE_FLOOD);
	/* A trace asks nobody. */
	if (cfg_trace)
		return drop(ctx, in_vif, CB_REASON_NO_NEIGHBOUR);
	neighbour = lookup_neighbour(w->way.out_net, &w->neighbour.addr);
	if (!neighbour)
		neighbour = make_near(w->way.out_net, &w->neighbour.addr);
	if (!neighbour || (neighbour->asked_ns && neighbour->asked_ns + ASK_NS > now))
		return drop(ctx, in_vif, CB_REASON_NO_NEIGHBOUR);
	neighbour->asked_ns = now;
	if (use)
		__sync_fetch_and_add(&use->flood_ns, FLOOD_COPY_NS);
	err = w->p.family == CB_FAMILY_V6 ? write_solicitation(ctx, &w->neighbour)
					  : write_arp_request(ctx, &w->neighbour);
	if (err)
		return drop(ctx, in_vif, CB_REASON_NO_NEIGHBOUR);
	count_drop(in_vif, CB_REASON_NO_NEIGHBOUR);
	return to_uplink(ctx, in_vif, w->way.out_net, CB_REASON_NO_NEIGHBOUR);
}

#endif /* CABLE_NEIGHBOUR_H */
