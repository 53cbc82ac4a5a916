// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * sample.bpf.c: which packets of a VIF's device somebody is shown who looks on: a socket filter of the agent's (packet(7)). It counts those of one peer, both ways, and takes the first bytes of
 * so many a second. It is in nobody's way: the device's programs do not know of it.
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
#define IP_OFFSET_MASK 0x1fff
#define VLAN_MASK 0xfff

/* What is looked for. Ports 0: any. */
const volatile __u32 cfg_peer[4] = {}; /* in the 128-bit form, as it is in packets */
const volatile __u32 cfg_protocol = ANY_PROTOCOL;
const volatile __u32 cfg_peer_port = 0;
const volatile __u32 cfg_own_port = 0;
const volatile __u32 cfg_vlan = 0; /* tag of its frames on the device; 0: none */
const volatile __u64 cfg_interval_ns = 100000000; /* between two that are taken, over a longer time */
const volatile __u32 cfg_burst = 10; /* so many at once after a pause */
const volatile __u32 cfg_bytes = 128; /* of each */

struct sample {
	__u64 packets[2]; /* that the VIF's guest sent, that it was given */
	__u64 full_ns; /* CLOCK_MONOTONIC at which the bucket is full again */
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

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

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

/* May one more be taken? */
static __always_inline int take(struct sample *sample)
{
	__u64 now = bpf_ktime_get_ns();

	if (sample->full_ns < now)
		sample->full_ns = now;
	if (sample->full_ns >= now + cfg_burst * cfg_interval_ns)
		return 0;
	__sync_fetch_and_add(&sample->full_ns, cfg_interval_ns);
	return 1;
}

/* Returns how many bytes are taken of it; 0: it is passed over. */
SEC("socket")
int sample(struct __sk_buff *skb)
{
	/* The device transmits what its guest is given. */
	__u32 given = skb->pkt_type == PACKET_OUTGOING, zero = 0, tag;
	struct sample *count = bpf_map_lookup_elem(&sample_count, &zero);
	struct packet p = {};

	tag = skb->vlan_present ? skb->vlan_tci & VLAN_MASK : 0;
	if (!count || tag != cfg_vlan || !read_packet(skb, given, &p) || !is_peer(&p))
		return 0;
	if (cfg_protocol != ANY_PROTOCOL && p.protocol != cfg_protocol)
		return 0;
	if (has_ports(p.protocol) && (!has_port(skb, p.at + (given ? 0 : 2), cfg_peer_port) ||
				      !has_port(skb, p.at + (given ? 2 : 0), cfg_own_port)))
		return 0;
	__sync_fetch_and_add(&count->packets[given], 1);
	return take(count) ? cfg_bytes : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
