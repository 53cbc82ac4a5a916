// SPDX-License-Identifier: Apache-2.0
#include "netconf.h"

#include "answer.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_READ 16384

static void read_all(struct netconf *conf)
{
	size_t room = 0;
	ssize_t got;

	do {
		if (conf->length == room) {
			room = room ? room * 2 : FIRST_READ;
			if (room > NETCONF_MAX * 2)
				fail(CNI_DECODE, "network configuration: longer than 8 MiB", "make it shorter");
			conf->text = realloc(conf->text, room);
			if (!conf->text)
				fail(CNI_IO, "out of memory", "free memory on this host");
		}
		got = read(STDIN_FILENO, conf->text + conf->length, room - conf->length);
		if (got < 0 && errno != EINTR)
			fail(CNI_IO, "network configuration: standard input cannot be read",
			     "pass the configuration on standard input");
		conf->length += got > 0 ? (size_t)got : 0;
	} while (got != 0);
	if (conf->length > NETCONF_MAX)
		fail(CNI_DECODE, "network configuration: longer than 8 MiB", "make it shorter");
}

static void take_socket(struct netconf *conf, const json_t *value)
{
	const char *path = json_string_value(value);

	if (!path || path[0] != '/' || strlen(path) >= sizeof(conf->socket))
		fail(CNI_CONFIG, "socket: is not an absolute path of at most 107 characters",
		     "correct it or leave it out");
	strcpy(conf->socket, path);
}

void read_netconf(struct netconf *conf, int optional)
{
	const json_t *value;
	json_error_t error;
	char message[JSON_ERROR_TEXT_LENGTH + 64];
	json_t *root;

	read_all(conf);
	if (optional && conf->length == 0)
		return;
	root = json_loadb(conf->text, conf->length, 0, &error);
	if (!root) {
		snprintf(message, sizeof(message), "network configuration: line %d: %s", error.line, error.text);
		fail(CNI_DECODE, message, "pass a JSON object on standard input");
	}
	if (!json_is_object(root))
		fail(CNI_DECODE, "network configuration: not an object", "pass a JSON object on standard input");
	value = json_object_get(root, "cniVersion");
	if (json_is_string(value))
		set_answer_version(json_string_value(value));
	value = json_object_get(root, "socket");
	if (value && !json_is_null(value))
		take_socket(conf, value);
	json_decref(root);
}
