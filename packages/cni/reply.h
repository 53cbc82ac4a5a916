/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h: an HTTP reply of the agent, taken apart. */
#ifndef CABLE_CNI_REPLY_H
#define CABLE_CNI_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct http_reply {
	int status;
	/* The connection ended before the reply was whole; what there is of it may be an agent's. */
	bool cut;
	const char *body;
	size_t body_length;
};

/* Fills `reply`, which points into `bytes` (a chunked body is joined there). NULL, or in words why this is no whole HTTP reply. */
const char *parse_reply(char *bytes, size_t length, struct http_reply *reply);

#endif
