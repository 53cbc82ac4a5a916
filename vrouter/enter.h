/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * enter.h: the programs on devices (tc ingress), one for each kind of device, pinned and loaded once. Each goes on in the entry of its kind, so
 * one write to cb_enter_1 replaces the program of all devices of the kind. An empty entry drops; on an uplink, which is the host's own, it leaves
 * everything to the host.
 *
 * They outlive builds, and know nothing but the entry's number: a change here reaches only hosts that were torn down.
 */
#ifndef CABLE_ENTER_H
#define CABLE_ENTER_H

#include "lib/stage.h"

SEC("tc")
int enter_vif(struct __sk_buff *ctx)
{
	bpf_tail_call_static(ctx, &cb_enter_1, CB_ENTRY_VIF);
	return TC_ACT_SHOT;
}

SEC("tc")
int enter_overlay(struct __sk_buff *ctx)
{
	bpf_tail_call_static(ctx, &cb_enter_1, CB_ENTRY_OVERLAY);
	return TC_ACT_SHOT;
}

SEC("tc")
int enter_service(struct __sk_buff *ctx)
{
	bpf_tail_call_static(ctx, &cb_enter_1, CB_ENTRY_SERVICE);
	return TC_ACT_SHOT;
}

SEC("tc")
int enter_uplink(struct __sk_buff *ctx)
{
	bpf_tail_call_static(ctx, &cb_enter_1, CB_ENTRY_UPLINK);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int enter_frag(struct __sk_buff *ctx)
{
	bpf_tail_call_static(ctx, &cb_enter_1, CB_ENTRY_FRAG);
	return TC_ACT_SHOT;
}

#endif /* CABLE_ENTER_H */
