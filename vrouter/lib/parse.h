/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* parse.h: a frame's headers, read once into the work record. */
#ifndef CABLE_PARSE_H
#define CABLE_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "address.h"
#include "fragment.h"
#include "frame.h"
#include "wire.h"
#include "work.h"

/* As need(), of the IP packet: not of the padding behind it. */
static __always_inline void *need_inside(struct __sk_buff *ctx, const struct pkt *p, __u32 off, __u32 len)
{
	return off + len > p->ip_end ? NULL : need(ctx, off, len);
}

/* Reads MACs and ethertype. A VLAN tag that is still there makes the ethertype 802.1Q. */
static __always_inline __u32 parse_ethernet(struct __sk_buff *ctx, struct pkt *p)
{
	struct ethhdr *eth;

	eth = need(ctx, 0, ETH_HLEN);
	if (!eth)
		return CB_REASON_MALFORMED;
	take_mac(p->dmac, eth->h_dest);
	take_mac(p->smac, eth->h_source);
	p->ethertype_be = ctx->vlan_present ? bpf_htons(ETH_P_8021Q) : *(__u16 *)(eth->h_source + ETH_ALEN);
	return CB_REASON_NONE;
}

/* The ICMP type that a reply of type @type answers; -1: it is no reply. */
static __always_inline int icmp_query_of(__u8 type)
{
	switch (type) {
	case ICMP_ECHOREPLY:
		return ICMP_ECHO;
	case ICMP_TIMESTAMPREPLY:
		return ICMP_TIMESTAMP;
	case ICMP_INFO_REPLY:
		return ICMP_INFO_REQUEST;
	case ICMP_ADDRESSREPLY:
		return ICMP_ADDRESS;
	default:
		return -1;
	}
}

static __always_inline int icmp_is_query(__u8 type)
{
	return type == ICMP_ECHO || type == ICMP_TIMESTAMP || type == ICMP_INFO_REQUEST || type == ICMP_ADDRESS;
}

static __always_inline int icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/*
 * The ports of an ICMP message in the flow table: a query is (identifier, type and code), its answer the reverse; any other
 * message is (0, type and code). So the destination port of a flow's first packet is what policy rules match on.
 */
static __always_inline void icmp_ports(const struct icmp_header *icmp, __u16 *sport_be, __u16 *dport_be)
{
	int query = icmp_query_of(icmp->type);

	if (query >= 0) {
		*sport_be = bpf_htons(query << 8);
		*dport_be = icmp->id_be;
		return;
	}
	*sport_be = icmp_is_query(icmp->type) ? icmp->id_be : 0;
	*dport_be = bpf_htons((__u16)(icmp->type << 8 | icmp->code));
}

static __always_inline int is_parsed(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 || has_ports(protocol);
}

/* Makes the key of an ICMP error that of an answer to the packet it quotes: the error travels as the answer would. */
GLOBAL int parse_icmp_quote(struct __sk_buff *ctx)
{
	__u16 sport_be = 0, dport_be = 0;
	struct work *w = work();
	struct iphdr *ip;
	struct pkt *p;
	__u32 off;

	if (!w)
		return CB_REASON_MALFORMED;
	p = &w->p;
	off = (p->l4_off & 0xff) + sizeof(struct icmp_header);
	ip = need_inside(ctx, p, off, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return CB_REASON_MALFORMED;
	/* The error must go to who sent the quoted packet. A quoted later fragment has no ports to go by. */
	if (ip->saddr != v4_of(&p->dst) || ip->frag_off & bpf_htons(IP_OFFSET_MASK))
		return CB_REASON_INVALID_STATE;
	set_v4(&p->key.src, ip->daddr);
	set_v4(&p->key.dst, ip->saddr);
	p->key.protocol = ip->protocol;
	off += ip->ihl * 4;
	if (p->key.protocol == IPPROTO_ICMP) {
		struct icmp_header *icmp;

		icmp = need_inside(ctx, p, off, sizeof(*icmp));
		if (!icmp)
			return CB_REASON_MALFORMED;
		icmp_ports(icmp, &sport_be, &dport_be);
	} else if (has_ports(p->key.protocol)) {
		__u16 *ports;

		ports = need_inside(ctx, p, off, 4);
		if (!ports)
			return CB_REASON_MALFORMED;
		sport_be = ports[0];
		dport_be = ports[1];
	}
	p->key.sport_be = dport_be;
	p->key.dport_be = sport_be;
	p->flags |= PKT_RELATED | PKT_NEEDS_FLOW;
	return CB_REASON_NONE;
}

static __always_inline __u32 parse_icmp(struct __sk_buff *ctx, struct pkt *p, __u32 off)
{
	struct icmp_header *icmp;

	icmp = need(ctx, off, sizeof(*icmp));
	if (!icmp)
		return CB_REASON_MALFORMED;
	p->icmp_type = icmp->type;
	if (icmp_is_error(icmp->type))
		return parse_icmp_quote(ctx);
	icmp_ports(icmp, &p->key.sport_be, &p->key.dport_be);
	p->flags |= icmp_query_of(icmp->type) >= 0 ? PKT_NEEDS_FLOW : PKT_OPENING;
	return CB_REASON_NONE;
}

/* @room: bytes of header and data. */
static __always_inline __u32 parse_tcp(struct __sk_buff *ctx, struct pkt *p, __u32 off, __u32 room)
{
	__u32 header;
	__u8 flags;
	__u8 *tcp;

	tcp = need(ctx, off, TCP_HEADER_MIN);
	if (!tcp)
		return CB_REASON_MALFORMED;
	p->key.sport_be = *(__u16 *)tcp;
	p->key.dport_be = *(__u16 *)(tcp + 2);
	flags = tcp[TCP_FLAGS_OFF] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK);
	p->tcp_flags = flags;
	p->tcp_seq = bpf_ntohl(*(__u32 *)(tcp + TCP_SEQ_OFF));
	p->tcp_ack = bpf_ntohl(*(__u32 *)(tcp + TCP_ACK_OFF));
	p->tcp_window = bpf_ntohs(*(__u16 *)(tcp + TCP_WINDOW_OFF));
	header = (tcp[TCP_DATA_OFF] >> 4) * 4;
	if (header < TCP_HEADER_MIN || header > room)
		return CB_REASON_MALFORMED;
	p->tcp_len = room - header + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
	if (flags == TCP_SYN)
		p->flags |= PKT_OPENING;
	else if (flags & (TCP_SYN | TCP_RST))
		p->flags |= PKT_NEEDS_FLOW;
	/* SYN with FIN or RST, and a segment without ACK, belong to no connection. */
	if ((flags & TCP_SYN && flags & (TCP_FIN | TCP_RST)) || !(flags & (TCP_SYN | TCP_RST | TCP_ACK)))
		return CB_REASON_INVALID_STATE;
	return CB_REASON_NONE;
}

/* --- ICMPv6 (RFC 4443) --- */

static __always_inline void icmp6_ports(const struct icmp_header *icmp, __u16 *sport_be, __u16 *dport_be)
{
	if (icmp->type == ICMP6_ECHO_REPLY) {
		*sport_be = bpf_htons(ICMP6_ECHO << 8);
		*dport_be = icmp->id_be;
		return;
	}
	*sport_be = icmp->type == ICMP6_ECHO ? icmp->id_be : 0;
	*dport_be = bpf_htons((__u16)(icmp->type << 8 | icmp->code));
}

/* As parse_icmp_quote(). What is quoted is taken where its ports follow its header at once, or a fragment header. */
GLOBAL int parse_icmp6_quote(struct __sk_buff *ctx)
{
	__u16 sport_be = 0, dport_be = 0;
	struct work *w = work();
	struct ipv6_header *ip;
	struct icmp_header *l4;
	struct pkt *p;
	__u32 off;

	if (!w)
		return CB_REASON_MALFORMED;
	p = &w->p;
	off = (p->l4_off & 0xff) + sizeof(struct icmp_header);
	ip = need_inside(ctx, p, off, sizeof(*ip));
	if (!ip || ip->version_class >> 4 != 6)
		return CB_REASON_MALFORMED;
	/* The error must go to who sent the quoted packet. */
	if (!same_words(&ip->src, &p->dst))
		return CB_REASON_INVALID_STATE;
	take_addr(&p->key.src, &ip->dst);
	take_addr(&p->key.dst, &ip->src);
	p->key.protocol = ip->next;
	if (!is_parsed(p->key.protocol)) {
		/* Behind other headers there are no ports to go by; a protocol without ports needs none. */
		if (is_extension(p->key.protocol))
			return CB_REASON_INVALID_STATE;
		goto known;
	}
	off += sizeof(*ip);
	l4 = need_inside(ctx, p, off, sizeof(*l4));
	if (!l4)
		return CB_REASON_MALFORMED;
	if (p->key.protocol == IPPROTO_ICMPV6) {
		icmp6_ports(l4, &sport_be, &dport_be);
	} else if (has_ports(p->key.protocol)) {
		sport_be = *(__u16 *)l4;
		dport_be = l4->checksum;
	}
known:
	p->key.sport_be = dport_be;
	p->key.dport_be = sport_be;
	p->flags |= PKT_RELATED | PKT_NEEDS_FLOW;
	return CB_REASON_NONE;
}

static __always_inline int icmp6_is_link(__u8 type)
{
	return (type >= ICMP6_MLD_QUERY && type <= ICMP6_ND_REDIRECT) || type == ICMP6_MLD2_REPORT;
}

static __always_inline __u32 parse_icmp6(struct __sk_buff *ctx, struct pkt *p, __u32 off)
{
	struct icmp_header *icmp;

	icmp = need(ctx, off, sizeof(*icmp));
	if (!icmp)
		return CB_REASON_MALFORMED;
	p->icmp_type = icmp->type;
	if (icmp6_is_link(icmp->type)) {
		/* RFC 6980: nobody has to cut them. */
		if (p->flags & PKT_FIRST_FRAGMENT)
			return CB_REASON_FRAGMENT;
		p->flags |= PKT_LINK;
		return CB_REASON_NONE;
	}
	if (icmp->type < ICMP6_INFORMATIONAL)
		return parse_icmp6_quote(ctx);
	icmp6_ports(icmp, &p->key.sport_be, &p->key.dport_be);
	p->flags |= icmp->type == ICMP6_ECHO_REPLY ? PKT_NEEDS_FLOW : PKT_OPENING;
	return CB_REASON_NONE;
}

static __always_inline __u32 parse_ports(struct __sk_buff *ctx, struct pkt *p, __u32 off)
{
	__u16 *ports;

	ports = need(ctx, off, sizeof(struct udphdr));
	if (!ports)
		return CB_REASON_MALFORMED;
	p->key.sport_be = ports[0];
	p->key.dport_be = ports[1];
	return CB_REASON_NONE;
}

/* Reads the transport header. @room: bytes that the IP header says there are for it and the rest. */
static __always_inline __u32 parse_l4(struct __sk_buff *ctx, struct pkt *p, __u32 room)
{
	__u32 off = p->l4_off & 0xff; /* verifier: a bound */

	if (p->flags & PKT_LATER_FRAGMENT)
		return parse_later_fragment(ctx);
	if (room < (p->key.protocol == IPPROTO_TCP ? TCP_HEADER_MIN : 8) && is_parsed(p->key.protocol))
		return CB_REASON_MALFORMED;
	if (p->key.protocol == IPPROTO_TCP)
		return parse_tcp(ctx, p, off, room);
	if (p->key.protocol == IPPROTO_ICMP && p->family == CB_FAMILY_V4)
		return parse_icmp(ctx, p, off);
	if (p->key.protocol == IPPROTO_ICMPV6 && p->family == CB_FAMILY_V6)
		return parse_icmp6(ctx, p, off);
	if (has_ports(p->key.protocol))
		return parse_ports(ctx, p, off);
	return CB_REASON_NONE;
}

#define IP_OPTIONS_MOST 40
#define IP_OPTION_END 0
#define IP_OPTION_NOP 1
#define IP_OPTION_LSRR 131
#define IP_OPTION_SSRR 137

struct options {
	struct __sk_buff *ctx;
	__u32 at; /* bytes into the IPv4 header */
	__u32 end;
	__u32 reason;
};

/* Called by bpf_loop: one option. Returns 1 at the end. */
static long check_option(__u32 index __attribute__((unused)), void *data)
{
	struct options *options = data;
	__u8 option[2] = {};
	__u32 off = ETH_HLEN + (options->at & 0x3f);

	if (options->at >= options->end)
		return 1;
	if (bpf_skb_load_bytes(options->ctx, off, &option[0], 1))
		options->reason = CB_REASON_MALFORMED;
	else if (option[0] == IP_OPTION_LSRR || option[0] == IP_OPTION_SSRR)
		options->reason = CB_REASON_IP_OPTIONS;
	if (options->reason || option[0] == IP_OPTION_END)
		return 1;
	if (option[0] == IP_OPTION_NOP) {
		options->at++;
		return 0;
	}
	if (bpf_skb_load_bytes(options->ctx, off + 1, &option[1], 1) || option[1] < 2)
		options->reason = CB_REASON_MALFORMED;
	options->at += option[1];
	if (options->at > options->end)
		options->reason = CB_REASON_MALFORMED;
	return options->reason != 0;
}

/* Looks through the options of the packet's IPv4 header of @ihl bytes for a source route (RFC 7126). Returns 0, or a reason to drop. */
GLOBAL int check_options(struct __sk_buff *ctx, __u32 ihl)
{
	struct options options = {.ctx = ctx, .at = sizeof(struct iphdr), .end = ihl};

	bpf_loop(IP_OPTIONS_MOST, check_option, &options, 0);
	return options.reason;
}

/* Reads the IPv4 header and what follows it. Expects ethertype IPv4, key.net set and the rest of the key zero. */
static __always_inline __u32 parse_ipv4(struct __sk_buff *ctx, struct pkt *p)
{
	__u32 total, ihl, saddr_be, daddr_be;
	struct iphdr *ip;
	__u16 frag;

	ip = need(ctx, ETH_HLEN, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return CB_REASON_MALFORMED;
	ihl = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	/* A GSO packet above 64 KiB has total length 0. */
	if (!total && ctx->gso_size)
		total = ctx->len - ETH_HLEN;
	if (total > ctx->len - ETH_HLEN || total < ihl)
		return CB_REASON_MALFORMED;
	saddr_be = ip->saddr;
	daddr_be = ip->daddr;
	p->family = CB_FAMILY_V4;
	set_v4(&p->src, saddr_be);
	set_v4(&p->dst, daddr_be);
	set_v4(&p->key.src, saddr_be);
	set_v4(&p->key.dst, daddr_be);
	p->key.protocol = ip->protocol;
	p->l4_off = ETH_HLEN + ihl;
	p->ip_end = ETH_HLEN + total;
	frag = bpf_ntohs(ip->frag_off);
	if (frag & (IP_FLAG_MF | IP_OFFSET_MASK)) {
		p->frag_id = ip->id;
		p->flags |= frag & IP_OFFSET_MASK ? PKT_LATER_FRAGMENT : PKT_FIRST_FRAGMENT;
		if (p->key.protocol == IPPROTO_TCP && (frag & IP_OFFSET_MASK) == 1)
			return CB_REASON_TINY_FRAGMENT;
	}
	if (ihl > sizeof(*ip)) {
		__u32 reason = check_options(ctx, ihl);

		if (reason)
			return reason;
	}
	return parse_l4(ctx, p, total - ihl);
}

/* --- IPv6 (RFC 8200) --- */

/* Extension headers that are looked through, and how far behind the frame's beginning the transport header may be. */
#define IPV6_EXTENSIONS 6
#define L4_OFF_MOST 200

struct extensions {
	struct __sk_buff *ctx;
	__u32 off;
	__u32 next;
	__u32 flags; /* PKT_* */
	__u32 frag_id;
	__u32 reason;
};

/* Called by bpf_loop: one extension header. Returns 1 when there is none. */
static long skip_extension(__u32 index __attribute__((unused)), void *data)
{
	struct extensions *x = data;
	__u8 header[8] = {};
	__u16 offset;

	if (!is_extension(x->next) || x->flags & PKT_LATER_FRAGMENT)
		return 1;
	if (x->off > L4_OFF_MOST || bpf_skb_load_bytes(x->ctx, x->off, header, sizeof(header))) {
		x->reason = CB_REASON_MALFORMED;
		return 1;
	}
	if (x->next == IPV6_FRAGMENT) {
		offset = header[2] << 8 | header[3];
		x->frag_id = *(__u32 *)(header + 4);
		/* A fragment that is the whole packet is none (RFC 6946). */
		if (offset & 0xfff9)
			x->flags |= offset & 0xfff8 ? PKT_LATER_FRAGMENT : PKT_FIRST_FRAGMENT;
		x->off += 8;
	} else {
		/* RFC 5095 */
		if (x->next == IPV6_ROUTING && !header[2] && header[3]) {
			x->reason = CB_REASON_IP_OPTIONS;
			return 1;
		}
		x->off += x->next == IPV6_AUTHENTICATION ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
	}
	x->next = header[0];
	return 0;
}

/* Looks through the extension headers of the packet in work: sets protocol and l4_off, and whether it is a fragment. Returns 0, or a reason to drop. */
GLOBAL int parse_extensions(struct __sk_buff *ctx)
{
	struct work *w = work();
	struct extensions x = {.ctx = ctx, .off = ETH_HLEN + sizeof(struct ipv6_header)};

	if (!w)
		return CB_REASON_MALFORMED;
	x.next = w->p.key.protocol;
	bpf_loop(IPV6_EXTENSIONS, skip_extension, &x, 0);
	if (x.reason)
		return x.reason;
	if (x.off > L4_OFF_MOST || (is_extension(x.next) && !(x.flags & PKT_LATER_FRAGMENT)))
		return CB_REASON_MALFORMED;
	w->p.key.protocol = x.next;
	w->p.l4_off = x.off;
	w->p.flags |= x.flags;
	w->p.frag_id = x.frag_id;
	return CB_REASON_NONE;
}

/* Reads the IPv6 header and what follows it. Expects as parse_ipv4(). */
GLOBAL int parse_ipv6(struct __sk_buff *ctx)
{
	struct work *w = work();
	struct ipv6_header *ip;
	__u32 reason, total;
	struct pkt *p;

	if (!w)
		return CB_REASON_MALFORMED;
	p = &w->p;
	ip = need(ctx, ETH_HLEN, sizeof(*ip));
	if (!ip || ip->version_class >> 4 != 6)
		return CB_REASON_MALFORMED;
	total = sizeof(*ip) + bpf_ntohs(ip->payload_be);
	/* A GSO packet above 64 KiB has payload length 0. */
	if (!ip->payload_be && ctx->gso_size)
		total = ctx->len - ETH_HLEN;
	if (total > ctx->len - ETH_HLEN)
		return CB_REASON_MALFORMED;
	p->family = CB_FAMILY_V6;
	take_addr(&p->src, &ip->src);
	take_addr(&p->dst, &ip->dst);
	p->key.src = p->src;
	p->key.dst = p->dst;
	p->key.protocol = ip->next;
	p->l4_off = ETH_HLEN + sizeof(*ip);
	p->ip_end = ETH_HLEN + total;
	/* Nobody is an IPv4 address in a packet (RFC 4291 section 2.5.5.2), and no multicast address sends. */
	if (is_v4_mapped(&p->src) || is_v4_mapped(&p->dst) || is_multicast6(&p->src))
		return CB_REASON_MALFORMED;
	if (is_extension(p->key.protocol)) {
		reason = parse_extensions(ctx);
		if (reason)
			return reason;
	}
	if ((__u32)p->l4_off - ETH_HLEN > total)
		return CB_REASON_MALFORMED;
	return parse_l4(ctx, p, total + ETH_HLEN - p->l4_off);
}

/* Reads the IP header of an IPv4 or IPv6 packet. Returns 0, or a reason to drop. */
static __always_inline __u32 parse_ip(struct __sk_buff *ctx, struct pkt *p)
{
	if (p->ethertype_be == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, p);
	if (p->ethertype_be == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx);
	return CB_REASON_UNSUPPORTED_ETHERTYPE;
}

#endif /* CABLE_PARSE_H */
