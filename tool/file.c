// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define MAKE_PATH(path, root, fmt)                                      \
	char path[FILE_PATH_MAX];                                       \
	int path##_error;                                               \
	do {                                                            \
		va_list path##_ap;                                      \
		va_start(path##_ap, fmt);                               \
		path##_error = make_path(path, (root), fmt, path##_ap); \
		va_end(path##_ap);                                      \
	} while (0)

__attribute__((format(printf, 3, 0))) static int make_path(char *path, const char *root,
							   const char *fmt, va_list ap)
{
	int len = snprintf(path, FILE_PATH_MAX, "%s", root);

	if (len >= FILE_PATH_MAX)
		return -ENAMETOOLONG;
	len += vsnprintf(path + len, FILE_PATH_MAX - len, fmt, ap);
	return len >= FILE_PATH_MAX ? -ENAMETOOLONG : 0;
}

static ssize_t read_up_to(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += n;
	}
	return len;
}

ssize_t file_read(const char *root, char *buf, size_t size, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);
	ssize_t len;
	int fd;

	if (path_error)
		return path_error;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read_up_to(fd, buf, size - 1);
	close(fd);
	if (len < 0)
		return len;
	while (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return len;
}

int file_read_all(const char *root, char **text, size_t *len, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);
	size_t have = 0, size = 4096;
	char *buf = NULL, *bigger;
	ssize_t n = 0;
	int fd;

	if (path_error)
		return path_error;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* /proc and /sys do not tell the size. */
	do {
		size *= 2;
		bigger = realloc(buf, size);
		n = bigger ? 0 : -ENOMEM;
		if (n)
			break;
		buf = bigger;
		n = read_up_to(fd, buf + have, size - 1 - have);
		if (n > 0)
			have += n;
	} while (n > 0 && have == size - 1);
	close(fd);
	if (n < 0) {
		free(buf);
		return n;
	}
	buf[have] = '\0';
	*text = buf;
	if (len)
		*len = have;
	return 0;
}

int file_read_number(const char *root, int base, uint64_t *n, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);
	unsigned long long value;
	char text[64], *end;
	ssize_t len;

	if (path_error)
		return path_error;
	len = file_read("", text, sizeof(text), "%s", path);
	if (len < 0)
		return len;
	errno = 0;
	value = strtoull(text, &end, base);
	if (!len || *end || errno)
		return -EINVAL;
	*n = value;
	return 0;
}

static int read_link(const char *path, char *buf, size_t size)
{
	ssize_t len = readlink(path, buf, size);

	if (len < 0)
		return -errno;
	if ((size_t)len == size)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	return 0;
}

int file_link(const char *root, char *buf, size_t size, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);

	return path_error ? path_error : read_link(path, buf, size);
}

int file_link_name(const char *root, char *buf, size_t size, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);
	char target[4096];
	const char *name;
	int ret;

	ret = path_error ? path_error : read_link(path, target, sizeof(target));
	if (ret)
		return ret;
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, name);
	return 0;
}

bool file_exists(const char *root, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);

	return !path_error && !access(path, F_OK);
}

int file_write(const char *root, bool create, const char *text, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);
	size_t len = strlen(text);
	int fd, ret = 0;
	ssize_t n;

	if (path_error)
		return path_error;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC | (create ? O_CREAT : 0), 0644);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0)
		ret = -errno;
	else if ((size_t)n < len)
		ret = -EIO;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Numbers by their value, as process ids are; other names as text, as PCI addresses are. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	const char *x = (*a)->d_name, *y = (*b)->d_name;
	size_t nx = strspn(x, "0123456789"), ny = strspn(y, "0123456789");

	if (!x[nx] && !y[ny] && nx != ny)
		return nx < ny ? -1 : 1;
	return strcmp(x, y);
}

ssize_t file_names(const char *root, char ***names, const char *fmt, ...)
{
	MAKE_PATH(path, root, fmt);
	struct dirent **found;
	size_t size;
	int i, nr;
	char *at;

	if (path_error)
		return path_error;
	nr = scandir(path, &found, is_visible, by_name);
	if (nr < 0)
		return -errno;
	size = (nr + 1) * sizeof(**names);
	for (i = 0; i < nr; i++)
		size += strlen(found[i]->d_name) + 1;
	*names = malloc(size);
	at = *names ? (char *)(*names + nr + 1) : NULL;
	for (i = 0; i < nr; i++) {
		if (*names) {
			(*names)[i] = at;
			at = stpcpy(at, found[i]->d_name) + 1;
		}
		free(found[i]);
	}
	free(found);
	if (!*names)
		return -ENOMEM;
	(*names)[nr] = NULL;
	return nr;
}

/* One that was cut may end in a part of an escape. */
void file_unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned int code;

		if (*text == '\\' && strspn(text + 1, "01234567") >= 3 &&
		    sscanf(text + 1, "%3o", &code) == 1) {
			*to++ = code;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}
