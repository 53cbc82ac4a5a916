/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * step.h: what a load of the programs that only traces (cfg_trace) notes of a packet's way. Such a load reads the maps that the others work on, and changes
 * none of them: every place that writes, or sends a copy, asks cfg_trace. In other loads the verifier removes all of it.
 */
#ifndef CABLE_STEP_H
#define CABLE_STEP_H

#include "config.h"
#include "maps.h"

/* The trace that runs. Never NULL, whatever the verifier thinks. */
static __always_inline struct cb_trace *trace_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cb_trace_3, &zero);
}

/* Appends a step; steps beyond the last place are counted alone. @addr: NULL: none. */
static __noinline void append_step(__u32 kind, __u32 id, __u32 a, __u32 b, const struct cb_addr *addr)
{
	struct cb_trace *t = trace_row();
	struct cb_step *step;
	__u32 n;

	if (!t)
		return;
	n = t->count++;
	if (n >= CB_TRACE_STEPS)
		return;
	step = &t->step[n];
	step->kind = kind;
	step->id = id;
	step->a = a;
	step->b = b;
	if (addr)
		step->addr = *addr;
}

static __always_inline void note_step(__u32 kind, __u32 id, __u32 a, __u32 b, const struct cb_addr *addr)
{
	if (cfg_trace)
		append_step(kind, id, a, b, addr);
}

/* Is the traced packet an answer to one that was let pass before? Then rules are asked as they were for that. */
static __always_inline int traces_answer(void)
{
	struct cb_trace *t;

	if (!cfg_trace)
		return 0;
	t = trace_row();
	return t && t->flags & CB_TRACE_F_ANSWER;
}

#endif /* CABLE_STEP_H */
