// SPDX-License-Identifier: Apache-2.0
#include "socket-path.h"

#include "answer.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RUN_DIRECTORY "/run/cable"
#define SOCKET_NAME "agent.sock"

/* An agent that was killed leaves its socket behind. One whose queue is full listens. */
static bool is_listened_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool listened_on;

	if (fd < 0)
		return false;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	listened_on = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
	close(fd);
	return listened_on;
}

static _Noreturn void fail_several(int agents, const char *path)
{
	char message[64];
	char remedy[256];

	snprintf(message, sizeof(message), "socket: is not set, and %d agents run on this host", agents);
	snprintf(remedy, sizeof(remedy), "set \"socket\" in the network configuration to that of one agent, such as %s",
		 path);
	fail(CNI_CONFIG, message, remedy);
}

/* Of several the first; `agents` and `left` count those with and without an agent, `path` is of the former if there is one. */
static void look_at(const char *candidate, char *path, int *agents, int *left)
{
	if (access(candidate, F_OK) != 0)
		return;
	if (is_listened_on(candidate)) {
		if (++*agents == 1)
			strcpy(path, candidate);
	} else if (++*left == 1 && *agents == 0) {
		strcpy(path, candidate);
	}
}

void find_socket(char *path, size_t room)
{
	char candidate[sizeof(RUN_DIRECTORY) + sizeof(SOCKET_NAME) + 256 + 2];
	const struct dirent *entry;
	int agents = 0, left = 0;
	DIR *directory;

	snprintf(path, room, "%s/%s", RUN_DIRECTORY, SOCKET_NAME);
	if (is_listened_on(path))
		return;
	directory = opendir(RUN_DIRECTORY);
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(candidate, sizeof(candidate), "%s/%s/%s", RUN_DIRECTORY, entry->d_name, SOCKET_NAME);
		if (strlen(candidate) < room)
			look_at(candidate, path, &agents, &left);
	}
	closedir(directory);
	if (agents > 1)
		fail_several(agents, path);
}
