/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * probe.h: the agent's probes of members of load balancers, and what guests answer. They pass as the other services do: the guest sees the address of the services,
 * and is known by its own service address.
 */
#ifndef CABLE_PROBE_H
#define CABLE_PROBE_H

#include "icmp.h"
#include "lookup.h"
#include "work.h"

static __always_inline int is_probe_port(__u8 protocol, __u16 port_be)
{
	return (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && bpf_ntohs(port_be) >= CB_PROBE_FIRST_PORT;
}

/* What the agent sends to find out how a guest is. */
static __always_inline int is_probe(const struct pkt *p)
{
	return is_probe_port(p->key.protocol, p->key.sport_be) || is_echo(p);
}

/* What a guest may answer, errors about a probe among it: nothing that begins a connection. Fragments are not asked for. */
static __always_inline int answers_probe(const struct pkt *p)
{
	int is_v6 = p->family == CB_FAMILY_V6;

	if (p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT))
		return 0;
	/* The key of an error is that of an answer. */
	if (p->flags & PKT_RELATED)
		return p->icmp_type == (is_v6 ? ICMP6_UNREACHABLE : ICMP_DEST_UNREACH) &&
		       is_probe_port(p->key.protocol, p->key.dport_be);
	if (p->key.protocol == (is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return p->icmp_type == (is_v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY);
	return is_probe_port(p->key.protocol, p->key.dport_be) && !(p->flags & PKT_OPENING);
}

/* An ICMP error, or another ICMP packet: its checksum is in another place, and in IPv4 covers no addresses. */
static __always_inline int is_icmp(const struct pkt *p)
{
	return p->flags & PKT_RELATED || p->key.protocol == IPPROTO_ICMP || p->key.protocol == IPPROTO_ICMPV6;
}

/*
 * The packet that an IPv4 error quotes goes from @saddr_be to @daddr_be. Its header's checksum makes up for that, so that of the error stays. Returns 0 or -1.
 */
static __always_inline int rewrite_probe(struct __sk_buff *ctx, const struct pkt *p, __u32 saddr_be, __u32 daddr_be)
{
	__u32 off = (p->l4_off & 0xff) + sizeof(struct icmp_header);
	__u32 from[2] = {v4_of(&p->key.dst), v4_of(&p->key.src)}, to[2] = {saddr_be, daddr_be};
	__s64 diff = bpf_csum_diff(from, sizeof(from), to, sizeof(to), 0);

	if (bpf_l3_csum_replace(ctx, off + offsetof(struct iphdr, check), 0, diff, 0) ||
	    bpf_skb_store_bytes(ctx, off + offsetof(struct iphdr, saddr), to, sizeof(to), 0))
		return -1;
	return 0;
}

#endif /* CABLE_PROBE_H */
