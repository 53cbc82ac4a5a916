/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* flow_1.h: the flow table of the first layouts, for the step from it: an entry a direction, with the VNI and devices' indexes. */
#ifndef CABLE_OLD_FLOW_1_H
#define CABLE_OLD_FLOW_1_H

#include "../cable_abi.h"

#define OLD_MAX_FLOW 262144
#define OLD_FLOW_F_REPLY 0x1
#define OLD_FLOW_F_FIN 0x4

struct old_flow_key {
	__u32 zone; /* VNI of the network in which the packet entered */
	struct cb_addr src;
	struct cb_addr dst;
	__u16 sport_be;
	__u16 dport_be;
	__u8 protocol;
	__u8 pad[3];
};

struct old_flow {
	__u64 seen_ns;
	__u64 packets;
	__u64 bytes;
	__u32 epoch;
	__u32 in_ifindex; /* 0: the overlay */
	__u32 peer_zone; /* zone of the other direction's entry */
	__u32 out_ifindex;
	__u32 out_vni;
	__u8 state; /* enum cb_flow_state */
	__u8 flags;
	__u8 rest[50]; /* how it was delivered: decided anew */
};

_Static_assert(sizeof(struct old_flow_key) == 44, "layout of cb_flow_1's key");
_Static_assert(sizeof(struct old_flow) == 96, "layout of cb_flow_1");

#endif /* CABLE_OLD_FLOW_1_H */
