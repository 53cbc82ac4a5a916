// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in packages/agent/src/cni/versions.ts; a test compares the two. */
static const char *const VERSIONS[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

static char answer_version[32] = "1.1.0";

/* Another text is no version: it may be long, and cut it may not be UTF-8. */
void set_answer_version(const char *version)
{
	size_t length = strlen(version);

	if (length > 0 && length < sizeof(answer_version) && strspn(version, "0123456789.") == length)
		memcpy(answer_version, version, length + 1);
}

static _Noreturn void print_and_exit(json_t *answer, int status)
{
	if (!answer || json_dumpf(answer, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
		status = 1;
	exit(status);
}

/* A text that is not UTF-8 (a path may be anything) is told with a question mark for each byte that is not ASCII. */
static json_t *readable(const char *text)
{
	json_t *whole = json_string(text);
	char ascii[512];
	size_t i;

	if (whole)
		return whole;
	for (i = 0; text[i] && i < sizeof(ascii) - 1; i++)
		ascii[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	ascii[i] = '\0';
	return json_string(ascii);
}

_Noreturn void fail(enum cni_code code, const char *message, const char *remedy)
{
	print_and_exit(json_pack("{s:s, s:i, s:o, s:s}", "cniVersion", answer_version, "code", (int)code, "msg",
				 readable(message), "details", remedy),
		       1);
}

_Noreturn void print_versions(void)
{
	json_t *versions = json_array();

	for (size_t i = 0; i < sizeof(VERSIONS) / sizeof(VERSIONS[0]); i++)
		json_array_append_new(versions, json_string(VERSIONS[i]));
	print_and_exit(json_pack("{s:s, s:o}", "cniVersion", answer_version, "supportedVersions", versions), 0);
}
