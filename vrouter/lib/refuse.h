/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* refuse.h: a packet that a router sends no further. */
#ifndef CABLE_REFUSE_H
#define CABLE_REFUSE_H

#include "icmp6.h"

static __always_inline int make_error_for(struct __sk_buff *ctx, const struct work *w, const struct cb_vif *vif)
{
	__u32 code_type = w->refusal.reason == CB_REASON_TOO_BIG ? ICMP_DEST_UNREACH << 8 | ICMP_FRAG_NEEDED
								 : ICMP_TIME_EXCEEDED << 8 | ICMP_EXC_TTL;

	if (w->p.family == CB_FAMILY_V6)
		return make_error6(ctx, w, vif);
	return make_error(ctx, &w->p, vif, code_type, w->refusal.mtu_bytes);
}

/* Drops the packet in work, by `refusal`, and tells its sender if that is a VIF of this host: another host has its own vrouter. */
SEC("tc")
int refuse(struct __sk_buff *ctx)
{
	struct cb_vif *vif = NULL;
	struct work *w = take_over(CB_STAGE_REFUSE);

	if (!w)
		return drop_stray(ctx);
	if (w->p.in_vif)
		vif = vif_row(w->p.in_vif);
	if (!vif || make_error_for(ctx, w, vif))
		return drop(ctx, w->p.in_vif, w->refusal.reason);
	count_drop(w->p.in_vif, w->refusal.reason);
	return to_vif(ctx, w->p.in_vif, deliver_kind(vif->flags), w->refusal.reason);
}

#endif /* CABLE_REFUSE_H */
