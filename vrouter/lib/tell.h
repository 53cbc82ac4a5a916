/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tell.h: begins and ends of flows, and drops, for the agent: of VIFs whose row says so alone. Never on the established path. What finds no room in the ring is lost, and
 * counted.
 */
#ifndef CABLE_TELL_H
#define CABLE_TELL_H

#include "config.h"
#include "lookup.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CB_TOLD_BYTES);
} cb_told_1 SEC(".maps");

#define TOLD_DROP_NS (1000000000ULL / CB_TOLD_DROP_RATE)

static __always_inline struct cb_gauge *gauge_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cb_gauge_1, &zero);
}

static __always_inline int tells_of(__u32 vif, __u32 choice)
{
	struct cb_vif *row = vif ? vif_row(vif) : NULL;

	return row && row->tells && choice % row->tells == 0;
}

/* Is something of VIFs @from and @to told? @choice: of its tuple. */
static __always_inline int is_told(__u32 from, __u32 to, __u32 choice)
{
	return tells_of(from, choice) || tells_of(to, choice);
}

/* A place in the ring; NULL: there is none. */
static __always_inline struct cb_told *take_told(void)
{
	struct cb_told *told = bpf_ringbuf_reserve(&cb_told_1, sizeof(*told), 0);
	struct cb_gauge *gauge = told ? NULL : gauge_row();

	if (gauge)
		__sync_fetch_and_add(&gauge->told_lost, 1);
	return told;
}

/* May a drop of VIF @vif be told now? */
static __always_inline int may_tell_drop(__u32 vif, __u64 now)
{
	struct cb_use *use = bpf_map_lookup_elem(&cb_use_1, &vif);
	struct cb_gauge *gauge;

	if (!use)
		return 0;
	if (use->told_ns < now)
		use->told_ns = now;
	if (use->told_ns < now + CB_TOLD_DROP_BURST * TOLD_DROP_NS) {
		__sync_fetch_and_add(&use->told_ns, TOLD_DROP_NS);
		return 1;
	}
	gauge = gauge_row();
	if (gauge)
		__sync_fetch_and_add(&gauge->told_held, 1);
	return 0;
}

#endif /* CABLE_TELL_H */
