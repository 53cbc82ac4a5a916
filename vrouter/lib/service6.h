/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * service6.h: DHCPv6, router advertisements and metadata over IPv6, as service.h does it in IPv4. On the service link (fdca:b1e0::/64) the VIF is
 * CB_SERVICE_NET6 with its number in the lowest 32 bits: which of its addresses asked says the number's last place.
 */
#ifndef CABLE_SERVICE6_H
#define CABLE_SERVICE6_H

#include "icmp6.h"
#include "service.h"

#define PORT_DHCP6_SERVER 547
#define PORT_DHCP6_CLIENT 546

/* Of the sixteen service addresses of a VIF: its first IPv6 address, and its link-local one. */
#define SERVICE_INDEX_ADDR6 0
#define SERVICE_INDEX_LINK_LOCAL 15

/* fdca:b1e0:: with @number. */
static __always_inline void service_address6(struct cb_addr *addr, __u32 number)
{
	__u32 *word = (__u32 *)addr;

	word[0] = bpf_htonl(CB_SERVICE_NET6);
	word[1] = 0;
	word[2] = 0;
	word[3] = bpf_htonl(number);
}

/* The link-local address that follows from a MAC (RFC 4291, appendix A). */
static __always_inline void link_local_of(struct cb_addr *addr, const __u8 *mac)
{
	__builtin_memset(addr, 0, sizeof(*addr));
	addr->b[0] = 0xfe;
	addr->b[1] = 0x80;
	addr->b[8] = mac[0] ^ 2;
	addr->b[9] = mac[1];
	addr->b[10] = mac[2];
	addr->b[11] = 0xff;
	addr->b[12] = 0xfe;
	addr->b[13] = mac[3];
	addr->b[14] = mac[4];
	addr->b[15] = mac[5];
}

static __always_inline int is_metadata6(const struct cb_addr *addr)
{
	struct cb_addr metadata;

	metadata_address6(&metadata);
	return same_words(addr, &metadata);
}

/* What does the agent have to do with this IPv6 packet of a guest? Router solicitations are nd.h's. */
static __always_inline enum service classify_service6(const struct pkt *p, const struct cb_vif *vif)
{
	int fragment = p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT);

	if (p->key.protocol == IPPROTO_UDP && !(p->flags & (PKT_LATER_FRAGMENT | PKT_RELATED))) {
		if ((p->key.sport_be == bpf_htons(PORT_DHCP6_SERVER) ||
		     p->key.dport_be == bpf_htons(PORT_DHCP6_CLIENT)) &&
		    vif->flags & CB_VIF_F_ANTISPOOF && has_dhcp(p->key.net))
			return SERVICE_ROGUE_DHCP;
		if (p->key.dport_be == bpf_htons(PORT_DHCP6_SERVER) && vif->flags & CB_VIF_F_DHCP6 &&
		    (is_multicast6(&p->dst) || same_words(&p->dst, &vif->router6)))
			return fragment || !is_link_local(&p->src) ? SERVICE_REFUSED : SERVICE_AGENT;
	}
	if (!is_metadata6(&p->dst))
		return SERVICE_NONE;
	if (answers_probe(p))
		return p->l4_off != ETH_HLEN + sizeof(struct ipv6_header) || !same_words(&p->src, &vif->addr6)
			       ? SERVICE_REFUSED
			       : SERVICE_PROBED;
	if (!is_service_port(p) || fragment || p->flags & PKT_RELATED ||
	    p->l4_off != ETH_HLEN + sizeof(struct ipv6_header))
		return SERVICE_REFUSED;
	return is_link_local(&p->src) || same_words(&p->src, &vif->addr6) ? SERVICE_AGENT : SERVICE_REFUSED;
}

/* Where the checksum of the packet's protocol is, behind the IP header. */
static __always_inline __u32 checksum_place(const struct pkt *p)
{
	if (is_icmp(p))
		return 2;
	if (p->key.protocol == IPPROTO_TCP)
		return 16;
	return p->key.protocol == IPPROTO_UDP ? 6 : 2;
}

/* The addresses of a packet, as they follow each other in its header. */
struct both_addresses {
	struct cb_addr src;
	struct cb_addr dst;
};

/* The packet that an error quotes goes the other way of what the error becomes. Returns 0 or -1. */
static __noinline int rewrite_probe6(struct __sk_buff *ctx, const struct pkt *p, const struct both_addresses *to)
{
	__u32 off = (p->l4_off & 0xff) + sizeof(struct icmp_header);
	struct both_addresses from = {.src = p->key.dst, .dst = p->key.src};
	struct both_addresses becomes = {.src = to->dst, .dst = to->src};
	__s64 diff = bpf_csum_diff((__be32 *)&from, sizeof(from), (__be32 *)&becomes, sizeof(becomes), 0);

	if (bpf_l4_csum_replace(ctx, (p->l4_off & 0xff) + 2, 0, diff, 0) ||
	    bpf_skb_store_bytes(ctx, off + offsetof(struct ipv6_header, src), &becomes, sizeof(becomes), 0))
		return -1;
	return 0;
}

/* A new source and destination for an IPv6 packet, with the checksum that covers them. Returns 0 or -1. */
static __noinline int rewrite_addresses6(struct __sk_buff *ctx, const struct pkt *p, struct both_addresses *to)
{
	__u64 mangled = p->key.protocol == IPPROTO_UDP && !is_icmp(p) ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 csum_off = (p->l4_off & 0xff) + checksum_place(p);
	struct both_addresses from = {.src = p->src, .dst = p->dst};
	__s64 diff = bpf_csum_diff((__be32 *)&from, sizeof(from), (__be32 *)to, sizeof(*to), 0);

	if (bpf_l4_csum_replace(ctx, csum_off, 0, diff, BPF_F_PSEUDO_HDR | mangled) ||
	    bpf_skb_store_bytes(ctx, ETH_HLEN + offsetof(struct ipv6_header, src), to, sizeof(*to), 0))
		return -1;
	return 0;
}

/* Hands a guest's packet to the agent: from a service address of the VIF to the agent's. */
static __noinline int to_agent6(struct __sk_buff *ctx, const struct work *w)
{
	const struct pkt *p = &w->p;
	__u32 index =
		is_link_local(&p->src) || is_unspecified(&p->src) ? SERVICE_INDEX_LINK_LOCAL : SERVICE_INDEX_ADDR6;
	struct both_addresses to;
	__u8 smac[6], dmac[6];

	if (!cfg_service_ifindex)
		return drop(ctx, p->in_vif, CB_REASON_SERVICE);
	if (!pay_service(w))
		return drop(ctx, p->in_vif, CB_REASON_RATE_SERVICE);
	service_address6(&to.src, p->in_vif * CB_VIF_SERVICE_ADDRESSES + index);
	service_address6(&to.dst, CB_SERVICE_AGENT - CB_SERVICE_NET);
	read_mac(dmac, cfg_service_mac);
	read_mac(smac, cfg_gateway_mac);
	if (rewrite_addresses6(ctx, p, &to) || rewrite_macs(ctx, dmac, smac) ||
	    (p->flags & PKT_RELATED && rewrite_probe6(ctx, p, &to)))
		return drop(ctx, p->in_vif, CB_REASON_REDIRECT);
	trace(ctx, cfg_service_ifindex, CB_DELIVER_SERVICE, 0, 0, CB_REASON_NONE);
	return bpf_redirect(cfg_service_ifindex, 0);
}

/* The VIF with service address @addr, and which of its addresses; 0: no VIF's. */
static __always_inline __u32 vif_of_service_address6(const struct cb_addr *addr, __u32 *index)
{
	__u32 number = bpf_ntohl(((const __u32 *)addr)[3]);
	struct cb_addr expected;

	service_address6(&expected, number);
	if (!same_words(addr, &expected) || number / CB_VIF_SERVICE_ADDRESSES >= CB_MAX_VIF)
		return 0;
	*index = number % CB_VIF_SERVICE_ADDRESSES;
	return number / CB_VIF_SERVICE_ADDRESSES;
}

/* From its router, or where it has none from the address of the services. */
static __always_inline void link_source(const struct cb_vif *vif, struct cb_addr *addr)
{
	if (is_unspecified(&vif->router6))
		metadata_address6(addr);
	else
		*addr = vif->router6;
}

/* ff02::1 */
static __always_inline void all_nodes(struct cb_addr *addr)
{
	__builtin_memset(addr, 0, sizeof(*addr));
	*(__u32 *)addr = bpf_htonl(0xff020000);
	addr->b[15] = 1;
}

/* Finds out whom the agent answers as, and where to. An advertisement goes to all nodes. */
static __always_inline __u32 answer_addresses6(struct __sk_buff *ctx, const struct pkt *p, const struct cb_vif *vif,
					       __u32 index, struct both_addresses *to, __u8 *dmac)
{
	if (p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT | PKT_RELATED))
		return CB_REASON_SERVICE;
	if (index == SERVICE_INDEX_LINK_LOCAL)
		link_local_of(&to->dst, vif->mac);
	else if (index == SERVICE_INDEX_ADDR6)
		to->dst = vif->addr6;
	else
		return CB_REASON_SERVICE;
	link_source(vif, &to->src);
	if (p->flags & PKT_LINK) {
		/* A question which groups are joined, or whether one is. */
		if (p->icmp_type == ICMP6_MLD_QUERY) {
			if (bpf_skb_load_bytes(ctx, (p->l4_off & 0xff) + MLD_GROUP_OFF, &to->dst, sizeof(to->dst)))
				return CB_REASON_SERVICE;
		} else if (p->icmp_type != ICMP6_ROUTER_ADVERTISEMENT) {
			return CB_REASON_SERVICE;
		}
		if (p->icmp_type != ICMP6_MLD_QUERY || is_unspecified(&to->dst))
			all_nodes(&to->dst);
		*(__u16 *)dmac = bpf_htons(0x3333);
		*(__u16 *)(dmac + 2) = *(__u16 *)&to->dst.b[12];
		*(__u16 *)(dmac + 4) = *(__u16 *)&to->dst.b[14];
		return CB_REASON_NONE;
	}
	if (p->key.protocol == IPPROTO_UDP && p->key.sport_be == bpf_htons(PORT_DHCP6_SERVER))
		return CB_REASON_NONE;
	if (!is_service_answer(p) && !(is_probe(p) && index == SERVICE_INDEX_ADDR6))
		return CB_REASON_SERVICE;
	metadata_address6(&to->src);
	return CB_REASON_NONE;
}

/* Hands the agent's packet to VIF @number, whose row is @vif, as the service the guest knows. */
static __noinline int to_guest6(struct __sk_buff *ctx, const struct pkt *p, const struct cb_vif *vif,
				__u32 number_index)
{
	__u32 number = number_index / CB_VIF_SERVICE_ADDRESSES, reason;
	struct both_addresses to = {};
	__u8 smac[6], dmac[6] __attribute__((aligned(2)));

	__builtin_memcpy(dmac, vif->mac, 6);
	read_mac(smac, cfg_gateway_mac);
	reason = answer_addresses6(ctx, p, vif, number_index % CB_VIF_SERVICE_ADDRESSES, &to, dmac);
	if (reason)
		return drop(ctx, number, reason);
	if (rewrite_addresses6(ctx, p, &to) || rewrite_macs(ctx, dmac, smac))
		return drop(ctx, number, CB_REASON_REDIRECT);
	return to_vif(ctx, number, deliver_kind(vif->flags), CB_REASON_NONE);
}

#endif /* CABLE_SERVICE6_H */
