/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * host_probe.h: whether other hosts live. Hosts ask those that may be gateways, and these answer here, on the way of tunnelled packets: so an answer says that packets get
 * through to the programs and back, and nothing of agents. Who asks and what follows from answers is the agent's.
 */
#ifndef CABLE_HOST_PROBE_H
#define CABLE_HOST_PROBE_H

#include "lib/encap.h"
#include "lib/lookup.h"
#include "lib/stage.h"

struct probe_frame {
	struct ethhdr eth;
	struct cb_probe probe;
} __attribute__((packed));

static __always_inline struct cb_heard *lookup_heard(const struct cb_addr *host)
{
	struct cb_heard_key key = {.addr = *host};

	return bpf_map_lookup_elem(&cb_heard_1, &key);
}

/* How long ago the host that the probe is about has answered this one. */
static __always_inline __u32 age_ms(const struct probe_frame *frame)
{
	struct cb_heard *heard;
	struct cb_addr host;
	__u64 ms;

	if (over_ipv6())
		__builtin_memcpy(&host, frame->probe.beacon.about, sizeof(host));
	else
		set_v4(&host, frame->probe.about_be);
	heard = lookup_heard(&host);
	if (!heard || !heard->heard_ns)
		return CB_PROBE_NEVER;
	ms = (bpf_ktime_get_ns() - heard->heard_ns) / 1000000;
	return ms < CB_PROBE_NEVER ? ms : CB_PROBE_NEVER - 1;
}

/* The question becomes its answer, and goes back. */
static __always_inline int answer_probe(struct __sk_buff *ctx, struct probe_frame *frame, __u32 tunnel)
{
	__u32 zero = 0, about_ms = CB_PROBE_NEVER;
	struct cb_beacon *beacon = bpf_map_lookup_elem(&cb_beacon_1, &zero);
	struct cb_tunnel *way = tunnel_row(tunnel);

	if (!beacon || !way || !cfg_overlay_ifindex)
		return drop(ctx, 0, CB_REASON_REDIRECT);
	if (frame->probe.about_be)
		about_ms = age_ms(frame);
	frame->probe.kind = CB_PROBE_ANSWER;
	frame->probe.about_ms = about_ms;
	__builtin_memcpy(&frame->probe.beacon, beacon, sizeof(*beacon));
	if (set_tunnel(ctx, 0, &way->remote))
		return drop(ctx, 0, CB_REASON_REDIRECT);
	count_tx(ctx, 0);
	trace(ctx, cfg_overlay_ifindex, CB_DELIVER_OVERLAY, 0, tunnel, CB_REASON_NONE);
	return bpf_redirect(cfg_overlay_ifindex, 0);
}

/* The agent, which reads it from the map, may see half of one that is being written: the next is whole. */
static __always_inline int hear_probe(struct __sk_buff *ctx, const struct probe_frame *frame,
				      const struct cb_addr *remote)
{
	struct cb_heard *heard = lookup_heard(remote);

	if (!heard || heard->token != frame->probe.token)
		return drop(ctx, 0, CB_REASON_PROBE);
	__builtin_memcpy(&heard->beacon, &frame->probe.beacon, sizeof(heard->beacon));
	heard->about_be = frame->probe.about_be;
	heard->about_ms = frame->probe.about_ms;
	heard->heard_ns = bpf_ktime_get_ns();
	barrier();
	heard->sequence = frame->probe.sequence;
	return consumed(ctx, 0);
}

/* A frame with wire id 0, from the host of in_tunnel. */
SEC("tc")
int probe(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_PROBE);
	struct probe_frame *frame;
	struct cb_tunnel *way;

	if (!w)
		return drop_stray(ctx);
	way = tunnel_row(w->p.in_tunnel);
	frame = need(ctx, 0, sizeof(*frame));
	if (!way || !frame || frame->eth.h_proto != bpf_htons(CB_PROBE_ETHERTYPE) ||
	    frame->probe.version != CB_PROBE_VERSION)
		return drop(ctx, 0, CB_REASON_PROBE);
	if (frame->probe.kind == CB_PROBE_ASK)
		return answer_probe(ctx, frame, w->p.in_tunnel);
	if (frame->probe.kind == CB_PROBE_ANSWER)
		return hear_probe(ctx, frame, &way->remote);
	return drop(ctx, 0, CB_REASON_PROBE);
}

#endif /* CABLE_HOST_PROBE_H */
