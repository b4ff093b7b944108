// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "serve.h"

#define VERSION "barbuf/1 "
#define ANY_VERSION "barbuf/"
#define LEND VERSION "lend "
#define LENT VERSION "lent "
#define REFUSED "refused "

/* Of ASCII; the library's description of a buffer has no other characters, either. */
static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

bool serve_name_valid(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++)
		if (!is_printable(name[i]) || i >= BARBUF_NAME_MAX)
			return false;
	return i > 0;
}

/* Returns what is behind @prefix, or NULL. */
static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) ? NULL : text + len;
}

/* A message as text; one with a NUL in it is none. */
static int recv_text(int sock, char *text, size_t size)
{
	size_t len;
	int ret;

	ret = barbuf_message_recv(sock, text, size - 1, &len, NULL);
	if (ret)
		return ret;
	text[len] = '\0';
	return strlen(text) == len ? 0 : -EBADMSG;
}

static int send_text(int sock, const char *prefix, const char *text)
{
	char msg[BARBUF_MESSAGE_MAX];
	int len = snprintf(msg, sizeof(msg), "%s%s", prefix, text);

	return barbuf_message_send(sock, msg, len, -1);
}

int serve_ask(int sock, const char *name)
{
	if (*name && !serve_name_valid(name))
		return -EINVAL;
	return send_text(sock, LEND, name);
}

/* The reason is of another's making, and is printed: no terminal sequences. */
static void copy_reason(char *reason, const char *text)
{
	size_t i;

	for (i = 0; i < SERVE_REASON_MAX - 1 && text[i]; i++)
		reason[i] = is_printable(text[i]) ? text[i] : '?';
	reason[i] = '\0';
}

int serve_receive(int sock, struct barbuf_buffer **buf, char reason[SERVE_REASON_MAX])
{
	char msg[BARBUF_MESSAGE_MAX + 1];
	const char *p;
	int ret;

	ret = recv_text(sock, msg, sizeof(msg));
	if (ret)
		return ret == -EBADMSG ? -EPROTO : ret;
	if (after(msg, LENT))
		return barbuf_buffer_recv(sock, buf);

	/* A refusal is understood from every version. */
	p = after(msg, ANY_VERSION);
	p = p ? strchr(p, ' ') : NULL;
	p = p ? after(p + 1, REFUSED) : NULL;
	if (!p)
		return -EPROTO;
	copy_reason(reason, p);
	return -EACCES;
}

int serve_read(int sock, char name[BARBUF_NAME_MAX + 1])
{
	char msg[sizeof(LEND) + BARBUF_NAME_MAX + 1];
	const char *p;
	int ret;

	ret = recv_text(sock, msg, sizeof(msg));
	if (ret)
		return ret == -EMSGSIZE ? -EBADMSG : ret;
	p = after(msg, LEND);
	if (!p)
		return after(msg, ANY_VERSION) && !after(msg, VERSION) ? -EPROTO : -EBADMSG;
	if (*p && !serve_name_valid(p))
		return -EBADMSG;
	strcpy(name, p);
	return 0;
}

int serve_lend(int sock, const char *name, const struct barbuf_buffer *buf)
{
	int ret = send_text(sock, LENT, name);

	return ret ? ret : barbuf_buffer_send(sock, buf, 0);
}

int serve_refuse(int sock, const char *fmt, ...)
{
	char reason[SERVE_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return send_text(sock, VERSION REFUSED, reason);
}
