// SPDX-License-Identifier: Apache-2.0
/*
 * netbench: the traffic of the data-plane benchmark.
 *
 *   netbench server PORT               echo bytes over TCP, count datagrams over UDP, until killed
 *   netbench rr HOST PORT SECONDS      one TCP connection, 1-byte request and response: latency
 *   netbench crr HOST PORT SECONDS     connect, 1-byte request and response, close: connections a second
 *   netbench udp HOST PORT SECONDS N [RATE [FLOWS]]
 *                                      N-byte datagrams, RATE a second or (0) as fast as they go, from FLOWS ports in turn (1 to
 *                                      20000); counts those that arrived
 *
 * A client prints one line of JSON; SIGINT ends `udp` before its time. Exit 1 with a message when a call fails.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define MAX_SAMPLES 4000000

static _Atomic uint64_t received;
static volatile sig_atomic_t is_ended;

static void die(const char *what)
{
	fprintf(stderr, "netbench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1) {
		fprintf(stderr, "netbench: '%s' is not an IPv4 address\n", host);
		exit(2);
	}
	return a;
}

static void *count_datagrams(void *arg)
{
	static char data[BATCH][2048];
	struct iovec iov[BATCH];
	struct mmsghdr msg[BATCH];
	int fd = *(int *)arg;

	memset(msg, 0, sizeof(msg));
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){data[i], sizeof(data[i])};
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		int n = recvmmsg(fd, msg, BATCH, MSG_WAITFORONE, NULL);

		if (n > 0)
			atomic_fetch_add(&received, (uint64_t)n);
	}
	return NULL;
}

static void answer(int fd)
{
	char c;
	uint64_t count;
	ssize_t n = read(fd, &c, 1);

	if (n <= 0) {
		close(fd);
		return;
	}
	if (c == 'c') {
		count = atomic_load(&received);
		if (write(fd, &count, sizeof(count)) != sizeof(count))
			close(fd);
	} else if (write(fd, &c, 1) != 1) {
		close(fd);
	}
}

static void serve(const char *port)
{
	struct sockaddr_in a = address("0.0.0.0", port);
	int one = 1, size = 8 << 20;
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = tcp}, got[BATCH];
	pthread_t thread;

	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(tcp, (struct sockaddr *)&a, sizeof(a)) || listen(tcp, 1024) ||
	    bind(udp, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	if (pthread_create(&thread, NULL, count_datagrams, &udp) || epoll_ctl(ep, EPOLL_CTL_ADD, tcp, &ev))
		die("start");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(ep, got, BATCH, -1);

		for (int i = 0; i < n; i++) {
			if (got[i].data.fd != tcp) {
				answer(got[i].data.fd);
				continue;
			}
			ev.data.fd = accept(tcp, NULL, NULL);
			if (ev.data.fd < 0)
				continue;
			setsockopt(ev.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
		}
	}
}

static int dial(const struct sockaddr_in *a)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void ask(int fd)
{
	char c = 'r';

	if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
		die("request");
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(uint32_t *sample, size_t n, uint64_t took)
{
	qsort(sample, n, sizeof(*sample), by_value);
	printf("{\"count\":%zu,\"perSecond\":%.1f,\"p50Us\":%.2f,\"p99Us\":%.2f}\n", n, (double)n * 1e9 / (double)took,
	       sample[n / 2] / 1e3, sample[n * 99 / 100] / 1e3);
}

static void transactions(const struct sockaddr_in *a, double seconds, int reconnect)
{
	uint32_t *sample = calloc(MAX_SAMPLES, sizeof(*sample));
	uint64_t start, end, t;
	struct linger hard = {1, 0};
	int fd = -1;
	size_t n = 0;

	if (!sample)
		die("memory");
	if (!reconnect)
		fd = dial(a);
	start = now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	do {
		t = now_ns();
		if (reconnect)
			fd = dial(a);
		ask(fd);
		if (reconnect) {
			/* a reset leaves no TIME_WAIT, so the run is not bounded by free ports */
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
			close(fd);
		}
		sample[n++] = (uint32_t)(now_ns() - t);
	} while (now_ns() < end && n < MAX_SAMPLES);
	report(sample, n, now_ns() - start);
}

static uint64_t arrived(int control)
{
	uint64_t count;
	char c = 'c';

	if (write(control, &c, 1) != 1 || read(control, &count, sizeof(count)) != sizeof(count))
		die("count");
	return count;
}

static void end_early(int signal_number)
{
	(void)signal_number;
	is_ended = 1;
}

/* Returns when @sent datagrams are due at @rate a second. */
static void wait_due(uint64_t start, uint64_t sent, double rate)
{
	struct timespec shortly = {.tv_nsec = 20000};

	while ((double)(now_ns() - start) * rate < (double)sent * 1e9)
		nanosleep(&shortly, NULL);
}

/* Room for a file descriptor a flow, as far as the system allows. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("limit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("limit");
}

static int flow_socket(const struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)))
		die("connect");
	return fd;
}

/* @rate: 0: as fast as they go. One datagram a flow in turn if there are several. */
static void datagrams(const struct sockaddr_in *a, double seconds, size_t size, double rate, unsigned int flows)
{
	static char data[2048];
	struct iovec iov = {data, size};
	struct mmsghdr msg[BATCH];
	int control = dial(a), *fds = calloc(flows, sizeof(*fds));
	uint64_t before = arrived(control), sent = 0, start, end;
	unsigned int next = 0;

	if (!fds)
		die("memory");
	raise_limit();
	for (unsigned int i = 0; i < flows; i++)
		fds[i] = flow_socket(a);
	memset(msg, 0, sizeof(msg));
	for (int i = 0; i < BATCH; i++) {
		msg[i].msg_hdr.msg_iov = &iov;
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	signal(SIGINT, end_early);
	start = now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	while (!is_ended && now_ns() < end) {
		int n = 0;

		if (flows == 1)
			n = sendmmsg(fds[0], msg, BATCH, 0);
		for (int i = 0; flows > 1 && i < BATCH; i++) {
			n += send(fds[next], data, size, 0) == (ssize_t)size;
			next = next + 1 < flows ? next + 1 : 0;
		}
		if (n > 0)
			sent += (uint64_t)n;
		if (rate > 0)
			wait_due(start, sent, rate);
	}
	double took = (double)(now_ns() - start) / 1e9;

	usleep(200000);
	uint64_t got = arrived(control) - before;

	printf("{\"sent\":%lu,\"count\":%lu,\"perSecond\":%.1f}\n", sent, got, (double)got / took);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "server"))
		serve(argv[2]);
	if (argc < 5) {
		fprintf(stderr,
			"usage: netbench server PORT | rr|crr HOST PORT SECONDS | udp HOST PORT SECONDS BYTES [RATE [FLOWS]]\n");
		return 2;
	}
	struct sockaddr_in a = address(argv[2], argv[3]);
	double seconds = atof(argv[4]);

	if (!strcmp(argv[1], "rr"))
		transactions(&a, seconds, 0);
	else if (!strcmp(argv[1], "crr"))
		transactions(&a, seconds, 1);
	else if (!strcmp(argv[1], "udp") && argc >= 6 && argc <= 8 && atoi(argv[5]) > 0 && atoi(argv[5]) <= 1472) {
		int flows = argc == 8 ? atoi(argv[7]) : 1;

		if (flows < 1 || flows > 20000)
			return 2;
		datagrams(&a, seconds, (size_t)atoi(argv[5]), argc >= 7 ? atof(argv[6]) : 0, (unsigned int)flows);
	} else {
		return 2;
	}
	return 0;
}
