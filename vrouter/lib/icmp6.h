/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* icmp6.h: what a router says for itself in IPv6: echo replies, "packet too big" and "time exceeded" (RFC 4443). */
#ifndef CABLE_ICMP6_H
#define CABLE_ICMP6_H

#include "icmp.h"

/* The hop limit of what does not leave the link (RFC 4861), and of a router's own packets. */
#define LINK_HOP_LIMIT 255

#define ICMP6_QUOTE_OFF (ETH_HLEN + sizeof(struct ipv6_header) + sizeof(struct icmp_header))

/* What ICMPv6's checksum covers besides the message. */
struct pseudo_header6 {
	struct cb_addr src;
	struct cb_addr dst;
	__u32 length_be;
	__u32 next_be;
};

/* The checksum of an ICMPv6 message of @length bytes, a multiple of 4, at @message, whose checksum field is 0. */
static __always_inline __u16 icmp6_checksum(const struct ipv6_header *ip, void *message, const __u32 length)
{
	struct pseudo_header6 pseudo;
	__u32 sum;

	take_addr(&pseudo.src, &ip->src);
	take_addr(&pseudo.dst, &ip->dst);
	pseudo.length_be = bpf_htonl(length);
	pseudo.next_be = bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
	return fold(bpf_csum_diff(NULL, 0, message, length, sum));
}

static __always_inline void start_header6(struct ipv6_header *ip, __u32 payload, __u8 hop_limit)
{
	*(__u32 *)ip = bpf_htonl(0x60000000);
	ip->payload_be = bpf_htons(payload);
	ip->next = IPPROTO_ICMPV6;
	ip->hop_limit = hop_limit;
}

/* make_echo_reply() for IPv6. */
static __noinline int make_echo_reply6(struct __sk_buff *ctx, const struct work *w)
{
	const struct pkt *p = &w->p;
	__u32 off = p->l4_off & 0xff;
	struct icmp_header *icmp;
	struct ipv6_header *ip;
	struct ethhdr *eth;
	__u32 sum;

	eth = at(ctx, 0, ETH_HLEN + sizeof(*ip));
	icmp = at(ctx, off, sizeof(*icmp));
	if (!eth || !icmp)
		return CB_REASON_MALFORMED;
	ip = (void *)(eth + 1);
	swap_macs(eth);
	/* The sum of the addresses is the same. */
	take_addr(&ip->src, &p->dst);
	take_addr(&ip->dst, &p->src);
	ip->hop_limit = ROUTER_TTL;
	sum = (__u16)~icmp->checksum + (__u16)~bpf_htons(ICMP6_ECHO << 8) + bpf_htons(ICMP6_ECHO_REPLY << 8);
	icmp->type = ICMP6_ECHO_REPLY;
	icmp->checksum = fold(sum);
	return CB_REASON_NONE;
}

/* fe80::a9fe:a9fe */
static __always_inline void metadata_address6(struct cb_addr *addr)
{
	__u32 *word = (__u32 *)addr;

	word[0] = bpf_htonl(0xfe800000);
	word[1] = 0;
	word[2] = 0;
	word[3] = bpf_htonl(CB_METADATA_ADDR);
}

/* Its router's link-local address, or in a network without one the address of the agent's services. */
static __always_inline void error_source6(struct cb_addr *addr, const struct cb_vif *vif)
{
	if (is_unspecified(&vif->router6))
		metadata_address6(addr);
	else
		take_addr(addr, &vif->router6);
}

/* Writes the headers of an ICMPv6 error in front of the quoted packet, of which there are @quoted bytes. */
static __always_inline int write_error6(struct __sk_buff *ctx, const struct work *w, const __u32 quoted)
{
	int too_big = w->refusal.reason == CB_REASON_TOO_BIG, no_member = w->refusal.reason == CB_REASON_NO_MEMBER;
	struct icmp_header *icmp;
	struct ipv6_header *ip;
	struct ethhdr *eth;

	eth = need(ctx, 0, ICMP6_QUOTE_OFF + quoted);
	if (!eth)
		return -1;
	ip = (void *)(eth + 1);
	icmp = (void *)(ip + 1);
	swap_macs(eth);
	start_header6(ip, sizeof(*icmp) + quoted, ERROR_TTL);
	take_addr(&ip->src, &w->refusal.source);
	take_addr(&ip->dst, &w->p.src);
	icmp->type = too_big ? ICMP6_TOO_BIG : no_member ? ICMP6_UNREACHABLE : ICMP6_TIME_EXCEEDED;
	icmp->code = no_member ? ICMP6_PORT_UNREACHABLE : 0;
	icmp->checksum = 0;
	*(__u32 *)&icmp->id_be = too_big ? bpf_htonl(w->refusal.mtu_bytes) : 0;
	icmp->checksum = icmp6_checksum(ip, icmp, sizeof(*icmp) + quoted);
	return 0;
}

/*
 * Turns the sender's packet into an ICMPv6 error about it, of its router. Returns 0; -1 where none may be sent (RFC 4443 section 2.4: about an error, or to nobody)
 * or cannot.
 */
static __noinline int make_error6(struct __sk_buff *ctx, const struct work *w)
{
	const __u32 tcp_quote = sizeof(struct ipv6_header) + TCP_HEADER_MIN,
		    other_quote = sizeof(struct ipv6_header) + 8;
	/* As in IPv4: a checksum that is still to be completed must stay in the packet. */
	int tcp = w->p.key.protocol == IPPROTO_TCP;

	if (w->p.flags & (PKT_RELATED | PKT_LATER_FRAGMENT) || is_unspecified(&w->p.src) ||
	    is_unspecified(&w->refusal.source) || w->p.l4_off != ETH_HLEN + sizeof(struct ipv6_header))
		return -1;
	if (bpf_skb_change_tail(ctx, ETH_HLEN + (tcp ? tcp_quote : other_quote), 0))
		return -1;
	if (bpf_skb_adjust_room(ctx, ICMP6_QUOTE_OFF - ETH_HLEN, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	if (tcp)
		return write_error6(ctx, w, sizeof(struct ipv6_header) + TCP_HEADER_MIN);
	return write_error6(ctx, w, sizeof(struct ipv6_header) + 8);
}

#endif /* CABLE_ICMP6_H */
