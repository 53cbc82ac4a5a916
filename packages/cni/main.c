// SPDX-License-Identifier: Apache-2.0
/*
 * cable-cni: the CNI plug-in that container runtimes execute. It passes the CNI variables and the network
 * configuration to the agent of this host and prints its answer; what ADD, DEL, CHECK, STATUS and GC do is in
 * packages/agent/src/cni. Only VERSION is answered here. Ends 0 after a success, else prints a CNI error and ends 1.
 */
#include "agent.h"
#include "answer.h"
#include "environment.h"
#include "netconf.h"
#include "reply.h"
#include "socket-path.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void fail_without_agent(const char *command, const char *socket, const char *reason)
{
	enum cni_code code = strcmp(command, "STATUS") == 0 ? CNI_NOT_AVAILABLE : CNI_LATER;
	char message[512];

	snprintf(message, sizeof(message), "the Cable agent does not answer at %s: %s", socket, reason);
	fail(code, message, "start `cable agent` on this host, or correct \"socket\" in the network configuration");
}

static _Noreturn void fail_malformed(const char *reason)
{
	char message[256];

	snprintf(message, sizeof(message), "the reply at the agent's socket is malformed: %s", reason);
	fail(CNI_IO, message, "see that \"socket\" in the network configuration is that of a Cable agent");
}

/* A success is empty or JSON; a failure is a JSON object with a code. */
static void check_body(const struct http_reply *reply)
{
	json_t *body;
	char reason[64];
	int has_code;

	if (reply->status == 200 && reply->body_length == 0)
		return;
	body = json_loadb(reply->body, reply->body_length, 0, NULL);
	has_code = json_is_integer(json_object_get(body, "code"));
	if (!json_is_object(body) && reply->status == 200)
		fail_malformed("the body is not a JSON object");
	if (reply->status != 200 && !has_code) {
		snprintf(reason, sizeof(reason), "HTTP status %d without a CNI error", reply->status);
		fail_malformed(reason);
	}
	json_decref(body);
}

static int print_body(const struct http_reply *reply)
{
	if (reply->body_length == 0)
		return 0;
	if (fwrite(reply->body, 1, reply->body_length, stdout) != reply->body_length || putchar('\n') == EOF)
		return 1;
	return fflush(stdout) != 0;
}

int main(void)
{
	const char *command = cni_command();
	struct agent_request request = {0};
	struct netconf conf = {0};
	struct http_reply reply = {0};
	struct agent_reply answer;
	const char *wrong;

	read_netconf(&conf, strcmp(command, "VERSION") == 0);
	if (strcmp(command, "VERSION") == 0)
		print_versions();
	if (conf.socket[0] == '\0')
		find_socket(conf.socket, sizeof(conf.socket));
	request.socket = conf.socket;
	request.headers = environment_headers();
	request.body = conf.text;
	request.body_length = conf.length;

	answer = ask_agent(&request);
	if (answer.error)
		fail_without_agent(command, conf.socket, answer.error);
	wrong = parse_reply(answer.bytes, answer.length, &reply);
	/* An agent that was ended, or restarted, while it was asked. */
	if (wrong && reply.cut)
		fail_without_agent(command, conf.socket, wrong);
	if (wrong)
		fail_malformed(wrong);
	check_body(&reply);
	return print_body(&reply) != 0 || reply.status != 200;
}
