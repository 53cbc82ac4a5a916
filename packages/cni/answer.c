// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* As in packages/agent/src/cni/versions.ts; a test compares the two. */
static const char *const VERSIONS[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

static char answer_version[32] = "1.1.0";

void set_answer_version(const char *version)
{
	snprintf(answer_version, sizeof(answer_version), "%s", version);
}

static _Noreturn void print_and_exit(json_t *answer, int status)
{
	if (!answer || json_dumpf(answer, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
		status = 1;
	exit(status);
}

_Noreturn void fail(enum cni_code code, const char *message, const char *remedy)
{
	print_and_exit(json_pack("{s:s, s:i, s:s, s:s}", "cniVersion", answer_version, "code", (int)code, "msg",
				 message, "details", remedy),
		       1);
}

_Noreturn void print_versions(void)
{
	json_t *versions = json_array();

	for (size_t i = 0; i < sizeof(VERSIONS) / sizeof(VERSIONS[0]); i++)
		json_array_append_new(versions, json_string(VERSIONS[i]));
	print_and_exit(json_pack("{s:s, s:o}", "cniVersion", answer_version, "supportedVersions", versions), 0);
}
