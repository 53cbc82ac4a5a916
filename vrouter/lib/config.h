/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* config.h: what the agent sets in .rodata before it loads the programs. */
#ifndef CABLE_CONFIG_H
#define CABLE_CONFIG_H

#include <linux/types.h>
#include "../include/cable_abi.h"

/* A value set at load; the verifier then removes the branches it makes dead. The description is for the reader. */
#define CB_CONFIG(type, name, description) const volatile type name
#define CB_CONFIG_MAC(name, description, ...) const volatile __u8 name[6] = {__VA_ARGS__}
#define CB_CONFIG_ADDR(name, description) const volatile __u32 name[4] = {}

CB_CONFIG(__u32, cfg_bank, "bank of cb_enter_1 that this load is in") = 0;
CB_CONFIG(__u32, cfg_overlay_ifindex, "cablevx; 0: no overlay, packets for other hosts are dropped") = 0;
CB_CONFIG(__u32, cfg_underlay, "this host's underlay IPv4 address, host byte order; 0: what the route says") = 0;
CB_CONFIG_ADDR(cfg_underlay6, "this host's underlay IPv6 address; zero: the underlay is IPv4");
CB_CONFIG(__u32, cfg_own_encapsulation, "1: encapsulate where cb_hop_1 says how; 0: the overlay device does") = 0;
CB_CONFIG(__u32, cfg_service_ifindex, "cables1, the vrouter's end of the service link; 0: no guest services") = 0;
CB_CONFIG(__u32, cfg_queue_ifindex, "cableq0, where packets wait that are over a limit; 0: they are dropped") = 0;
CB_CONFIG(__u32, cfg_queue_end_ifindex, "cableq1, by which they come back") = 0;
CB_CONFIG(__u32, cfg_mirror_ifindex, "cablem0, into which copies for mirrors go; 0: none are made") = 0;
CB_CONFIG(__u32, cfg_mirror_end_ifindex, "cablem1, by which they come out") = 0;
CB_CONFIG(__u32, cfg_frag_ifindex, "cablef1, the vrouter's end of the link to the fragmenter; 0: nothing is cut") = 0;
CB_CONFIG(__u32, cfg_trace, "1: this load only traces: it changes no map and sends nothing") = 0;
CB_CONFIG(__u32, cfg_flows, "size of the flow table") = CB_MAX_FLOW;
/* By enum cb_timeout, in seconds. Most are Linux conntrack's values; a closed connection ends at once but for stragglers. */
const volatile __u32 cfg_timeout[CB_TIMEOUTS] = {120, 432000, 120, 1, 300, 30, 180, 30, 600};
CB_CONFIG_MAC(cfg_service_mac, "of cables0: destination of frames to the agent", 0);
CB_CONFIG_MAC(cfg_gateway_mac, "the service MAC: source of frames from the agent to a guest", 0xfa, 0x16, 0x3e, 0xca,
	      0xb1, 0xe0);

/* Hosts tunnel by IPv6. */
static __always_inline int over_ipv6(void)
{
	return cfg_underlay6[0] != 0;
}

#endif /* CABLE_CONFIG_H */
