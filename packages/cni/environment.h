/* SPDX-License-Identifier: Apache-2.0 */
/* environment.h: the CNI variables as header fields of the request to the agent. */
#ifndef CABLE_CNI_ENVIRONMENT_H
#define CABLE_CNI_ENVIRONMENT_H

/* CNI_COMMAND; ends the program with a CNI error when it is not set. */
const char *cni_command(void);

/* Lines `Name: value\r\n`; ends the program with a CNI error when a value cannot be one. The caller frees. */
char *environment_headers(void);

#endif
