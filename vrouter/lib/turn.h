/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* turn.h: handing a packet to a VIF, also the one it came from. */
#ifndef CABLE_TURN_H
#define CABLE_TURN_H

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "lookup.h"
#include "provider.h"
#include "verdict.h"
#include "work.h"

GLOBAL int mirror(struct __sk_buff *ctx, __u32 vif, __u32 direction);

/* Sends the packet to the device of VIF @vif; as to_row(). */
static __always_inline int put_out(struct __sk_buff *ctx, const struct cb_vif *row, __u32 vif, __u32 deliver,
				   __u32 reason)
{
	__u32 ifindex = row->ifindex;

	count_tx(ctx, vif);
	if (row->vlan && bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), row->vlan))
		return drop(ctx, vif, CB_REASON_REDIRECT);
	trace(ctx, ifindex, deliver, row->vlan, 0, reason);
	if (deliver != CB_DELIVER_PEER)
		return bpf_redirect(ifindex, 0);
	/* The frame was received for another MAC; the guest's stack would take it for one that it only overheard. */
	if (ctx->pkt_type != PACKET_HOST)
		bpf_skb_change_type(ctx, PACKET_HOST);
	return bpf_redirect_peer(ifindex, 0);
}

/*
 * Gives the packet to VIF @vif, of which @row is, with its VLAN tag if it has one. @deliver: CB_DELIVER_VIF or CB_DELIVER_PEER. @reason: for the trace.
 */
static __always_inline int to_row(struct __sk_buff *ctx, const struct cb_vif *row, __u32 vif, __u32 deliver,
				  __u32 reason)
{
	if (!row || !row->ifindex)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	if (row->flags & CB_VIF_F_MIRROR_IN)
		mirror(ctx, vif, CB_DIR_INGRESS);
	return put_out(ctx, row, vif, deliver, reason);
}

static __always_inline int to_vif(struct __sk_buff *ctx, __u32 vif, __u32 deliver, __u32 reason)
{
	return to_row(ctx, vif_row(vif), vif, deliver, reason);
}

/* Gives a copy of the packet to the VIF of @row. Returns 0 or a negative errno. */
static __always_inline int clone_to_vif(struct __sk_buff *ctx, const struct cb_vif *row)
{
	int err;

	if (!row->vlan)
		return bpf_clone_redirect(ctx, row->ifindex, 0);
	err = bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), row->vlan);
	if (err)
		return err;
	err = bpf_clone_redirect(ctx, row->ifindex, 0);
	bpf_skb_vlan_pop(ctx);
	return err;
}

static __always_inline __u32 deliver_kind(__u32 vif_flags)
{
	return vif_flags & CB_VIF_F_PEER ? CB_DELIVER_PEER : CB_DELIVER_VIF;
}

/* Gives an answer, made of the sender's own packet, back to it. */
static __always_inline int turn_back(struct __sk_buff *ctx, const struct work *w)
{
	if (w->p.flags & PKT_OUTSIDE)
		return to_uplink(ctx, 0, w->p.key.net, CB_REASON_NONE);
	return to_vif(ctx, w->p.in_vif, deliver_kind(w->sender.flags), CB_REASON_NONE);
}

#endif /* CABLE_TURN_H */
