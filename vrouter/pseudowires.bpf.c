// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * pseudowires.bpf.c: frames that enter a pseudowire at a port come out at another, here or on another host, through VXLAN. `pw_sent` is on what a port's device receives, before the vrouter's program;
 * `pw_delivered` on what it sends; `pw_came` on what the device of the tunnels receives; `pw_due` on what comes out of the queue of a limit. They have no map of the vrouter's, and are there only where a
 * pseudowire is.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "lib/encap.h"
#include "lib/segment.h"

/* Of a frame that a wire gives to a port's device: the program there lets it pass. What guests send has no mark. */
#define PASS_MARK 0xcab1e0e1
#define IP_VERSION_4 4
#define IP_VERSION_6 6
#define EXTENSIONS 6
#define DHCP_SERVER 67
#define DHCP_CLIENT 68
#define DHCP6_CLIENT 546
#define DHCP6_SERVER 547
#define NEIGHBOUR_FLAGS 0x60 /* of an advertisement: it was asked for, and counts before what was known */
#define NEIGHBOUR_TARGET_MAC 2 /* option (RFC 4861, 4.6.1) */
#define HOP_LIMIT_ND 255
/* So long what a function was given is its path's alone. */
#define CLAIM_NS 5000000000ULL
#define SEEN_NS 1000000000ULL

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_PW);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_pw_key);
	__type(value, struct cb_pw);
} cb_pw_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_PW);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_pwfits_key);
	__type(value, struct cb_pw_fits);
} cb_pwfits_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CB_MAX_PW);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_pwport_key);
	__type(value, struct cb_pw_port);
} cb_pwport_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_PW);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_pwnext_key);
	__type(value, struct cb_pw_next);
} cb_pwnext_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CB_MAX_PW);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_pwend_key);
	__type(value, struct cb_pw_end);
} cb_pwend_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CB_MAX_PW_FLOW);
	__type(key, struct cb_pwflow_key);
	__type(value, struct cb_pw_flow);
} cb_pwflow_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, CB_MAX_PW);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_pwuse_key);
	__type(value, struct cb_pw_use);
} cb_pwuse_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CB_PW_MAX);
	__type(key, __u32);
	__type(value, struct cb_pwcount);
} cb_pwcount_1 SEC(".maps");

/* As whom functions are answered, whoever they ask for. */
static const __u8 neighbour_mac[ETH_ALEN] = {0xfa, 0x16, 0x3e, 0xca, 0xb1, 0xee};

static __always_inline void count(__u32 kind, __u32 bytes)
{
	struct cb_pwcount *row = bpf_map_lookup_elem(&cb_pwcount_1, &kind);

	if (!row)
		return;
	row->frames++;
	row->bytes += bytes;
}

static __always_inline int drop_frame(const struct __sk_buff *ctx, __u32 kind)
{
	count(kind, ctx->len);
	return TC_ACT_SHOT;
}

static __always_inline const struct cb_pw *wire_of(__u32 number)
{
	struct cb_pw_key key = {.number = number};

	return bpf_map_lookup_elem(&cb_pw_1, &key);
}

/* --- packets as they are told from each other --- */

enum what {
	NOT_IP, /* or behind a VLAN tag */
	PACKET,
	OF_LINK, /* what serves the link itself: it goes no further */
	UNREADABLE,
};

/* A packet as it is asked about. Ports are those that it has, also of a first fragment. */
struct packet {
	struct cb_pw_tuple tuple;
	__u16 sport;
	__u16 dport;
	__u8 protocol;
	__u8 is_later; /* a fragment without the headers behind IP */
};

static __always_inline int is_dhcp(const struct packet *p, __u16 client, __u16 server)
{
	return p->protocol == IPPROTO_UDP && (p->sport == client || p->sport == server) &&
	       (p->dport == client || p->dport == server);
}

/* 169.254.0.0/16 */
static __always_inline int is_link_local4(const struct cb_addr *addr)
{
	return addr->b[12] == 169 && addr->b[13] == 254;
}

static __always_inline int is_of_link4(const struct packet *p)
{
	__u32 to = bpf_ntohl(v4_of(&p->tuple.dst));

	return to == 0xffffffff || to >> 8 == 0xe00000 || is_link_local4(&p->tuple.src) ||
	       is_link_local4(&p->tuple.dst) || is_dhcp(p, DHCP_CLIENT, DHCP_SERVER);
}

static __always_inline int is_of_link6(const struct packet *p)
{
	const struct cb_pw_tuple *t = &p->tuple;
	__u8 type = p->sport >> 8;

	if (p->protocol == IPPROTO_ICMPV6 && type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_ND_REDIRECT)
		return 1;
	return is_link_local(&t->src) || is_link_local(&t->dst) || is_unspecified(&t->src) ||
	       (is_multicast6(&t->dst) && (t->dst.b[1] & 0xf) <= 2) || is_dhcp(p, DHCP6_CLIENT, DHCP6_SERVER);
}

/* Reads what tells flows apart behind the headers of IP, at @off, of a packet that ends at @end. Returns 0: it is not all there. */
static __always_inline int read_ports(struct __sk_buff *ctx, struct packet *p, __u32 off, __u32 end)
{
	__u16 half[3] = {};
	__u8 type;

	if (p->is_later)
		return 1;
	if (has_ports(p->protocol)) {
		if (off + 4 > end || bpf_skb_load_bytes(ctx, off, half, 4))
			return 0;
	} else if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6) {
		if (off + 6 > end || bpf_skb_load_bytes(ctx, off, half, sizeof(half)))
			return 0;
		type = bpf_ntohs(half[0]) >> 8;
		half[1] = p->protocol == IPPROTO_ICMP ? (type == ICMP_ECHO || type == ICMP_ECHOREPLY ? half[2] : 0)
						      : (type == ICMP6_ECHO || type == ICMP6_ECHO_REPLY ? half[2] : 0);
	}
	p->sport = bpf_ntohs(half[0]);
	p->dport = bpf_ntohs(half[1]);
	if (p->tuple.kind == CB_PW_TUPLE_FLOW) {
		p->tuple.sport_be = half[0];
		p->tuple.dport_be = half[1];
	}
	return 1;
}

/* The packet is a fragment of the datagram with this identification. */
static __always_inline void note_fragment(struct packet *p, __u16 upper_be, __u16 lower_be, int is_later)
{
	p->tuple.kind = CB_PW_TUPLE_DATAGRAM;
	p->tuple.sport_be = upper_be;
	p->tuple.dport_be = lower_be;
	p->is_later = is_later;
}

static __always_inline enum what read_packet4(struct __sk_buff *ctx, struct packet *p)
{
	__u32 bytes, total;
	struct iphdr ip;

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &ip, sizeof(ip)) || *(__u8 *)&ip >> 4 != IP_VERSION_4)
		return UNREADABLE;
	bytes = (*(__u8 *)&ip & 0xf) * 4;
	total = bpf_ntohs(ip.tot_len);
	/* A GSO packet may be longer than the field says. */
	if (!total && ctx->gso_size)
		total = ctx->len - ETH_HLEN;
	if (bytes < sizeof(ip) || total < bytes || total + ETH_HLEN > ctx->len)
		return UNREADABLE;
	set_v4(&p->tuple.src, ip.saddr);
	set_v4(&p->tuple.dst, ip.daddr);
	p->tuple.protocol = ip.protocol;
	p->protocol = ip.protocol;
	if (ip.frag_off & bpf_htons(IP_FLAG_MF | IP_OFFSET_MASK))
		note_fragment(p, 0, ip.id, !!(ip.frag_off & bpf_htons(IP_OFFSET_MASK)));
	if (!read_ports(ctx, p, ETH_HLEN + bytes, ETH_HLEN + total))
		return UNREADABLE;
	return is_of_link4(p) ? OF_LINK : PACKET;
}

/* An extension header; of a fragment the whole of it. */
struct extension {
	__u8 next;
	__u8 words;
	__u16 offset_be;
	__u16 id_be[2];
};

static __always_inline enum what read_packet6(struct __sk_buff *ctx, struct packet *p)
{
	__u32 off = ETH_HLEN + sizeof(struct ipv6_header), end;
	struct ipv6_header ip;
	struct extension x;
	__u8 next;

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &ip, sizeof(ip)) || ip.version_class >> 4 != IP_VERSION_6)
		return UNREADABLE;
	end = off + bpf_ntohs(ip.payload_be);
	if (!ip.payload_be && ctx->gso_size)
		end = ctx->len;
	if (end > ctx->len)
		return UNREADABLE;
	next = ip.next;
	for (int i = 0; i < EXTENSIONS && is_extension(next) && !p->is_later; i++) {
		if (off + sizeof(x) > end || bpf_skb_load_bytes(ctx, off, &x, sizeof(x)))
			return UNREADABLE;
		if (next == IPV6_FRAGMENT && x.offset_be & bpf_htons(0xfff9)) {
			/* A second such header is nobody's. */
			if (p->tuple.kind != CB_PW_TUPLE_FLOW)
				return UNREADABLE;
			note_fragment(p, x.id_be[0], x.id_be[1], !!(x.offset_be & bpf_htons(0xfff8)));
			p->tuple.protocol = x.next;
		}
		off += next == IPV6_FRAGMENT ? 8 : next == IPV6_AUTHENTICATION ? (x.words + 2) * 4 : (x.words + 1) * 8;
		next = x.next;
	}
	if (is_extension(next) && !p->is_later)
		return UNREADABLE;
	p->tuple.src = ip.src;
	p->tuple.dst = ip.dst;
	p->protocol = next;
	if (p->tuple.kind == CB_PW_TUPLE_FLOW)
		p->tuple.protocol = next;
	if (!read_ports(ctx, p, off, end))
		return UNREADABLE;
	return is_of_link6(p) ? OF_LINK : PACKET;
}

/* Reads the frame's packet into @p, which is zero. */
__noinline int read_packet(struct __sk_buff *ctx, struct packet *p)
{
	__u16 type_be;

	if (!p || ctx->vlan_present || bpf_skb_load_bytes(ctx, 2 * ETH_ALEN, &type_be, sizeof(type_be)))
		return NOT_IP;
	if (type_be == bpf_htons(ETH_P_IP))
		return read_packet4(ctx, p);
	return type_be == bpf_htons(ETH_P_IPV6) ? read_packet6(ctx, p) : NOT_IP;
}

static __always_inline int is_within(const struct cb_addr *addr, const struct cb_addr *prefix,
				     const struct cb_addr *mask)
{
	const __u32 *a = (const __u32 *)addr, *p = (const __u32 *)prefix, *m = (const __u32 *)mask;

	return !(((a[0] ^ p[0]) & m[0]) | ((a[1] ^ p[1]) & m[1]) | ((a[2] ^ p[2]) & m[2]) | ((a[3] ^ p[3]) & m[3]));
}

/* Of a later fragment the addresses alone are asked. */
static __always_inline int fits_one(const struct packet *p, const struct cb_pw_fit *fit)
{
	const struct cb_pw_tuple *t = &p->tuple;

	if (!!(fit->flags & CB_PW_FIT_F_IPV6) == is_v4_mapped(&t->src) ||
	    !is_within(&t->src, &fit->src, &fit->src_mask) || !is_within(&t->dst, &fit->dst, &fit->dst_mask))
		return 0;
	if (p->is_later)
		return 1;
	if (fit->flags & CB_PW_FIT_F_PROTOCOL && fit->protocol != p->protocol)
		return 0;
	if (!(fit->flags & CB_PW_FIT_F_PORTS))
		return 1;
	return has_ports(p->protocol) && p->protocol != IPPROTO_SCTP && p->sport >= fit->sport_min &&
	       p->sport <= fit->sport_max && p->dport >= fit->dport_min && p->dport <= fit->dport_max;
}

struct search {
	const struct cb_pw_port *port;
	const struct packet *packet;
	__u32 number;
};

/* Called by bpf_loop: does wire @index of the port take the packet? */
static long ask_wire(__u32 index, void *data)
{
	struct search *s = data;
	struct cb_pwfits_key key;
	struct cb_pw_fits *fits;

	if (index >= CB_PORT_PWS)
		return 1;
	key.number = s->port->number[index];
	fits = bpf_map_lookup_elem(&cb_pwfits_1, &key);
	if (!fits)
		return 0;
	for (__u32 i = 0; i < CB_PW_FITS && i < fits->count; i++) {
		if (!fits_one(s->packet, &fits->fit[i]))
			continue;
		s->number = key.number;
		return 1;
	}
	return 0;
}

/* --- what is known of flows --- */

static __always_inline int is_same(const struct cb_pw_flow *a, const struct cb_pw_flow *b)
{
	const __u32 *x = (const __u32 *)a->macs, *y = (const __u32 *)b->macs;

	return a->path == b->path && !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]));
}

/* Whether a function has the flow by a path that goes on, and had it just now. */
static __always_inline int is_claimed(const struct cb_pwflow_key *key, const struct cb_pw_flow *known, __u64 now)
{
	struct cb_pwnext_key next = {.path = known->path, .ifindex = key->ifindex};

	return now - known->seen_ns < CLAIM_NS && bpf_map_lookup_elem(&cb_pwnext_1, &next);
}

/*
 * Notes how the packet entered. Of the first of a flow its fragments are noted, too: a function may cut it. Two CPUs that note one flow at once note the same. Returns 0 or what became of the packet.
 */
__noinline int note_flow(__u64 path, __u32 ifindex, const struct packet *p, struct cb_pw_flow *flow)
{
	struct cb_pwflow_key key = {.path = path, .ifindex = ifindex};
	struct cb_pw_flow *known;
	__u64 now = bpf_ktime_get_coarse_ns();

	if (!p || !flow)
		return CB_PW_REFUSED;
	key.tuple = p->tuple;
	known = bpf_map_lookup_elem(&cb_pwflow_1, &key);
	if (known && is_same(known, flow)) {
		if (now - known->seen_ns > SEEN_NS)
			known->seen_ns = now;
		return 0;
	}
	if (known && !path && known->path != flow->path && is_claimed(&key, known, now))
		return CB_PW_CLAIMED;
	flow->seen_ns = now;
	if (bpf_map_update_elem(&cb_pwflow_1, &key, flow, BPF_ANY))
		return CB_PW_REFUSED;
	if (key.tuple.kind != CB_PW_TUPLE_FLOW)
		return 0;
	key.tuple.kind = CB_PW_TUPLE_FRAGMENTS;
	key.tuple.sport_be = 0;
	key.tuple.dport_be = 0;
	bpf_map_update_elem(&cb_pwflow_1, &key, flow, BPF_NOEXIST);
	return 0;
}

/* What is known of the packet's flow; NULL: nothing. */
static __always_inline struct cb_pw_flow *flow_of(__u64 path, __u32 ifindex, const struct packet *p)
{
	struct cb_pwflow_key key = {.path = path, .ifindex = ifindex, .tuple = p->tuple};
	struct cb_pw_flow *flow = bpf_map_lookup_elem(&cb_pwflow_1, &key);

	if (flow || key.tuple.kind == CB_PW_TUPLE_FLOW)
		return flow;
	key.tuple.kind = CB_PW_TUPLE_FRAGMENTS;
	key.tuple.sport_be = 0;
	key.tuple.dport_be = 0;
	return bpf_map_lookup_elem(&cb_pwflow_1, &key);
}

/*
 * Number in @number of the first wire that takes the packet at the port, 0: none does. Of a fragment whose first one is asked, what became of that. Returns 0 or what became of the packet.
 */
static __always_inline __u32 find_taker(struct __sk_buff *ctx, const struct cb_pw_port *port, __u32 at,
					const struct packet *p, __u32 *number)
{
	struct cb_pwflow_key key = {.ifindex = ctx->ifindex, .tuple = p->tuple};
	struct search s = {.port = port, .packet = p};
	struct cb_pw_flow asked = {}, *known;

	bpf_loop(port->count, ask_wire, &s, 0);
	*number = s.number;
	if (p->tuple.kind == CB_PW_TUPLE_FLOW || !(port->flags & CB_PW_PORT_F_FIRST))
		return 0;
	key.tuple.kind = CB_PW_TUPLE_ASKED + (at & 1);
	if (!p->is_later) {
		asked.path = s.number;
		return bpf_map_update_elem(&cb_pwflow_1, &key, &asked, BPF_ANY) ? CB_PW_REFUSED : 0;
	}
	if (!s.number)
		return 0;
	known = bpf_map_lookup_elem(&cb_pwflow_1, &key);
	if (!known)
		return CB_PW_FRAGMENT;
	*number = known->path;
	return 0;
}

/* The packet begins a path here, which ends here: with the MACs that it has now. Returns 0 or what became of it. */
static __always_inline __u32 note_begin(struct __sk_buff *ctx, const struct cb_pw *wire, const struct packet *p)
{
	struct cb_pw_flow flow = {.path = wire->path};

	if (bpf_skb_load_bytes(ctx, 0, flow.macs, sizeof(flow.macs)))
		return CB_PW_REFUSED;
	return note_flow(wire->path, ctx->ifindex, p, &flow);
}

/* Gives the packet the MACs with which it entered its path. Returns 0 or what became of it. */
static __always_inline __u32 restore(struct __sk_buff *ctx, const struct cb_pw *wire, const struct packet *p)
{
	struct cb_pw_flow *flow = flow_of(wire->path, wire->ifindex, p);

	if (!flow)
		return CB_PW_UNKNOWN_FLOW;
	return bpf_skb_store_bytes(ctx, 0, flow->macs, sizeof(flow->macs), 0) ? CB_PW_REFUSED : 0;
}

/* --- along a wire --- */

/* What is to be done at a wire's end before the frame comes out. Returns 0 or what became of it. */
static __always_inline __u32 prepare(struct __sk_buff *ctx, const struct cb_pw *wire)
{
	struct cb_pw_flow flow = {.path = wire->path};
	struct packet p = {};
	__u32 why;

	if (!(wire->flags & (CB_PW_F_FUNCTION | CB_PW_F_RESUME)))
		return 0;
	if (read_packet(ctx, &p) != PACKET)
		return CB_PW_MALFORMED;
	if (wire->flags & CB_PW_F_RESUME)
		return restore(ctx, wire, &p);
	if (!wire->back_ifindex)
		return CB_PW_NO_WAY;
	why = note_flow(0, wire->back_ifindex, &p, &flow);
	if (!why && wire->flags & CB_PW_F_TO_MAC && bpf_skb_store_bytes(ctx, 0, wire->mac, sizeof(wire->mac), 0))
		why = CB_PW_REFUSED;
	return why;
}

/* The frame comes out at the wire's end, which is here. @kind: what became of it. */
static __noinline int come_out(struct __sk_buff *ctx, const struct cb_pw *wire, __u32 kind)
{
	__u32 why;

	if (!wire || !wire->ifindex)
		return drop_frame(ctx, CB_PW_NO_WAY);
	why = prepare(ctx, wire);
	if (why)
		return drop_frame(ctx, why);
	count(kind, ctx->len);
	ctx->mark = PASS_MARK;
	ctx->priority = 0;
	return bpf_redirect(wire->ifindex, wire->flags & CB_PW_F_SENT ? BPF_F_INGRESS : 0);
}

/* Bytes of the largest frame that this one becomes on a wire. */
static __always_inline __u32 frame_bytes(struct __sk_buff *ctx)
{
	__u32 tag = ctx->vlan_present ? 4 : 0;

	return tag + (ctx->gso_size ? ctx->gso_size + segment_headers(ctx) : ctx->len);
}

/* The frame goes on along the wire, which begins here. */
static __always_inline int go_on(struct __sk_buff *ctx, const struct cb_pw *wire)
{
	if (!(wire->flags & CB_PW_F_REMOTE))
		return come_out(ctx, wire, CB_PW_LOCAL);
	if (!wire->ifindex)
		return drop_frame(ctx, CB_PW_NO_WAY);
	if (frame_bytes(ctx) > wire->max_bytes)
		return drop_frame(ctx, CB_PW_TOO_BIG);
	if (set_tunnel(ctx, wire->vni, &wire->remote))
		return drop_frame(ctx, CB_PW_REFUSED);
	count(CB_PW_SENT, ctx->len);
	ctx->mark = 0;
	ctx->priority = wire->priority;
	return bpf_redirect(wire->ifindex, 0);
}

/* The frame enters wire @number. @p: its packet, where it was asked; else NULL. */
static __always_inline int enter(struct __sk_buff *ctx, __u32 number, const struct packet *p)
{
	const struct cb_pw *wire = wire_of(number);
	struct cb_pw_use *use = bpf_map_lookup_elem(&cb_pwuse_1, &number);
	__u32 why = 0;

	if (!wire)
		return drop_frame(ctx, CB_PW_NO_WAY);
	if (use) {
		use->frames++;
		use->bytes += ctx->len;
	}
	if (p && wire->flags & CB_PW_F_BEGINS)
		why = note_begin(ctx, wire, p);
	if (why)
		return drop_frame(ctx, why);
	if (!wire->queue_ifindex)
		return go_on(ctx, wire);
	ctx->mark = number;
	ctx->priority = CB_PW_TREE << 16 | number;
	return bpf_redirect(wire->queue_ifindex, 0);
}

/* --- what functions send for themselves --- */

/* Says that whoever is asked for is there. To who asks for an address of its own, or has none yet, nobody is. */
static __always_inline int answer_arp(struct __sk_buff *ctx)
{
	struct arp_packet arp;
	__u32 asked_be;

	if (bpf_skb_load_bytes(ctx, 0, &arp, sizeof(arp)) || arp.eth.h_proto != bpf_htons(ETH_P_ARP) ||
	    arp.hardware_be != bpf_htons(ARP_HARDWARE_ETHER) || arp.protocol_be != bpf_htons(ETH_P_IP) ||
	    arp.op_be != bpf_htons(ARP_OP_REQUEST) || !arp.spa_be || arp.spa_be == arp.tpa_be || is_group_mac(arp.sha))
		return 0;
	copy_mac(arp.eth.h_dest, arp.sha);
	copy_mac(arp.eth.h_source, neighbour_mac);
	arp.op_be = bpf_htons(ARP_OP_REPLY);
	copy_mac(arp.tha, arp.sha);
	copy_mac(arp.sha, neighbour_mac);
	asked_be = arp.tpa_be;
	arp.tpa_be = arp.spa_be;
	arp.spa_be = asked_be;
	return !bpf_skb_store_bytes(ctx, 0, &arp, sizeof(arp), 0);
}

/* A neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4), with the option that says a MAC. */
struct neighbour {
	struct ethhdr eth;
	struct ipv6_header ip;
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u8 flags;
	__u8 reserved[3];
	struct cb_addr target;
	__u8 option;
	__u8 words;
	__u8 mac[ETH_ALEN];
} __attribute__((packed));

#define NEIGHBOUR_BYTES (sizeof(struct neighbour) - ETH_HLEN - sizeof(struct ipv6_header))

static __always_inline __u16 neighbour_checksum(const struct neighbour *n)
{
	__u32 words[18] = {}, sum;

	__builtin_memcpy(words, &n->ip.src, 32);
	words[8] = bpf_htonl(NEIGHBOUR_BYTES);
	words[9] = bpf_htonl(IPPROTO_ICMPV6);
	__builtin_memcpy(words + 10, &n->type, NEIGHBOUR_BYTES);
	sum = bpf_csum_diff(NULL, 0, words, sizeof(words), 0);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* The same for IPv6. */
static __noinline int answer_solicitation(struct __sk_buff *ctx)
{
	struct neighbour n;
	struct cb_addr asker;

	/* It may come without the option: what is answered has one. */
	if (bpf_skb_load_bytes(ctx, 0, &n, sizeof(n) - 8) || n.eth.h_proto != bpf_htons(ETH_P_IPV6) ||
	    n.ip.next != IPPROTO_ICMPV6 || n.type != ICMP6_NEIGHBOUR_SOLICITATION || n.code ||
	    n.ip.hop_limit != HOP_LIMIT_ND || bpf_skb_change_tail(ctx, sizeof(n), 0))
		return 0;
	__builtin_memcpy(&asker, &n.ip.src, sizeof(asker));
	if (is_unspecified(&asker) || is_multicast6(&asker))
		return 0;
	copy_mac(n.eth.h_dest, n.eth.h_source);
	copy_mac(n.eth.h_source, neighbour_mac);
	__builtin_memcpy(&n.ip.dst, &asker, sizeof(asker));
	__builtin_memcpy(&n.ip.src, &n.target, sizeof(n.target));
	n.ip.payload_be = bpf_htons(NEIGHBOUR_BYTES);
	n.type = ICMP6_NEIGHBOUR_ADVERTISEMENT;
	n.checksum = 0;
	n.flags = NEIGHBOUR_FLAGS;
	n.option = NEIGHBOUR_TARGET_MAC;
	n.words = 1;
	copy_mac(n.mac, neighbour_mac);
	n.checksum = neighbour_checksum(&n);
	return !bpf_skb_store_bytes(ctx, 0, &n, sizeof(n), 0);
}

/* What a function sends that goes on by no path. verifier: not inline, or the compiler shares a load between the context and a row. */
static __noinline int of_function(struct __sk_buff *ctx, __u32 flags, enum what what)
{
	if (what == PACKET)
		return drop_frame(ctx, CB_PW_UNKNOWN_FLOW);
	if (!(flags & CB_PW_PORT_F_ROUTED) || ctx->vlan_present || !(answer_arp(ctx) || answer_solicitation(ctx)))
		return drop_frame(ctx, CB_PW_OWN_TRAFFIC);
	count(CB_PW_ANSWERED, ctx->len);
	ctx->mark = PASS_MARK;
	return bpf_redirect(ctx->ifindex, 0);
}

/* --- at a port --- */

/* Number of the wire by which the path goes on by which the packet was given to this port's function; 0: it is not known. */
static __always_inline __u32 next_of(struct __sk_buff *ctx, const struct packet *p)
{
	struct cb_pw_flow *flow = flow_of(0, ctx->ifindex, p);
	struct cb_pwnext_key key = {.ifindex = ctx->ifindex};
	struct cb_pw_next *next;

	if (!flow)
		return 0;
	key.path = flow->path;
	next = bpf_map_lookup_elem(&cb_pwnext_1, &key);
	return next ? next->number : 0;
}

/* What is said of what a port sends or gets where not every frame takes a wire. */
static __noinline int choose(struct __sk_buff *ctx, const struct cb_pw_port *port, __u32 at)
{
	__u32 number = 0, why = 0, flags;
	struct packet p = {};
	enum what what;

	if (!port)
		return drop_frame(ctx, CB_PW_NO_WAY);
	flags = port->flags;
	if (flags & CB_PW_PORT_F_CLOSED)
		return drop_frame(ctx, CB_PW_OUTSIDE);
	what = read_packet(ctx, &p);
	if (what == UNREADABLE)
		return drop_frame(ctx, CB_PW_MALFORMED);
	if (what == PACKET && flags & CB_PW_PORT_F_FUNCTION)
		number = next_of(ctx, &p);
	if (what == PACKET && !number)
		why = find_taker(ctx, port, at, &p, &number);
	if (why)
		return drop_frame(ctx, why);
	if (number)
		return enter(ctx, number, &p);
	if (port->all)
		return enter(ctx, port->all, NULL);
	return flags & CB_PW_PORT_F_FUNCTION ? of_function(ctx, flags, what) : TC_ACT_UNSPEC;
}

static __always_inline int at_port(struct __sk_buff *ctx, __u32 at)
{
	struct cb_pwport_key key = {.ifindex = ctx->ifindex, .at = at};
	struct cb_pw_port *port;

	if (ctx->mark == PASS_MARK) {
		ctx->mark = 0;
		return TC_ACT_UNSPEC;
	}
	port = bpf_map_lookup_elem(&cb_pwport_1, &key);
	if (!port)
		return drop_frame(ctx, CB_PW_NO_WAY);
	if (port->all && !port->count && !port->flags)
		return enter(ctx, port->all, NULL);
	return choose(ctx, port, at);
}

/* What a port sends: what takes no wire goes on to the vrouter, as it came. */
SEC("tc")
int pw_sent(struct __sk_buff *ctx)
{
	return at_port(ctx, CB_PW_AT_SENT);
}

/* What is about to be delivered to a port. */
SEC("tc")
int pw_delivered(struct __sk_buff *ctx)
{
	return at_port(ctx, CB_PW_AT_DELIVERED);
}

/* A frame that has waited for its turn. */
SEC("tc")
int pw_due(struct __sk_buff *ctx)
{
	const struct cb_pw *wire = wire_of(ctx->mark);

	return wire ? go_on(ctx, wire) : drop_frame(ctx, CB_PW_NO_WAY);
}

/* --- from other hosts --- */

/* Whatever came through a tunnel ends here. */
SEC("tc")
int pw_came(struct __sk_buff *ctx)
{
	struct cb_pwend_key key = {};
	struct cb_pw_end *end;
	const struct cb_pw *wire;

	if (get_tunnel(ctx, &key.vni, &key.remote))
		return drop_frame(ctx, CB_PW_NO_WIRE);
	end = bpf_map_lookup_elem(&cb_pwend_1, &key);
	if (!end) {
		__builtin_memset(&key.remote, 0, sizeof(key.remote));
		end = bpf_map_lookup_elem(&cb_pwend_1, &key);
		return drop_frame(ctx, end ? CB_PW_NO_SENDER : CB_PW_NO_WIRE);
	}
	wire = wire_of(end->number);
	return wire ? come_out(ctx, wire, CB_PW_TAKEN) : drop_frame(ctx, CB_PW_NO_WAY);
}

char _license[] SEC("license") = "Dual BSD/GPL";
