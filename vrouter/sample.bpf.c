// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * sample.bpf.c: which packets of a VIF's device somebody is shown who looks on: socket filters of the agent's (packet(7)). They count what is looked for, both ways, and take the first bytes of
 * so many a second. `sample` is for packets of one peer, `capture` for frames. They are in nobody's way: the device's programs do not know of them.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "lib/wire.h"

#define ANY_PROTOCOL 256
#define VLAN_MASK 0xfff

/* What `sample` looks for. Ports 0: any. */
const volatile __u32 cfg_peer[4] = {}; /* in the 128-bit form, as it is in packets */
const volatile __u32 cfg_protocol = ANY_PROTOCOL;
const volatile __u32 cfg_peer_port = 0;
const volatile __u32 cfg_own_port = 0;

/* What `capture` looks for; each address and port is that of one end. Not more than MAX_ENDS of each. */
#define MAX_ENDS 2
#define ANY_PORT 0x10000
const volatile __u32 cfg_type = 0; /* ETH_P_..., 0: any */
const volatile __u32 cfg_hosts = 0; /* so many addresses */
const volatile __u32 cfg_first_host[4] = {};
const volatile __u32 cfg_second_host[4] = {};
const volatile __u32 cfg_first_port = ANY_PORT;
const volatile __u32 cfg_second_port = ANY_PORT;

const volatile __u32 cfg_vlan = 0; /* tag of its frames on the device; 0: none */
const volatile __u64 cfg_interval_ns = 100000000; /* between two that are taken, over a longer time */
const volatile __u32 cfg_burst = 10; /* so many at once after a pause */
const volatile __u32 cfg_bytes = 128; /* of each */
const volatile __u64 cfg_byte_ns = 0; /* between two bytes that are taken, as cfg_interval_ns; 0: there is no bound */
const volatile __u64 cfg_byte_burst = 0;

struct sample {
	__u64 packets[2]; /* that the VIF's guest sent, that it was given */
	__u64 full_ns; /* CLOCK_MONOTONIC at which the bucket is full again */
	__u64 bytes_full_ns; /* the same of the bytes */
	__u64 taken; /* packets */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sample);
} sample_count SEC(".maps");

struct packet {
	__u32 peer[4]; /* the other end's address, as cfg_peer */
	__u32 at; /* of the transport header */
	__u8 protocol;
};

/* @given: it goes to the guest, from the peer. Returns 0: it is no IP packet, or a later fragment. */
static __always_inline int read_packet(struct __sk_buff *skb, int given, struct packet *p)
{
	__u16 type_be, frag_be;
	__u8 first;

	if (bpf_skb_load_bytes(skb, 12, &type_be, 2))
		return 0;
	if (type_be == bpf_htons(ETH_P_IPV6)) {
		p->at = ETH_HLEN + sizeof(struct ipv6_header);
		return !bpf_skb_load_bytes(skb, ETH_HLEN + 6, &p->protocol, 1) &&
		       !bpf_skb_load_bytes(skb, ETH_HLEN + (given ? 8 : 24), p->peer, 16);
	}
	if (type_be != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &first, 1) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + 6, &frag_be, 2))
		return 0;
	p->at = ETH_HLEN + (first & 0xf) * 4;
	p->peer[2] = bpf_htonl(0xffff);
	return !(frag_be & bpf_htons(IP_OFFSET_MASK)) && !bpf_skb_load_bytes(skb, ETH_HLEN + 9, &p->protocol, 1) &&
	       !bpf_skb_load_bytes(skb, ETH_HLEN + (given ? 12 : 16), &p->peer[3], 4);
}

static __always_inline int is_peer(const struct packet *p)
{
	return p->peer[0] == cfg_peer[0] && p->peer[1] == cfg_peer[1] && p->peer[2] == cfg_peer[2] &&
	       p->peer[3] == cfg_peer[3];
}

/* Is the port at @off the wanted one? 0: any is. */
static __always_inline int has_port(struct __sk_buff *skb, __u32 off, __u32 wanted)
{
	__u16 port_be;

	return !wanted || (!bpf_skb_load_bytes(skb, off, &port_be, 2) && bpf_ntohs(port_be) == wanted);
}

/* May one more be taken, of so many bytes? */
static __always_inline int take(struct sample *sample, __u32 bytes)
{
	__u64 now = bpf_ktime_get_ns();

	if (sample->full_ns < now)
		sample->full_ns = now;
	if (sample->bytes_full_ns < now)
		sample->bytes_full_ns = now;
	if (sample->full_ns >= now + cfg_burst * cfg_interval_ns ||
	    (cfg_byte_ns && sample->bytes_full_ns >= now + cfg_byte_burst * cfg_byte_ns))
		return 0;
	__sync_fetch_and_add(&sample->full_ns, cfg_interval_ns);
	__sync_fetch_and_add(&sample->bytes_full_ns, bytes * cfg_byte_ns);
	__sync_fetch_and_add(&sample->taken, 1);
	return 1;
}

static __always_inline int is_ours(const struct __sk_buff *skb)
{
	return (skb->vlan_present ? skb->vlan_tci & VLAN_MASK : 0) == cfg_vlan;
}

/* Returns how many bytes are taken of it; 0: it is passed over. */
SEC("socket")
int sample(struct __sk_buff *skb)
{
	/* The device transmits what its guest is given. */
	__u32 given = skb->pkt_type == PACKET_OUTGOING, zero = 0;
	struct sample *count = bpf_map_lookup_elem(&sample_count, &zero);
	struct packet p = {};

	if (!count || !is_ours(skb) || !read_packet(skb, given, &p) || !is_peer(&p))
		return 0;
	if (cfg_protocol != ANY_PROTOCOL && p.protocol != cfg_protocol)
		return 0;
	if (has_ports(p.protocol) && (!has_port(skb, p.at + (given ? 0 : 2), cfg_peer_port) ||
				      !has_port(skb, p.at + (given ? 2 : 0), cfg_own_port)))
		return 0;
	__sync_fetch_and_add(&count->packets[given], 1);
	return take(count, cfg_bytes) ? cfg_bytes : 0;
}

/* As far as it is there. */
struct frame {
	__u32 ends[2][4]; /* addresses; of ARP those that are spoken of */
	__u16 ports[2];
	__u16 type;
	__u8 protocol;
	__u8 has_ends;
	__u8 has_ports;
};

/* The IPv4 addresses at @first and @second. */
static __always_inline int load_ipv4_ends(struct __sk_buff *skb, struct frame *f, __u32 first, __u32 second)
{
	f->ends[0][2] = f->ends[1][2] = bpf_htonl(0xffff);
	return !bpf_skb_load_bytes(skb, first, &f->ends[0][3], 4) &&
	       !bpf_skb_load_bytes(skb, second, &f->ends[1][3], 4);
}

static __always_inline void load_ports(struct __sk_buff *skb, struct frame *f, __u32 at)
{
	f->has_ports = has_ports(f->protocol) && !bpf_skb_load_bytes(skb, at, f->ports, sizeof(f->ports));
}

static __always_inline void read_frame(struct __sk_buff *skb, struct frame *f)
{
	__u16 type_be = 0, frag_be = 0;
	__u8 first = 0;

	bpf_skb_load_bytes(skb, 12, &type_be, 2);
	f->type = bpf_ntohs(type_be);
	if (f->type == ETH_P_ARP) {
		f->has_ends = load_ipv4_ends(skb, f, ETH_HLEN + 14, ETH_HLEN + 24);
	} else if (f->type == ETH_P_IPV6) {
		f->has_ends = !bpf_skb_load_bytes(skb, ETH_HLEN + 6, &f->protocol, 1) &&
			      !bpf_skb_load_bytes(skb, ETH_HLEN + 8, f->ends, sizeof(f->ends));
		load_ports(skb, f, ETH_HLEN + sizeof(struct ipv6_header));
	} else if (f->type == ETH_P_IP) {
		f->has_ends = !bpf_skb_load_bytes(skb, ETH_HLEN, &first, 1) &&
			      !bpf_skb_load_bytes(skb, ETH_HLEN + 6, &frag_be, 2) &&
			      !bpf_skb_load_bytes(skb, ETH_HLEN + 9, &f->protocol, 1) &&
			      load_ipv4_ends(skb, f, ETH_HLEN + 12, ETH_HLEN + 16);
		if (!(frag_be & bpf_htons(IP_OFFSET_MASK)))
			load_ports(skb, f, ETH_HLEN + (first & 0xf) * 4);
	}
}

static __always_inline int is_end(const __u32 *end, const volatile __u32 *host)
{
	return end[0] == host[0] && end[1] == host[1] && end[2] == host[2] && end[3] == host[3];
}

static __always_inline int has_host(const struct frame *f, const volatile __u32 *host)
{
	return f->has_ends && (is_end(f->ends[0], host) || is_end(f->ends[1], host));
}

static __always_inline int has_either_port(const struct frame *f, __u32 port)
{
	return port == ANY_PORT || (f->has_ports && (bpf_ntohs(f->ports[0]) == port || bpf_ntohs(f->ports[1]) == port));
}

/* Returns how many bytes are taken of it; 0: it is passed over. */
SEC("socket")
int capture(struct __sk_buff *skb)
{
	__u32 given = skb->pkt_type == PACKET_OUTGOING, zero = 0, bytes = skb->len;
	struct sample *count = bpf_map_lookup_elem(&sample_count, &zero);
	struct frame f = {};

	if (!count || !is_ours(skb))
		return 0;
	read_frame(skb, &f);
	if ((cfg_type && f.type != cfg_type) ||
	    (cfg_protocol != ANY_PROTOCOL && (!f.has_ends || f.type == ETH_P_ARP || f.protocol != cfg_protocol)))
		return 0;
	if ((cfg_hosts > 0 && !has_host(&f, cfg_first_host)) || (cfg_hosts > 1 && !has_host(&f, cfg_second_host)))
		return 0;
	if (!has_either_port(&f, cfg_first_port) || !has_either_port(&f, cfg_second_port))
		return 0;
	__sync_fetch_and_add(&count->packets[given], 1);
	if (bytes > cfg_bytes)
		bytes = cfg_bytes;
	return take(count, bytes) ? bytes : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
