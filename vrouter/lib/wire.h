/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* wire.h: ARP, ICMP and TCP as they are on the wire. The kernel's own headers for them need a C library. */
#ifndef CABLE_WIRE_H
#define CABLE_WIRE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include "../include/cable_abi.h"

/* In the fragment field of an IPv4 header. */
#define IP_FLAG_DF 0x4000
#define IP_FLAG_MF 0x2000
#define IP_OFFSET_MASK 0x1fff

#define ARP_HARDWARE_ETHER 1
#define ARP_OP_REQUEST 1
#define ARP_OP_REPLY 2

/* ARP for IPv4 over Ethernet, with the frame's header (RFC 826). */
struct arp_packet {
	struct ethhdr eth;
	__u16 hardware_be;
	__u16 protocol_be;
	__u8 hardware_len;
	__u8 protocol_len;
	__u16 op_be;
	__u8 sha[6];
	__u32 spa_be;
	__u8 tha[6];
	__u32 tpa_be;
} __attribute__((packed));

#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMPREPLY 14
#define ICMP_INFO_REQUEST 15
#define ICMP_INFO_REPLY 16
#define ICMP_ADDRESS 17
#define ICMP_ADDRESSREPLY 18

#define ICMP_PORT_UNREACH 3 /* code */
#define ICMP_FRAG_NEEDED 4 /* code of ICMP_DEST_UNREACH */
#define ICMP_EXC_TTL 0 /* code of ICMP_TIME_EXCEEDED */

struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 checksum; /* where UDP and TCP have the destination port */
	__u16 id_be; /* of a query; else 0 */
	__u16 mtu_be; /* of ICMP_FRAG_NEEDED; a query's sequence number */
};

/* IPv6, its extension headers and ICMPv6 (RFC 8200, 4443, 4861, 2710, 3810). */
struct ipv6_header {
	__u8 version_class; /* version in the upper half */
	__u8 flow[3];
	__u16 payload_be;
	__u8 next;
	__u8 hop_limit;
	struct cb_addr src;
	struct cb_addr dst;
};

#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT 44
#define IPV6_AUTHENTICATION 51
#define IPV6_DESTINATION 60
#define IPV6_MOBILITY 135

#define IPPROTO_ICMPV6 58

#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PORT_UNREACHABLE 4 /* code */
#define ICMP6_INFORMATIONAL 128 /* lower types are errors */
#define ICMP6_ECHO 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_MLD_QUERY 130
#define ICMP6_MLD_REPORT 131
#define ICMP6_MLD_DONE 132
#define ICMP6_ROUTER_SOLICITATION 133
#define ICMP6_ROUTER_ADVERTISEMENT 134
#define ICMP6_NEIGHBOUR_SOLICITATION 135
#define ICMP6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMP6_ND_REDIRECT 137
#define ICMP6_MLD2_REPORT 143

/* IGMP (RFC 1112, 2236, 3376), and what its reports of version 3 and those of MLDv2 have in common. */
#define IGMP_QUERY 0x11
#define IGMP_REPORT_1 0x12
#define IGMP_REPORT_2 0x16
#define IGMP_LEAVE 0x17
#define IGMP_REPORT_3 0x22

#define IGMP_GROUP_OFF 4
#define ALL_HOSTS 0xe0000001
#define MLD_GROUP_OFF 8

#define GROUP_REPORT_HEADER 8
/* How many records follow, in such a header. */
#define GROUP_REPORT_COUNT_OFF 6

#define GROUP_IS_INCLUDE 1
#define GROUP_IS_EXCLUDE 2
#define GROUP_TO_INCLUDE 3
#define GROUP_TO_EXCLUDE 4
#define GROUP_ALLOW 5
#define GROUP_BLOCK 6

/* The beginning of a record; the group, the sources that it names and other data of so many words follow. */
struct group_record {
	__u8 type;
	__u8 words; /* of 4 bytes, of other data */
	__u16 sources_be;
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_HEADER_MIN 20
#define TCP_SEQ_OFF 4
#define TCP_ACK_OFF 8
#define TCP_DATA_OFF 12
#define TCP_FLAGS_OFF 13
#define TCP_WINDOW_OFF 14

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

/* Headers of IPv6 between its own and the transport's. */
static __always_inline int is_extension(__u8 next)
{
	return next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_FRAGMENT || next == IPV6_DESTINATION ||
	       next == IPV6_AUTHENTICATION || next == IPV6_MOBILITY;
}

#endif /* CABLE_WIRE_H */
