// SPDX-License-Identifier: Apache-2.0
/*
 * tap-relay: what a hypervisor's virtio back end does for a network card. It makes a tap in the host's network
 * namespace and one in the guest's, and copies frames both ways with their offload headers, so that a 64 kB
 * segment passes as one. The taps go when the process ends.
 *
 * usage: tap-relay HOST_NETNS HOST_TAP GUEST_NETNS GUEST_TAP
 * Prints "ready" when both taps exist. Their addresses, MTU and state are the caller's to set.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The largest segment, its Ethernet header, a VLAN tag and the offload header. */
#define FRAME_MAX (65536 + 64)

struct direction {
	int from;
	int to;
};

static void die(const char *what, const char *name)
{
	fprintf(stderr, "tap-relay: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static void enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open", path);
	if (setns(fd, CLONE_NEWNET) != 0)
		die("enter", path);
	close(fd);
}

/* Makes a tap in the current namespace whose frames carry a virtio_net_hdr, with the offloads of a virtio card. */
static int open_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("open", "/dev/net/tun");
	if (strlen(name) >= sizeof(request.ifr_name)) {
		errno = ENAMETOOLONG;
		die("tap", name);
	}
	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request) != 0)
		die("make tap", name);
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) != 0)
		die("set offloads of", name);
	return fd;
}

/*
 * Copies frames until the process ends. A frame the other side refuses (it is down, its queue is full) is lost, as
 * on a wire. A tap that is down refuses reads with EIO or EBADFD: wait for it to come back.
 */
static void *copy_frames(void *arg)
{
	const struct direction *direction = arg;
	char *frame = malloc(FRAME_MAX);

	if (frame == NULL)
		die("allocate", "a frame");
	for (;;) {
		ssize_t length = read(direction->from, frame, FRAME_MAX);

		if (length > 0) {
			(void)!write(direction->to, frame, length);
		} else if (length < 0 && errno != EINTR && errno != EAGAIN) {
			usleep(10000);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct direction to_guest, to_host;
	pthread_t thread;

	if (argc != 5) {
		fprintf(stderr, "usage: tap-relay HOST_NETNS HOST_TAP GUEST_NETNS GUEST_TAP\n");
		return 2;
	}
	enter_netns(argv[1]);
	to_guest.from = to_host.to = open_tap(argv[2]);
	enter_netns(argv[3]);
	to_guest.to = to_host.from = open_tap(argv[4]);
	if (pthread_create(&thread, NULL, copy_frames, &to_guest) != 0)
		die("start", "a thread");
	puts("ready");
	fflush(stdout);
	copy_frames(&to_host);
	return 0;
}
