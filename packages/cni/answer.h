/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h: what is printed for the runtime, and with which exit code the program ends. */
#ifndef CABLE_CNI_ANSWER_H
#define CABLE_CNI_ANSWER_H

/* Codes of the CNI specification. */
enum cni_code {
	CNI_ENVIRONMENT = 4,
	CNI_IO = 5,
	CNI_DECODE = 6,
	CNI_CONFIG = 7,
	CNI_LATER = 11,
	CNI_NOT_AVAILABLE = 50,
};

/* The version that answers carry: the one asked for, once the configuration has been read, if it looks like one. Copied. */
void set_answer_version(const char *version);

/* Prints the CNI error and ends with 1. `message` names the field, `remedy` says what to do. */
_Noreturn void fail(enum cni_code code, const char *message, const char *remedy);

/* Prints the answer to VERSION and ends with 0. */
_Noreturn void print_versions(void);

#endif
