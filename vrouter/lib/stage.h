/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * stage.h: going on with the packet in work in another program, which begins with an empty stack. A program calls those of its own load
 * only: each load is in one of two banks, and the other can be filled meanwhile.
 */
#ifndef CABLE_STAGE_H
#define CABLE_STAGE_H

#include "config.h"
#include "verdict.h"
#include "work.h"

/* Pinned, and empty without the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, CB_ENTRIES + CB_BANKS * CB_BANK_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} cb_enter_1 SEC(".maps");

#define STAGE_SLOT(bank, stage) (CB_ENTRIES + (bank)*CB_BANK_SLOTS + (stage))

/*
 * Goes on in @stage, a constant; from a program's own function, since it ends there. A slot that is known at load is a direct jump, one
 * that is not costs 16 ns: so each bank is a call of its own, and the verifier removes the other. It comes back if the slot is empty.
 */
#define CALL_STAGE(ctx, w, stage_of_bank)                                                     \
	({                                                                                    \
		(w)->stage = (stage_of_bank);                                                 \
		if (cfg_bank)                                                                 \
			bpf_tail_call_static(ctx, &cb_enter_1, STAGE_SLOT(1, stage_of_bank)); \
		else                                                                          \
			bpf_tail_call_static(ctx, &cb_enter_1, STAGE_SLOT(0, stage_of_bank)); \
		(w)->stage = 0;                                                               \
	})

/* The same; if the slot is empty, the packet is dropped. */
#define GO_ON(ctx, w, stage_of_bank)                                \
	({                                                          \
		CALL_STAGE(ctx, w, stage_of_bank);                  \
		drop(ctx, (w)->p.in_vif, CB_REASON_NOT_PROGRAMMED); \
	})

/*
 * The packet that @stage is to go on with. NULL: none was handed over in this load's record. Then the caller is of another load: this CPU
 * was held up in the middle of a packet for as long as a bank takes to be filled anew. The packet is not known here and must be dropped.
 */
static __always_inline struct work *take_over(__u32 stage)
{
	struct work *w = work();

	if (!w || w->stage != stage)
		return NULL;
	w->stage = 0;
	return w;
}

/* The end of a packet that take_over() did not know. */
static __always_inline int drop_stray(struct __sk_buff *ctx)
{
	return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
}

#endif /* CABLE_STAGE_H */
