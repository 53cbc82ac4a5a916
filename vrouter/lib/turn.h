/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* turn.h: handing a packet to a VIF, also the one it came from. */
#ifndef CABLE_TURN_H
#define CABLE_TURN_H

#include <linux/if_packet.h>
#include "verdict.h"
#include "work.h"

/* Gives the packet to a VIF. @deliver: CB_DELIVER_VIF or CB_DELIVER_PEER. @reason: for the trace. */
static __always_inline int to_vif(struct __sk_buff *ctx, __u32 ifindex, __u32 deliver, __u32 vni, __u32 reason)
{
	count_tx(ctx, ifindex);
	trace(ctx, ifindex, deliver, vni, 0, reason);
	if (deliver != CB_DELIVER_PEER)
		return bpf_redirect(ifindex, 0);
	/* The frame was received for another MAC; the guest's stack would take it for one that it only overheard. */
	if (ctx->pkt_type != PACKET_HOST)
		bpf_skb_change_type(ctx, PACKET_HOST);
	return bpf_redirect_peer(ifindex, 0);
}

static __always_inline __u32 deliver_kind(__u32 vif_flags)
{
	return vif_flags & CB_VIF_F_PEER ? CB_DELIVER_PEER : CB_DELIVER_VIF;
}

/* Gives an answer, made of the VIF's own packet, back to it. */
static __always_inline int turn_back(struct __sk_buff *ctx, const struct work *w)
{
	return to_vif(ctx, w->p.in_ifindex, deliver_kind(w->sender.flags), w->p.key.zone, CB_REASON_NONE);
}

#endif /* CABLE_TURN_H */
