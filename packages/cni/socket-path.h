/* SPDX-License-Identifier: Apache-2.0 */
/* socket-path.h: where the agent's socket is when the network configuration does not say. */
#ifndef CABLE_CNI_SOCKET_PATH_H
#define CABLE_CNI_SOCKET_PATH_H

#include <stddef.h>

/*
 * /run/cable/agent.sock; when no agent listens there, the socket of the only agent that runs here, /run/cable/HOST/agent.sock;
 * without an agent a socket that one has left, which the error then names. Ends the program with a CNI error when several run.
 */
void find_socket(char *path, size_t room);

#endif
