// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ADD may wait for the port's programs; runtimes give a plug-in two minutes or more. */
#define DEADLINE_MS 60000
#define CONNECT_SECONDS 10
#define REPLY_MAX (1024 * 1024 + 16384)

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True when the socket is ready for `events`; false when the deadline passed. */
static bool wait_for(int fd, short events, long deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int ready;

	do {
		long left = deadline - now_ms();

		ready = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static const char *connect_agent(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = CONNECT_SECONDS};

	/* Without it connect() waits as long as the agent's queue is full. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return NULL;
	return strerror(errno);
}

/* An agent that refuses early closes before all is sent: its reply is read all the same. */
static const char *send_all(int fd, const char *bytes, size_t length, long deadline)
{
	while (length > 0) {
		ssize_t sent;

		if (!wait_for(fd, POLLOUT, deadline))
			return "it does not read the request";
		sent = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return NULL;
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return strerror(errno);
		if (sent > 0) {
			bytes += sent;
			length -= (size_t)sent;
		}
	}
	return NULL;
}

static const char *receive_all(int fd, struct agent_reply *reply, long deadline)
{
	size_t room = 0;

	for (;;) {
		ssize_t got;

		if (reply->length == room) {
			if (room >= REPLY_MAX)
				return "its reply is longer than 1 MiB";
			room = room ? room * 2 : 16384;
			reply->bytes = realloc(reply->bytes, room);
			if (!reply->bytes)
				return "out of memory";
		}
		if (!wait_for(fd, POLLIN, deadline))
			return "it did not answer within a minute";
		got = recv(fd, reply->bytes + reply->length, room - reply->length, MSG_DONTWAIT);
		if (got == 0)
			return NULL;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return reply->length > 0 ? NULL : strerror(errno);
		if (got > 0)
			reply->length += (size_t)got;
	}
}

struct agent_reply ask_agent(const struct agent_request *request)
{
	const long deadline = now_ms() + DEADLINE_MS;
	struct agent_reply reply = {0};
	char *head = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int head_length;

	reply.error = fd < 0 ? strerror(errno) : connect_agent(fd, request->socket);
	if (reply.error)
		goto out;
	head_length = asprintf(&head,
			       "POST /cni HTTP/1.1\r\nHost: cable\r\nConnection: close\r\n"
			       "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
			       request->body_length, request->headers);
	if (head_length < 0) {
		head = NULL;
		reply.error = "out of memory";
		goto out;
	}
	reply.error = send_all(fd, head, (size_t)head_length, deadline);
	if (!reply.error)
		reply.error = send_all(fd, request->body, request->body_length, deadline);
	if (!reply.error)
		reply.error = receive_all(fd, &reply, deadline);
out:
	free(head);
	if (fd >= 0)
		close(fd);
	return reply;
}
