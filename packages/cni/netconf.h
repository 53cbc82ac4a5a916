/* SPDX-License-Identifier: Apache-2.0 */
/* netconf.h: the network configuration on standard input; only what this program itself needs of it. */
#ifndef CABLE_CNI_NETCONF_H
#define CABLE_CNI_NETCONF_H

#include <stddef.h>
#include <sys/un.h>

/* Far over any real configuration; GC carries every attachment of the host. */
#define NETCONF_MAX (8 * 1024 * 1024)

struct netconf {
	/* As it was read; passed on unchanged. */
	char *text;
	size_t length;
	/* Path of the agent's socket; empty: the default. */
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/*
 * Reads standard input to its end; ends the program with a CNI error when it is no configuration. `optional`: it may
 * be empty, as it is when people ask for the versions by hand.
 */
void read_netconf(struct netconf *conf, int optional);

#endif
