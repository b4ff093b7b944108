// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <barbuf.h>

#include "lend.h"
#include "pin.h"

#define STACK_RESERVE (64 << 10)

struct client {
	int fd; /* the buffer, or -1 */
	size_t size;
	size_t page;
	volatile char *map; /* NULL: none */
	uint64_t faults_mapped; /* faults_taken() at the end of OP_MAP */
};

uint64_t faults_taken(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

__attribute__((format(printf, 2, 3))) static void complain(struct reply *reply, const char *fmt,
							   ...)
{
	size_t used = strlen(reply->detail);
	va_list ap;

	reply->wrong++;
	va_start(ap, fmt);
	vsnprintf(reply->detail + used, sizeof(reply->detail) - used, fmt, ap);
	va_end(ap);
}

/* Every fd must be one that the primary meant us to have. */
static void check_fds(struct reply *reply)
{
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (!dir) {
		reply->error = -errno;
		return;
	}
	while ((entry = readdir(dir))) {
		char target[256];
		ssize_t len;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = atoi(entry->d_name);
		if (fd == dirfd(dir))
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (len < 0)
			len = 0;
		target[len] = '\0';
		reply->done++;
		if (strstr(target, "vfio"))
			complain(reply, "fd %d is %s; ", fd, target);
		else if (fd == CLIENT_SOCKET && strncmp(target, "socket:", 7))
			complain(reply, "fd %d is %s and no socket; ", fd, target);
		else if (fd > CLIENT_SOCKET)
			complain(reply, "fd %d (%s) was not given; ", fd, target);
	}
	closedir(dir);
}

/* Lines of /proc/self/status that tell what a process may do. */
static void check_rights(struct reply *reply)
{
	static const struct {
		const char *name, *value;
	} want[] = {
		{ "Uid:", "65534\t65534\t65534\t65534" },
		{ "Gid:", "65534\t65534\t65534\t65534" },
		{ "Groups:", " " },
		{ "NoNewPrivs:", "1" },
		{ "CapInh:", "0000000000000000" },
		{ "CapPrm:", "0000000000000000" },
		{ "CapEff:", "0000000000000000" },
		{ "CapBnd:", "0000000000000000" },
		{ "CapAmb:", "0000000000000000" },
	};
	unsigned int seen = 0;
	char line[256];
	size_t i;
	FILE *f;

	f = fopen("/proc/self/status", "re");
	if (!f) {
		reply->error = -errno;
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
			size_t n = strlen(want[i].name);

			if (strncmp(line, want[i].name, n))
				continue;
			seen |= 1u << i;
			reply->done++;
			if (strcmp(line + n + (line[n] == '\t'), want[i].value))
				complain(reply, "%s; ", line);
		}
	}
	fclose(f);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (!(seen & 1u << i))
			complain(reply, "no %s in /proc/self/status; ", want[i].name);
}

/* No group, and so no device, may open. A busy one would have let us in. */
static void check_devices(struct reply *reply)
{
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/dev/vfio");
	if (!dir) {
		reply->error = -errno;
		return;
	}
	while ((entry = readdir(dir))) {
		int fd;

		/* The container, /dev/vfio/vfio, is everybody's and leads nowhere alone. */
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		reply->done++;
		fd = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC);
		if (fd >= 0 || errno != EACCES)
			complain(reply, "may open /dev/vfio/%s; ", entry->d_name);
		if (fd >= 0)
			close(fd);
	}
	closedir(dir);
}

static void do_confined(struct reply *reply)
{
	check_fds(reply);
	check_rights(reply);
	check_devices(reply);
}

static void do_map(struct client *c, const struct request *request, int fd, struct reply *reply)
{
	uint64_t before;
	char target[64];
	char path[32];
	ssize_t len;
	void *map;

	if (fd < 0 || c->fd >= 0) {
		reply->error = -EBADMSG;
		return;
	}
	c->fd = fd;
	c->size = request->value;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0) {
		reply->error = -errno;
		return;
	}
	target[len] = '\0';
	reply->done++;
	if (!strstr(target, "dmabuf"))
		complain(reply, "what came is %s and no DMABUF; ", target);

	before = faults_taken();
	map = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		reply->error = -errno;
		return;
	}
	c->map = map;
	c->faults_mapped = faults_taken();
	reply->last = c->faults_mapped - before;
}

static void do_factorials(struct client *c, uint64_t last, struct reply *reply)
{
	uint32_t id, n, result;

	reply->error = barbuf_read32(c->map + EDU_ID, &id);
	if (!reply->error && !edu_id_ok(id))
		complain(reply, "identification is %#x; ", id);
	for (n = 0; n <= last && !reply->error; n++) {
		reply->error = edu_factorial(c->map, n, &result);
		if (reply->error)
			break;
		reply->done++;
		reply->last = result;
		if (result != factorial(n))
			complain(reply, "%u! is %u; ", n, result);
	}
}

static void do_fill(struct client *c, uint64_t seed, struct reply *reply)
{
	size_t pos;

	for (pos = 0; pos < c->size && !reply->error; pos += 8, reply->done++)
		reply->error = barbuf_write64(c->map + pos, pattern(seed, pos));
}

static void do_check(struct client *c, uint64_t seed, struct reply *reply)
{
	uint64_t word;
	size_t pos;

	for (pos = 0; pos < c->size; pos += 8, reply->done++) {
		reply->error = barbuf_read64(c->map + pos, &word);
		if (reply->error)
			break;
		if (word != pattern(seed, pos))
			reply->wrong++;
	}
}

static int touch_pages(const struct client *c)
{
	uint64_t word;
	size_t pos;
	int ret;

	for (pos = 0; pos < c->size; pos += c->page) {
		ret = barbuf_read64(c->map + pos, &word);
		if (ret)
			return ret;
	}
	return 0;
}

/* Returns when the primary has asked for the end, which the main loop then takes. */
static int run_until_asked(const struct client *c, uint64_t *passes)
{
	struct pollfd pfd = { .fd = CLIENT_SOCKET, .events = POLLIN };
	int ret;

	while (poll(&pfd, 1, 0) == 0) {
		ret = touch_pages(c);
		if (ret)
			return ret;
		++*passes;
	}
	return 0;
}

static void do_access(struct client *c, struct reply *reply)
{
	uint32_t word;
	size_t pos;
	int ret;

	for (pos = 0; pos < c->size; pos += c->page) {
		ret = barbuf_read32(c->map + pos, &word);
		reply->sigbus += ret == -EIO;
		/* Register 0 of edu is read-only; a write reaches it but changes nothing. */
		ret = barbuf_write32(c->map + pos, 0);
		reply->sigbus += ret == -EIO;
		reply->done += 2;
	}
}

static void do_remap(struct client *c, struct reply *reply)
{
	void *map = mmap(NULL, c->size, PROT_READ, MAP_SHARED, c->fd, 0);

	if (map == MAP_FAILED)
		reply->error = -errno;
	else
		munmap(map, c->size);
}

static int answer(const struct client *c, struct reply *reply)
{
	if (c->map)
		reply->faults = faults_taken() - c->faults_mapped;
	return barbuf_message_send(CLIENT_SOCKET, reply, sizeof(*reply), -1);
}

int client_main(void)
{
	struct client c = { .fd = -1, .page = sysconf(_SC_PAGESIZE) };
	uint64_t passes = 0;
	int run_error = 0;
	int ret;

	ret = barbuf_guard_install();
	if (!ret)
		ret = pin_memory();
	if (ret) {
		fprintf(stderr, "barbuf-demo-edu: client: cannot pin its memory: %s\n",
			strerror(-ret));
		return 1;
	}

	for (;;) {
		struct request request;
		struct reply reply = { 0 };
		size_t len;
		int fd;

		ret = barbuf_message_recv(CLIENT_SOCKET, &request, sizeof(request), &len, &fd);
		if (ret == -EPIPE)
			return 0; /* the primary is gone, or done with us */
		if (ret || len != sizeof(request))
			return 1;

		if (request.op != OP_CONFINED && request.op != OP_MAP && !c.map) {
			reply.error = -ENXIO;
			answer(&c, &reply);
			continue;
		}
		switch (request.op) {
		case OP_CONFINED:
			do_confined(&reply);
			break;
		case OP_MAP:
			do_map(&c, &request, fd, &reply);
			break;
		case OP_FACTORIALS:
			do_factorials(&c, request.value, &reply);
			break;
		case OP_FILL:
			do_fill(&c, request.value, &reply);
			break;
		case OP_CHECK:
			do_check(&c, request.value, &reply);
			break;
		case OP_RUN:
			passes = 1;
			run_error = touch_pages(&c);
			reply.error = run_error;
			break;
		case OP_STOP:
			reply.error = run_error ? run_error : touch_pages(&c);
			reply.done = passes + 1;
			break;
		case OP_ACCESS:
			do_access(&c, &reply);
			break;
		case OP_REMAP:
			do_remap(&c, &reply);
			break;
		case OP_DONE:
			if (munmap((void *)c.map, c.size))
				reply.error = -errno;
			c.map = NULL;
			break;
		default:
			reply.error = -EBADMSG;
		}
		ret = answer(&c, &reply);
		if (ret)
			return 1;
		if (request.op == OP_RUN && !run_error)
			run_error = run_until_asked(&c, &passes);
	}
}
