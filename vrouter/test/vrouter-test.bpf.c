// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * vrouter-test.bpf.c: the production programs, and entries that give a test packet the tunnel it would have come through, which only a real VXLAN
 * device does otherwise, or the VLAN tag.
 */
#include "../vrouter.bpf.c"

/* cb[0]: VNI, cb[1] to cb[4]: outer source address; zero: no tunnel at all. */
SEC("tc")
int from_tunnel(struct __sk_buff *ctx)
{
	__u32 from[4] = {ctx->cb[1], ctx->cb[2], ctx->cb[3], ctx->cb[4]};

	if (from[3] && pretend_tunnel(ctx, ctx->cb[0], (struct cb_addr *)from))
		return -1;
	return receive_from_overlay(ctx);
}

/* A frame with VLAN tag cb[0], as the kernel hands it to a program: the tag is beside the packet. */
SEC("tc")
int from_tagged(struct __sk_buff *ctx)
{
	if (bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), ctx->cb[0]))
		return -1;
	return receive_from_vif(ctx);
}

/* The same of an uplink. */
SEC("tc")
int from_uplink_tagged(struct __sk_buff *ctx)
{
	if (bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), ctx->cb[0]))
		return -1;
	return receive_from_uplink(ctx);
}

#define HAMMER_PORTS 64

/* Flags of a segment, by chance: a byte each. SYN, SYN+ACK, ACK four times, FIN+ACK, RST. */
#define HAMMER_FLAGS 0x0411101010101202ULL

static __always_inline int hammer(struct __sk_buff *ctx)
{
	__u32 random = bpf_get_prandom_u32();
	__u16 port_be = bpf_htons(1000 + random % HAMMER_PORTS);
	__u8 flag = HAMMER_FLAGS >> ((random >> 16) & 7) * 8;

	if (bpf_skb_store_bytes(ctx, 34 + (ctx->mark & 2), &port_be, 2, 0) || bpf_skb_store_bytes(ctx, 47, &flag, 1, 0))
		return -1;
	return receive_from_vif(ctx);
}

/*
 * A TCP segment, changed before each run: one of HAMMER_PORTS connections, some flags. The mark: 0 or 2, whether the source or the destination port tells the connections
 * apart. For many runs on end, on several CPUs.
 */
SEC("tc")
int from_hammer(struct __sk_buff *ctx)
{
	return hammer(ctx);
}

/* What a frame begins with, as it was sent: Ethernet, IPv4, TCP. An answer that a program makes of the frame is in each of them. */
struct hammer_head {
	__u8 bytes[54];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hammer_head);
} hammer_head SEC(".maps");

/* The same of a frame that the programs rewrite: its head is made anew before each run. */
SEC("tc")
int from_hammer_out(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct hammer_head *head = bpf_map_lookup_elem(&hammer_head, &zero);

	if (!head || bpf_skb_store_bytes(ctx, 0, head, sizeof(*head), 0))
		return -1;
	return hammer(ctx);
}
