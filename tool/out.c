// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "out.h"

/* Length of the UTF-8 character at @s, 0 if it is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len, i;
	uint32_t code;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xf8 || s[0] < 0xc2)
		return 0;
	len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	code = s[0] & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return len;
}

static bool is_control(const unsigned char *s, size_t len)
{
	/* C0, DEL, and C1, which is two bytes of UTF-8 */
	return s[0] < 0x20 || s[0] == 0x7f || (len == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

static void clean(const char *text, char *buf, size_t size, bool keep_controls)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (*s) {
		size_t len = utf8_len(s);
		bool bad = !len || (!keep_controls && is_control(s, len));
		size_t need = bad ? 4 * (len ? len : 1) : len;

		if (at + need + 1 > size)
			break;
		if (bad) {
			size_t i;

			len = len ? len : 1;
			for (i = 0; i < len; i++)
				at += sprintf(buf + at, "\\x%02x", s[i]);
		} else {
			memcpy(buf + at, s, len);
			at += len;
		}
		s += len;
	}
	buf[at] = '\0';
}

void out_clean(const char *text, char *buf, size_t size)
{
	clean(text, buf, size, false);
}

json_t *out_string(const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	char *buf = malloc(size);
	json_t *string;

	if (!buf)
		return NULL;
	clean(text, buf, size, true);
	string = json_string(buf);
	free(buf);
	return string;
}

char *out_size(uint64_t size, char *buf)
{
	static const char units[] = { 'G', 'M', 'K' };
	size_t i;

	for (i = 0; i < sizeof(units); i++) {
		unsigned int shift = 30 - 10 * i;

		if (size && !(size & ((1ull << shift) - 1))) {
			snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64 "%c", size >> shift, units[i]);
			return buf;
		}
	}
	snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64, size);
	return buf;
}

bool out_is_terminal(FILE *f)
{
	return isatty(fileno(f));
}

bool out_has_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return out_is_terminal(f) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

static void print_value(FILE *f, const json_t *value, enum format format)
{
	char text[1024], size[SIZE_TEXT_MAX];
	json_t *element;
	size_t i;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		if (!json_string_length(value)) {
			fputc('-', f);
			break;
		}
		out_clean(json_string_value(value), text, sizeof(text));
		fputs(text, f);
		break;
	case JSON_INTEGER:
		if (format == FORMAT_SIZE)
			fputs(out_size(json_integer_value(value), size), f);
		else
			fprintf(f, format == FORMAT_HEX ? "0x%llx" : "%lld",
				(long long)json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(f, "%.2f", json_real_value(value));
		break;
	case JSON_TRUE:
		fputs("yes", f);
		break;
	case JSON_FALSE:
		fputs("no", f);
		break;
	case JSON_ARRAY:
		if (!json_array_size(value))
			fputc('-', f);
		json_array_foreach((json_t *)value, i, element)
		{
			if (i)
				fputc(',', f);
			print_value(f, element, format);
		}
		break;
	default:
		fputc('-', f);
		break;
	}
}

static char *cell_text(const json_t *row, const struct column *column)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	if (row)
		print_value(f, json_object_get(row, column->key), column->format);
	else
		fputs(column->title ? column->title : column->key, f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

/* Columns on the screen: characters, not bytes. */
static size_t text_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

/* Row 0 is the header. */
static void print_row(FILE *f, bool aligned, const struct column *columns, size_t nr, char **cells,
		      const size_t *width)
{
	size_t k;

	for (k = 0; k < nr; k++) {
		int pad = aligned ? width[k] - text_width(cells[k]) : 0;

		if (k)
			fputs(aligned ? "  " : "\t", f);
		if (columns[k].right)
			fprintf(f, "%*s", pad, "");
		fputs(cells[k], f);
		if (!columns[k].right && k + 1 < nr)
			fprintf(f, "%*s", pad, "");
	}
	fputc('\n', f);
}

int out_rows(FILE *f, bool aligned, const struct column *columns, size_t nr, const json_t *rows)
{
	size_t nr_rows = json_array_size(rows) + 1, i, k;
	char **cells = calloc(nr_rows * nr, sizeof(*cells));
	size_t *width = calloc(nr, sizeof(*width));
	int ret = -ENOMEM;

	if (!cells || !width)
		goto out;
	for (i = 0; i < nr_rows; i++) {
		for (k = 0; k < nr; k++) {
			char *text = cell_text(i ? json_array_get(rows, i - 1) : NULL, &columns[k]);

			if (!text)
				goto out;
			cells[i * nr + k] = text;
			if (text_width(text) > width[k])
				width[k] = text_width(text);
		}
	}
	for (i = 0; i < nr_rows; i++)
		print_row(f, aligned, columns, nr, cells + i * nr, width);
	ret = 0;
out:
	for (i = 0; cells && i < nr_rows * nr; i++)
		free(cells[i]);
	free(cells);
	free(width);
	return ret;
}

int out_object(const struct call *c, json_t *object)
{
	json_t *root = json_pack("{s:i, s:s}", "version", OUT_JSON_VERSION, "command", c->cmd->name);
	int ret;

	if (!object || !root || json_object_update(root, object) ||
	    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(OUT_JSON_DIGITS)))
		ret = failed(c, "%s", strerror(ENOMEM));
	else
		ret = putchar('\n') == EOF;
	json_decref(object);
	json_decref(root);
	return ret;
}

int out_record(const struct call *c, const struct column *columns, size_t nr, json_t *row)
{
	json_t *rows;

	if (c->json)
		return out_object(c, row);
	rows = json_array();
	json_array_append_new(rows, row);
	return out_table(c, NULL, columns, nr, rows);
}

int out_table(const struct call *c, const char *key, const struct column *columns, size_t nr,
	      json_t *rows)
{
	int ret;

	if (c->json)
		return out_object(c, rows ? json_pack("{s:o}", key, rows) : NULL);
	ret = rows ? out_rows(stdout, out_is_terminal(stdout), columns, nr, rows) : -ENOMEM;
	json_decref(rows);
	return ret ? failed(c, "%s", strerror(-ret)) : EXIT_SUCCESS;
}
