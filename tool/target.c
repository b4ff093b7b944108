// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "open.h"
#include "serve.h"
#include "target.h"

/* A server that does not answer within that is none. */
#define PATIENCE 10

static int open_device(struct target *t, const struct call *c, const char *text)
{
	struct open_bar b;
	int status;

	status = open_bar(c, text, &b);
	if (status >= 0)
		return status;
	if (!(b.region.flags & BARBUF_REGION_MMAP)) {
		barbuf_device_close(b.dev);
		return failed(c, "%s: this BAR cannot be mapped", text);
	}
	t->dev = b.dev;
	t->bar = b.index;
	t->size = b.region.size;
	t->read_only = !(b.region.flags & BARBUF_REGION_WRITE);
	snprintf(t->label, sizeof(t->label), "%s", text);
	return -1;
}

static int take_buffer(struct target *t)
{
	t->size = barbuf_buffer_size(t->buf);
	t->read_only = barbuf_buffer_read_only(t->buf);
	return -1;
}

static int open_inherited(struct target *t, const struct call *c, const char *what,
			  const char *text)
{
	uint64_t number;
	int status, fd, ret;

	if (!parse_number(c, what, text, 0, INT_MAX, &number, &status))
		return status;
	fd = fcntl(number, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return wrong(c, what, text, "no open descriptor of this process");
	ret = barbuf_buffer_adopt(&t->buf, fd);
	if (ret) {
		close(fd);
		if (ret == -EINVAL)
			return wrong(c, what, text, "not the descriptor of a buffer");
		return failed(c, "descriptor %s: %s", text, strerror(-ret));
	}
	snprintf(t->label, sizeof(t->label), "buffer of descriptor %s", text);
	return take_buffer(t);
}

static int connect_failed(const struct call *c, const char *path, int ret)
{
	if (ret == -ENAMETOOLONG)
		return wrong(c, "--socket", path, "longer than %zu bytes", SOCKET_PATH_MAX);
	if (ret == -ECONNREFUSED)
		return failed(c, "%s: no server listens there", path);
	if (ret == -EPROTOTYPE)
		return failed(c, "%s: not a socket of barbuf export", path);
	return failed(c, "%s: %s", path, strerror(-ret));
}

static int receive(struct target *t, const struct call *c, const char *path, const char *name)
{
	char reason[SERVE_REASON_MAX];
	int ret, asked;

	t->sock = listen_connect(path, PATIENCE);
	if (t->sock < 0)
		return connect_failed(c, path, t->sock);
	asked = serve_ask(t->sock, name);
	/* One that refuses at once may have closed already, and its reason is there. */
	ret = asked && asked != -EPIPE ? asked : serve_receive(t->sock, &t->buf, reason);
	if (!ret) {
		snprintf(t->label, sizeof(t->label), "buffer '%s' of %.40s",
			 *name ? name : barbuf_buffer_name(t->buf), path);
		return take_buffer(t);
	}
	close(t->sock);
	if (ret == -EACCES)
		return failed(c, "%s: refused: %s", path, reason);
	if (ret == -EAGAIN)
		return failed(c, "%s: no answer within %d seconds", path, PATIENCE);
	if (ret == -EPROTO || ret == -EBADMSG || ret == -EMSGSIZE)
		return failed(c, "%s: no barbuf export answers there, or one of another version",
			      path);
	if (ret == -EPIPE || ret == -ECONNRESET)
		return failed(c, "%s: the server closed the connection without an answer", path);
	return failed(c, "%s: %s", path, strerror(-ret));
}

int target_open(struct target *t, const struct call *c, size_t *taken)
{
	const char *path = call_option(c, "socket");
	const char *name = call_option(c, "name");
	const char *fd = call_option(c, "fd");
	const char *first = call_arg(c, 0);
	const char *inherited = getenv("BARBUF_FD");
	bool has_bar = first && looks_like_bar(first);

	*t = (struct target){ .sock = -1 };
	*taken = has_bar;
	if (has_bar && (path || fd))
		return wrong(c, "ADDRESS/BAR", first, "not together with %s",
			     path ? "--socket" : "--fd");
	if (path && fd)
		return wrong(c, "--fd", fd, "not together with --socket");
	if (name && !path)
		return wrong(c, "--name", name, "needs --socket");
	if (name && !serve_name_valid(name))
		return wrong(c, "--name", name, "not a name: 1 to %d printable characters of ASCII",
			     BARBUF_NAME_MAX);
	if (has_bar)
		return open_device(t, c, first);
	if (path)
		return receive(t, c, path, name ? name : "");
	if (fd)
		return open_inherited(t, c, "--fd", fd);
	if (inherited)
		return open_inherited(t, c, "BARBUF_FD", inherited);
	return wrong(c, "ADDRESS/BAR", "", "is missing, or one of --socket, --fd and BARBUF_FD");
}

void target_close(struct target *t)
{
	barbuf_buffer_free(t->buf);
	barbuf_device_close(t->dev);
	if (t->sock >= 0)
		close(t->sock);
}

static void on_gone(struct barbuf_map *map, enum barbuf_gone why, void *arg)
{
	struct target *t = arg;

	t->gone = true;
	t->why = why;
}

static int map_failed(const struct target *t, const struct call *c, int ret)
{
	int why = t->buf && ret == -ENODEV ? barbuf_buffer_check(t->buf) : 0;

	if (why == -EBADFD)
		return failed(c, "%s: was revoked", t->label);
	if (why == -EOPNOTSUPP)
		return failed(c, "%s: this kernel cannot map buffers (barbuf doctor says more)",
			      t->label);
	if (t->dev && ret == -EINVAL)
		return failed(c, "%s: not all of it can be mapped", t->label);
	return failed(c, "%s: cannot be mapped: %s", t->label, strerror(-ret));
}

int target_map(struct target *t, const struct call *c, uint64_t offset, uint64_t length,
	       bool writable, struct barbuf_map **map, uint64_t *at)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct barbuf_map_options o = {
		.offset = offset & ~(page - 1),
		.length = length + (offset & (page - 1)),
		.read_only = !writable,
		.gone = on_gone,
		.arg = t,
	};
	int ret;

	if (writable && t->read_only)
		return failed(c, "%s: is read-only", t->label);
	ret = barbuf_guard_install();
	if (!ret)
		ret = t->buf ? barbuf_map(map, t->buf, &o) :
			       barbuf_map_bar(map, t->dev, t->bar, &o);
	if (ret)
		return map_failed(t, c, ret);
	*at = offset - o.offset;
	return -1;
}

int target_lost(const struct target *t, const struct call *c, uint64_t offset)
{
	if (t->gone && t->why == BARBUF_GONE_REVOKED)
		return failed(c, "%s: was revoked (at offset 0x%" PRIx64 ")", t->label, offset);
	return failed(c, "%s: no access at offset 0x%" PRIx64 ": the device is in reset or asleep",
		      t->label, offset);
}
