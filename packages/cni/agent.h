/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h: one HTTP exchange with the agent over its Unix socket, within a deadline. */
#ifndef CABLE_CNI_AGENT_H
#define CABLE_CNI_AGENT_H

#include <stddef.h>

struct agent_request {
	const char *socket;
	/* Lines, each with its line end. */
	const char *headers;
	const char *body;
	size_t body_length;
};

/* Bytes of the agent's whole reply. `error` is NULL, or says in words what went wrong before there was one. */
struct agent_reply {
	char *bytes;
	size_t length;
	const char *error;
};

/* Sends `POST /cni` and reads until the agent closes. Never waits longer than a minute. */
struct agent_reply ask_agent(const struct agent_request *request);

#endif
