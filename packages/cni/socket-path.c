// SPDX-License-Identifier: Apache-2.0
#include "socket-path.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RUN_DIRECTORY "/run/cable"
#define SOCKET_NAME "agent.sock"

void find_socket(char *path, size_t room)
{
	char candidate[sizeof(RUN_DIRECTORY) + sizeof(SOCKET_NAME) + 256 + 2];
	const struct dirent *entry;
	int found = 0;
	DIR *directory;

	snprintf(path, room, "%s/%s", RUN_DIRECTORY, SOCKET_NAME);
	if (access(path, F_OK) == 0)
		return;
	directory = opendir(RUN_DIRECTORY);
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(candidate, sizeof(candidate), "%s/%s/%s", RUN_DIRECTORY, entry->d_name, SOCKET_NAME);
		if (strlen(candidate) < room && access(candidate, F_OK) == 0 && ++found == 1)
			strcpy(path, candidate);
	}
	closedir(directory);
	if (found > 1)
		snprintf(path, room, "%s/%s", RUN_DIRECTORY, SOCKET_NAME);
}
