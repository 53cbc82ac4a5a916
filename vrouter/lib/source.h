/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* source.h: may a VIF send from the addresses that a packet has? */
#ifndef CABLE_SOURCE_H
#define CABLE_SOURCE_H

#include "service.h"

/* A DHCP client without an address, in a network where a guest may be the server. */
static __always_inline int asks_own_server(const struct work *w)
{
	const struct pkt *p = &w->p;

	return p->family == CB_FAMILY_V4 && !v4_of(&p->src) && v4_of(&p->dst) == bpf_htonl(INADDR_BROADCAST) &&
	       p->key.protocol == IPPROTO_UDP && p->key.sport_be == bpf_htons(PORT_DHCP_CLIENT) &&
	       p->key.dport_be == bpf_htons(PORT_DHCP_SERVER) && same_mac(w->sender.mac, p->smac) &&
	       !has_dhcp(p->key.net);
}

/* May the VIF send from these addresses? */
static __always_inline __u32 check_source(const struct work *w)
{
	if (!(w->sender.flags & CB_VIF_F_ANTISPOOF))
		return CB_REASON_NONE;
	if (source_allowed(w->p.in_vif, w->p.smac, &w->p.src) || asks_own_server(w))
		return CB_REASON_NONE;
	return same_mac(w->sender.mac, w->p.smac) ? CB_REASON_SPOOFED_IP : CB_REASON_SPOOFED_MAC;
}

#endif /* CABLE_SOURCE_H */
