// SPDX-License-Identifier: Apache-2.0
/*
 * cnibench: calls a CNI plug-in once for each line of standard input, PARALLEL at a time, and times the whole executable, as a container runtime
 * would: a small process starts it, so what starting costs says little of the caller.
 *
 *   cnibench PROGRAM COMMAND PARALLEL CONF-FILE PLUGIN-PATH
 *
 * A line is `container netns uid`; uid `-`: the runtime is none of Kubernetes. Prints the milliseconds of each call, one a line, and at the end of all `all MS`. A call that fails ends it: exit 1, with what the
 * plug-in said.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_CALLS 10000
#define MOST_PARALLEL 64
#define CONF_BYTES 65536
#define SAID_BYTES 65536

struct call {
	char container[128];
	char netns[128];
	char uid[64];
	double ms;
};

static struct call calls[MOST_CALLS];
static int call_count;
static int next_call;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *program, *command, *plugin_path;
static char conf[CONF_BYTES];
static size_t conf_length;

static void die(const char *what)
{
	fprintf(stderr, "cnibench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* All that is said on standard output; what does not fit is read and forgotten. */
static void read_all(int fd, char *said)
{
	size_t length = 0;
	char rest[4096];
	ssize_t got;

	for (;;) {
		size_t room = SAID_BYTES - 1 - length;

		got = room > 0 ? read(fd, said + length, room) : read(fd, rest, sizeof(rest));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (room > 0)
			length += (size_t)got;
	}
	said[length] = '\0';
}

static pid_t start(const struct call *call, int in, int out)
{
	char *variables[8] = {NULL};
	char *arguments[] = {(char *)program, NULL};
	posix_spawn_file_actions_t actions;
	int made = 0, failed;
	pid_t pid;

	made += asprintf(&variables[0], "PATH=%s", getenv("PATH")) > 0;
	made += asprintf(&variables[1], "CNI_COMMAND=%s", command) > 0;
	made += asprintf(&variables[2], "CNI_CONTAINERID=%s", call->container) > 0;
	made += asprintf(&variables[3], "CNI_NETNS=/run/netns/%s", call->netns) > 0;
	made += asprintf(&variables[4], "CNI_IFNAME=eth0") > 0;
	made += asprintf(&variables[5], "CNI_PATH=%s", plugin_path) > 0;
	made += asprintf(&variables[6],
			 strcmp(call->uid, "-") == 0
				 ? "CNI_ARGS=IgnoreUnknown=1"
				 : "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=%s;K8S_POD_UID=%s",
			 call->netns, call->uid) > 0;
	if (made != 7)
		die("environment");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	failed = posix_spawn(&pid, program, &actions, NULL, arguments, variables);
	posix_spawn_file_actions_destroy(&actions);
	for (int i = 0; i < 7; i++)
		free(variables[i]);
	if (failed) {
		errno = failed;
		die(program);
	}
	return pid;
}

static void run(struct call *call, char *said)
{
	double started_at = now_ms();
	int in[2], out[2], status;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	pid = start(call, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	/* A configuration is shorter than what a pipe takes; a plug-in that does not read it gets no signal to us. */
	if (write(in[1], conf, conf_length) < 0 && errno != EPIPE)
		die("write");
	close(in[1]);
	read_all(out[0], said);
	close(out[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	call->ms = now_ms() - started_at;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "%s %s: %s\n", program, command, said);
		exit(1);
	}
}

static void *work(void *unused)
{
	char *said = malloc(SAID_BYTES);

	(void)unused;
	if (!said)
		die("memory");
	for (;;) {
		int mine;

		pthread_mutex_lock(&lock);
		mine = next_call++;
		pthread_mutex_unlock(&lock);
		if (mine >= call_count)
			break;
		run(&calls[mine], said);
	}
	free(said);
	return NULL;
}

static void read_conf(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	conf_length = fread(conf, 1, sizeof(conf), file);
	fclose(file);
}

int main(int argc, char **argv)
{
	pthread_t threads[MOST_PARALLEL];
	double started_at;
	int parallel;

	if (argc != 6 || (parallel = atoi(argv[3])) < 1 || parallel > MOST_PARALLEL) {
		fprintf(stderr, "usage: cnibench PROGRAM COMMAND PARALLEL CONF-FILE PLUGIN-PATH\n");
		return 2;
	}
	program = argv[1];
	command = argv[2];
	plugin_path = argv[5];
	read_conf(argv[4]);
	signal(SIGPIPE, SIG_IGN);
	while (call_count < MOST_CALLS && scanf("%127s %127s %63s", calls[call_count].container,
						calls[call_count].netns, calls[call_count].uid) == 3)
		call_count++;
	started_at = now_ms();
	for (int i = 0; i < parallel; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			die("pthread_create");
	for (int i = 0; i < parallel; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < call_count; i++)
		printf("%.3f\n", calls[i].ms);
	printf("all %.3f\n", now_ms() - started_at);
	return 0;
}
