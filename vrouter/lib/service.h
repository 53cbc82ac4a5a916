/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * service.h: DHCP, DNS and metadata between guests and the agent's sockets. Each VIF has service addresses by its number; addresses are
 * rewritten packet by packet, without state, so that overlapping tenant addresses never meet.
 */
#ifndef CABLE_SERVICE_H
#define CABLE_SERVICE_H

#include "config.h"
#include "lookup.h"
#include "probe.h"
#include "turn.h"

#define PORT_DNS 53
#define PORT_DHCP_SERVER 67
#define PORT_DHCP_CLIENT 68
#define PORT_METADATA 80
#define SERVICE_MASK 0xfffe0000 /* 198.18.0.0/15 */
#define BOOTP_FLAGS_OFF 10
#define BOOTP_CIADDR_OFF 12
#define BOOTP_FLAG_BROADCAST 0x8000

enum service {
	SERVICE_NONE, /* an ordinary packet */
	SERVICE_AGENT, /* for the agent */
	SERVICE_PROBED, /* for the agent, which asked */
	SERVICE_REFUSED, /* for the agent, but not allowed */
	SERVICE_ROGUE_DHCP, /* a guest that acts as DHCP server */
};

static __always_inline int is_service_address(__u32 addr_be)
{
	return (bpf_ntohl(addr_be) & SERVICE_MASK) == CB_SERVICE_NET;
}

/* The host's own stack would act on them: source routes, for one. */
static __always_inline int has_ip_options(const struct pkt *p)
{
	return p->l4_off != ETH_HLEN + sizeof(struct iphdr);
}

/*
 * A DHCP client whose address is the port's no more may ask a server of a subnet that the port has left: the agent tells
 * it so (NAK), or it would keep the address for the rest of its lease.
 */
static __always_inline int renews_lost_address(const struct pkt *p, const struct cb_vif *vif)
{
	struct cb_addr src;

	if (p->key.sport_be != bpf_htons(PORT_DHCP_CLIENT) || !(vif->flags & CB_VIF_F_ANTISPOOF))
		return 0;
	set_v4(&src, v4_of(&p->src));
	return !source_allowed(p->in_vif, p->smac, &src);
}

/* From a DHCP server's port, or to a client's, whatever it comes from. */
static __always_inline int speaks_as_server(const struct pkt *p)
{
	return p->key.sport_be == bpf_htons(PORT_DHCP_SERVER) || p->key.dport_be == bpf_htons(PORT_DHCP_CLIENT);
}

/* Is that what the agent serves at CB_METADATA_ADDR? */
static __always_inline int is_link_service(__u8 protocol, __u16 port_be)
{
	if (port_be == bpf_htons(PORT_DNS))
		return protocol == IPPROTO_UDP || protocol == IPPROTO_TCP;
	return port_be == bpf_htons(PORT_METADATA) && protocol == IPPROTO_TCP;
}

/* To a port of the agent's there. */
static __always_inline int is_service_port(const struct pkt *p)
{
	return is_link_service(p->key.protocol, p->key.dport_be);
}

/* An answer from there. */
static __always_inline int is_service_answer(const struct pkt *p)
{
	return is_link_service(p->key.protocol, p->key.sport_be);
}

/* To CB_CLUSTER_DNS_ADDR, by who may ask there. */
static __always_inline int is_to_cluster_dns(const struct pkt *p, const struct cb_vif *vif)
{
	return v4_of(&p->dst) == bpf_htonl(CB_CLUSTER_DNS_ADDR) && vif->flags & CB_VIF_F_CLUSTER_DNS;
}

/* What does the agent have to do with this IPv4 packet of a guest? */
static __always_inline enum service classify_service(const struct pkt *p, const struct cb_vif *vif)
{
	if (p->key.protocol == IPPROTO_UDP && !(p->flags & (PKT_LATER_FRAGMENT | PKT_RELATED))) {
		if (speaks_as_server(p) && vif->flags & CB_VIF_F_ANTISPOOF && has_dhcp(p->key.net))
			return SERVICE_ROGUE_DHCP;
		if (p->key.dport_be == bpf_htons(PORT_DHCP_SERVER) && vif->flags & CB_VIF_F_DHCP &&
		    (v4_of(&p->dst) == bpf_htonl(INADDR_BROADCAST) || v4_of(&p->dst) == v4_of(&vif->dhcp_server) ||
		     renews_lost_address(p, vif)))
			return p->flags & PKT_FIRST_FRAGMENT || has_ip_options(p) ? SERVICE_REFUSED : SERVICE_AGENT;
	}
	if (v4_of(&p->dst) == bpf_htonl(CB_METADATA_ADDR)) {
		if (answers_probe(p))
			return has_ip_options(p) || v4_of(&p->src) != v4_of(&vif->addr) ? SERVICE_REFUSED
											: SERVICE_PROBED;
		if (!is_service_port(p) || p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT | PKT_RELATED) ||
		    has_ip_options(p) || v4_of(&p->src) != v4_of(&vif->addr))
			return SERVICE_REFUSED;
		return SERVICE_AGENT;
	}
	if (is_to_cluster_dns(p, vif)) {
		if (!is_service_port(p) || p->key.dport_be != bpf_htons(PORT_DNS) ||
		    p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT | PKT_RELATED) || has_ip_options(p) ||
		    v4_of(&p->src) != v4_of(&vif->addr))
			return SERVICE_REFUSED;
		return SERVICE_AGENT;
	}
	return SERVICE_NONE;
}

/* A new source and destination for an IPv4 packet, with the checksums that cover them. Returns 0 or -1. */
static __noinline int rewrite_addresses(struct __sk_buff *ctx, const struct pkt *p, __u32 saddr_be, __u32 daddr_be)
{
	__u32 csum_off = p->l4_off + (p->key.protocol == IPPROTO_TCP ? 16 : 6);
	/* A UDP checksum of 0 means none, and stays. */
	__u64 flags = BPF_F_PSEUDO_HDR | (p->key.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);
	__u32 from[2] = {v4_of(&p->src), v4_of(&p->dst)};
	__u32 to[2] = {saddr_be, daddr_be};
	__s64 diff = bpf_csum_diff(from, sizeof(from), to, sizeof(to), 0);

	if ((!is_icmp(p) && p->key.protocol != IPPROTO_IGMP && bpf_l4_csum_replace(ctx, csum_off, 0, diff, flags)) ||
	    bpf_l3_csum_replace(ctx, ETH_HLEN + offsetof(struct iphdr, check), 0, diff, 0) ||
	    bpf_skb_store_bytes(ctx, ETH_HLEN + offsetof(struct iphdr, saddr), to, sizeof(to), 0))
		return -1;
	return 0;
}

static __always_inline int rewrite_macs(struct __sk_buff *ctx, const __u8 *dmac, const __u8 *smac)
{
	__u8 macs[12];

	__builtin_memcpy(macs, dmac, 6);
	__builtin_memcpy(macs + 6, smac, 6);
	return bpf_skb_store_bytes(ctx, 0, macs, sizeof(macs), 0);
}

static __always_inline void read_mac(__u8 *mac, const volatile __u8 *config)
{
	for (int i = 0; i < 6; i++)
		mac[i] = config[i];
}

/*
 * Takes @cost_ns from a bucket that holds @burst_ns, or returns 0 when it has not as much. Two CPUs at once may
 * both pass on the last token; all that passes is paid for.
 */
static __always_inline int take_tokens(__u64 *full_ns, __u64 cost_ns, __u64 burst_ns)
{
	__u64 now = bpf_ktime_get_ns();

	if (cfg_trace)
		return *full_ns < now || *full_ns + cost_ns <= now + burst_ns;
	if (*full_ns < now)
		*full_ns = now;
	if (*full_ns + cost_ns > now + burst_ns)
		return 0;
	__sync_fetch_and_add(full_ns, cost_ns);
	return 1;
}

/* From the bucket of the VIF for what the agent has asked it for, or for what it asks by itself: neither takes from the other. */
static __always_inline int pay_service(const struct work *w)
{
	const __u64 token_ns = 1000000000ULL / CB_SERVICE_RATE, probe_ns = 1000000000ULL / CB_PROBE_RATE;
	const struct pkt *p = &w->p;
	__u32 vif = p->in_vif;
	struct cb_use *use = bpf_map_lookup_elem(&cb_use_1, &vif);
	__u64 cost_ns = token_ns;

	if (!use)
		return 0;
	if (w->sender.service == SERVICE_PROBED)
		return take_tokens(&use->probe_ns, probe_ns, CB_PROBE_BURST * probe_ns);
	if (p->tcp_flags & TCP_SYN)
		cost_ns = token_ns * CB_SERVICE_SYN_COST;
	else if (p->key.dport_be == bpf_htons(PORT_DNS))
		cost_ns = token_ns / CB_SERVICE_DNS_SHARE;
	return take_tokens(&use->service_ns, cost_ns, CB_SERVICE_BURST * token_ns);
}

/* Hands a guest's packet to the agent: from the VIF's service address to the agent's. */
static __noinline int to_agent(struct __sk_buff *ctx, const struct work *w)
{
	const __u32 agent_be = bpf_htonl(CB_SERVICE_AGENT);
	const struct pkt *p = &w->p;
	__u8 smac[6], dmac[6];
	__u32 guest_be = bpf_htonl(CB_SERVICE_NET + p->in_vif * CB_VIF_SERVICE_ADDRESSES);

	if (!cfg_service_ifindex)
		return drop(ctx, p->in_vif, CB_REASON_SERVICE);
	if (!pay_service(w))
		return drop(ctx, p->in_vif, CB_REASON_RATE_SERVICE);
	if (v4_of(&p->dst) == bpf_htonl(CB_CLUSTER_DNS_ADDR))
		guest_be = bpf_htonl(bpf_ntohl(guest_be) + CB_SERVICE_INDEX_CLUSTER_DNS);
	read_mac(dmac, cfg_service_mac);
	read_mac(smac, cfg_gateway_mac);
	if (rewrite_addresses(ctx, p, guest_be, agent_be) || rewrite_macs(ctx, dmac, smac) ||
	    (p->flags & PKT_RELATED && rewrite_probe(ctx, p, agent_be, guest_be)))
		return drop(ctx, p->in_vif, CB_REASON_REDIRECT);
	trace(ctx, cfg_service_ifindex, CB_DELIVER_SERVICE, 0, 0, CB_REASON_NONE);
	return bpf_redirect(cfg_service_ifindex, 0);
}

/* Where a DHCP answer goes: to the client's address if it has one, else to all, on its MAC unless it asked for broadcast. */
static __always_inline __u32 dhcp_destination(struct __sk_buff *ctx, const struct pkt *p, __u32 *daddr_be, __u8 *dmac)
{
	__u32 bootp = (p->l4_off & 0xff) + sizeof(struct udphdr);
	__u16 flags_be;

	if (bpf_skb_load_bytes(ctx, bootp + BOOTP_FLAGS_OFF, &flags_be, sizeof(flags_be)) ||
	    bpf_skb_load_bytes(ctx, bootp + BOOTP_CIADDR_OFF, daddr_be, sizeof(*daddr_be)))
		return CB_REASON_MALFORMED;
	if (*daddr_be)
		return CB_REASON_NONE;
	*daddr_be = bpf_htonl(INADDR_BROADCAST);
	if (flags_be & bpf_htons(BOOTP_FLAG_BROADCAST))
		__builtin_memset(dmac, 0xff, 6);
	return CB_REASON_NONE;
}

/* The agent asks which groups are joined, or whether one is: from nobody, so that it takes no router's place who asks, too (RFC 4541, 2.1.1). */
static __always_inline __u32 query_addresses(struct __sk_buff *ctx, const struct pkt *p, __u32 addrs_be[2], __u8 *dmac)
{
	__u32 off = p->l4_off & 0xff, group_be;
	__u8 type;

	if (bpf_skb_load_bytes(ctx, off, &type, 1) || type != IGMP_QUERY ||
	    bpf_skb_load_bytes(ctx, off + IGMP_GROUP_OFF, &group_be, sizeof(group_be)))
		return CB_REASON_SERVICE;
	addrs_be[0] = 0;
	addrs_be[1] = group_be ? group_be : bpf_htonl(ALL_HOSTS);
	dmac[0] = 0x01;
	dmac[1] = 0x00;
	dmac[2] = 0x5e;
	dmac[3] = bpf_ntohl(addrs_be[1]) >> 16 & 0x7f;
	dmac[4] = bpf_ntohl(addrs_be[1]) >> 8;
	dmac[5] = bpf_ntohl(addrs_be[1]);
	return CB_REASON_NONE;
}

/* Finds out whom the agent answers as, and where to. */
static __always_inline __u32 answer_addresses(struct __sk_buff *ctx, const struct pkt *p, const struct cb_vif *vif,
					      __u32 addrs_be[2], __u8 *dmac)
{
	if (p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT | PKT_RELATED))
		return CB_REASON_SERVICE;
	if (bpf_ntohl(v4_of(&p->dst)) % CB_VIF_SERVICE_ADDRESSES) {
		if (!is_service_answer(p) || p->key.sport_be != bpf_htons(PORT_DNS))
			return CB_REASON_SERVICE;
		addrs_be[0] = bpf_htonl(CB_CLUSTER_DNS_ADDR);
		addrs_be[1] = v4_of(&vif->addr);
		return CB_REASON_NONE;
	}
	if (p->key.protocol == IPPROTO_UDP && p->key.sport_be == bpf_htons(PORT_DHCP_SERVER)) {
		addrs_be[0] = v4_of(&vif->dhcp_server);
		return dhcp_destination(ctx, p, &addrs_be[1], dmac);
	}
	if (p->key.protocol == IPPROTO_IGMP)
		return query_addresses(ctx, p, addrs_be, dmac);
	if (is_service_answer(p) || is_probe(p)) {
		addrs_be[0] = bpf_htonl(CB_METADATA_ADDR);
		addrs_be[1] = v4_of(&vif->addr);
		return CB_REASON_NONE;
	}
	return CB_REASON_SERVICE;
}

/* Hands the agent's packet to VIF @number, whose row is @vif, as the service the guest knows. */
static __noinline int to_guest(struct __sk_buff *ctx, const struct pkt *p, const struct cb_vif *vif, __u32 number)
{
	__u32 addrs_be[2] = {};
	__u8 smac[6], dmac[6];
	__u32 reason;

	__builtin_memcpy(dmac, vif->mac, 6);
	read_mac(smac, cfg_gateway_mac);
	reason = answer_addresses(ctx, p, vif, addrs_be, dmac);
	if (reason)
		return drop(ctx, number, reason);
	if (rewrite_addresses(ctx, p, addrs_be[0], addrs_be[1]) || rewrite_macs(ctx, dmac, smac))
		return drop(ctx, number, CB_REASON_REDIRECT);
	return to_vif(ctx, number, deliver_kind(vif->flags), CB_REASON_NONE);
}

#endif /* CABLE_SERVICE_H */
