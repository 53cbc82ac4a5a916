/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * rewrite.h: a packet of a translated flow becomes what `nat.to` says: addresses, ports or the identifier of an ICMP query, in an ICMP error also those of the
 * packet that it quotes, and the checksums that cover them, whether they are complete or still to be completed.
 */
#ifndef CABLE_REWRITE_H
#define CABLE_REWRITE_H

#include "deliver.h"
#include "service6.h"

#define TCP_CHECKSUM_OFF 16
#define UDP_CHECKSUM_OFF 6
#define ICMP_CHECKSUM_OFF 2
#define ICMP_ID_OFF 4
#define NO_CHECKSUM 0xff
/* Linux 6.16: an IPv6 header has no checksum that makes up for its addresses in the sum of the whole packet. */
#define F_IPV6 (1ULL << 7)

struct ports {
	__u16 sport_be;
	__u16 dport_be;
};

/* Where a transport header has its checksum; NO_CHECKSUM: it has none that covers addresses or ports. */
static __always_inline __u32 checksum_off(__u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return TCP_CHECKSUM_OFF;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return ICMP_CHECKSUM_OFF;
	return has_ports(protocol) && protocol != IPPROTO_SCTP ? UDP_CHECKSUM_OFF : NO_CHECKSUM;
}

/* Puts a change of the addresses, whose checksum difference is @diff, into the transport checksum at @off. */
static __always_inline int replace_pseudo(struct __sk_buff *ctx, const struct pkt *p, __u32 off, __s64 diff)
{
	__u64 flags = BPF_F_PSEUDO_HDR | (p->key.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);

	if (p->family == CB_FAMILY_V6 && !bpf_l4_csum_replace(ctx, off, 0, diff, flags | F_IPV6))
		return 0;
	return bpf_l4_csum_replace(ctx, off, 0, diff, flags);
}

/*
 * The outer addresses of the packet, which it has and gets. An error may come from a router on the way: outside that keeps its own; behind an address it comes from that, like
 * all that leaves (RFC 5508 section 4.2, REQ-5).
 */
static __always_inline void outer_addresses(const struct work *w, struct both_addresses *from,
					    struct both_addresses *to)
{
	from->src = w->p.src;
	from->dst = w->p.dst;
	to->src = same_address(&w->p.key.src, &w->nat.to.src) ? w->p.src : w->nat.to.src;
	to->dst = w->nat.to.dst;
}

/* Writes the addresses @to into the IP header at @off, which has @from, and its checksum. Returns 0 or a negative errno. */
static __always_inline int write_addresses(struct __sk_buff *ctx, __u8 family, __u32 off,
					   const struct both_addresses *from, const struct both_addresses *to)
{
	__u32 v4_from[2] = {v4_of(&from->src), v4_of(&from->dst)};
	__u32 v4_to[2] = {v4_of(&to->src), v4_of(&to->dst)};
	__s64 diff;

	if (family == CB_FAMILY_V6)
		return bpf_skb_store_bytes(ctx, off + offsetof(struct ipv6_header, src), to, sizeof(*to), 0);
	diff = bpf_csum_diff(v4_from, sizeof(v4_from), v4_to, sizeof(v4_to), 0);
	return bpf_l3_csum_replace(ctx, off + offsetof(struct iphdr, check), 0, diff, 0) ||
	       bpf_skb_store_bytes(ctx, off + offsetof(struct iphdr, saddr), v4_to, sizeof(v4_to), 0);
}

/* The part of the pseudo header that changes. */
static __always_inline __s64 address_diff(__u8 family, const struct both_addresses *from,
					  const struct both_addresses *to)
{
	__u32 v4_from[2] = {v4_of(&from->src), v4_of(&from->dst)};
	__u32 v4_to[2] = {v4_of(&to->src), v4_of(&to->dst)};

	if (family == CB_FAMILY_V6)
		return bpf_csum_diff((__be32 *)from, sizeof(*from), (__be32 *)to, sizeof(*to), 0);
	return bpf_csum_diff(v4_from, sizeof(v4_from), v4_to, sizeof(v4_to), 0);
}

/* The ports of a transport header, of a packet or of one that is quoted. */
struct port_change {
	struct ports from;
	struct ports to;
	__u32 off; /* of the header */
	__u32 outer; /* checksum of the ICMP error around it; 0: there is none */
	__u8 protocol;
};

/* Returns 0 or a negative errno. */
static __noinline int write_ports(struct __sk_buff *ctx, const struct port_change *change)
{
	__u32 checksum = change->off + checksum_off(change->protocol), place = change->off, size = sizeof(change->from);
	__u64 mangled = change->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 from = *(__u32 *)&change->from, to = *(__u32 *)&change->to;

	if (from == to)
		return 0;
	if (change->protocol == IPPROTO_ICMP || change->protocol == IPPROTO_ICMPV6) {
		/* One of both is the identifier, the other the type. */
		int is_source = change->from.sport_be != change->to.sport_be;

		from = is_source ? change->from.sport_be : change->from.dport_be;
		to = is_source ? change->to.sport_be : change->to.dport_be;
		place += ICMP_ID_OFF;
		size = sizeof(__u16);
	}
	if (change->outer ? bpf_l4_csum_replace(ctx, change->outer, from, to, size)
			  : bpf_l4_csum_replace(ctx, checksum, from, to, size | mangled))
		return -1;
	return bpf_skb_store_bytes(ctx, place, &to, size, 0);
}

/* Brings the checksum of a quoted transport header along, if the quote reaches so far. @diff: of all that it covers. */
static __always_inline int replace_quoted(struct __sk_buff *ctx, const struct pkt *p, __u32 off, __u32 protocol,
					  __s64 diff, __u32 outer)
{
	__u32 place = checksum_off(protocol);
	__u16 old, new;
	__u64 sum;

	if (place == NO_CHECKSUM || off + place + sizeof(old) > p->ip_end)
		return 0;
	if (bpf_skb_load_bytes(ctx, off + place, &old, sizeof(old)))
		return -1;
	if (protocol == IPPROTO_UDP && !old)
		return 0;
	sum = (__u16)~old + (__u32)diff + ((__u64)diff >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	new = fold(sum);
	if (protocol == IPPROTO_UDP && !new)
		new = 0xffff;
	if (bpf_l4_csum_replace(ctx, outer, old, new, sizeof(new)))
		return -1;
	return bpf_skb_store_bytes(ctx, off + place, &new, sizeof(new), 0);
}

/* The packet that an ICMP error quotes goes the other way: its source is the key's destination. */
static __noinline int rewrite_quote(struct __sk_buff *ctx, struct work *w)
{
	const struct cb_tuple_key *key = &w->p.key, *to = &w->nat.to;
	struct both_addresses old = {.src = key->dst, .dst = key->src}, new = {.src = to->dst, .dst = to->src};
	struct port_change change = {
		.from = {.sport_be = key->dport_be, .dport_be = key->sport_be},
		.to = {.sport_be = to->dport_be, .dport_be = to->sport_be},
		.protocol = key->protocol,
	};
	__u32 outer = (w->p.l4_off & 0xff) + ICMP_CHECKSUM_OFF, ip = (w->p.l4_off & 0xff) + sizeof(struct icmp_header);
	__u32 l4 = ip + sizeof(struct ipv6_header);
	__s64 diff = address_diff(w->p.family, &old, &new);
	__u8 first;

	if (w->p.family == CB_FAMILY_V6) {
		if (bpf_l4_csum_replace(ctx, outer, 0, diff, 0))
			return -1;
	} else {
		/* Its own checksum makes up for the addresses. */
		if (bpf_skb_load_bytes(ctx, ip, &first, sizeof(first)))
			return -1;
		l4 = ip + (first & 0xf) * 4;
	}
	if (key->protocol == IPPROTO_ICMP)
		diff = 0;
	change.off = l4;
	change.outer = outer;
	diff = bpf_csum_diff((__be32 *)&change.from, sizeof(change.from), (__be32 *)&change.to, sizeof(change.to),
			     diff);
	if (write_addresses(ctx, w->p.family, ip, &old, &new) || write_ports(ctx, &change))
		return -1;
	return replace_quoted(ctx, &w->p, l4, key->protocol, diff, outer);
}

/* Makes the packet in work what `nat.to` says. Returns 0; else it cannot be sent. */
GLOBAL int rewrite(struct __sk_buff *ctx)
{
	struct both_addresses from, to;
	struct port_change change = {};
	struct work *w = work();
	__u32 off, place;
	__u8 protocol;
	__s64 diff;

	if (!w)
		return -1;
	off = w->p.l4_off & 0xff;
	outer_addresses(w, &from, &to);
	diff = address_diff(w->p.family, &from, &to);
	if (w->p.flags & PKT_RELATED) {
		/* ICMPv6's own checksum covers its addresses. */
		if (w->p.family == CB_FAMILY_V6 && bpf_l4_csum_replace(ctx, off + ICMP_CHECKSUM_OFF, 0, diff, 0))
			return -1;
		if (rewrite_quote(ctx, w))
			return -1;
	} else if (!(w->p.flags & PKT_LATER_FRAGMENT)) {
		protocol = w->p.key.protocol;
		place = checksum_off(protocol);
		if (place != NO_CHECKSUM && protocol != IPPROTO_ICMP && replace_pseudo(ctx, &w->p, off + place, diff))
			return -1;
		change.from.sport_be = w->p.key.sport_be;
		change.from.dport_be = w->p.key.dport_be;
		change.to.sport_be = w->nat.to.sport_be;
		change.to.dport_be = w->nat.to.dport_be;
		change.off = off;
		change.protocol = protocol;
		if (write_ports(ctx, &change))
			return -1;
	}
	return write_addresses(ctx, w->p.family, ETH_HLEN, &from, &to);
}

#endif /* CABLE_REWRITE_H */
