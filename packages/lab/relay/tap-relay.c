// SPDX-License-Identifier: Apache-2.0
/*
 * tap-relay: what a hypervisor's virtio back end does for a network card. It makes a tap in the host's network
 * namespace and one in the guest's, and copies frames both ways with their offload headers, so that a 64 kB
 * segment passes as one. The taps go when the process ends.
 *
 * usage: tap-relay [-c FIFO] HOST_NETNS HOST_TAP GUEST_NETNS GUEST_TAP [VLAN:GUEST_TAP]...
 * Prints "ready" when all taps exist. Their addresses, MTU and state are the caller's to set.
 *
 * VLAN:GUEST_TAP: a further device in the guest for what has that tag (1..4094) on the host's tap, as a VLAN device
 * on the guest's card would be: frames have no tag there. Frames with another tag are lost.
 *
 * From the FIFO come lines, and each is answered on standard output:
 *	open HOST_NETNS HOST_TAP	a tap on another host, which is not used yet: "opened"
 *	pause				nothing is read from guest or host; what comes waits in the taps' queues: "paused"
 *	resume				goes on, at the tap that was opened last: "resumed"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The largest segment, its Ethernet header, a VLAN tag and the offload header. */
#define FRAME_MAX (65536 + 64)
#define TAG_BYTES 4
#define VNET_BYTES sizeof(struct virtio_net_hdr)
/* Where a tag stands: behind offload header and both MACs. */
#define TAG_AT (VNET_BYTES + 2 * ETH_ALEN)
#define GUEST_TAPS_MAX 16

struct guest_tap {
	int fd;
	unsigned int vlan; /* 0: the guest's card itself */
};

static struct guest_tap guest_taps[GUEST_TAPS_MAX];
static int guest_tap_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Under the lock: the tap in use, and one that was opened and is not used yet; -1: none. */
static int host_fd = -1, next_fd = -1;
static int paused;

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

/* The offload header of a frame that has become @by bytes longer in front. */
static void move_offsets(unsigned char *frame, int by)
{
	struct virtio_net_hdr *head = (struct virtio_net_hdr *)frame;

	if (head->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		head->csum_start += by;
	if (head->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		head->hdr_len += by;
}

/* Gives the frame a tag. There must be TAG_BYTES before it. Returns where it begins now. */
static unsigned char *push_tag(unsigned char *frame, unsigned int vlan)
{
	unsigned short tag[2] = {htons(ETH_P_8021Q), htons(vlan)};

	memmove(frame - TAG_BYTES, frame, TAG_AT);
	frame -= TAG_BYTES;
	memcpy(frame + TAG_AT, tag, sizeof(tag));
	move_offsets(frame, TAG_BYTES);
	return frame;
}

/* Takes the tag off, if there is one; @vlan: which. Returns where the frame begins now. */
static unsigned char *pop_tag(unsigned char *frame, size_t length, unsigned int *vlan)
{
	unsigned short tag[2] = {0, 0};

	*vlan = 0;
	if (length >= TAG_AT + sizeof(tag))
		memcpy(tag, frame + TAG_AT, sizeof(tag));
	if (tag[0] != htons(ETH_P_8021Q))
		return frame;
	*vlan = ntohs(tag[1]) & 0x0fff;
	memmove(frame + TAG_BYTES, frame, TAG_AT);
	frame += TAG_BYTES;
	move_offsets(frame, -TAG_BYTES);
	return frame;
}

static unsigned char *make_buffer(void)
{
	unsigned char *buffer = malloc(TAG_BYTES + FRAME_MAX);

	if (buffer == NULL)
		die("allocate", "a frame");
	return buffer + TAG_BYTES;
}

/* Reads a frame. A tap that is down refuses with EIO or EBADFD: 0, after a while. */
static size_t read_frame(int fd, unsigned char *buffer)
{
	ssize_t length = read(fd, buffer, FRAME_MAX);

	if (length > 0)
		return length;
	if (length < 0 && errno != EINTR && errno != EAGAIN)
		usleep(10000);
	return 0;
}

/* The tap that is in use, once nothing is paused. */
static int host_in_use(void)
{
	int fd;

	pthread_mutex_lock(&lock);
	while (paused)
		pthread_cond_wait(&changed, &lock);
	fd = host_fd;
	pthread_mutex_unlock(&lock);
	return fd;
}

/* Copies a guest device's frames to the host in use. One that the other side refuses (it is down, its queue is full) is lost, as on a wire. */
static void *copy_to_host(void *arg)
{
	const struct guest_tap *tap = arg;
	unsigned char *buffer = make_buffer(), *frame;

	for (;;) {
		size_t length = read_frame(tap->fd, buffer);

		if (length == 0)
			continue;
		frame = tap->vlan ? push_tag(buffer, tap->vlan) : buffer;
		(void)!write(host_in_use(), frame, length + (buffer - frame));
	}
	return NULL;
}

static int guest_of(unsigned int vlan)
{
	for (int n = 0; n < guest_tap_count; n++)
		if (guest_taps[n].vlan == vlan)
			return guest_taps[n].fd;
	return -1;
}

/*
 * Copies frames of a host's tap to the guest's devices, as long as that tap is in use. What is read when another is in use is lost: the guest is not
 * there any more. Then the tap goes, if the host has not deleted it already.
 */
static void *copy_to_guest(void *arg)
{
	unsigned char *buffer = make_buffer(), *frame;
	int own = (int)(long)arg;
	unsigned int vlan;

	while (host_in_use() == own) {
		size_t length = read_frame(own, buffer);
		int to;

		if (length == 0 || host_in_use() != own)
			continue;
		frame = pop_tag(buffer, length, &vlan);
		to = guest_of(vlan);
		if (to >= 0)
			(void)!write(to, frame, length - (frame - buffer));
	}
	close(own);
	free(buffer - TAG_BYTES);
	return NULL;
}

static void start_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg) != 0)
		die("start", "a thread");
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void set_paused(int to)
{
	pthread_mutex_lock(&lock);
	if (!to && next_fd >= 0) {
		host_fd = next_fd;
		next_fd = -1;
		start_thread(copy_to_guest, (void *)(long)host_fd);
	}
	paused = to;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void obey(char *line)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);
	char *netns = strtok_r(NULL, " \n", &save), *tap = strtok_r(NULL, " \n", &save);

	if (word && !strcmp(word, "open") && netns && tap && next_fd < 0) {
		enter_netns(netns);
		next_fd = open_tap(tap);
		say("opened");
	} else if (word && !strcmp(word, "pause")) {
		set_paused(1);
		say("paused");
	} else if (word && !strcmp(word, "resume")) {
		set_paused(0);
		say("resumed");
	} else {
		fprintf(stderr, "tap-relay: %s: not understood, or not now\n", word ? word : "nothing");
	}
}

static void follow(const char *fifo)
{
	char line[512];

	for (;;) {
		/* Both ways: it does not end when a writer goes. */
		FILE *file = fopen(fifo, "r+e");

		if (file == NULL)
			die("open", fifo);
		while (fgets(line, sizeof(line), file) != NULL)
			obey(line);
		fclose(file);
	}
}

static void add_guest_tap(const char *name, unsigned int vlan)
{
	if (guest_tap_count == GUEST_TAPS_MAX) {
		errno = E2BIG;
		die("tap", name);
	}
	guest_taps[guest_tap_count++] = (struct guest_tap){.fd = open_tap(name), .vlan = vlan};
}

static void add_vlan_tap(const char *text)
{
	char *name;
	unsigned long vlan = strtoul(text, &name, 10);

	if (*name != ':' || vlan < 1 || vlan > 4094) {
		errno = EINVAL;
		die("VLAN:GUEST_TAP", text);
	}
	add_guest_tap(name + 1, vlan);
}

int main(int argc, char **argv)
{
	const char *fifo = NULL;

	if (argc > 2 && !strcmp(argv[1], "-c")) {
		fifo = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 5) {
		fprintf(stderr,
			"usage: tap-relay [-c FIFO] HOST_NETNS HOST_TAP GUEST_NETNS GUEST_TAP [VLAN:GUEST_TAP]...\n");
		return 2;
	}
	enter_netns(argv[1]);
	host_fd = open_tap(argv[2]);
	enter_netns(argv[3]);
	add_guest_tap(argv[4], 0);
	for (int n = 5; n < argc; n++)
		add_vlan_tap(argv[n]);
	for (int n = 0; n < guest_tap_count; n++)
		start_thread(copy_to_host, &guest_taps[n]);
	start_thread(copy_to_guest, (void *)(long)host_fd);
	say("ready");
	if (fifo != NULL)
		follow(fifo);
	for (;;)
		pause();
}
