// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Any buffer of any primary, without its cooperation: root takes a descriptor of the
 * buffer from whoever has one, and one of the device from its primary, by
 * pidfd_getfd(2). The kernel checks that the two belong together.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <barbuf.h>

#include "buffers.h"
#include "out.h"
#include "pci.h"
#include "procs.h"

static const struct column columns[] = {
	{ .key = "buffer", .right = true },
	{ .key = "device" },
	{ .key = "bar", .right = true },
	{ .key = "mappers" },
	{ .key = "result" },
	{ .key = "name" },
};

struct system {
	struct procs procs;
	enum buffers_known known;
	struct buffer_info *buffers;
	size_t nr_buffers;
};

struct target {
	uint64_t inode;
	char name[BUFFER_NAME_MAX];
	char device[PCI_ADDRESS_MAX]; /* "": not known */
	unsigned int bar;
	bool is_revoked; /* it was before */
	int ret;
};

struct targets {
	struct target *all;
	size_t nr;
};

static int look(const struct call *c, struct system *s)
{
	int ret = procs_read(c->root, &s->procs);

	if (ret)
		return failed(c, "/proc: %s", strerror(-ret));
	s->known = buffers_read(c->root, &s->buffers, &s->nr_buffers);
	/* A client may have nothing of a buffer any more but a device that reaches it. */
	ret = procs_add_importers(c->root, &s->procs, s->buffers, s->nr_buffers);
	return ret ? failed(c, "%s", strerror(-ret)) : 0;
}

static int add_target(struct targets *t, const struct system *s, uint64_t inode)
{
	const struct buffer_info *b = buffers_find(s->buffers, s->nr_buffers, inode);
	struct target *bigger, *new;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		if (t->all[i].inode == inode)
			return 0;
	}
	bigger = reallocarray(t->all, t->nr + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	t->all = bigger;
	new = &bigger[t->nr++];
	*new = (struct target){ .inode = inode };
	snprintf(new->name, sizeof(new->name), "%s", procs_buffer_name(&s->procs, inode));
	if (b) {
		snprintf(new->device, sizeof(new->device), "%s", b->device);
		new->bar = b->bar;
		new->is_revoked = !strcmp(b->state, "revoked");
	} else {
		if (!procs_kernel_name(new->name, new->device, &new->bar))
			new->device[0] = '\0';
		new->is_revoked = s->known == BUFFERS_KNOWN;
	}
	return 0;
}

/* A BAR buffer is the primary's own, and ends when it unmaps. */
static bool can_be_revoked(const struct system *s, uint64_t inode)
{
	const struct buffer_info *b = buffers_find(s->buffers, s->nr_buffers, inode);

	return procs_is_vfio_buffer(&s->procs, s->buffers, s->nr_buffers, inode) &&
	       (!b || b->exported);
}

static const struct vfio_fd *device_of(const struct system *s, pid_t pid)
{
	size_t i;

	for (i = 0; i < s->procs.nr_fds; i++) {
		if (s->procs.fds[i].pid == pid && s->procs.fds[i].kind != VFIO_FD_GROUP)
			return &s->procs.fds[i];
	}
	return NULL;
}

static const char *unseen(const struct system *s, char *text, size_t size)
{
	if (!s->procs.denied)
		return "";
	snprintf(text, size, " (%u of %u processes could not be looked at%s)", s->procs.denied,
		 s->procs.denied + s->procs.looked_at, geteuid() ? ": root may" : "");
	return text;
}

/*
 * A user with mounts of his own can map a file that looks like a buffer of any number and
 * name. Descriptors tell who is a DMABUF; where there are none nothing can be revoked.
 */
static bool is_name_of(const struct system *s, const struct holder *h, const char *name)
{
	size_t i;

	if (strcmp(h->name, name))
		return false;
	if (h->fds)
		return true;
	for (i = 0; i < s->procs.nr_holders; i++)
		if (s->procs.holders[i].inode == h->inode && s->procs.holders[i].fds)
			return false;
	return true;
}

static int choose_by_name(const struct call *c, const struct system *s, const char *name,
			  struct targets *t)
{
	char text[128];
	size_t i;

	for (i = 0; i < s->procs.nr_holders; i++) {
		const struct holder *h = &s->procs.holders[i];

		if (is_name_of(s, h, name) && can_be_revoked(s, h->inode) &&
		    add_target(t, s, h->inode))
			return failed(c, "%s", strerror(ENOMEM));
	}
	if (!t->nr)
		return failed(c, "there is no buffer called '%s'%s", name,
			      unseen(s, text, sizeof(text)));
	if (t->nr == 1 || call_has(c, "all"))
		return 0;
	for (i = 0; i < t->nr; i++)
		note(c, "buffer %llu of %s is called '%s'", (unsigned long long)t->all[i].inode,
		     t->all[i].device[0] ? t->all[i].device : "a device", name);
	return failed(c, "NAME '%s': fits %zu buffers: choose one by --buffer, or take --all", name,
		      t->nr);
}

static int choose_by_inode(const struct call *c, const struct system *s, uint64_t inode,
			   struct targets *t)
{
	const struct buffer_info *b = buffers_find(s->buffers, s->nr_buffers, inode);
	char text[128];

	if (b && !b->exported)
		return failed(c, "buffer %llu is a mapping of the device by its primary, which cannot be "
				 "revoked",
			      (unsigned long long)inode);
	if (!can_be_revoked(s, inode))
		return failed(c, "there is no buffer %llu%s", (unsigned long long)inode,
			      unseen(s, text, sizeof(text)));
	return add_target(t, s, inode) ? failed(c, "%s", strerror(ENOMEM)) : 0;
}

static int choose_by_client(const struct call *c, const struct system *s, pid_t pid, struct targets *t)
{
	const struct vfio_fd *device = device_of(s, pid);
	char text[128];
	size_t i;

	if (device)
		return failed(c, "process %d (%s) is no client: it has a device open", pid, device->comm);
	for (i = 0; i < s->procs.nr_holders; i++) {
		const struct holder *h = &s->procs.holders[i];

		if (h->pid == pid && can_be_revoked(s, h->inode) && add_target(t, s, h->inode))
			return failed(c, "%s", strerror(ENOMEM));
	}
	return t->nr ? 0 : failed(c, "process %d has no buffer%s", pid, unseen(s, text, sizeof(text)));
}

static int take_fd(pid_t pid, int fd)
{
	int pidfd, ret;

	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return -errno;
	ret = pidfd_getfd(pidfd, fd, 0);
	if (ret < 0)
		ret = -errno;
	close(pidfd);
	return ret;
}

/* -ENOENT: no process has one. */
static int take_buffer(const struct system *s, uint64_t inode)
{
	int fd, ret = -ENOENT;
	struct statfs fs;
	struct stat st;
	size_t i;

	for (i = 0; i < s->procs.nr_holders; i++) {
		const struct holder *h = &s->procs.holders[i];

		if (h->inode != inode || h->fd < 0)
			continue;
		fd = take_fd(h->pid, h->fd);
		if (fd < 0) {
			ret = fd;
			continue;
		}
		/* The number may be of another file by now, of which others have their own inodes. */
		if (!fstat(fd, &st) && st.st_ino == inode && !fstatfs(fd, &fs) &&
		    fs.f_type == DMA_BUF_MAGIC)
			return fd;
		close(fd);
	}
	return ret;
}

static int revoke_by(const struct vfio_fd *v, int buffer)
{
	struct barbuf_device *dev;
	int fd, ret;

	fd = take_fd(v->pid, v->fd);
	if (fd < 0)
		return fd;
	ret = barbuf_device_adopt(&dev, fd);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = barbuf_device_revoke(dev, buffer);
	barbuf_device_close(dev);
	return ret;
}

/* -ENXIO: no process has its device open. */
static int revoke_target(const struct system *s, const struct target *t)
{
	int buffer, ret, worst = -ENXIO;
	size_t i;

	buffer = take_buffer(s, t->inode);
	if (buffer < 0)
		return buffer;
	for (i = 0; i < s->procs.nr_fds; i++) {
		const struct vfio_fd *v = &s->procs.fds[i];

		/* Where the kernel does not say which device it is, it is tried. */
		if (v->kind == VFIO_FD_GROUP ||
		    (v->device[0] && t->device[0] && strcmp(v->device, t->device)))
			continue;
		ret = revoke_by(v, buffer);
		if (!ret || ret == -EBADFD || ret == -ETIMEDOUT || ret == -ENOTTY) {
			worst = ret;
			break;
		}
		if (ret != -ENODEV)
			worst = ret;
	}
	close(buffer);
	return worst;
}

static const char *explain(int error)
{
	switch (error) {
	case -EBADFD:
		return "it is revoked already";
	case -ETIMEDOUT:
		return "it is revoked, but a device still has it mapped for DMA";
	case -ENOENT:
		return "no process has a descriptor of it any more";
	case -ENXIO:
		return "no process that may be looked at has its device open";
	case -ENOTTY:
		return "this kernel cannot revoke";
	case -EPERM:
		return "Operation not permitted (root may)";
	default:
		return strerror(-error);
	}
}

static json_t *mappers(const struct system *s, uint64_t inode)
{
	json_t *pids = json_array();
	size_t i;

	for (i = 0; i < s->procs.nr_holders; i++) {
		if (s->procs.holders[i].inode == inode && s->procs.holders[i].mapped)
			json_array_append_new(pids, json_integer(s->procs.holders[i].pid));
	}
	return pids;
}

static json_t *row(const struct call *c, const struct system *s, const struct target *t)
{
	const char *result = t->ret == -EBADFD ? "was revoked" :
			     t->ret	       ? "failed" :
			     c->dry_run	       ? "would be revoked" :
						 "revoked";

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:s}", "buffer", (json_int_t)t->inode, "name",
			 out_string(t->name), "device",
			 t->device[0] ? json_string(t->device) : json_null(), "bar",
			 t->device[0] ? json_integer(t->bar) : json_null(), "mappers",
			 mappers(s, t->inode), "result", result);
}

static int report(const struct call *c, const struct system *s, const struct targets *t)
{
	json_t *rows = json_array();
	unsigned int revoked = 0;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		revoked += !t->all[i].ret && !c->dry_run;
		json_array_append_new(rows, row(c, s, &t->all[i]));
	}
	if (c->json)
		return out_object(c, json_pack("{s:i, s:o}", "revoked", (int)revoked, "buffers", rows));
	i = out_table(c, "buffers", columns, sizeof(columns) / sizeof(columns[0]), rows);
	if (out_is_terminal(stdout))
		printf("%u revoked\n", revoked);
	return i;
}

static int revoke_all(const struct call *c, const struct system *s, struct targets *t)
{
	int status = EXIT_SUCCESS;
	bool any = false;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		struct target *this = &t->all[i];

		if (this->is_revoked)
			this->ret = -EBADFD;
		else if (!c->dry_run)
			this->ret = revoke_target(s, this);
		any = any || !this->ret;
		/* Of several, those that were revoked before do not matter. */
		if (this->ret && (this->ret != -EBADFD || t->nr == 1))
			status = failed(c, "buffer %llu ('%s'): %s", (unsigned long long)this->inode,
					this->name, explain(this->ret));
	}
	if (!any && !status)
		status = failed(c, "all %zu buffers are revoked already", t->nr);
	if (any && report(c, s, t))
		status = EXIT_FAILURE;
	return status;
}

int cmd_revoke(struct call *c)
{
	const char *name = call_arg(c, 0), *buffer = call_option(c, "buffer");
	const char *client = call_option(c, "client");
	struct system s = { 0 };
	struct targets t = { 0 };
	uint64_t n = 0;
	int status;

	if (!!name + !!buffer + !!client != 1)
		return wrong(c, "NAME", name ?: "", "give one of NAME, --buffer INODE, --client PID");
	if (call_has(c, "all") && !name)
		return wrong(c, "option", "--all", "is for NAME");
	if (buffer && !parse_number(c, "--buffer", buffer, 1, UINT64_MAX, &n, &status))
		return status;
	if (client && !parse_number(c, "--client", client, 1, INT32_MAX, &n, &status))
		return status;
	status = look(c, &s);
	if (!status)
		status = name	? choose_by_name(c, &s, name, &t) :
			 buffer ? choose_by_inode(c, &s, n, &t) :
				  choose_by_client(c, &s, n, &t);
	if (!status)
		status = revoke_all(c, &s, &t);
	free(t.all);
	buffers_free(s.buffers, s.nr_buffers);
	procs_free(&s.procs);
	return status;
}
