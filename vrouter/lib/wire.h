/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* wire.h: ARP, ICMP and TCP as they are on the wire. The kernel's own headers for them need a C library. */
#ifndef CABLE_WIRE_H
#define CABLE_WIRE_H

#include <linux/if_ether.h>

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

#define ICMP_FRAG_NEEDED 4 /* code of ICMP_DEST_UNREACH */
#define ICMP_EXC_TTL 0 /* code of ICMP_TIME_EXCEEDED */

struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u16 id_be; /* of a query; else 0 */
	__u16 mtu_be; /* of ICMP_FRAG_NEEDED; a query's sequence number */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_HEADER_MIN 20
#define TCP_FLAGS_OFF 13

#endif /* CABLE_WIRE_H */
