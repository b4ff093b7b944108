// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <barbuf.h>

#include "buffer.h"
#include "message.h"

#define DESCRIPTION_READ_ONLY 1u

/*
 * What goes along with a buffer's descriptor, in the CPU's byte order. The header
 * before it has the version: it counts up when a member is added.
 */
struct description {
	uint64_t size;
	uint64_t tag;
	uint64_t phase;
	uint32_t shift;
	uint32_t flags;
	uint32_t memattr;
	uint32_t reserved;
	char name[BARBUF_NAME_MAX + 1];
};
_Static_assert(sizeof(struct description) == 72, "no holes");

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

int barbuf_buffer_send(int sock, const struct barbuf_buffer *buf, uint64_t tag)
{
	struct description d = {
		.size = buf->size,
		.tag = tag,
		.phase = buf->phase,
		.shift = buf->shift,
		.flags = buf->read_only ? DESCRIPTION_READ_ONLY : 0,
		.memattr = buf->memattr,
	};
	size_t i;

	/* Whoever holds a DMABUF may have named it, with any bytes. */
	for (i = 0; i < BARBUF_NAME_MAX && buf->name[i]; i++)
		d.name[i] = is_printable(buf->name[i]) ? buf->name[i] : '?';
	return barbuf__message_send(sock, BARBUF__KIND_BUFFER, &d, sizeof(d), buf->fd);
}

/* Nothing hides behind the end of it. */
static bool is_name(const char *name, size_t size)
{
	size_t i = 0;

	while (i < size && is_printable(name[i]))
		i++;
	if (i == size)
		return false;
	while (i < size && !name[i])
		i++;
	return i == size;
}

/* Could barbuf_buffer_send() have made it? */
static bool is_description(const struct description *d)
{
	if (!d->size || d->phase % (uint64_t)sysconf(_SC_PAGESIZE) || d->phase >> 30)
		return false;
	if (d->shift != 0 && d->shift != 21 && d->shift != 30)
		return false;
	if ((d->flags & ~DESCRIPTION_READ_ONLY) || d->reserved)
		return false;
	if (d->memattr > BARBUF_MEMATTR_UNKNOWN)
		return false;
	return is_name(d->name, sizeof(d->name));
}

/* Is it about this buffer, of which the kernel told us? */
static bool is_true(const struct description *d, const struct barbuf_buffer *buf)
{
	if (d->size != buf->size)
		return false;
	/* Called read-only and writable in truth, a buffer is what it is: writable. */
	return !buf->read_only || (d->flags & DESCRIPTION_READ_ONLY);
}

int barbuf_buffer_recv(int sock, struct barbuf_buffer **out)
{
	struct barbuf_buffer *buf;
	struct description d;
	size_t len;
	int ret;
	int fd;

	ret = barbuf__message_recv(sock, BARBUF__KIND_BUFFER, &d, sizeof(d), &len, &fd);
	if (ret)
		return ret == -EMSGSIZE ? -EBADMSG : ret;
	if (fd < 0)
		return -EBADMSG;
	if (len != sizeof(d) || !is_description(&d)) {
		ret = -EBADMSG;
		goto err_close;
	}
	ret = barbuf__buffer_wrap(&buf, fd);
	if (ret) {
		/* The sender's mistake, not the caller's. */
		if (ret != -ENOMEM)
			ret = -EBADMSG;
		goto err_close;
	}
	if (!is_true(&d, buf)) {
		barbuf_buffer_free(buf);
		return -EBADMSG;
	}

	buf->memattr = d.memattr;
	buf->tag = d.tag;
	buf->phase = d.phase;
	buf->shift = d.shift;
	memcpy(buf->name, d.name, sizeof(buf->name));
	*out = buf;
	return 0;

err_close:
	close(fd);
	return ret;
}
