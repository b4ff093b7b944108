// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "procs.h"

#define MAP_PREFIX "/dmabuf:"

struct process {
	pid_t pid;
	uid_t uid;
	char comm[COMM_MAX];
};

bool procs_parse_map(char *line, uint64_t *inode, uint64_t *length, const char **name)
{
	uint64_t start, end;
	int at = 0;

	/* start-end perms offset major:minor inode   path */
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64 " %n", &start, &end, inode,
		   &at) != 3 ||
	    !at || strncmp(line + at, MAP_PREFIX, strlen(MAP_PREFIX)))
		return false;
	*length = end - start;
	*name = line + at + strlen(MAP_PREFIX);
	return true;
}

bool procs_kernel_name(const char *name, char device[PCI_ADDRESS_MAX], unsigned int *bar)
{
	const char *slash = strchr(name, '/');
	char address[PCI_ADDRESS_MAX];
	int at = 0;

	if (!slash || slash - name >= PCI_ADDRESS_MAX)
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - name), name);
	return !pci_parse_address(address, device) && sscanf(slash, "/bar%1u%n", bar, &at) == 1 &&
	       (!slash[at] || slash[at] == '+');
}

static struct holder *get_holder(struct procs *p, const struct process *of, uint64_t inode,
				 const char *name)
{
	struct holder new = { .pid = of->pid, .uid = of->uid, .inode = inode, .fd = -1 };
	struct holder *h, *bigger;
	size_t i;

	for (i = p->nr_holders; i && p->holders[i - 1].pid == of->pid; i--) {
		if (p->holders[i - 1].inode == inode)
			return &p->holders[i - 1];
	}
	/* The name may be another holder's. */
	snprintf(new.comm, sizeof(new.comm), "%s", of->comm);
	snprintf(new.name, sizeof(new.name), "%s", name);
	bigger = reallocarray(p->holders, p->nr_holders + 1, sizeof(*bigger));
	if (!bigger)
		return NULL;
	p->holders = bigger;
	h = &bigger[p->nr_holders++];
	*h = new;
	return h;
}

static int read_maps(const char *root, struct procs *p, const struct process *of)
{
	uint64_t inode, length;
	char *text = NULL, *line, *next;
	struct holder *h;
	const char *name;
	int ret;

	ret = file_read_all(root, &text, NULL, "/proc/%d/maps", of->pid);
	for (next = text; !ret && (line = strsep(&next, "\n"));) {
		if (!procs_parse_map(line, &inode, &length, &name))
			continue;
		h = get_holder(p, of, inode, name);
		if (h)
			h->mapped += length;
		else
			ret = -ENOMEM;
	}
	free(text);
	return ret;
}

/* The value of a line "KEY:\tVALUE" of fdinfo. */
static const char *info_value(const char *info, const char *key, char *value, size_t size)
{
	size_t len = strlen(key);

	while (info && *info) {
		if (!strncmp(info, key, len) && info[len] == ':') {
			info += len + 1;
			info += strspn(info, " \t");
			snprintf(value, size, "%.*s", (int)strcspn(info, "\n"), info);
			return value;
		}
		info = strchr(info, '\n');
		info = info ? info + 1 : NULL;
	}
	return NULL;
}

static int take_buffer_fd(struct procs *p, const struct process *of, int fd, const char *name,
			  const char *info)
{
	char value[64], exporter[64];
	struct holder *h;

	/* Only a DMABUF has an exporter; who has a root of his own has files of any path. */
	if (!info_value(info, "exp_name", exporter, sizeof(exporter)) ||
	    !info_value(info, "ino", value, sizeof(value)))
		return 0;
	h = get_holder(p, of, strtoull(value, NULL, 10), name);
	if (!h)
		return -ENOMEM;
	if (!h->fds++)
		h->fd = fd;
	if (!strcmp(exporter, "vfio_pci_core"))
		h->is_vfio = true;
	else
		h->is_other = true;
	return 0;
}

static int take_vfio_fd(struct procs *p, const struct process *of, int fd, enum vfio_fd_kind kind,
			const char *name, const char *info)
{
	struct vfio_fd *v, *bigger;
	char path[FILE_PATH_MAX];
	const char *address;

	bigger = reallocarray(p->fds, p->nr_fds + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	p->fds = bigger;
	v = &bigger[p->nr_fds++];
	*v = (struct vfio_fd){ .pid = of->pid, .fd = fd, .kind = kind };
	snprintf(v->comm, sizeof(v->comm), "%s", of->comm);
	snprintf(v->name, sizeof(v->name), "%s", name);
	if (info_value(info, "vfio-device-syspath", path, sizeof(path))) {
		address = strrchr(path, '/');
		if (address && pci_parse_address(address + 1, v->device))
			v->device[0] = '\0';
	}
	return 0;
}

static int read_fd(const char *root, struct procs *p, const struct process *of, const char *fd)
{
	static const char group_path[] = "/dev/vfio/", cdev_path[] = "/dev/vfio/devices/";
	char target[256], info[4096] = "";
	int n = atoi(fd);

	if (file_link(root, target, sizeof(target), "/proc/%d/fd/%s", of->pid, fd))
		return 0;
	/* A link to a file that was deleted, or of another root, reads otherwise. */
	if (strncmp(target, MAP_PREFIX, strlen(MAP_PREFIX)) &&
	    strncmp(target, group_path, strlen(group_path)) &&
	    strcmp(target, "anon_inode:[vfio-device]"))
		return 0;
	file_read(root, info, sizeof(info), "/proc/%d/fdinfo/%s", of->pid, fd);
	if (target[0] != '/')
		return take_vfio_fd(p, of, n, VFIO_FD_DEVICE, "", info);
	if (!strncmp(target, MAP_PREFIX, strlen(MAP_PREFIX)))
		return take_buffer_fd(p, of, n, target + strlen(MAP_PREFIX), info);
	if (!strncmp(target, cdev_path, strlen(cdev_path)))
		return take_vfio_fd(p, of, n, VFIO_FD_CDEV, target + strlen(cdev_path), info);
	if (!strcmp(target, "/dev/vfio/vfio")) /* the container, of any group */
		return 0;
	return take_vfio_fd(p, of, n, VFIO_FD_GROUP, target + strlen(group_path), info);
}

static int read_fds(const char *root, struct procs *p, const struct process *of)
{
	char **names;
	ssize_t i, nr;
	int ret = 0;

	nr = file_names(root, &names, "/proc/%d/fd", of->pid);
	if (nr < 0)
		return nr;
	for (i = 0; i < nr && !ret; i++)
		ret = read_fd(root, p, of, names[i]);
	free(names);
	return ret;
}

static uid_t read_uid(const char *root, pid_t pid)
{
	char text[4096], value[32];

	if (file_read(root, text, sizeof(text), "/proc/%d/status", pid) < 0 ||
	    !info_value(text, "Uid", value, sizeof(value)))
		return -1;
	return strtoul(value, NULL, 10);
}

static int read_process(const char *root, struct procs *p, pid_t pid)
{
	struct process of = { .pid = pid };
	int maps, fds;

	if (file_read(root, of.comm, sizeof(of.comm), "/proc/%d/comm", pid) < 0)
		return 0;
	of.uid = read_uid(root, pid);
	maps = read_maps(root, p, &of);
	fds = read_fds(root, p, &of);
	if (maps == -ENOMEM || fds == -ENOMEM)
		return -ENOMEM;
	if (maps == -EACCES || maps == -EPERM || fds == -EACCES || fds == -EPERM)
		p->denied++;
	else
		p->looked_at++;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->pid != y->pid)
		return (x->pid > y->pid) - (x->pid < y->pid);
	return (x->inode > y->inode) - (x->inode < y->inode);
}

int procs_read(const char *root, struct procs *p)
{
	ssize_t i, nr;
	char **names;
	int ret = 0;

	*p = (struct procs){ 0 };
	nr = file_names(root, &names, "/proc");
	if (nr < 0)
		return nr;
	for (i = 0; i < nr && !ret; i++) {
		if (names[i][strspn(names[i], "0123456789")])
			continue;
		ret = read_process(root, p, atoi(names[i]));
	}
	free(names);
	if (ret)
		procs_free(p);
	else if (p->nr_holders)
		qsort(p->holders, p->nr_holders, sizeof(*p->holders), by_pid);
	return ret;
}

static struct holder *find_holder(struct procs *p, pid_t pid, uint64_t inode)
{
	size_t i;

	for (i = 0; i < p->nr_holders; i++) {
		if (p->holders[i].pid == pid && p->holders[i].inode == inode)
			return &p->holders[i];
	}
	return NULL;
}

static int add_importer(const char *root, struct procs *p, const struct buffer_info *b,
			const struct buffer_importer *i)
{
	struct holder *h = find_holder(p, i->pid, b->inode);
	struct process of = { .pid = i->pid };

	if (!h) {
		of.uid = read_uid(root, i->pid);
		snprintf(of.comm, sizeof(of.comm), "%s", i->comm);
		h = get_holder(p, &of, b->inode, procs_buffer_name(p, b->inode));
		if (!h)
			return -ENOMEM;
	}
	h->dma += i->length;
	h->dma_unknown = h->dma_unknown || !i->length;
	return 0;
}

int procs_add_importers(const char *root, struct procs *p, const struct buffer_info *buffers,
			size_t nr)
{
	int ret = 0;
	size_t i, k;

	for (i = 0; i < nr; i++) {
		for (k = 0; k < buffers[i].nr_attached && !ret; k++)
			ret = add_importer(root, p, &buffers[i], &buffers[i].attached[k]);
	}
	if (p->nr_holders)
		qsort(p->holders, p->nr_holders, sizeof(*p->holders), by_pid);
	return ret;
}

void procs_free(struct procs *p)
{
	free(p->holders);
	free(p->fds);
	*p = (struct procs){ 0 };
}

bool procs_is_vfio_buffer(const struct procs *p, const struct buffer_info *known, size_t nr,
			  uint64_t inode)
{
	char device[PCI_ADDRESS_MAX];
	unsigned int bar;
	size_t i;

	if (buffers_find(known, nr, inode))
		return true;
	/* Of a device that has been closed there is no list. */
	for (i = 0; i < p->nr_holders; i++) {
		const struct holder *h = &p->holders[i];

		if (h->inode == inode && !h->is_other &&
		    (h->is_vfio || procs_kernel_name(h->name, device, &bar)))
			return true;
	}
	return false;
}

const char *procs_buffer_name(const struct procs *p, uint64_t inode)
{
	size_t i;

	for (i = 0; i < p->nr_holders; i++) {
		if (p->holders[i].inode == inode)
			return p->holders[i].name;
	}
	return "";
}

bool vfio_fd_is_of(const char *root, const struct vfio_fd *fd, const struct pci_function *f)
{
	switch (fd->kind) {
	case VFIO_FD_GROUP:
		return f->group >= 0 && strtol(fd->name, NULL, 10) == f->group;
	case VFIO_FD_CDEV:
		return file_exists(root, PCI_SYSFS "/%s/vfio-dev/%s", f->address, fd->name);
	case VFIO_FD_DEVICE:
		return !strcmp(fd->device, f->address);
	}
	return false;
}

int refuse_held(const struct call *c, const struct pci_function *f)
{
	struct procs p;
	size_t i;
	int ret;

	ret = procs_read(c->root, &p);
	if (ret)
		return failed(c, "/proc: %s", strerror(-ret));
	for (i = 0; i < p.nr_fds && !ret; i++) {
		if (vfio_fd_is_of(c->root, &p.fds[i], f))
			ret = failed(c, "%s is in use: process %d (%s) has its %s open", f->address,
				     p.fds[i].pid, p.fds[i].comm,
				     p.fds[i].kind == VFIO_FD_GROUP ? "group" : "device");
	}
	procs_free(&p);
	return ret;
}
