// SPDX-License-Identifier: Apache-2.0
#include "environment.h"

#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All six stay below the 16 KiB of header that the agent takes. */
#define VALUE_MAX 2048

static const struct {
	const char *variable;
	const char *header;
} FIELDS[] = {
	{"CNI_COMMAND", "Cni-Command"}, {"CNI_CONTAINERID", "Cni-Containerid"},
	{"CNI_NETNS", "Cni-Netns"},	{"CNI_IFNAME", "Cni-Ifname"},
	{"CNI_ARGS", "Cni-Args"},	{"CNI_PATH", "Cni-Path"},
};

#define FIELD_COUNT (sizeof(FIELDS) / sizeof(FIELDS[0]))

const char *cni_command(void)
{
	const char *command = getenv("CNI_COMMAND");

	if (!command || command[0] == '\0')
		fail(CNI_ENVIRONMENT, "CNI_COMMAND: is not set", "let a container runtime call this program");
	return command;
}

/* A control character could end the header field and begin another. */
static void check_value(const char *variable, const char *value)
{
	char message[64];

	if (strlen(value) > VALUE_MAX) {
		snprintf(message, sizeof(message), "%s: is longer than %d bytes", variable, VALUE_MAX);
		fail(CNI_ENVIRONMENT, message, "make it shorter");
	}
	for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
		if (*at >= 0x20 && *at < 0x7f)
			continue;
		snprintf(message, sizeof(message), "%s: holds a control or non-ASCII character", variable);
		fail(CNI_ENVIRONMENT, message, "remove it");
	}
}

char *environment_headers(void)
{
	const size_t room = FIELD_COUNT * (VALUE_MAX + 32) + 1;
	char *headers = malloc(room);
	size_t length = 0;

	if (!headers)
		fail(CNI_IO, "out of memory", "free memory on this host");
	headers[0] = '\0';
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const char *value = getenv(FIELDS[i].variable);

		if (!value)
			continue;
		check_value(FIELDS[i].variable, value);
		length += (size_t)snprintf(headers + length, room - length, "%s: %s\r\n", FIELDS[i].header, value);
	}
	return headers;
}
