/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * provider.h: provider networks: flat, or a VLAN, on an uplink. The vrouter puts tags on and takes them off. Whoever is not a VIF of this host is
 * beyond the uplink.
 */
#ifndef CABLE_PROVIDER_H
#define CABLE_PROVIDER_H

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "lookup.h"
#include "step.h"
#include "verdict.h"

#define VLAN_ID_MASK 0x0fff

/* Is the network on an uplink? */
static __always_inline int is_provider(const struct cb_net *row)
{
	return row && (row->wire == CB_WIRE_VLAN || row->wire == CB_WIRE_FLAT);
}

/* The tag of its frames on the uplink; 0: none. */
static __always_inline __u16 tag_of(const struct cb_net *row)
{
	return row->wire == CB_WIRE_VLAN ? row->wire_id : 0;
}

/* As tag_of(), of network @net. */
static __always_inline __u16 tag_of_net(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row ? tag_of(row) : 0;
}

/* Sends the packet by the uplink of network @net. @vif: the sender, for whom a drop is counted; @reason: for the trace. */
static __always_inline int to_uplink(struct __sk_buff *ctx, __u32 vif, __u32 net, __u32 reason)
{
	struct cb_net *row = net_row(net);
	__u16 tag;

	if (!is_provider(row) || !row->uplink)
		return drop(ctx, vif, CB_REASON_NOT_PROGRAMMED);
	count_tx(ctx, 0);
	tag = tag_of(row);
	if (tag && bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), tag))
		return drop(ctx, vif, CB_REASON_REDIRECT);
	trace(ctx, row->uplink, CB_DELIVER_UPLINK, tag, 0, reason);
	return bpf_redirect(row->uplink, 0);
}

/* Sends a copy by the network's uplink. Returns how many: 0, where it has none, or 1. */
static __always_inline __u32 copy_to_uplink(struct __sk_buff *ctx, const struct cb_net *row)
{
	__u16 tag = tag_of(row);
	int err;

	if (!is_provider(row) || !row->uplink)
		return 0;
	if (cfg_trace) {
		note_step(CB_STEP_COPY, 0, 0, CB_REASON_NONE, NULL);
		return 1;
	}
	if (tag && bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), tag)) {
		count_drop(0, CB_REASON_REDIRECT);
		return 0;
	}
	err = bpf_clone_redirect(ctx, row->uplink, 0);
	if (tag)
		bpf_skb_vlan_pop(ctx);
	if (err) {
		count_drop(0, CB_REASON_REDIRECT);
		return 0;
	}
	count_tx(ctx, 0);
	return 1;
}

/* Leaves a frame that an uplink received to the host, as it came. */
static __always_inline int leave_to_host(struct __sk_buff *ctx, const struct cb_net *row)
{
	__u16 tag = row ? tag_of(row) : 0;

	if (tag && bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), tag))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

/* The network whose frame an uplink has received, by its tag; 0: no network's. */
static __always_inline __u32 net_of_frame(struct __sk_buff *ctx)
{
	__u16 vlan = ctx->vlan_present ? ctx->vlan_tci & VLAN_ID_MASK : 0;
	struct cb_in *in;

	if (ctx->vlan_present && ctx->vlan_proto != bpf_htons(ETH_P_8021Q))
		return 0;
	in = lookup_in(ctx->ifindex, vlan);
	return in && in->kind == CB_IN_NET ? in->net : 0;
}

#endif /* CABLE_PROVIDER_H */
