/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* prog_1.h: where an agent of the first layouts says of which state its maps are: zero until it has filled them. */
#ifndef CABLE_OLD_PROG_1_H
#define CABLE_OLD_PROG_1_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct old_prog {
	__u64 revision; /* 0: nothing was programmed yet */
	__u64 state;
	__u64 commit;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct old_prog);
} cb_prog_1 SEC(".maps");

#endif /* CABLE_OLD_PROG_1_H */
