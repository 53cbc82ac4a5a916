/* SPDX-License-Identifier: Apache-2.0 */
/* socket-path.h: where the agent's socket is when the network configuration does not say. */
#ifndef CABLE_CNI_SOCKET_PATH_H
#define CABLE_CNI_SOCKET_PATH_H

#include <stddef.h>

/*
 * /run/cable/agent.sock; without that the socket of the only agent that runs here, /run/cable/HOST/agent.sock.
 * With several agents none is guessed: the answer is the first path again, and the error names it.
 */
void find_socket(char *path, size_t room);

#endif
