/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * seek.h: a packet for an address that several ports may have, and nobody is known to: who has it is asked instead, by ARP or a neighbour solicitation of all in its network.
 * The answer is heard by all hosts, as any claim is (learn.h); the packet is lost.
 */
#ifndef CABLE_SEEK_H
#define CABLE_SEEK_H

#include "flood.h"
#include "icmp6.h"
#include "learn.h"
#include "service6.h"
#include "shorten.h"

/* An address is sought so often at the most. */
#define SEEK_NS 1000000000ULL
/*
 * What stays of the packet behind the question, as zeros: a checksum that the kernel still has to write must have its place in it. (Behind the headers of Ethernet and IPv6
 * and the place of TCP's.)
 */
#define SEEK_REST 90

/* From the seeker's link-local address: without one, who is about to have the address would take it for another's who is, too (RFC 4862, 5.4.3). */
struct solicitation {
	struct ethhdr eth;
	struct ipv6_header ip;
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u16 reserved[2];
	struct cb_addr target;
	__u8 option_type;
	__u8 option_words;
	__u8 mac[6];
};

/* Nobody's: what is sent to it goes to all. */
static __always_inline void set_seeker(__u8 *mac)
{
	__builtin_memset(mac, 0, 6);
	mac[0] = 0x02;
	mac[1] = 0xca;
	mac[5] = 1;
}

/* Whether @addr may be sought now; it is noted that it is, but not by a trace. */
static __noinline int may_seek(__u16 net, const struct cb_addr *addr)
{
	struct cb_learn_key key = {.net = net, .addr = *addr};
	struct cb_learn *known = lookup_learned(net, addr), row = {};
	__u64 now = bpf_ktime_get_ns();

	if (known && (__s64)(now - known->sought_ns) < (__s64)SEEK_NS && known->sought_ns)
		return 0;
	if (cfg_trace)
		return 1;
	if (known)
		row = *known;
	row.sought_ns = now;
	bpf_map_update_elem(&cb_learn_1, &key, &row, BPF_ANY);
	return 1;
}

/* Makes place for @bytes in front of the packet, of which zeros are left. Returns 0 or a negative errno. */
static __noinline int make_place(struct __sk_buff *ctx, __u32 bytes)
{
	__u8 zeros[SEEK_REST] = {};

	if (shorten(ctx, SEEK_REST) || bpf_skb_change_head(ctx, bytes, 0))
		return -1;
	return bpf_skb_store_bytes(ctx, bytes, zeros, sizeof(zeros), 0);
}

/* "Who has @addr?", as a probe without an address of the sender (RFC 5227): the router's own is not known here. */
static __noinline int ask_by_arp(struct __sk_buff *ctx, const struct cb_addr *addr)
{
	struct arp_packet arp = {
		.hardware_be = bpf_htons(ARP_HARDWARE_ETHER),
		.protocol_be = bpf_htons(ETH_P_IP),
		.hardware_len = 6,
		.protocol_len = 4,
		.op_be = bpf_htons(ARP_OP_REQUEST),
	};

	__builtin_memset(arp.eth.h_dest, 0xff, 6);
	set_seeker(arp.eth.h_source);
	arp.eth.h_proto = bpf_htons(ETH_P_ARP);
	set_seeker(arp.sha);
	arp.tpa_be = v4_of(addr);
	return make_place(ctx, sizeof(arp)) || bpf_skb_store_bytes(ctx, 0, &arp, sizeof(arp), 0);
}

/* The same in IPv6, to the target's solicited-node group (RFC 4291). */
static __noinline int ask_by_nd(struct __sk_buff *ctx, const struct cb_addr *addr)
{
	struct solicitation *ns;
	struct cb_addr source;

	if (make_place(ctx, sizeof(*ns)))
		return -1;
	ns = need(ctx, 0, sizeof(*ns));
	if (!ns)
		return -1;
	ns->eth.h_dest[0] = 0x33;
	ns->eth.h_dest[1] = 0x33;
	ns->eth.h_dest[2] = 0xff;
	__builtin_memcpy(&ns->eth.h_dest[3], &addr->b[13], 3);
	set_seeker(ns->eth.h_source);
	ns->eth.h_proto = bpf_htons(ETH_P_IPV6);
	start_header6(&ns->ip, sizeof(*ns) - offsetof(struct solicitation, type), LINK_HOP_LIMIT);
	ns->ip.dst.b[0] = 0xff;
	ns->ip.dst.b[1] = 0x02;
	ns->ip.dst.b[11] = 1;
	__builtin_memcpy(&ns->ip.dst.b[12], &ns->eth.h_dest[2], 4);
	ns->type = ICMP6_NEIGHBOUR_SOLICITATION;
	take_addr(&ns->target, addr);
	link_local_of(&source, ns->eth.h_source);
	take_addr(&ns->ip.src, &source);
	ns->option_type = ND_OPTION_SOURCE;
	ns->option_words = 1;
	set_seeker(ns->mac);
	ns->checksum = icmp6_checksum(&ns->ip, &ns->type, sizeof(*ns) - offsetof(struct solicitation, type));
	return 0;
}

/* The packet in work is for `sought` in the way's network. */
SEC("tc")
int seek(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_SEEK);
	struct cb_addr addr;
	int failed;

	if (!w)
		return drop_stray(ctx);
	addr = w->sought;
	if (!may_seek(w->way.out_net, &addr))
		return drop(ctx, w->p.in_vif, CB_REASON_NO_ENDPOINT);
	failed = is_v4_mapped(&addr) ? ask_by_arp(ctx, &addr) : ask_by_nd(ctx, &addr);
	if (failed)
		return drop(ctx, w->p.in_vif, CB_REASON_NO_ENDPOINT);
	count_drop(w->p.in_vif, CB_REASON_NO_ENDPOINT);
	w->p.key.net = w->way.out_net;
	w->p.family = 0;
	return link_to_all(ctx, w, 1);
}

#endif /* CABLE_SEEK_H */
